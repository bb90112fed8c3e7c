"""Checks of outcome matrices and choices, and means that count the tasks they leave out.

An outcome matrix has a row per task and a column per agent, with NaN where nothing was
recorded. Nothing is imputed and nothing is dropped silently: a mean over tasks comes with
the number of tasks in it and the number left out because an outcome is missing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.formatting import short


@dataclass(frozen=True)
class Mean:
    """A mean over tasks, the number of tasks in it, and the number left out.

    ``value`` is NaN if no task is left.
    """

    value: float
    tasks: int
    left_out: int = 0

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        missing = f", {self.left_out:,} left out" if self.left_out else ""
        return f"{short(self.value)} ({self.tasks:,} tasks{missing})"


def mean_of(values: NDArray[np.float64]) -> Mean:
    """Mean of the values that are not NaN; the others are counted as left out."""
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
    array = _numbers(what, values)
    if array.ndim != 2 or 0 in array.shape:
        raise CorpusError(
            f"{what}: shape {array.shape}; a row per task and a column per agent are needed"
        )
    if shape is not None and array.shape != shape:
        raise CorpusError(f"{what}: shape {array.shape}; {shape} is needed, as for the qualities")
    return array


def column(what: str, values: ArrayLike, tasks: int | None = None) -> NDArray[np.float64]:
    """``values`` as float64, shape (tasks,); NaN is allowed, infinity is not.

    Raises
    ------
    CorpusError
        If they are not one value per task.
    """
    array = _numbers(what, values)
    if array.ndim != 1 or array.size == 0:
        raise CorpusError(f"{what}: shape {array.shape}; one value per task is needed")
    if tasks is not None and array.size != tasks:
        raise CorpusError(f"{what}: {array.size:,} values for {tasks:,} tasks")
    return array


def _numbers(what: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CorpusError(f"{what}: not an array of numbers ({error})") from None
    if np.isinf(array).any():
        where = tuple(int(i) for i in np.argwhere(np.isinf(array))[0])
        raise CorpusError(f"{what}: infinite at {where}; a number, or NaN for unknown, is needed")
    return array


def choices(chosen: ArrayLike, tasks: int, agents: int) -> NDArray[np.intp]:
    """``chosen`` as the index of an agent per task, shape (tasks,).

    Raises
    ------
    CorpusError
        If there is not one whole number per task, from 0 to ``agents`` - 1.
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
    """The values of the chosen agents, shape (tasks,)."""
    return values[np.arange(chosen.size), chosen]


def complete(*matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which tasks have an outcome of every agent in every matrix, shape (tasks,).

    Comparisons between agents use only these, so that all sides have the same tasks.
    """
    return ~np.any([np.isnan(each).any(axis=1) for each in matrices], axis=0)
