"""Conditions as a sweep varies them: retries by field, outages and changes in text, "" for none."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from routingsim.errors import SimulationError, did_you_mean
from routingsim.simulation.changes import Change
from routingsim.simulation.conditions import conditions
from routingsim.simulation.faults import Outage, Retries

OF_CONDITIONS = (
    "service",
    "signal_delay",
    "routers",
    "hedge",
    "discipline",
    "outages",
    "changes",
    "tenants",
)
"""Conditions that can be varied by name; of retries, each field can."""

_IN_TEXT = {"outages": Outage, "changes": Change}


def conditions_of(retries: Retries, setting: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of a setting, as :func:`routingsim.simulation.scenario.prepare` takes them.

    Parameters
    ----------
    retries : Retries
        Those of which fields are varied, by "retries.FIELD".
    setting : mapping
        Values of ``OF_CONDITIONS``, and of fields of the retries; others are passed over. Outages
        and changes may be text, as in a plan's file; "" is no outage, change, tenant, hedge or
        discipline.

    Raises
    ------
    SimulationError
        If a value is out of its range, or cannot be read.
    """
    given = {name: setting[name] for name in OF_CONDITIONS}
    for name, kind in _IN_TEXT.items():
        given[name] = _parsed(kind, given[name])
    given["tenants"] = given["tenants"] or ()
    given |= {name: given[name] or None for name in ("hedge", "discipline")}
    varied = {
        name.removeprefix("retries."): value
        for name, value in setting.items()
        if name.startswith("retries.")
    }
    return conditions(retries=replace(retries, **varied) if varied else retries, **given)


def _parsed(kind: type[Outage] | type[Change], given: Any) -> list[Any]:
    """One or several of a kind, each given as such or in text; "" and None for none."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    each = list(given) if several else [] if given in ("", None) else [given]
    return [kind.parse(one) if isinstance(one, str) else one for one in each]


def check_retries(name: str) -> None:
    """Refuse what is no field of retries.

    Raises
    ------
    SimulationError
        Which names those there are.
    """
    allowed = [each.name for each in fields(Retries)]
    field = name.removeprefix("retries.")
    if field not in allowed:
        raise SimulationError(
            f"vary {name}: retries have no field {field!r}; they have {', '.join(allowed)}"
            f"{did_you_mean(field, allowed)}"
        )
