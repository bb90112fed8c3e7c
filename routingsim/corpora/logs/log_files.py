"""The files of a log: which hold calls, of which shape, and which other files there are."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from routingsim.corpora.logs.blocks import Digest, blocks, sample
from routingsim.corpora.logs.fields import Source, first_path, lookup, parse_map
from routingsim.corpora.logs.json_blocks import list_inside, unwrapped
from routingsim.corpora.logs.registry import recognised, unknown
from routingsim.corpora.logs.shape import Shape
from routingsim.corpora.logs.texts import stamp_of
from routingsim.corpora.logs.wide import format_of
from routingsim.corpora.mapping import likely, map_to_start_from, written
from routingsim.corpora.readers import rows_of_frame
from routingsim.corpora.rows import KINDS, Rows, TextColumn, counted, shown
from routingsim.errors import CorpusError

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".txt", ".log")
_FEW = 6  # names that a message lists


@dataclass(frozen=True)
class LogFile:
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
class LogFiles:
    """All files of a log."""

    name: str
    source: str
    files: Sequence[LogFile]
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


def of_frame(frame: pd.DataFrame, given: Shape | None, mapped: Mapping[str, Source]) -> LogFiles:
    """A table in memory as the one file of a log.

    Raises
    ------
    CorpusError
        If it is empty or of no known shape.
    """
    rows = rows_of_frame(frame, "frame")
    if not len(rows):
        raise CorpusError("frame: holds no call")
    shape, _ = _shape_of(rows, given, mapped)
    if shape is None:
        raise CorpusError(_refusal(rows))
    return LogFiles("frame", "DataFrame", [_file(shape, mapped, rows, None, ())])


def _refusal(rows: Rows) -> str:
    """Why a sample is not read."""
    format = format_of(rows)
    if format is None:
        return unknown(rows)
    what = f"is of the format {format}, with a row a task: it"
    if format in KINDS or format == "jsonl":
        what = "is a corpus, with a row a task: it"
    return f"{rows.file}: {what} is no log; load it with rs.load_corpus(…)"


def of_files(log: Any, given: Shape | None, mapped: Mapping[str, Source]) -> LogFiles:
    """The files at a path, or at several; of folders those that can hold calls.

    Raises
    ------
    CorpusError
        If there is no such file, if one has no known shape, or if files have several.
    """
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
    whole = LogFiles(name or paths[0].resolve().name, source, [])
    files: list[LogFile] = []
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
) -> LogFile:
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
    return LogFile(shape, own, rows, path, inside, stamp_of(path) if path else (0, 0))


def _without_others(
    files: list[LogFile], strange: Mapping[Path, str], others: Sequence[Path]
) -> tuple[list[LogFile], list[str]]:
    """The files that hold calls, and notes on the others of the folder."""
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
    files: list[LogFile], source: str, given: Shape | None, notes: list[str]
) -> list[LogFile]:
    if not files:
        raise CorpusError(f"{source}: holds no file of calls")
    by_shape: dict[str, list[LogFile]] = {}
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


def labels(files: Sequence[LogFile]) -> dict[str, str]:
    """Where each field comes from, as a summary says it."""
    found: dict[str, str] = {}
    for each in files:
        rows = each.sample if each.shape.prepare is None else each.shape.prepare(each.sample)
        for ours, source in each.sources.items():
            there = [path for path in source.paths if lookup(rows.columns, path)]
            label = there[0] if there else source.paths[0]
            found.setdefault(ours, label + (f" ({source.unit})" if source.unit else ""))
    return found


def unused(file: LogFile, found_fields: Collection[str]) -> str:
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
