"""Agents that change, join and leave in a run, worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import AgentError, SimulationError


def pool(**given) -> rs.AgentPool:
    plain = {"cost": 1.0, "latency": 2.0, "service": "deterministic", "concurrency": 1} | given
    return rs.AgentPool(tuple(rs.Agent(id=k, name=k, **plain) for k in ("a", "b")))


def corpus(*times: float) -> rs.Corpus:
    frame = pd.DataFrame({"id": range(len(times)), "text": "x", "arrived_at": times})
    return rs.Corpus.from_frame(frame)


def first_up(task, pool, memory):
    return int(pool.up.argmax())


def played(times: list[float], *changes: Any, **more) -> rs.ReplayResult:
    return rs.replay(corpus(*times), pool(), first_up, arrivals="corpus", changes=changes, **more)


def test_a_speed_holds_for_calls_that_are_sent_from_then_on() -> None:
    changes = rs.Change("a", 3.0, speed=0.5), rs.Change("a", 20.0, speed=1.0)
    result = played([0.0, 2.5, 2.6, 3.0, 20.0], *changes)
    # The third waits through the change and is as it was sent; the fourth takes 4 s.
    assert result.log.finished.tolist() == [2.0, 4.5, 6.5, 10.5, 22.0]
    assert result.changes == changes
    assert result.warm_up == 0.0


def test_an_error_rate_and_the_failures_that_are_recorded() -> None:
    frame = pd.DataFrame({"id": range(200), "text": "x", "arrived_at": 10.0 * np.arange(200)})
    frame["outcomes.a.failed"] = 0
    change = rs.Change("a", 1000.0, error_rate=0.5)
    result = rs.replay(
        rs.Corpus.from_frame(frame), pool(), "static:a", arrivals="corpus", changes=change
    )
    failed = result.log.status == 1
    assert failed[:100].sum() == 0
    assert 30 < failed[100:].sum() < 70


def recorded(*times: float) -> rs.Corpus:
    """Calls of USD 0.25 whose answers are of quality 0.8; two tokens of prompt."""
    frame = pd.DataFrame({"id": range(len(times)), "text": "x", "arrived_at": times})
    frame["prompt_tokens"] = 2
    for agent in "ab":
        frame[f"outcomes.{agent}.cost"], frame[f"outcomes.{agent}.quality"] = 0.25, 0.8
    return rs.Corpus.from_frame(frame)


def test_a_price_and_a_quality_hold_for_calls_that_are_sent_from_then_on() -> None:
    changes = [
        rs.Change("a", 3.0, price=4.0, quality=0.5),
        rs.Change("a", 10.0, price=0.0, quality=2.0),
    ]
    times = [0.0, 2.5, 2.6, 3.0, 10.0, 20.0]
    result = rs.replay(recorded(*times), pool(), "static:a", arrivals="corpus", changes=changes)
    assert result.log.cost.tolist() == [0.25, 0.25, 0.25, 1.0, 0.0, 0.0]
    assert result.quality.tolist() == [0.8, 0.8, 0.8, 0.4, 1.0, 1.0]  # at most 1
    assert result.compared_quality.tolist() == result.quality.tolist()
    assert result.log.finished.tolist() == [2.0, 4.5, 6.5, 8.5, 12.0, 22.0]
    plain = rs.replay(recorded(*times), pool(), "static:a", arrivals="corpus")
    assert plain.log.cost.tolist() == [0.25] * 6
    assert plain.quality.tolist() == [0.8] * 6
    assert plain.log.quality.size == 0


def test_what_policies_see_of_prices_and_are_told_of_qualities() -> None:
    def choose(task, pool, memory):
        memory[3 * task.index] = pool.cost[0]
        memory[3 * task.index + 1] = pool.price[0]
        return 0

    def learn(task, agent, outcome, pool, memory):
        memory[3 * task.index + 2] = outcome.quality * outcome.cost

    policy = rs.Policy("seen", rs.choose_kernel(choose), rs.learn_kernel(learn), np.zeros(6))
    priced = pool(cost=None, price_input=1e6, price_output=1e6, output_tokens=3.0)
    change = rs.Change("a", 3.0, price=2.0, quality=0.5)
    result = rs.replay(recorded(0.0, 3.0), priced, policy, arrivals="corpus", changes=change)
    # The prompt has 2 tokens of USD 1, the answer 3; a blend of 1,000 tokens costs USD 1,000.
    assert result.memory.tolist() == [1000.0, 5.0, 0.8 * 0.25, 2000.0, 10.0, 0.4 * 0.5]


def test_a_judge_sees_the_quality_as_it_has_become() -> None:
    change = rs.Change("a", 3.0, quality=0.5)
    given = {"arrivals": "corpus", "changes": change}
    result = rs.replay(recorded(0.0, 10.0), pool(), "cascade:bar=0.7,agents=a/b,error=0", **given)
    assert result.log.agent.tolist() == [0, 1]
    assert result.log.cost.tolist() == [0.25, 0.5]


def test_an_account_changes_whole() -> None:
    shared = pool(account="x")
    result = rs.replay(
        recorded(0.0, 5.0),
        shared,
        first_up,
        arrivals="corpus",
        changes=rs.Change("x", 4.0, price=2),
    )
    assert result.changes == (rs.Change("a", 4.0, price=2), rs.Change("b", 4.0, price=2))
    assert result.log.cost.tolist() == [0.25, 0.5]
    down = rs.replay(
        recorded(0.0, 5.0), shared, first_up, arrivals="corpus", outages=rs.Outage("x", 4.0, 9.0)
    )
    assert down.log.finished.tolist() == [2.0, 11.0]


def test_agents_join_and_leave() -> None:
    leaves, joins = rs.Change("a", 5.0, offered=False), rs.Change("b", 1.0, offered=True)
    result = played([0.0, 0.5, 4.0, 5.0, 6.0], leaves, joins)
    assert result.log.agent.tolist() == [0, 0, 0, 1, 1]
    assert result.log.finished.tolist() == [2.0, 4.0, 6.0, 7.0, 9.0]  # what it has it ends
    back = rs.Change("a", 5.5, offered=True)
    assert played([0.0, 5.0, 6.0], leaves, joins, back).log.agent.tolist() == [0, 1, 0]


def test_changes_that_change_nothing_leave_every_array_as_it_was() -> None:
    tasks = {"arrivals": "poisson:1", "tasks": 300, "seed": 2, "warm_up": 0.1}
    plain = rs.replay(None, pool(), "least-loaded", **tasks)
    none = [
        rs.Change("a", 9.0, speed=1.0, error_rate=0.0, offered=False),
        rs.Change("a", 9.0, offered=True),
        rs.Change("b", 1e9, speed=0.1),
        rs.Change("a", 9.0, price=1.0),
        rs.Change("b", 1e9, price=7.0),
    ]
    same = rs.replay(None, pool(), "least-loaded", **tasks, changes=none)
    for one, two in zip(plain.log, same.log, strict=True):
        np.testing.assert_array_equal(one, two)


def test_changes_as_text() -> None:
    assert rs.Change.parse("a:600:speed=0.5") == rs.Change("a", 600.0, speed=0.5)
    assert rs.Change.parse("a:6:offered=false") == rs.Change("a", 6.0, offered=False)
    assert rs.Change.parse("a:6:price=2") == rs.Change("a", 6.0, price=2.0)
    assert rs.Change.parse("a:6:quality=0.9") == rs.Change("a", 6.0, quality=0.9)
    assert repr(rs.Change("a", 6.0, error_rate=0.1)) == "Change('a', 6.0, error_rate=0.1)"
    assert (
        str(rs.Change("a", 6.0, 0.5, 0.1, False)) == "a from 6 s: speed 0.5, error_rate 0.1, leaves"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: rs.Change("a", 1.0), "give one of speed, error_rate, offered, price, quality"),
        (lambda: rs.Change("a", -1.0, speed=2.0), r"at=-1\.0; seconds are needed"),
        (lambda: rs.Change("a", 1.0, speed=0.0), r"speed=0\.0; a number above 0 is needed"),
        (lambda: rs.Change("a", 1.0, error_rate=1.0), r"error_rate=1\.0; a share in \[0, 1\)"),
        (lambda: rs.Change("a", 1.0, price=-1), "price=-1; a number of 0 or more is needed"),
        (
            lambda: rs.Change.parse("a:1:quality=nan"),
            "quality=nan; a number of 0 or more is needed",
        ),
        (lambda: rs.Change.parse("a:6:offered=2"), r"offered=2\.0; True or False is needed"),
        (lambda: rs.Change.parse("a:600"), "write AGENT:AT:FIELD=VALUE, as gpt-4:600:speed=0.5"),
        (lambda: rs.Change.parse("a:6:sped=2"), "no field 'sped'; .*did you mean 'speed'"),
        (lambda: played([0.0], "a:1:speed=2"), r"write \[rs\.Change\('gpt-4', 600, speed=0\.5\)\]"),
    ],
)
def test_what_is_not_allowed_is_named(wrong, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        wrong()


def test_an_agent_that_is_not_there_is_named() -> None:
    with pytest.raises(AgentError, match="no agent 'c' in this pool"):
        played([0.0], rs.Change("c", 1.0, speed=2.0))
