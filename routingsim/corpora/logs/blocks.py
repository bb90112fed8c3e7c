"""A file as tables of raw values, a few megabytes at a time, only the columns asked for.

JSON lines, JSON arrays, objects one after another, CSV and Parquet are told apart by their content,
gzipped or not. A record that cannot be read is listed in ``Rows.lost`` of its block.
"""

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from routingsim.corpora.csv_reader import parse_csv
from routingsim.corpora.readers import JSON_ERRORS, bounded_table, json_trouble, refuse_form
from routingsim.corpora.rows import Rows, Skipped, shown, unnest
from routingsim.errors import CorpusError
from routingsim.files import beyond

BLOCK = 16 << 20
"""Bytes of a file that are looked at together."""

SAMPLE = 1 << 20
"""Bytes, at the least, from which the shape of a file is told."""

_RECORDS = 200  # records of a sample that are looked at
_LARGE = 256 << 20  # bytes from which {"data": […]} is not decoded as one object
_LONG = 64 << 20  # bytes of a CSV file without the end of a record: its quotes are broken
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
_ARRAY_INSIDE = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\[\s*(?=\{)')

Wanted = Collection[str] | None
"""The columns to read; None for all."""

Types = Mapping[str, Any]
"""The types of JSON columns."""


class Digest:
    """The sha256 of files, updated as their bytes are read."""

    def __init__(self) -> None:
        self._hash = sha256()

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self._hash.update(data)

    def __str__(self) -> str:
        return self._hash.hexdigest()


def sample(path: Path) -> Rows:
    """The first records of a file, with all their columns.

    Raises
    ------
    CorpusError
        If the file cannot be read, is empty, or holds no record at all.
    """
    lost: list[Skipped] = []
    for rows in blocks(path, None, size=SAMPLE, most=_RECORDS):
        lost += rows.lost
        if len(rows):
            return replace(rows, lost=lost)
    if lost:
        raise CorpusError(f"{lost[0]}" + (f" (and {len(lost) - 1:,} more)" if lost[1:] else ""))
    raise CorpusError(f"{path}: holds no record")


def blocks(
    path: Path,
    wanted: Wanted,
    *,
    types: Types | None = None,
    digest: Digest | None = None,
    size: int = BLOCK,
    most: int | None = None,
) -> Iterator[Rows]:
    """The records of a file, block by block.

    Parameters
    ----------
    path : Path
    wanted : collection of str, optional
        The columns to read; those that no record has are left out.
    types : mapping of str to type, optional
        Columns of JSON that msgspec decodes to a type; where one is not of it, as it is.
    digest : Digest, optional
        Takes the file's bytes.
    size : int
        Bytes to read at once.
    most : int, optional
        Records to decode of a block of JSON.

    Raises
    ------
    CorpusError
        If the file cannot be read, is empty, damaged as a whole or of an unknown form.
    """
    try:
        with path.open("rb") as raw:
            file = _Hashed(raw, digest)
            first = file.read(size)
            if first[:4] == b"PAR1":
                yield from _parquet(path, wanted)
                file.finish()
                return
            stream = file
            if first[:2] == b"\x1f\x8b":
                stream = gzip.GzipFile(fileobj=_Again(first, file))  # type: ignore[arg-type]
                first = stream.read(size)
            first = first.removeprefix(codecs.BOM_UTF8)
            refuse_form(first, str(path))
            yield from _text(path, first, stream.read, wanted, types, size, most)
            file.finish()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{path}: damaged or cut-off gzip file ({error})") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


class _Hashed:
    """A file whose bytes go into a digest as they are read."""

    def __init__(self, raw: Any, digest: Digest | None) -> None:
        self._raw, self._digest = raw, digest

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        if self._digest is not None:
            self._digest.update(data)
        return data

    def finish(self) -> None:
        """Read what is left, for the digest."""
        while self._digest is not None and self.read(1 << 20):
            pass


class _Again(io.RawIOBase):
    """A file that begins with bytes which were read already."""

    def __init__(self, first: bytes, rest: _Hashed) -> None:
        super().__init__()
        self._first, self._rest = io.BytesIO(first), rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._first.read(size) or self._rest.read(size)


Read = Callable[[int], bytes]


def _text(
    path: Path,
    first: bytes,
    read: Read,
    wanted: Wanted,
    types: Types | None,
    size: int,
    most: int | None,
) -> Iterator[Rows]:
    file, suffix = str(path), Path(path.name.lower().removesuffix(".gz")).suffix
    start = first.lstrip()[:1]
    if start not in (b"{", b"[") and suffix not in (".jsonl", ".json", ".ndjson"):
        yield from _csv(file, first, read, wanted, size)
        return
    values = _Json(file, wanted, types or {}, most)
    if start == b"[":
        yield from values.values(first.lstrip()[1:], read, size, base=1)
    elif suffix in (".jsonl", ".ndjson") or _is_lines(first):
        yield from values.lines(first, read, size)
    elif (inside := _ARRAY_INSIDE.match(first)) and path.stat().st_size > _LARGE:
        yield from values.values(first[inside.end() :], read, size, base=2)
    else:
        yield from values.values(first, read, size, base=0)


def _is_lines(first: bytes) -> bool:
    """Whether each line is a JSON object of its own."""
    lines = [line for line in first.split(b"\n", 3)[:3] if line.strip()]
    complete = lines if len(lines) < 2 else lines[:2]
    for line in complete:
        with suppress(*JSON_ERRORS):
            if type(msgspec.json.decode(line)) is dict:
                return True
    return False


# -- JSON -------------------------------------------------------------------------------


class _Records(NamedTuple):
    """Records as JSON, with their places."""

    texts: Sequence[bytes]
    first: int  # the line or row of the first one
    lines: Sequence[int] | None = None  # where they are not one after another


class _Json:
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


# -- CSV and Parquet --------------------------------------------------------------------


def _csv(file: str, first: bytes, read: Read, wanted: Wanted, size: int) -> Iterator[Rows]:
    header, line, number = b"", 1, 0
    rest, block = b"", first
    while block or rest:
        data = rest + block
        cut = _last_end(data) if block else len(data)
        data, rest = data[:cut], data[cut:]
        if cut and (data.strip() or not header):
            rows = parse_csv(header + data, file)
            yield _moved(rows, line - 1 - header.count(b"\n"), number, wanted)
            number += len(rows) + len(rows.lost)
            header = header or _first_record(data)
            line += data.count(b"\n")
        if reason := beyond("ROUTINGSIM_MAX_LINE", len(rest), "bytes or more in one record"):
            raise CorpusError(f"{file}:{line}: {reason}; or a quote opened there is never closed")
        block = read(size) if block else b""


def _moved(rows: Rows, lines: int, numbers: int, wanted: Wanted) -> Rows:
    """Rows of a later block, at their places in the whole file."""
    columns = {
        name: column for name, column in rows.columns.items() if wanted is None or name in wanted
    }
    if not numbers:
        return replace(rows, columns=columns)
    places = range(numbers + 1, numbers + 1 + len(rows))
    if rows.lost:
        places = [each + numbers for each in rows.numbers]
    lost = [replace(each, line=each.line + lines) for each in rows.lost]
    return replace(
        rows, columns=columns, lines=_Moved(rows.lines, lines), numbers=places, lost=lost
    )


class _Moved(Sequence[int]):
    """Line numbers further down in a file, looked up when one is asked for."""

    def __init__(self, lines: Sequence[int], by: int) -> None:
        self._lines, self._by = lines, by

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        return self._lines[index] + self._by


def _first_record(data: bytes) -> bytes:
    """The header's bytes; its names may hold line breaks inside quotes."""
    position = 0
    while (end := data.find(b"\n", position)) >= 0:
        if not data.count(b'"', 0, end) % 2:
            return data[: end + 1]
        position = end + 1
    return data if data.endswith((b"\n", b"\r")) else data + b"\n"


def _last_end(data: bytes) -> int:
    """Where the last whole record ends: at a line break outside quotes; 0 where none does."""
    if len(data) > _LONG or b'"' not in data:
        return data.rfind(b"\n") + 1
    array = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(array == ord("\n"))
    quotes = np.flatnonzero(array == ord('"'))
    outside = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0


def _parquet(path: Path, wanted: Wanted) -> Iterator[Rows]:
    try:
        bounded_table(pa.memory_map(str(path)).read_buffer(), str(path))
        table = pq.ParquetFile(path)
        names = [name for name in table.schema_arrow.names if wanted is None or name in wanted]
        number = 0
        for batch in table.iter_batches(batch_size=1 << 16, columns=names):
            columns = {
                name: column.to_pylist() for name, column in zip(names, batch.columns, strict=True)
            }
            places = range(number + 1, number + 1 + batch.num_rows)
            number += batch.num_rows
            yield Rows(str(path), "parquet", columns, places, places, "row")
    except (pa.ArrowException, ValueError) as error:
        raise CorpusError(f"{path}: damaged or cut-off Parquet file ({error})") from error
