"""AIQ and APGR under load: one figure for all policies of a study."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation import resampling
from routingsim.evaluation.cell import METRICS
from routingsim.evaluation.evidence import Runs
from routingsim.evaluation.intervals import bootstrap_mean
from routingsim.evaluation.metrics import routerbench
from routingsim.evaluation.study_intervals import withheld
from routingsim.evaluation.study_record import StudyRecord
from routingsim.simulation.statistics import Interval, either_side


def aiq(study: StudyRecord, load: float, names: Sequence[str] | None, metric: str) -> Interval:
    """RouterBench's AIQ under load, as ``Study.aiq`` describes it."""
    points = _together(study, load, names, metric)
    means = [study.values(n, at, "cost").mean() for n in points for at in study.loads]

    def area(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> float:
        return routerbench.aiq(cost, quality, c_min=min(means), c_max=max(means))

    of = np.vectorize(area, signature="(n),(n)->()", otypes=[np.float64])
    figures = zip(
        _figures(study, points, load, "cost"), _figures(study, points, load, metric), strict=True
    )
    return _joint(study, load, *(of(cost.T, quality.T).T for cost, quality in figures))


def apgr(study: StudyRecord, load: float, names: Sequence[str] | None, metric: str) -> Interval:
    """RouteLLM's APGR under load, as ``Study.apgr`` describes it."""
    if len(study.pool) != 2:
        raise SimulationError(
            f"APGR is defined for two agents, and this pool has {len(study.pool)}: compare "
            "with a pool of a weak and a strong one, or use aiq()"
        )
    known = np.isfinite(study.outcomes).all(axis=1)
    if not known.any():
        raise CorpusError("no task has a recorded quality of both agents")
    recorded = study.outcomes[known]
    alone = recorded.mean(axis=0)
    strong = int(alone.argmax())
    points, x = _shares_of(strong, study, load, _together(study, load, names, metric))
    at = np.unique(x)

    def recovered(y: NDArray[np.float64], alone: NDArray[np.float64]) -> NDArray[np.float64]:
        curve = np.array([y[x == each].mean(axis=0) for each in at])
        gap = alone[strong] - alone[1 - strong]
        area = np.trapezoid(curve, at, axis=0) - alone[1 - strong]
        return np.divide(area, gap, out=np.full(area.shape, np.nan), where=gap > 0)

    apart = bootstrap_mean(recorded @ np.array([-1.0, 1.0]), groups=study.group[known])
    if apart.low <= 0 <= apart.high or math.isnan(apart.half_width):
        return Interval(math.nan, math.nan)
    of_runs, of_resamples = _figures(study, points, load, metric)
    drawn = resampling.stand_ins(study.group, study.settings.seed)[: of_resamples.shape[1]]
    means = [study.outcomes[each[np.take(known, each)]].mean(axis=0) for each in drawn]
    resampled = np.reshape(means, (-1, 2)).T[..., np.newaxis]
    return _joint(study, load, recovered(of_runs, alone), recovered(of_resamples, resampled))


def _shares_of(
    strong: int, study: StudyRecord, load: float, points: list[str]
) -> tuple[list[str], NDArray[np.float64]]:
    """The points with each agent alone at the ends, and the share of tasks that each sends to
    the strong agent."""
    sent = {name: study.cell(name, load).times.sum(axis=0) for name in study.names}
    share = {name: float(times[strong] / times.sum()) for name, times in sent.items()}
    for end, agent in ((0.0, 1 - strong), (1.0, strong)):
        ends = [name for name in study.names if share[name] == end]
        if not ends:
            raise SimulationError(
                "APGR needs each agent alone at an end of the curve: add "
                f"'static:{study.pool.ids[agent]}' to the policies"
            )
        points += [] if set(ends) & set(points) else ends[:1]
    return points, np.array([share[name] for name in points])


def _together(
    study: StudyRecord, load: float, names: Sequence[str] | None, metric: str
) -> list[str]:
    """Policies, or the points named, if their figures rest on the same tasks."""
    points = study.policies if names is None else list(names)
    for name in points:
        if study.basis.kind == "log" or study.rest_apart(metric, load, points[0], name):
            raise CorpusError(
                f"{metric} of {points[0]} and {name} rest on different tasks: the corpus does "
                "not record all agents on the same; see estimates() and table()"
            )
    return points


def _figures(
    study: StudyRecord, names: Sequence[str], load: float, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A metric of several policies by run, and by resample and run, policies first."""
    at, cells = list(METRICS).index(metric), [study.cell(name, load) for name in names]
    return (
        np.array([cell.figures[:, at] for cell in cells]),
        np.array([cell.resampled[..., at] for cell in cells]),
    )


def _joint(
    study: StudyRecord, load: float, runs: NDArray[np.float64], resamples: NDArray[np.float64]
) -> Interval:
    """The interval of what several policies reach together, by run and by resample."""
    if withheld(study, "quality", load):
        return Interval(float(runs.mean()), math.nan)
    if not study.settings.sampled:
        return either_side(Runs(runs).interval()[0])
    scale = study.cell(study.baseline, load).scale
    prompts = study.prompts("quality", load)
    return resampling.Sampled(runs, resamples, scale, prompts).interval()[0]
