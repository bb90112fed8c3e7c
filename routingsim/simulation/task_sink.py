"""The rows of a streamed replay's tasks, written to Parquet as they end."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from routingsim.errors import SimulationError
from routingsim.files import check_writable, written

ROWS = 1_000_000
"""Rows of a file of a folder, at the least."""


class TaskSink:
    """A Parquet file, or a folder of them, that takes the tasks of one policy after another.

    Parameters
    ----------
    path : path
        ``FILE.parquet``, or a folder that is new or empty. A file is there once all is written;
        each file of a folder once its own rows are.

    Raises
    ------
    SimulationError
        If the path is neither, the folder holds files, or nothing can be written there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._folder = self.path.is_dir() or not self.path.suffix
        if not self._folder and self.path.suffix.lower() != ".parquet":
            raise SimulationError(
                f"{self.path}: a replay in blocks writes Parquet: name FILE.parquet, or a folder"
            )
        if self._folder:
            _new_folder(self.path)
        else:
            check_writable(self.path)

        self._file = ExitStack()
        self._schema: pa.Schema | None = None
        self._writer: pq.ParquetWriter | None = None
        self._policy, self._rows, self._files = "", 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        """End the file that is begun; where the block has raised, remove it."""
        self._file.__exit__(*error)

    def begin(self, policy: str) -> None:
        """The tasks of another policy follow."""
        self._policy = policy
        if self._folder:
            self._end()

    def write(self, frame: pd.DataFrame, categories: Sequence[str]) -> None:
        """Write the rows of a block, whose categories are some of these.

        Raises
        ------
        SimulationError
            If they cannot be written.
        """
        frame.insert(0, "policy", self._policy)
        if "category" in frame:
            names = sorted({*categories, ""})
            frame["category"] = frame["category"].cat.set_categories(names)
        table = pa.Table.from_pandas(frame, schema=self._schema, preserve_index=False)
        self._schema = self._schema or table.schema
        try:
            if self._writer is None:
                self._writer = self._begun(self._schema)
            self._writer.write_table(table)
        except OSError as error:
            raise SimulationError(self._refused(error)) from error
        self._rows += len(frame)
        if self._folder and self._rows >= ROWS:
            self._end()

    def _begun(self, schema: pa.Schema) -> pq.ParquetWriter:
        path = self.path
        if self._folder:
            safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._policy)
            path = path / f"{safe}-{self._files:05}.parquet"
            self._files += 1
        temporary = self._file.enter_context(written(path, SimulationError))
        writer = self._file.enter_context(pq.ParquetWriter(temporary, schema))
        return writer

    def _end(self) -> None:
        """End the file that is begun, if one is."""
        self._writer, self._rows = None, 0
        self._file.close()

    def _refused(self, error: OSError) -> str:
        """The error on a full disk."""
        kept = "; the files that were ended before stay" if self._files > 1 else ""
        why = os.strerror(error.errno) if error.errno else str(error)
        where = ", into a new folder" * self._folder
        return (
            f"{self.path}: cannot be written ({why}){kept}; make room and run it again{where}: it "
            "is not taken up where it stopped"
        )


def _new_folder(path: Path) -> None:
    """Make a folder, or find it empty."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = next(path.iterdir(), None)
    except OSError as error:
        raise SimulationError(
            f"{path}: is no folder to write to ({error.strerror}); name a new one"
        ) from None
    if taken is not None:
        raise SimulationError(
            f"{path}: holds {taken.name} already; name a new folder, so that the tasks of two runs "
            "are not mixed"
        )
