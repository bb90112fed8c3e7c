"""How work is sent to a worker: what all items share once, each item on its own.

What is shared, such as a corpus, is pickled to a temporary file, whose path and digest go with
every item. A worker that cannot read the file, such as one on another machine, is sent the bytes;
a Dask cluster gets them once. Each worker keeps what it has unpacked.
"""

import hashlib
import os
import pickle
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numba import cloudpickle

from routingsim.errors import SimulationError
from routingsim.policies.kernel import pickled_by_value

_NAME = "routingsim-shared"
_HELD = 2  # shared values that a worker keeps


@dataclass(frozen=True)
class Failed:
    """An item whose work raised an error: the error, and its traceback as text."""

    error: Exception
    traceback: str


class Lacking:
    """What a worker answers that has not got what the items share."""


@dataclass(frozen=True)
class Packed:
    """The work and what all items share: pickled, its digest, and the file that holds it."""

    data: bytes
    digest: str
    path: str


@contextmanager
def packed_once(work: Callable[[Any, Any], Any], shared: Any) -> Iterator[Packed]:
    """What all items share, in a file that is removed afterwards; so are those of killed runs."""
    data = pickled((work, shared))
    digest = hashlib.sha256(data).hexdigest()
    for old in Path(tempfile.gettempdir()).glob(f"{_NAME}-*"):
        if _abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    name = f"{_NAME}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=name, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "shared.pickle"
        with suppress(OSError):  # a full disk: the digest tells, and workers are sent the bytes
            path.write_bytes(data)
        yield Packed(data, digest, str(path))


def _abandoned(folder: Path) -> bool:
    """Whether the process that made the folder has ended. If not known, False."""
    if os.name != "posix":  # signal 0 is none there
        return False
    try:
        os.kill(int(folder.name.split("-")[2]), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError, OverflowError):
        return False
    return False


def pickled(value: Any) -> bytes:
    """Pickled with the code of functions that were typed in a session, which pickle refuses."""
    with pickled_by_value():
        return cloudpickle.dumps(value)


# What a worker holds: shared values by digest, the latest last.
_held: dict[str, Any] = {}
_lock = threading.Lock()


def do(digest: str, path: str, data: bytes | None, item: bytes) -> Any:
    """In a worker: the work on one item, or :class:`Lacking`."""
    with _lock:
        if digest not in _held:
            if data is None:
                with suppress(OSError):
                    data = Path(path).read_bytes()
            if data is None or hashlib.sha256(data).hexdigest() != digest:
                return Lacking()
            _held[digest] = pickle.loads(data)
            for old in list(_held)[:-_HELD]:
                del _held[old]
        work, shared = _held[digest]
    result = tried(work, shared, pickle.loads(item))
    return _that_travels(result) if isinstance(result, Failed) else result


def do_numbered(k: int, digest: str, path: str, data: bytes | None, item: bytes) -> tuple[int, Any]:
    """The same with the item's number, for executors that return results in any order."""
    return k, do(digest, path, data, item)


def tried(work: Callable[[Any, Any], Any], shared: Any, item: Any) -> Any:
    """The result of the work, or :class:`Failed`."""
    try:
        return work(shared, item)
    except Exception as error:
        return Failed(error, traceback.format_exc())


def _that_travels(failed: Failed) -> Failed:
    """The same, with an error that can be pickled."""
    try:
        pickle.loads(pickle.dumps(failed.error))
    except Exception:
        said = f"{type(failed.error).__name__}: {failed.error}"
        return Failed(SimulationError(said), failed.traceback)
    return failed
