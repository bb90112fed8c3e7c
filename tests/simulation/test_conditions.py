"""Conditions as they are written in the call that repeats a run."""

import routingsim as rs
from routingsim.simulation.conditions import as_arguments, as_plain, conditions


def test_the_defaults_are_not_written() -> None:
    assert as_arguments(conditions()) == ""
    assert as_plain(conditions()) == {}


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


def test_json_has_them_as_plain_values() -> None:
    pool = rs.AgentPool(
        tuple(rs.Agent(id=name, name=name, cost=0.01, latency=1.0, service="deterministic")
              for name in "ab")
    )  # fmt: skip
    result = rs.replay(
        *(None, pool, "random"),
        arrivals="deterministic:1",
        tasks=5,
        retries=rs.Retries(2, cooldown="3:60:30"),
        changes=rs.Change("a", 3.0, speed=0.5),
        hedge="p95",
    )
    found = result.to_dict()["conditions"]
    assert found["changes"] == [{"agent": "a", "at": 3.0, "speed": 0.5}]
    assert found["hedge"] == {"quantile": 0.95}
    assert found["retries"]["attempts"] == 2
    assert found["retries"]["cooldown"] == {
        "failures": 3, "within": 60.0, "seconds": 30.0, "on": ["failed", "timed_out", "rejected"],
    }  # fmt: skip
    assert found.keys() == {"changes", "hedge", "retries"}
