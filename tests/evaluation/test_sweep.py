"""Capacity sweeps: against theory, by hand, and as honest as their verdicts."""

from typing import Any

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool, load_agents
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import AgentError, SimulationError
from routingsim.evaluation.sweep import sweep
from routingsim.simulation import theory


def _alone(**fields: Any) -> AgentPool:
    settings: dict[str, Any] = {
        "cost": 0.01,
        "latency": 1.0,
        "service": "exponential",
        "output_tokens": 100.0,
    }
    return AgentPool((Agent(id="a", name="A", **(settings | fields)),))


@pytest.mark.slow
def test_the_slots_that_meet_an_objective_are_those_of_theory() -> None:
    rate, objective = 4.0, 3.6
    found = sweep(
        *(None, _alone(), "static:a"),
        slots={"a": range(5, 10)},
        arrivals=f"poisson:{rate}",
        objective=objective,
        tasks=30_000,
        replications=6,
    ).frame
    for slots, row in zip(range(5, 10), found.to_dict("records"), strict=True):
        exact = theory.mmc(rate, 1.0, slots).latency_cdf(objective)
        assert abs(row["within"] - exact) < 3 * row["within_half_width"]
        if row["verdict"] != "open":
            assert row["verdict"] == ("met" if exact >= 0.95 else "missed")
    assert {"met", "missed"} <= set(found["verdict"])


@pytest.mark.slow
def test_one_more_slot_never_hurts_since_all_else_is_the_same() -> None:
    found = sweep(
        *(None, _alone(), "static:a"),
        slots={"a": range(3, 12)},
        arrivals="gamma:3,cv=2",
        objective=4.0,
        tasks=2_000,
    ).frame
    assert (np.diff(found["within"]) >= 0).all()
    assert (np.diff(found["p95"]) <= 0).all()


def test_cost_is_tokens_and_rent() -> None:
    found = sweep(
        *(None, _alone(), "static:a"),
        slots={"a": [2, 5]},
        arrivals="deterministic:1",
        objective=4.0,
        tasks=50,
        rent={"a": 0.5},
    ).frame
    tokens = 3600 * 0.01 * 100 / 1000
    assert found["usd_per_hour"].to_numpy() == pytest.approx([tokens + 1.0, tokens + 2.5])


def test_lost_tasks_are_not_within() -> None:
    pool = _alone(service="deterministic", queue_limit=0)
    found = sweep(
        *(None, pool, "static:a"),
        slots={"a": [1, 2]},
        arrivals="deterministic:2",
        objective=4.0,
        tasks=1_000,
    ).frame
    assert found["within"].to_numpy() == pytest.approx([0.5, 1.0], abs=0.01)
    assert found["p95"].to_numpy() == pytest.approx([1.0, 1.0])
    assert list(found["verdict"]) == ["missed", "met"]


def test_an_endless_queue_is_never_met_however_short_the_run() -> None:
    found = sweep(
        *(None, _alone(service="deterministic"), "static:a"),
        slots={"a": [1]},
        arrivals="deterministic:1.2",
        objective=60.0,
        tasks=100,
    )
    assert found.frame["within"].iloc[0] == 1.0
    assert list(found.frame["verdict"]) == ["open"]
    assert found.meeting().empty


@pytest.mark.slow
def test_frontier_and_meeting_hold_what_they_say() -> None:
    pool = load_agents()
    found = sweep(
        load_corpus("tasks"),
        pool,
        "threshold:calibrated",
        slots={"gemini": [2, 3, 4, 6], "llama": [2, 4]},
        arrivals="poisson:4",
        objective=5.0,
        rent=1.0,
        tasks=2_000,
        replications=3,
    )
    frame, best = found.frame, found.frontier()
    assert list(frame.index.names) == ["gemini", "llama"]
    assert list(frame["slots"]) == [12 + g + w for g in (2, 3, 4, 6) for w in (2, 4)]
    for row in frame.to_dict("records"):
        as_cheap = best[best["usd_per_hour"] <= row["usd_per_hour"]]
        assert as_cheap["p95"].min() <= row["p95"]
    assert best["usd_per_hour"].is_monotonic_increasing
    assert best["p95"].is_monotonic_decreasing
    met = found.meeting()
    assert not met.empty
    assert np.all(met["within"] - met["within_half_width"] >= 0.95)
    assert found.meeting(budget=met["usd_per_hour"].iloc[0]).shape[0] >= 1
    assert found.meeting(budget=0.0).empty
    assert "8 combinations" in repr(found)
    assert found.to_frame().columns[:3].tolist() == ["gemini", "llama", "slots"]
    said = found.to_dict()
    assert (said["objective"], said["share"], len(said["rows"])) == (5.0, 0.95, 8)
    assert [said["rows"][0][name] for name in ("gemini", "llama", "slots")] == [2, 2, 16]
    assert found.to_markdown().splitlines()[2].startswith("| 2 | 2 | 16 | ")
    assert "8 combinations" in found.to_html()


def test_one_number_of_slots_stands_for_a_list_of_one() -> None:
    settings: dict[str, Any] = {"arrivals": "poisson:1", "objective": 3.0, "tasks": 100}
    one = sweep(None, _alone(), "static:a", slots={"a": 2}, **settings)
    many = sweep(None, _alone(), "static:a", slots={"a": [2]}, **settings)
    assert one.frame.equals(many.frame)


def test_the_same_seeds_give_the_same_table() -> None:
    settings: dict[str, Any] = {"slots": {"a": [2, 3]}}
    settings |= {"arrivals": "poisson:1", "objective": 3.0, "tasks": 500}
    one = sweep(None, _alone(), "static:a", **settings)
    other = sweep(None, _alone(), "static:a", **settings)
    assert one.frame.equals(other.frame)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"slots": {"b": [1]}}, AgentError, "no agent 'b'"),
        ({"slots": {"a": [0, 1]}}, SimulationError, "slots of a"),
        ({"slots": {"a": [1.5]}}, SimulationError, r"slots of a: \[1.5\]"),
        ({"slots": {"a": [2, 2]}}, SimulationError, "different whole numbers"),
        ({"slots": {"a": 0}}, SimulationError, "slots of a: 0"),
        ({"slots": [2, 4]}, SimulationError, "numbers of slots by agent"),
        ({"replications": 2.5}, SimulationError, "replications=2.5"),
        ({"objective": "5"}, SimulationError, "objective='5'"),
        ({"slots": {"a": []}}, SimulationError, "slots of a"),
        ({"slots": {}}, SimulationError, "one agent or more"),
        ({"arrivals": 4.0}, SimulationError, "arrivals is a float"),
        ({"retries": 3}, SimulationError, "retries: 3 is a int"),
        ({"replications": 1}, SimulationError, "2 replications or more"),
        ({"objective": 0.0}, SimulationError, "above 0 s"),
        ({"share": 1.0}, SimulationError, "between 0 and 1"),
        ({"rent": {"b": 1.0}}, AgentError, "no agent 'b'"),
        ({"rent": -1.0}, SimulationError, "rent: a=-1.0"),
    ],
)
def test_bad_settings_are_named(change: dict[str, Any], error: type[Exception], said: str) -> None:
    settings: dict[str, Any] = {"slots": {"a": [1]}, "arrivals": "poisson:1"}
    settings |= {"objective": 3.0, "tasks": 10}
    with pytest.raises(error, match=said):
        sweep(None, _alone(), "static:a", **(settings | change))


def test_no_capacity_of_a_run_that_is_not_what_was_asked_for() -> None:
    """41 minutes from midnight say nothing of a day; a whole period of it does."""
    given: dict[str, Any] = {"slots": {"claude": [1, 2]}, "objective": 10.0, "replications": 2}
    with pytest.raises(
        SimulationError,
        match=r"^diurnal:3,amplitude=0.8: no capacity can be told, as 1,500 tasks take 2,\d\d\d s "
        r"of the 86,400 s after which the arrivals repeat: 0.6\d* tasks/s arrive, and 3 are asked "
        r"for; 259,200 tasks make a whole period$",
    ):
        sweep(None, None, "least-loaded", arrivals="diurnal:3,amplitude=0.8", tasks=1500, **given)
    hour = "diurnal:3,amplitude=0.8,period=1000"
    found = sweep(None, None, "least-loaded", arrivals=hour, tasks=3000, **given)
    assert found.asked == 3
    assert found.frame["rate_met"].to_numpy() == pytest.approx(3, rel=0.2)
    assert found.frame["span"].to_numpy() == pytest.approx(1000, rel=0.2)
    met, span = found.frame[["rate_met", "span"]].mean()
    assert repr(found).endswith(f"; 3 tasks/s asked for, {met:.3g} met over {span:,.0f} s")
