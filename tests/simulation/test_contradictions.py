"""What no task can have is named before a run, with agent and field."""

from typing import Any

import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import AgentError, SimulationError


def pool(*agents: dict[str, Any]) -> rs.AgentPool:
    plain = {"name": "n", "cost": 1.0, "latency": 5.0, "service": "deterministic"}
    return rs.AgentPool(tuple(rs.Agent(**plain | given) for given in agents))


def corpus(*tokens: int) -> rs.Corpus:
    frame = pd.DataFrame({"id": range(len(tokens)), "text": "x", "prompt_tokens": tokens})
    return rs.Corpus.from_frame(frame)


def played(agents: rs.AgentPool, tasks: rs.Corpus | None = None, **more) -> rs.ReplayResult:
    return rs.replay(tasks, agents, "random", arrivals="poisson:1", tasks=2, **more)


SOON = {"id": "a", "ttft": 1.0, "prefill_tokens_per_second": 100.0}


@pytest.mark.parametrize("field", ["timeout", "first_token_timeout"])
def test_a_time_out_below_the_first_token_of_every_call(field: str) -> None:
    # 1 s, and 1 s for a prompt of 100 tokens.
    with pytest.raises(SimulationError) as caught:
        played(pool(SOON | {field: 1.5}), corpus(100, 300))
    assert str(caught.value) == (
        f"agent a, field {field}: 1.5 s is below the first token of every call (2 s with the "
        "shortest prompt), so that all are cut off; give it a longer one, or leave it out"
    )
    played(pool(SOON | {field: 1.5}), corpus(50, 300))
    played(pool(SOON | {field: 1.5}), corpus(100), changes=rs.Change("a", 0.0, speed=2.0))


def test_a_time_out_below_every_call_whose_answer_comes_whole() -> None:
    said = (
        "agent a, field timeout: 4.9 s is below every call (5 s at least, and its answers come "
        "whole), so that all are cut off"
    )
    assert said in played(pool({"id": "a", "timeout": 4.9})).notes
    for given in ({"timeout": 5.0}, {"timeout": 4.9, "service": "lognormal"}):
        assert "is below every call" not in str(played(pool({"id": "a"} | given)).notes)


def test_calls_above_a_limit_of_tokens_are_said() -> None:
    """An answer has 300 tokens."""
    limited = pool({"id": "a", "tokens_per_minute": 500})
    said = (
        "agent a, field tokens_per_minute: 33.3 % of the records take more than 500 tokens (501 at "
        "most) and count as that many; a provider refuses such calls"
    )
    assert said in played(limited, corpus(100, 200, 201)).notes
    assert "tokens_per_minute" not in str(played(limited, corpus(100, 200)).notes)


def test_signals_that_nobody_sees_late_are_said() -> None:
    alone = "signal_delay: one router sees all at once, so that it changes nothing"
    at_once = "routers: without signal_delay each sees all, so that they change nothing"
    two = pool({"id": "a"}, {"id": "b"})
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"signal_delay": 1.0}, [alone]),
        ({"routers": 4}, [at_once]),
        ({"routers": 4, "signal_delay": 1.0}, []),
    ]
    for given, said in cases:
        assert [n for n in played(two, **given).notes if n in (alone, at_once)] == said


def test_chance_may_make_a_call_short() -> None:
    noisy = SOON | {"service": "lognormal", "timeout": 0.5}
    played(pool(noisy | {"latency_cv": 0.5}), corpus(100))
    with pytest.raises(SimulationError, match=r"agent a, field timeout: 0\.5 s is below the first"):
        played(pool(noisy | {"latency_cv": 0.1}), corpus(100))
    played(pool(noisy | {"service": "exponential"}), corpus(100))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"latency": 1e-10}, "agent a, field latency: 1e-10; the simulator takes 1e-09 to"),
        ({"latency": 1e13}, "agent a, field latency: 1e\\+13; the simulator takes"),
        ({"latency_cv": 1e7, "service": "lognormal"}, "agent a, field latency_cv: 1e\\+07; the"),
        ({"cost": 1e13}, "agent a, field cost: 1e\\+13; the simulator takes 0 to 1e\\+12"),
        ({"price_input": 1e13}, "agent a, field price_input: 1e\\+13; the simulator takes"),
        (
            {"service": "tokens", "tokens_per_second": 1e-12},
            "agent a: a call takes 3e\\+14 s; the simulator takes up to 1e\\+12 s: correct latency",
        ),
    ],
)
def test_numbers_that_the_clock_or_the_sums_cannot_hold(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SimulationError, match=f"^{said}"):
        played(pool({"id": "a"} | given))


def test_a_recorded_latency_that_the_clock_cannot_hold() -> None:
    frame = {"id": range(2), "text": "x", "outcomes.a.latency": [1.0, 1e300]}
    tasks = rs.Corpus.from_frame(pd.DataFrame(frame))
    with pytest.raises(SimulationError, match=r"^agent a: a call takes 1e\+300 s; the simulator"):
        played(pool({"id": "a", "service": "recorded"}), tasks)


def test_what_takes_no_effect_is_said() -> None:
    two = pool({"id": "a", "fallback": "b"}, {"id": "b"})
    assert played(two).notes[0] == (
        "agent a, field fallback: it is for retries, and there are none, so that it changes "
        "nothing; allow 2 attempts or more"
    )
    assert not [n for n in played(two, retries=rs.Retries(2)).notes if "fallback" in n]
    late = {"changes": rs.Change("a", 1e6, speed=2.0), "outages": rs.Outage("b", 1e6, 2e6)}
    assert [note for note in played(two, **late).notes if "begins" in note] == [
        f"the {what} begins at 1e+06 s, after the last task has come, so that it changes little "
        "or nothing"
        for what in ("outage of b", "change of a (speed 2)")
    ]


def test_a_window_that_no_task_fits() -> None:
    with pytest.raises(SimulationError, match="agent b, field context_window: 50 tokens, and the "):
        played(pool({"id": "a"}, {"id": "b", "context_window": 50}), corpus(100, 51))
    played(pool({"id": "a"}, {"id": "b", "context_window": 51}), corpus(100, 51))


def test_an_account_that_nobody_uses() -> None:
    two = pool({"id": "a", "account": "openai"}, {"id": "b", "account": "opnai"})
    said = (
        "agent b, field account: no other agent uses the account 'opnai', and it has no limit, so "
        "that it changes nothing; did you mean 'openai'?"
    )
    assert said in played(two).notes
    limited = pool({"id": "a", "account": "x", "requests_per_minute": 9}, {"id": "b"})
    assert not [note for note in played(limited).notes if "account" in note]
    down = played(two, outages=[rs.Outage("opnai", 1, 2), rs.Outage("openai", 1, 2)])
    assert not [note for note in down.notes if "account" in note]
    wrong: list[dict[str, Any]] = [
        {"outages": rs.Outage("opena", 1, 2)},
        {"changes": rs.Change("opena", 1, 2.0)},
    ]
    for event in wrong:
        with pytest.raises(AgentError) as caught:
            played(two, **event)
        assert str(caught.value) == (
            "no agent or account 'opena' in this pool: it has a, b, and accounts openai, opnai; "
            "did you mean 'openai'?"
        )


@pytest.mark.parametrize("field", ["requests_per_minute", "tokens_per_minute", "requests_per_day"])
def test_a_limit_of_0(field: str) -> None:
    with pytest.raises(AgentError, match=f"agent a, field {field}: Expected `int` >= 1, found 0"):
        pool({"id": "a", field: 0})
    with pytest.raises(AgentError, match=rf"agent 1 \(a\), field {field}: Expected `int` >= 1"):
        rs.load_agents([{"id": "a", "name": "A", "cost": 1, "latency": 1, field: 0}])
