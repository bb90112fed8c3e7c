"""The checkpoint file of a study: its finished cells, so that an interrupted study can resume.

Each line is a JSON object: a key, and the cell of one policy at one load. The key is a
digest of everything that determines the cell, so several studies can share a file.
"""

import errno
import hashlib
import json
import os
import stat
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.evaluation.cell import METRICS, NO_RESAMPLES, Cell
from routingsim.evaluation.fingerprint import fingerprint
from routingsim.evaluation.study_record import StudySettings
from routingsim.simulation.arrivals import Arrivals
from routingsim.simulation.scenario import Scenario

_ARRAYS = tuple(each.name for each in fields(Cell) if each.name not in ("verdicts", "scale"))
_BEGINNING = b'{"key": "'


def cell_key(
    scene: Scenario, process: Arrivals, settings: StudySettings, group: NDArray[np.intp]
) -> str:
    """Digest of everything that determines the cell of a policy at a load.

    ``group`` has the same number for records with the same prompt.

    It contains the code of the policy's kernels with all that they call and read
    (:func:`routingsim.evaluation.fingerprint.fingerprint`), and what the engine reads of
    the corpus.
    """
    policy = scene.policy
    digest = hashlib.sha256()
    for part in (
        version("routingsim"),
        tuple(METRICS),
        scene.pool.agents,
        (policy.name, policy.interpreted, policy.judge),
        fingerprint(policy.choose, policy.learn),
        scene.retries,
        scene.outages,
        scene.changes,
        scene.signals,
        scene.hedge,
        scene.tenants,
        str(process),
        settings,
    ):
        digest.update(repr(part).encode() + b"\n")
    digest.update(policy.memory.tobytes())
    digest.update(np.asarray(group, dtype=np.int64).tobytes())
    for column in scene.records.work:
        digest.update(repr(column.shape).encode() + column.tobytes())
    if not process.synthetic:
        count = len(scene.corpus or ())
        digest.update(process.times(count, settings.seed, scene.corpus).tobytes())
    return digest.hexdigest()


def read_cells(path: Path) -> dict[str, Cell]:
    """Finished cells by key; the file is created if it does not exist.

    A last line that an interruption cut short is removed from the file.

    Raises
    ------
    SimulationError
        If the file cannot be read and written, or a line is not a cell.
    """
    try:
        with path.open("a+b") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is a device or a pipe")
            file.seek(0)
            whole, newline, rest = file.read().rpartition(b"\n")
            lines = (whole + newline).splitlines()
            cells = dict(_cell(path, number, line) for number, line in enumerate(lines, start=1))
            if rest:
                if not (rest.startswith(_BEGINNING) or _BEGINNING.startswith(rest)):
                    raise _not_a_cell(path, len(lines) + 1, "it begins differently")
                file.truncate(len(whole + newline))
    except OSError as error:
        raise SimulationError(
            f"{path}: cannot be read and written ({error.strerror}); a checkpoint is a file in a "
            "folder that exists"
        ) from None
    return cells


def _cell(path: Path, number: int, line: bytes) -> tuple[str, Cell]:
    try:
        record = json.loads(line)
        arrays: dict[str, Any] = {field: np.array(record[field]) for field in _ARRAYS}
        if not arrays["resampled"].size:
            arrays["resampled"] = NO_RESAMPLES
        verdicts, scale = tuple(record["verdicts"]), float(record["scale"])
        return record["key"], Cell(verdicts=verdicts, scale=scale, **arrays)
    except (ValueError, KeyError, TypeError) as error:
        raise _not_a_cell(path, number, f"{type(error).__name__}: {error}") from None


def _not_a_cell(path: Path, line: int, why: str) -> SimulationError:
    return SimulationError(
        f"{path}:{line}: not a line of a checkpoint ({why}); remove the line, or give another "
        "file to resume"
    )


def append_cell(path: Path, key: str, cell: Cell) -> None:
    """Add a finished cell to the file."""
    arrays = {field: getattr(cell, field).tolist() for field in _ARRAYS}
    with path.open("a", encoding="utf-8") as file:
        file.write(
            json.dumps({"key": key, "verdicts": cell.verdicts, "scale": cell.scale} | arrays) + "\n"
        )
