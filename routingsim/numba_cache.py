"""Where compiled code is kept: a folder where numba finds none, and what if it is full.

And what else all have in common that have numba compile.

Numba keeps compiled code beside the source, or else in the user's cache folder. It raises an
error if it can write to neither, as when a service without a home directory uses a package that
root installed. Such a user gets a private folder among the temporary files.
"""

import gc
import os
import pickle
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


def keep_somewhere() -> None:
    """Set numba's folder if it finds none; ``NUMBA_CACHE_DIR`` takes precedence."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    folder = place(Path(__file__).parent)
    if folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = folder
        os.environ.setdefault("MPLCONFIGDIR", folder)  # matplotlib would warn for the same reason
        if "numba" in sys.modules:  # it has read its settings already
            sys.modules["numba"].config.CACHE_DIR = folder


def place(package: Path) -> str | None:
    """A folder for the compiled code of ``package``; None where numba finds one by itself."""
    beside = package / "__pycache__"
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if any(map(_can_be_made, (beside, user))) or not hasattr(os, "getuid"):
        return None
    import tempfile  # rarely needed, and slow to import

    # Code is run from this folder: no other user may write to it.
    folder = os.path.join(tempfile.gettempdir(), f"routingsim-compiled-{os.getuid()}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if found.st_uid != os.getuid() or found.st_mode != 0o40700:
            return tempfile.mkdtemp(prefix="routingsim-compiled-")
    return folder


def _can_be_made(folder: Path) -> bool:
    """Whether a folder can be written to, or created."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)


@cache
def bear_a_full_disk() -> None:
    """Let numba continue, with one warning, where a cached kernel cannot be read or written.

    By default numba raises the error. To be called before a kernel is made.
    """
    from numba.core.caching import FunctionCache

    for name in ("load_overload", "save_overload"):
        setattr(FunctionCache, name, _tolerant(getattr(FunctionCache, name)))


def _tolerant(method: Any) -> Any:
    def tolerant(self: Any, *given: Any) -> Any:
        try:
            return method(self, *given)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            _warn(self.cache_path, getattr(error, "strerror", None) or str(error))
            return None

    return tolerant


@cache
def _warn(folder: str, why: str) -> None:
    warnings.warn(
        f"compiled kernels cannot be kept in {folder} ({why}), and every process compiles its own: "
        "make room there, or set NUMBA_CACHE_DIR to another folder",
        RuntimeWarning,
        stacklevel=2,
    )


@contextmanager
def without_collector() -> Iterator[None]:
    """Stop the search for cyclic garbage while numba compiles, which takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
