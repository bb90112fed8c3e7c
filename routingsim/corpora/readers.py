"""Bytes to rows: JSON lines, a JSON array, CSV or Parquet, gzipped or not.

This module checks the form of a file only. Records that cannot be read at all are
listed in ``Rows.lost`` with their line; :mod:`routingsim.corpora.validation` checks the values.
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeGuard, runtime_checkable

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from routingsim.agents import ArrowStream
from routingsim.corpora.csv_reader import parse_csv
from routingsim.corpora.rows import (
    Rows,
    Skipped,
    TextColumn,
    long_line,
    long_run,
    long_text,
    progress,
    shown,
    unnest,
)
from routingsim.errors import CorpusError
from routingsim.files import beyond, limit, read_file

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for text that is no JSON."""

_ARCHIVES = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV UTF-8",
    b"BZh": "compressed by bzip2; unpack it, or use gzip",
    b"\xfd7zXZ": "compressed by xz; unpack it, or use gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it, or use gzip",
}

_PIECE = 1 << 16  # records whose fields are taken together
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
    priority: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    tenant: str | None = None
    cached_tokens: _Amount = None
    cache_write_tokens: _Amount = None
    d_var: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    length: _Amount = None
    punctuation: _Amount = None
    unique_tokens: _Amount = None
    outcomes: dict[str, OutcomeRecord | None] | None = None


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises
    ------
    CorpusError
        If it cannot be read.
    """
    try:
        return read_file(path)
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
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
                data = unpacked.read(limit("ROUTINGSIM_MAX_BYTES") + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise CorpusError(f"{file}: damaged or cut-off gzip file ({error})") from error
        if reason := beyond("ROUTINGSIM_MAX_BYTES", len(data), "bytes or more once unpacked"):
            raise CorpusError(f"{file}: {reason}")
    if data[:4] == b"PAR1":
        return _parse_parquet(data, file)
    data = data.removeprefix(codecs.BOM_UTF8)
    refuse_form(data, file)
    kind = kind or _guess_kind(data, file)
    if kind == "csv":
        return parse_csv(data, file)
    if kind == "parquet":
        raise CorpusError(f"{file}: is not a Parquet file (it does not begin with PAR1)")
    if data.lstrip().startswith(b"["):
        return _parse_json_array(data, file)
    return _parse_json_lines(data, file)


def refuse_form(data: bytes, file: str) -> None:
    """Refuse what is no text: an archive, or text in another encoding; and an empty file.

    Raises
    ------
    CorpusError
        It says what the file is, and what to do.
    """
    for magic, what in _ARCHIVES.items():
        if data.startswith(magic):
            raise CorpusError(f"{file}: is {what}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CorpusError(f"{file}: is UTF-16 text; save it as UTF-8")
    if not data.strip():
        raise CorpusError(f"{file}: is empty; a corpus needs at least one task")


def rows_of_frame(frame: pd.DataFrame, file: str) -> Rows:
    """Rows from a DataFrame. NaN, NaT, None and NA all stand for a missing value."""
    columns = {str(name): _frame_values(column) for name, column in frame.items()}
    return _numbered_rows(file, columns, frame.shape)


def _frame_values(column: pd.Series) -> Sequence[Any]:
    if isinstance(column.dtype, pd.StringDtype):
        return column_values(pa.chunked_array(pa.array(column)))
    return [
        None if missing else value
        for value, missing in zip(column.tolist(), column.isna().tolist(), strict=True)
    ]


def column_values(column: pa.ChunkedArray) -> Sequence[Any]:
    """The values of an Arrow column: texts stay in Arrow, all others become Python's own.

    So do texts of which some are null: in a CSV file, for which a :class:`TextColumn` stands, an
    empty cell is an empty text, and here it is missing.
    """
    of = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not column.null_count and (pa.types.is_string(of) or pa.types.is_large_string(of)):
        return TextColumn(column.cast(pa.large_string()))
    return column.to_pylist()


@runtime_checkable
class ArrowFormat(Protocol):
    """A Dataset of HuggingFace datasets, which gives the rows it selects as an Arrow table."""

    def with_format(self, type: str) -> Any: ...


TableLike = pd.DataFrame | ArrowStream | ArrowFormat
"""A table in memory: of pandas, pyarrow, polars, DuckDB, HuggingFace datasets, …"""


def is_table(given: Any) -> TypeGuard[TableLike]:
    """Whether it is a table in memory, or will be one when a library has computed its rows."""
    return isinstance(given, pd.DataFrame | ArrowStream | ArrowFormat) or hasattr(given, "collect")


def frame_of(table: TableLike, name: str) -> pd.DataFrame:
    """A table in memory as a DataFrame.

    Raises
    ------
    CorpusError
        If it cannot be converted, its rows are still to be computed or fetched, or a Dataset is
        several, one for each split.
    """
    if isinstance(table, pd.DataFrame):
        return table
    kind = type(table).__name__
    if hasattr(table, "collect") and not isinstance(table, ArrowStream):
        raise CorpusError(f"{name}: this {kind} has no rows yet; give what its collect() returns")
    if isinstance(table, ArrowFormat):
        if isinstance(table, Mapping):
            splits = ", ".join(map(str, table))
            raise CorpusError(f"{name}: choose one split of this DatasetDict; it has {splits}")
        if not hasattr(table, "__getitem__"):
            raise CorpusError(f"{name}: this {kind} has no rows yet; load it with streaming=False")
        table = table.with_format("arrow")[:]
    try:
        return pa.table(table).to_pandas()
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise CorpusError(f"{name}: the table cannot be read ({error})") from None


def _numbered_rows(file: str, columns: Mapping[str, Sequence[Any]], shape: tuple[int, int]) -> Rows:
    """Rows of a table of this shape, which is neither text nor JSON."""
    if len(columns) < shape[1]:
        raise CorpusError(f"{file}: two columns have the same name; rename one")
    numbers = range(1, shape[0] + 1)
    return Rows(file, "parquet", columns, numbers, numbers, unit="row")


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
    all_short = long_line(data) is None
    with suppress(*JSON_ERRORS):
        if all_short:
            decode = msgspec.json.Decoder(TaskRecord).decode
            pieces = [lines[begin : begin + _PIECE] for begin in range(0, len(lines), _PIECE)]
            found = [
                _texts_in_arrow(_task_columns([decode(text) for _, text in piece]))
                for piece in pieces
            ]
            columns = _joined(found, [len(piece) for piece in pieces])
            starts = [line for line, _ in lines]
            return Rows(file, "json", columns, starts, range(1, len(lines) + 1))
    # The file has another shape, or an error: read it record by record.
    decode = msgspec.json.Decoder().decode
    records: list[dict[str, Any]] = []
    starts = []
    numbers: list[int] = []
    lost: list[Skipped] = []
    with progress(file, len(lines)) as bar:
        for number, (line, text) in enumerate(lines, start=1):
            bar.update()
            if reason := beyond("ROUTINGSIM_MAX_LINE", len(text), "bytes in one line"):
                lost.append(Skipped(file, line, reason))
                continue
            try:
                record = decode(text)
            except JSON_ERRORS as error:
                lost.append(Skipped(file, line, json_trouble(text, error)))
                continue
            if type(record) is not dict:
                reason = f"expected one JSON object a line, found {shown(record)}"
                lost.append(Skipped(file, line, reason))
                continue
            records.append(record)
            starts.append(line)
            numbers.append(number)
    if not records and lost and all_short and _one_object(data) is not None:
        raise CorpusError(
            f"{file}: is one JSON object over several lines; expected one object a task, "
            f"each on a line of its own or all in one array"
        )
    return Rows(file, "json", unnest(records, "", {}), starts, numbers, lost=lost)


def _task_columns(tasks: Sequence[TaskRecord]) -> dict[str, Sequence[Any]]:
    """The fields of tasks as columns, outcomes as ``outcomes.<agent>.<field>``."""
    *names, _ = TaskRecord.__struct_fields__
    columns = {name: [getattr(task, name) for task in tasks] for name in names}
    for agent, records in unnest([task.outcomes for task in tasks], "", {}).items():
        for name in OutcomeRecord.__struct_fields__:
            columns[f"outcomes.{agent}.{name}"] = [getattr(each, name, None) for each in records]
    return {name: column for name, column in columns.items() if column.count(None) < len(column)}


def _texts_in_arrow(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns with ids and texts in Arrow, which takes less memory."""
    for name in ("id", "text"):
        with suppress(UnicodeEncodeError):  # half a character, which the check names
            texts = pa.array(columns[name], pa.large_string())
            columns[name] = TextColumn(pa.chunked_array([texts]))
    return columns


def _joined(pieces: Sequence[dict[str, Any]], sizes: Sequence[int]) -> dict[str, Any]:
    """The columns of pieces of a file, one after another."""
    joined: dict[str, Any] = {}
    for name in dict.fromkeys(name for piece in pieces for name in piece):
        parts: list[Any] = [
            piece.pop(name, None) or [None] * size
            for piece, size in zip(pieces, sizes, strict=True)
        ]
        if all(isinstance(part, TextColumn) for part in parts):
            chunks = [chunk for part in parts for chunk in part.arrow.chunks]
            joined[name] = TextColumn(pa.chunked_array(chunks, pa.large_string()))
        else:
            joined[name] = list(chain.from_iterable(parts))
    return joined


def _one_object(data: bytes) -> dict[str, Any] | None:
    with suppress(*JSON_ERRORS):
        whole = msgspec.json.decode(data)
        return whole if type(whole) is dict else None
    return None


def _parse_json_array(data: bytes, file: str) -> Rows:
    most = 6 * limit("ROUTINGSIM_MAX_TEXT")  # a character written as \u0041 is one byte of text
    for start in (long_run(data, b'"', most), long_text(data, "json", most)):
        if start is not None:
            line = data.count(b"\n", 0, start) + 1
            raise CorpusError(
                f"{file}:{line}: a value of more than {most:,} bytes, six times "
                "ROUTINGSIM_MAX_TEXT, which sets another limit"
            )
    with suppress(*JSON_ERRORS):
        tasks = msgspec.json.decode(data, type=list[TaskRecord])
        numbers = range(1, len(tasks) + 1)
        return Rows(file, "json", _task_columns(tasks), numbers, numbers, "row")
    try:
        records = msgspec.json.decode(data)
    except JSON_ERRORS as error:
        # Nothing after a broken value in an array can be trusted.
        byte = re.search(r"\(byte (\d+)\)", str(error))
        line = data.count(b"\n", 0, int(byte[1]) if byte else len(data)) + 1
        raise CorpusError(f"{file}:{line}: {json_trouble(data, error)}") from error
    problems: dict[int, str] = {}
    columns = unnest(
        ["null" if record is None else record for record in records], "record", problems
    )
    keep = [row for row in range(len(records)) if row not in problems]
    numbers = [row + 1 for row in keep]
    columns = {name: [column[row] for row in keep] for name, column in columns.items()}
    lost = [Skipped(file, row + 1, reason, "row") for row, reason in problems.items()]
    return Rows(file, "json", columns, numbers, numbers, "row", lost)


def json_trouble(text: bytes, error: Exception) -> str:
    """What is wrong with a text that is no JSON."""
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


def _parse_parquet(data: bytes, file: str) -> Rows:
    try:
        table = bounded_table(pa.py_buffer(data), file)
        columns = {
            name: column_values(column)
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise CorpusError(f"{file}: damaged or cut-off Parquet file ({why})") from error
    return _numbered_rows(file, columns, table.shape)


def bounded_table(data: pa.Buffer, file: str) -> pa.Table:
    """The table of a Parquet file, if it holds no more than the limits allow.

    One value many times over takes a few bytes in the file. Its texts are therefore read as
    dictionaries, and added up before they are written out.
    """
    about = pq.read_metadata(pa.BufferReader(data))
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(about.num_columns)]
    _check(file, "ROUTINGSIM_MAX_COLUMNS", about.num_columns, "columns")
    # Of lists, the values are counted, too.
    values = max(about.num_rows * about.num_columns, sum(chunk.num_values for chunk in chunks))
    _check(file, "ROUTINGSIM_MAX_CELLS", values, "cells")
    unpacked = sum(chunk.total_uncompressed_size for chunk in chunks)
    _check(file, "ROUTINGSIM_MAX_BYTES", unpacked, "bytes once unpacked")
    texts = {chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"}
    table = pq.read_table(pa.BufferReader(data), read_dictionary=sorted(texts))
    size = 0
    for column in table.columns:
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            lengths = pc.call_function("binary_length", [chunk.dictionary]).cast(pa.int64())
            size += pc.call_function("sum", [lengths.take(chunk.indices)]).as_py() or 0
    _check(file, "ROUTINGSIM_MAX_BYTES", size, "bytes of text once unpacked")
    return table


def _check(file: str, variable: str, found: int, what: str) -> None:
    if reason := beyond(variable, found, what):
        raise CorpusError(f"{file}: {reason}")
