"""Outages and retries."""

import math
from typing import Any

import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.simulation.faults import Cooldown, Outage, Retries


@pytest.mark.parametrize(
    ("down", "up"), [(-1, 1), (2, 2), (3, 2), (math.nan, 3), (1, math.inf), ("1", 2)]
)
def test_an_outage_begins_before_it_ends(down: Any, up: float) -> None:
    with pytest.raises(SimulationError) as caught:
        Outage("a", down, up)
    assert str(caught.value) == (
        f"outage of a: down at {down}, up at {up}; 0 <= down < up is needed, in seconds and finite"
    )
    assert Outage("a", 0, 0.1).up == 0.1


def test_outages_as_text() -> None:
    assert Outage.parse("gpt-4:600:900") == Outage("gpt-4", 600, 900)
    for text in ("a", "a:1", "a:1:2:3", "a:x:2"):
        with pytest.raises(SimulationError, match="AGENT:DOWN:UP"):
            Outage.parse(text)


@pytest.mark.parametrize(
    "settings", [{"attempts": 0}, {"attempts": 1001}, {"backoff": -1.0}, {"factor": 0.0}]
)
def test_retries_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(SimulationError, match="attempts from 1 to 1000"):
        Retries(**settings)


@pytest.mark.parametrize(
    "given", [{"attempts": 2.5}, {"attempts": "3"}, {"backoff": math.inf}, {"factor": 0}]
)
def test_retries_are_whole_and_finite(given: dict[str, Any]) -> None:
    with pytest.raises(SimulationError, match="attempts from 1 to 1000"):
        Retries(**given)


def test_back_offs_end_within_what_a_clock_can_tell() -> None:
    with pytest.raises(SimulationError, match="last back-off would be of more than 1e15 s"):
        Retries(attempts=50, factor=1e9)
    assert Retries(attempts=1000, backoff=0, factor=1e9).backoff == 0
    assert Retries(attempts=17, backoff=1, factor=10).factor == 10  # the 15th back-off: 1e15 s
    with pytest.raises(SimulationError, match="last back-off"):
        Retries(attempts=18, backoff=1, factor=10)


def test_a_cooldown_as_text() -> None:
    retries = Retries(cooldown="3:60:30.5")
    assert retries.cooldown == Cooldown(3, 60.0, 30.5)
    assert retries.arguments() == {"attempts": 3, "cooldown": Cooldown(3, 60.0, 30.5)}
    for text in ("3:60", "3.5:60:30", "a:b:c"):
        with pytest.raises(SimulationError, match="write FAILURES:WITHIN:SECONDS, as 3:60:30"):
            Retries(cooldown=text)


@pytest.mark.parametrize(("budget", "late"), [(None, 0), (0.1, 400)])
def test_a_retry_storm_outlives_its_cause_and_a_budget_ends_it(
    budget: float | None, late: int
) -> None:
    agent = rs.Agent(
        id="a",
        name="A",
        cost=0.01,
        latency=1.0,
        service="deterministic",
        concurrency=1,
        timeout=1.5,
        cut_off="holds",
    )
    result = rs.replay(
        None,
        rs.AgentPool((agent,)),
        "static:a",
        arrivals=rs.Deterministic(0.8),
        tasks=800,
        changes=[rs.Change("a", 100.0, speed=0.25), rs.Change("a", 160.0, speed=1.0)],
        retries=Retries(3, backoff=1.0, on="timed_out", budget=budget),
    )
    answered = result.log.status == 0
    assert answered[:79].all()  # arrive before the slow minute
    assert answered[400:].sum() == late  # arrive 340 s after it or later
