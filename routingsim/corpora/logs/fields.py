"""Which column of a file holds which field of a call, and its values as arrays.

A field's source is written as in ``--map``: ``THEIRS[|THEIRS…][:UNIT]``. ``THEIRS`` is a column, or
a path into the objects and lists of one: ``usage.prompt_tokens``, ``choices.0.finish_reason``; a
column that holds JSON as text is looked into, too. Of several the first that a call has is taken.
``=NAME`` is one NAME for every call, ``@file`` and ``@folder`` are the names of the file and of its
folder.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from routingsim.corpora.chats import last_user_messages
from routingsim.corpora.logs.statuses import read_statuses
from routingsim.corpora.mapping import plain
from routingsim.corpora.numbers import AMOUNT, Allowed, RawColumn, allowed, read_numbers
from routingsim.corpora.rows import Rows, TextColumn, any_match, shown
from routingsim.corpora.times import CLOCK_UNITS, read_clock
from routingsim.errors import CorpusError

NAMES = ("call_id", "task_id", "session_id", "parent_id", "agent", "tags")
"""Fields that are short texts; "" where there is none."""

NUMBERS = (
    "turn",
    "prompt_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "ttft",
    "latency",
    "cost",
    "quality",
    "propensity",
)
"""Fields that are numbers; NaN where not recorded."""

CLOCKS = ("arrived_at", "first_token_at", "ended_at")
"""Fields that are times; of the last two, ttft and latency are made where these are not given."""

FIELDS = (*NAMES, *NUMBERS, *CLOCKS, "status", "text")
"""All fields that a column can hold."""

_ALIASES = {"id": "call_id", "model": "agent", "started_at": "arrived_at"}
_SPANS = ("ttft", "latency")
_SCALE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
_UNITS = {
    **dict.fromkeys(_SPANS, ("s", "ms", "us", "ns")),
    **{
        clock: ("s", "ms", "us", "ns", *(f"epoch_{unit}" for unit in CLOCK_UNITS))
        for clock in CLOCKS
    },
    "cost": ("usd", "cents"),
    "quality": ("percent", "LOW..HIGH"),
}
_ALL_UNITS = {unit for units in _UNITS.values() for unit in units}
_PER_UNIT = {**{unit: float(per) for unit, per in CLOCK_UNITS.items()}, "cents": 100.0}
_COUNT = Allowed(AMOUNT.said, whole=True)
_ANY = Allowed("a number", low=-np.inf)


@dataclass(frozen=True)
class Source:
    """Where the values of a field are.

    Attributes
    ----------
    paths : tuple of str
        Columns, or paths into them; the first that a call has is taken.
    unit : str
        Of the values; "" where it is ours, or where the values tell it.
    """

    paths: tuple[str, ...]
    unit: str = ""

    def __str__(self) -> str:
        return "|".join(self.paths) + (f":{self.unit}" if self.unit else "")


def parse_map(text: str | Mapping[str, str]) -> dict[str, Source]:
    """A mapping as ``--map`` writes it, ``OURS=THEIRS[:UNIT],…``, or as a dictionary.

    Raises
    ------
    CorpusError
        If a field or a unit is not known, or one is given twice.
    """
    if isinstance(text, str):
        pairs = []
        for part in text.split(","):
            ours, equals, theirs = part.partition("=")
            if not equals or not theirs.strip():
                raise CorpusError(
                    f"map: {shown(part)} is no OURS=THEIRS[:UNIT]; write for example "
                    "id=request_id,agent=model,arrived_at=created:epoch_ms,latency=latency_ms:ms"
                )
            pairs.append((ours.strip(), theirs.strip()))
    else:
        pairs = list(text.items())
    result: dict[str, Source] = {}
    for ours, theirs in pairs:
        field = _ALIASES.get(ours, ours)
        if field not in FIELDS:
            raise CorpusError(f"map: no field {shown(ours)}; there are id, {', '.join(FIELDS[1:])}")
        if field in result:
            raise CorpusError(f"map: {field} is given twice; leave one out")
        result[field] = parse_source(field, theirs)
    return result


def parse_source(field: str, text: str) -> Source:
    """The source of a field, ``THEIRS[|THEIRS…][:UNIT]``.

    Raises
    ------
    CorpusError
        If the field has no such unit.
    """
    paths, colon, unit = text.rpartition(":")
    known = _UNITS.get(field, ())
    is_scale = field == "quality" and _SCALE.fullmatch(unit)
    if not colon or not (unit in _ALL_UNITS or _SCALE.fullmatch(unit)):
        return Source(tuple(text.split("|")))
    if unit not in known and not is_scale:
        allowed_units = f"has {', '.join(known)}" if known else "has no unit"
        raise CorpusError(f"map: {field} {allowed_units}, found {shown(unit)}")
    return Source(tuple(paths.split("|")), unit.removeprefix("epoch_"))


# -- looking up -------------------------------------------------------------------------


def heads(path: str) -> Iterator[str]:
    """The columns in which a path may begin, the longest first."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        yield ".".join(parts[:count])


def lookup(columns: Mapping[str, Sequence[Any]], path: str) -> tuple[str, list[str]] | None:
    """The column in which a path begins, and the rest of the path; None where there is none."""
    alike = {plain(name): name for name in reversed(list(columns))}
    for head in heads(path):
        name = head if head in columns else alike.get(plain(head))
        if name is not None:
            rest = path[len(head) + 1 :]
            return name, rest.split(".") if rest else []
    return None


def values_at(columns: Mapping[str, Sequence[Any]], paths: Sequence[str]) -> Sequence[Any] | None:
    """The values at the first of these paths that each record has; None without any column."""
    result: Any = None
    for path in paths:
        found = lookup(columns, path)
        if found is None:
            continue
        name, rest = found
        column = columns[name]
        if rest:
            column = [None if value is None else dig(value, rest) for value in column]
        if result is None:
            result = column
            if isinstance(column, TextColumn) and not column.arrow.null_count:
                break
            continue
        result = [
            other if value is None or value == "" else value
            for value, other in zip(result, column, strict=True)
        ]
    return result


def first_path(columns: Mapping[str, Sequence[Any]], source: Source) -> tuple[str, ...]:
    """The first path of a source that says anything, for fields whose paths are not alike."""
    there = [path for path in source.paths if lookup(columns, path)]
    for path in there:
        values = values_at(columns, (path,)) or ()
        if any(value is not None for value in values):
            return (path,)
    return tuple(there[:1])


def dig(value: Any, path: Sequence[str]) -> Any:
    """The value at a path inside objects, lists and JSON; None where there is none."""
    if not path or value is None:
        return value
    if isinstance(value, str):
        return dig(decoded(value), path)
    if isinstance(value, dict):
        for count in range(len(path), 0, -1):
            key = ".".join(path[:count])
            if key in value:
                return dig(value[key], path[count:])
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        if re.fullmatch(r"-?\d+", path[0]):
            place = int(path[0])
            return dig(value[place], path[1:]) if -len(value) <= place < len(value) else None
        named = [each for each in value if isinstance(each, dict)]
        for each in named:  # [{"name": …, "value": …}]
            if path[0] in (each.get("name"), each.get("key")):
                return dig(each.get("value"), path[1:])
    return None


def first_of(found: Any, *names: str) -> Any:
    """The first of these values that an object has; None where it has none or is no object."""
    if isinstance(found, dict):
        for name in names:
            if (value := found.get(name)) is not None:
                return value
    return None


def decoded(text: str) -> Any:
    """An object or a list written as JSON, or as Python prints it; None if it is neither."""
    if text[:1] not in "{[" or not text:
        return None
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    with suppress(ValueError, RecursionError):
        return json.loads(text.replace('""', '"'))  # quotes doubled twice
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        return ast.literal_eval(text)
    return None


# -- arrays -----------------------------------------------------------------------------


@dataclass
class Reading:
    """What was seen while blocks were read, beside the values."""

    dates: str | None
    notes: list[str]
    statuses: dict[str, int]


def read_block(
    rows: Rows, sources: Mapping[str, Source], reading: Reading, problems: dict[int, str]
) -> dict[str, Any]:
    """The fields of a block's records as arrays; a field that the block lacks is left out.

    Parameters
    ----------
    rows : Rows
    sources : mapping of str to Source
        By field.
    reading : Reading
        How values were read is added here.
    problems : dict of int to str
        Values that are not allowed are added here, by position.

    Returns
    -------
    dict
        Of short texts as pyarrow arrays, times as int64 (ns), status as int8, numbers as
        float64.
    """
    result: dict[str, Any] = {}
    for field, source in sources.items():
        if field == "text":
            continue
        paths = first_path(rows.columns, source) if field == "status" else source.paths
        values = values_at(rows.columns, paths)
        if values is None:
            continue
        label = _label(rows, Source(paths))
        column = RawColumn(label, values)
        if field in NAMES:
            result[field] = names(values)
        elif field in CLOCKS:
            result[field] = read_clock(column, source.unit, problems, reading.notes, reading.dates)
        elif field == "status":
            result[field] = read_statuses(values, label, problems, reading.statuses)
        else:
            result[field] = _numbers(field, column, source.unit, rows, problems, reading.notes)
    return result


def _label(rows: Rows, source: Source) -> str:
    for path in source.paths:
        if found := lookup(rows.columns, path):
            return ".".join([found[0], *found[1]])
    return source.paths[0]


def names(values: Sequence[Any]) -> pa.ChunkedArray:
    """Short texts: numbers as they are written, lists joined by commas, "" where there is none."""
    if not isinstance(values, TextColumn) and set(map(type, values)) <= {str, type(None)}:
        values = TextColumn(pa.chunked_array([pa.array(values, pa.large_string())]))
    if isinstance(values, TextColumn):
        if not any_match(values.arrow, r"^[\[{]"):
            return values.filled().arrow
        values = [each if each is None else decoded(each) or _bare(each) for each in values]
    texts = [_name(each) for each in values]
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _bare(text: str) -> str:
    return "" if text in ("[]", "{}") else text


def _name(value: Any) -> str:
    if value is None or value != value if not isinstance(value, list | dict) else False:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(_name(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={_name(each)}" for key, each in value.items())
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _numbers(
    field: str,
    column: RawColumn,
    unit: str,
    rows: Rows,
    problems: dict[int, str],
    notes: list[str],
) -> NDArray[np.float64]:
    values = column.values
    if not isinstance(values, TextColumn):
        kinds = set(map(type, values))
        if kinds & {list, tuple, np.ndarray}:
            values = [_mean(each) for each in values]
        elif any(issubclass(kind, timedelta) for kind in kinds):
            values = [
                each.total_seconds() if isinstance(each, timedelta) else each for each in values
            ]
        elif kinds == {str} or kinds == {str, type(None)}:
            texts = [each or None for each in values]
            values = TextColumn(pa.chunked_array([pa.array(texts, pa.large_string())]))
    scale = _SCALE.fullmatch(unit)
    rule = allowed(field)
    if field == "quality" and (scale or unit == "percent"):
        low, high = (float(each) for each in scale.groups()) if scale else (0.0, 100.0)
        rule = Allowed(f"a number from {low:g} to {high:g}", high, low=low)
    elif field == "turn":
        rule = _ANY
    elif field in ("cached_tokens", "cache_write_tokens"):
        rule = _COUNT
    if field in _SPANS:
        rule = _ANY  # an end before the start is taken as not recorded
    divisor = _PER_UNIT.get(unit, 1.0)
    raw = RawColumn(column.label, values, divisor)
    before = set(problems)
    found = read_numbers(raw, rule, problems, notes, comma_decimals=rows.delimiter in (";", "\t"))
    if field == "quality" and not unit and (new := problems.keys() - before):
        _ask_for_scale(column, problems, new)
    if scale or unit == "percent":
        found = (found - rule.low) / (rule.high - rule.low)
    return found


def _ask_for_scale(column: RawColumn, problems: dict[int, str], rows: set[int]) -> None:
    """Say how to give the scale of scores that are not from 0 to 1."""
    numbers = [each for value in column.values if (each := _number(_mean(value))) is not None]
    if not numbers:
        return
    low, high = min(0.0, *numbers), max(1.0, *numbers)
    for row in rows:
        problems[row] += (
            f"; say the scale of these scores, as in quality={column.label}:{low:g}..{high:g}"
        )


def _number(value: Any) -> float | None:
    with suppress(TypeError, ValueError):
        return float(value)
    return None


def _mean(value: Any) -> Any:
    """The mean of a list of numbers; any other value as it is."""
    if isinstance(value, list | tuple | np.ndarray):
        numbers = [each for each in value if isinstance(each, int | float)]
        return sum(numbers) / len(numbers) if numbers else None
    return value


def read_texts(rows: Rows, source: Source) -> tuple[list[str], str]:
    """The tasks' texts: of chat messages the last one of the user; and how they were read."""
    values = values_at(rows.columns, source.paths)
    if values is None:
        return [""] * len(rows), ""
    if isinstance(values, TextColumn) and any_match(values.arrow, r'^[\[{]+""'):
        values = [decoded(each) or each if each else each for each in values]  # doubled twice
    found, note = last_user_messages(values, _label(rows, source))
    return [each if type(each) is str else plain_text(each) for each in found], note


def plain_text(value: Any) -> str:
    """The text in a value that holds one somewhere, as tools record a call's input."""
    if value is None:
        return ""
    if isinstance(value, dict):
        for key in ("prompt", "input", "question", "query", "text", "content", "messages"):
            if value.get(key):
                return plain_text(value[key])
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    if isinstance(value, list) and len(value) == 1:
        return plain_text(value[0])
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
