"""What a report consists of: plain data, which HTML, Markdown and JSON show each in its way."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from routingsim.formatting import cells, decimals

Kind = Literal["text", "count", "percent", "quality", "number", "seconds", "interval"]
"""How a column's values are shown: see :func:`routingsim.formatting.cells`."""


@dataclass(frozen=True)
class Column:
    """One column: its name, its unit ("" for none), and how its values are shown.

    Columns with the same ``of`` show the same number of decimals throughout a report. By default
    these are the columns with the same title, and all columns of seconds.
    """

    name: str
    unit: str = ""
    kind: Kind = "number"
    of: str = ""

    @property
    def title(self) -> str:
        """Its name and its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def like(self) -> tuple[str, str]:
        """A key that columns with the same number of decimals share."""
        return self.kind, self.of or ("" if self.kind == "seconds" else self.title)


Cells = tuple[Column | str, Iterable[Any]]
"""A column and its values; a name alone is that of a column of texts."""


@dataclass(frozen=True)
class Table:
    """Rows of plain values, None where there is none; the first column names the row.

    ``colours`` has the colour of each row's agent or policy, or is empty. ``places`` has the
    decimals of columns, by :attr:`Column.like`. With ``of_row`` each row shows another figure, so
    the numbers of a row, not those of a column, share their decimals."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    colours: tuple[str, ...] = ()
    places: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))
    of_row: bool = False

    def texts(self) -> list[tuple[str, ...]]:
        """The rows as they are shown."""
        if self.of_row:
            return [self._row(row) for row in self.rows]
        shown = [cells(v, c.kind, self.places.get(c.like)) for c, v in self.by_column()]
        return list(zip(*shown, strict=True))

    def _row(self, row: Sequence[Any]) -> tuple[str, ...]:
        numbers = [v for v, c in zip(row, self.columns, strict=True) if c.kind == "number"]
        places = decimals(numbers, "number")
        found = (cells([v], c.kind, places) for v, c in zip(row, self.columns, strict=True))
        return tuple(text for each in found for text in each)

    def by_column(self) -> list[tuple[Column, tuple[Any, ...]]]:
        """Each column and its values."""
        values = zip(*self.rows, strict=True) if self.rows else ()
        return list(zip(self.columns, values, strict=False))


@dataclass(frozen=True)
class Facts:
    """Pairs of a term and what is known of it."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A plot: its caption, its description for those who cannot see it, and how to draw it."""

    title: str
    point: str
    words: str
    draw: Callable[[Axes], object]


@dataclass(frozen=True)
class Gallery:
    """Plots side by side on the same scales; ``size`` is that of each in inches."""

    name: str
    pictures: tuple[Picture, ...]
    size: tuple[float, float] = (3.6, 2.8)


@dataclass(frozen=True)
class Choice:
    """What one policy did with a task; latency in seconds if it is known, cost in USD."""

    policy: str
    agent: str
    colour: str
    status: str
    latency: float | None
    cost: float
    quality: float | None


@dataclass(frozen=True)
class Task:
    """A task, its text shortened, and what each policy did with it."""

    id: str
    text: str
    category: str
    d_var: float | None
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Tasks:
    """Tasks shown one by one."""

    items: tuple[Task, ...]


Block = Table | Facts | Points | Gallery | Tasks


Terms = tuple[tuple[str, str], ...]
"""Words of the glossary, and what they mean."""


@dataclass(frozen=True)
class Section:
    """A heading, a few sentences, and the tables, plots and lists they are about.

    ``terms`` explains the words that the report uses here first.
    """

    id: str
    title: str
    text: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    terms: Terms = ()


@dataclass(frozen=True)
class Answer:
    """The decision that a report leads with: what was asked, the answer, and the rest by title."""

    asked: str
    answer: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    terms: Terms = ()
    title: str = "Decision"


@dataclass(frozen=True)
class Card:
    """A policy at a glance: the verdict on its stability, and figures as (name, value)."""

    policy: str
    verdict: str
    said: str
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Summary:
    """A report in words: whether waits can be believed, what was found, and what to mind."""

    verdict: str
    findings: tuple[str, ...]
    caveats: tuple[str, ...]
    terms: Terms = ()


@dataclass(frozen=True)
class Document:
    """A report. ``data`` has the results' own figures for other programs, by name."""

    title: str
    subtitle: str
    date: str
    answer: Answer
    summary: Summary
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    data: dict[str, Any]


def table(
    caption: str, columns: Sequence[Cells], colours: Sequence[str] = (), *, of_row: bool = False
) -> Table:
    """A table from its columns, whose values may be numpy's or pandas's; NaN becomes None."""
    heads = [Column(c, kind="text") if isinstance(c, str) else c for c, _ in columns]
    values = (
        [_plain(value, head.kind) for value in each]
        for head, (_, each) in zip(heads, columns, strict=True)
    )
    rows = tuple(zip(*values, strict=True))
    return Table(caption, tuple(heads), rows, tuple(colours), of_row=of_row)


def aligned(sections: Sequence[Section]) -> tuple[Section, ...]:
    """The sections of a report, their columns of one thing with as many decimals in all tables."""
    blocks = [block for each in sections for block in each.blocks]
    tables = [block for block in blocks if isinstance(block, Table) and not block.of_row]
    values: dict[tuple[str, str], list[Any]] = {}
    for column, found in (pair for each in tables for pair in each.by_column()):
        if column.kind in ("number", "seconds", "interval"):
            values.setdefault(column.like, []).extend(found)
    places = {like: decimals(found, like[0]) for like, found in values.items()}

    def shown(block: Block) -> Block:
        return replace(block, places=places) if isinstance(block, Table) else block

    return tuple(replace(each, blocks=tuple(map(shown, each.blocks))) for each in sections)


def _plain(value: Any, kind: Kind) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if kind == "interval":
        return tuple(_plain(part, "number") for part in value)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return int(value) if kind == "count" else value
