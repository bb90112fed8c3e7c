"""What a log can say of a policy: how many of its choices the log saw, and a verdict.

Only the skewness of the outcomes is used, so a verdict does not depend on the answer.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from routingsim.evaluation.outcomes import taken
from routingsim.evaluation.propensities import (
    Balance,
    Calibration,
    Propensities,
    weights_balanced,
)

SupportVerdict = Literal["answered", "weak", "cannot"]

ENOUGH = 50.0
"""Planned effective sample from which a log may answer."""

ENOUGH_SKEWED = 1000.0
"""The same for outcomes without bounds that are skewed, as costs are.

25 times the squared skewness (Cochran, *Sampling Techniques*, 1977, 2.15), which for the
costs of language models is 4 to 10; 6.3 is taken. It is not taken from the log: a log without
large costs looks the less skewed, and its estimate is too low.
"""

MISSING = "outcomes are missing"
"""The beginning of the reasons that better propensities do not remove."""

RARE = 0.01
"""Propensity below which a choice is rare."""

_ORDER: tuple[SupportVerdict, ...] = ("answered", "weak", "cannot")
_LEAST = 15.0  # planned effective sample below which the log cannot answer; half of it realised
_SHARE = (0.01, 0.05)  # rare choices: answered up to, cannot above
_MISSING = 0.05  # share of outcomes missing up to which an estimate may be answered
_ERRORS = 3.0  # of the mean weight from 1
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Support:
    """The verdict on one policy, and what it rests on.

    Attributes
    ----------
    verdict : {"answered", "weak", "cannot"}
    reasons : tuple of str
        Why it is not better; empty where it is "answered".
    tasks, missing : int
        Tasks that the log served, and how many of them have no recorded outcome.
    planned : float
        Effective sample that the propensities promise: tasks over the mean of
        sum_a target(a)² / propensity(a).
    realised : float
        Effective sample of the weights in the log (Kish, *Survey Sampling*, 1965).
    rare, unsupported : float
        Share of the policy's choices that the log makes with a propensity below .01, and
        that it never makes.
    mean_weight, weight_error : float
        1 is expected, within the standard error.
    repeats : bool
        Whether the policy chooses as the log did on every task.
    calibration : Calibration or None
        None where propensities are estimated or the policy repeats the log.
    """

    verdict: SupportVerdict
    reasons: tuple[str, ...]
    tasks: int
    missing: int
    planned: float
    realised: float
    rare: float
    unsupported: float
    mean_weight: float
    weight_error: float
    repeats: bool
    calibration: Calibration | None


@dataclass(frozen=True, eq=False)
class Weights:
    """The served tasks of a log, with what their importance weights are made from.

    Attributes
    ----------
    chosen : ndarray of int, shape (tasks,)
    mine : ndarray, shape (tasks,)
        Propensity of the agent chosen.
    full : ndarray, shape (tasks, agents), or None
    shown : ndarray, shape (agents,)
        Share of the agent's outcomes that are recorded.
    known : ndarray of bool, shape (tasks,)
        Where the outcome is recorded.
    """

    chosen: NDArray[np.intp]
    mine: NDArray[np.float64]
    full: NDArray[np.float64] | None
    shown: NDArray[np.float64]
    known: NDArray[np.bool_]

    @property
    def seen(self) -> NDArray[np.float64]:
        """Probability of the agent's choice and of its record, shape (tasks,)."""
        return self.mine * self.shown[self.chosen]

    def of(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """target / probability of the record, 0 where nothing is recorded, shape (tasks,)."""
        share, seen = taken(target, self.chosen), self.seen
        # In a log of a few tasks a propensity may be estimated to be 0.
        return np.divide(share, seen, out=np.zeros(share.size), where=self.known & (seen > 0))

    def demand(self, target: NDArray[np.float64]) -> float:
        """Mean of sum_a target(a)² / propensity(a); 1 for the log's own policy.

        Choices that the log never makes are left out. Where only propensities of chosen
        agents are known it is estimated by the weights' sum of squares over their sum, but
        no less than what the probability that is left over to the other agents allows.
        """
        squares = target**2
        least = float(np.vdot(squares, self._inverse)) / self.mine.size
        if self.full is not None:
            return least
        weight = self.of(target)
        total = float(np.abs(weight).sum())
        if not total:
            return least
        share = float(np.abs(target).sum()) / self.mine.size
        return max(share * float(weight @ weight) / total, least)

    def rare(self, target: NDArray[np.float64]) -> tuple[float, float]:
        """Share of the target's choices with a propensity below .01, and with none."""
        few, never = (float(target[each].sum()) / self.mine.size for each in self._few)
        if self.full is None:
            seen = float((self.of(target) * (self.mine < RARE - _ROUNDING)).mean())
            few = max(few, seen)
        return few, never

    @cached_property
    def _most(self) -> NDArray[np.float64]:
        """Propensities, or what those of the agents chosen leave at most to each other.

        Nothing is left to an agent that the log never chose.
        """
        if self.full is not None:
            return self.full
        ever = np.bincount(self.chosen, minlength=self.shown.size) > 0
        most = np.outer(1 - self.mine, ever)
        most[np.arange(self.mine.size), self.chosen] = self.mine
        return most

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        """1 / probability of a record of each agent, 0 where there can be none."""
        seen = self._most * self.shown
        return np.divide(1.0, seen, out=np.zeros_like(seen), where=seen > 0)

    @cached_property
    def _few(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where each agent is chosen with a propensity below .01, and never."""
        if self.full is not None:
            return self.full < RARE - _ROUNDING, self.full <= 0
        most = self._most.copy()
        most[np.arange(self.mine.size), self.chosen] = 1.0
        return most < RARE - _ROUNDING, most <= _ROUNDING


def judge(
    target: NDArray[np.float64],
    weights: Weights,
    propensities: Propensities,
    checked: Calibration | None,
    beside: Balance,
    missing_at_random: bool,
    enough: float = ENOUGH,
) -> Support:
    """The verdict on a policy by the rules of this module.

    Parameters
    ----------
    target : ndarray, shape (tasks, agents)
        Of the served tasks.
    weights : Weights
    propensities : Propensities
    checked : Calibration or None
        Of the whole log, where all propensities are recorded.
    beside : Balance
        Of the served tasks.
    missing_at_random : bool
        Whether missing outcomes are spread evenly over the agents.
    enough : float
        Planned effective sample from which the log may answer; half of it realised.
    """
    tasks = weights.chosen.size
    missing = int((~weights.known).sum())
    lacking = _missing_reasons(missing, tasks, missing_at_random)
    if (taken(target, weights.chosen) >= 1 - _ROUNDING).all():
        size = float(tasks - missing)
        verdict: SupportVerdict = "cannot" if size < 2 else "weak" if lacking else "answered"
        reasons = (*(["fewer than two outcomes are recorded"] if size < 2 else []), *lacking)
        return Support(verdict, reasons, tasks, missing, size, size, 0.0, 0.0, 1.0, 0.0, True, None)
    weight = weights.of(target)
    demand = weights.demand(target)
    rare, never = weights.rare(target)
    squares = float((weight**2).sum())
    realised = float(weight.sum()) ** 2 / squares if squares else 0.0
    exact = propensities.recorded and weights.full is not None
    spread = demand - 1 if exact else float(weight.var())
    found = Support(
        verdict="answered",
        reasons=(),
        tasks=tasks,
        missing=missing,
        planned=tasks / demand if demand else 0.0,
        realised=realised,
        rare=rare,
        unsupported=never,
        mean_weight=float(weight.mean()),
        weight_error=math.sqrt(max(spread, 0.0) / tasks),
        repeats=False,
        calibration=checked,
    )
    if propensities.recorded and checked is None:
        least = float(weights.mine.min())
        balanced = weights_balanced(weight, target, weights.chosen, least, beside)
        found = replace(found, calibration=balanced)
    hard = _hard_reasons(found, propensities.deterministic)
    soft = [*hard, *_soft_reasons(found, propensities, enough), *lacking]
    verdict = "cannot" if hard else "weak" if soft else "answered"
    return replace(found, verdict=verdict, reasons=tuple(soft))


def _missing_reasons(missing: int, tasks: int, at_random: bool) -> list[str]:
    reasons = []
    if missing > _MISSING * tasks:
        reasons.append(
            f"{MISSING}: {missing:,} of {tasks:,} ({missing / tasks:.0%}), and the log cannot tell "
            "whether by chance"
        )
    if missing and not at_random:
        reasons.append(f"{MISSING} more often of some agents than of others")
    return reasons


def _hard_reasons(found: Support, deterministic: bool) -> list[str]:
    reasons = []
    if deterministic and found.unsupported > 0:
        reasons.append(
            "the log left nothing to chance: it shows no policy but its own, which this "
            f"one leaves on {found.unsupported:.1%} of tasks"
        )
    if found.planned < _LEAST - _ROUNDING:
        reasons.append(
            f"the log is worth {found.planned:.1f} tasks served by this policy; 15 are the least"
        )
    if found.realised < _LEAST / 2:
        reasons.append(
            f"the log's own choices agree with the policy on an effective {found.realised:.1f} "
            "tasks; 7.5 are the least"
        )
    if found.rare > _SHARE[1] + _ROUNDING:
        reasons.append(
            f"{found.rare:.1%} of the policy's choices were hardly ever made in the log "
            f"(propensity below {RARE:g}); at most 5 % may be"
        )
    return reasons


def _soft_reasons(found: Support, propensities: Propensities, enough: float) -> list[str]:
    reasons = []
    if not propensities.recorded:
        part = f" on {1 - propensities.known:.1%} of its tasks" if propensities.known else ""
        reasons.append(
            f"the log does not record with which probability it chose{part}; that is estimated "
            "from the texts, and no check can see what else the router knew"
        )
    kind = " about skewed outcomes without bounds" if enough > ENOUGH else ""
    if _LEAST - _ROUNDING <= found.planned < enough - _ROUNDING:
        reasons.append(
            f"the log is worth {found.planned:,.0f} tasks served by this policy; an answer{kind} "
            f"needs {enough:,.0f}"
        )
    if _LEAST / 2 <= found.realised < enough / 2:
        reasons.append(
            f"the log's own choices agree with the policy on an effective {found.realised:.0f} "
            f"tasks; an answer{kind} needs {enough / 2:.0f}"
        )
    if _SHARE[0] + _ROUNDING < found.rare <= _SHARE[1] + _ROUNDING:
        reasons.append(
            f"{found.rare:.1%} of the policy's choices were hardly ever made in the log "
            f"(propensity below {RARE:g}); an answer allows 1 %"
        )
    if 0 < found.unsupported <= _SHARE[1]:
        reasons.append(f"{found.unsupported:.2%} of the policy's choices were never made")
    if abs(found.mean_weight - 1) > _ERRORS * found.weight_error + _ROUNDING:
        reasons.append(
            f"the weights average {found.mean_weight:.3f} ± {found.weight_error:.3f}, not 1: "
            "the propensities are wrong, or the log never makes some of the choices"
        )
    if propensities.recorded and found.calibration is not None and not found.calibration.passed:
        reasons.append(str(found.calibration))
    return reasons


def worst(*verdicts: SupportVerdict) -> SupportVerdict:
    """The worst of several verdicts."""
    return max(verdicts, key=_ORDER.index)
