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
    ]
    same = rs.replay(None, pool(), "least-loaded", **tasks, changes=none)
    for one, two in zip(plain.log, same.log, strict=True):
        np.testing.assert_array_equal(one, two)


def test_changes_as_text() -> None:
    assert rs.Change.parse("a:600:speed=0.5") == rs.Change("a", 600.0, speed=0.5)
    assert rs.Change.parse("a:6:offered=false") == rs.Change("a", 6.0, offered=False)
    assert repr(rs.Change("a", 6.0, error_rate=0.1)) == "Change('a', 6.0, error_rate=0.1)"
    assert (
        str(rs.Change("a", 6.0, 0.5, 0.1, False)) == "a from 6 s: speed 0.5, error_rate 0.1, leaves"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: rs.Change("a", 1.0), "nothing changes; give one of speed, error_rate, offered"),
        (lambda: rs.Change("a", -1.0, speed=2.0), r"at=-1\.0; seconds are needed"),
        (lambda: rs.Change("a", 1.0, speed=0.0), r"speed=0\.0; a number above 0 is needed"),
        (lambda: rs.Change("a", 1.0, error_rate=1.0), r"error_rate=1\.0; a share in \[0, 1\)"),
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
