"""The doubly robust estimate of one policy, with its error and its verdict.

The variance is the larger of that of the terms of the estimator and of

    [Var(sum_a target(a) m(a)) + s² mean(sum_a target(a)² / propensity(a))] / tasks,

with s² the mean square of the residuals where log and policy agree, as they are or by
squared weights, whichever is larger. The interval is Student's t. Its degrees of freedom
are a sixth of the planned effective sample, but no more than tasks / (kurtosis of the
terms - 1), half of what the error of a variance is worth (O'Neill, "Some useful moment
results in sampling problems", American Statistician 68, 2014), and no fewer than 2: rare
failures with large weights make a variance look certain that is not.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from routingsim.evaluation.outcomes import taken
from routingsim.evaluation.support import Support, SupportVerdict, Weights
from routingsim.simulation.statistics import Interval


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
    support : Support
        Verdict, reasons and diagnostics.
    """

    name: str
    value: float
    error: float
    degrees: float
    interval: Interval
    support: Support

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
    """

    target: NDArray[np.float64]
    support: Support
    weight: NDArray[np.float64]
    expected: NDArray[np.float64]
    terms: NDArray[np.float64]
    residual: float


def side_of(
    target: NDArray[np.float64],
    support: Support,
    weights: Weights,
    predicted: NDArray[np.float64],
    rest: NDArray[np.float64],
) -> Side:
    """Weights and terms of a policy.

    Parameters
    ----------
    target : ndarray, shape (tasks, agents)
    support : Support
    weights : Weights
    predicted : ndarray, shape (tasks, agents)
        Outcomes by the model.
    rest : ndarray, shape (tasks,)
        Recorded outcome less the predicted; 0 where none is recorded.
    """
    share = taken(target, weights.chosen)
    if support.repeats:  # its outcome is known: no weight is needed but for missing ones
        weight = weights.known / np.maximum(weights.shown[weights.chosen], 1e-12)
    else:
        weight = weights.of(target)
    expected = (target * predicted).sum(axis=1)
    squares = max(mean_square(share * weights.known, rest), mean_square(weight**2, rest))
    return Side(target, support, weight, expected, expected + weight * rest, squares)


def mean_square(weight: NDArray[np.float64], rest: NDArray[np.float64]) -> float:
    """Weighted mean of squares; 0 without weight."""
    total = float(weight.sum())
    return float(weight @ rest**2) / total if total else 0.0


def policy_estimate(name: str, side: Side, level: float, span: float = 0.0) -> PolicyEstimate:
    """The estimate, or none where the log cannot answer.

    Parameters
    ----------
    name : str
    side : Side
    level : float
    span : float
        Between the least and the largest possible outcome; 0 if unknown. See
        :func:`least_half_width`.
    """
    nothing = math.nan
    if side.support.verdict == "cannot":
        empty = Interval(nothing, nothing, level)
        return PolicyEstimate(name, nothing, nothing, nothing, empty, side.support)
    tasks = side.terms.size
    by_terms = float(side.terms.var(ddof=1)) / tasks
    demand = tasks / side.support.planned
    planned = (float(side.expected.var(ddof=1)) + side.residual * demand) / tasks
    if side.support.repeats:
        error, degrees = math.sqrt(by_terms), side.support.planned - 1
    else:
        error, degrees = (
            math.sqrt(max(by_terms, planned)),
            degrees_of(side.support.planned, side.terms),
        )
    value = float(side.terms.mean())
    half_width = float(special.stdtrit(degrees, 0.5 + level / 2)) * error
    half_width = max(half_width, least_half_width(span, side.support.planned, level))
    interval = Interval(value, half_width, level)
    return PolicyEstimate(name, value, error, degrees, interval, side.support)


def least_half_width(span: float, planned: float, level: float) -> float:
    """How far a mean may be off although all outcomes seen were alike.

    The rule of three (Hanley & Lippman-Hand, JAMA 249, 1983): failures that happen with a
    probability of up to -log(1 - level) / planned may not have been seen.
    """
    return -math.log(1 - level) * span / planned


def degrees_of(planned: float, terms: NDArray[np.float64]) -> float:
    """Degrees of freedom of an estimate with these terms."""
    squares = (terms - terms.mean()) ** 2
    mean = float(squares.mean())
    tails = float((squares**2).mean()) / mean**2 - 1 if mean else 0.0
    known = terms.size / tails if tails > 0 else math.inf
    return max(min(planned / 6, known), 2.0)
