"""``read_log()``: a log of calls from the export of a tool, a file of your own or a table."""

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.logs.blocks import Digest
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.fields import (
    Reading,
    names,
    parse_map,
    read_block,
    read_texts,
    values_at,
)
from routingsim.corpora.logs.join import Part, join
from routingsim.corpora.logs.log_files import LogFile, labels, of_files, of_frame, stem, unused
from routingsim.corpora.logs.registry import named
from routingsim.corpora.logs.statuses import said_of_statuses
from routingsim.corpora.logs.texts import TextFile
from routingsim.corpora.readers import TableLike, frame_of, is_table
from routingsim.corpora.rows import Rows, Skipped, TextColumn, counted, progress, shown
from routingsim.corpora.times import DATE_ORDERS
from routingsim.corpora.writers import csv_bytes
from routingsim.errors import CorpusError
from routingsim.synonyms import argument_hints

LogLike = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | TableLike | CallLog
"""What :func:`read_log` makes a log of."""


@argument_hints
def read_log(
    log: LogLike,
    source: str = "auto",
    columns: str | Mapping[str, str] | None = None,
    *,
    on_error: str = "raise",
    dates: str | None = None,
    name: str | None = None,
) -> CallLog:
    """A log of calls: a row a call, whatever tool wrote it.

    Numbers are read at once, texts when they are first asked for. ``docs/logs.md`` has the field
    table of each tool.

    Parameters
    ----------
    log : path, sequence of paths, DataFrame or CallLog
        A file, a folder or several files, which are one log then. Files may be gzipped.
    source : str
        The tool, one of :func:`routingsim.corpora.logs.registry.shapes`, such as "litellm";
        "auto" recognises it by the columns.
    columns : mapping of str to str, or str, optional
        Which column holds which field, ``{"latency": "latency_ms:ms"}`` or
        ``"latency=latency_ms:ms,agent=model"``; of a known tool, instead of its own. The
        grammar is that of ``--map``.
    on_error : {"raise", "skip"}
        Whether a damaged record is an error, or is left out and listed in ``skipped``.
    dates : {None, "month first", "day first"}
        The order in dates such as 10/6/2023, which are an error without it.
    name : str, optional
        The log's name, from which ids are made where there are none. Default: that of the file
        or folder.

    Raises
    ------
    CorpusError
        If a file cannot be read, has no known shape, or files have several; if a record is
        damaged and ``on_error`` is "raise".
    """
    if isinstance(log, CallLog):
        return log
    if on_error not in ("raise", "skip"):
        raise CorpusError(f"on_error is {shown(on_error)}; allowed are 'raise' and 'skip'")
    if dates is not None and dates not in DATE_ORDERS:
        raise CorpusError(
            f"dates is {shown(dates)}; allowed are {' and '.join(map(repr, DATE_ORDERS))}"
        )
    mapped = parse_map(columns) if columns else {}
    given = None if source == "auto" else named(source)
    if is_table(log):
        log = frame_of(log, name or "frame")
        whole = of_frame(log, given, mapped)
        digest = _digest_of_frame(log)
    elif isinstance(log, str | os.PathLike | Sequence):
        digest = Digest()
        whole = of_files(log, given, mapped)
    else:
        raise CorpusError(
            f"log: expected a path, several paths, a DataFrame or a CallLog, found {shown(log)} "
            f"({type(log).__name__})"
        )
    whole = replace(whole, name=name) if name else whole
    reading = Reading(dates, list(whole.notes), {})
    parts, lost = [], []
    asked: dict[str, str] = {}
    with _no_collection():
        for number, file in enumerate(whole.files):
            for part, skipped in _parts(file, number, reading, digest, asked):
                parts.append(part)
                lost += skipped
    if lost and on_error == "raise":
        more = f" (and {len(lost) - 1:,} more)" if lost[1:] else ""
        raise CorpusError(
            f"{lost[0]}{more}. Mend the file, or leave such records out with on_error='skip' "
            "(--on-error skip)"
        )
    shapes = tuple(dict.fromkeys(each.shape.name for each in whole.files))
    found = join(parts, whole.stems, whole.kind, reading, labels(whole.files), asked)
    if not len(found.calls):
        out = ", ".join(f"{count:,} {why}" for why, count in found.left_out.items())
        first = f"; {lost[0]}" if lost else ""
        raise CorpusError(
            f"{whole.source}: holds no call" + (f" ({out} left out)" if out else first)
        )
    said = list(found.notes)
    if lost:
        said.insert(
            0, f"{counted(len(lost), 'record was', 'records were')} skipped; the first: {lost[0]}"
        )
    if shapes[0] in ("calls", "map"):
        said += [said_of_statuses(reading.statuses, found.columns.get("status", "status"))]
        said += [unused(whole.files[0], found.columns)]
    return CallLog(
        whole.name,
        whole.source,
        shapes,
        found.calls,
        found.began,
        found.columns,
        found.left_out,
        tuple(lost),
        tuple(note for note in dict.fromkeys(said) if note),
        str(digest),
        tuple(_text_file(each) for each in whole.files),
        found.origin,
    )


def _digest_of_frame(frame: pd.DataFrame) -> Digest:
    found = Digest()
    found.update(csv_bytes(frame))
    return found


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the garbage collector off: blocks are many objects without circles among them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _parts(
    file: LogFile, number: int, reading: Reading, digest: Digest, asked: dict[str, str]
) -> Iterator[tuple[Part, list[Skipped]]]:
    """The calls of a file, block by block, and the records that are damaged.

    Agents that requests ask for are added to ``asked``, by the call's id.
    """
    bar_name = str(file.path or "frame")
    with progress(bar_name) as bar:
        for rows in file.rows(False, digest if file.path else None):
            lost = list(rows.lost)
            bar.update(len(rows))
            rows, left_out = _calls_of(rows, file)
            if key := _key_of(file):
                source = file.sources.get("agent")
                agents = source and values_at(rows.columns, source.paths)
                if agents is not None and key == "call_id":
                    asked.update(zip(_keys(rows, file), names(agents).to_pylist(), strict=True))
                yield Part(number, {}, np.empty(0, np.int64), left_out), lost
                continue
            problems: dict[int, str] = {}
            arrays = read_block(rows, file.sources, reading, problems)
            numbers = np.asarray(rows.numbers, dtype=np.int64)
            if problems:
                lost += [
                    Skipped(rows.file, rows.lines[row], reason, rows.unit)
                    for row, reason in problems.items()
                ]
                keep = np.delete(np.arange(len(rows)), list(problems))
                arrays = {ours: values.take(keep) for ours, values in arrays.items()}
                numbers = numbers[keep]
            yield Part(number, arrays, numbers, left_out), sorted(lost, key=lambda each: each.line)


def _calls_of(rows: Rows, file: LogFile) -> tuple[Rows, dict[str, int]]:
    """The records that are calls, and how many are not, by reason."""
    if file.shape.prepare is not None:
        rows = file.shape.prepare(rows)
    paths = {path for source in file.sources.values() for path in source.paths}
    extra = {path: [path[1:]] * len(rows) for path in paths if path.startswith("=")}
    at = Path(rows.file)
    for path, value in (("@file", stem(at)), ("@folder", at.resolve().parent.name)):
        if path in paths:
            extra[path] = [value] * len(rows)
    if extra:
        rows = rows.also(**extra)
    if file.shape.left_out is None:
        return rows, {}
    masks = file.shape.left_out(rows)
    counts = {why: int(each.sum()) for why, each in masks.items() if each.any()}
    if not counts:
        return rows, {}
    return _kept(rows, ~np.logical_or.reduce(list(masks.values()))), counts


def _kept(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    places = np.flatnonzero(mask)
    columns = {
        name: TextColumn(column.arrow.take(places))
        if isinstance(column, TextColumn)
        else [column[k] for k in places.tolist()]
        for name, column in rows.columns.items()
    }
    numbers = np.asarray(rows.numbers, dtype=np.int64)[places].tolist()
    return replace(rows, columns=columns, lines=_Picked(rows.lines, places), numbers=numbers)


class _Picked(Sequence[int]):
    """Some of the lines, looked up when one is asked for."""

    def __init__(self, lines: Sequence[int], places: NDArray[np.intp]) -> None:
        self._lines, self._places = lines, places

    def __len__(self) -> int:
        return self._places.size

    def __getitem__(self, index: Any) -> Any:
        return self._lines[int(self._places[index])]


def _key_of(file: LogFile) -> str:
    """The column by which requests belong to calls; "" for a file of calls."""
    if file.shape.kind != "requests":
        return ""
    return "task_id" if "task_id" in file.sources else "call_id"


def _keys(rows: Rows, file: LogFile) -> list[str]:
    found = values_at(rows.columns, file.sources[_key_of(file)].paths)
    return names(found if found is not None else [""] * len(rows)).to_pylist()


def _text_file(file: LogFile) -> TextFile:
    def blocks_of_texts() -> Iterator[tuple[NDArray[np.int64], list[str], list[str], str]]:
        said = ""
        for rows in file.rows(True):
            rows, _ = _calls_of(rows, file)
            texts, note = read_texts(rows, file.sources["text"])
            keys = _keys(rows, file) if _key_of(file) else []
            yield np.asarray(rows.numbers, dtype=np.int64), keys, texts, "" if said else note
            said = said or note

    read = blocks_of_texts if "text" in file.sources else lambda: ()
    return TextFile(file.path, file.stamp, read, _key_of(file))
