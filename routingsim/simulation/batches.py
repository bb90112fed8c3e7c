"""Whether one run is long enough to be cut into batches that are as good as runs of their own.

Two tests must be passed, for either alone is fooled by a run that is too short. The run must
be long against the relaxation time of its queues: an M/M/c queue at load ρ relaxes within
about 4/(1 - ρ)² tasks. And the means of its batches must look independent: von Neumann's ratio
of the mean squared successive difference to the variance (Ann. Math. Stat. 12, 1941; for
batches: Fishman, "Grouping observations in digital simulation", Management Science 24, 1978),
of the batches themselves and of parts of them.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from routingsim.simulation.statistics import Interval, quantiles

BATCHES = 30
"""Batches that a long run is cut into."""

LONG = 10_000
"""What the tasks of an agent, times (1 - load)², must come to."""

PARTS = 8
"""Parts of a batch, whose means must look independent too."""

_ERROR = 0.02  # probability with which independent batches are refused, in each of both tests


def long_enough(
    tasks: NDArray[np.integer], load: NDArray[np.float64], variability: NDArray[np.float64]
) -> bool:
    """Whether a run is long against the time in which its queues forget.

    Parameters
    ----------
    tasks, load, variability : ndarray, shape (agents,)
        Calls of each agent, its offered load, and the mean of the squared coefficients of
        variation of gaps and services: by so much more do queues remember.
    """
    used = tasks > 0
    needed = LONG * np.maximum(variability[used], 1.0)
    return bool(
        used.any()
        and (load[used] < 1).all()
        and (tasks[used] * (1 - load[used]) ** 2 >= needed).all()
    )


def look_independent(values: NDArray[np.float64], error: float = _ERROR) -> bool:
    """Whether successive values show no positive correlation, by von Neumann's ratio.

    Parameters
    ----------
    values : ndarray, shape (n,)
    error : float
        Probability with which independent values of a normal law are refused.
    """
    n = values.size
    variance = float(values.var())
    if n < 3 or math.sqrt(variance) <= 1e-12 * float(np.abs(values).max()):  # rounding
        return n >= 3
    ratio = float((np.diff(values) ** 2).mean()) / variance
    # Of independent values the ratio is nearly normal, of mean 2n/(n - 1).
    spread = math.sqrt(4 * (n - 2) / (n**2 - 1)) * n / (n - 1)
    return ratio >= 2 * n / (n - 1) + float(special.ndtri(error)) * spread


def batch_interval(
    first: NDArray[np.float64],
    less: NDArray[np.float64] | None = None,
    *,
    quantile: float | None = None,
) -> Interval | None:
    """The 95 % interval of a mean or quantile from batches; None if they look dependent.

    Parameters
    ----------
    first : ndarray, shape (n,)
        In order of time, without NaN. The first few are dropped if n is no multiple of
        the number of batches.
    less : ndarray, shape (n,), optional
        A second series of the same tasks, whose statistic is subtracted.
    quantile : float, optional
        The quantile; the mean if not given. Each batch must have 100 values beyond it.
    """
    length = first.size // (BATCHES * PARTS) * PARTS
    beyond = 1.0 if quantile is None else min(quantile, 1 - quantile)
    if length * beyond < 100:
        return None
    centre, statistics = 0.0, np.zeros(BATCHES)
    for series, sign in ((first, 1.0), (less, -1.0)):
        if series is None:
            continue
        cut = series[series.size - BATCHES * length :].reshape(BATCHES, length)
        parts = cut.reshape(BATCHES * PARTS, -1).mean(axis=1)
        if not (look_independent(cut.mean(axis=1)) and look_independent(parts)):
            return None
        if quantile is None:
            centre, found = centre + sign * float(cut.mean()), cut.mean(axis=1)
        else:
            centre += sign * float(quantiles(cut, quantile))
            found = np.quantile(cut, quantile, axis=1, method="inverted_cdf")
        statistics = statistics + sign * found
    return _of_batches(statistics, centre)


def interval_of_batches(
    parts: Sequence[NDArray[np.float64]], statistics: NDArray[np.float64], centre: float
) -> Interval | None:
    """The same, where only what was kept of each batch is known.

    Parameters
    ----------
    parts : sequence of ndarray, shape (PARTS * BATCHES,)
        The means of equal parts of the batches, in order of time, of each series.
    statistics : ndarray, shape (BATCHES,)
        The statistic of each batch, or the difference of two.
    centre : float
        That of the whole.
    """
    if not all(look_independent(each) for each in parts):
        return None
    return _of_batches(statistics, centre)


def _of_batches(statistics: NDArray[np.float64], centre: float) -> Interval | None:
    """The interval by the statistic of each batch; None if they look dependent."""
    if not look_independent(statistics):
        return None
    t = float(special.stdtrit(BATCHES - 1, 0.975))
    half_width = t * float(statistics.std(ddof=1)) / math.sqrt(BATCHES)
    said = f"{BATCHES} batches of this one run, which is long enough for it"
    return Interval(centre, half_width, method=said)
