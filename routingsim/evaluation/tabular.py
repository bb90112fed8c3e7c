"""What results with a table have in common: Markdown, HTML and JSON-ready values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from routingsim import display
from routingsim.equality import ByValue
from routingsim.formatting import cells


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts of plain Python values, NaN as None."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


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
        return display.markdown_table(*texts(self.to_frame()))

    def to_html(self) -> str:
        """What a notebook shows: the summary and the first rows."""
        frame = self.to_frame()
        more = len(frame) - display.MOST_ROWS
        table = display.table(*texts(frame.head(display.MOST_ROWS)))
        return display.card(str(self), table, [f"{more:,} more rows"] if more > 0 else [])

    def _repr_html_(self) -> str:
        return self.to_html()


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
