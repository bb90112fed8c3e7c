"""Tasks in files that are larger than memory: read in blocks, as often as they are asked for.

A stream is a file, or a folder whose files are one corpus in the order of their names: Parquet
(read through ``pyarrow``), JSON lines or CSV in our own format, gzipped or not. Its tasks
stay in that order. An id is checked to be the only one of its kind within a block, not over all.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.coverage import Coverage
from routingsim.corpora.logs.blocks import blocks as text_blocks
from routingsim.corpora.logs.blocks import sample
from routingsim.corpora.logs.wide import format_of
from routingsim.corpora.own_format import draft_own
from routingsim.corpora.readers import column_values
from routingsim.corpora.rows import Rows, counted, shown
from routingsim.corpora.validation import OUTCOMES, check, outcome_arrays, task_columns
from routingsim.equality import ByValue
from routingsim.errors import CorpusError, wrong_type
from routingsim.files import limit
from routingsim.synonyms import argument_hints

TASKS = 1 << 17
"""Most tasks of a block of a Parquet file."""

BYTES = 16 << 20
"""Bytes of a block, before it is unpacked."""

_BUFFER = 1 << 20  # bytes of a column of a Parquet file that are read at once

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json", ".csv")
"""Suffixes of the files of a folder that are read, each also with ``.gz``."""


_OWN = ("jsonl", "csv", "parquet")  # our own format, by the form of its files


@dataclass(frozen=True)
class Facts:
    """What is known of a stream once it has been read whole.

    Attributes
    ----------
    tasks : int
    categories, agents : tuple of str
        All categories in the order of their names, and all agents with a recorded outcome.
    columns : tuple of str
        Columns of the tasks that some block has.
    first, last : float
        The first and the last arrival (s); NaN where a task has none.
    unsorted : str
        The first task that arrives before the one before it; "" where none does.
    tenants : tuple of str
        All tenants in the order of their names, "" for tasks without one; that alone where there
        are none.
    last_priority : int
        The highest priority number that a task has.
    quality, cost : Coverage
        On how many tasks these are recorded.
    notes : tuple of str
        What the reader should know: records skipped, columns left.
    """

    tasks: int
    categories: tuple[str, ...]
    agents: tuple[str, ...]
    columns: tuple[str, ...]
    first: float
    last: float
    unsorted: str
    tenants: tuple[str, ...]
    last_priority: int
    quality: Coverage
    cost: Coverage
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class CorpusStream(ByValue):
    """A corpus in files, of which a block at a time is in memory; see :func:`stream_corpus`.

    Attributes
    ----------
    source : str
        The path it was opened with.
    files : tuple of Path
        Its files, in the order in which they are read.
    on_error, dates, agents
        As for :func:`routingsim.load_corpus`.
    """

    source: str
    files: tuple[Path, ...]
    on_error: str = "raise"
    dates: str | None = None
    agents: Collection[str] | None = None

    @property
    def name(self) -> str:
        """The name of the folder, or of the file without its suffix."""
        path = Path(self.source)
        return path.resolve().name if path.is_dir() else path.name.split(".")[0]

    def __len__(self) -> int:
        return self.facts.tasks

    def __repr__(self) -> str:
        read = f"{len(self):,} tasks in " if "facts" in vars(self) else ""
        return f"CorpusStream({self.source!r}: {read}{counted(len(self.files), 'file')})"

    @cached_property
    def facts(self) -> Facts:
        """The facts from reading all files once, which checks every record.

        Raises
        ------
        CorpusError
            If a file cannot be read, files have different columns, or a record is bad.
        """
        categories: set[str] = set()
        agents: dict[str, None] = {}
        columns: dict[str, None] = {}
        notes: dict[str, None] = {}
        tenants: set[str] = set()
        tasks = skipped = last_priority = 0
        first = last = np.nan
        unsorted = skipping = ""
        covered = {field: Coverage(0, Counter(), 0, 0, False) for field in ("quality", "cost")}
        for block, left in self._read():
            times = block.tasks["arrived_at"].to_numpy()
            if not tasks:
                first = last = times[0]
            late = np.flatnonzero(np.diff(times, prepend=last) < 0)
            if late.size and not unsorted:
                row = block.tasks.iloc[int(late[0])]
                unsorted = f"{shown(row['id'])} at {row['arrived_at']:g} s"
            last = times[-1] if not np.isnan(times).any() else np.nan
            categories.update(block.categories or ())
            tenants.update(block.tasks["tenant"].unique() if "tenant" in block.tasks else ("",))
            if "priority" in block.tasks:
                highest = np.nan_to_num(block.tasks["priority"].to_numpy(np.float64)).max()
                last_priority = max(last_priority, int(highest))
            agents.update(dict.fromkeys(block.agents))
            columns.update(dict.fromkeys(block.tasks.columns))
            for field in covered:
                covered[field] += Coverage.of(block, field)
            notes.update(dict.fromkeys(block.notes))
            skipping = skipping or (str(left[0]) if left else "")
            tasks, skipped = tasks + len(block), skipped + len(left)
        if skipped:
            records = counted(skipped, "record was", "records were")
            notes[f"{records} skipped; the first: {skipping}"] = None
        return Facts(
            tasks,
            tuple(sorted(categories)),
            tuple(agents),
            tuple(columns),
            float(first),
            float(last),
            unsorted,
            tuple(sorted(tenants)),
            last_priority,
            **covered,
            notes=tuple(notes),
        )

    @property
    def has_arrivals(self) -> bool:
        """Whether every task has an arrival time."""
        return not np.isnan(self.facts.last)

    def blocks(self) -> Iterator[Corpus]:
        """The tasks in order, a corpus a block, all with the stream's agents and categories."""
        facts = self.facts
        for block in _together(block for block, _ in self._read()):
            known = {key: block.outcome(key, facts.agents) for key in OUTCOMES}
            yield replace(
                block, agents=facts.agents, outcomes=known, categories=facts.categories, notes=()
            )

    def _read(self) -> Iterator[tuple[Corpus, tuple[Any, ...]]]:
        """The blocks, each with what it knows itself, and its records that were skipped."""
        origin = None
        for number, rows in enumerate(self.rows()):
            draft = draft_own(rows, self.dates)
            table, skipped = check([draft], on_error=self.on_error, agents=self.agents)
            agents, outcomes = outcome_arrays(table)
            tasks = table.loc[:, task_columns(table)]
            clock = draft.columns.get("arrived_at")
            if clock is not None and clock.begins:  # dates count from the first of their block
                origin = clock.begins if origin is None else origin
                tasks["arrived_at"] += clock.begins - origin
            notes = [] if number else list(draft.notes)
            yield (
                Corpus(
                    self.name,
                    tasks,
                    agents,
                    {key: outcomes[key] for key in OUTCOMES},
                    self.source,
                    f"block {number} of {self.source}",
                    tuple(notes),
                ),
                skipped,
            )

    def rows(self) -> Iterator[Rows]:
        """The records of all files, block by block, before any is checked."""
        columns: dict[str, str] = {}
        for path in self.files:
            if path.name.lower().endswith(".parquet"):
                yield from _parquet_rows(path, columns, self.files[0])
            else:
                for rows in text_blocks(path, None, size=BYTES):
                    if len(rows) or rows.lost:
                        yield rows


def _together(blocks: Iterator[Corpus]) -> Iterator[Corpus]:
    """The same tasks in larger blocks, in which many small files are joined."""
    held: list[Corpus] = []
    tasks = size = 0
    for block in blocks:
        held.append(block)
        tasks, size = tasks + len(block), size + block.texts.nbytes
        if 2 * tasks >= TASKS or size >= 2 * BYTES:
            yield _joined(held)
            held, tasks, size = [], 0, 0
    if held:
        yield _joined(held)


def _joined(blocks: list[Corpus]) -> Corpus:
    """Several blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    agents = tuple(dict.fromkeys(agent for block in blocks for agent in block.agents))
    outcomes = {
        key: np.concatenate([block.outcome(key, agents) for block in blocks]) for key in OUTCOMES
    }
    tasks = pd.concat([block.tasks for block in blocks], ignore_index=True)
    if "tenant" in tasks:  # some blocks may have none
        tasks["tenant"] = tasks["tenant"].fillna("")
    return replace(blocks[0], _tasks=tasks, agents=agents, outcomes=outcomes, categories=None)


@argument_hints
def stream_corpus(
    source: str | os.PathLike[str],
    *,
    on_error: str = "raise",
    dates: str | None = None,
    agents: Collection[str] | None = None,
) -> CorpusStream:
    """A corpus that is read in blocks, for :func:`routingsim.replay_stream`.

    Parameters
    ----------
    source : path
        A file of tasks, or a folder of such files: Parquet, JSON lines or CSV with the columns
        that :meth:`routingsim.Corpus.from_frame` describes.
    on_error : {"raise", "skip"}
        Whether a bad record is an error, or is left out and counted.
    dates : {None, "month first", "day first"}
        The order in dates such as 10/6/2023, which are an error without it.
    agents : collection of str, optional
        The names under which outcomes may be recorded. Default: any.

    Raises
    ------
    CorpusError
        If there is no such file, or the folder holds none that can be read.
    """
    if not isinstance(source, str | os.PathLike):
        raise CorpusError(
            wrong_type("stream_corpus", source, "the path of a file or folder is needed")
        )
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"{path}: no such file or folder; in blocks, files are read, not names")
    files = task_files(path)
    if not files:
        raise CorpusError(f"{path}: holds no file of tasks ({', '.join(SUFFIXES)})")
    return CorpusStream(os.fspath(source), files, on_error, dates, agents)


def is_tasks(path: Path) -> bool:
    """Whether a folder holds tasks in our own format, by the first records of its first file."""
    files = task_files(path) if path.is_dir() else ()
    if not files:
        return False
    try:
        return format_of(sample(files[0])) in _OWN
    except CorpusError:
        return False


def streamed_bytes(path: Path) -> int | None:
    """The bytes of files of tasks, where they are too many to be loaded whole; else None."""
    if not is_tasks(path):
        return None
    size = sum(each.stat().st_size for each in task_files(path))
    return size if size > limit("ROUTINGSIM_STREAM_BYTES") else None


def load_folder(stream: CorpusStream) -> Corpus:
    """All tasks of a stream in memory."""
    size = streamed_bytes(Path(stream.source))
    if size is not None:
        raise CorpusError(
            f"{stream.source}: {size:,} bytes of tasks are too many to load whole; replay them in "
            "blocks with rs.replay_stream(rs.stream_corpus(path)) (routingsim replay does), or set "
            "ROUTINGSIM_STREAM_BYTES above that"
        )
    drafts = [draft_own(rows, stream.dates) for rows in stream.rows()]
    clocks = [draft.columns.get("arrived_at") for draft in drafts]
    origin = next((clock.begins for clock in clocks if clock is not None), 0.0)
    for draft, clock in zip(drafts, clocks, strict=True):
        if clock is not None and clock.begins:
            later = [None if s is None else s + (clock.begins - origin) for s in clock.values]
            draft.columns["arrived_at"] = replace(clock, values=later, begins=origin)
    digest = sha256()
    for path in stream.files:
        digest.update(path.read_bytes())
    return Corpus.from_drafts(
        drafts,
        name=stream.name,
        source=stream.source,
        sha256=digest.hexdigest(),
        on_error=stream.on_error,
        agents=stream.agents,
    )


def task_files(path: Path) -> tuple[Path, ...]:
    """The files of a folder that can hold tasks, in the order of their names; else the file."""
    if not path.is_dir():
        return (path,)
    inside = sorted(each for each in path.rglob("*") if each.is_file())
    return tuple(
        each
        for each in inside
        if not any(part.startswith((".", "_")) for part in each.relative_to(path).parts)
        and Path(each.name.lower().removesuffix(".gz")).suffix in SUFFIXES
    )


def _parquet_rows(path: Path, columns: dict[str, str], first: Path) -> Iterator[Rows]:
    """Blocks of a Parquet file, whose columns are to be those of the ``first``."""
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            _same_columns(path, file.schema_arrow, columns, first)
            number = 0
            # Batches continue across row groups, of which none is in memory as a whole.
            for batch in file.iter_batches(_batch(file.metadata), use_threads=False):
                places = range(number + 1, number + 1 + batch.num_rows)
                number += batch.num_rows
                values = {
                    name: column_values(pa.chunked_array([column]))
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                }
                if batch.num_rows:
                    yield Rows(str(path), "parquet", values, places, places, "row")
    except (pa.ArrowException, OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise CorpusError(f"{path}: damaged or cut-off Parquet file ({why})") from error


def _batch(about: pq.FileMetaData) -> int:
    """Rows of a block: as many as take about 64 MB, by the mean row of the file."""
    size = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
    return min(max(4 * BYTES * about.num_rows // max(size, 1), 1000), TASKS)


def _same_columns(path: Path, schema: pa.Schema, columns: dict[str, str], first: Path) -> None:
    """Note the columns of the first file; refuse another that differs."""
    mine = {each.name: _kind(each.type) for each in schema}
    if not columns:
        columns |= mine
    if mine == columns:
        return
    name = next(name for name in {**columns, **mine} if mine.get(name) != columns.get(name))
    here, there = mine.get(name, "not there"), columns.get(name, "not there")
    raise CorpusError(
        f"{path}: column {shown(name)} is {here}, and in {first} it is {there}; the files of a "
        "folder are one corpus, so give all the same columns"
    )


def _kind(of: pa.DataType) -> str:
    """What a column holds, in a word."""
    if pa.types.is_dictionary(of):
        return _kind(of.value_type)
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return "text"
    number = pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_null(of)
    return "numbers" if number else str(of)
