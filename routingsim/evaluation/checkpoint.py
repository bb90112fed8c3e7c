"""The file of a study's finished parts, by which one that was interrupted goes on.

A JSON object a line: a key, and the figures of one policy at one load. The key is a
digest of all that shapes these figures, so parts of several studies may share a file
and none is taken for another's.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from routingsim.errors import SimulationError
from routingsim.evaluation.cell import METRICS, Cell
from routingsim.evaluation.study import StudySettings
from routingsim.policies.kernel import Kernel
from routingsim.simulation.arrivals import Arrivals
from routingsim.simulation.scenario import Scenario

__all__ = ["append_part", "part_key", "read_parts"]

_ARRAYS = ("figures", "quality", "cost", "chosen", "times", "regret")
_BEGINNING = b'{"key": "'


def part_key(scene: Scenario, process: Arrivals, settings: StudySettings) -> str:
    """Digest of all that shapes the figures of a policy at a load.

    Of a policy's own kernels it holds the code, of the corpus what the engine reads. A
    change in a function that a kernel calls does not show.
    """
    policy = scene.policy
    digest = hashlib.sha256()
    for said in (
        version("routingsim"),
        tuple(METRICS),
        scene.pool.agents,
        (policy.name, policy.interpreted, policy.judge),
        (_code(policy.choose), _code(policy.learn)),
        scene.retries,
        scene.outages,
        str(process),
        settings,
    ):
        digest.update(repr(said).encode() + b"\n")
    digest.update(policy.memory.tobytes())
    for column in scene.records.work:
        digest.update(repr(column.shape).encode() + column.tobytes())
    if not process.synthetic:
        count = len(scene.corpus or ())
        digest.update(process.times(count, settings.seed, scene.corpus).tobytes())
    return digest.hexdigest()


def _code(kernel: Kernel) -> str:
    """What a kernel's function does: its bytecode, constants, defaults and closure."""
    function: Any = kernel.python
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return repr((_body(function.__code__), function.__defaults__, cells))


def _body(code: CodeType) -> tuple[Any, ...]:
    constants = [_body(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return code.co_code, code.co_names, constants


def read_parts(path: Path) -> dict[str, Cell]:
    """Finished parts by key; the file is made if it is not there.

    A last line that an interruption cut short is taken off the file.

    Raises
    ------
    SimulationError
        If the file cannot be read and written, or a line is not a part.
    """
    try:
        with path.open("a+b") as file:
            file.seek(0)
            whole, newline, rest = file.read().rpartition(b"\n")
            found = _parts(path, whole + newline)
            if rest:
                if not (rest.startswith(_BEGINNING) or _BEGINNING.startswith(rest)):
                    raise _not_a_part(path, (whole + newline).count(b"\n") + 1, "another beginning")
                file.truncate(len(whole + newline))
    except OSError as error:
        raise SimulationError(
            f"{path}: cannot be read and written ({error.strerror}); finished parts need a file "
            "in a folder that is there"
        ) from None
    return found


def _parts(path: Path, text: bytes) -> dict[str, Cell]:
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            record = json.loads(line)
            arrays: dict[str, Any] = {field: np.array(record[field]) for field in _ARRAYS}
            found[record["key"]] = Cell(verdicts=tuple(record["verdicts"]), **arrays)
        except (ValueError, KeyError, TypeError) as error:
            raise _not_a_part(path, number, f"{type(error).__name__}: {error}") from None
    return found


def _not_a_part(path: Path, line: int, why: str) -> SimulationError:
    return SimulationError(
        f"{path}:{line}: not a part of a study ({why}); take the line out, or give another file "
        "to resume"
    )


def append_part(path: Path, key: str, cell: Cell) -> None:
    """Add a finished part."""
    record = {"key": key, "verdicts": cell.verdicts}
    for field in _ARRAYS:
        record[field] = getattr(cell, field).tolist()
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
