"""Outcome matrices and choices: the checks, and means that say what they leave out.

An outcome matrix has a row a task and a column an agent, NaN where nothing was
recorded. Nothing is filled in and nothing dropped in silence: a figure over tasks
comes with how many tasks went into it and how many were left out for want of an
outcome.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError

__all__ = ["Mean", "choices", "column", "complete", "matrix", "mean_of", "taken"]


@dataclass(frozen=True)
class Mean:
    """A mean over tasks, and on how many it stands.

    ``value`` is NaN where no task is left.
    """

    value: float
    tasks: int
    left_out: int = 0

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        missing = f", {self.left_out:,} left out" if self.left_out else ""
        return f"{self.value:.4g} ({self.tasks:,} tasks{missing})"


def mean_of(values: NDArray[np.float64]) -> Mean:
    """Mean of the values that are not NaN, the others counted as left out."""
    known = values[~np.isnan(values)]
    value = float(known.mean()) if known.size else float("nan")
    return Mean(value, known.size, values.size - known.size)


def matrix(what: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> NDArray:
    """``values`` as float64, shape (tasks, agents); NaN is allowed, infinity is not.

    Raises
    ------
    CorpusError
        If they are not such a matrix, or not of ``shape``.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise CorpusError(
            f"{what}: shape {array.shape}; a row a task and a column an agent are needed"
        )
    if shape is not None and array.shape != shape:
        raise CorpusError(f"{what}: shape {array.shape}; {shape} is needed, as the qualities have")
    return _finite(what, array)


def column(what: str, values: ArrayLike, tasks: int | None = None) -> NDArray[np.float64]:
    """``values`` as float64, shape (tasks,); NaN is allowed, infinity is not.

    Raises
    ------
    CorpusError
        If they are not one value a task.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise CorpusError(f"{what}: shape {array.shape}; one value a task is needed")
    if tasks is not None and array.size != tasks:
        raise CorpusError(f"{what}: {array.size:,} values for {tasks:,} tasks")
    return _finite(what, array)


def _finite(what: str, array: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.isinf(array).any():
        where = tuple(int(i) for i in np.argwhere(np.isinf(array))[0])
        raise CorpusError(f"{what}: infinite at {where}; a number, or NaN for unknown, is needed")
    return array


def choices(chosen: ArrayLike, tasks: int, agents: int) -> NDArray[np.intp]:
    """``chosen`` as an agent's index a task, shape (tasks,).

    Raises
    ------
    CorpusError
        If there is not one whole number a task, from 0 to ``agents`` - 1.
    """
    array = np.asarray(chosen)
    if array.shape != (tasks,) or not np.issubdtype(array.dtype, np.integer):
        raise CorpusError(
            f"chosen agents: shape {array.shape} of {array.dtype}; {tasks:,} whole numbers are "
            "needed, an agent's column for each task"
        )
    if array.min() < 0 or array.max() >= agents:
        raise CorpusError(
            f"chosen agents: from {array.min()} to {array.max()}; columns go from 0 to {agents - 1}"
        )
    return array.astype(np.intp)


def taken(values: NDArray[np.float64], chosen: NDArray[np.intp]) -> NDArray[np.float64]:
    """What the chosen agents got, shape (tasks,)."""
    return values[np.arange(chosen.size), chosen]


def complete(*matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which tasks have an outcome of every agent in every matrix, shape (tasks,).

    Comparisons between agents use these alone, so that all sides stand on the
    same tasks.
    """
    return ~np.any([np.isnan(each).any(axis=1) for each in matrices], axis=0)
