"""The rows of a streamed replay's tasks, written to Parquet as they end."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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
        self._folder = self.path.suffix.lower() != ".parquet"
        if self._folder and self.path.suffix:
            raise SimulationError(
                f"{self.path}: a streamed replay writes Parquet: name FILE.parquet, or a folder"
            )
        if not self._folder:
            check_writable(self.path)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            taken = next(self.path.iterdir(), None)
        except OSError as error:
            raise SimulationError(
                f"{self.path}: is no folder to write to ({error.strerror}); name a new one"
            ) from None
        if taken is not None:
            raise SimulationError(
                f"{self.path}: holds {taken.name} already; name a new folder, so that tasks of two "
                "runs are not mixed"
            )

    @contextmanager
    def opened(self, policy: str) -> Iterator["_Writer"]:
        """A writer for the tasks of a policy."""
        with ExitStack() as stack:
            yield _Writer(self.path, self._folder, policy, stack)


class _Writer:
    """Writes the tables of a policy's blocks."""

    def __init__(self, path: Path, folder: bool, policy: str, stack: ExitStack) -> None:
        self._path, self._folder, self._policy, self._stack = path, folder, policy, stack
        self._schema: pa.Schema | None = None
        self._writer: pq.ParquetWriter | None = None
        self._file, self._rows, self._files = ExitStack(), 0, 0
        stack.push(self._leave)

    def _leave(self, *error: Any) -> bool | None:
        return self._file.__exit__(*error)

    def write(self, frame: pd.DataFrame, categories: Sequence[str]) -> None:
        """Write the rows of a block; its categories may be others than those of the last."""
        frame.insert(0, "policy", self._policy)
        if "category" in frame:
            names = sorted({*categories, *frame["category"].cat.categories, ""})
            frame["category"] = frame["category"].cat.set_categories(names)
        table = pa.Table.from_pandas(frame, schema=self._schema, preserve_index=False)
        self._schema = self._schema or table.schema
        if self._writer is None:
            self._writer = self._begun()
        try:
            self._writer.write_table(table)
        except OSError as error:
            raise SimulationError(
                f"{self._path}: cannot be written ({error.strerror or error}); make room"
            ) from error
        self._rows += len(frame)
        if self._folder and self._rows >= ROWS:
            self._file.close()
            self._writer, self._rows = None, 0

    def _begun(self) -> pq.ParquetWriter:
        path = self._path
        if self._folder:
            safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._policy)
            path = path / f"{safe}-{self._files:05}.parquet"
            self._files += 1
        self._file = ExitStack()
        temporary = self._file.enter_context(written(path, SimulationError))
        return self._file.enter_context(pq.ParquetWriter(temporary, self._schema))
