"""The doubly robust estimate of one policy, with its error and its verdict.

The variance is the larger of that of the terms of the estimator and of

    [Var(sum_a target(a) m(a)) + s² mean(sum_a target(a)² / propensity(a))] / tasks,

with s² the mean square of the residuals where log and policy agree. The interval is
Student's t with a quarter of the planned effective sample as degrees of freedom, and no
fewer than 2. Outcomes that are skewed, as costs are, make the mean of a sample fall short
on one side more often than t allows. The quantile of that side is, to first order,

    t + k (2 t² + 1) / 6

(Johnson, J. Am. Stat. Assoc. 73, 1978) with k the skewness of the estimate, and that of an
interval as wide on both sides, to second order,

    t + k² (t⁵ + 2 t³ - 3 t) / 18

(Hall, *The Bootstrap and Edgeworth Expansion*, 1992, 2.6). Where outcomes have bounds the
smaller is taken; where they have none a log has not seen all of the tail, and the interval
is as wide as its worse side. The skewness of the estimate is that of the residuals times
sum |w|³ / (sum w²)^1.5 with the weights w. Residuals are standardised agent by agent, and
the larger counts of the skewness of all records, since what one policy shares with the log
is too little to see a tail, and of those where log and policy agree.

Weights can take an estimate out of the range of possible outcomes. Where these have bounds, the
estimate is moved to the bound, which is nearer to every possible truth, and its interval is cut to
the range. There is no figure where what is left of the interval covers more than half of the range,
or where nothing is left.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from routingsim.evaluation.outcomes import taken
from routingsim.evaluation.support import Support, SupportVerdict, Weights
from routingsim.formatting import short
from routingsim.simulation.statistics import Interval

Bounds = tuple[float, float]
"""The least and the largest possible outcome, infinite where there is none."""

_MOST = 0.5  # share of the range of outcomes that the interval of an estimate may cover


@dataclass(frozen=True)
class PolicyEstimate:
    """The estimated mean outcome of a policy over the served tasks.

    Attributes
    ----------
    name : str
    value, error, degrees : float
        Estimate, standard error and degrees of freedom; NaN where the verdict is
        "cannot".
    interval : Interval
        Cut to the range of possible outcomes.
    half_width : float
        Of the interval before it is cut.
    support : Support
        Verdict, reasons and diagnostics.
    """

    name: str
    value: float
    error: float
    degrees: float
    interval: Interval
    support: Support
    half_width: float = math.nan

    @property
    def verdict(self) -> SupportVerdict:
        """Whether the log answers."""
        return self.support.verdict

    def __str__(self) -> str:
        if self.verdict == "cannot":
            return f"{self.name}: the log cannot answer this; {'; '.join(self.support.reasons)}"
        said = "".join(f"; {reason}" for reason in self.support.reasons)
        return f"{self.name}: {self.interval} (estimated, {self.verdict}{said})"


@dataclass(frozen=True, eq=False)
class Side:
    """One policy on the served tasks.

    Attributes
    ----------
    target : ndarray, shape (tasks, agents)
    support : Support
    weight : ndarray, shape (tasks,)
        0 where no outcome is recorded.
    expected : ndarray, shape (tasks,)
        Its outcome by the model.
    terms : ndarray, shape (tasks,)
        Whose mean is the estimate.
    residual : float
        Mean square where log and policy agree.
    skewness : float
        Of the estimate; 0 or more.
    """

    target: NDArray[np.float64]
    support: Support
    weight: NDArray[np.float64]
    expected: NDArray[np.float64]
    terms: NDArray[np.float64]
    residual: float
    skewness: float


@dataclass(frozen=True, eq=False)
class Residuals:
    """Recorded outcomes less those of the model.

    Attributes
    ----------
    values : ndarray, shape (tasks,)
        0 where no outcome is recorded.
    cubes : ndarray, shape (tasks,)
        Third powers of the values, standardised agent by agent.
    skewness : float
        Of all records: the mean of the cubes.
    """

    values: NDArray[np.float64]
    cubes: NDArray[np.float64]
    skewness: float


def residuals_of(
    outcome: NDArray[np.float64], predicted: NDArray[np.float64], chosen: NDArray[np.intp]
) -> Residuals:
    """What the model left unexplained.

    Parameters
    ----------
    outcome : ndarray, shape (tasks,)
        NaN where it is not recorded.
    predicted : ndarray, shape (tasks, agents)
    chosen : ndarray of int, shape (tasks,)
    """
    known = ~np.isnan(outcome)
    agents = predicted.shape[1]
    rest, mine = (outcome - taken(predicted, chosen))[known], chosen[known]
    times = np.maximum(np.bincount(mine, minlength=agents), 1)
    apart = rest - (np.bincount(mine, rest, agents) / times)[mine]
    spread = np.sqrt(np.bincount(mine, apart**2, agents) / times)[mine]
    least = 1e-12 * float(np.abs(outcome[known]).max())  # what rounding leaves of outcomes alike
    standard = np.divide(apart, spread, out=np.zeros_like(apart), where=spread > least)
    values, cubes = np.zeros((2, outcome.size))
    values[known], cubes[known] = rest, standard**3
    return Residuals(values, cubes, float(cubes[known].mean()))


def side_of(
    target: NDArray[np.float64],
    support: Support,
    weights: Weights,
    predicted: NDArray[np.float64],
    rest: Residuals,
) -> Side:
    """Weights and terms of a policy.

    Parameters
    ----------
    target : ndarray, shape (tasks, agents)
    support : Support
    weights : Weights
    predicted : ndarray, shape (tasks, agents)
        Outcomes by the model.
    rest : Residuals
    """
    share = taken(target, weights.chosen) * weights.known
    if support.repeats:  # its outcome is known: no weight is needed but for missing ones
        weight = weights.known / np.maximum(weights.shown[weights.chosen], 1e-12)
    else:
        weight = weights.of(target)
    expected = (target * predicted).sum(axis=1)
    return Side(
        target=target,
        support=support,
        weight=weight,
        expected=expected,
        terms=expected + weight * rest.values,
        residual=mean_square(share, rest.values),
        skewness=skewness_of(weight, share, rest),
    )


def mean_square(weight: NDArray[np.float64], rest: NDArray[np.float64]) -> float:
    """Weighted mean of squares; 0 without weight."""
    total = float(weight.sum())
    return float(weight @ rest**2) / total if total else 0.0


def skewness_of(weight: NDArray[np.float64], share: NDArray[np.float64], rest: Residuals) -> float:
    """Skewness of an estimate with these weights, in either direction.

    Parameters
    ----------
    weight : ndarray, shape (tasks,)
    share : ndarray, shape (tasks,)
        How far log and policy agree on the records.
    rest : Residuals
    """
    size, total = np.abs(weight), float(share.sum())
    squares = float(size @ size)
    if not squares or not total:
        return 0.0
    own = float(share @ rest.cubes) / total
    return max(abs(rest.skewness), abs(own)) * float(size**2 @ size) / squares**1.5


def policy_estimate(
    name: str, side: Side, level: float, bounds: Bounds | None = None
) -> PolicyEstimate:
    """The estimate, or none where the log cannot answer.

    Parameters
    ----------
    name : str
    side : Side
    level : float
    bounds : tuple of float, optional
    """
    if side.support.verdict == "cannot":
        return _none(name, side.support, level)
    tasks, planned = side.terms.size, side.support.planned
    variance, degrees = float(side.terms.var(ddof=1)), planned - 1
    if not side.support.repeats:
        by_model = float(side.expected.var(ddof=1)) + side.residual * tasks / planned
        variance, degrees = max(variance, by_model), degrees_of(planned)
    value, error = float(side.terms.mean()), math.sqrt(variance / tasks)
    span = span_of(bounds)
    half_width = quantile(degrees, level, side.skewness, bounded=span > 0) * error
    half_width = max(half_width, least_half_width(span, planned, level))
    interval = possible(value, half_width, level, bounds)
    if bounds and not side.support.repeats and (why := nothing_said(interval, bounds)):
        reasons = (why, *side.support.reasons)
        return _none(name, replace(side.support, verdict="cannot", reasons=reasons), level)
    return PolicyEstimate(name, interval.mean, error, degrees, interval, side.support, half_width)


def _none(name: str, support: Support, level: float) -> PolicyEstimate:
    nothing = math.nan
    empty = Interval(nothing, nothing, level)
    return PolicyEstimate(name, nothing, nothing, nothing, empty, support)


def span_of(bounds: Bounds | None) -> float:
    """How far outcomes may be apart; 0 without two bounds."""
    span = bounds[1] - bounds[0] if bounds else 0.0
    return span if math.isfinite(span) else 0.0


def possible(value: float, half_width: float, level: float, bounds: Bounds | None) -> Interval:
    """An estimate and its interval, cut to the range of possible outcomes.

    An interval that lies outside the range becomes the bound next to it.
    """
    found = Interval(value, half_width, level)
    if bounds is None or math.isnan(value) or bounds[0] <= found.low <= found.high <= bounds[1]:
        return found
    least, most = bounds
    low, mean, high = (min(max(each, least), most) for each in (found.low, value, found.high))
    return Interval(mean, (high - low) / 2, level, (high + low) / 2 - mean)


def nothing_said(interval: Interval, bounds: Bounds) -> str:
    """Why an interval that was cut to its range says nothing; "" where it does say something."""
    span, of = span_of(bounds), f"the possible range ({short(bounds[0])} to {short(bounds[1])})"
    if span and interval.high <= interval.low:
        return f"the interval lies outside {of}"
    if span and interval.half_width > _MOST * span / 2:
        ends = " to ".join(short(end, 2) for end in (interval.low, interval.high))
        return f"the interval, {ends}, covers more than half of {of}"
    return ""


def least_half_width(span: float, planned: float, level: float) -> float:
    """How far a mean may be off although all outcomes seen were alike.

    The rule of three (Hanley & Lippman-Hand, JAMA 249, 1983): failures that happen with a
    probability of up to -log(1 - level) / planned may not have been seen.
    """
    return -math.log(1 - level) * span / planned


def degrees_of(planned: float) -> float:
    """Degrees of freedom of an estimate that the log is worth ``planned`` tasks for."""
    return max(planned / 4, 2.0)


def quantile(degrees: float, level: float, skewness: float, *, bounded: bool) -> float:
    """Half the width of an interval, in errors.

    Parameters
    ----------
    degrees, level : float
    skewness : float
        Of the estimate; 0 or more.
    bounded : bool
        Whether outcomes have bounds.
    """
    return _widened(float(special.stdtrit(degrees, 0.5 + level / 2)), skewness, bounded)


def p_value(errors: float, degrees: float, skewness: float, *, bounded: bool) -> float:
    """1 less the level at which :func:`quantile` is ``errors``."""

    def beyond(t: float) -> float:
        return _widened(t, skewness, bounded) - errors

    t: Any = 0.0 if beyond(0.0) >= 0 else optimize.brentq(beyond, 0.0, errors)
    return float(2 * special.stdtr(degrees, -t))


def _widened(t: float, skewness: float, bounded: bool) -> float:
    one = skewness * (2 * t**2 + 1) / 6
    both = skewness**2 * max(t**5 + 2 * t**3 - 3 * t, 0.0) / 18
    return t + (min(one, both) if bounded else one)
