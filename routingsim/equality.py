"""Values that are equal where all that they hold is: arrays, tables and unknown figures, too."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pandas as pd


class ByValue:
    """A dataclass, made with ``eq=False``, that equals another of its class with equal fields.

    Arrays and tables are compared as a whole, and NaN, an unknown figure, equals NaN. Fields with
    ``compare=False`` do not count.
    """

    def __eq__(self, other: object) -> bool:
        return same(self, other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        plain = [v for v in _compared(self).values() if isinstance(v, str | int)]
        return hash((type(self).__qualname__, *plain))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, or hold equal values; NaN equals NaN."""
    if one is other:
        return True
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == other or (one != one and other != other))
    if type(one) is not type(other):
        return False
    match one:
        case np.ndarray() if one.dtype == object:
            return one.shape == other.shape and all(map(same, one.flat, other.flat))
        case np.ndarray():
            known = one.dtype == other.dtype
            return known and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
        case pd.DataFrame() | pd.Series() | pd.Index():
            return one.equals(other)
        case Mapping():
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case tuple() | list():
            return len(one) == len(other) and all(map(same, one, other))
        case partial():
            return same(*((p.func, p.args, p.keywords) for p in (one, other)))
        case MethodType():
            return one.__func__ is other.__func__ and same(one.__self__, other.__self__)
        case FunctionType() | type():
            return False
    own = type(one).__eq__ not in (object.__eq__, ByValue.__eq__)
    if hasattr(one, "__dict__") and (not own or _is_given_equality(one)):
        return same(_compared(one), _compared(other))
    return bool(one == other)


def _is_given_equality(value: Any) -> bool:
    """Whether a dataclass made the ``==`` of a value, by which NaN differs from NaN."""
    made = getattr(type(value), "__dataclass_params__", None)
    return made is not None and made.eq and "__eq__" in vars(type(value))


def _compared(value: Any) -> dict[str, Any]:
    """What counts of an object, by name: its fields, or without any all its attributes."""
    if not is_dataclass(value):
        return vars(value)
    return {each.name: getattr(value, each.name) for each in fields(value) if each.compare}
