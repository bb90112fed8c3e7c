"""How far two policies are apart, in words, with intervals.

A study has replications and says how its figures differ from seed to seed. One replay
a policy has none; but its policies met the same tasks at the same times, so the tasks
can be drawn again, those of both policies together. Neighbours share a queue, hence
whole spells of consecutive tasks are drawn rather than single ones (block bootstrap:
Künsch, "The jackknife and the bootstrap for general stationary observations", Ann.
Stat. 17, 1989), which leaves what lasts longer than a spell out of the intervals: they
hold what they say at moderate loads (a test counts), and are too narrow near saturation
or over a few hundred tasks. A study is the remedy.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from routingsim.evaluation.intervals import RESAMPLES
from routingsim.report.formatting import duration, number, percent, usd
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import Interval

__all__ = [
    "FEWEST",
    "SPELLS",
    "Apart",
    "Resamples",
    "against_zero_router",
    "apart",
    "cost_apart",
    "cost_compared",
    "latency_apart",
    "quality_apart",
    "symmetric",
]

SPELLS = 10
"""Spells of consecutive tasks that a replay is cut into: few, so that each outlasts a queue."""

FEWEST = 100
"""Tasks below which a replay has no intervals."""

# Of ten spells the bootstrap sees too little spread, by the root of 10/9, and a normal
# quantile in place of Student's t allows for too little.
_FEW_SPELLS = math.sqrt(SPELLS / (SPELLS - 1)) * float(stdtrit(SPELLS - 1, 0.975) / ndtri(0.975))

_GRID = 2_000  # latencies at which distributions are compared: p95 to 0.05 % of the tasks


@dataclass(frozen=True)
class Apart:
    """One policy less the other: cost a task (USD), quality (0-1), p95 of latency (s)."""

    cost: Interval
    quality: Interval
    p95: Interval


def apart(one: ReplayResult, other: ReplayResult) -> Apart | None:
    """Intervals of 95 % over the tasks of two replays of the same tasks.

    None where there are fewer than :data:`FEWEST`.
    """
    tasks = len(one)
    if tasks < FEWEST:
        return None
    draws = Resamples(tasks)

    def p95(result: ReplayResult) -> NDArray[np.float64]:
        return draws.p95(np.where(result.timed, result.latency, np.nan))

    return Apart(
        symmetric(draws.mean(one.log.cost) - draws.mean(other.log.cost)),
        symmetric(draws.mean(one.quality) - draws.mean(other.quality)),
        symmetric(p95(one) - p95(other)),
    )


class Resamples:
    """Spells of consecutive tasks, drawn again and again: the same for all that met the tasks.

    Figures are of shape (1 + resamples,): of the run itself first. NaN values count for nothing.
    """

    def __init__(self, tasks: int) -> None:
        self.spell = np.arange(tasks) * SPELLS // tasks
        drawn = np.random.default_rng(0).multinomial(SPELLS, [1 / SPELLS] * SPELLS, RESAMPLES)
        self.weights = np.vstack([np.ones(SPELLS), drawn])

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means of a value a task."""
        known = ~np.isnan(values)
        spell = self.spell[known]
        sums = np.bincount(spell, values[known], SPELLS)
        with np.errstate(invalid="ignore"):
            return (self.weights @ sums) / (self.weights @ np.bincount(spell, minlength=SPELLS))

    def p95(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """95th percentiles of a value a task."""
        known = ~np.isnan(values)
        if not known.any():
            return np.full(len(self.weights), np.nan)
        levels = np.linspace(0, 1, min(int(known.sum()), _GRID) + 1)
        grid = np.unique(np.quantile(values[known], levels, method="inverted_cdf"))
        cells = np.zeros((SPELLS, grid.size))
        np.add.at(cells, (self.spell[known], np.searchsorted(grid, values[known])), 1)
        below = np.cumsum(cells, axis=1).T
        enough = 0.95 * (self.weights @ below[-1])
        # Bisection, all resamples at a time.
        low, high = np.zeros(len(enough), int), np.full(len(enough), grid.size - 1)
        while (low < high).any():
            middle = (low + high) // 2
            reached = np.einsum("rs,rs->r", self.weights, below[middle])
            high = np.where(reached >= enough, middle, high)
            low = np.where(reached >= enough, low, np.minimum(middle + 1, high))
        return grid[low]


def symmetric(found: NDArray[np.float64]) -> Interval:
    """Symmetric bootstrap interval; the first value is that of the run itself."""
    centre, away = float(found[0]), np.abs(found[1:] - found[0])
    width = float(np.quantile(away, 0.95, method="inverted_cdf"))
    return Interval(centre, _FEW_SPELLS * width, 0.95)


def cost_apart(one: float, other: float, whom: str, interval: Interval) -> str:
    """A mean cost against another's as a predicate, with the interval of their difference."""
    if one != other and _may_be_nothing(interval):
        low, high = (
            100 * end / other if other else math.nan for end in (interval.low, interval.high)
        )
        within = "" if math.isnan(low) else f" (95 % CI {max(low, -100):+.0f} to {high:+.0f} %)"
        return f"costs as much as {whom}, as far as can be told{within}"
    said = cost_compared(one, other, whom)
    if one == other or other == 0 or math.isnan(interval.half_width):
        return said
    if one / other >= 2:
        low, high = (1 + end / other for end in (interval.low, interval.high))
        return f"{said} (95 % CI {number(low, 2)}–{number(high, 2)})"
    low, high = sorted(abs(100 * end / other) for end in (interval.low, interval.high))
    if interval.mean < 0:
        high = min(high, 100.0)
    return f"{said} (95 % CI {_range(low, high)} %)"


def cost_compared(one: float, other: float, whom: str) -> str:
    """A cost against another policy's, as a predicate: ``costs 31 % less than threshold``."""
    if one == other:
        return f"costs the same as {whom}"
    if other == 0:
        return f"costs {usd(1000 * one)} per 1,000 tasks, where {whom} costs nothing"
    change = one / other - 1
    if abs(change) < 0.005:
        return f"costs about the same as {whom}"
    if change >= 1:
        return f"costs {number(one / other, 2)} times as much as {whom}"
    return f"costs {percent(abs(change))} {'more' if change > 0 else 'less'} than {whom}"


def quality_apart(interval: Interval) -> str:
    """How much better or worse the answers are, in hundredths of the scale from 0 to 1."""
    if interval.mean == 0 and interval.half_width == 0:
        return " at the same quality"
    if _may_be_nothing(interval):
        return (
            ", at a quality that cannot be told apart "
            f"(95 % CI {100 * interval.low:+.1f} to {100 * interval.high:+.1f} points)"
        )
    low, high = sorted((abs(100 * interval.low), abs(100 * interval.high)))
    more = "higher" if interval.mean > 0 else "lower"
    return (
        f" at {abs(100 * interval.mean):.1f} points’ {more} quality (95 % CI {low:.1f}–{high:.1f})"
    )


def against_zero_router(name: str, interval: Interval) -> str:
    """A policy's quality less that of its zero router, as a sentence."""
    who = "zero-router, which reads no task and mixes single agents at its cost"
    if _may_be_nothing(interval):
        return f"{name} cannot be told apart in quality from {who}."
    low, high = sorted((abs(100 * interval.low), abs(100 * interval.high)))
    more = "better" if interval.mean > 0 else "worse"
    size = f"{abs(100 * interval.mean):.1f} points (95 % CI {low:.1f}–{high:.1f})"
    return f"{name} has {more} answers than {who}, by {size}."


def latency_apart(interval: Interval) -> str:
    """How much later the slowest answers come."""
    if interval.mean == 0 and interval.half_width == 0:
        return "the same"
    if _may_be_nothing(interval):
        return f"cannot be told apart (95 % CI {interval.low:+.2g} to {interval.high:+.2g} s)"
    low, high = sorted((abs(interval.low), abs(interval.high)))
    more = "higher" if interval.mean > 0 else "lower"
    return f"{duration(abs(interval.mean))} {more} (95 % CI {_range(low, high)} s)"


def _may_be_nothing(interval: Interval) -> bool:
    return not (interval.low > 0 or interval.high < 0)  # so it is without a width, too


def _range(low: float, high: float) -> str:
    """Two ends with the decimals that tell them apart."""
    decimals = next((d for d in range(5) if round(low, d) != round(high, d)), 0)
    decimals = decimals if high >= 10 else max(decimals, 1)
    return f"{low:,.{decimals}f}–{high:,.{decimals}f}"
