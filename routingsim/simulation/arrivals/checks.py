"""Checks of parameters, and how a parameter is written, shared by all arrival processes."""

import sys
from collections.abc import Callable
from dataclasses import fields
from numbers import Real
from typing import Any, NoReturn, TypeGuard

from routingsim.errors import SimulationError

RATE = "arrivals a second"


def is_whole(value: object) -> TypeGuard[int]:
    """Whether ``value`` is an integer of Python or NumPy."""
    return hasattr(value, "__index__") and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a real number that fits a float."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and bool(abs(value) <= sys.float_info.max)  # pyright: ignore


def check_seed(seed: object) -> None:
    """A SimulationError unless ``seed`` is a whole number of 64 bits."""
    if not is_whole(seed) or not -(2**63) <= seed < 2**63:
        raise SimulationError(f"seed is {seed!r}, needs a whole number of at most 64 bits")


def numeral(number: float) -> str:
    """Shortest text that reads back as the same number."""
    return repr(float(number)).removesuffix(".0")


def options(process: Any, *names: str) -> list[str]:
    """``name=value`` of the fields of a dataclass that differ from their defaults."""
    defaults = {field.name: field.default for field in fields(process)}
    values = {name: getattr(process, name) for name in names}
    return [
        name if value is True else f"{name}={numeral(value)}"
        for name, value in values.items()
        if value != defaults[name]
    ]


def refuse(owner: str, name: str, value: object, needed: str) -> NoReturn:
    """Raise the error that parameter ``name`` of ``owner`` is not what is needed."""
    shown = numeral(value) if isinstance(value, float) else f"{value!r:.60}"
    raise SimulationError(f"{owner}: {name} is {shown}, needs {needed}")


def checked(
    owner: str, name: str, value: object, allowed: Callable[[float], bool], needed: str
) -> float:
    """``value`` as a float; unless it is finite and ``allowed``, an error says what is needed."""
    if not (is_finite(value) and allowed(float(value))):
        refuse(owner, name, value, needed)
    return float(value)


def number(process: object, name: str, allowed: Callable[[float], bool], needed: str) -> None:
    """Check the field ``name`` as :func:`checked` does, and store it as a float."""
    value = getattr(process, name)
    found = checked(type(process).__name__, name, value, allowed, needed)
    object.__setattr__(process, name, found)


def positive(process: object, name: str, unit: str) -> None:
    """Check that the field ``name`` is a number above 0, and store it as a float."""
    number(process, name, lambda x: x > 0, f"a number above 0 ({unit})")
