"""Checks of parameters, shared by all models."""

import math
import operator
from numbers import Real

from routingsim.errors import SimulationError


def check_number(
    model: str, name: str, value: float, low: float = 0.0, high: float = math.inf
) -> float:
    """``value`` as a float; a SimulationError unless it is a finite number in [low, high)."""
    number = float(value) if isinstance(value, Real) else math.nan
    if not (low <= number < high):
        bounds = f"at least {low:g}" + (f" and below {high:g}" if high < math.inf else "")
        raise SimulationError(f"{model}: {name} is {value!r}; it must be a finite number, {bounds}")
    return number


def check_positive(model: str, **values: float) -> tuple[float, ...]:
    """The values as floats; a SimulationError unless each is a finite number above 0."""
    for name, value in values.items():
        if check_number(model, name, value) == 0:
            raise SimulationError(f"{model}: {name} is {value!r}; it must be above 0")
    return tuple(float(value) for value in values.values())


def check_whole(model: str, name: str, value: int, low: int = 1) -> int:
    """``value`` as an int; a SimulationError unless it is an integer of at least ``low``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if number < low or isinstance(value, bool):
        raise SimulationError(
            f"{model}: {name} is {value!r}; it must be a whole number of at least {low}"
        )
    return number


def check_queue(
    model: str, rate: float, service: float, servers: int, *, stable: bool = False
) -> tuple[float, float, int]:
    """The three parameters of a queue, checked, and with ``stable`` its steady state too."""
    rate, service = check_positive(model, rate=rate, service=service)
    servers = check_whole(model, "servers", servers)
    if stable:
        check_stable(model, rate, service, servers)
    return rate, service, servers


def check_stable(model: str, rate: float, service: float, servers: int) -> None:
    """A SimulationError unless the offered load ``rate * service`` is below ``servers``."""
    load = rate * service
    if load >= servers:
        raise SimulationError(
            f"{model}: no steady state: rate {rate:g}/s times service {service:g} s offers a load "
            f"of {load:g} to {servers} servers, so the queue grows for ever; it is stable with "
            f"{math.floor(load) + 1} servers or more, with a rate below {servers / service:g}/s, "
            f"or with a service below {servers / rate:g} s"
        )
