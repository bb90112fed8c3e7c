"""Checks of parameters, shared by all models."""

import math
import operator
from numbers import Real

from routingsim.errors import SimulationError

__all__ = ["check_number", "check_positive", "check_stable", "check_whole"]


def check_number(
    model: str, name: str, value: float, low: float = 0.0, high: float = math.inf
) -> float:
    """``value`` as a float, if it is a finite number from ``low`` up to, not including, ``high``.

    Raises
    ------
    SimulationError
        If it is anything else.
    """
    number = float(value) if isinstance(value, Real) else math.nan
    if not (low <= number < high):
        bounds = f"at least {low:g}" + (f" and below {high:g}" if high < math.inf else "")
        raise SimulationError(f"{model}: {name} is {value!r}; it must be a finite number, {bounds}")
    return number


def check_positive(model: str, **values: float) -> tuple[float, ...]:
    """The values as floats, if each is a finite number above 0.

    Raises
    ------
    SimulationError
        If one of them is not.
    """
    for name, value in values.items():
        if check_number(model, name, value) == 0:
            raise SimulationError(f"{model}: {name} is {value!r}; it must be above 0")
    return tuple(float(value) for value in values.values())


def check_whole(model: str, name: str, value: int, low: int = 1) -> int:
    """``value`` as an int, if it is a whole number of at least ``low``.

    Raises
    ------
    SimulationError
        If it is smaller, or not an integer (5.0 is not one).
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if number < low or isinstance(value, bool):
        raise SimulationError(
            f"{model}: {name} is {value!r}; it must be a whole number of at least {low}"
        )
    return number


def check_stable(model: str, rate: float, service: float, servers: int) -> None:
    """Check that the queue has a steady state.

    Raises
    ------
    SimulationError
        If the offered load ``rate * service`` is not below ``servers``.
    """
    load = rate * service
    if load >= servers:
        raise SimulationError(
            f"{model}: no steady state: rate {rate:g}/s times service {service:g} s offers a load "
            f"of {load:g} to {servers} servers, so the queue grows for ever; it is stable with "
            f"{math.floor(load) + 1} servers or more, with a rate below {servers / service:g}/s, "
            f"or with a service below {servers / rate:g} s"
        )
