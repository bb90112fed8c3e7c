"""The difference of two policies on the same tasks, simultaneous over all pairs.

Policies are compared by the differences of their terms, task by task, never by two
estimates side by side. Variance, degrees of freedom and skewness are those
of :mod:`routingsim.evaluation.policy_value`, with differences in place of targets.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from routingsim.evaluation import intervals
from routingsim.evaluation.outcomes import taken
from routingsim.evaluation.policy_value import (
    Bounds,
    Residuals,
    Side,
    degrees_of,
    least_half_width,
    mean_square,
    nothing_said,
    p_value,
    possible,
    quantile,
    skewness_of,
    span_of,
)
from routingsim.evaluation.support import ENOUGH, SupportVerdict, Weights, worst
from routingsim.simulation.statistics import Interval

_DRAWS = 10_000  # of correlated differences, for simultaneous intervals


@dataclass(frozen=True)
class PolicyDifference:
    """The estimated difference of two policies, first less second, on the same tasks.

    Attributes
    ----------
    first, second : str
    value, error, degrees : float
        NaN where the verdict is "cannot".
    interval : Interval
        Simultaneous: all intervals of the differences shown hold together with the level.
    p_value : float
        Adjusted for all differences shown; NaN where the verdict is "cannot".
    comparison : str
        Whether the first is "better" or "worse", or "not distinguishable".
    verdict : {"answered", "weak", "cannot"}
    reasons : tuple of str
    """

    first: str
    second: str
    value: float
    error: float
    degrees: float
    interval: Interval
    p_value: float
    comparison: intervals.Verdict
    verdict: SupportVerdict
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        if self.verdict == "cannot":
            return f"{self.first} against {self.second}: the log cannot answer this"
        return (
            f"{self.first} against {self.second}: {self.interval} ({self.comparison}; "
            f"estimated, {self.verdict})"
        )


@dataclass(frozen=True, eq=False)
class _Gap:
    """The difference of two policies before it is judged with the others."""

    terms: NDArray[np.float64]
    error: float
    degrees: float
    skewness: float
    planned: float
    distance: float  # share of choices in which the policies differ

    def p_value(self, bounded: bool) -> float:
        if self.error == 0:
            return 1.0
        errors = abs(float(self.terms.mean())) / self.error
        return p_value(errors, self.degrees, self.skewness, bounded=bounded)


def policy_differences(
    sides: dict[str, Side],
    weights: Weights,
    rest: Residuals,
    level: float,
    higher_is_better: bool,
    bounds: Bounds | None = None,
    enough: float = ENOUGH,
) -> dict[tuple[str, str], PolicyDifference]:
    """All differences of pairs of policies, with intervals that hold together.

    Parameters
    ----------
    sides : dict of str to Side
    weights : Weights
    rest : Residuals
    level : float
    higher_is_better : bool
    bounds : tuple of float, optional
        The least and the largest possible outcome.
    enough : float
        Planned effective sample from which a difference may be answered.
    """
    pairs = list(combinations(sides, 2))
    gaps = {
        pair: _gap(sides[pair[0]], sides[pair[1]], weights, rest)
        for pair in pairs
        if "cannot" not in (sides[pair[0]].support.verdict, sides[pair[1]].support.verdict)
    }
    least = _least_p_values([gap for gap in gaps.values() if gap.error > 0])
    alpha = float(np.quantile(least, 1 - level)) if least.size else 1 - level
    span = span_of(bounds)
    bounded, between = span > 0, (-span, span) if span else None
    found = {}
    for pair in pairs:
        one, other = sides[pair[0]].support, sides[pair[1]].support
        verdict = worst(one.verdict, other.verdict)
        reasons = tuple(dict.fromkeys((*one.reasons, *other.reasons)))
        gap = gaps.get(pair)
        if gap is None:
            value = error = degrees = half_width = p = math.nan
        else:
            value, error, degrees = float(gap.terms.mean()), gap.error, gap.degrees
            half_width = quantile(degrees, 1 - alpha, gap.skewness, bounded=bounded) * error
            least_width = least_half_width(span, gap.planned, 1 - alpha)
            half_width = max(half_width, gap.distance * least_width)
            alone = gap.p_value(bounded)
            p = max(float((least <= alone).mean()) if least.size else 1.0, alone)
            if error > 0 and gap.planned < enough - 1e-6:
                verdict = worst(verdict, "weak")
                reasons += (
                    "where the two policies differ the log is worth "
                    f"{gap.planned:,.0f} tasks; an answer needs {enough:,.0f}",
                )
        interval = possible(value, half_width, level, between)
        if gap and between and gap.error and (why := nothing_said(interval, between)):
            verdict, reasons = "cannot", (why, *reasons)
            error = degrees = p = math.nan
            interval = Interval(math.nan, math.nan, level)
        found[pair] = PolicyDifference(
            first=pair[0],
            second=pair[1],
            value=interval.mean,
            error=error,
            degrees=degrees,
            interval=interval,
            p_value=p,
            comparison=intervals.verdict(interval, higher_is_better=higher_is_better),
            verdict=verdict,
            reasons=reasons,
        )
    return found


def _gap(one: Side, other: Side, weights: Weights, rest: Residuals) -> _Gap:
    terms = one.terms - other.terms
    tasks = terms.size
    apart = one.target - other.target
    planned = [side.support.planned for side in (one, other)]
    distance = float(np.abs(apart).sum()) / 2 / tasks
    if distance == 0:
        return _Gap(np.zeros(tasks), 0.0, math.inf, 0.0, tasks, 0.0)
    # A policy that repeats the log is, before the log was drawn, the log's own.
    repeats = [side.support.repeats for side in (one, other)]
    if any(repeats):
        demand = max(tasks / planned[repeats.index(False)] - 1, 0.0)
    else:
        demand = weights.demand(apart)
        planned.append(2 * tasks * distance**2 / demand if demand else 0.0)
    share = np.abs(taken(apart, weights.chosen)) * weights.known
    residual = max(one.residual, other.residual, mean_square(share, rest.values))
    by_model = float((one.expected - other.expected).var(ddof=1)) + residual * demand
    error = math.sqrt(max(float(terms.var(ddof=1)), by_model) / tasks)
    skewness = skewness_of(one.weight - other.weight, share, rest)
    worth = min(planned)
    return _Gap(terms, error, degrees_of(worth), skewness, worth, distance)


def _least_p_values(gaps: list[_Gap]) -> NDArray[np.float64]:
    """The least of the differences' p-values, drawn as if none of them were real.

    Correlated as the differences are (Hothorn, Bretz & Westfall, "Simultaneous inference
    in general parametric models", Biometrical Journal 50, 2008), by a Gaussian copula, so
    that each keeps its own degrees of freedom.
    """
    if not gaps:
        return np.zeros(0)
    if len(gaps) == 1:
        return (np.arange(_DRAWS) + 0.5) / _DRAWS
    values, vectors = np.linalg.eigh(np.corrcoef([gap.terms for gap in gaps]))
    # Differences of k policies vary in k - 1 directions.
    free = values > 1e-9 * values[-1]
    root = vectors[:, free] * np.sqrt(values[free])
    drawn = root @ np.random.default_rng(0).standard_normal((int(free.sum()), _DRAWS))
    return 2 * special.ndtr(-np.abs(drawn, out=drawn).max(axis=0))
