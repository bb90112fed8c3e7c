"""Which tasks of a corpus a new one takes, and at which times."""

import operator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from routingsim.corpora.validation import STRING
from routingsim.errors import CorpusError


def positions(indices: ArrayLike, size: int) -> NDArray[np.intp]:
    """The positions that a list of them or a mask names, of ``size`` tasks, in its order.

    Raises
    ------
    CorpusError
        If a position does not exist or is given twice.
    """
    chosen = np.asarray(indices)
    if chosen.dtype == np.bool_:
        if chosen.shape != (size,):
            raise CorpusError(f"a mask of shape {chosen.shape} for {size:,} tasks")
        chosen = np.flatnonzero(chosen)
    if chosen.size == 0:
        chosen = np.empty(0, dtype=np.intp)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        raise CorpusError("expected a list of positions or a mask, one value a task")
    if chosen.size and (chosen.min() < 0 or chosen.max() >= size):
        raise CorpusError(f"positions go from 0 to {size - 1}")
    if len(np.unique(chosen)) < len(chosen):
        raise CorpusError("a position is given twice; a task can be selected once")
    return chosen


def whole(n: object) -> int:
    """A number of tasks.

    Raises
    ------
    CorpusError
        If it is no whole number.
    """
    if not hasattr(n, "__index__"):
        raise CorpusError(f"n is {n!r:.60}; a whole number of tasks is needed")
    return operator.index(n)  # type: ignore[arg-type]


def drawn(size: int, n: int, seed: int) -> NDArray[np.intp]:
    """Positions of ``n`` of ``size`` tasks, drawn at random without replacement, in order.

    Raises
    ------
    CorpusError
        If there are fewer than ``n``, or a number is no whole one.
    """
    if not 0 <= whole(n) <= size:
        raise CorpusError(f"cannot draw {n:,} of {size:,} tasks")
    try:
        return np.sort(np.random.default_rng(seed).permutation(size)[:n])
    except (TypeError, ValueError):
        raise CorpusError(f"seed is {seed!r:.60}; a whole number of 0 or more is needed") from None


def at_times(
    name: str, tasks: pd.DataFrame, trace_name: str, trace: pd.DataFrame
) -> tuple[pd.DataFrame, NDArray[np.intp], str]:
    """The tasks of the corpus ``name`` at the times of a trace, repeated or cut to its length.

    Returns
    -------
    tasks : DataFrame
    row : ndarray of int, shape (arrivals,)
        The row of each task in the table given.
    note : str
        What the reader should know.

    Raises
    ------
    CorpusError
        If the ids of repeated tasks are those of others.
    """
    size, known = len(trace), len(tasks)
    again, row = np.divmod(np.arange(size), known)
    joined = tasks.iloc[row].reset_index(drop=True)
    ids = [
        f"{task}#{time + 1}" if time else task
        for task, time in zip(joined["id"].tolist(), again.tolist(), strict=True)
    ]
    if len(set(ids)) < size:
        raise CorpusError(
            f"{name}: ids that end in #2, #3, … are those of repeated tasks; rename them"
        )
    joined["id"] = pd.array(ids, dtype=STRING)
    for column in ("arrived_at", "prompt_tokens", "output_tokens"):
        if not np.isnan(trace[column].to_numpy()).all():
            joined[column] = trace[column]
    note = f"arrivals of {trace_name} ({size:,})"
    if size > known:
        note += f": the {known:,} tasks are repeated, with ids in #2, #3, …"
    elif size < known:
        note += f": {known - size:,} of {known:,} tasks left out"
    return joined, row, note
