"""Bytes to rows: JSON lines, a JSON array, CSV or Parquet, gzipped or not.

Nothing is judged here but the form of a file. What could not be read at all is
listed in :attr:`Rows.lost` with its line; the values themselves are the business
of :mod:`routingsim.corpora.validation`.
"""

import codecs
import csv
import gzip
import io
import re
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from routingsim.errors import CorpusError

__all__ = ["KINDS", "Rows", "Skipped", "parse", "read_bytes", "rows_of_frame", "shown", "unnest"]

KINDS = ("json", "csv", "parquet")
"""The forms a table of tasks can have on disk."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_ARCHIVES = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV UTF-8",
    b"BZh": "compressed by bzip2; unpack it, or use gzip",
    b"\xfd7zXZ": "compressed by xz; unpack it, or use gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it, or use gzip",
}


@dataclass(frozen=True)
class Skipped:
    """A record that was left out, and why.

    Attributes
    ----------
    file : str
        The file it stands in.
    line : int
        Its first line in a text file; its row in a JSON array, a Parquet file or
        a DataFrame. Both count from 1.
    reason : str
        The field, what was found there and what is allowed.
    unit : str
        ``"line"`` or ``"row"``: what ``line`` counts.
    """

    file: str
    line: int
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        place = f":{self.line}" if self.unit == "line" else f", row {self.line}"
        return f"{self.file}{place}: {self.reason}"


@dataclass
class Rows:
    """The records of one file, column by column, as they were found.

    Attributes
    ----------
    file : str
        What to call the file in messages.
    kind : str
        One of :data:`KINDS`. Numbers in a CSV file are still text.
    columns : dict of str to list
        Raw values under the file's own names; None where a record has none.
    lines, numbers : list of int
        Where each record starts (in ``unit``), and its place among all records,
        readable or not; both from 1.
    lost : list of Skipped
        Records that could not be read at all.
    """

    file: str
    kind: str
    columns: dict[str, list[Any]]
    lines: list[int]
    numbers: list[int]
    unit: str = "line"
    lost: list[Skipped] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file as they are.

    Raises
    ------
    CorpusError
        If it cannot be opened.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def parse(data: bytes, file: str, kind: str | None = None) -> Rows:
    """Rows from the bytes of a file.

    Parameters
    ----------
    data : bytes
        The whole file, possibly gzipped.
    file : str
        Its path or name: for messages, and its suffix for a guess at ``kind``.
    kind : {"json", "csv", "parquet"}, optional
        The form, where it is known.

    Raises
    ------
    CorpusError
        If the file is empty, is in another form, or cannot be read as a whole.
    """
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, file)
    if data[:4] == b"PAR1":
        return _parse_parquet(data, file)
    for magic, what in _ARCHIVES.items():
        if data.startswith(magic):
            raise CorpusError(f"{file}: is {what}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CorpusError(f"{file}: is UTF-16 text; save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise CorpusError(f"{file}: is empty; a corpus needs at least one task")
    kind = kind or _guess_kind(data, file)
    if kind == "csv":
        return _parse_csv(data, file)
    if kind == "parquet":
        raise CorpusError(f"{file}: is not a Parquet file (it does not begin with PAR1)")
    if data.lstrip().startswith(b"["):
        return _parse_json_array(data, file)
    return _parse_json_lines(data, file)


def rows_of_frame(frame: pd.DataFrame, file: str) -> Rows:
    """Rows from a DataFrame; NaN, NaT, None and NA all mean "not there"."""
    columns = {
        str(name): [None if missing else value for value, missing in zip(values, gone, strict=True)]
        for name, values, gone in (
            (name, column.tolist(), column.isna().tolist()) for name, column in frame.items()
        )
    }
    if len(columns) < frame.shape[1]:
        raise CorpusError(f"{file}: two columns have the same name; rename one")
    numbers = list(range(1, len(frame) + 1))
    return Rows(file, "parquet", columns, numbers, numbers, unit="row")


def unnest(values: list[Any], label: str, problems: dict[int, str]) -> dict[str, list[Any]]:
    """Columns from a list of JSON objects, keys in the order first seen.

    A value that is neither an object nor None goes into ``problems`` under its
    position.
    """
    columns: dict[str, list[Any]] = {}
    for row, value in enumerate(values):
        if value is None:
            continue
        if type(value) is not dict:
            problems.setdefault(row, f"{label}: expected an object, found {shown(value)}")
            continue
        for key, inner in value.items():
            column = columns.get(key)
            if column is None:
                column = columns[key] = [None] * len(values)
            column[row] = inner
    return columns


def shown(value: object) -> str:
    """A value as an error message quotes it: short, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str | bytes) and len(value) > 40:
        return f"{value[:40]!r}… ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _guess_kind(data: bytes, file: str) -> str:
    stem = file.removesuffix(".gz").lower()
    if stem.endswith(".csv"):
        return "csv"
    if stem.endswith(".parquet"):
        return "parquet"
    if stem.endswith((".jsonl", ".json", ".ndjson")):
        return "json"
    return "json" if data.lstrip()[:1] in (b"{", b"[") else "csv"


def _gunzip(data: bytes, file: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{file}: damaged or cut-off gzip file ({error})") from error


def _parse_json_lines(data: bytes, file: str) -> Rows:
    decode = msgspec.json.Decoder().decode
    records: list[dict[str, Any]] = []
    rows = Rows(file, "json", {}, [], [])
    number = 0
    # Lines end in LF, CRLF or CR; none of them can stand inside a JSON string.
    lines = data.splitlines()
    bar = _bar(file, len(lines))
    for line, text in enumerate(lines, start=1):
        bar.update()
        if not text or text.isspace():
            continue
        number += 1
        try:
            record = decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            rows.lost.append(Skipped(file, line, _json_trouble(text, error)))
            continue
        if type(record) is not dict:
            reason = f"expected one JSON object a line, found {shown(record)}"
            rows.lost.append(Skipped(file, line, reason))
            continue
        records.append(record)
        rows.lines.append(line)
        rows.numbers.append(number)
    bar.close()
    rows.columns = unnest(records, "", {})
    if not records and rows.lost and _is_one_object(data):
        raise CorpusError(
            f"{file}: is one JSON object over several lines; expected one object a task, "
            "each on a line of its own or all in one array"
        )
    return rows


def _is_one_object(data: bytes) -> bool:
    try:
        return type(msgspec.json.decode(data)) is dict
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _bar(file: str, total: int | None = None) -> tqdm:
    """A progress bar for records read, at a terminal and once it has taken over a second."""
    return tqdm(
        desc=f"reading {Path(file).name}",
        total=total,
        unit=" records",
        unit_scale=True,
        delay=1.0,
        leave=False,
        file=sys.stderr,
        disable=None,
    )


def _parse_json_array(data: bytes, file: str) -> Rows:
    try:
        records = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # Where one value of an array is broken, nothing after it can be trusted.
        byte = re.search(r"\(byte (\d+)\)", str(error))
        line = data.count(b"\n", 0, int(byte[1]) if byte else len(data)) + 1
        raise CorpusError(f"{file}:{line}: {_json_trouble(data, error)}") from error
    problems: dict[int, str] = {}
    columns = unnest(
        ["null" if record is None else record for record in records], "record", problems
    )
    keep = [row for row in range(len(records)) if row not in problems]
    numbers = [row + 1 for row in keep]
    columns = {name: [column[row] for row in keep] for name, column in columns.items()}
    lost = [Skipped(file, row + 1, reason, "row") for row, reason in problems.items()]
    return Rows(file, "json", columns, numbers, numbers, "row", lost)


def _json_trouble(text: bytes, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return _utf8_trouble(text)
    if isinstance(error, RecursionError):
        return "JSON nested too deeply; a task is one flat object"
    byte = re.search(r"\(byte (\d+)\)", str(error))
    found = text[max(int(byte[1]) - 1, 0) :][:12] if byte else b""
    if literal := re.match(rb".??(-?Infinity|NaN)", found, re.DOTALL):
        return f"{literal[1].decode()} is not JSON; leave the field out where nothing was recorded"
    if byte and text[int(byte[1]) : int(byte[1]) + 1] == b"\0":
        return f"NUL byte (at byte {byte[1]}); the file is damaged or not text"
    if "truncated" in str(error):
        return "not valid JSON: cut off in the middle of a record, or a broken \\u escape"
    return f"not valid JSON: {str(error).removeprefix('JSON is malformed: ')}"


def _utf8_trouble(text: bytes) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 (byte 0x{text[error.start]:02x}); save the file as UTF-8"
    return "invalid UTF-8; save the file as UTF-8"


def _parse_csv(data: bytes, file: str) -> Rows:
    # A process-wide limit of 128 kB a cell; texts may be longer. Only ever raised, so
    # that two threads reading at once cannot lower it for one another.
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    # Bytes that are no UTF-8 become lone surrogates (0xff is U+DCFF), to be found cell by cell.
    decoded = data.decode("utf-8", "surrogateescape")
    is_utf8 = decoded.isascii() or not _SURROGATE.search(decoded)
    text = io.StringIO(decoded, newline="")
    delimiter = _delimiter(text.readline())
    text.seek(0)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        # Spreadsheets save columns without a name to the right of a table.
        header = [
            name.strip() or f"column {number}" for number, name in enumerate(next(reader), start=1)
        ]
    except csv.Error as error:
        raise CorpusError(f"{file}:1: not a CSV header ({error})") from error
    if reason := _header_trouble(header):
        raise CorpusError(f"{file}:1: {reason}")
    columns: list[list[str | None]] = [[] for _ in header]
    rows = Rows(file, "csv", dict(zip(header, columns, strict=True)), [], [])
    number = 0
    bar = _bar(file)
    while True:
        bar.update()
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            number += 1
            reason = (
                "a quote opened in this record is never closed; all after it is lost"
                if "end of data" in str(error)
                else f"broken quotes ({error}); double a quote inside a quoted cell"
            )
            rows.lost.append(Skipped(file, line, reason))
            continue
        if not record:
            continue
        number += 1
        if len(record) != len(header):
            reason = f"expected {len(header)} cells as in the header, found {len(record)}"
            rows.lost.append(Skipped(file, line, reason))
            continue
        if not is_utf8 and (reason := _cell_trouble(header, record)):
            rows.lost.append(Skipped(file, line, reason))
            continue
        for column, cell in zip(columns, record, strict=True):
            column.append(cell or None)
        rows.lines.append(line)
        rows.numbers.append(number)
    bar.close()
    return rows


def _delimiter(header: str) -> str:
    """What separates cells: a comma, or the semicolon or tab that a header has more of."""
    return max(",;\t", key=header.count)


def _header_trouble(header: list[str]) -> str | None:
    for number, name in enumerate(header, start=1):
        if wrong := _SURROGATE.search(name):
            byte = ord(wrong[0]) - 0xDC00
            return f"column {number}: invalid UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
        if "\0" in name:
            return f"column {number}: NUL byte; not text, or UTF-16, which is to be saved as UTF-8"
        if header.count(name) > 1:
            return f"column {shown(name)} appears twice; rename one"
    return None


def _cell_trouble(header: list[str], record: list[str]) -> str | None:
    """What is wrong with the first cell that is not UTF-8, if there is one."""
    for name, cell in zip(header, record, strict=True):
        if wrong := _SURROGATE.search(cell):
            byte = ord(wrong[0]) - 0xDC00
            return f"{name}: invalid UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
    return None


def _parse_parquet(data: bytes, file: str) -> Rows:
    try:
        table = pq.read_table(pa.BufferReader(data))
        columns = {
            name: column.to_pylist()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{file}: damaged or cut-off Parquet file ({error})") from error
    if len(columns) < table.num_columns:
        raise CorpusError(f"{file}: two columns have the same name; rename one")
    numbers = list(range(1, table.num_rows + 1))
    return Rows(file, "parquet", columns, numbers, numbers, unit="row")
