"""The result of ``compare()``: metrics of every run, ranked tables, verdicts and plots."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation import partial, ranking, resampling
from routingsim.evaluation.cell import HIGHER_IS_BETTER, METRICS, OF_RECORDS, PER_TASK, Cell
from routingsim.evaluation.controls.permutation import TextUse, text_use
from routingsim.evaluation.estimate import Estimates
from routingsim.evaluation.evidence import Evidence, Runs, difference, evidence
from routingsim.evaluation.intervals import (
    Difference,
    bootstrap_mean,
    holm,
    no_verdict,
    not_comparable,
    together,
)
from routingsim.evaluation.metrics.routerbench import aiq
from routingsim.evaluation.tabular import Tabular, records
from routingsim.simulation.arrival_notes import seconds
from routingsim.simulation.export import write_table
from routingsim.simulation.recorded import Basis, basis, basis_notes
from routingsim.simulation.remarks import whose_agents
from routingsim.simulation.replications import replication_seeds
from routingsim.simulation.scenario import Order
from routingsim.simulation.stability import ABOVE
from routingsim.simulation.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Population = Literal["tasks like these", "these tasks"]
"""What the intervals and verdicts of a study are about."""

_RATES = ("goodput", "cost_per_right")  # not known where a run ends before its backlog
_LATENCIES = ("mean", "p50", "p95", "p99")
_TIMED = ("goodput", "quality_in_time", "wait_mean", *(f"latency_{q}" for q in _LATENCIES))
_SHORT = {  # to fit a terminal
    "not distinguishable": "unclear",
    "not comparable": "-",
    "no verdict": "-",
    "baseline": "base",
    "too short to say": "too short",
}
ESTIMATED: dict[str, partial.Field] = {
    "quality": "quality",
    "quality_all": "quality",
    "cost": "cost",
}
"""Metrics that are estimated for a log with one answer a task, and of which outcome."""

ONE_RUN, TOO_FEW = "one run", "too few tasks"
"""Why there is no verdict."""


MISSING = 0.05
"""Share of tasks recorded for one of two policies alone that pairs may leave out."""


def _either_side(interval: Interval) -> Interval:
    """The interval as a mean and a half-width: that of the wider side, where it is skewed."""
    return Interval(interval.mean, interval.half_width + abs(interval.shift), interval.level)


@dataclass(frozen=True)
class StudySettings:
    """What all runs of a study share.

    Attributes
    ----------
    seed : int
        That from which :attr:`seeds` are derived.
    replications : int
        Runs of each policy at each load.
    tasks : int
        Tasks of each run.
    objective : float
        Latency (s) within which an answer counts for goodput.
    right : float
        Lowest quality of a right answer.
    population : {"tasks like these", "these tasks"}
        What intervals and verdicts are about.
    order : {"shuffled", "blocks", "file"}
        How a run takes the tasks: in a random order; a recorded log in blocks, each task with
        its time (:mod:`routingsim.simulation.log_blocks`); or in the order of the file.
    """

    seed: int
    replications: int
    tasks: int
    objective: float
    right: float
    population: Population = "tasks like these"
    order: Order = "shuffled"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each replication."""
        return replication_seeds(self.seed, self.replications)

    @property
    def sampled(self) -> bool:
        """Whether the corpus counts as a sample of tasks."""
        return self.population == "tasks like these"


@dataclass(frozen=True, eq=False, repr=False)
class Study(Tabular):
    """Policies x loads x replications; made by :func:`routingsim.compare`.

    Attributes
    ----------
    kinds : mapping of str to str
        The kind of each name, "policy" or "control", policies first. The first policy is
        the baseline: verdicts compare with it, and the controls zero router, shuffle and
        length have its mix of agents or its cost.
    in_sample : mapping of str to float
        Share of the tasks whose texts a policy was fitted or chosen on, which flatters it.
    loads : tuple of float
        Shares of ``capacity`` (tasks/s).
    arrivals : str
        The arrival process that was scaled to each load.
    cells : mapping
        ``(name, load)`` to its :class:`~routingsim.evaluation.cell.Cell`.
    group : ndarray of int, shape (records,)
        The same number for records with the same or nearly the same prompt.
    remarks : tuple of str
        What the reader should know of the policies; among the ``notes``.
    cautions : tuple of str
        What the reader should know before the figures: at which load the arrivals met are not
        those asked for, which tasks the runs take, and in which order; among the ``notes``.
    """

    corpus: Corpus
    pool: AgentPool
    kinds: Mapping[str, str]
    in_sample: Mapping[str, float]
    loads: tuple[float, ...]
    capacity: float
    arrivals: str
    settings: StudySettings
    cells: Mapping[tuple[str, float], Cell]
    group: NDArray[np.intp]
    remarks: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    _tables: dict[tuple[float, str], pd.DataFrame] = field(default_factory=dict, init=False)
    _found: dict[tuple[float, str], Estimates | None] = field(default_factory=dict, init=False)
    _counts: dict[tuple[float, str], int] = field(default_factory=dict, init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Policies, then controls."""
        return tuple(self.kinds)

    @property
    def baseline(self) -> str:
        """The policy that verdicts compare with."""
        return self.names[0]

    @property
    def rates(self) -> tuple[float, ...]:
        """Arrival rate (tasks/s) asked for at each of the loads."""
        return tuple(load * self.capacity for load in self.loads)

    def met(self, load: float) -> tuple[float, float]:
        """Tasks/s that arrived at a load, and seconds from first to last: means over runs."""
        rate, span = (self.values(self.baseline, load, name) for name in ("rate_met", "span"))
        return float(rate.mean()), float(span.mean())

    def arrivals_at(self, load: float) -> str:
        """The rate asked for at a load beside that met: ``3 tasks/s asked for, 2.97 met …``."""
        rate, span = self.met(load)
        asked = f"{load * self.capacity:.3g} tasks/s asked for"
        return f"{asked}, {rate:.3g} met over {seconds(span)}"

    @cached_property
    def recorded(self) -> bool:
        """Whether the corpus records any quality of these agents."""
        return any(np.isfinite(cell.quality).any() for cell in self.cells.values())

    @cached_property
    def basis(self) -> Basis:
        """What kind of record the corpus has of the qualities of these agents."""
        return basis(self.corpus, self.pool)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the figures should know of agents, records, policies and corpus.

        Those that stand before all figures come first.
        """
        return (*self.foremost, *self._below, *self.corpus.notes)

    @property
    def foremost(self) -> list[str]:
        """Notes without which no figure is to be read, and which stand before all.

        That the pool is not the corpus's, and the ``cautions``.
        """
        return [*filter(None, (whose_agents(self.corpus, self.pool), *self.cautions))]

    @property
    def _below(self) -> list[str]:
        """Notes that stand below the figures, without the corpus's own."""
        return [*basis_notes(self.corpus, self.pool), *self._on_whom, *self.remarks]

    @property
    def _noted(self) -> tuple[list[str], list[str]]:
        """The notes before the figures and those below them, as they are shown."""
        above, below = self.foremost, self._below
        return [f"note: {note}" for note in above], [f"note: {note}" for note in below]

    @property
    def _on_whom(self) -> list[str]:
        """Of which tasks the intervals and verdicts are, where it is not of others like these."""
        if not self.settings.sampled:
            return [
                f"intervals and verdicts are of these {len(self.corpus):,} tasks alone, and say "
                "nothing of others like them"
            ]
        counted = min(self._prompts("goodput", load) for load in self.loads)
        if counted >= resampling.LEAST:
            return []
        return [
            f"{counted} different tasks: intervals and verdicts on tasks like these need "
            f'{resampling.LEAST} or more; population="these tasks" asks about these alone'
        ]

    @property
    def ranked_by(self) -> str:
        """The metric of the ranking.

        Goodput; estimated quality for a log with one answer a task; mean latency if no
        quality is recorded.
        """
        if not self.recorded:
            return "latency_mean"
        return "quality" if self.basis.kind == "log" else "goodput"

    def estimates(self, load: float | None = None, metric: str = "quality") -> Estimates | None:
        """Estimates of quality or cost where the corpus is a log with one answer a task.

        None for any other corpus, and any other metric. By default at the last load.
        """
        at = self.loads[-1] if load is None else load
        field = ESTIMATED.get(metric)
        if field is None:
            return None
        if (at, field) not in self._found:
            times = {name: self._cell(name, at).times for name in self.names}
            self._found[at, field] = partial.log_estimates(self.corpus, self.pool, times, field)
        return self._found[at, field]

    def _apart(self, metric: str, load: float, one: str, other: str) -> bool:
        """Whether two policies' figures rest on different tasks."""
        if metric not in OF_RECORDS or metric == "regret":  # regret: where all are recorded
            return False
        unknown = self._cell(one, load).unknown ^ self._cell(other, load).unknown
        return bool(unknown.mean() > (MISSING if metric in PER_TASK else 0.0))

    def _last(self, metric: str, load: float, *names: str) -> bool:
        """Whether a metric of one of these says only how long its runs were."""
        return metric in _TIMED and any(self._cell(name, load).lasts for name in names)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per run: policy, kind, load, rate, replication, verdict and every metric."""
        frames = []
        for (name, load), cell in self.cells.items():
            about = {
                "policy": name,
                "kind": self.kinds[name],
                "load": load,
                "rate": load * self.capacity,
                "replication": np.arange(len(cell.figures)),
                "verdict": list(cell.verdicts),
            }
            frames.append(pd.DataFrame(about | dict(zip(METRICS, cell.figures.T, strict=True))))
        return pd.concat(frames, ignore_index=True)

    def values(self, name: str, load: float, metric: str) -> NDArray[np.float64]:
        """A metric of each replication, shape (replications,)."""
        if metric not in METRICS:
            raise SimulationError(f"no metric {metric!r}: there are {', '.join(METRICS)}")
        return self._cell(name, load).figures[:, list(METRICS).index(metric)]

    def interval(self, name: str, load: float, metric: str) -> Interval:
        """The 95 % interval of a metric, over replications and, by default, over corpora.

        Without a half-width (NaN) where there is too little to tell by, as for one run or
        too few tasks. Infinite if a replication is (cost per right answer). NaN for goodput
        and cost per right answer of runs that end before their backlog. For a log with one
        answer a task quality and cost are estimates (:meth:`estimates`), and NaN where
        the log cannot answer, as are the other metrics that rest on qualities.
        """
        if (found := self.estimates(load, metric)) is not None:
            return found.policies[name].interval
        values = self.values(name, load, metric)
        if self.basis.kind == "log" and metric in OF_RECORDS:
            return Interval(math.nan, math.nan)
        if metric in _RATES and self._cell(name, load).lasts:
            return Interval(math.nan, math.nan)
        if np.isinf(values).any():
            return Interval(math.inf, math.nan)
        interval, _ = self._evidence(name, load, metric).interval()
        if self._withheld(metric, load, name):
            return Interval(interval.mean, math.nan)
        return _either_side(interval)

    def _evidence(self, name: str, load: float, metric: str) -> Evidence:
        self.values(name, load, metric)  # says what there is, if there is no such metric
        cell, prompts = self._cell(name, load), self._prompts(metric, load)
        return evidence(cell, metric, self.group, prompts, sampled=self.settings.sampled)

    def _prompts(self, metric: str, load: float) -> int:
        """Independent prompts on which a metric rests."""
        key = load, "all" if metric not in OF_RECORDS else "recorded"
        if key not in self._counts:
            met = self._cell(self.baseline, load).met.sum(axis=0) > 0
            rows = met & self.basis.rows if metric in OF_RECORDS else met
            self._counts[key] = resampling.independent(self.group[rows])
        return self._counts[key]

    def _withheld(self, metric: str, load: float, *names: str) -> str:
        """Why there is no interval or verdict; "" where there is one."""
        if self.settings.replications < 2:
            return ONE_RUN
        if self.settings.sampled and self._prompts(metric, load) < resampling.LEAST:
            return TOO_FEW
        if metric == "cost_per_right":
            if any(set(ABOVE) & set(self._cell(name, load).verdicts) for name in names):
                return "runs are overloaded"
            if any(np.isinf(self.values(name, load, metric)).any() for name in names):
                return "a run has no right answer"
        return ""

    def _difference(self, metric: str, load: float, one: str, other: str) -> Difference:
        """One policy less another, with the verdict of this one comparison."""
        if (found := self.estimates(load, metric)) is not None:
            return partial.difference_of(found, one, other)
        if self._apart(metric, load, one, other):
            return not_comparable("rests on other tasks than the baseline")
        if self._last(metric, load, one, other):
            return not_comparable("runs end before their backlog")
        both = [self._evidence(name, load, metric) for name in (one, other)]
        found = difference(*both, higher_is_better=metric in HIGHER_IS_BETTER)
        if why := self._withheld(metric, load, one, other):
            return no_verdict(why, found.interval.mean, found.pairs, found.left_out)
        return found

    def differences(
        self, metric: str, load: float, *, baseline: str | None = None
    ) -> dict[str, Difference]:
        """The difference of every other policy and control from the baseline, with verdicts.

        All are compared run by run under common random numbers, and allow for the corpus
        being a sample of tasks unless the study is about ``"these tasks"`` only: quality
        and cost by their variance over tasks (:mod:`routingsim.evaluation.two_way`), all
        other metrics by resampled corpora (:mod:`routingsim.evaluation.resampling`). The
        verdicts at one load hold together (Holm). There is "no verdict" with one run or
        with fewer than 50 different prompts, nor on the cost per right answer where runs
        are overloaded or one has none. Policies whose figures rest on different tasks are
        "not comparable", and so are rates, latencies and waits of policies whose runs end
        before their backlog (:func:`routingsim.simulation.stability.lasts`); for a log with
        one answer a task quality and cost are compared by estimates (:meth:`estimates`).
        """
        against = self.baseline if baseline is None else baseline
        self.values(against, load, metric)
        found = {
            name: self._difference(metric, load, name, against)
            for name in self.names
            if name != against
        }
        return found if self.estimates(load, metric) is not None else together(found)

    def leader(self, load: float | None = None, *, by: str | None = None) -> ranking.Leader:
        """The policy that is first at a load, or those of which each may be the best.

        By the ranking metric and at the last load unless others are named. First is a
        policy of which each difference from another is significant by itself; behind are
        those that differ after Holm's correction for all pairs
        (:mod:`routingsim.evaluation.ranking`).
        """
        at = self.loads[-1] if load is None else load
        metric = self.ranked_by if by is None else by
        if (found := self.estimates(at, metric)) is not None:
            return ranking.Leader(tuple(partial.best_of(found, self._policies)))
        ordered = self._by_mean(self._policies, at, metric)
        return ranking.find_leader(ordered, lambda *both: self._difference(metric, at, *both))

    def _by_mean(self, names: Sequence[str], load: float, metric: str) -> list[str]:
        """Those of the names that can be compared with the baseline, best first."""
        means = {
            name: self.interval(name, load, metric).mean
            for name in names
            if name == self.baseline or not self._apart(metric, load, name, self.baseline)
            if not self._last(metric, load, name)
        }
        known = [name for name, mean in means.items() if not math.isnan(mean)]
        sign = -1 if metric in HIGHER_IS_BETTER else 1
        return sorted(known, key=lambda name: sign * means[name])

    def leading(self, load: float | None = None, *, by: str | None = None) -> str:
        """The same in a sentence; "" where there is one policy, or none to tell of."""
        at = self.loads[-1] if load is None else load
        metric = self.ranked_by if by is None else by
        found, where = self.leader(at, by=metric), f"At load {at:g}"
        called = {"latency_mean": "mean latency"}.get(metric, metric.replace("_", " "))
        called = f"estimated {called}" if self.estimates(at, metric) is not None else called
        if len(self._policies) < 2 or not found:
            return ""
        if found.first:
            return f"{where} {found.first} is first of the policies by {called}."
        said = f"{where} the best by {called} cannot be told apart"
        if found.why == TOO_FEW:
            counted = self._prompts(metric, at)
            return f"{said}: {counted} different tasks, and {resampling.LEAST} are needed."
        return f"{said}: {found.why or ', '.join(found.names)}."

    def uses_text(self, name: str, load: float | None = None) -> TextUse:
        """Whether a policy's choices fit their tasks better than the same choices shuffled.

        Tests the choices of all replications at a load, by default the first; those for tasks
        with the same or alike texts together (:func:`routingsim.policies.folds.prompts`),
        and of a policy that learns only the choices for texts that were new to the run.

        Raises
        ------
        CorpusError
            If no task has a recorded quality of every agent.
        """
        cell = self._cell(name, self.loads[0] if load is None else load)
        return text_use(self.outcomes, cell.unseen, groups=self.group)

    @cached_property
    def outcomes(self) -> NDArray[np.float64]:
        """Recorded qualities of the pool's agents, shape (tasks, agents)."""
        return self.corpus.outcome("quality", [agent.recorded_as for agent in self.pool])

    @property
    def _policies(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "policy"]

    def aiq(
        self, load: float, names: Sequence[str] | None = None, *, metric: str = "quality_in_time"
    ) -> Interval:
        """RouterBench's AIQ under load: mean quality of the hull over a range of costs.

        The points are the policies (a router at several settings is several policies), or
        those in ``names``. Quality is that of answers in time. The range of costs is the
        same at every load, from the lowest to the highest mean cost of a point at any
        load, so that AIQs of one study can be compared. The interval is that of the study's
        other figures (:meth:`interval`).

        Raises
        ------
        CorpusError
            If the corpus records no quality.
        """
        points = self._together(load, names, metric)
        means = [self.values(n, at, "cost").mean() for n in points for at in self.loads]

        def area(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> float:
            return aiq(cost, quality, c_min=min(means), c_max=max(means))

        of = np.vectorize(area, signature="(n),(n)->()", otypes=[np.float64])
        figures = zip(
            self._figures(points, load, "cost"), self._figures(points, load, metric), strict=True
        )
        return self._joint(load, *(of(cost.T, quality.T).T for cost, quality in figures))

    def _figures(
        self, names: Sequence[str], load: float, metric: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A metric of several policies by run, and by resample and run, policies first."""
        at, cells = list(METRICS).index(metric), [self._cell(name, load) for name in names]
        return (
            np.array([cell.figures[:, at] for cell in cells]),
            np.array([cell.resampled[..., at] for cell in cells]),
        )

    def _joint(
        self, load: float, runs: NDArray[np.float64], resamples: NDArray[np.float64]
    ) -> Interval:
        """The interval of what several policies reach together, by run and by resample."""
        if self._withheld("quality", load):
            return Interval(float(runs.mean()), math.nan)
        if not self.settings.sampled:
            return _either_side(Runs(runs).interval()[0])
        scale = self._cell(self.baseline, load).scale
        prompts = self._prompts("quality", load)
        return resampling.Sampled(runs, resamples, scale, prompts).interval()[0]

    def apgr(
        self, load: float, names: Sequence[str] | None = None, *, metric: str = "quality_in_time"
    ) -> Interval:
        """RouteLLM's APGR under load, for a study with two agents.

        The points are the policies, or those in ``names``: quality of answers in time
        against the share of tasks sent to the strong agent. The curve ends at each agent
        alone. The gap to be recovered is that of recorded quality, without time limits
        and the same at every load, so that APGRs of one study can be compared; when all
        answers are in time this is :func:`routingsim.evaluation.apgr`. The interval is
        that of the study's other figures (:meth:`interval`). NaN where chance
        can explain the gap.

        Raises
        ------
        SimulationError
            If the pool does not have two agents, or one of them alone is not in the study.
        CorpusError
            If the corpus records no quality.
        """
        if len(self.pool) != 2:
            raise SimulationError(
                f"APGR is defined for two agents, and this pool has {len(self.pool)}: compare "
                "with a pool of a weak and a strong one, or use aiq()"
            )
        known = np.isfinite(self.outcomes).all(axis=1)
        if not known.any():
            raise CorpusError("no task has a recorded quality of both agents")
        alone = self.outcomes[known].mean(axis=0)
        strong = int(alone.argmax())
        weak = 1 - strong
        sent = {name: self._cell(name, load).times.sum(axis=0) for name in self.names}
        share = {name: float(times[strong] / times.sum()) for name, times in sent.items()}
        points = self._together(load, names, metric)
        for end, agent in ((0.0, weak), (1.0, strong)):
            ends = [name for name in self.names if share[name] == end]
            if not ends:
                raise SimulationError(
                    "APGR needs each agent alone at an end of the curve: add "
                    f"'static:{self.pool.ids[agent]}' to the policies"
                )
            points += [] if set(ends) & set(points) else ends[:1]
        x = np.array([share[name] for name in points])
        at = np.unique(x)

        def recovered(y: NDArray[np.float64], alone: NDArray[np.float64]) -> NDArray[np.float64]:
            curve = np.array([y[x == each].mean(axis=0) for each in at])
            gap = alone[strong] - alone[weak]
            area = np.trapezoid(curve, at, axis=0) - alone[weak]
            return np.divide(area, gap, out=np.full(area.shape, np.nan), where=gap > 0)

        apart = bootstrap_mean(
            self.outcomes[known] @ np.array([-1.0, 1.0]), groups=self.group[known]
        )
        if apart.low <= 0 <= apart.high or math.isnan(apart.half_width):
            return Interval(math.nan, math.nan)
        of_runs, of_resamples = self._figures(points, load, metric)
        drawn = resampling.stand_ins(self.group, self.settings.seed)[: of_resamples.shape[1]]
        means = [self.outcomes[each[np.take(known, each)]].mean(axis=0) for each in drawn]
        resampled = np.reshape(means, (-1, 2)).T[..., np.newaxis]
        return self._joint(load, recovered(of_runs, alone), recovered(of_resamples, resampled))

    def _together(self, load: float, names: Sequence[str] | None, metric: str) -> list[str]:
        """Policies, or the points named, if their figures rest on the same tasks."""
        points = self._policies if names is None else list(names)
        for name in points:
            if self.basis.kind == "log" or self._apart(metric, load, points[0], name):
                raise CorpusError(
                    f"{metric} of {points[0]} and {name} rest on different tasks: the corpus does "
                    "not record all agents on the same; see estimates() and table()"
                )
        return points

    def table(self, load: float | None = None, *, by: str | None = None) -> pd.DataFrame:
        """The ranking at a load (by default the last), best first.

        A rank is 1 more than the number of policies and controls that are shown to be
        better (:func:`routingsim.evaluation.ranking.ranks`), so those that cannot be told
        apart may share it. Rows are in the order of the means.

        Columns: rank, policy, kind; each of the main metrics with its half-width; the
        share of answers whose quality is ``recorded`` where it is below 1 for any; the
        share of tasks answered; the stability verdict of most replications; the verdict
        against the baseline on the ranking metric ``by``; ``uses_text`` of each policy
        (whether it beats its own choices shuffled at this load, Holm over the policies;
        None for controls and if no quality is recorded); and ``in_sample``, the share of the
        tasks whose texts it was fitted or chosen on.

        For a log with one answer a task quality is estimated, ``estimate`` says how well
        ("answered", "weak" or "cannot"), and a rank is 1 more than the number of policies
        that are better by the intervals of all differences together. ``cost_estimate`` says the
        same of costs where these are estimated. Policies whose
        figures rest on other tasks than the baseline's have no rank, and by a rate or a
        latency those whose runs end before their backlog have none.
        """
        load = self.loads[-1] if load is None else load
        metric = self.ranked_by if by is None else by
        if (load, metric) not in self._tables:
            self._tables[load, metric] = self._table(load, metric)
        return self._tables[load, metric].copy()

    def _table(self, load: float, metric: str) -> pd.DataFrame:
        apart = self.differences(metric, load)
        uses = self._text_users(load)
        found, cost = self.estimates(load, metric), self.estimates(load, "cost")
        partly = any(self.values(name, load, "recorded").min() < 1 for name in self.names)
        rows = []
        for name in self.names:
            row: dict[str, Any] = {"policy": name, "kind": self.kinds[name]}
            for shown in dict.fromkeys([metric, *self._main]):
                interval = self.interval(name, load, shown)
                row[shown], row[f"{shown}_hw"] = interval.mean, interval.half_width
            if found is not None:
                row["estimate"] = found.policies[name].verdict
            if cost is not None:
                row["cost_estimate"] = cost.policies[name].verdict
            if partly and self.recorded:
                row["recorded"] = self.values(name, load, "recorded").mean()
            row["answered"] = self.values(name, load, "answered").mean()
            row["stability"] = self._cell(name, load).verdict
            row["verdict"] = "baseline" if name not in apart else apart[name].verdict
            row["uses_text"] = uses.get(name)
            row["in_sample"] = self.in_sample.get(name, 0.0)
            rows.append(row)
        frame = pd.DataFrame(rows)
        ranked = (frame["verdict"] != "not comparable") & frame[metric].notna()
        if found is None:
            shown = frame["policy"][ranked].tolist()
            ranks = {
                name: rank for name, rank in self._ranks(load, metric).items() if name in shown
            }
            order = pd.Series([ranks.get(name) for name in frame["policy"]], dtype="Int64")
        else:
            ranks = partial.ranks(found)
            order = pd.Series([ranks[name] for name in frame["policy"]], dtype="Int64")
        frame.insert(0, "rank", order.astype("Int64"))
        if found is not None:
            return frame.sort_values("rank", kind="stable", ignore_index=True)
        frame["mean"] = ((-1 if metric in HIGHER_IS_BETTER else 1) * frame[metric]).where(
            [name in ranks for name in frame["policy"]]
        )
        return frame.sort_values("mean", kind="stable", ignore_index=True).drop(columns="mean")

    def _ranks(self, load: float, metric: str) -> dict[str, int]:
        controls = [name for name, kind in self.kinds.items() if kind == "control"]
        policies = self._by_mean(self._policies, load, metric)
        beside = self._by_mean(controls, load, metric)
        return ranking.ranks(policies, beside, lambda *both: self._difference(metric, load, *both))

    def _text_users(self, load: float) -> dict[str, bool]:
        if self.basis.kind == "log" or not np.isfinite(self.outcomes).all(axis=1).any():
            return {}
        p = holm([self.uses_text(name, load).p_value for name in self._policies])
        return dict(zip(self._policies, (p <= 0.05).tolist(), strict=True))

    @property
    def _main(self) -> list[str]:
        timing = ["cost", "latency_mean", "latency_p95"]
        if not self.recorded:
            return timing
        lost = any((self.values(*key, "answered") < 1).any() for key in self.cells)
        return ["quality", *(["quality_all"] if lost else []), *timing]

    def _cell(self, name: str, load: float) -> Cell:
        near = (at for at in self.loads if math.isclose(at, load, rel_tol=1e-9))
        try:
            return self.cells[name, next(near, load)]
        except KeyError:
            raise SimulationError(
                f"no {name!r} at load {load} in this study: policies {', '.join(self.names)}; "
                f"loads {', '.join(map(str, self.loads))}"
            ) from None

    def to_frame(self) -> pd.DataFrame:
        """The rankings at all loads in one table, the load in the first column."""
        frames = [self.table(load) for load in self.loads]
        return pd.concat(frames, keys=self.loads, names=["load"]).reset_index(level="load")

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON, NaN as None: what ``--json`` prints."""
        return {
            "corpus": self.corpus.name,
            "sha256": self.corpus.sha256,
            "agents": list(self.pool.ids),
            "capacity": self.capacity,
            "arrivals": self.arrivals,
            "baseline": self.baseline,
            "ranked_by": self.ranked_by,
            "rates": dict(zip(map(str, self.loads), self.rates, strict=True)),
            "met": {
                str(load): dict(zip(("rate", "span"), self.met(load), strict=True))
                for load in self.loads
            },
            "latencies": "simulated",
            "recorded": self.basis.kind,
            "settings": asdict(self.settings),
            "leaders": {str(load): list(self.leader(load).names) for load in self.loads},
            "loads": {str(load): records(self.table(load)) for load in self.loads},
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        first, second = self._title
        ranking = self.table()
        short = {
            "latency_mean": "mean s",
            "latency_p95": "p95 s",
            "cost": "USD est." if "cost_estimate" in ranking else "USD",
            "goodput": "good/s",
            "quality_all": "of all",
            "recorded": "known",
        }
        table = (
            pd.DataFrame(ranking, columns=["policy", *self._shown(ranking), "verdict"])
            .rename(columns=short)
            .replace({"verdict": _SHORT, "stability": _SHORT})
        )

        def render(names: Sequence[str]) -> str:
            return table.assign(policy=names).to_string(index=False, float_format="%.3g")

        text = display.fitted(table["policy"].tolist(), render)
        above, below = self._noted
        leading = filter(None, [self.leading()])
        lines = [*map(display.wrapped, (first, *above, *leading, second)), text]
        return "\n".join([*lines, *map(display.wrapped, below)])

    @property
    def _title(self) -> tuple[str, str]:
        """What was run, and what the table shows."""
        policies = len(self._policies)
        return (
            f"Study: {policies} policies and {len(self.names) - policies} controls at loads "
            f"{', '.join(f'{load:g}' for load in self.loads)} x {self.settings.replications} "
            f"replications of {self.settings.tasks:,} tasks ({self.corpus.name})",
            f"At load {self.loads[-1]:g} ({self.arrivals_at(self.loads[-1])}), by "
            f"{'estimated ' * (self.ranked_by == 'quality')}{self.ranked_by}; "
            "latencies are simulated:",
        )

    def _shown(self, ranking: pd.DataFrame) -> list[str]:
        """The columns of a ranking that people read, with what qualities rest on."""
        basis = [name for name in ("estimate", "recorded") if name in ranking]
        return list(
            dict.fromkeys([self.ranked_by, *self._main[:1], *basis, *self._main[1:], "stability"])
        )

    def to_html(self) -> str:
        """What a notebook shows: the ranking at the last load."""
        first, second = self._title
        ranking = self.table()
        shown = ["policy", "kind", *self._shown(ranking)]
        frame = ranking.head(display.MOST_ROWS)[[*shown, "verdict"]]
        rows = [
            [
                cell if isinstance(cell, str) else "–" if math.isnan(cell) else f"{cell:.4g}"
                for cell in row
            ]
            for row in frame.itertuples(index=False)
        ]
        marks = {"quality": "estimate", "quality_all": "estimate", "cost": "cost_estimate"}
        heads = [
            "estimated " * (marks.get(name) in ranking) + name.replace("_", " ") for name in shown
        ]
        heads.append(f"against {self.baseline}")
        above, below = self._noted
        return display.card(
            first,
            display.table(heads, rows),
            [f"{second[:-1]}.", *filter(None, [self.leading()]), *below],
            first=above,
        )

    # The report stands a layer above: these few methods import it when they are called.

    def plot_frontier(
        self, load: float | None = None, ax: "Axes | None" = None, *, against: str = "cost"
    ) -> "Axes":
        """Quality against cost, or a latency, with the frontier and the controls; returns the Axes.

        ``against`` is ``cost`` or ``latency_mean``, ``_p50``, ``_p95``, ``_p99``.
        """
        from routingsim.report.frontier import plot_frontier

        return plot_frontier(self, load, ax, against=against)

    def plot_load(self, metric: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """A metric against load, a line per policy with its interval; returns the Axes.

        ``aiq`` and ``apgr`` are those of the policies together.
        """
        from routingsim.report import study_plots

        return study_plots.plot_load(self, metric, ax)

    def plot_regret(self, load: float | None = None, ax: "Axes | None" = None) -> "Axes":
        """Cumulative regret over the run against the best agent of each task; returns the Axes."""
        from routingsim.report import study_plots

        return study_plots.plot_regret(self, load, ax)

    def report(self, path: str | Path) -> Path:
        """Write the one-file report: HTML, or Markdown or JSON for ``.md`` or ``.json``."""
        from routingsim.report.html import write_report

        return write_report(self, path)

    def write(self, path: str | Path) -> Path:
        """Write ``runs``, a row per run, as CSV, Parquet or JSON lines by the file's suffix.

        Raises
        ------
        SimulationError
            If the suffix is another, or the file cannot be written.
        """
        return write_table(self.runs, path)
