"""How sensitive an estimate from a log is to hidden confounding.

Propensities that were estimated from texts miss what the router knew besides the text. The marginal
sensitivity model (Tan, J. Am. Stat. Assoc. 101, 2006) supposes that the odds of each
choice are off by a factor of at most Γ, in either direction and for each task apart.
The bounds on the estimate for a Γ are those of Zhao, Small & Bhattacharya (J. R. Stat.
Soc. B 81, 2019): the extremes of a self-normalised weighted mean.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GAMMAS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Values of Γ on a curve."""

_LARGEST = 100.0  # Γ up to which it is sought where an answer turns
_STEPS = 40  # of the search


@dataclass(frozen=True, eq=False)
class Arm:
    """What the log tells of one policy: residuals of the outcome model and their weights.

    Attributes
    ----------
    share : ndarray, shape (records,)
        Probability with which the policy would choose the agent that the log chose.
    odds : ndarray, shape (records,)
        Odds against that choice in the log, (1 - propensity) / propensity.
    residual : ndarray, shape (records,)
        Outcome less its prediction.
    mass : float
        By which the weighted mean of residuals counts: the mean probability, over all
        tasks, that the policy chooses what is compared.
    """

    share: NDArray[np.float64]
    odds: NDArray[np.float64]
    residual: NDArray[np.float64]
    mass: float = 1.0

    def extreme(self, gamma: float, sign: int) -> tuple[float, float]:
        """The largest (``sign`` 1) or least (-1) correction, and its standard error."""
        used = self.share > 0
        share, odds, rest = self.share[used], self.odds[used], sign * self.residual[used]
        if not rest.size:
            return 0.0, 0.0
        # The optimum gives high weight to all residuals above a threshold, low to the others.
        order = np.argsort(-rest)
        rest = rest[order]
        low = (share * (1 + odds / gamma))[order]
        high = (share * (1 + odds * gamma))[order]
        top = np.concatenate([[0.0], ((high - low) * rest).cumsum()]) + low @ rest
        base = np.concatenate([[0.0], (high - low).cumsum()]) + low.sum()
        ratio = top / base
        cut = int(ratio.argmax())
        weight = np.concatenate([high[:cut], low[cut:]])
        error = math.sqrt(float((weight**2) @ (rest - ratio[cut]) ** 2)) / float(weight.sum())
        return sign * self.mass * float(ratio[cut]), self.mass * error


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """An estimate as a function of Γ.

    Attributes
    ----------
    gamma : ndarray, shape (points,)
        How far the odds of a choice may be off; 1 is no hidden confounding.
    low, high : ndarray, shape (points,)
        Between these the estimate may be.
    interval_low, interval_high : ndarray, shape (points,)
        The same with the uncertainty of the sample added.
    turns : float
        The least Γ at which the interval holds ``against``: 1 where it does without any
        confounding, infinite where it does not up to 100, NaN where there is nothing to
        turn.
    against : float
        NaN for none.
    """

    gamma: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    interval_low: NDArray[np.float64]
    interval_high: NDArray[np.float64]
    turns: float
    against: float

    def __str__(self) -> str:
        if math.isnan(self.turns):
            return "no answer to turn"
        if self.turns == 1:
            return "the answer does not hold even without hidden confounding"
        if math.isinf(self.turns):
            return f"the answer holds up to Γ = {_LARGEST:g}"
        return f"the answer turns at Γ = {self.turns:.2f}"


def sensitivity(
    estimate: float,
    half_width: float,
    plus: Arm,
    minus: Arm | None = None,
    *,
    gammas: tuple[float, ...] = GAMMAS,
    against: float = math.nan,
    bounds: tuple[float, float] | None = None,
) -> Sensitivity:
    """The curve of an estimate, or of a difference whose sides share no record.

    Parameters
    ----------
    estimate, half_width : float
        Of the doubly robust estimate. At Γ = 1 the curve begins there.
    plus, minus : Arm
        What is estimated; the other side of a difference.
    gammas : tuple of float
        From 1 upward.
    against : float
        The value whose inclusion turns the answer; for a difference 0.
    bounds : tuple of float, optional
        What is possible: the curve does not leave it.
    """

    def at(gamma: float, sign: int) -> tuple[float, float]:
        shift, error = plus.extreme(gamma, sign)
        if minus is not None:
            other, other_error = minus.extreme(gamma, -sign)
            shift, error = shift - other, math.hypot(error, other_error)
        return shift, error

    centre, unit = at(1.0, 1)

    def ends(gamma: float, sign: int) -> tuple[float, float]:
        shift, error = at(gamma, sign)
        wider = max(error / unit, 1.0) if unit > 0 else 1.0
        edge = estimate + shift - centre
        return edge, edge + sign * half_width * wider

    least, most = bounds or (-math.inf, math.inf)
    lows = np.clip([ends(gamma, -1) for gamma in gammas], least, most)
    highs = np.clip([ends(gamma, 1) for gamma in gammas], least, most)
    return Sensitivity(
        gamma=np.array(gammas),
        low=lows[:, 0],
        high=highs[:, 0],
        interval_low=lows[:, 1],
        interval_high=highs[:, 1],
        turns=_turns(ends, estimate, against),
        against=against,
    )


def _turns(
    bounds: Callable[[float, int], tuple[float, float]], estimate: float, against: float
) -> float:
    if math.isnan(against) or math.isnan(estimate):
        return math.nan
    sign = -1 if estimate > against else 1

    def holds(gamma: float) -> bool:
        return sign * (bounds(gamma, sign)[1] - against) < 0

    if not holds(1.0):
        return 1.0
    if holds(_LARGEST):
        return math.inf
    low, high = 0.0, math.log(_LARGEST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(math.exp(middle)) else (low, middle)
    return math.exp(high)
