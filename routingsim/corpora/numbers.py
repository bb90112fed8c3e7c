"""Columns of numbers: what each field allows, and reading a file's values as float64."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.readers import shown

_FLAGS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class RawColumn:
    """A column of a file that holds a field of the task.

    Attributes
    ----------
    label : str
        Its name in the file, for messages.
    values : sequence
        The raw values; None where there is none.
    divisor : float
        Divides a number to give our unit.
    """

    label: str
    values: Sequence[Any]
    divisor: float = 1.0


@dataclass(frozen=True)
class Allowed:
    """The numbers that a field may hold.

    Attributes
    ----------
    said : str
        What is allowed, as an error says it.
    high : float
        The highest value.
    above_zero : bool
        Whether 0 is not allowed.
    flag : bool
        Whether only true (1) and false (0) are.
    """

    said: str
    high: float = math.inf
    above_zero: bool = False
    flag: bool = False

    def holds(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each number is allowed."""
        if self.flag:
            return (numbers == 0) | (numbers == 1)
        low = numbers > 0 if self.above_zero else numbers >= 0
        return low & (numbers <= self.high) & (numbers != math.inf)


AMOUNT = Allowed("a finite number >= 0")
_ALLOWED = {
    "propensity": Allowed("a probability, above 0 and up to 1", 1.0, above_zero=True),
    "quality": Allowed("a number from 0 to 1", 1.0),
    "failed": Allowed("true or false", flag=True),
}


def allowed(field: str) -> Allowed:
    """What a field of a task or of an outcome allows."""
    return _ALLOWED.get(field, AMOUNT)


def read_numbers(
    column: RawColumn, allowed: Allowed, csv: bool, problems: dict[int, str]
) -> NDArray[np.float64]:
    """A column as float64, NaN where a value is missing or not allowed.

    Parameters
    ----------
    column : RawColumn
    allowed : Allowed
        What the field allows.
    csv : bool
        Whether numbers are text in this file.
    problems : dict of int to str
        Values that are not allowed are added here, by position.
    """
    if (whole := _all_numbers(column, allowed, csv)) is not None:
        return whole
    result = np.full(len(column.values), np.nan)
    for row, value in enumerate(column.values):
        if value is None:
            continue
        number = _number(value, allowed, csv)
        if allowed.holds(np.float64(number)):
            result[row] = number / column.divisor
        else:
            problems.setdefault(
                row, f"{column.label}: expected {allowed.said}, found {shown(value)}"
            )
    return result


def _number(value: Any, allowed: Allowed, csv: bool) -> float:
    """A value as a number; NaN where it is none."""
    if allowed.flag and (isinstance(value, bool | np.bool_) or (csv and value.lower() in _FLAGS)):
        return _FLAGS[str(value).lower()]
    number_like = isinstance(value, float | int | np.number | Decimal) and type(value) is not bool
    if number_like or (csv and isinstance(value, str)):
        with suppress(ValueError, OverflowError):
            return float(value)
    return math.nan


def _all_numbers(column: RawColumn, allowed: Allowed, csv: bool) -> NDArray[np.float64] | None:
    """The whole column at once, if every value in it is allowed."""
    values = column.values
    kinds = set(map(type, values)) - {type(None)}
    plain = kinds <= {float, int} or (allowed.flag and kinds <= {bool, float, int})
    if not (plain or (csv and kinds == {str})):
        return None
    try:
        numbers = np.array(values, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    given = len(values) - values.count(None)
    return numbers / column.divisor if np.count_nonzero(allowed.holds(numbers)) == given else None
