"""Differences between two replays of the same tasks, with intervals from those tasks alone.

One replay a policy has no replications to compare. But both policies met the same tasks at
the same times, so the tasks can be resampled, those of both policies together. Neighbouring
tasks share a queue, so blocks of consecutive tasks are drawn rather than single tasks (block
bootstrap: Künsch, "The jackknife and the bootstrap for general stationary observations",
Ann. Stat. 17, 1989). Dependence that lasts longer than a block is not in the intervals: they
hold at moderate loads, and are too narrow near saturation or over a few hundred tasks. A
study (:func:`routingsim.compare`), which repeats the run, has neither fault.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from routingsim.evaluation.intervals import RESAMPLES
from routingsim.simulation.statistics import Interval

BLOCKS = 10
"""Blocks of consecutive tasks that a replay is cut into: few, so that each outlasts a queue."""

LEAST_TASKS = 100
"""Tasks below which a replay is too short for an interval."""

# A bootstrap of so few blocks underestimates the variance by (BLOCKS - 1) / BLOCKS, and a
# normal quantile is narrower than Student's t.
_FEW_BLOCKS = math.sqrt(BLOCKS / (BLOCKS - 1)) * float(stdtrit(BLOCKS - 1, 0.975) / ndtri(0.975))

_GRID = 2_000  # latencies among which a p95 is looked for: exact to 0.05 % of the tasks


def mean_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
    """Mean of the first less that of the second, with a 95 % interval.

    Parameters
    ----------
    first, second : ndarray, shape (tasks,)
        A value of each task under two policies, in order of arrival. NaNs are left out.
    """
    return _difference(_means, first, second)


def p95_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
    """95th percentile of the first less that of the second, with a 95 % interval.

    Parameters
    ----------
    first, second : ndarray, shape (tasks,)
        As for :func:`mean_difference`.
    """
    return _difference(_p95s, first, second)


def _difference(
    statistic: Callable[..., NDArray[np.float64]],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> Interval:
    """The symmetric bootstrap interval around the run's own difference.

    The draws are the same for all runs of as many tasks.
    """
    blocks = np.arange(first.size) * BLOCKS // first.size
    drawn = np.random.default_rng(0).multinomial(BLOCKS, [1 / BLOCKS] * BLOCKS, RESAMPLES)
    weights = np.vstack([np.ones(BLOCKS, int), drawn]).astype(np.float64)  # the run itself first

    def of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        known = ~np.isnan(values)
        return statistic(values[known], blocks[known], weights)

    found = of(first) - of(second)
    centre = float(found[0])
    width = float(np.quantile(np.abs(found[1:] - centre), 0.95, method="inverted_cdf"))
    return Interval(centre, _FEW_BLOCKS * width, 0.95)


def _means(
    values: NDArray[np.float64], blocks: NDArray[np.intp], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean of each resample, NaN where it has no value."""
    sums, counts = np.bincount(blocks, values, BLOCKS), np.bincount(blocks, minlength=BLOCKS)
    with np.errstate(invalid="ignore"):
        return (weights @ sums) / (weights @ counts)


def _p95s(
    values: NDArray[np.float64], blocks: NDArray[np.intp], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The 95th percentile of each resample, on a grid of the values; NaN where there is none."""
    if not values.size:
        return np.full(len(weights), np.nan)
    levels = np.linspace(0, 1, min(values.size, _GRID) + 1)
    grid = np.unique(np.quantile(values, levels, method="inverted_cdf"))
    counts = np.zeros((BLOCKS, grid.size))
    np.add.at(counts, (blocks, np.searchsorted(grid, values)), 1)
    below = counts.cumsum(axis=1).T  # tasks at or below each value of the grid, by block
    enough = 0.95 * (weights @ below[-1])
    # Bisection for the first value with enough tasks at or below it, all resamples at a time.
    low, high = np.zeros(len(enough), int), np.full(len(enough), grid.size - 1)
    while (low < high).any():
        middle = (low + high) // 2
        reached = (weights * below[middle]).sum(axis=1) >= enough
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    return grid[low]
