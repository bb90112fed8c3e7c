"""A plan of a sweep in a TOML file."""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from routingsim.errors import SimulationError, did_you_mean
from routingsim.evaluation.sweeps.design import RANGE
from routingsim.files import read_toml
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import Outage, Retries

_KINDS: dict[str, tuple[type, ...]] = {
    "corpus": (str,),
    "agents": (str,),
    "policy": (str,),
    "vary": (dict,),
    "design": (str,),
    "points": (int,),
    "arrivals": (str,),
    "load": (int, float),
    "rate": (int, float),
    "tasks": (int,),
    "replications": (int,),
    "seed": (int,),
    "common": (bool,),
    "objective": (int, float),
    "first_token_objective": (int, float),
    "right": (int, float),
    "service": (str,),
    "attempts": (int,),
    "retries": (dict,),
    "outages": (list,),
    "changes": (list,),
    "signal_delay": (int, float),
    "routers": (int,),
    "hedge": (str,),
    "tenants": (list,),
    "discipline": (str,),
    "results": (str,),
}
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read_plan(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arguments of :func:`routingsim.sweep` in a TOML file.

    Its fields are named as the parameters of ``sweep``, but for ``agents`` (a file of agents or a
    pool's name), ``attempts`` (per task) or a table ``retries`` with the parameters of
    :class:`routingsim.Retries`, ``outages`` ("AGENT:DOWN:UP"), ``changes``
    ("AGENT:AT:FIELD=VALUE") and ``tenants`` ("NAME:weight=2"). ``corpus`` and
    ``agents`` are names or paths from the plan's folder. ``results`` is a folder from there, by
    default the plan's own name with the ending ``.results``.

    Raises
    ------
    SimulationError
        If the file cannot be read, or has a field that is unknown, missing or of a wrong type.
    """
    path = Path(path)
    try:
        document = read_toml(path)
    except OSError as error:
        raise SimulationError(f"{path}: cannot be read ({error.strerror or error})") from None
    except RecursionError:
        raise SimulationError(f"{path}: nested too deeply; a plan is a few flat tables") from None
    except ValueError as error:
        hint = '; put names with dots in quotes: "policy.low" = [0.2]'
        hint = hint if "namespace" in str(error) or "overwrite" in str(error) else ""
        raise SimulationError(f"{path}: is no TOML file ({error}){hint}") from None
    for name, value in document.items():
        _check(path, name, value)
    for name in ("corpus", "vary"):
        if name not in document:
            raise SimulationError(f"{path}: {name} is missing; a plan needs corpus and vary")
    given = dict(document)
    vary = flat(given.pop("vary"))
    if not vary:
        raise SimulationError(f"{path}, vary: nothing is varied; add lists, as load = [0.3, 0.6]")
    results = given.pop("results", f"{path.stem}.results")
    found: dict[str, Any] = {"vary": vary, "results": path.parent / results}
    for name, parameter in (("corpus", "corpus"), ("agents", "pool")):
        if name in given:
            beside = path.parent / given[name]
            found[parameter] = str(beside) if beside.exists() else given[name]
            del given[name]
    if "attempts" in given:
        found["retries"] = Retries(given.pop("attempts"))
    if "retries" in given:
        found["retries"] = _retries(path, given.pop("retries"), "retries" in found)
    for name, kind in (("outages", Outage), ("changes", Change)):
        if name in given:
            found[name] = [kind.parse(str(each)) for each in given.pop(name)]
    return found | given


def _retries(path: Path, table: Mapping[str, Any], given: bool) -> Retries:
    """The retries that a table describes; ``given`` where they are given in another way, too."""
    known = [each.name for each in fields(Retries)]
    if given:
        raise SimulationError(f"{path}, retries: there are attempts, too; put them into the table")
    for name in table:
        if name not in known:
            raise SimulationError(
                f"{path}, retries: no field {name!r}; there are {', '.join(known)}"
                f"{did_you_mean(name, known)}"
            )
    return Retries(**table)


def _check(path: Path, name: str, value: Any) -> None:
    if name not in _KINDS:
        raise SimulationError(
            f"{path}: no field {name!r}; a plan has {', '.join(_KINDS)}{did_you_mean(name, _KINDS)}"
        )
    kinds = _KINDS[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        needed = {dict: "a table", list: "a list"}.get(kinds[0], _WORDS.get(kinds[-1], ""))
        raise SimulationError(f"{path}, {name}: found {value!r:.60}, {needed} is needed")


def flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Tables within tables as dotted names; a table with the fields of a range stays one.

    >>> flat({"policy": {"low": [0.2, 0.3]}, "load": {"from": 0.1, "to": 0.9}})
    {'policy.low': [0.2, 0.3], 'load': {'from': 0.1, 'to': 0.9}}
    """
    found: dict[str, Any] = {}
    for name, value in table.items():
        within = isinstance(value, Mapping) and not set(value) & set(RANGE)
        found |= flat(value, f"{before}{name}.") if within else {f"{before}{name}": value}
    return found
