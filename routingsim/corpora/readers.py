"""Bytes to rows: JSON lines, a JSON array, CSV or Parquet, gzipped or not.

This module checks the form of a file only. Records that cannot be read at all are
listed in :attr:`Rows.lost` with their line; :mod:`routingsim.corpora.validation`
checks the values.
"""

import codecs
import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from routingsim.errors import CorpusError

KINDS = ("json", "csv", "parquet")
"""The forms a table of tasks can have on disk."""

_JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_SURROGATE = re.compile("[\ud800-\udfff]")

_ARCHIVES = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV UTF-8",
    b"BZh": "compressed by bzip2; unpack it, or use gzip",
    b"\xfd7zXZ": "compressed by xz; unpack it, or use gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it, or use gzip",
}

_Amount = Annotated[float, msgspec.Meta(ge=0)] | None


class OutcomeRecord(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What our own JSON format records of an agent on a task.

    Quality (0 to 1), cost (USD), latency (s), output tokens, and whether the call failed.
    """

    quality: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    cost: _Amount = None
    latency: _Amount = None
    output_tokens: _Amount = None
    failed: bool | Annotated[int, msgspec.Meta(ge=0, le=1)] | None = None


class TaskRecord(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A task in our own JSON format. A file of nothing else is decoded at once."""

    id: str
    text: str
    arrived_at: _Amount = None
    category: str | None = None
    prompt_tokens: _Amount = None
    output_tokens: _Amount = None
    propensity: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    outcomes: dict[str, OutcomeRecord | None] | None = None


@dataclass(frozen=True)
class Skipped:
    """A record that was left out, and why.

    Attributes
    ----------
    file : str
        The file that holds it.
    line : int
        Its first line in a text file; its row in a JSON array, a Parquet file or
        a DataFrame. Both count from 1.
    reason : str
        The field, what was found there and what is allowed.
    unit : {"line", "row"}
        What ``line`` counts.
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
    """The records of one file as columns of raw values.

    Attributes
    ----------
    file : str
        The file's name in messages.
    kind : str
        One of :data:`KINDS`. Numbers in a CSV file are still text.
    columns : dict of str to list
        Values under the file's own names; None where a record has none.
    lines : sequence of int
        The line or row (see ``unit``) at which each record starts, from 1.
    numbers : sequence of int
        The place of each among all records, readable or not, from 1.
    unit : {"line", "row"}
        What ``lines`` counts.
    lost : list of Skipped
        Records that cannot be read at all.
    """

    file: str
    kind: str
    columns: dict[str, list[Any]]
    lines: Sequence[int]
    numbers: Sequence[int]
    unit: str = "line"
    lost: list[Skipped] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises
    ------
    CorpusError
        If it cannot be read.
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
        Its path or name, for messages; its suffix says the form where ``kind`` does not.
    kind : {"json", "csv", "parquet"}, optional
        The form, where it is known.

    Raises
    ------
    CorpusError
        If the file is empty, has another form, or cannot be read as a whole.
    """
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise CorpusError(f"{file}: damaged or cut-off gzip file ({error})") from error
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
    """Rows from a DataFrame. NaN, NaT, None and NA all stand for a missing value."""
    columns = {
        str(name): [
            None if missing else value
            for value, missing in zip(column.tolist(), column.isna().tolist(), strict=True)
        ]
        for name, column in frame.items()
    }
    return _numbered_rows(file, columns, frame.shape)


def _numbered_rows(file: str, columns: dict[str, list[Any]], shape: tuple[int, int]) -> Rows:
    """Rows of a table of this shape, which is neither text nor JSON."""
    if len(columns) < shape[1]:
        raise CorpusError(f"{file}: two columns have the same name; rename one")
    numbers = range(1, shape[0] + 1)
    return Rows(file, "parquet", columns, numbers, numbers, unit="row")


def unnest(values: Sequence[Any], label: str, problems: dict[int, str]) -> dict[str, list[Any]]:
    """Columns from a list of JSON objects, keys in the order first seen.

    A value that is neither an object nor None goes into ``problems`` under its
    position.
    """
    for row, value in enumerate(values):
        if value is not None and type(value) is not dict:
            problems.setdefault(row, f"{label}: expected an object, found {shown(value)}")
    objects = [value if type(value) is dict else {} for value in values]
    keys = dict.fromkeys(chain.from_iterable(objects))
    return {key: [each.get(key) for each in objects] for key in keys}


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
    suffix = Path(file.removesuffix(".gz").lower()).suffix[1:]
    if suffix in ("csv", "parquet"):
        return suffix
    is_json = suffix in ("jsonl", "json", "ndjson") or data.lstrip()[:1] in (b"{", b"[")
    return "json" if is_json else "csv"


def _parse_json_lines(data: bytes, file: str) -> Rows:
    # Lines end in LF, CRLF or CR; none of them can occur inside a JSON string.
    lines = [
        (line, text)
        for line, text in enumerate(data.splitlines(), start=1)
        if text and not text.isspace()
    ]
    with suppress(*_JSON_ERRORS):
        decode = msgspec.json.Decoder(TaskRecord).decode
        columns = _task_columns([decode(text) for _, text in lines])
        return Rows(file, "json", columns, [line for line, _ in lines], range(1, len(lines) + 1))
    # The file has another shape, or an error: read it record by record.
    decode = msgspec.json.Decoder().decode
    records: list[dict[str, Any]] = []
    starts: list[int] = []
    numbers: list[int] = []
    lost: list[Skipped] = []
    with _bar(file, len(lines)) as bar:
        for number, (line, text) in enumerate(lines, start=1):
            bar.update()
            try:
                record = decode(text)
            except _JSON_ERRORS as error:
                lost.append(Skipped(file, line, _json_trouble(text, error)))
                continue
            if type(record) is not dict:
                reason = f"expected one JSON object a line, found {shown(record)}"
                lost.append(Skipped(file, line, reason))
                continue
            records.append(record)
            starts.append(line)
            numbers.append(number)
    if not records and lost and _is_one_object(data):
        raise CorpusError(
            f"{file}: is one JSON object over several lines; expected one object a task, "
            "each on a line of its own or all in one array"
        )
    return Rows(file, "json", unnest(records, "", {}), starts, numbers, lost=lost)


def _task_columns(tasks: Sequence[TaskRecord]) -> dict[str, list[Any]]:
    """The fields of tasks as columns, outcomes as ``outcomes.<agent>.<field>``."""
    *names, _ = TaskRecord.__struct_fields__
    columns = {name: [getattr(task, name) for task in tasks] for name in names}
    for agent, records in unnest([task.outcomes for task in tasks], "", {}).items():
        for name in OutcomeRecord.__struct_fields__:
            columns[f"outcomes.{agent}.{name}"] = [getattr(each, name, None) for each in records]
    return {name: column for name, column in columns.items() if column.count(None) < len(column)}


def _is_one_object(data: bytes) -> bool:
    with suppress(*_JSON_ERRORS):
        return type(msgspec.json.decode(data)) is dict
    return False


def _bar(file: str, total: int | None = None) -> tqdm:
    """A progress bar of records read, shown at a terminal after a second."""
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
    with suppress(*_JSON_ERRORS):
        tasks = msgspec.json.decode(data, type=list[TaskRecord])
        numbers = range(1, len(tasks) + 1)
        return Rows(file, "json", _task_columns(tasks), numbers, numbers, "row")
    try:
        records = msgspec.json.decode(data)
    except _JSON_ERRORS as error:
        # Nothing after a broken value in an array can be trusted.
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
    # The limit of 128 kB a cell holds for the whole process; texts may be longer. It is only
    # ever raised, so that two threads reading at once cannot lower it for one another.
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    # A byte that is not UTF-8 becomes a lone surrogate (0xff is U+DCFF).
    decoded = data.decode("utf-8", "surrogateescape")
    is_utf8 = decoded.isascii() or not _SURROGATE.search(decoded)
    text = io.StringIO(decoded, newline="")
    # A comma, or a semicolon or tab where the header has more of them.
    delimiter = max(",;\t", key=text.readline().count)
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
    starts: list[int] = []
    numbers: list[int] = []
    lost: list[Skipped] = []
    number = 0
    with _bar(file) as bar:
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
    named = dict(zip(header, columns, strict=True))
    return Rows(file, "csv", named, starts, numbers, lost=lost)


def _header_trouble(header: list[str]) -> str | None:
    for number, name in enumerate(header, start=1):
        if reason := _encoding_trouble(name):
            return f"column {number}: {reason}"
        if "\0" in name:
            return f"column {number}: NUL byte; not text, or UTF-16, which is to be saved as UTF-8"
        if header.count(name) > 1:
            return f"column {shown(name)} appears twice; rename one"
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


def _parse_parquet(data: bytes, file: str) -> Rows:
    try:
        table = pq.read_table(pa.BufferReader(data))
        columns = {
            name: column.to_pylist()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{file}: damaged or cut-off Parquet file ({error})") from error
    return _numbered_rows(file, columns, table.shape)
