"""What a report consists of: plain data, which each renderer shows in its own way."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from routingsim.report.formatting import cells

__all__ = [
    "Block",
    "Card",
    "Choice",
    "Column",
    "Document",
    "Facts",
    "Gallery",
    "Kind",
    "Picture",
    "Points",
    "Section",
    "Summary",
    "Table",
    "Task",
    "Tasks",
    "table",
]

Kind = Literal["text", "count", "percent", "quality", "number", "seconds", "interval"]
"""How a column's values are shown: see :func:`routingsim.report.formatting.cells`."""


@dataclass(frozen=True)
class Column:
    """One column: how it is called, its unit ("" for none), and how its values are shown."""

    name: str
    unit: str = ""
    kind: Kind = "number"


@dataclass(frozen=True)
class Table:
    """Rows of plain values, None where there is none; the first column names the row.

    ``colours`` are the rows' own (an agent's), or empty.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    colours: tuple[str, ...] = ()

    def texts(self) -> list[tuple[str, ...]]:
        """The rows as a reader sees them."""
        by_column = zip(*self.rows, strict=True) if self.rows else ()
        shown = [cells(v, c.kind) for v, c in zip(by_column, self.columns, strict=False)]
        return list(zip(*shown, strict=True))


@dataclass(frozen=True)
class Facts:
    """Terms and what there is to say of each."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A plot: its point, what it shows in words for those who do not see it, how to draw it."""

    title: str
    point: str
    words: str
    draw: Callable[[Axes], object]


@dataclass(frozen=True)
class Gallery:
    """Plots side by side, alike in range; ``size`` of each in inches."""

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
    """Tasks to read in full."""

    items: tuple[Task, ...]


Block = Table | Facts | Points | Gallery | Tasks


@dataclass(frozen=True)
class Section:
    """A heading, a few sentences, and what they speak of."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Card:
    """A policy at a glance: its verdict, and figures as (name, value)."""

    policy: str
    verdict: str
    said: str
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Summary:
    """The run in words: whether it can be believed, what was found, and what to mind."""

    verdict: str
    findings: tuple[str, ...]
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """A report. ``data`` is what its results say of themselves, for machines, by name."""

    title: str
    subtitle: str
    date: str
    summary: Summary
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    data: dict[str, Any]


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Any]],
    colours: Sequence[str] = (),
) -> Table:
    """A table of plain values from whatever numpy and pandas gave; NaN becomes None."""
    plain = tuple(
        tuple(_plain(value, column.kind) for value, column in zip(row, columns, strict=True))
        for row in rows
    )
    return Table(caption, tuple(columns), plain, tuple(colours))


def _plain(value: Any, kind: Kind) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if kind == "interval":
        return tuple(_plain(part, "number") for part in value)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return int(value) if kind == "count" else value
