"""A file as tables of raw values, a few megabytes at a time, only the columns asked for.

JSON lines, JSON arrays, objects one after another, CSV and Parquet are distinguished by their
content, gzipped or not. A record that cannot be read is listed in ``Rows.lost`` of its block."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from routingsim.corpora.csv_reader import parse_csv
from routingsim.corpora.logs.json_blocks import JsonBlocks, Read, Types, Wanted
from routingsim.corpora.readers import JSON_ERRORS, bounded_table, refuse_form
from routingsim.corpora.rows import Rows, Skipped
from routingsim.errors import CorpusError
from routingsim.files import beyond

BLOCK = 16 << 20
"""Bytes of a file that are looked at together."""

SAMPLE = 1 << 20
"""The least number of bytes from which the shape of a file is recognised."""

_PACKED = 100  # times by which a gzip file may grow, above ``ROUTINGSIM_MAX_BYTES``
_RECORDS = 200  # records of a sample that are looked at
_LARGE = 256 << 20  # bytes from which {"data": […]} is not decoded as one object
_LONG = 64 << 20  # bytes of a CSV file without the end of a record: its quotes are broken
_ARRAY_INSIDE = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\[\s*(?=\{)')


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
        If the file cannot be read, is empty, damaged as a whole, of an unknown form, or, above
        ``ROUTINGSIM_MAX_BYTES``, a gzip file that unpacks to more than 100 times its size.
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
            size_on_disk = path.stat().st_size
            if first[:2] == b"\x1f\x8b":
                size_on_disk *= _PACKED
                stream = gzip.GzipFile(fileobj=_Again(first, file))  # type: ignore[arg-type]
                first = stream.read(size)
            read = _bounded(stream.read, len(first), size_on_disk, str(path))
            first = first.removeprefix(codecs.BOM_UTF8)
            refuse_form(first, str(path))
            yield from _text(path, first, read, wanted, types, size, most)
            file.finish()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{path}: damaged or cut-off gzip file ({error})") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _bounded(read: Read, total: int, enough: int, file: str) -> Read:
    """The same, until more than is allowed has been read of a file; ``total`` bytes are already.

    A log is read in blocks, so that what a file of its size may hold, ``enough``, is allowed.
    """

    def bounded(size: int) -> bytes:
        nonlocal total
        data = read(size)
        total += len(data)
        reason = beyond("ROUTINGSIM_MAX_BYTES", total, "bytes or more, unpacked")
        if reason and total > enough:
            raise CorpusError(f"{file}: {reason}")
        return data

    return bounded


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
    values = JsonBlocks(file, wanted, types or {}, most)
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
