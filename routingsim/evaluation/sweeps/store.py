"""The results of a sweep on disk: a folder of Parquet files that survives a crash.

``_plan.json`` says whose results they are. A finished cell is a line of ``_journal.jsonl`` at once.
After some seconds the lines become a Parquet file, ``part-….parquet``, and at the end all parts
become one, in the order of the plan. Each file is written whole or not at all, and a line that
was cut short is dropped, so what has finished is kept whatever ends the process. Readers of Parquet
pass over files that begin with "_": the folder can be read as one table at any time.
"""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from routingsim.errors import SimulationError
from routingsim.evaluation.cell import METRICS
from routingsim.evaluation.line_file import append_line, read_lines
from routingsim.evaluation.sweeps.plan import PLAIN, Plan, shown
from routingsim.files import written

_EVERY = 10.0  # seconds after which the journal becomes a part
_MOST = 1000  # rows of it


class Store:
    """The folder of a sweep's results.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    plan : Plan

    Raises
    ------
    SimulationError
        If the folder holds something else or the results of another plan, or cannot be read
        and written.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self._plan = folder, plan
        self._journal = folder / "_journal.jsonl"
        self._schema = schema(plan)
        self._check_plan()
        self.rows: dict[str, dict[str, Any]] = {}
        for part in self._parts():
            self.rows |= {row["cell"]: row for row in self._read(part)}
        lines = read_lines(self._journal, _row, what="file of results", beginning=b'{"cell": "')
        self._open = {row["cell"]: row for row in lines}
        self.rows |= self._open
        self._since = time.monotonic()

    def _check_plan(self) -> None:
        path, said = self.folder / "_plan.json", description(self._plan)
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise SimulationError(f"{self.folder}: is a file; results are kept in a folder")
            self.folder.mkdir(exist_ok=True)
            there = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
            if there is None and any(self.folder.iterdir()):
                raise SimulationError(
                    f"{self.folder}: is a folder of something else; name a new one for the results"
                )
        except OSError as error:
            raise _refused(self.folder, error) from None
        except ValueError:
            raise SimulationError(
                f"{path}: is no plan of a sweep; name another folder for the results"
            ) from None
        if there is None:
            with written(path, SimulationError) as file:
                file.write_text(json.dumps(said, indent=1, ensure_ascii=False), encoding="utf-8")
        elif not isinstance(there, dict) or there.get("plan") != said["plan"]:
            differing = [
                f"{name} {there.get(name)!r:.60} there, {value!r:.60} here"
                for name, value in said.items()
                if name != "plan" and isinstance(there, dict) and there.get(name) != value
            ]
            raise SimulationError(
                f"{self.folder}: holds the results of another plan "
                f"({'; '.join(differing) or 'of other code'}); name another folder"
            )

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _read(self, part: Path) -> list[dict[str, Any]]:
        try:
            return pq.read_table(part, schema=self._schema).to_pylist()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise SimulationError(
                f"{part}: cannot be read ({error}); remove it, and its cells are run again"
            ) from None

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row.

        Raises
        ------
        SimulationError
            If it cannot be written; what was kept before is whole.
        """
        try:
            append_line(self._journal, row)
        except OSError as error:
            raise _refused(self.folder, error) from None
        self.rows[row["cell"]] = self._open[row["cell"]] = dict(row)
        if len(self._open) >= _MOST or time.monotonic() > self._since + _EVERY:
            self._part(self._open.values())
            self._empty()

    def _part(self, rows: Iterable[Mapping[str, Any]]) -> Path:
        parts = self._parts()
        number = 1 + (int(parts[-1].stem.rpartition("-")[2]) if parts else 0)
        path = self.folder / f"part-{number:06}.parquet"
        with written(path, SimulationError) as file:
            pq.write_table(pa.Table.from_pylist(list(rows), schema=self._schema), file)
        return path

    def _empty(self) -> None:
        """Begin a new journal, once the rows of the old one are in a part."""
        self._journal.unlink(missing_ok=True)
        self._open.clear()
        self._since = time.monotonic()

    def finish(self) -> None:
        """Make all parts one, in the order of the plan."""
        old = self._parts()
        if len(old) == 1 and not self._open:
            return
        rows = [self.rows[key] for key in self._plan.keys if key in self.rows]
        if rows:
            self._part(rows)
        self._empty()
        for part in old:
            part.unlink(missing_ok=True)


def _refused(folder: Path, error: OSError) -> SimulationError:
    return SimulationError(
        f"{folder}: cannot be written ({error.strerror or error}); what has finished is kept: "
        "correct that and run it again, or name another folder"
    )


def _row(record: Any) -> dict[str, Any]:
    if not isinstance(record["cell"], str) or not isinstance(record["status"], str):
        raise ValueError("cell and status are needed")
    return record


def description(plan: Plan) -> dict[str, Any]:
    """A plan in short, and its digest."""
    fixed = plan.fixed
    return {
        "plan": plan.digest,
        "corpus": f"{fixed.corpus.name}: {len(fixed.corpus):,} tasks",
        "agents": list(fixed.pool.ids),
        **{
            name: value if value is None else shown(value)
            for name in PLAIN
            for value in [getattr(fixed, name)]
        },
        "replications": fixed.replications,
        "objective": fixed.objective,
        "first_token_objective": fixed.first_token_objective,
        "right": fixed.right,
        "retries": str(fixed.retries),
        "outages": [str(each) for each in fixed.outages],
        "changes": [str(each) for each in fixed.changes],
        "tenants": [str(each) for each in fixed.tenants],
        "common": fixed.common,
        "varied": {each.name: [shown(v) for v in each.values] for each in plan.axes},
        "cells": len(plan.settings),
    }


def schema(plan: Plan) -> pa.Schema:
    """Names and types of the columns: setting, status, figures."""
    fields = [("cell", pa.string())]
    for each in plan.axes:
        values = [shown(setting[each.name]) for setting in plan.settings]
        fields.append((each.name, _type(values)))
    fields += [("status", pa.string()), ("stability", pa.string())]
    fields += [(name, pa.float64()) for metric in METRICS for name in (metric, f"{metric}_hw")]
    fields += [("figures", pa.list_(pa.float64())), ("error", pa.string())]
    return pa.schema([*fields, ("traceback", pa.string())])


def _type(values: list[Any]) -> pa.DataType:
    kinds = {type(each) for each in values}
    if kinds <= {bool}:
        return pa.bool_()
    if kinds <= {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()
