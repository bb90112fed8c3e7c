"""``read_log()``: a log of calls from the export of a tool, a file of your own or a table."""

import gc
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.logs.blocks import Digest, blocks, list_inside, sample, unwrapped
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.fields import (
    Reading,
    Source,
    first_path,
    lookup,
    names,
    parse_map,
    read_block,
    read_texts,
    values_at,
)
from routingsim.corpora.logs.join import Part, join
from routingsim.corpora.logs.registry import named, recognised, unknown
from routingsim.corpora.logs.shape import Shape
from routingsim.corpora.logs.statuses import said_of_statuses
from routingsim.corpora.logs.texts import TextFile, stamp_of
from routingsim.corpora.logs.wide import format_of
from routingsim.corpora.mapping import likely, map_to_start_from, written
from routingsim.corpora.readers import ArrowFormat, ArrowStream, TableLike, frame_of, rows_of_frame
from routingsim.corpora.rows import KINDS, Rows, Skipped, TextColumn, counted, progress, shown
from routingsim.corpora.times import DATE_ORDERS
from routingsim.corpora.writers import csv_bytes
from routingsim.errors import CorpusError

LogLike = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | TableLike | CallLog
"""What :func:`read_log` makes a log of."""

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".txt", ".log")
_FEW = 6  # names that a message lists


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
        "auto" tells it from the columns.
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
    if isinstance(log, pd.DataFrame | ArrowStream | ArrowFormat):
        log = frame_of(log, name or "frame")
        whole = _of_frame(log, given, mapped)
        digest = _digest_of_frame(log)
    elif isinstance(log, str | os.PathLike | Sequence):
        digest = Digest()
        whole = _of_files(log, given, mapped)
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
    found = join(parts, whole.stems, whole.kind, reading, _labels(whole.files), asked)
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
        said += [_unused(whole.files[0], found.columns)]
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


# -- what is to be read -----------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    """A file of a known shape, or a table in memory."""

    shape: Shape
    sources: Mapping[str, Source]
    sample: Rows
    path: Path | None
    inside: tuple[str, ...] = ()
    stamp: tuple[int, int] = (0, 0)

    def rows(self, for_texts: bool, digest: Digest | None = None) -> Iterator[Rows]:
        """Blocks with the columns that are needed, for the numbers or for the texts."""
        if self.path is None:
            yield self.sample
            return
        wanted = self._wanted(for_texts)
        outer = wanted if not self.inside else {self.inside[0]}
        for rows in blocks(self.path, outer, types=self.shape.types, digest=digest):
            found = unwrapped(rows, self.inside, wanted) if self.inside else rows
            yield replace(found, columns=self._there(found.columns))

    def _there(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The columns that the file has; more were asked for, as they may come late in it."""
        return {
            name: column
            for name, column in columns.items()
            if name in self.sample.columns
            or isinstance(column, TextColumn)
            or column.count(None) < len(column)
        }

    def _wanted(self, for_texts: bool) -> set[str] | None:
        keys = {"text", "call_id", "task_id"}
        sources = {
            ours: source
            for ours, source in self.sources.items()
            if (ours in keys if for_texts else ours != "text")
        }
        wanted = self.shape.wanted(sources, list(self.sample.columns))
        if wanted is not None and for_texts:
            wanted |= set(self.shape.text_reads)
        return wanted


@dataclass(frozen=True)
class _Whole:
    """All files of a log."""

    name: str
    source: str
    files: Sequence[_File]
    notes: list[str] = field(default_factory=list)

    @property
    def stems(self) -> list[str]:
        """A name for each file, from which ids of its calls are made."""
        if len(self.files) == 1:
            return [self.name]
        paths = [each.path or Path(self.name) for each in self.files]
        found = [stem(path) for path in paths]
        if len(set(found)) == len(found):
            return found
        return [f"{path.resolve().parent.name}/{stem(path)}" for path in paths]

    @property
    def kind(self) -> str:
        """What the files hold, of those that hold no requests."""
        return next(each.shape.kind for each in self.files if each.shape.kind != "requests")


def stem(path: Path) -> str:
    """A file's name without its suffixes."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _of_frame(frame: pd.DataFrame, given: Shape | None, mapped: Mapping[str, Source]) -> _Whole:
    rows = rows_of_frame(frame, "frame")
    if not len(rows):
        raise CorpusError("frame: holds no call")
    shape, _ = _shape_of(rows, given, mapped)
    if shape is None:
        raise CorpusError(_refusal(rows))
    return _Whole("frame", "DataFrame", [_file(shape, mapped, rows, None, ())])


def _refusal(rows: Rows) -> str:
    """Why a sample is not read."""
    format = format_of(rows)
    if format is None:
        return unknown(rows)
    what = f"is of the format {format}, with a row a task: it"
    if format in KINDS or format == "jsonl":
        what = "is a corpus, with a row a task: it"
    return f"{rows.file}: {what} is no log; load it with rs.load_corpus(…)"


def _digest_of_frame(frame: pd.DataFrame) -> Digest:
    found = Digest()
    found.update(csv_bytes(frame))
    return found


def _of_files(log: Any, given: Shape | None, mapped: Mapping[str, Source]) -> _Whole:
    paths = [Path(log)] if isinstance(log, str | os.PathLike) else [Path(each) for each in log]
    if not paths:
        raise CorpusError("log: no path is given")
    found: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                each for each in path.rglob("*") if each.is_file() and not _hidden(each, path)
            )
            fits = [each for each in inside if _suffix(each) in _SUFFIXES]
            found += fits
            others += [each for each in inside if _suffix(each) not in _SUFFIXES]
        elif path.exists():
            found.append(path)
        else:
            raise CorpusError(f"{path}: no such file or folder")
    if not found:
        raise CorpusError(f"{paths[0]}: holds no file that can be a log ({', '.join(_SUFFIXES)})")
    source = str(paths[0]) + (f" and {len(paths) - 1} more" if paths[1:] else "")
    name = paths[0].name if paths[0].is_dir() else stem(paths[0])
    whole = _Whole(name or paths[0].resolve().name, source, [])
    files: list[_File] = []
    strange: dict[Path, str] = {}
    for path in found:
        try:
            rows = sample(path)
        except CorpusError as error:
            strange[path] = str(error)
            continue
        shape, inside = _shape_of(rows, given, mapped)
        if shape is None:
            strange[path] = _refusal(rows)
            continue
        inner = unwrapped(rows, inside, None) if inside else rows
        files.append(_file(shape, mapped, inner, path, inside))
    files, left = _without_others(files, strange, others)
    whole.notes.extend(left)
    return replace(whole, files=_of_one_shape(files, source, given, whole.notes))


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _shape_of(
    rows: Rows, given: Shape | None, mapped: Mapping[str, Source]
) -> tuple[Shape | None, tuple[str, ...]]:
    """The shape of a sample, and the path of the list that its records are in."""
    inside = list_inside(rows)
    inner = unwrapped(rows, inside, None) if inside else rows
    if given is not None:
        wrapped = bool(inside) and len(given.lacks(inner)) < len(given.lacks(rows))
        found = inner if wrapped else rows
        if missing := given.lacks(found):
            said = ", ".join(" or ".join(map(shown, each.split("|"))) for each in missing)
            has = ", ".join(map(shown, list(found.columns)[:12])) or "none"
            raise CorpusError(
                f"{rows.file}: is not {given.title}: it has no {said}; columns are {has}"
                f"{map_to_start_from(found.columns)}"
            )
        return given, inside if wrapped else ()
    if shape := recognised(rows):
        return shape, ()
    if inside and (shape := recognised(inner)):
        return shape, inside
    if mapped:
        table = {ours: str(source) for ours, source in mapped.items()}
        own = Shape("map", "a file with a mapping of its own", table, ())
        return own, inside if inside and not _holds(rows, mapped) else ()
    return None, ()


def _holds(rows: Rows, mapped: Mapping[str, Source]) -> bool:
    return any(lookup(rows.columns, path) for source in mapped.values() for path in source.paths)


def _file(
    shape: Shape,
    mapped: Mapping[str, Source],
    rows: Rows,
    path: Path | None,
    inside: tuple[str, ...],
) -> _File:
    for ours, source in mapped.items():
        if not any(each[:1] in "=@" or lookup(rows.columns, each) for each in source.paths):
            has = ", ".join(map(shown, list(rows.columns)[:20]))
            raise CorpusError(
                f"{rows.file}: map: no column {shown(source.paths[0])} for {ours}; there are {has}"
            )
    own = dict(shape.sources)
    if shape.more is not None:
        table, _ = shape.more(rows)
        own |= parse_map(table)
    own |= mapped
    return _File(shape, own, rows, path, inside, stamp_of(path) if path else (0, 0))


def _without_others(
    files: list[_File], strange: Mapping[Path, str], others: Sequence[Path]
) -> tuple[list[_File], list[str]]:
    """The files that hold calls, and notes on those that lie beside them."""
    patterns = {pattern for each in files for pattern in each.shape.beside}

    def beside(path: Path | None) -> bool:
        return path is not None and any(fnmatch(path.name, each) for each in patterns)

    kept = [each for each in files if not beside(each.path)]
    for path, refusal in strange.items():
        if not beside(path):
            raise CorpusError(refusal)
    names_left = [path.name for path in others]
    names_left += [path.name for path in strange]
    names_left += [each.path.name for each in files if beside(each.path) and each.path]
    if not names_left:
        return kept, []
    some = ", ".join(sorted(set(names_left))[:_FEW])
    return kept, [f"{counted(len(names_left), 'file')} of the folder without calls left: {some}"]


def _of_one_shape(
    files: list[_File], source: str, given: Shape | None, notes: list[str]
) -> list[_File]:
    if not files:
        raise CorpusError(f"{source}: holds no file of calls")
    by_shape: dict[str, list[_File]] = {}
    for each in files:
        if each.shape.kind != "requests":
            by_shape.setdefault(each.shape.name, []).append(each)
    if not by_shape:
        title = files[0].shape.title
        raise CorpusError(
            f"{source}: holds {title} only, and none of the calls that belong to them; give both "
            "files, or a folder with both"
        )
    if len(by_shape) > 1:
        listed = ", ".join(
            f"{name} ({counted(len(mine), 'file')}, such as {mine[0].path})"
            for name, mine in by_shape.items()
        )
        raise CorpusError(
            f"{source}: files of several tools: {listed}; read those of each tool by themselves"
        )
    for each in files:
        if each.shape.more is not None:
            notes += [
                said
                for said in each.shape.more(each.sample)[1]
                if "quality" not in each.sources or "is the score" in said
            ]
    # Those that hold calls come first: requests only bring texts to them.
    return sorted(files, key=lambda each: each.shape.kind == "requests")


def _labels(files: Sequence[_File]) -> dict[str, str]:
    """Where each field comes from, as a summary says it."""
    found: dict[str, str] = {}
    for each in files:
        rows = each.sample if each.shape.prepare is None else each.shape.prepare(each.sample)
        for ours, source in each.sources.items():
            there = [path for path in source.paths if lookup(rows.columns, path)]
            label = there[0] if there else source.paths[0]
            found.setdefault(ours, label + (f" ({source.unit})" if source.unit else ""))
    return found


def _unused(file: _File, found_fields: Collection[str]) -> str:
    """Columns of a file that were not used, and how they could be."""
    columns = file.sample.columns
    used = {
        found[0]
        for ours, source in file.sources.items()
        for path in (first_path(columns, source) if ours == "status" else source.paths)
        if (found := lookup(columns, path))
    }
    rest = [name for name in file.sample.columns if name not in used]
    if not rest:
        return ""
    more = f" and {len(rest) - 12} more" if rest[12:] else ""
    others = likely({name: file.sample.columns[name] for name in rest})
    held = {"id" if ours == "call_id" else ours for ours in found_fields}
    useful = {ours: theirs for ours, theirs in others.items() if ours not in {*held, "id"}}
    hint = f"; to use them, --map {written(useful)}" if useful else ""
    return f"columns not used: {', '.join(rest[:12])}{more}{hint}"


# -- reading ----------------------------------------------------------------------------


def _parts(
    file: _File, number: int, reading: Reading, digest: Digest, asked: dict[str, str]
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


def _calls_of(rows: Rows, file: _File) -> tuple[Rows, dict[str, int]]:
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
        rows = replace(rows, columns={**rows.columns, **extra})
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


def _key_of(file: _File) -> str:
    """The column by which requests belong to calls; "" for a file of calls."""
    if file.shape.kind != "requests":
        return ""
    return "task_id" if "task_id" in file.sources else "call_id"


def _keys(rows: Rows, file: _File) -> list[str]:
    found = values_at(rows.columns, file.sources[_key_of(file)].paths)
    return names(found if found is not None else [""] * len(rows)).to_pylist()


def _text_file(file: _File) -> TextFile:
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
