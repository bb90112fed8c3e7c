"""When tasks arrived: seconds, clocks that count from 1970, and dates, each made seconds."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from routingsim.corpora.checkup.clocks import clock_changes, local_times
from routingsim.corpora.checkup.finding import Finding
from routingsim.corpora.numbers import NOTHING, RawColumn
from routingsim.corpora.rows import TextColumn, counted, shown

DATE_ORDERS = ("month first", "day first")
"""What dates such as 10/6/2023 can be."""

_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
CLOCK_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""How many of each unit a second has."""

NO_TIME = np.iinfo(np.int64).min
"""What stands for a time that is not known."""

_LATEST = 9e9  # seconds since 1970: nanoseconds beyond are no int64
_SINCE_1970 = (5e8, 5e9)  # seconds: from 1985 to 2128
_DATE = re.compile(
    r"\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(\D|$)|\d{8}T\d|(\w+,? )?(\d+ )?[A-Z][a-z]{2,8}\.? \d)"
)
_NUMERIC_DATE = re.compile(
    r"\s*(\d{1,2})([/.-])(\d{1,2})\2(\d{4})"
    r"(?:,?[ T]+(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?\s*(?:([AaPp])\.?[Mm]\.?)?)?\s*"
)


def read_arrivals(
    column: RawColumn,
    problems: dict[int, str],
    notes: list[str],
    findings: list[Finding],
    dates: str | None,
) -> RawColumn:
    """Arrivals as numbers with a divisor that gives seconds.

    Numbers that count milliseconds, microseconds or nanoseconds since 1970 get that
    divisor. Dates and times become seconds from the earliest. All else is left as it is.

    Parameters
    ----------
    column : RawColumn
    problems : dict of int to str
        Values that do not fit the others are added here, by position.
    notes : list of str
        How the column was read is added here.
    findings : list of Finding
        What is suspicious about the clock is added here.
    dates : {None, "month first", "day first"}
        The order in dates such as 10/6/2023.
    """
    numbers = _numbers(column.values)
    given = len(column.values) - _missing(column.values)
    for unit, factor in _UNITS.items():
        low, high = (each * factor for each in _SINCE_1970)
        fits = (numbers >= low) & (numbers < high)
        if 2 * np.count_nonzero(fits) > given:
            for row in np.flatnonzero(~fits & ~np.isnan(numbers)).tolist():
                reason = f"expected {unit} since 1970 as in other rows"
                found = shown(column.values[row])
                problems.setdefault(row, f"{column.label}: {reason}, found {found}")
            notes.append(
                f"{column.label}: {unit} since 1970, divided by {factor:,.0f} to give seconds"
            )
            return replace(column, divisor=factor)
    since = (numbers >= _SINCE_1970[0]) & (numbers < _SINCE_1970[1])
    if since.any() and 2 * np.count_nonzero(since) >= given:
        for row in np.flatnonzero(numbers >= _SINCE_1970[0] * _UNITS["milliseconds"]).tolist():
            reason = "expected seconds since 1970 as in other rows"
            problems.setdefault(row, f"{column.label}: {reason}, found {shown(column.values[row])}")
    if 2 * np.count_nonzero(~np.isnan(numbers)) > given or not _any_date(column.values):
        return column
    texts = _iso_texts(column, problems, notes, dates)
    seconds, earliest = seconds_from_earliest(RawColumn(column.label, texts), problems)
    notes.append(f"{column.label}: times, counted in seconds from {earliest}")
    local, zoned = local_times(texts)
    if local.size and zoned:
        notes.append(f"{column.label}: {counted(local.size, 'time')} without a zone read as UTC")
    findings += clock_changes(local, column.label)
    first = pd.Timestamp(earliest) if earliest != "none" else None
    begins = first.timestamp() if isinstance(first, pd.Timestamp) else 0.0
    return RawColumn(column.label, seconds, begins=begins)


def read_clock(
    column: RawColumn, unit: str, problems: dict[int, str], notes: list[str], dates: str | None
) -> NDArray[np.int64]:
    """Times as nanoseconds since 1970, or on the clock that they have.

    Parameters
    ----------
    column : RawColumn
    unit : {"", "s", "ms", "us", "ns"}
        What numbers count; "" where their size tells.
    problems : dict of int to str
        Values that are no times are added here, by position.
    notes : list of str
        How the column was read is added here.
    dates : {None, "month first", "day first"}
        The order in dates such as 10/6/2023.

    Returns
    -------
    ndarray of int64
        :data:`NO_TIME` where there is none.
    """
    values = column.values
    given = len(values) - _missing(values)
    result = np.full(len(values), NO_TIME)
    if not given:
        return result
    numbers = _numbers(values)
    if 2 * np.count_nonzero(~np.isnan(numbers)) > given:
        per_second = CLOCK_UNITS[unit or _unit_of(numbers)]
        wrong = np.isnan(numbers) | (numbers < 0) | (numbers >= _LATEST * per_second)
        result[~wrong] = _nanoseconds(values, numbers, per_second)[~wrong]
        rows = np.flatnonzero(wrong).tolist()
        allowed = "a finite number >= 0"
    else:
        texts = _all_texts(values)
        stamps = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
        if stamps.isna().sum() > len(values) - given:
            spelled = _iso_texts(column, problems, notes, dates)
            stamps = pd.to_datetime(
                pd.Series(spelled, dtype="str"), format="ISO8601", errors="coerce", utc=True
            )
        found = pd.DatetimeIndex(stamps)
        # int64 holds the nanoseconds of these years.
        known = np.asarray(found.notna() & (found.year > 1677) & (found.year < 2262))
        result[known] = found[known].as_unit("ns").asi8
        rows = np.flatnonzero(~known).tolist()
        allowed = "a time like 2023-11-16 18:17:03.9799600"
    for row in rows:
        value = values[row]
        if value is not None and str(value).strip().casefold() not in {*NOTHING, ""}:
            problems.setdefault(row, f"{column.label}: expected {allowed}, found {shown(value)}")
    return result


def _unit_of(numbers: NDArray[np.float64]) -> str:
    """What numbers count: since 1970 by their size, else seconds."""
    median = float(np.nanmedian(numbers))
    low, high = _SINCE_1970
    return next(
        (unit for unit, factor in CLOCK_UNITS.items() if low * factor <= median < high * factor),
        "s",
    )


def _nanoseconds(
    values: Sequence[Any], numbers: NDArray[np.float64], per_second: int
) -> NDArray[np.int64]:
    """Numbers of a unit as nanoseconds: whole ones exactly, others to a microsecond."""
    whole = numbers % 1 == 0
    if per_second == 10**9 and numbers.size and whole[~np.isnan(numbers)].all():
        with suppress(ValueError, OverflowError, pa.ArrowInvalid):
            if isinstance(values, TextColumn):
                exact = values.arrow.cast(pa.int64()).fill_null(NO_TIME)
                return exact.to_numpy().copy()
            return np.array([NO_TIME if each is None else int(each) for each in values])
    plain = np.nan_to_num(numbers)
    micro = np.clip(plain * (1_000_000 / per_second), 0, _LATEST * 1_000_000)
    return np.round(micro).astype(np.int64) * 1000


def _all_texts(values: Sequence[Any]) -> pd.Series:
    if isinstance(values, TextColumn):
        return pd.Series(pd.array(values.arrow, dtype="str"))
    if set(map(type, values)) <= {str, type(None)}:
        return pd.Series(values, dtype="str")
    return pd.Series([None if each is None else str(each) for each in values], dtype="str")


def seconds_from_earliest(
    column: RawColumn, problems: dict[int, str]
) -> tuple[list[float | None], str]:
    """Dates and times as seconds from the earliest of them.

    Parameters
    ----------
    column : RawColumn
        ISO 8601 texts or datetimes; one without a time zone is in UTC.
    problems : dict of int to str
        Values that are neither are added here, by position.

    Returns
    -------
    seconds : list of float or None
    earliest : str
        In ISO 8601.
    """
    texts = [None if value is None else str(value) for value in column.values]
    stamps = pd.Series(texts, dtype="str")
    times = pd.to_datetime(stamps, format="ISO8601", errors="coerce", utc=True)
    earliest = times.min()
    seconds: list[float | None] = ((times - earliest) / pd.Timedelta(seconds=1)).tolist()
    for row in np.flatnonzero(times.isna()).tolist():
        seconds[row] = None
        if column.values[row] is not None:
            problems.setdefault(
                row,
                f"{column.label}: expected a time like 2023-11-16 18:17:03.9799600, "
                f"found {shown(column.values[row])}",
            )
    return seconds, earliest.isoformat() if pd.notna(earliest) else "none"


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """The values that are plain numbers; NaN for others."""
    if isinstance(values, TextColumn):
        try:
            return values.arrow.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            texts = pd.Series(values.values, dtype="str")
            bare = texts.str.replace(r"(?<=\d),(?=\d{3})", "", regex=True)
            numbers = pd.to_numeric(bare, errors="coerce")
            return np.asarray(numbers, dtype=np.float64)
    elif set(map(type, values)) <= {int, float, type(None)}:
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:
            pass
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _missing(values: Sequence[Any]) -> int:
    return values.arrow.null_count if isinstance(values, TextColumn) else list(values).count(None)


def _any_date(values: Sequence[Any]) -> bool:
    return any(
        isinstance(value, date) or (isinstance(value, str) and _DATE.match(value))
        for value in values
    )


def _iso_texts(
    column: RawColumn, problems: dict[int, str], notes: list[str], dates: str | None
) -> list[str | None]:
    """Each value as ISO 8601 writes it, where it is known what it means."""
    texts: list[str | None] = [
        None if value is None else str(value).strip() for value in column.values
    ]
    missing = [row for row, text in enumerate(texts) if text and text.casefold() in NOTHING]
    if missing:
        notes.append(
            f"{column.label}: {counted(len(missing), 'value')} read as not recorded, as "
            f"{shown(texts[missing[0]])}"
        )
        for row in missing:
            texts[row] = None
    stamps = pd.to_datetime(
        pd.Series(texts, dtype="str"), format="ISO8601", errors="coerce", utc=True
    )
    others = {row: texts[row] or "" for row in np.flatnonzero(stamps.isna()).tolist() if texts[row]}
    numeric = {row: found for row in others if (found := _NUMERIC_DATE.fullmatch(others[row]))}
    order = dates or _order_shown(numeric, column.label, notes)
    for row, found in numeric.items():
        first, second = int(found[1]), int(found[3])
        by_month, by_day = _iso(found, first, second), _iso(found, second, first)
        if order is None and first <= 12 and second <= 12:
            problems.setdefault(
                row,
                f"{column.label}: {shown(found[0])} can be {by_month} or {by_day}; write it so, "
                "or say which with dates='month first' or dates='day first' (--dates)",
            )
        elif order:
            texts[row] = by_month if order == "month first" else by_day
    for row in others.keys() - numeric.keys():  # as databases print times
        with_hyphens = re.sub(r"^(\d{4})/(\d\d?)/(\d\d?)", _hyphens, others[row])
        with_points = re.sub(r"(:\d\d),(\d+)", r"\1.\2", with_hyphens)
        texts[row] = re.sub(r"\s*(UTC|GMT)$", "Z", with_points)
    return texts


def _hyphens(found: re.Match[str]) -> str:
    return f"{found[1]}-{int(found[2]):02d}-{int(found[3]):02d}"


def _order_shown(numeric: dict[int, re.Match[str]], label: str, notes: list[str]) -> str | None:
    """The order of dates that one of them shows: 13 is no month, and points stand in dates
    that begin with the day."""
    by_day = next((each[0] for each in numeric.values() if int(each[1]) > 12), None) or next(
        (each[0] for each in numeric.values() if each[2] == "."), None
    )
    by_month = next((each[0] for each in numeric.values() if int(each[3]) > 12), None)
    if bool(by_day) == bool(by_month):
        return None
    order = "day first" if by_day else "month first"
    notes.append(f"{label}: dates read {order}, as {shown(by_day or by_month)} shows")
    return order


def _iso(found: re.Match[str], month: int, day: int) -> str:
    hour = int(found[5] or 0)
    if found[8]:
        hour = hour % 12 + (12 if found[8] in "Pp" else 0)
    text = f"{found[4]}-{month:02d}-{day:02d}"
    return f"{text} {hour:02d}:{found[6]}:{found[7] or '00'}" if found[5] else text
