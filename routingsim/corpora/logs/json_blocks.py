"""JSON as tables of raw values: lines, arrays, and objects one after another or inside one."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from routingsim.corpora.readers import JSON_ERRORS, json_trouble
from routingsim.corpora.rows import Rows, Skipped, shown, unnest
from routingsim.errors import CorpusError
from routingsim.files import beyond

_LISTS = [
    "data",
    "observations",
    "results",
    "items",
    "records",
    "rows",
    "runs",
    "traces",
    "spans",
    "requests",
    "logs",
    "generations",
    "calls",
    "events",
    "hits",
    "value",
    "conversations",
    "messages",
]
Wanted = Collection[str] | None
"""The columns to read; None for all."""

Types = Mapping[str, Any]
"""The types of JSON columns."""

Read = Callable[[int], bytes]
"""Reads up to so many more bytes of a file; b"" at its end."""


class JsonBlocks:
    """JSON to rows: only the fields asked for are decoded."""

    def __init__(self, file: str, wanted: Wanted, types: Types, most: int | None) -> None:
        self._file, self._most = file, most
        self._names = None if wanted is None else list(wanted)
        kind: Any = dict[str, Any]
        other = kind
        if self._names is not None:
            fields = [
                (f"f{k}", (types[name] | None) if name in types else Any, None)
                for k, name in enumerate(self._names)
            ]
            plain = [(name, Any, None) for name, _, _ in fields]
            renamed = {f"f{k}": name for k, name in enumerate(self._names)}
            kind = msgspec.defstruct("Record", fields, rename=renamed, gc=False)  # type: ignore[arg-type]
            other = msgspec.defstruct("Record", plain, rename=renamed, gc=False)  # type: ignore[arg-type]
        self._plain = msgspec.json.Decoder(other)
        self._one = msgspec.json.Decoder(kind)
        self._many = msgspec.json.Decoder(list[kind])
        self._number = 0

    def lines(self, first: bytes, read: Read, size: int) -> Iterator[Rows]:
        """Rows from JSON lines."""
        line, block = 1, first
        begun: list[bytes] = []  # of a line whose end has not come
        while block or begun:
            cut = block.rfind(b"\n") + 1
            if cut or not block:
                data = b"".join([*begun, block[:cut]])
                begun.clear()
                if data.strip():
                    yield self._of_lines(data, line)
                line += data.count(b"\n")
            if rest := block[cut:]:
                begun.append(rest)
                held = sum(map(len, begun))
                if reason := beyond("ROUTINGSIM_MAX_LINE", held, "bytes or more in one line"):
                    raise CorpusError(f"{self._file}:{line}: {reason}")
            block = read(size) if block else b""

    def _of_lines(self, data: bytes, line: int) -> Rows:
        if self._most is None and b"\n\n" not in data and b"\r" not in data:
            with suppress(*JSON_ERRORS):
                records = self._one.decode_lines(data)
                return self._rows(records, range(line, line + len(records)), [])
        found = [
            (place, text)
            for place, text in enumerate(data.split(b"\n"), start=line)
            if text.strip()
        ][: self._most]
        return self._one_by_one([text for _, text in found], [place for place, _ in found], "line")

    def values(self, first: bytes, read: Read, size: int, base: int) -> Iterator[Rows]:
        """Rows from an array, or from objects one after another."""
        if self._most is not None:
            yield self._first_values(first, read, size)
            return
        if base < 2 and len(first) < size:  # the whole file
            with suppress(*JSON_ERRORS):
                records = self._many.decode(b"[" + first + (b"" if base else b"]"))
                yield self._rows(records, range(1, len(records) + 1), [], "row")
                return
        from routingsim.corpora.logs.json_splitter import DEPTH, IN_STRING, STRAY, scan

        state = np.array([base, 0, 0, 0], dtype=np.int64)
        buffer, block, row, told = bytearray(), first, 1, 0
        pending: int | None = None  # where in the buffer an unfinished value begins
        while block:
            array = np.frombuffer(block, dtype=np.uint8)
            starts = np.empty(array.size, dtype=np.int64)
            ends = np.empty(array.size, dtype=np.int64)
            begun, closed, used = scan(array, base, state, starts, ends)
            shift = len(buffer)
            buffer += block
            firsts = ([] if pending is None else [pending]) + (starts[:begun] + shift).tolist()
            lasts = (ends[:closed] + shift).tolist()
            if lasts:
                texts = [bytes(buffer[a:b]) for a, b in zip(firsts, lasts, strict=False)]
                yield self._of_values(texts, range(row, row + len(texts)))
                row += len(texts)
            left = firsts[len(lasts) :]
            if left:
                del buffer[: left[0]]
                pending = 0
                if reason := beyond(
                    "ROUTINGSIM_MAX_LINE", len(buffer), "bytes or more in one record"
                ):
                    raise CorpusError(f"{self._file}, row {row}: {reason}")
            else:
                buffer.clear()
                pending = None
            if state[STRAY] > told:
                reason = (
                    f"{state[STRAY] - told:,} values that are no objects; "
                    "expected one object a record"
                )
                yield self._rows([], [], [Skipped(self._file, row, reason, "row")], "row")
                told = int(state[STRAY])
            if used < array.size:
                if base == 1 and (block[used:].strip() or read(1)):
                    reason = "text after the end of the array is left out"
                    yield self._rows([], [], [Skipped(self._file, row, reason, "row")], "row")
                return
            block = read(size)
        if pending is not None or state[DEPTH] >= max(base, 1) or state[IN_STRING]:
            reason = "cut off: the file ends in the middle of a record"
            if pending is None:
                reason = "cut off: the file ends before its array does"
            yield self._rows([], [], [Skipped(self._file, row, reason, "row")], "row")

    def _first_values(self, data: bytes, read: Read, size: int) -> Rows:
        """The first values, of as many bytes as hold one."""
        decoder, records = json.JSONDecoder(), []
        while True:
            text, position = data.decode("utf-8", "ignore"), 0
            with suppress(ValueError, RecursionError):
                while len(records) < (self._most or 1):
                    position = _GAP.match(text, position).end()  # type: ignore[union-attr]
                    value, position = decoder.raw_decode(text, position)
                    records.append(value)
            more = b"" if records else read(max(size, len(data)))
            if not more:
                break
            data += more
            if reason := beyond("ROUTINGSIM_MAX_LINE", len(data), "bytes or more in one record"):
                raise CorpusError(f"{self._file}, row 1: {reason}")
        lost = []
        good = [each for each in records if isinstance(each, dict)]
        if not good and data.strip(b" \t\r\n]"):
            reason = f"expected an object, found {shown(records[0])}" if records else _trouble(data)
            lost.append(Skipped(self._file, 1, reason, "row"))
        return self._rows(good, range(1, len(good) + 1), lost, "row")

    def _of_values(self, texts: Sequence[bytes], places: Sequence[int]) -> Rows:
        with suppress(*JSON_ERRORS):
            records = self._many.decode(b"[" + b",".join(texts) + b"]")
            return self._rows(records, places, [], "row")
        return self._one_by_one(texts, places, "row")

    def _one_by_one(self, texts: Sequence[bytes], places: Sequence[int], unit: str) -> Rows:
        records, lines, numbers, lost = [], [], [], []
        for number, (text, place) in enumerate(zip(texts, places, strict=True), self._number + 1):
            try:
                records.append(self._plain.decode(text))
                lines.append(place)
                numbers.append(number)
            except JSON_ERRORS as error:
                lost.append(Skipped(self._file, place, json_trouble(text, error), unit))
        self._number += len(texts)
        return self._table(records, lines, numbers, lost, unit)

    def _rows(
        self, records: list[Any], lines: Sequence[int], lost: list[Skipped], unit: str = "line"
    ) -> Rows:
        numbers = range(self._number + 1, self._number + 1 + len(records))
        self._number += len(records)
        return self._table(records, lines, numbers, lost, unit)

    def _table(
        self,
        records: list[Any],
        lines: Sequence[int],
        numbers: Sequence[int],
        lost: list[Skipped],
        unit: str,
    ) -> Rows:
        if self._names is None:
            columns = unnest(records, "", {})
        else:
            columns = {
                name: [getattr(record, f"f{k}") for record in records]
                for k, name in enumerate(self._names)
            }
        return Rows(self._file, "json", columns, lines, numbers, unit, lost)


def list_inside(rows: Rows) -> tuple[str, ...]:
    """The path of the list in which records are wrapped; () where they are not.

    ``{"data": [{…}, {…}]}``, ``{"results": {"results": [{…}]}}``.
    """
    if rows.kind != "json":
        return ()
    for name in _LISTS:
        values = rows.columns.get(name)
        if values is None:
            continue
        some = next((value for value in values if value), None)
        if isinstance(some, dict):
            inner = next((each for each in _LISTS if isinstance(some.get(each), list)), None)
            if inner and some[inner] and isinstance(some[inner][0], dict):
                return (name, inner)
        if isinstance(some, list) and isinstance(some[0], dict) and "role" not in some[0]:
            return (name,)
    return ()


def unwrapped(rows: Rows, path: Sequence[str], wanted: Wanted) -> Rows:
    """The records inside the lists at this path, counted from 1."""
    lists = rows.columns.get(path[0], [])
    for name in path[1:]:
        lists = [each.get(name) if isinstance(each, dict) else None for each in lists]
    records = list(chain.from_iterable(each for each in lists if isinstance(each, list)))
    lost = list(rows.lost)
    good, places = [], []
    for place, record in enumerate(records, start=1):
        if isinstance(record, dict):
            good.append(record)
            places.append(place)
        else:
            reason = f"expected an object, found {shown(record)}"
            lost.append(Skipped(rows.file, place, reason, "row"))
    columns = unnest(good, "", {})
    if wanted is not None:
        columns = {name: column for name, column in columns.items() if name in wanted}
    return Rows(rows.file, "json", columns, places, places, "row", lost)


_GAP = re.compile(r"[\s,]*")


def _trouble(data: bytes) -> str:
    """Why not even the first value can be read."""
    try:
        msgspec.json.decode(data)
    except JSON_ERRORS as error:
        return json_trouble(data, error)
    return "holds no object"
