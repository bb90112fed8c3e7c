"""What results with a table have in common: Markdown, HTML and JSON-ready values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from routingsim import display
from routingsim.equality import ByValue
from routingsim.formatting import cells


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts of plain Python values, NaN as None."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def table_of(found: Iterable[object], names: Sequence[str]) -> pd.DataFrame:
    """A row for each object, with a column for each of its attributes of these names."""
    rows = [[getattr(each, name) for name in names] for each in found]
    return pd.DataFrame(rows, columns=list(names))


class Tabular(ByValue, ABC):
    """A result whose content is one table."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The table, its row labels as columns."""

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON: the result's numbers, and its table as ``rows``."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]
        numbers = {name: value for name, value in named.items() if isinstance(value, int | float)}
        return numbers | {"rows": records(self.to_frame())}

    def to_markdown(self) -> str:
        """The table in GitHub's Markdown."""
        return display.markdown_table(*self.shown())

    def shown(self) -> tuple[list[str], list[list[str]]]:
        """Heads and rows of the table as people read them."""
        return texts(self.to_frame())

    def below(self) -> list[str]:
        """Lines that stand below the table."""
        return []

    def to_html(self) -> str:
        """What a notebook shows: the summary, the first rows, and what stands below them."""
        heads, rows = self.shown()
        more = len(rows) - display.MOST_ROWS
        table = display.table(heads, rows[: display.MOST_ROWS])
        below = [*self.below(), *([f"{more:,} more rows"] if more > 0 else [])]
        return display.card(str(self), table, below)

    def _repr_html_(self) -> str:
        return self.to_html()


class Reported(Tabular):
    """A result that has a report."""

    def report(self, path: str | Path) -> Path:
        """Write the report as one file: HTML, or by suffix .pdf, .md, .json or .ipynb.

        Raises
        ------
        SimulationError
            If the suffix is another, or the file cannot be written.
        """
        from routingsim.report.html import write_report  # a layer above, when it is called

        return write_report(self, path)  # type: ignore[arg-type]


def texts(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a table as people read them, a column's numbers with as many decimals."""
    rows = [list(row.values()) for row in records(frame)]
    columns = map(_texts, zip(*rows, strict=True))
    return [str(name) for name in frame.columns], list(map(list, zip(*columns, strict=True)))


def _texts(values: Sequence[Any]) -> list[str]:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, float) and math.isfinite(value) for value in known):
        return cells(values, "number", absent="")
    return ["" if value is None else display.parameter(value) for value in values]
