"""What a decision between policies says, as plain data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from routingsim.equality import ByValue
from routingsim.evaluation.cell import HIGHER_IS_BETTER
from routingsim.evaluation.intervals import Difference
from routingsim.evaluation.targets import Target
from routingsim.simulation.stability import ABOVE, Verdict, in_words
from routingsim.simulation.statistics import Interval

Kind = Literal["use", "keep", "undecided", "none meets", "none keeps up", "alone"]
"""What the decision is; "alone" where there is one policy, and no target."""

Standing = Literal["chosen", "behind", "in doubt", "trade-off", "overloaded", "misses", "open"]
"""How a policy compares with the chosen one; "misses" and "open" are about its targets."""

COMPARED = ("quality_all", "cost", "latency_p95")
"""What policies are compared in: quality of all tasks, USD per task, seconds."""

ABOUT = {"quality_all": 0.01, "cost": 0.05, "latency_p95": 0.1}
"""The largest difference of two figures that are about the same: of quality a hundredth, of cost
and p95 a share of the other's figure."""

Told = Literal["better", "worse", "about the same", "no worse", "in doubt", "not known"]
"""The verdict on a pair of policies in a metric: "about the same" where both ends of the interval
are that near, "no worse" where the worse end is."""


@dataclass(frozen=True)
class Compared:
    """One policy less another in a metric, the verdict allowing for all pairs."""

    metric: str
    difference: Difference
    theirs: float

    @property
    def worst(self) -> float:
        """By how much the first may be worse, at the worse end of the interval; NaN for none."""
        found = self.difference.interval
        return -found.low if self.metric in HIGHER_IS_BETTER else found.high

    @property
    def told(self) -> Told:
        """The verdict on the pair."""
        found = self.difference
        if found.verdict in ("better", "worse"):
            return found.verdict
        if math.isnan(self.theirs):
            return "not known"
        near = ABOUT[self.metric] * (1.0 if self.metric == "quality_all" else self.theirs)
        whole = max(abs(found.interval.low), abs(found.interval.high))
        if whole <= near:
            return "about the same"
        return "no worse" if self.worst <= near else "in doubt"


@dataclass(frozen=True)
class Alternative:
    """A policy that was compared.

    Attributes
    ----------
    policy : str
    verdict, above : str, float
        On its stability, and the share of the time above capacity.
    lasts : bool
        Whether its backlog outlasts the run, so that it has no latency.
    figures : mapping of str to Interval
        :data:`COMPARED` and the metrics of the targets: USD per task, seconds, 0 to 1.
    targets : mapping of str to str
        By metric of each target: "met", "missed" or "open".
    standing : str
        One of :data:`Standing`.
    """

    policy: str
    verdict: Verdict
    above: float
    lasts: bool
    figures: Mapping[str, Interval]
    targets: Mapping[str, str] = field(default_factory=dict)
    standing: Standing = "in doubt"

    @property
    def state(self) -> str:
        """The verdict on its stability in words."""
        return in_words(self.verdict, self.above)

    @property
    def busy(self) -> bool:
        """Whether the load exceeded the capacity for all or part of the time."""
        return self.verdict in ABOVE


@dataclass(frozen=True)
class Grounds:
    """What a decision rests on.

    Attributes
    ----------
    tasks, runs : int
        Of each run, and runs of each policy.
    prompts : int
        Tasks that differ.
    records : str
        "complete", "common", "log" or "none": what is recorded of qualities.
    coverage : float
        Share of the chosen policy's answers with a recorded quality.
    estimate : str
        How well a log with one answer a task tells the chosen policy's quality: "answered",
        "weak" or "cannot"; "" where qualities are measured.
    fitted : float
        Share of the tasks whose texts the chosen policy was fitted on.
    enough : int
        Tasks with which its run would be long enough, 0 where that is not known.
    agreed : int
        Runs with the verdict on the chosen policy's stability.
    population : str
        What the intervals are about.
    backtest : str
        How far the simulator was off on the traffic of a log; "" where that was not measured.
    """

    tasks: int
    runs: int
    prompts: int
    records: str
    coverage: float
    estimate: str
    fitted: float
    enough: int
    agreed: int
    population: str
    backtest: str = ""


@dataclass(frozen=True, eq=False)
class Choice(ByValue):
    """What was decided, and by what.

    Attributes
    ----------
    kind : str
        One of :data:`Kind`.
    chosen : str
        The policy to use or keep; where no policy meets the targets or the answer is undecided
        the nearest; "" where none keeps up.
    baseline : str
        The policy in use.
    against : str
        What the chosen one is compared with: the baseline or, where its backlog outlasts the
        run, another; "" for none.
    load, rate : float
        Share of the pool's capacity and tasks/s; NaN where there is none.
    targets : tuple of Target
        Empty where the answer is the knee of the frontier.
    alternatives : tuple of Alternative
        All policies, in the order given.
    apart : mapping of str to Compared
        The chosen policy less ``against``, by metric.
    doubts : mapping of str to tuple of str
        By policy that is in doubt: the metrics in which it is.
    why : str
        Why there is no decision, where there are too few runs or tasks.
    grounds : Grounds
    """

    kind: Kind
    chosen: str
    baseline: str
    against: str
    load: float
    rate: float
    targets: tuple[Target, ...]
    alternatives: tuple[Alternative, ...]
    apart: Mapping[str, Compared]
    doubts: Mapping[str, tuple[str, ...]]
    why: str
    grounds: Grounds

    @property
    def first(self) -> bool:
        """Whether the chosen policy is first: no other is in doubt or left open."""
        doubt = {each.standing for each in self.alternatives} & {"in doubt", "open"}
        return self.kind in ("use", "keep") and not doubt and not self.why

    def alternative(self, policy: str) -> Alternative:
        """One of the policies that were compared."""
        return next(each for each in self.alternatives if each.policy == policy)

    def standing(self, *which: Standing) -> list[str]:
        """The policies that stand so."""
        return [each.policy for each in self.alternatives if each.standing in which]
