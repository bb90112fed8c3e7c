"""Functions that numba compiles and keeps on disk, and compiles again when they have changed.

Numba uses kept machine code if the function's own file has not changed. But the code holds all
that the function calls, and constants of other modules: :func:`cached_njit` looks at these, too.
"""

import gc
import hashlib
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

from routingsim.numba_cache import PACKAGE, package_state


def cached_njit(*signatures: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function as ``numba.njit`` does and keep the machine code (a decorator).

    It is compiled for the ``signatures`` at once, or, if there are none, for the types of its
    first calls. Raises ``RuntimeError`` for a function that has no file.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        made: Any = njit(**options)(function)
        made._cache = _Cache(function)
        for each in signatures:
            made.compile(each)
        if signatures:
            made.disable_compile()
        return made

    return compiled


class _Cache(FunctionCache):
    """The machine code of one function on disk.

    Where it cannot be read or written, as on a full disk, numba compiles, with one warning.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        # Numba compares the version before it unpickles the rest, which may need classes that
        # are gone.
        made_of = "".join([package_state(), *_used(function, set())])
        version = f"{self._cache_file._version} {hashlib.sha256(made_of.encode()).hexdigest()}"
        self._cache_file._version = version

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for a signature, or None."""
        return self._tried(super().load_overload, sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> Any:
        """Keep machine code."""
        return self._tried(super().save_overload, sig, data)

    def _save_overload(self, sig: Any, data: Any) -> None:
        if not self._cache_file._load_index():
            # Another process could take an old file for the one that is about to be written.
            for old in Path(self.cache_path).glob(f"{self._impl.filename_base}.*.nbc"):
                old.unlink(missing_ok=True)
        super()._save_overload(sig, data)

    def _tried(self, method: Callable[..., Any], *given: Any) -> Any:
        try:
            return method(*given)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            _warn(self.cache_path, getattr(error, "strerror", None) or str(error))
            return None


def _used(function: Any, seen: set[Any]) -> Iterator[str]:
    """The state of what a function calls, and its constants, and so on."""
    if function in seen:
        return
    seen.add(function)
    yield _of_file(Path(function.__code__.co_filename))
    names = function.__code__.co_names
    values = [function.__globals__.get(name) for name in names]
    modules = [each for each in values if isinstance(each, ModuleType)]
    for value in [*values, *(vars(each).get(name) for each in modules for name in names)]:
        yield from _state(value, seen)


def _of_file(path: Path) -> str:
    if path.is_relative_to(PACKAGE):  # part of the package's state
        return ""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:  # of a module that was typed, or is in an archive
        return ""


def _state(value: Any, seen: set[Any]) -> Iterator[str]:
    if isinstance(value, Dispatcher | FunctionType):  # one of register_jitable is a plain function
        yield from _used(getattr(value, "py_func", value), seen)
    elif isinstance(value, tuple):  # of functions, too, whose repr has an address
        for each in value:
            yield from _state(each, seen)
    elif isinstance(value, np.ndarray):
        content = hashlib.sha256(value.tobytes()).hexdigest()
        yield f"{value.dtype} {value.shape} {content}"
    elif isinstance(value, bool | int | float | str | bytes | np.generic):
        yield repr(value)


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
