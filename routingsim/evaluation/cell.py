"""The metrics of one run that a study keeps, and their sums over replications."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.evaluation.cell_sums import cell_sums
from routingsim.evaluation.intervals import t_interval, t_intervals
from routingsim.evaluation.metrics.timed import timed
from routingsim.policies.folds import prompts
from routingsim.policies.kernel import OK
from routingsim.simulation.in_time import InTime, latest
from routingsim.simulation.recorded import recorded_costs
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stability import Verdict, lasts, load_and_queue, of_most, over_runs
from routingsim.simulation.statistics import Interval

METRICS: dict[str, str] = {
    "quality": "mean quality of answers, of those recorded",
    "quality_all": "mean quality of all tasks; one without an answer counts 0",
    "recorded": "share of answers whose quality is recorded",
    "quality_in_time": "mean quality, where a late or missing answer counts 0",
    "goodput": "right answers within the objectives of latency and first token, per second",
    "regret": "mean quality lost against the best agent of each task; no answer counts 0",
    "cost": "USD per task, all attempts counted",
    "cost_recorded": "share of tasks whose cost is recorded, not modelled",
    "cost_per_right": "USD per right answer within the objective; infinite if there is none",
    "latency_mean": "mean latency of answers (s)",
    "latency_p50": "median latency of answers (s)",
    "latency_p95": "95th percentile of latency (s)",
    "latency_p99": "99th percentile of latency (s)",
    "wait_mean": "mean wait of answers (s)",
    "answered": "share of tasks answered",
    "utilisation": "share of all slots in use",
    "offered_max": "highest offered load of an agent",
    "rate_met": "tasks that arrived per second",
    "span": "seconds from the first arrival to the last",
    "above": "share of the time in which an agent was sent more than it can do",
    "peak": "most tasks that waited at one time",
    "left": "tasks that waited at the last arrival",
    "enough": "tasks with which a run would be long enough; 0 where that is not known",
    "first_token_mean": "mean time to the first token of answers (s)",
    "first_token_p50": "median time to the first token (s)",
    "first_token_p95": "95th percentile of the time to the first token (s)",
    "first_token_p99": "99th percentile of the time to the first token (s)",
    "fairness": "Jain's index of the service that tenants had for their weights",
}
"""The metrics of a run, with their definitions. Latencies are simulated, not measured."""

HIGHER_IS_BETTER = frozenset(
    {"quality", "quality_all", "quality_in_time", "goodput", "answered", "recorded", "fairness"}
)
"""Metrics of which more is better; of the others less is better."""

SHARES = frozenset({"quality", "quality_all", "quality_in_time", "answered", "recorded"})
"""Metrics from 0 to 1, of whose intervals what lies beyond is not shown."""

OF_RECORDS = frozenset(
    {"quality", "quality_all", "quality_in_time", "goodput", "regret", "cost_per_right"}
)
"""Metrics that rest on recorded qualities."""

NO_RESAMPLES: NDArray[np.float64] = np.empty((0, 1, len(METRICS)))
"""The figures of no resampled corpus."""

OF_RUNS_ONLY = frozenset({"above", "enough"})
"""Metrics of the assessment of a run, which is not made of resampled corpora: NaN there."""

PER_TASK = ("quality", "quality_all", "cost")
"""Metrics that are known of each task in each run."""

OF_TENANTS = (
    *("tasks", "share", "service", "wait_mean", "latency_mean", "latency_p50", "latency_p95"),
    *("latency_p99", "first_token_p95", "cost", "quality_all"),
)
"""Figures that a study keeps of each tenant, as :meth:`ReplayResult.by_tenant` has them."""

POINTS = 100
"""Number of points of a regret curve."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One policy at one load, over all replications.

    Attributes
    ----------
    figures : ndarray, shape (replications, metrics)
        In the order of ``METRICS``.
    verdicts : tuple of str
        The stability verdict of each replication, by what all of them tell
        (:func:`routingsim.simulation.stability.over_runs`).
    quality, quality_all, cost : ndarray, shape (records,)
        Mean over replications for each corpus record; NaN where unknown.
    halves : ndarray, shape (2, PER_TASK, records)
        The same over the first and over the second half of the replications.
    met : ndarray of int, shape (2, records)
        How often each record was met in each half.
    resampled : ndarray, shape (resamples, repeated replications, metrics)
        The figures on resampled corpora (:mod:`routingsim.evaluation.resampling`), of none
        where a study asks about its own tasks only; NaN for those ``OF_RUNS_ONLY``.
    scale : float
        By what their variance is multiplied.
    unknown : ndarray of bool, shape (records,)
        Records that were answered, in some replication, by an agent whose quality is not
        recorded, or that are not among those on which qualities are compared.
    chosen : ndarray of int, shape (records,)
        The agent of each record in the first replication that contains it; -1 if none does.
    times : ndarray of int, shape (records, agents)
        How often each record went to each agent, over all replications.
    unseen : ndarray of int, shape (records, agents)
        The same, of a policy that learns only for tasks whose text, or one alike, had not
        been met in the run before.
    regret : ndarray, shape (POINTS,)
        Mean cumulative regret against the best agent of each task, at equal steps through
        the run; NaN without recorded quality.
    tenants : ndarray, shape (replications, tenants, OF_TENANTS)
        The figures of each tenant in each replication; empty where there are none.
    """

    figures: NDArray[np.float64]
    verdicts: tuple[Verdict, ...]
    quality: NDArray[np.float64]
    quality_all: NDArray[np.float64]
    cost: NDArray[np.float64]
    halves: NDArray[np.float64]
    met: NDArray[np.int64]
    resampled: NDArray[np.float64]
    scale: float
    unknown: NDArray[np.bool_]
    chosen: NDArray[np.int64]
    times: NDArray[np.int64]
    unseen: NDArray[np.int64]
    regret: NDArray[np.float64]
    tenants: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, len(OF_TENANTS))))

    @property
    def verdict(self) -> Verdict:
        """The verdict of most replications; in a tie, the worse one."""
        return of_most(self.verdicts)

    @property
    def lasts(self) -> bool:
        """Whether most runs end before their backlog, so that rates say how long they were."""
        peak, left = self.figures[:, [list(METRICS).index("peak"), list(METRICS).index("left")]].T
        return lasts(self.verdict, float(np.mean(peak)), float(np.mean(left)))


def measure(
    result: ReplayResult,
    objective: float,
    right: float,
    best: NDArray[np.float64] | None = None,
    *,
    first_token: float | None = None,
    resampled: bool = False,
) -> NDArray[np.float64]:
    """The metrics of one run, in the order of ``METRICS``; NaN where undefined.

    Parameters
    ----------
    result : ReplayResult
    objective : float
        Latency (s) within which an answer counts for goodput.
    right : float
        Lowest quality of a right answer.
    best : ndarray, shape (records,), optional
        As :func:`best_recorded` gives it, which is the same for all runs of a policy.
    first_token : float, optional
        Seconds within which the first token has to come, too.
    resampled : bool
        Whether it is a run on a resampled corpus: those ``OF_RUNS_ONLY`` are left out.
    """
    begin, end = result.window
    of = cell_sums(
        *(result.work, result.log, result.basis.rows, result.cost_basis.rows, _recorded(result)),
        best_recorded(result) if best is None else best,
        begin=begin,
        latest=latest(objective, end - begin),
        first_latest=math.inf if first_token is None else latest(first_token, end - begin),
        right=float(right),
    )
    counted = InTime(
        end - begin,
        tasks=int(of.counted),
        prompt=int(of.prompt),
        judged=int(of.judged),
        right=int(of.correct),
        known=int(of.known),
        quality=of.good,
        cost=of.spent,
    )
    good = timed(objective, counted)
    answered = of.answered / len(result)
    slots = result.pool.column("concurrency")
    if resampled:
        offered, peak, left = load_and_queue(result.run, closed=result.closed)
        above, enough = math.nan, math.nan
    else:
        stable = result.stability
        offered, peak, left = max(stable.offered.values()), stable.peak, stable.left
        above, enough = stable.above, stable.enough
    found = {
        "quality": of.quality,
        "quality_all": of.quality * answered if of.answered else 0.0,
        "recorded": of.answers / of.answered if of.answered else math.nan,
        "quality_in_time": good.quality.value,
        "goodput": good.goodput,
        "regret": of.lost,
        "cost": of.cost,
        "cost_recorded": of.recorded / len(result),
        "cost_per_right": good.cost_per_right,
        "latency_mean": of.latency,
        "latency_p50": of.latencies[0],
        "latency_p95": of.latencies[1],
        "latency_p99": of.latencies[2],
        "wait_mean": of.wait,
        "answered": answered,
        "utilisation": float(result.utilisation @ slots / slots.sum()),
        "offered_max": offered,
        "rate_met": result.realised[0],
        "span": of.span,
        "above": above,
        "peak": peak,
        "left": left,
        "enough": enough,
        "first_token_mean": of.first,
        "first_token_p50": of.firsts[0],
        "first_token_p95": of.firsts[1],
        "first_token_p99": of.firsts[2],
        "fairness": result.fairness if len(result.tenant_names) > 1 else math.nan,
    }
    if result.basis.kind == "none" or (of.answered and not of.answers):
        found |= dict.fromkeys(OF_RECORDS - {"regret"}, math.nan)
    return np.array([found[name] for name in METRICS])


def _recorded(result: ReplayResult) -> NDArray[np.bool_]:
    """Where costs are recorded, shape (records, agents); (0, 0) without a corpus."""
    if result.corpus is None:
        return np.zeros((0, 0), bool)
    return recorded_costs(result.corpus, result.pool)


def means(figures: NDArray[np.float64]) -> dict[str, float]:
    """The mean of each metric over runs, and as ``METRIC_hw`` the half-width of its 95 % interval.

    ``figures`` has a row a run. A metric that is infinite in a run, as the cost of no right
    answer, has an infinite mean without an interval.
    """
    columns = np.ascontiguousarray(figures.T)
    found = np.full((len(METRICS), 2), math.nan)
    known = np.isfinite(columns).all(axis=1)
    found[known] = np.transpose(t_intervals(columns[known]))
    for k in np.flatnonzero(~known & ~np.isnan(columns).all(axis=1)):
        endless = bool(np.isinf(columns[k]).any())
        each = Interval(math.inf, math.nan) if endless else t_interval(columns[k])
        found[k] = each.mean, each.half_width
    names = [name for metric in METRICS for name in (metric, f"{metric}_hw")]
    return dict(zip(names, found.ravel().tolist(), strict=True))


def gather(
    results: Iterable[ReplayResult],
    objective: float,
    right: float,
    again: Callable[[ReplayResult], Iterable[ReplayResult]] = lambda result: (),
    repeated: int = 0,
    scale: Callable[[Sequence[NDArray[np.int32]]], float] = lambda rows: 1.0,
    first_token: float | None = None,
) -> Cell:
    """All replications of a policy at a load as one :class:`Cell`.

    Parameters
    ----------
    results : iterable of ReplayResult
        Of one policy, corpus and pool.
    objective : float
        Latency (s) within which an answer counts for goodput.
    right : float
        Lowest quality of a right answer.
    again : callable
        The runs of a replication on resampled corpora, of the first ``repeated``.
    repeated : int
    scale : callable
        From the records of the repeated runs' tasks to :attr:`Cell.scale`.
    first_token : float, optional
        Seconds within which the first token has to come, too.
    """
    figures, stabilities, regrets, tasks, resampled, tenants = [], [], [], [], [], []
    shape, best = (0, 0), np.zeros(0)
    for result in results:
        if not figures:
            shape, best = result.work.quality.shape, best_recorded(result)
        figures.append(measure(result, objective, right, best, first_token=first_token))
        stabilities.append(result.stability)
        if len(result.tenant_names) > 1:
            tenants.append(result.by_tenant().reindex(columns=list(OF_TENANTS)).to_numpy(float))
        regrets.append(_regret(result, best))
        tasks.append((result.work.row, result.log.agent, *by_task(result), _unseen(result)))
        if len(resampled) < repeated:
            given = {"first_token": first_token, "resampled": True}
            runs = (measure(run, objective, right, best, **given) for run in again(result))
            resampled.append(list(runs))
    records = shape[0]
    row, agent, quality, of_all, cost, unknown, unseen = (
        np.concatenate(each) for each in zip(*tasks, strict=True)
    )
    chosen = np.full(records, -1, dtype=np.int64)
    for rows, agents, *_ in reversed(tasks):  # so that the first replication is written last
        chosen[rows] = agents
    went = row * shape[1] + agent
    vague = np.bincount(row[unknown], minlength=records) > 0
    middle = sum(rows.size for rows, *_ in tasks[: len(tasks) // 2])
    halves = [
        [_by_record(row[half], values[half], records) for values in (quality, of_all, cost)]
        for half in (slice(middle), slice(middle, None))
    ]
    return Cell(
        figures=np.array(figures),
        verdicts=over_runs(stabilities),
        quality=_by_record(row, quality, records),
        quality_all=np.where(vague, np.nan, _by_record(row, of_all, records)),
        cost=_by_record(row, cost, records),
        halves=np.array(halves),
        met=np.array(
            [
                np.bincount(row[:middle], minlength=records),
                np.bincount(row[middle:], minlength=records),
            ]
        ),
        resampled=np.array(resampled).swapaxes(0, 1) if resampled else NO_RESAMPLES,
        scale=scale([rows for rows, *_ in tasks[:repeated]]) if repeated else 1.0,
        unknown=vague,
        chosen=chosen,
        times=np.bincount(went, minlength=math.prod(shape)).reshape(shape),
        unseen=np.bincount(went[unseen], minlength=math.prod(shape)).reshape(shape),
        regret=np.mean(regrets, axis=0),
        **({"tenants": np.array(tenants)} if tenants else {}),
    )


def by_task(result: ReplayResult) -> tuple[NDArray[Any], ...]:
    """Quality of answers and of all, cost, and whether the quality is unknown, of each task."""
    row, quality = result.work.row, result.compared_quality
    answered = result.log.status == OK
    unknown = (answered & np.isnan(quality)) | ~result.basis.rows[row]
    if result.basis.kind == "none":  # then failures alone would be known, as 0
        unknown[:] = True
    of_all = np.where(answered, quality, 0.0)
    cost = np.where(result.cost_basis.rows[row], result.log.cost, np.nan)
    return quality, np.where(unknown, np.nan, of_all), cost, unknown


def _unseen(result: ReplayResult) -> NDArray[np.bool_]:
    """Which tasks a policy that learns cannot have met before; all of another policy."""
    row = result.work.row
    if not result.policy.learns or result.corpus is None:
        return np.ones(row.size, dtype=bool)
    first = np.zeros(row.size, dtype=bool)
    first[np.unique(prompts(result.corpus)[row], return_index=True)[1]] = True
    return first


def _by_record(
    row: NDArray[np.int32], values: NDArray[np.float64], records: int
) -> NDArray[np.float64]:
    """The mean value of each corpus record, NaN where unknown."""
    known = ~np.isnan(values)
    sums = np.bincount(row[known], values[known], records)
    counts = np.bincount(row[known], minlength=records)
    return np.divide(sums, counts, out=np.full(records, np.nan), where=counts > 0)


def _regret(result: ReplayResult, best: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative regret at equal steps; NaN without recorded quality."""
    lost = _lost(result, best)
    if not lost.size:
        return np.full(POINTS, np.nan)
    return np.cumsum(lost)[np.linspace(0, lost.size - 1, POINTS).round().astype(int)]


def best_recorded(result: ReplayResult) -> NDArray[np.float64]:
    """The highest quality of each record, shape (records,); NaN where it lacks an agent's."""
    quality = result.work.quality
    if result.basis.kind == "log":  # a few tasks may have several answers
        return np.full(len(quality), np.nan)
    return quality.max(axis=1)  # NaN if any is: every policy is measured on the same tasks


def _lost(result: ReplayResult, best: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quality lost against the best agent, for each task with a complete record, in order.

    A task without an answer has quality 0.
    """
    of_task = best[result.work.row]
    known = ~np.isnan(of_task)
    quality = result.quality[known]
    return of_task[known] - np.where(np.isnan(quality), 0.0, quality)
