"""The conditions of a run, which ``replay``, ``compare``, ``capacity``, ``sweep`` and ``train``
all take."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypedDict, TypeVar

from routingsim.errors import SimulationError, wrong_type
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import ONE_TRY, Hedge, Outage, Retries
from routingsim.simulation.signals import Signals
from routingsim.simulation.tenants import Tenant, as_tenants

_F = TypeVar("_F", bound=Callable[..., Any])


class Conditions(TypedDict, total=False):
    """Conditions by name, as a function takes them: ``**given: Unpack[Conditions]``."""

    retries: Retries
    outages: Outage | Sequence[Outage]
    changes: Change | Sequence[Change]
    signal_delay: float
    routers: int
    hedge: Hedge | str | None
    tenants: str | Tenant | Sequence[str | Tenant]
    discipline: str | None
    service: str | None


def conditions(
    *,
    retries: Retries = ONE_TRY,
    outages: Outage | Sequence[Outage] = (),
    changes: Change | Sequence[Change] = (),
    signal_delay: float = 0.0,
    routers: int = 1,
    hedge: Hedge | str | None = None,
    tenants: str | Tenant | Sequence[str | Tenant] = (),
    discipline: str | None = None,
    service: str | None = None,
) -> dict[str, Any]:
    """The arguments of :func:`routingsim.simulation.scenario.prepare`, checked.

    Parameters are those of :func:`routingsim.replay`.

    Raises
    ------
    SimulationError
        If one is of another type or out of its range; the message says what is needed.
    """
    several: list[tuple[str, Any, type, str]] = [
        ("outages", outages, Outage, "write [rs.Outage('gpt-4', 600, 900)]"),
        ("changes", changes, Change, "write [rs.Change('gpt-4', 600, speed=0.5)]"),
    ]
    wanted: list[tuple[str, Any, type, str]] = [
        ("retries", retries, Retries, "write rs.Retries(attempts=3)")
    ]
    found: dict[str, Any] = {}
    for name, given, kind, hint in several:
        several_given = isinstance(given, Iterable) and not isinstance(given, str)
        found[name] = tuple(given) if several_given else (given,)
        wanted += [(name, one, kind, hint) for one in found[name]]
    for name, value, kind, hint in wanted:
        if not isinstance(value, kind):
            raise SimulationError(wrong_type(name, value, hint))
    return {
        "retries": retries,
        **found,
        "signals": Signals(signal_delay, routers),
        "hedge": _as_hedge(hedge),
        "tenants": as_tenants(tenants),
        "discipline": discipline,
        "service": service,
    }


_PARAMETERS = inspect.signature(conditions).parameters
DEFAULTS: Mapping[str, Any] = {name: each.default for name, each in _PARAMETERS.items()}
"""The default of each condition."""


def takes_conditions(function: _F) -> _F:
    """Name each condition, with its default, in the signature of a function that takes them."""
    own = inspect.signature(function)
    *first, _ = own.parameters.values()
    shown = own.replace(parameters=[*first, *_PARAMETERS.values()])
    vars(function)["__signature__"] = shown
    return function


def _as_hedge(given: Any) -> Hedge | None:
    """A hedge, given as such or in text; None for none."""
    if isinstance(given, str):
        return Hedge.parse(given)
    if given is None or isinstance(given, Hedge):
        return given
    raise SimulationError(wrong_type("hedge", given, "write rs.Hedge(after=2.0)"))


_PLAIN = (ONE_TRY, (), [], None)


def as_arguments(met: Mapping[str, Any]) -> str:
    """Conditions as they are written in a call, each after a comma; "" where all are the defaults.

    Examples
    --------
    >>> as_arguments(conditions(routers=4, outages=Outage("a", 1, 2)))
    ", outages=[Outage(agent='a', down=1, up=2)], routers=4"
    """
    return "".join(
        f", {name}={list(value) if isinstance(value, tuple) else value!r}"
        for name, value in _given(met).items()
    )


def as_plain(met: Mapping[str, Any]) -> dict[str, Any]:
    """The same as plain values for JSON.

    Examples
    --------
    >>> as_plain(conditions(routers=4, hedge="2s"))
    {'hedge': {'after': 2.0}, 'routers': 4}
    """
    return {name: _as_values(value) for name, value in _given(met).items()}


def _given(met: Mapping[str, Any]) -> dict[str, Any]:
    """Conditions that differ from the defaults, by the names of the arguments."""
    given = {name: value for name, value in met.items() if name != "signals"}
    given |= met["signals"].arguments()
    return {name: value for name, value in given.items() if value not in _PLAIN}


def _as_values(given: Any) -> Any:
    if isinstance(given, tuple):
        return [_as_values(each) for each in given]
    if is_dataclass(given):
        named = [(each.name, getattr(given, each.name)) for each in fields(given)]
        return {name: _as_values(value) for name, value in named if value is not None}
    return given
