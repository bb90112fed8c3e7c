"""How a policy is written in one line: ``NAME[:WORD or KEY=VALUE, …]``.

:func:`parse` reads what follows a policy's name, and :func:`spelled` writes it, so that a
policy's name makes the policy again. :func:`check_parameters` holds parameters to a recipe's,
whether they were read or given in Python.
"""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from routingsim.errors import PolicyError, did_you_mean

_NEEDED = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
}


def parse(text: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Read what follows a policy's name.

    ``KEY=VALUE`` gives a parameter, in the type of its default. A WORD alone is a flag (a
    parameter whose default is False), or else the value of the first parameter if that one
    is text: ``"calibrated,shares=60/30/10"``. :func:`check_parameters` says what is wrong.
    """
    first = next(iter(defaults), "")
    given: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if equals:
            given[key] = _value(value, defaults.get(key))
        elif isinstance(defaults.get(first), str) and defaults.get(key) is not False:
            given[first] = key
        else:
            given[key] = True
    return given


def _value(text: str, default: Any) -> Any:
    """The value in the type of the default, or the text if it is none."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text) if isinstance(default, int | float) else text
    except (KeyError, ValueError):
        return text


def check_parameters(name: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse parameters that a policy does not have, and numbers and flags of a wrong type."""
    for key, value in given.items():
        if key not in defaults:
            shown = [f"{k}={default}" for k, default in defaults.items() if default is not None]
            raise PolicyError(
                f"{name} has no parameter {key!r}; it has {', '.join(shown) or 'none'}"
                f"{did_you_mean(key, defaults)}"
            )
        kind, needed = _NEEDED.get(type(defaults[key]), (object, ""))
        mixed = needed and isinstance(value, bool) is not (kind is bool)
        if mixed or not isinstance(value, kind):
            raise PolicyError(f"{name}: {key} is {value!r}; {needed} is needed")


def spelled(
    name: str, given: Mapping[str, Any], defaults: Mapping[str, Any], *, bare: str = ""
) -> str:
    """The policy's name with the parameters that differ from their defaults.

    One without a default is always written. The parameter ``bare`` is written first and
    without ``KEY=``; if it is a flag, as its key.
    """
    parts = []
    for key, value in given.items():
        if key in defaults and value == defaults[key]:
            continue
        if key == bare:
            parts.insert(0, key if value is True else written(value))
        else:
            parts.append(f"{key}={written(value)}")
    return f"{name}:{','.join(parts)}" if parts else name


def written(value: Any) -> str:
    """A parameter's value as :func:`parse` reads it: short, without losing a digit."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence):
        return "/".join(map(written, value))
    if isinstance(value, numbers.Integral):
        return str(int(value))
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))
