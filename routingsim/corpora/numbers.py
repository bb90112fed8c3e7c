"""Columns of numbers: what each field allows, and reading a file's values as float64."""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from routingsim.corpora.rows import TextColumn, counted, shown

_FLAGS = ("true", "false")
NOTHING = {"null", "none", "nan", "nat", "na", "n/a", "#n/a", "<na>", "nil", "-", "--"}
"""What stands for a value that was not recorded, in lower case."""

_COMMA_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?")
_SPACE_GROUPS = re.compile(
    r"[+-]?[1-9]\d{0,2}(?P<space>[ '\u2019\u00a0\u202f])\d{3}((?P=space)\d{3})*([.,]\d+)?"
)
_MARKED_NUMBER = re.compile(r"[^\w\s]?\s*\d[\d.,]*\s*(%|[^\W\d_]{1,12}|[€$£])?")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
_POINT_NUMBER = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")


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
    begins : float
        Of times: seconds since 1970 at which they count from 0; 0 where they say it themselves.
    """

    label: str
    values: Sequence[Any]
    divisor: float = 1.0
    begins: float = 0.0


@dataclass(frozen=True)
class Allowed:
    """The numbers that a field may hold.

    Attributes
    ----------
    said : str
        What is allowed, as an error says it.
    high, low : float
        The highest and the lowest value.
    above_zero : bool
        Whether 0 is not allowed.
    flag : bool
        Whether only true (1) and false (0) are.
    truths : bool
        Whether true and false are read as 1 and 0.
    whole : bool
        Whether it is a count.
    level : bool
        Whether fractions are not allowed.
    """

    said: str
    high: float = math.inf
    low: float = 0.0
    above_zero: bool = False
    flag: bool = False
    truths: bool = False
    whole: bool = False
    level: bool = False

    def holds(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each number is allowed."""
        if self.flag:
            return (numbers == 0) | (numbers == 1)
        low = numbers > 0 if self.above_zero else numbers >= self.low
        if self.level:
            low &= np.isnan(numbers) | (numbers % 1 == 0)
        return low & (numbers <= self.high) & (np.abs(numbers) != math.inf)


AMOUNT = Allowed("a finite number >= 0")
_ALLOWED = {
    "propensity": Allowed("a probability, above 0 and up to 1", 1.0, above_zero=True),
    "quality": Allowed("a number from 0 to 1", 1.0, truths=True),
    "failed": Allowed("true or false", flag=True),
    "prompt_tokens": Allowed(AMOUNT.said, whole=True),
    "output_tokens": Allowed(AMOUNT.said, whole=True),
    "priority": Allowed("a whole number from 0 (most urgent) to 255", 255.0, level=True),
    "cached_tokens": Allowed(AMOUNT.said, whole=True),
    "cache_write_tokens": Allowed(AMOUNT.said, whole=True),
    "d_var": Allowed("a number from 0 to below 1", np.nextafter(1.0, 0.0)),
    "length": Allowed(AMOUNT.said, whole=True),
    "punctuation": Allowed(AMOUNT.said, whole=True),
    "unique_tokens": Allowed(AMOUNT.said, whole=True),
}


def allowed(field: str) -> Allowed:
    """What a field of a task or of an outcome allows."""
    return _ALLOWED.get(field, AMOUNT)


def read_numbers(
    column: RawColumn,
    allowed: Allowed,
    problems: dict[int, str],
    notes: list[str],
    *,
    comma_decimals: bool = False,
) -> NDArray[np.float64]:
    """A column as float64, NaN where a value is missing or not allowed.

    Parameters
    ----------
    column : RawColumn
    allowed : Allowed
        What the field allows.
    problems : dict of int to str
        Values that are not allowed are added here, by position.
    notes : list of str
        What was read otherwise than it is written is added here, with a count.
    comma_decimals : bool
        Whether the file may write 0.5 as "0,5": one whose cells are not separated by commas.
    """
    if (whole := _all_numbers(column, allowed, comma_decimals)) is not None:
        return whole
    read = _Spelling.of(column.values, allowed, comma_decimals=comma_decimals)
    result = np.full(len(column.values), np.nan)
    seen: dict[str, list[Any]] = {}
    for row, value in enumerate(column.values):
        if value is None:
            continue
        try:
            number, how = read.number(value)
        except ValueError as error:
            problems.setdefault(
                row, f"{column.label}: expected {allowed.said}, found {shown(value)}{error}"
            )
            continue
        if how:
            seen.setdefault(how, []).append(value)
        if number is None:
            continue
        if allowed.holds(np.array([number]))[0]:
            result[row] = number / column.divisor
        else:
            problems.setdefault(
                row, f"{column.label}: expected {allowed.said}, found {shown(value)}"
            )
    said = [
        f"{counted(len(values), 'value')} read {how}, as {shown(values[0])}"
        for how, values in seen.items()
    ]
    if said:
        notes.append(f"{column.label}: {'; '.join(said)}")
    return result


@dataclass(frozen=True)
class _Spelling:
    """How a column writes its numbers, judged from all of its values.

    ``mark`` is the decimal mark where a value shows which it is: in "0,5" it can only be
    the comma, in "1,234.5" only the point, and "1,234" does not show it.
    """

    allowed: Allowed
    mark: str
    comma_decimals: bool

    @classmethod
    def of(cls, values: Sequence[Any], allowed: Allowed, *, comma_decimals: bool) -> "_Spelling":
        texts = [value.strip() for value in values if isinstance(value, str)]
        comma = any(_shows_comma(text) for text in texts)
        point = any(_shows_point(text) for text in texts)
        mark = "both" if comma and point else "," if comma else "." if point else ""
        return cls(allowed, mark, comma_decimals)

    def number(self, value: Any) -> tuple[float | None, str]:
        """A value as a number, None where it stands for none, and how it was read.

        Raises
        ------
        ValueError
            If it is not a number; it says why, or nothing.
        """
        if isinstance(value, bool | np.bool_):
            return self._truth(bool(value))
        if isinstance(value, float | int | np.number | Decimal):
            with suppress(OverflowError):
                return float(value), ""
        if not isinstance(value, str):
            raise ValueError
        text = value.strip()
        if text.casefold() in NOTHING:
            return None, "as not recorded"
        if text.casefold() in _FLAGS:
            return self._truth(text.casefold() == "true")
        return self._written(text)

    def _truth(self, value: bool) -> tuple[float, str]:
        if self.allowed.flag:
            return float(value), ""
        if self.allowed.truths:
            return float(value), "with true as 1 and false as 0"
        raise ValueError

    def _written(self, text: str) -> tuple[float, str]:
        if spaced := _SPACE_GROUPS.fullmatch(text):
            plain = text.replace(spaced["space"], "").replace(",", ".")
            return float(plain), "without thousands separators"
        comma_groups, point_groups = _COMMA_GROUPS.fullmatch(text), _POINT_GROUPS.fullmatch(text)
        if comma_groups and self.mark in (".", "") and (self.mark or self.allowed.whole):
            return float(text.replace(",", "")), "with the comma as thousands separator"
        if comma_groups and not self.mark:
            readings = f"{text.replace(',', '')} or {text.replace(',', '.')}"
            raise ValueError(f", which can be {readings}; write it without a comma")
        if self.mark == "," and (point_groups or _COMMA_NUMBER.fullmatch(text)):
            if self.comma_decimals:
                plain = text.replace(".", "").replace(",", ".")
                return float(plain), "with the comma as decimal mark"
            raise ValueError("; write a decimal point, or separate cells by semicolons or tabs")
        if point_groups and not self.mark and self.allowed.whole and self.comma_decimals:
            return float(text.replace(".", "")), "with the point as thousands separator"
        if self.mark == "both" and "," in text:
            raise ValueError("; other values of the column have another decimal mark; write points")
        try:
            return float(text), ""
        except ValueError:
            marked = _MARKED_NUMBER.fullmatch(text)
            alone = "divide by 100" if text.endswith("%") else "write the number alone"
            raise ValueError(f"; {alone}" if marked else "") from None


def _shows_comma(text: str) -> bool:
    """Whether the decimal mark of this number can only be a comma."""
    groups = _POINT_GROUPS.fullmatch(text)
    if groups:
        return "," in text or text.count(".") > 1
    return bool(_COMMA_NUMBER.fullmatch(text)) and not _COMMA_GROUPS.fullmatch(text)


def _shows_point(text: str) -> bool:
    """Whether the decimal mark of this number can only be a point."""
    groups = _COMMA_GROUPS.fullmatch(text)
    if groups:
        return "." in text or text.count(",") > 1
    return bool(_POINT_NUMBER.fullmatch(text)) and not _POINT_GROUPS.fullmatch(text)


def _all_numbers(
    column: RawColumn, allowed: Allowed, comma_decimals: bool
) -> NDArray[np.float64] | None:
    """The whole column at once, if every value in it is a plain number that is allowed."""
    values = column.values
    if isinstance(values, TextColumn):
        try:
            numbers = values.arrow.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            return None
        given = len(values) - values.arrow.null_count
        if allowed.whole and comma_decimals and np.any(numbers[np.isfinite(numbers)] % 1):
            return None  # "1.234" is 1,234 tokens
    else:
        kinds = set(map(type, values)) - {type(None)}
        if not (kinds <= {float, int} or (allowed.flag and kinds <= {bool, float, int})):
            return None
        try:
            numbers = np.array(values, dtype=np.float64)
        except OverflowError:
            return None
        given = len(values) - list(values).count(None)
    if np.count_nonzero(allowed.holds(numbers)) != given:
        return None
    return numbers / column.divisor
