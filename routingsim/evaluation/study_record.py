"""What the runs of a study gave: the record that its intervals, tables and texts rest on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.evaluation import partial, resampling
from routingsim.evaluation.cell import METRICS, OF_RECORDS, PER_TASK, Cell
from routingsim.evaluation.estimate import Estimates
from routingsim.simulation.arrival_notes import asked_and_met
from routingsim.simulation.arrivals.checks import is_finite
from routingsim.simulation.recorded import Basis, basis
from routingsim.simulation.replications import replication_seeds
from routingsim.simulation.task_choice import Order

Population = Literal["tasks like these", "these tasks"]
"""What the intervals and verdicts of a study are about."""

ESTIMATED: dict[str, partial.Field] = {
    "quality": "quality",
    "quality_all": "quality",
    "cost": "cost",
}
"""Metrics that are estimated for a log with one answer a task, and of which outcome."""

MISSING = 0.05
"""Share of tasks recorded for one of two policies alone that pairs may leave out."""

_LATENCIES = ("mean", "p50", "p95", "p99")
TIMED = (
    "goodput",
    "quality_in_time",
    "wait_mean",
    *(f"{time}_{q}" for time in ("latency", "first_token") for q in _LATENCIES),
)
"""Metrics of time, which say only how long runs were where these end before their backlog."""


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
    first_token_objective : float or None
        Seconds within which the first token has to come for goodput, too.
    """

    seed: int
    replications: int
    tasks: int
    objective: float
    right: float
    population: Population = "tasks like these"
    order: Order = "shuffled"
    first_token_objective: float | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each replication."""
        return replication_seeds(self.seed, self.replications)

    @property
    def sampled(self) -> bool:
        """Whether the corpus counts as a sample of tasks."""
        return self.population == "tasks like these"


@dataclass(frozen=True, eq=False, repr=False)
class StudyRecord:
    """The runs of a study, and what they were of; :class:`~routingsim.evaluation.study.Study`
    describes its attributes."""

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
    tenant_names: tuple[str, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    _found: dict[tuple[float, str], Estimates | None] = field(
        default_factory=dict, init=False, compare=False
    )
    _counts: dict[tuple[float, str], int] = field(default_factory=dict, init=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Policies, then controls."""
        return tuple(self.kinds)

    @property
    def policies(self) -> list[str]:
        """The policies, without the controls."""
        return [name for name, kind in self.kinds.items() if kind == "policy"]

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
        return asked_and_met(load * self.capacity, *self.met(load))

    @cached_property
    def recorded(self) -> bool:
        """Whether the corpus records any quality of these agents."""
        return any(np.isfinite(cell.quality).any() for cell in self.cells.values())

    @cached_property
    def basis(self) -> Basis:
        """What kind of record the corpus has of the qualities of these agents."""
        return basis(self.corpus, self.pool)

    @cached_property
    def outcomes(self) -> NDArray[np.float64]:
        """Recorded qualities of the pool's agents, shape (tasks, agents)."""
        return self.corpus.outcome("quality", [agent.recorded_as for agent in self.pool])

    @property
    def ranked_by(self) -> str:
        """The metric of the ranking.

        Goodput; estimated quality for a log with one answer a task; mean latency if no
        quality is recorded.
        """
        if not self.recorded:
            return "latency_mean"
        return "quality" if self.basis.kind == "log" else "goodput"

    def load_and_metric(self, load: float | None, by: str | None) -> tuple[float, str]:
        """What a ranking is at and by: the last load and the metric above unless named."""
        return self.loads[-1] if load is None else load, self.ranked_by if by is None else by

    @property
    def main_metrics(self) -> list[str]:
        """The metrics that the ranking shows beside that by which it ranks."""
        timing = ["cost", "latency_mean", "latency_p95"]
        timing += ["first_token_p95"] * any(agent.ttft is not None for agent in self.pool)
        timing += ["fairness"] * (len(self.tenant_names) > 1)
        if not self.recorded:
            return timing
        lost = any((self.values(*key, "answered") < 1).any() for key in self.cells)
        return ["quality", *(["quality_all"] if lost else []), *timing]

    def cell(self, name: str, load: float) -> Cell:
        """The runs of a policy or control at a load.

        Raises
        ------
        SimulationError
            If the study has none.
        """
        near = (at for at in self.loads if is_finite(load) and math.isclose(at, load))
        try:
            return self.cells[name, next(near, load)]
        except (KeyError, TypeError):
            raise SimulationError(
                f"no {name!r} at load {load!r} in this study: policies {', '.join(self.names)}; "
                f"loads {', '.join(map(str, self.loads))}"
            ) from None

    def values(self, name: str, load: float, metric: str) -> NDArray[np.float64]:
        """A metric of each replication, shape (replications,)."""
        if metric not in METRICS:
            raise SimulationError(f"no metric {metric!r}: there are {', '.join(METRICS)}")
        return self.cell(name, load).figures[:, list(METRICS).index(metric)]

    def estimates(self, load: float | None = None, metric: str = "quality") -> Estimates | None:
        """Estimates of quality or cost where the corpus is a log with one answer a task.

        None for any other corpus, and any other metric. By default at the last load.
        """
        at = self.loads[-1] if load is None else load
        field = ESTIMATED.get(metric)
        if field is None:
            return None
        if (at, field) not in self._found:
            times = {name: self.cell(name, at).times for name in self.names}
            self._found[at, field] = partial.log_estimates(self.corpus, self.pool, times, field)
        return self._found[at, field]

    def prompts(self, metric: str, load: float) -> int:
        """Independent prompts on which a metric rests."""
        key = load, "all" if metric not in OF_RECORDS else "recorded"
        if key not in self._counts:
            met = self.cell(self.baseline, load).met.sum(axis=0) > 0
            rows = met & self.basis.rows if metric in OF_RECORDS else met
            self._counts[key] = resampling.independent(self.group[rows])
        return self._counts[key]

    def rest_apart(self, metric: str, load: float, one: str, other: str) -> bool:
        """Whether two policies' figures rest on different tasks."""
        if metric not in OF_RECORDS or metric == "regret":  # regret: where all are recorded
            return False
        unknown = self.cell(one, load).unknown ^ self.cell(other, load).unknown
        return bool(unknown.mean() > (MISSING if metric in PER_TASK else 0.0))

    def lasts(self, metric: str, load: float, *names: str) -> bool:
        """Whether a metric of one of these says only how long its runs were."""
        return metric in TIMED and any(self.cell(name, load).lasts for name in names)
