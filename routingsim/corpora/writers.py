"""A corpus's table as a file in our own format: JSON lines, CSV or Parquet."""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from routingsim.corpora.validation import BASE, OPTIONAL, SCORES
from routingsim.errors import CorpusError
from routingsim.files import written

_PIECE = 1 << 16  # rows that are written at once


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the form its path's suffix names.

    Parameters
    ----------
    frame : DataFrame
        As :meth:`routingsim.corpora.corpus.Corpus.to_frame` gives it.
    path : Path
        Ends in .jsonl, .csv (each optionally with .gz) or .parquet.

    Raises
    ------
    CorpusError
        If the suffix is another one, or the file cannot be written.
    """
    plain = path.name.removesuffix(".gz")
    if plain.endswith(".jsonl"):
        data = _jsonl_bytes(frame)
    elif plain.endswith(".csv"):
        data = csv_bytes(frame)
    elif path.suffix == ".parquet":
        data = frame.to_parquet(index=False)
    else:
        raise CorpusError(
            f"{path}: unknown suffix; allowed are .jsonl, .csv (also with .gz) and .parquet"
        )
    if path.suffix == ".gz":
        # No time stamp: the same corpus gives the same bytes.
        data = gzip.compress(data, mtime=0)
    with written(path, CorpusError) as file:
        file.write_bytes(data)


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The table as canonical CSV: UTF-8, LF, shortest exact numbers."""
    return b"".join(csv_pieces(frame))


def csv_pieces(frame: pd.DataFrame) -> Iterator[bytes]:
    """The same in pieces, which take less memory than the whole."""
    # pandas leaves a lone CR bare, and a reader takes it for the end of a row.
    bare = any("\r" in str(name) for name in frame.columns) or any(
        _has_return(frame.iloc[:, k]) for k in range(frame.shape[1])
    )
    quoting = csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL
    for begin in range(0, max(len(frame), 1), _PIECE):
        text = frame.iloc[begin : begin + _PIECE].to_csv(
            index=False, header=not begin, lineterminator="\n", quoting=quoting
        )
        yield text.encode()


def _has_return(column: pd.Series) -> bool:
    """Whether a value of a column, as it is written, holds a carriage return."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    if isinstance(column.dtype, pd.StringDtype):
        return bool(column.str.contains("\r", regex=False, na=False).any())
    return any("\r" in str(value) for value in column.tolist())


def _jsonl_bytes(frame: pd.DataFrame) -> bytes:
    encoder = msgspec.json.Encoder()
    lines = bytearray()
    names = list(frame.columns)
    for row in zip(*(frame[name].tolist() for name in names), strict=True):
        record: dict[str, Any] = {}
        for name, value in zip(names, row, strict=True):
            # NaN is the one value unlike itself; "" is the category of no category.
            if value != value or (name in ("category", "tenant") and not value):
                continue
            if name in (*BASE, *OPTIONAL, *SCORES):
                record[name] = int(value) if name == "priority" else value
            else:
                agent, _, key = name.removeprefix("outcomes.").rpartition(".")
                value = bool(value) if key == "failed" else value
                record.setdefault("outcomes", {}).setdefault(agent, {})[key] = value
        lines += encoder.encode(record) + b"\n"
    return bytes(lines)
