"""Another log like a recorded one: its tasks and times, resampled together in blocks.

A block is a row of consecutive tasks with the gaps between them, so that each task keeps its
neighbours and its pace. The block at each place of the new log is drawn from near that place
in the old one: what belongs to a time of day, such as a rush of long tasks, stays there (local
block bootstrap: Paparoditis & Politis, "Local block bootstrap", C. R. Acad. Sci. Paris 335,
2002; the blocks are those of Künsch, Ann. Stat. 17, 1989).
"""

import math

import numpy as np
from numpy.typing import NDArray

from routingsim import rng

BLOCKS = 10
"""Blocks that a day is put together from: few, so that each outlasts a queue."""


def another_log(
    arrived: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Positions of the tasks of another log, and the times at which they arrive.

    Blocks are √n tasks long, and begin up to one length before or after their own place.

    Parameters
    ----------
    arrived : ndarray, shape (tasks,)
        Recorded times (s), sorted.
    seed : int

    Returns
    -------
    positions : ndarray of int, shape (tasks,)
    times : ndarray of float, shape (tasks,)
        From the first recorded time on.
    """
    count = arrived.size
    length = math.ceil(math.sqrt(count))
    places = np.arange(0, count, length)
    generator = np.random.default_rng([seed & (2**63 - 1), rng.ROW, 1])
    shifts = generator.integers(-length, length, places.size, endpoint=True)
    begins = np.clip(places + shifts, 0, max(0, count - length))
    drawn = (begins[:, np.newaxis] + np.arange(length)).ravel()[:count]
    return drawn, _times(arrived, drawn)


def another_day(
    arrived: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Positions of the tasks of another day, and the times at which they arrive.

    The record is taken as a ring, whose last gap is the mean one, so that every task is as
    likely as any other to be drawn.

    Parameters
    ----------
    arrived : ndarray, shape (tasks,)
        Recorded times (s), sorted.
    seed : int

    Returns
    -------
    positions : ndarray of int, shape (tasks,)
    times : ndarray, shape (tasks,)
        From the first recorded time on.
    """
    count = arrived.size
    length = math.ceil(count / BLOCKS)
    key = np.uint64(rng.stream(seed, rng.REPLICATION))
    begins = rng.integers(key, math.ceil(count / length), count).astype(np.intp)
    drawn = ((begins[:, None] + np.arange(length)) % count).ravel()[:count]
    return drawn, _times(arrived, drawn)


def _times(arrived: NDArray[np.float64], drawn: NDArray[np.intp]) -> NDArray[np.float64]:
    """When the tasks drawn arrive, each after its own gap; that of the first is the mean one."""
    mean = (arrived[-1] - arrived[0]) / max(arrived.size - 1, 1)
    gaps = np.diff(arrived, prepend=arrived[0] - mean)
    return arrived[0] + np.concatenate([[0.0], np.cumsum(gaps[drawn[1:]])])
