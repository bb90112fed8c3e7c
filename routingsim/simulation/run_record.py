"""One replay: what was run, and what the engine recorded of every task."""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.caching import cached_property
from routingsim.corpora.corpus import Corpus
from routingsim.equality import ByValue
from routingsim.policies.kernel import FAILED, LIMITED, OK, SHED, STATUS_NAMES, TIMED_OUT, TOO_LONG
from routingsim.policies.policy import Policy
from routingsim.simulation.batches import long_enough
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import Hedge, Outage, Retries
from routingsim.simulation.offered_load import Run
from routingsim.simulation.recorded import Basis, basis, recorded_costs
from routingsim.simulation.replications import Again, Replications
from routingsim.simulation.signals import Signals
from routingsim.simulation.stability import Stability, stability
from routingsim.simulation.state import Log, Workload
from routingsim.simulation.sums import busy_in, true_cells
from routingsim.simulation.tenants import Tenant

CONDITIONS = ("retries", "outages", "changes", "signals", "hedge", "tenants")
"""Attributes of a run, and arguments of ``prepare()``: under what its policy was played."""

_WINDOWS = 240  # in which arrivals are counted


@dataclass(frozen=True, repr=False, eq=False)
class RunRecord(ByValue):
    """What was run, and its results; :class:`~routingsim.simulation.result.ReplayResult`
    describes its attributes."""

    policy: Policy
    pool: AgentPool
    corpus: Corpus | None
    arrivals: str
    asked: tuple[float | None, float | None]
    realised: tuple[float, float]
    seed: int
    retries: Retries
    outages: tuple[Outage, ...]
    changes: tuple[Change, ...]
    signals: Signals
    hedge: Hedge | None
    tenants: tuple[Tenant, ...]
    tenant_names: tuple[str, ...]
    synthetic: bool
    closed: bool
    warm_up: float
    notes: tuple[str, ...]
    work: Workload
    log: Log
    memory: NDArray[np.float64]
    again: Again | None = field(default=None, compare=False)
    control: Callable[[], Any] | None = field(default=None, compare=False)
    unlike: str = ""
    cautions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.log.agent.size

    def with_(self, **others: Any) -> Self:
        """The same run with other notes or another way to run it again.

        What was worked out of its tasks is kept, which ``replace`` would not.
        """
        found = copy(self)
        vars(found).update(others)
        return found

    @property
    def conditions(self) -> dict[str, Any]:
        """What ``prepare()`` needs to play another policy under what this one met."""
        return {name: getattr(self, name) for name in CONDITIONS}

    @cached_property
    def latency(self) -> NDArray[np.float64]:
        """Seconds from intended arrival to the end, with any status, shape (tasks,)."""
        return self.log.finished - self.work.arrived

    @cached_property
    def first_token(self) -> NDArray[np.float64]:
        """Seconds from intended arrival to the answer's first token, NaN without an answer."""
        if self.log.first.size:
            return self.log.first - self.work.arrived
        return np.where(self.log.status == OK, self.latency, np.nan)

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses that a task of the run may have."""
        more = {
            LIMITED: any(agent.over_limit == "reject" for agent in self.pool),
            TOO_LONG: any(agent.context_window for agent in self.pool),
        }
        return OK, FAILED, TIMED_OUT, SHED, *(status for status, may in more.items() if may)

    @property
    def endings(self) -> tuple[str, ...]:
        """The names of those without an answer."""
        return tuple(STATUS_NAMES[status] for status in self.statuses[1:])

    @cached_property
    def basis(self) -> Basis:
        """The records of the corpus on which figures of quality rest."""
        return basis(self.corpus, self.pool)

    @property
    def recorded(self) -> str:
        """Which qualities the corpus records: "complete", "common", "log" or "none"."""
        return self.basis.kind

    @cached_property
    def cost_basis(self) -> Basis:
        """The records of the corpus on which comparisons of cost rest."""
        return basis(self.corpus, self.pool, "cost")

    @cached_property
    def quality(self) -> NDArray[np.float64]:
        """Recorded quality of each answer, shape (tasks,); NaN if unrecorded or unanswered.

        Times the change of quality that held when the call was sent, and at most 1.
        """
        if self.log.quality.size:
            return np.where(self.log.status == OK, self.log.quality, np.nan)
        found = self.work.quality[self.work.row, self.log.agent]
        return np.where(self.log.status == OK, found, np.nan)

    @cached_property
    def compared_quality(self) -> NDArray[np.float64]:
        """The same, NaN for tasks that are not in the ``basis``: summaries rest on it."""
        return np.where(self.basis.rows[self.work.row], self.quality, np.nan)

    @cached_property
    def cost_recorded(self) -> NDArray[np.bool_]:
        """Whether the cost of each task's last call is recorded, not modelled, shape (tasks,)."""
        if self.corpus is None:
            return np.zeros(len(self), dtype=bool)
        return recorded_costs(self.corpus, self.pool)[self.work.row, self.log.agent]

    @property
    def share_recorded(self) -> float:
        """The share of the tasks of whose last call the cost is recorded."""
        if self.corpus is None:
            return 0.0
        known = recorded_costs(self.corpus, self.pool)
        return true_cells(known, self.work.row, self.log.agent) / len(self)

    @cached_property
    def window(self) -> tuple[float, float]:
        """Begin and end (s) of the interval over which rates and utilisation are measured.

        From the end of the warm-up to the last arrival for synthetic arrivals, to
        the last completion for a corpus's or trace's own times.
        """
        last_arrival = float(self.work.arrived[-1])
        end = last_arrival if self.synthetic else float(self.log.finished.max())
        return self.warm_up * last_arrival, end

    @property
    def span(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.work.arrived[-1] - self.work.arrived[0])

    @cached_property
    def timed(self) -> NDArray[np.bool_]:
        """Tasks that count in waits and latencies: answered, and arrived after the warm-up."""
        return (self.log.status == OK) & (self.work.arrived >= self.window[0])

    @property
    def timed_answers(self) -> list[int]:
        """How many of them each agent gave."""
        return np.bincount(self.log.agent[self.timed], minlength=len(self.pool)).tolist()

    @cached_property
    def utilisation(self) -> NDArray[np.float64]:
        """Share of each agent's slots in use over the window, shape (agents,)."""
        length, busy = self.window[1] - self.window[0], self.busy_seconds
        return busy / (self.pool.column("concurrency") * length) if length > 0 else busy * np.nan

    @property
    def busy_seconds(self) -> NDArray[np.float64]:
        """Seconds in the window that calls have had each agent's slots, shape (agents,)."""
        log, again, held = self.log, slice(self.log.retries[0]), slice(self.log.holds[0])
        lost = slice(log.losses[0])
        last = (log.agent, log.left, log.finished)
        others = (log.retried_agent[again], log.retried_left[again], log.retried_ended[again])
        after = (log.held_agent[held], log.held_from[held], log.held_until[held])
        copies = (log.lost_agent[lost], log.lost_left[lost], log.lost_ended[lost])
        busy = np.zeros(len(self.pool))
        for calls in (last, others, after, copies):  # a call that never started takes 0 s
            busy += busy_in(*calls, self.window, busy.size)
        return busy

    @cached_property
    def served_seconds(self) -> NDArray[np.float64]:
        """Seconds of service that each task has had, over all its calls, shape (tasks,)."""
        log, again, lost = self.log, slice(self.log.retries[0]), slice(self.log.losses[0])
        seconds = log.finished - log.left
        np.add.at(seconds, log.retried[again], log.retried_ended[again] - log.retried_left[again])
        np.add.at(seconds, log.lost[lost], log.lost_ended[lost] - log.lost_left[lost])
        return seconds

    @property
    def run(self) -> Run:
        """What the verdict on stability goes by."""
        return Run(self.work, self.log, self.pool, self.outages, self.policy.judge, self.changes)

    @cached_property
    def stability(self) -> Stability:
        """Whether waits and latencies mean anything; read it before any percentile.

        A run that did not meet the arrivals asked for is never steady.
        """
        found = stability(self.run, closed=self.closed)
        if self.unlike and found.verdict == "steady":
            found = replace(found, verdict="too short to say", half_width=math.inf, enough=0)
        return found

    @cached_property
    def replications(self) -> Replications | None:
        """The further runs; None where the replay cannot be run again by itself."""
        return None if self.again is None else Replications(self.again, self.seed, len(self))

    @cached_property
    def undisturbed(self) -> Any:
        """The same run, with the same draws, without its outages and changes."""
        return self if self.control is None else self.control()

    @cached_property
    def long(self) -> bool:
        """Whether the run is steady, and long against the time in which its queues forget."""
        steady = self.stability.verdict == "steady" and not (
            self.closed or self.outages or self.changes
        )
        if not (steady and self.synthetic) or self.policy.learns:
            return False
        agents = len(self.pool)
        served = self.log.status <= FAILED
        agent, took = self.log.agent[served], (self.log.finished - self.log.left)[served]
        calls = np.bincount(agent, minlength=agents)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(agent, took, agents) / calls
            square = np.bincount(agent, took**2, agents) / calls
            varied = (square / mean**2 - 1 + max(self.realised[1] ** 2, self._clumping)) / 2
        load = np.array([self.stability.offered[each] for each in self.pool.ids])
        return long_enough(calls, load, np.nan_to_num(varied))

    @property
    def _clumping(self) -> float:
        """Index of dispersion of the arrivals: the variance of their number in a window over
        its mean, 1 for a Poisson process and more where rates rise and fall."""
        edges = np.linspace(self.work.arrived[0], self.work.arrived[-1], _WINDOWS + 1)
        counts = np.diff(np.searchsorted(self.work.arrived, edges))
        return float(counts.var() / counts.mean())
