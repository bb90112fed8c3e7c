"""A digest of a function with all that it calls and reads.

A function's own bytecode names what it calls and the constants that it reads, and does not
hold them. Here these are followed: functions and classes called, module constants, default
arguments, closures, bound objects. Code of Python and of other packages that are installed
is taken by its name.
"""

import builtins
import enum
import functools
import hashlib
import pickle
import sys
import sysconfig
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from routingsim.policies.kernel import Kernel

_LIBRARIES = tuple(
    {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def fingerprint(*values: Any) -> str:
    """The digest of functions and values: the same in every process, as long as they are.

    An object that cannot be followed nor pickled makes it differ from call to call.
    """
    digest = hashlib.sha256()
    functions = (getattr(value, "python", value) for value in values)
    modules = (str(getattr(function, "__module__", "")) for function in functions)
    walk = _Walk(frozenset(module.partition(".")[0] for module in modules))
    for part in walk.of(values):
        digest.update(part)
    return digest.hexdigest()


class _Walk:
    """What is met once is written once, so that functions may call each other."""

    def __init__(self, own: frozenset[str]) -> None:
        self.own = own  # packages that are followed even where they are installed
        self.met: dict[int, tuple[int, Any]] = {}  # holds the objects, so that ids stay theirs

    def of(self, value: Any) -> Iterator[bytes]:
        if isinstance(value, _PLAIN):
            yield f"{type(value).__name__}:{value!r};".encode()
            return
        if id(value) in self.met:
            yield f"again {self.met[id(value)][0]};".encode()
            return
        self.met[id(value)] = len(self.met), value
        yield f"{type(value).__module__}.{type(value).__qualname__}(".encode()
        yield from self._inside(value)
        yield b")"

    def _inside(self, value: Any) -> Iterator[bytes]:
        if isinstance(value, Kernel):
            yield from self.of(value.python)
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(inner := getattr(value, "py_func", None), FunctionType):  # numba's
            yield from self.of(inner)
        elif isinstance(inner := getattr(value, "__wrapped__", None), FunctionType):
            yield from self.of(inner)  # behind a cache
        elif isinstance(value, MethodType):
            yield from self._all([value.__func__, value.__self__])
        elif isinstance(value, functools.partial):
            yield from self._all([value.func, value.args, value.keywords])
        elif isinstance(value, np.ndarray) and value.dtype != object:
            yield f"{value.dtype.str}{value.shape}".encode() + value.tobytes()
        elif isinstance(value, np.generic):
            yield value.dtype.str.encode() + value.tobytes()
        elif isinstance(value, Mapping):
            yield from self._all(each for pair in value.items() for each in pair)
        elif isinstance(value, set | frozenset):
            yield b"".join(sorted(b"".join(_Walk(self.own).of(each)) for each in value))
        elif isinstance(value, tuple | list):
            yield from self._all(value)
        elif isinstance(value, CodeType):
            yield from self._code(value)
        elif isinstance(value, ModuleType | BuiltinFunctionType):
            yield value.__name__.encode()
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, enum.Enum):
            yield value.name.encode()
            yield from self.of(value.value)
        else:
            yield from self._object(value)

    def _is_library(self, module: str | None) -> bool:
        return (module or "").partition(".")[0] not in self.own and _is_library(module)

    def _all(self, values: Iterable[Any]) -> Iterator[bytes]:
        for each in values:
            yield from self.of(each)

    def _code(self, code: CodeType) -> Iterator[bytes]:
        yield code.co_code + repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
        yield from self._all(code.co_consts)

    def _function(self, function: FunctionType) -> Iterator[bytes]:
        if self._is_library(function.__module__):
            yield f"{function.__module__}.{function.__qualname__}".encode()
            return
        yield from self._code(function.__code__)
        yield from self._all([function.__defaults__, function.__kwdefaults__])
        yield from self._all(_contents(function))
        names, known = _names(function.__code__), function.__globals__
        for name in names:
            if name in known:
                yield name.encode()
                yield from self._read(known[name], names)
            elif not hasattr(builtins, name) and isinstance(sys.modules.get(name), ModuleType):
                yield from self._read(sys.modules[name], names)  # imported inside

    def _read(self, value: Any, names: list[str]) -> Iterator[bytes]:
        """A global; of a module that is no library, what else of it the code may name."""
        yield from self.of(value)
        if isinstance(value, ModuleType) and not self._is_library(value.__name__):
            inside = vars(value)
            for name in names:
                if name in inside and inside[name] is not value:
                    yield name.encode()
                    yield from self._read(inside[name], [n for n in names if n != name])

    def _class(self, kind: type) -> Iterator[bytes]:
        yield f"{kind.__module__}.{kind.__qualname__}".encode()
        if self._is_library(kind.__module__):
            return
        for name, value in vars(kind).items():
            if name not in ("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__"):
                plain = getattr(value, "__func__", getattr(value, "fget", value))
                if isinstance(plain, (*_PLAIN, FunctionType, type, np.ndarray, tuple, list, dict)):
                    yield name.encode()
                    yield from self.of(plain)
        yield from self._all(kind.__bases__)

    def _object(self, value: Any) -> Iterator[bytes]:
        if not self._is_library(type(value).__module__) and hasattr(value, "__dict__"):
            yield from self._all([type(value), vars(value)])
            return
        try:
            yield pickle.dumps(value)
        except Exception:  # whatever an object of the user's raises
            yield uuid.uuid4().bytes


def _names(code: CodeType) -> list[str]:
    """The names that code and the functions in it read, each once."""
    found = dict.fromkeys(code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found |= dict.fromkeys(_names(each))
    return list(found)


def _contents(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            yield None


@functools.cache
def _is_library(name: str | None) -> bool:
    """Whether a module belongs to Python or to an installed package."""
    if name is None or name == "__main__":
        return False
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    path = getattr(sys.modules.get(name), "__file__", None)
    return path is not None and any(Path(path).is_relative_to(lib) for lib in _LIBRARIES)
