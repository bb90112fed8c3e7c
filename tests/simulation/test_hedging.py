"""Second copies of calls, counted by hand on two agents. Of latencies, too."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.policies.kernel import FAILED, OK, SHED, TIMED_OUT
from routingsim.simulation.faults import Hedge
from routingsim.simulation.service import system
from routingsim.simulation.state import CALL_STATUS, CANCELLED, Rules, System
from tests.simulation.test_afterwards import ONE_TRY, agent, highest_up, run, work

TWO_SECONDS = ONE_TRY._replace(hedge=2.0)


def two(**given: Any) -> System:
    """The first is offered first."""
    return system(rs.AgentPool((agent("a", **given), agent("b", **given))))


def lost(log: Any, *names: str) -> list[list[Any]]:
    count = int(log.losses[0])
    return [getattr(log, f"lost_{name}")[:count].tolist() for name in names]


@pytest.mark.parametrize(
    ("billed", "costs"),
    [("all", [2.0, 2.0]), ("served", [1.75, 1.25]), ("nothing", [1.0, 1.0])],
)
def test_the_second_copy_answers_and_the_first_is_cancelled(
    billed: str, costs: list[float]
) -> None:
    """Agent a takes 4 s, b 1 s. At 3 the copy frees a, where the second task starts, and b."""
    log = run(work([0.0, 0.5], 4.0, 1.0), two(cut_off_cost=billed), TWO_SECONDS)
    assert log.status.tolist() == [OK, OK]
    assert log.agent.tolist() == [1, 1]
    assert log.left.tolist() == [2.0, 3.0]
    assert log.finished.tolist() == [3.0, 4.0]
    assert log.wait.tolist() == [0.0, 0.5]  # of the copy that answered
    assert log.cost.tolist() == costs
    assert lost(log, "agent", "copy", "left", "ended", "hedged") == [
        [0, 0], [0, 0], [0.0, 3.0], [3.0, 4.0], [2.0, 2.5],
    ]  # fmt: skip
    assert lost(log, "status") == [[CANCELLED, CANCELLED]]
    assert CALL_STATUS[CANCELLED] == "cancelled"


def test_the_first_copy_answers_and_the_second_is_cancelled() -> None:
    log = run(work([0.0], 2.5, 1.0), two(cut_off_cost="served"), TWO_SECONDS)
    assert [log.agent[0], log.finished[0], log.cost[0]] == [0, 2.5, 1.5]
    assert lost(log, "agent", "copy", "ended", "cost") == [[1], [1], [2.5], [0.5]]


def test_a_copy_that_waits_leaves_its_queue_and_costs_nothing() -> None:
    """Both agents are busy with tasks of 3.5 s; the copy of the third waits at b."""
    log = run(work([0.0, 0.0, 1.0], 3.5, 3.5), two(), ONE_TRY._replace(hedge=0.0))
    assert log.left.tolist() == [0.0, 3.5, 7.0]
    assert log.cost.tolist() == [2.0, 2.0, 2.0]
    # Of the first two, a's copies answer: the tie at one moment is the first copy's.
    assert lost(log, "agent", "left", "ended")[0] == [1, 1, 1]


def test_a_cancelled_call_may_hold_its_slot() -> None:
    log = run(work([0.0, 0.5], 4.0, 1.0), two(cut_off="holds"), TWO_SECONDS)
    # Held until 4: there the second task's first copy starts, and is cancelled at once.
    assert lost(log, "left", "ended") == [[0.0, 4.0], [3.0, 4.0]]
    assert [log.held_from[0], log.held_until[0]] == [3.0, 4.0]


def test_a_copy_without_an_answer_ends_nothing() -> None:
    broken = two()._replace(error_rate=np.array([0.0, 1.0]))
    log = run(work([0.0], 4.0, 1.0), broken, TWO_SECONDS)
    assert [log.status[0], log.agent[0], log.finished[0], log.cost[0]] == [OK, 0, 4.0, 2.0]
    assert lost(log, "status", "ended") == [[FAILED], [3.0]]
    both = two()._replace(error_rate=np.array([1.0, 1.0]))
    log = run(work([0.0], 4.0, 1.0), both, TWO_SECONDS)
    assert [log.status[0], log.agent[0], log.finished[0]] == [FAILED, 0, 4.0]


def test_a_copy_that_is_shed_or_times_out_ends_nothing() -> None:
    full = system(rs.AgentPool((agent("a"), agent("b", queue_limit=0))))
    log = run(work([0.0, 1.5], 4.0, 4.0), full, TWO_SECONDS)
    assert log.status.tolist() == [OK, OK]
    assert lost(log, "status") == [[SHED, CANCELLED]]  # the copy of the first is at b by then
    log = run(work([0.0], 4.0, 9.0), two(timeout=4.5), TWO_SECONDS)
    assert [log.status[0], log.agent[0]] == [OK, 0]
    log = run(work([0.0], 9.0, 9.0), two(timeout=4.5), TWO_SECONDS)
    assert [log.status[0], log.agent[0], log.finished[0]] == [TIMED_OUT, 1, 6.5]
    assert lost(log, "status", "ended") == [[TIMED_OUT], [4.5]]


def test_each_try_is_hedged_once() -> None:
    """Both agents fail, each time after both copies."""
    rules = TWO_SECONDS._replace(attempts=2, backoff=1.0)
    both = two()._replace(error_rate=np.array([1.0, 1.0]))
    log = run(work([0.0], 4.0, 4.0), both, rules)
    assert [log.attempts[0], log.finished[0], log.cost[0]] == [2, 13.0, 4.0]
    assert lost(log, "attempt", "ended") == [[0, 1], [4.0, 11.0]]


def test_of_two_copies_that_wait_for_an_account_the_first_is_next() -> None:
    """Three calls a minute. First copies go to b, second ones to a, at the same moment.

    At 60 s the third task's copies take what the first one's took; what the second one's took
    is free at 70 s, for the first copy of the fourth.
    """
    limited = {"account": "x", "requests_per_minute": 3}
    rules = ONE_TRY._replace(hedge=0.0)
    log = run(work([0.0, 10.0, 12.0, 13.0], 1.0, 1.0), two(**limited), rules, highest_up)
    assert log.left.tolist() == [0.0, 10.0, 60.0, 70.0]
    assert log.agent.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("fallback", "failed"), [(1, [0, 1, 0, 1]), (2, [0, 0])])
def test_all_that_have_had_a_task_are_hidden_whichever_copy_they_had(
    fallback: int, failed: list[int]
) -> None:
    """Agent a takes 4 s, b 1 s, and both fail: b's copy does not decide, and has had the task."""
    three = system(rs.AgentPool((agent("a"), agent("b"), agent("c"))))
    fails = three._replace(error_rate=np.array([1.0, 1.0, 0.0]))
    rules = TWO_SECONDS._replace(attempts=3, fallback=fallback)
    log = run(work([0.0, 20.0], 4.0, 1.0, 1.0), fails, rules)
    assert log.retried_agent[: log.retries[0]].tolist() == failed
    assert log.agent.tolist() == [2, 2]


@pytest.mark.parametrize(
    "rules", [ONE_TRY._replace(hedge=1e6), ONE_TRY._replace(hedge_quantile=0.9, hedge_least=99)]
)
def test_a_hedge_that_never_comes_changes_nothing(rules: Rules) -> None:
    given = work([0.0, 0.5, 0.7, 0.9], 4.0, 1.0), two()
    with_, without = run(*given, rules), run(*given)
    assert with_.losses[0] == 0
    for name in ("agent", "status", "left", "finished", "wait", "cost"):
        np.testing.assert_array_equal(getattr(with_, name), getattr(without, name))


def test_one_agent_has_nobody_to_send_a_copy_to() -> None:
    pool = rs.AgentPool((agent(),))
    result = rs.replay(None, pool, "static:a", arrivals="poisson:0.5", tasks=50, hedge="0s")
    assert result.log.losses[0] == 0
    assert "hedge: the pool has one agent, so no second copy is ever sent" in result.notes
    both = rs.AgentPool((agent("a"), agent("b")))  # the policy names a for the copy, too
    named = rs.replay(None, both, "static:a", arrivals="poisson:0.5", tasks=50, hedge="0s")
    assert named.log.losses[0] == 0


def test_a_quantile_is_of_the_agents_own_times_from_the_sending() -> None:
    """After three of 1.0 s the median is 1.03125, the next 32nd."""
    rules = ONE_TRY._replace(hedge_quantile=0.5, hedge_least=3)
    given = work([0.0, 10.0, 20.0, 30.0], 1.0, 1.0)
    given = given._replace(
        row=np.array([0, 0, 0, 1], np.int32),
        **{
            name: np.repeat(getattr(given, name), 2, axis=0)
            for name in ("d_var", "prompt_tokens", "category", "cost", "quality", "features")
        },
        predicted=np.zeros((2, 0)),
        service=np.array([[1.0, 1.0], [5.0, 1.0]]),
    )
    log = run(given, two(), rules)
    assert lost(log, "hedged", "ended") == [[31.03125], [32.03125]]
    assert log.finished.tolist() == [1.0, 11.0, 21.0, 32.03125]


def test_hedges_are_read_and_shown() -> None:
    assert Hedge.parse("2s") == Hedge(after=2.0) == Hedge.parse("2")
    assert Hedge.parse("p95") == Hedge(quantile=0.95)
    assert repr(Hedge(after=0.5)) == "Hedge(after=0.5)"
    assert repr(Hedge(quantile=0.9)) == "Hedge(quantile=0.9)"
    assert [Hedge(quantile=q).least for q in (0.5, 0.9, 0.95, 0.99)] == [2, 10, 20, 100]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Hedge: give after (seconds) or quantile (a share below 1), as rs.Hedge(after=2.0) or "
             "rs.Hedge(quantile=0.95)"),
        ({"after": -1}, "Hedge: after=-1; seconds are needed, 0 or more and finite"),
        ({"quantile": 1.0}, "Hedge: quantile=1.0; a share above 0 and up to 0.9999 is needed, as "
                            "0.95"),
    ],
)  # fmt: skip
def test_bad_hedges_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(SimulationError) as caught:
        Hedge(**given)
    assert str(caught.value) == said


def test_bad_words_for_hedges_are_refused() -> None:
    with pytest.raises(SimulationError) as caught:
        Hedge.parse("soon")
    assert str(caught.value) == "hedge 'soon': write seconds, as 2s, or a percentile, as p95"
    with pytest.raises(SimulationError, match=r"^hedge: 2 is an int; write rs.Hedge\(after=2.0\)$"):
        rs.replay(None, rs.AgentPool((agent(),)), "static:a", tasks=1, hedge=2)  # type: ignore[arg-type]


def test_the_tables_of_a_hedged_run() -> None:
    pool = rs.AgentPool((agent("a", latency=4.0), agent("b")))
    frame = pd.DataFrame({"id": ["x"], "text": [""], "arrived_at": [0.0]})

    def first_up(task, view, memory):
        return int(np.argmax(view.up))

    result = rs.replay(rs.Corpus.from_frame(frame), pool, first_up, hedge="2s")
    calls = result.calls()
    assert calls["copy"].tolist() == [0, 1]
    assert calls["sent_at"].tolist() == [0.0, 2.0]
    assert calls["ended_at"].tolist() == [3.0, 3.0]
    assert [CALL_STATUS[s] for s in calls["status"]] == ["cancelled", "ok"]
    assert result.overall["hedged"] == 1.0
    assert result.overall["spare"] == 0.75  # 3 of the 4 seconds of service
    assert result.utilisation.tolist() == [1.0, pytest.approx(1 / 3)]
    assert "second copies of 100.0% of the tasks; copies that did not decide took 75.0% of" in (
        " ".join(repr(result).split())
    )
