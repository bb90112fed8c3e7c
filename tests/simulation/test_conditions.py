"""Conditions as they are written in the call that repeats a run."""

import routingsim as rs
from routingsim.simulation.conditions import as_arguments, conditions


def test_the_defaults_are_not_written() -> None:
    assert as_arguments(conditions()) == ""


def test_all_that_differs_is_written_as_python_reads_it() -> None:
    given = {
        "retries": rs.Retries(2, backoff=0.5),
        "outages": [rs.Outage("a", 1.0, 2.0)],
        "changes": [rs.Change("a", 3.0, speed=0.5)],
        "signal_delay": 0.5,
        "routers": 4,
        "hedge": rs.Hedge(after=2.0),
        "tenants": [rs.Tenant("gold", weight=2.0)],
        "discipline": "fair",
        "service": "exponential",
    }
    said = as_arguments(conditions(**given))
    names = {name: getattr(rs, name) for name in ("Retries", "Outage", "Change", "Hedge", "Tenant")}
    found = eval(f"dict({said.removeprefix(', ')})", names)
    assert found == given
