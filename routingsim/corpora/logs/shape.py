"""What a tool's export looks like: its field table, how it is recognised, what is left out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.logs.fields import Source, heads, lookup, parse_source
from routingsim.corpora.rows import Rows

Kind = Literal["calls", "requests", "answers"]

PER_RECORD = 1 << 20
"""A call that was unfolded from a record has the record's number times this, plus its place."""

LeftOut = Mapping[str, NDArray[np.bool_]]
"""Why records are left out, and which."""


@dataclass(frozen=True)
class Shape:
    """The shape of a tool's export.

    Attributes
    ----------
    name : str
        What ``read_log(source=…)`` and ``load_corpus(format=…)`` call it.
    title : str
        The tool, and what it writes, as messages say it: "LiteLLM's spend log".
    table : mapping of str to str
        Where each field of a call is, in the grammar of ``--map``.
    always : tuple of str
        Paths that every file of this shape has; of ``a|b`` one is enough.
    never : tuple of str
        Columns that no file of this shape has.
    only : tuple of str, optional
        Where columns are few and plain: those that a file of this shape may have at all.
    kind : {"calls", "requests", "answers"}
        A row a call; requests, joined to their calls by ``call_id``; or the answers of an
        evaluation, where every agent meets every task.
    prepare : callable, optional
        Makes rows of calls from rows of the file: unfolds spans, derives columns.
    left_out : callable, optional
        The records, after ``prepare``, that are no calls: masks by reason.
    more : callable, optional
        Further fields, in the grammar of ``--map``, and notes, from a sample of a file.
    fits : callable, optional
        Whether a sample that has the columns is of this shape.
    reads : tuple of str
        Columns that these functions read, beside those of the table; "*" for all.
    types : mapping of str to type
        The types that msgspec decodes JSON columns to, where that is faster.
    text_reads : tuple of str
        Columns that ``prepare`` reads for the texts alone.
    beside : tuple of str
        Files that lie in the same folder and hold no calls.
    said : mapping of str to str
        What a reader of the field table should know of a field.
    form : str
        How the file is written, for the documentation.
    """

    name: str
    title: str
    table: Mapping[str, str]
    always: tuple[str, ...]
    never: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    kind: Kind = "calls"
    prepare: Callable[[Rows], Rows] | None = None
    left_out: Callable[[Rows], LeftOut] | None = None
    more: Callable[[Rows], tuple[Mapping[str, str], Sequence[str]]] | None = None
    fits: Callable[[Rows], bool] | None = None
    reads: tuple[str, ...] = ()
    types: Mapping[str, Any] = field(default_factory=dict)
    text_reads: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    said: Mapping[str, str] = field(default_factory=dict)
    form: str = "JSON lines, JSON, CSV or Parquet"

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """The field table, parsed."""
        return {ours: parse_source(ours, theirs) for ours, theirs in self.table.items()}

    def recognises(self, rows: Rows) -> bool:
        """Whether a sample is surely of this shape."""
        return (
            not self.lacks(rows)
            and not any(name in rows.columns for name in self.never)
            and (not self.only or rows.columns.keys() <= set(self.only))
            and (self.fits is None or self.fits(rows))
        )

    def lacks(self, rows: Rows) -> list[str]:
        """The paths of ``always`` that a sample does not have."""
        return [
            each for each in self.always if not any(has(rows, path) for path in each.split("|"))
        ]

    def wanted(self, sources: Mapping[str, Source], names: Sequence[str]) -> set[str] | None:
        """The columns to decode, by their names in a sample or in the table; None for all."""
        if "*" in self.reads:
            return set(self.types) if set(self.types) & set(names) else None
        paths = [path for source in sources.values() for path in source.paths]
        columns = dict.fromkeys(names, ())
        found = {head for path in paths for head in heads(path)} | set(self.reads)
        for path in (*paths, *self.reads):
            if at := lookup(columns, path):
                found.add(at[0])
        return found


def has(rows: Rows, path: str) -> bool:
    """Whether a sample has a path: its column, and in some record what lies in it."""
    found = lookup(rows.columns, path)
    if found is None:
        return False
    name, rest = found
    return not rest or any(_reaches(value, rest) for value in rows.columns[name][:50])


def _reaches(value: Any, path: Sequence[str]) -> bool:
    from routingsim.corpora.logs.fields import dig

    return dig(value, path) is not None


def column(rows: Rows, name: str) -> Sequence[Any]:
    """A column of the file, whatever its name's case; None for each record where it has none."""
    found = lookup(rows.columns, name)
    if found is None or found[1]:
        return [None] * len(rows)
    return rows.columns[found[0]]


def unfolded(rows: Rows, names: Sequence[str], parts: Iterable[Sequence[Sequence[Any]]]) -> Rows:
    """A row for each part of a record, with a value for each of ``names``."""
    found: list[Sequence[Any]] = []
    lines: list[int] = []
    numbers: list[int] = []
    for line, number, inner in zip(rows.lines, rows.numbers, parts, strict=True):
        found += inner
        lines += [line] * len(inner)
        numbers += range(number * PER_RECORD, number * PER_RECORD + len(inner))
    values = map(list, zip(*found, strict=True)) if found else ([] for _ in names)
    columns = dict(zip(names, values, strict=True))
    return Rows(rows.file, rows.kind, columns, lines, numbers, rows.unit, rows.lost)


def mask(values: Sequence[Any], test: Callable[[Any], bool]) -> NDArray[np.bool_]:
    """Where a test holds of the values."""
    return np.fromiter((test(value) for value in values), dtype=bool, count=len(values))


def is_true(value: Any) -> bool:
    """Whether a flag is set, as JSON, CSV or a database writes it."""
    return value is True or value == 1 or str(value).strip().casefold() in ("true", "1", "t", "yes")
