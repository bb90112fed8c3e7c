"""A question of capacity, and the pools and policies that may answer it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.caching import cached_property
from routingsim.corpora.corpus import Corpus
from routingsim.evaluation.loads import Wanted
from routingsim.evaluation.resampling import LEAST, Resamples
from routingsim.evaluation.targets import USD, Target
from routingsim.policies.folds import prompts
from routingsim.simulation.arrivals import Arrivals, ClosedLoop
from routingsim.simulation.recorded import basis
from routingsim.simulation.statistics import Interval
from routingsim.simulation.task_choice import Order

HOURS = 3600.0
"""Seconds of an hour."""

MONTH = 730.0
"""Hours of a month: a twelfth of 365 days."""

SHOWN = ("latency_p95", "quality_all")
"""Metrics that are shown of each candidate, whether or not they are aimed at."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, the same for all candidates.

    ``conditions`` are those of :mod:`routingsim.simulation.conditions`, under which all is run;
    ``pool`` are the agents as they were given; ``cautions`` are what the reader should know
    before the answer.
    """

    corpus: Corpus | None
    targets: tuple[Target, ...]
    process: Arrivals
    tasks: int
    order: Order
    seed: int
    runs: int
    conditions: Mapping[str, Any]
    pool: AgentPool
    cautions: tuple[str, ...]

    def met_by(self, pool: AgentPool) -> dict[str, Any]:
        """The conditions, of events those of agents and accounts that a candidate's pool has."""
        there = {*pool.ids, *pool.accounts}
        events = {
            name: [event for event in self.conditions[name] if event.agent in there]
            for name in ("outages", "changes")
        }
        return {**self.conditions, **events}

    @property
    def rate(self) -> float:
        """Tasks/s; 0 where the arrivals have no rate of their own."""
        return 0.0 if isinstance(self.process, ClosedLoop) else float(self.process.rate or 0.0)

    @cached_property
    def graded(self) -> bool:
        """Whether the quality of every agent is recorded on the same tasks."""
        corpus = self.corpus
        return corpus is not None and basis(corpus, self.pool).kind in ("complete", "common")

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Those of the targets, except USD per hour, and those of ``SHOWN`` that are known."""
        shown = SHOWN if self.graded else SHOWN[:1]
        aimed = [target.metric for target in self.targets if target.metric != USD]
        return tuple(dict.fromkeys((*aimed, *shown)))

    @property
    def objective(self) -> float:
        """Latency (s) within which an answer counts for goodput: the tightest asked for."""
        bounds = [t.bound for t in self.targets if t.metric.startswith("latency_")]
        return min(bounds, default=60.0) or 60.0

    @cached_property
    def group(self) -> NDArray[np.intp]:
        """The prompt of each record."""
        return np.zeros(1, dtype=np.intp) if self.corpus is None else prompts(self.corpus)

    @cached_property
    def resamples(self) -> Resamples:
        """The corpora on which an answer is run again."""
        return Resamples(self.group, self.seed + 1)

    @property
    def sampled(self) -> bool:
        """Whether there are enough tasks for intervals on other tasks like these."""
        return self.resamples.independent >= LEAST


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pool of certain slots under a policy.

    Attributes
    ----------
    slots : tuple of int
        Of each agent that is varied.
    pool : AgentPool
        Without the agents of no slots.
    wanted, policy : policy, str
        What makes the policy, and its name.
    floor : float
        USD per hour that it costs at least: its slots, and each call at the cheapest agent.
    why : str
        Why it cannot meet a target, by theory; "" if it may.
    lack : float
        How far it is from that, as a share of what is asked; infinite where no figure says.
    """

    slots: tuple[int, ...]
    pool: AgentPool
    wanted: Wanted
    policy: str
    floor: float
    why: str = ""
    lack: float = math.inf

    @property
    def rent(self) -> float:
        """USD per hour of its slots."""
        return float(self.pool.column("price_per_slot_hour") @ self.pool.column("concurrency"))


@dataclass(frozen=True, eq=False)
class Tried:
    """A candidate with the interval of each metric of the question and of its cost per hour.

    ``verdict`` is "met", "missed", "open", or "growing" where its runs end before their
    backlog; ``runs`` is 0 where an exact result took their place. ``rate_met`` (tasks/s) and
    ``span`` (s) from the first arrival to the last are means over the runs, NaN for none. ``price``
    is the cost per hour that candidates are ranked by: at the rate asked for, if there is one, and
    over the first runs, which are the same for all.
    """

    candidate: Candidate
    found: Mapping[str, Interval]
    verdict: str
    runs: int
    rate_met: float = math.nan
    span: float = math.nan
    price: float = math.nan
