"""The records of a file as columns of raw values, before any is checked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from routingsim.errors import CorpusError
from routingsim.files import beyond, limit
from routingsim.progress import progress_bar

KINDS = ("json", "csv", "parquet")
"""The forms a table of tasks can have on disk."""


class TextColumn(Sequence[str | None]):
    """A column of a CSV file: texts in an Arrow array, null where a cell is empty.

    A whole column is looked at through :attr:`arrow`; single values are made Python's own
    when one is first asked for.
    """

    def __init__(self, arrow: pa.ChunkedArray) -> None:
        self.arrow = arrow

    @cached_property
    def values(self) -> list[str | None]:
        """All values as Python's own."""
        return self.arrow.to_pylist()

    @property
    def holds_any(self) -> bool:
        """Whether any value is a text that is not empty."""
        return bool(
            pc.call_function("any", [pc.call_function("not_equal", [self.arrow, ""])]).as_py()
        )

    def filled(self) -> "TextColumn":
        """The column with an empty text for each null."""
        return TextColumn(self.arrow.fill_null("")) if self.arrow.null_count else self

    def __len__(self) -> int:
        return len(self.arrow)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.values)


@dataclass(frozen=True)
class Skipped:
    """A record that was left out, and why.

    Attributes
    ----------
    file : str
        The file that holds it.
    line : int
        Its first line in a text file; its row in a JSON array, a Parquet file or
        a DataFrame. Both count from 1.
    reason : str
        The field, what was found there and what is allowed.
    unit : {"line", "row"}
        What ``line`` counts.
    """

    file: str
    line: int
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        place = f":{self.line}" if self.unit == "line" else f", row {self.line}"
        return f"{self.file}{place}: {self.reason}"


@dataclass
class Rows:
    """The records of one file as columns of raw values.

    Attributes
    ----------
    file : str
        The file's name in messages.
    kind : str
        One of :data:`KINDS`. Numbers in a CSV file are still text.
    columns : mapping of str to sequence
        Values under the file's own names; None where a record has none. A list, or a
        :class:`TextColumn`.
    lines : sequence of int
        The line or row (see ``unit``) at which each record starts, from 1.
    numbers : sequence of int
        The place of each among all records, readable or not, from 1.
    unit : {"line", "row"}
        What ``lines`` counts.
    lost : list of Skipped
        Records that cannot be read at all.
    delimiter : str
        What separates the cells of a CSV file; "" for other forms.
    """

    file: str
    kind: str
    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int]
    numbers: Sequence[int]
    unit: str = "line"
    lost: list[Skipped] = field(default_factory=list)
    delimiter: str = ""

    def __len__(self) -> int:
        return len(self.lines)

    def also(self, **columns: Sequence[Any]) -> "Rows":
        """The records with these columns added or replaced."""
        return replace(self, columns={**self.columns, **columns})


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things: "1 row", "2,000 rows", "2 rows were"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def any_match(texts: pa.ChunkedArray, pattern: str) -> bool:
    """Whether a regular expression (of RE2) is found in any of the texts."""
    options = pc.MatchSubstringOptions(pattern)
    found = pc.call_function("match_substring_regex", [texts], options)
    return bool(pc.call_function("any", [found]).as_py())


def long_line(data: bytes) -> tuple[int, str] | None:
    """Number of the first line that is too long to be decoded, and what to say of it."""
    mark = b"\n" if b"\n" in data else b"\r"
    start = long_run(data, mark, limit("ROUTINGSIM_MAX_LINE"))
    if start is None:
        return None
    end = data.find(mark, start)
    size = (len(data) if end < 0 else end) - start
    return data.count(mark, 0, start) + 1, beyond(
        "ROUTINGSIM_MAX_LINE", size, "bytes in one line"
    ) or ""


def long_run(data: bytes, mark: bytes, most: int) -> int | None:
    """Where more than ``most`` bytes begin in which there is no ``mark``; None where nowhere.

    >>> long_run(b"abc,defg,h", b",", 3)
    4
    """
    start = 0
    while start + most < len(data):
        found = data.rfind(mark, start, start + most + 1)
        if found < 0:
            return start
        start = found + 1
    return None


_QUOTED = {
    "csv": re.compile(rb'"(?:[^"]++|"")*+'),
    "json": re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL),
}
"""A text in quotes, whether or not it ends."""


def long_text(data: bytes, form: str, most: int) -> int | None:
    """Where a text of more than ``most`` bytes in quotes begins; None where none does.

    >>> long_text(b'id,text\\na,"say ""hi"" to"', "csv", 10)
    10
    """
    found = _QUOTED[form].finditer(data) if len(data) > most else ()
    return next((each.start() for each in found if each.end() - each.start() > most + 2), None)


def unnest(values: Sequence[Any], label: str, problems: dict[int, str]) -> dict[str, Sequence[Any]]:
    """Columns from a list of JSON objects, keys in the order first seen.

    A value that is neither an object nor None goes into ``problems`` under its
    position.
    """
    for row, value in enumerate(values):
        if value is not None and type(value) is not dict:
            problems.setdefault(row, f"{label}: expected an object, found {shown(value)}")
    objects = [value if type(value) is dict else {} for value in values]
    keys = dict.fromkeys(chain.from_iterable(objects))
    for variable, found, what in (
        ("ROUTINGSIM_MAX_COLUMNS", len(keys), "different keys"),
        ("ROUTINGSIM_MAX_CELLS", len(keys) * len(objects), "cells"),
    ):
        if reason := beyond(variable, found, what):
            raise CorpusError(f"{label or 'the records'}: {reason}")
    return {key: [each.get(key) for each in objects] for key in keys}


def shown(value: object) -> str:
    """A value as an error message quotes it: short, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str | bytes) and len(value) > 40:
        return f"{value[:40]!r}… ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def progress(file: str, total: int | None = None) -> tqdm:
    """A progress bar of records read."""
    return progress_bar(
        desc=f"reading {Path(file).name}",
        total=total,
        unit=" records",
        unit_scale=True,
    )
