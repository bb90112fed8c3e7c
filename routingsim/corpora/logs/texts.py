"""The texts of a log, read from its files when they are first asked for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from routingsim.errors import CorpusError


@dataclass(frozen=True)
class TextFile:
    """A file that holds texts.

    Attributes
    ----------
    path : Path or None
        None for a table in memory.
    stamp : tuple of int
        Its size and time of change, when the log was read.
    read : callable
        Its records, a block at a time, with the texts of each and a note on them.
    key : str
        The column of a log by which texts belong to calls; "" if by their record's number.
    """

    path: Path | None
    stamp: tuple[int, int]
    read: Callable[[], "TextBlocks"]
    key: str = ""


TextBlocks = Iterable[tuple[NDArray[np.int64], list[str], list[str], str]]
"""Numbers of records, their keys, their texts, and a note."""


def stamp_of(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def texts_of(
    files: Sequence[TextFile],
    file: NDArray[np.int32],
    number: NDArray[np.int64],
    keys: Callable[[str], list[str]],
) -> tuple[pa.LargeStringArray, list[str]]:
    """The text of each call, in their order.

    Parameters
    ----------
    files : sequence of TextFile
    file, number : ndarray, shape (calls,)
        The file of each call, and the number of its record there.
    keys : callable
        The values of such a column, for each call.

    Returns
    -------
    texts : LargeStringArray, shape (calls,)
        "" where there is none.
    notes : list of str

    Raises
    ------
    CorpusError
        If a file is gone, or has changed since the log was read.
    """
    result = np.full(number.size, "", dtype=object)
    notes: dict[str, None] = {}
    for place, each in enumerate(files):
        if each.path is not None:
            _refuse_changed(each.path, each.stamp)
        mine = np.flatnonzero(file == place)
        if not each.key and not mine.size:
            continue
        order = mine[np.argsort(number[mine], kind="stable")]
        wanted = number[order]
        own: dict[str, list[int]] = {}
        for row, key in enumerate(keys(each.key) if each.key else []):
            own.setdefault(key, []).append(row)
        for numbers, names, texts, note in each.read():
            notes.update({note: None} if note else {})
            if each.key:
                for name, text in zip(names, texts, strict=True):
                    if text and name in own:
                        result[own[name]] = text
                continue
            at = np.searchsorted(wanted, numbers)
            known = at < wanted.size
            known[known] = wanted[at[known]] == numbers[known]
            result[order[at[known]]] = np.array(texts, dtype=object)[known]
    return pa.array(result, type=pa.large_string()), list(notes)


def _refuse_changed(path: Path, stamp: tuple[int, int]) -> None:
    try:
        changed = stamp_of(path) != stamp
    except OSError as error:
        raise CorpusError(
            f"{path}: texts are read from the file when they are first asked for, and it is gone "
            f"({error.strerror}); keep it until log.corpus() or log.texts() was called"
        ) from error
    if changed:
        raise CorpusError(
            f"{path}: has changed since the log was read; read it with read_log again"
        )
