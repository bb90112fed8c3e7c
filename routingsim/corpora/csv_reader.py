"""CSV to rows: a sound file as whole columns, a faulty one record by record.

Arrow reads a sound file. Where it finds fault, or where the quotes are such that it might not
find the fault that there is, Python's strict reader reads the file again and names each record
that is wrong.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from routingsim.corpora.rows import Rows, Skipped, TextColumn, long_line, long_text, progress, shown
from routingsim.errors import CorpusError
from routingsim.files import beyond, limit

_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTE, _LF, _CR = b'"\n\r'


def parse_csv(data: bytes, file: str) -> Rows:
    """Rows from the bytes of a CSV file, without a byte-order mark.

    Raises
    ------
    CorpusError
        If the header cannot be read, names a column twice, or a line is too long.
    """
    if long := long_line(data):
        line, reason = long
        raise CorpusError(f"{file}:{line}: {reason}")
    most = limit("ROUTINGSIM_MAX_TEXT")
    start = long_text(data, "csv", 4 * most)  # a character has up to four bytes
    if start is not None:
        line = data.count(b"\n", 0, start) + 1
        raise CorpusError(
            f"{file}:{line}: a cell of more than {most:,} characters; ROUTINGSIM_MAX_TEXT sets "
            "another limit"
        )
    # The limit of 128 kB a cell holds for the whole process; texts may be longer. It is only
    # ever raised, so that two threads reading at once cannot lower it for one another.
    csv.field_size_limit(max(csv.field_size_limit(), most))
    return _by_columns(data, file) or _by_records(data, file)


def _by_columns(data: bytes, file: str) -> Rows | None:
    """The whole file at once; None where it is to be read record by record."""
    end = re.search(rb"\r\n?|\n", data)
    first = data[: end.end()] if end else data
    try:
        text = first.decode()
    except UnicodeDecodeError:
        return None
    if text.count('"') % 2:  # a name with a line break
        return None
    delimiter = _delimiter(text)
    header = _header(csv.reader([text], delimiter=delimiter, strict=True), file)
    if not header:  # Arrow would take the names from the line after it
        return None
    body = data[len(first) :]
    quoted = b'"' in body
    if quoted and not _is_well_quoted(body, delimiter):
        return None
    if not quoted:  # a line break in a cell would be counted for a row
        rows = body.count(b"\n") or body.count(b"\r")
        if reason := beyond("ROUTINGSIM_MAX_CELLS", len(header) * rows, "cells"):
            raise CorpusError(f"{file}: {reason}")
    names = [str(number) for number in range(len(header))]
    with suppress(pa.ArrowException):
        table = pyarrow.csv.read_csv(
            pa.BufferReader(body),
            read_options=pyarrow.csv.ReadOptions(column_names=names),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        columns = {
            name: TextColumn(column) for name, column in zip(header, table.columns, strict=True)
        }
        lines = _Lines(data, file, len(table))
        return Rows(file, "csv", columns, lines, range(1, len(table) + 1), delimiter=delimiter)
    return None


def _is_well_quoted(body: bytes, delimiter: str) -> bool:
    """Whether every quote opens a cell, closes one, or is doubled inside one."""
    text = np.frombuffer(b"\n" + body + b"\n", dtype=np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    # Quotes that follow one another: an even number of them neither opens nor closes a cell,
    # or does both.
    gaps = np.flatnonzero(np.diff(quotes) != 1)
    first, last = quotes[np.append(0, gaps + 1)], quotes[np.append(gaps, -1)]
    odd = (last - first) % 2 == 0
    inside = (np.cumsum(odd) - odd) % 2 == 1
    separators = (ord(delimiter), _LF, _CR)
    before, after = np.isin(text[first - 1], separators), np.isin(text[last + 1], separators)
    sound = np.where(inside, ~odd | after, before & (odd | after))
    return bool(sound.all()) and np.count_nonzero(odd) % 2 == 0


class _Lines(Sequence[int]):
    """The line at which each record starts, found when one is first asked for."""

    def __init__(self, data: bytes, file: str, size: int) -> None:
        self._data, self._file, self._size = data, file, size

    @cached_property
    def _found(self) -> Sequence[int]:
        return _by_records(self._data, self._file).lines

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        return self._found[index]


def _by_records(data: bytes, file: str) -> Rows:
    # A byte that is not UTF-8 becomes a lone surrogate (0xff is U+DCFF). Decoded by lines, since
    # a text in memory as a whole takes up to four times the file's size.
    is_utf8 = _is_utf8(data)
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape", newline="")
    delimiter = _delimiter(text.readline())
    text.seek(0)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = _header(reader, file)
    columns: list[list[str | None]] = [[] for _ in header]
    starts: list[int] = []
    numbers: list[int] = []
    lost: list[Skipped] = []
    number = 0
    with progress(file) as bar:
        while True:
            bar.update()
            line = reader.line_num + 1
            reason = None
            try:
                record = next(reader)
                if not record:
                    continue
                if len(record) != len(header):
                    reason = f"expected {len(header)} cells as in the header, found {len(record)}"
                elif not is_utf8:
                    reason = _cell_trouble(header, record)
            except StopIteration:
                break
            except csv.Error as error:
                if "field limit" in str(error):  # what follows may be the rest of the cell
                    raise CorpusError(
                        f"{file}:{line}: a cell of more than {csv.field_size_limit():,} "
                        "characters; ROUTINGSIM_MAX_TEXT sets another limit"
                    ) from error
                record = []
                reason = (
                    "a quote opened in this record is never closed; all after it is lost"
                    if "end of data" in str(error)
                    else f"broken quotes ({error}); double a quote inside a quoted cell"
                )
            number += 1
            if reason:
                lost.append(Skipped(file, line, reason))
                continue
            for column, cell in zip(columns, record, strict=True):
                column.append(cell or None)
            starts.append(line)
            numbers.append(number)
    named = {
        name: TextColumn(pa.chunked_array([pa.array(column, pa.large_string())]))
        for name, column in zip(header, columns, strict=True)
    }
    return Rows(file, "csv", named, starts, numbers, lost=lost, delimiter=delimiter)


def _is_utf8(data: bytes) -> bool:
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for start in range(0, len(data), 2**20):
            decode(data[start : start + 2**20])
        decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(first: str) -> str:
    """A comma, or a semicolon or tab where the first line has more of them."""
    return max(",;\t", key=first.count)


def _header(reader: Iterator[list[str]], file: str) -> list[str]:
    try:
        # Spreadsheets save columns without a name to the right of a table.
        header = [
            name.strip() or f"column {number}" for number, name in enumerate(next(reader), start=1)
        ]
    except csv.Error as error:
        raise CorpusError(f"{file}:1: not a CSV header ({error})") from error
    if reason := _header_trouble(header):
        raise CorpusError(f"{file}:1: {reason}")
    return header


def _header_trouble(header: list[str]) -> str | None:
    if reason := beyond("ROUTINGSIM_MAX_COLUMNS", len(header), "columns"):
        return reason
    seen: set[str] = set()
    for number, name in enumerate(header, start=1):
        if reason := _encoding_trouble(name):
            return f"column {number}: {reason}"
        if "\0" in name:
            return f"column {number}: NUL byte; not text, or UTF-16, which is to be saved as UTF-8"
        if name in seen:
            return f"column {shown(name)} appears twice; rename one"
        seen.add(name)
    return None


def _cell_trouble(header: list[str], record: list[str]) -> str | None:
    """What is wrong with the first cell that is not UTF-8, if there is one."""
    for name, cell in zip(header, record, strict=True):
        if reason := _encoding_trouble(cell):
            return f"{name}: {reason}"
    return None


def _encoding_trouble(text: str) -> str | None:
    wrong = _SURROGATE.search(text)
    return wrong and f"invalid UTF-8 (byte 0x{ord(wrong[0]) - 0xDC00:02x}); save the file as UTF-8"
