"""The checkpoint file of a study: its finished cells, so that an interrupted study can resume.

Each line is a JSON object: a key, and the cell of one policy at one load. The key is a
digest of everything that determines the cell, so several studies can share a file.
"""

import hashlib
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.evaluation.cell import METRICS, NO_RESAMPLES, OF_TENANTS, Cell
from routingsim.evaluation.fingerprint import fingerprint
from routingsim.evaluation.line_file import append_line, read_lines
from routingsim.evaluation.study_record import StudySettings
from routingsim.simulation.arrivals import Arrivals
from routingsim.simulation.scenario import Scenario

_ARRAYS = tuple(each.name for each in fields(Cell) if each.name not in ("verdicts", "scale"))


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
    return dict(read_lines(path, _cell, what="checkpoint", beginning=b'{"key": "'))


def _cell(record: Any) -> tuple[str, Cell]:
    arrays: dict[str, Any] = {field: np.array(record[field]) for field in _ARRAYS}
    if not arrays["tenants"].size:
        arrays["tenants"] = np.zeros((0, len(OF_TENANTS)))
    if not arrays["resampled"].size:
        arrays["resampled"] = NO_RESAMPLES
    verdicts, scale = tuple(record["verdicts"]), float(record["scale"])
    return record["key"], Cell(verdicts=verdicts, scale=scale, **arrays)


def append_cell(path: Path, key: str, cell: Cell) -> None:
    """Add a finished cell to the file.

    Raises
    ------
    SimulationError
        If it cannot be written, as on a full disk; the cells that were there are kept.
    """
    arrays = {field: getattr(cell, field).tolist() for field in _ARRAYS}
    try:
        append_line(path, {"key": key, "verdicts": cell.verdicts, "scale": cell.scale} | arrays)
    except OSError as error:
        raise SimulationError(
            f"{path}: cannot be written ({error.strerror or error}); the cells finished so far are "
            "kept in it: correct that and run it again"
        ) from None
