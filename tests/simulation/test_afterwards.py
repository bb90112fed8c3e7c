"""Time-outs, and what follows a call without an answer, counted by hand.

Of engine, calls, sending, availability and afterwards.
"""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

import routingsim as rs
from routingsim import theory
from routingsim.errors import AgentError, SimulationError
from routingsim.policies.kernel import FAILED, OK, SHED, TIMED_OUT, choose_kernel, no_learning
from routingsim.simulation import engine
from routingsim.simulation.service import system
from routingsim.simulation.state import Log, Rules, System, Workload
from tests.reference import simulator

ONE_TRY = Rules(attempts=1, backoff=0.0, factor=1.0, fallback=0, users=0, think=0.0, think_cv=0)
FAILURES, ANY = 1 << FAILED, 1 << FAILED | 1 << TIMED_OUT | 1 << SHED
NAN = math.nan


def agent(name: str = "a", **given: Any) -> rs.Agent:
    """One slot, and one second a call."""
    plain = {"cost": 1.0, "latency": 1.0, "service": "deterministic", "concurrency": 1}
    return rs.Agent(id=name, name=name, **(plain | given))


def work(arrived: list[float], *service: float, first: float | None = None) -> Workload:
    """Tasks that take so long at each agent, and cost 1 USD."""
    m = len(service)
    table = np.array([service])
    return Workload(
        arrived=np.array(arrived),
        row=np.zeros(len(arrived), np.int32),
        d_var=np.zeros(1),
        prompt_tokens=np.zeros(1),
        category=np.full(1, -1),
        features=np.zeros((1, 0)),
        predicted=np.zeros((1, 0)),
        service=table,
        cost=np.ones((1, m)),
        quality=np.full((1, m), NAN),
        first=np.zeros((0, 0)) if first is None else np.full((1, m), first),
    )


@choose_kernel
def lowest_up(task, pool, memory):
    """The first agent that is offered."""
    for a in range(pool.up.size):
        if pool.up[a]:
            return a
    return -1


@choose_kernel
def highest_up(task, pool, memory):
    """The last agent that is offered."""
    for a in range(pool.up.size - 1, -1, -1):
        if pool.up[a]:
            return a
    return -1


def run(tasks: Workload, agents: System, rules: Rules = ONE_TRY, choose: Any = lowest_up) -> Log:
    """A run, by the engine and by the reference, which must agree."""
    given = (agents, rules, choose, no_learning, np.zeros(1), 7)
    log, slow = engine.run(tasks, *given), simulator.run(tasks, *given)
    for name in Log._fields:
        counts = {"retried": log.retries[0], "held": log.holds[0], "lost": log.losses[0]}
        cut = slice(counts.get(name.partition("_")[0]))
        np.testing.assert_array_equal(getattr(log, name)[cut], getattr(slow, name)[cut], name)
    return log


def failing(pool: rs.AgentPool, *rates: float) -> System:
    return system(pool)._replace(error_rate=np.array(rates))


def test_a_call_is_cut_off_at_its_time_out_and_frees_its_slot() -> None:
    pool = rs.AgentPool((agent(timeout=3.0, cut_off_cost="served"),))
    log = run(work([0.0, 0.0, 2.5], 2.0), system(pool))
    assert log.status.tolist() == [OK, TIMED_OUT, OK]
    assert log.left.tolist() == [0.0, 2.0, 3.0]
    assert log.finished.tolist() == [2.0, 3.0, 5.0]
    assert log.wait.tolist() == [0.0, 2.0, 0.5]
    assert log.cost.tolist() == [1.0, 0.5, 1.0]  # half of the service was given


@pytest.mark.parametrize(("billed", "cost"), [("all", 1.0), ("served", 0.5), ("nothing", 0.0)])
def test_a_call_that_is_cut_off_may_hold_its_slot(billed: str, cost: float) -> None:
    pool = rs.AgentPool((agent(timeout=3.0, cut_off="holds", cut_off_cost=billed),))
    log = run(work([0.0, 0.0, 2.5], 2.0), system(pool))
    assert log.status.tolist() == [OK, TIMED_OUT, TIMED_OUT]
    assert log.left.tolist() == [0.0, 2.0, 4.0]  # the second holds its slot until 4
    assert log.finished.tolist() == [2.0, 3.0, 5.5]
    assert log.cost.tolist()[1] == cost
    assert [log.held_from[0], log.held_until[0]] == [3.0, 4.0]
    assert log.holds[0] == 2


def test_a_time_out_runs_in_the_queue_too() -> None:
    log = run(work([0.0, 0.0, 0.0], 2.0), system(rs.AgentPool((agent(timeout=2.0),))))
    assert log.status.tolist() == [OK, TIMED_OUT, TIMED_OUT]  # at 2.0 the second starts ...
    assert log.left.tolist() == [0.0, 2.0, 2.0]
    assert log.finished.tolist() == [2.0, 2.0, 2.0]  # ... and is cut off at once
    assert log.wait.tolist() == [0.0, 2.0, 2.0]


def test_the_first_token_has_a_time_out_of_its_own() -> None:
    pool = rs.AgentPool((agent(first_token_timeout=2.25),))
    log = run(work([0.0, 0.0, 0.5, 0.5], 2.0, first=0.25), system(pool))
    assert log.status.tolist() == [OK, OK, TIMED_OUT, TIMED_OUT]
    np.testing.assert_array_equal(log.first, [0.25, 2.25, NAN, NAN])
    assert log.finished.tolist() == [2.0, 4.0, 2.75, 2.75]
    whole = run(work([0.0, 0.0], 2.0), system(pool))  # without ttft an answer comes at its end
    assert whole.status.tolist() == [OK, TIMED_OUT]
    assert whole.first.size == 0


@pytest.mark.slow
@pytest.mark.parametrize("patience", [0.5, 1.0, 4.0])
def test_exponential_patience_is_erlang_a(patience: float) -> None:
    """M/M/10+M at 9.6 and 12 calls a second."""
    for rate in (9.6, 12.0):
        one = agent(
            service="exponential", concurrency=10, patience=patience, patience_law="exponential"
        )
        result = rs.replay(None, rs.AgentPool((one,)), "static:a", arrivals=f"poisson:{rate}",
                           tasks=200_000, seed=3)  # fmt: skip
        expected = theory.erlang_a(rate, 1.0, 10, patience)
        lost = result.log.status == TIMED_OUT
        batches = lost.reshape(100, -1).mean(axis=1)
        error = batches.std(ddof=1) / 10
        assert abs(lost.mean() - expected.p_abandon) < 4.5 * error
        assert result.log.wait.mean() == pytest.approx(expected.wait_mean, rel=0.1)


def test_a_budget_pays_for_whole_retries_only() -> None:
    """Two are saved up; each task pays for half of one; every call fails."""
    rules = ONE_TRY._replace(attempts=3, budget=0.5, reserve=2.0)
    log = run(
        work([10.0 * k for k in range(7)], 1.0), failing(rs.AgentPool((agent(),)), 1.0), rules
    )
    assert log.attempts.tolist() == [3, 1, 2, 1, 2, 1, 2]
    free = run(
        work([0.0, 9.0], 1.0), failing(rs.AgentPool((agent(),)), 1.0), rules._replace(budget=-1.0)
    )
    assert free.attempts.tolist() == [3, 3]


def test_a_cooldown_hides_an_agent_and_lets_one_probe_through() -> None:
    """Agent a fails always: at 0.5 and 1.5, then the probe at 7.5; agent b never."""
    pool = rs.AgentPool((agent("a", latency=0.5), agent("b", latency=0.5)))
    rules = ONE_TRY._replace(cool_failures=2, cool_within=1.0, cool_seconds=5.0, cool_on=FAILURES)
    tasks = work([float(k) for k in range(15)] + [14.25], 0.5, 0.5)
    log = run(tasks, failing(pool, 1.0, 0.0), rules)
    chosen = [0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1]
    assert log.agent.tolist() == chosen
    never = run(tasks, failing(pool, 1.0, 0.0), rules._replace(cool_within=0.75))
    assert not never.agent.any()
    # A probe that succeeds ends it: of the two calls at 7, the second does not go there.
    again = run(work([0.0, 1.0, 7.0, 7.0, 8.0], 0.5, 0.5)._replace(
        row=np.array([0, 0, 1, 1, 1], np.int32), d_var=np.zeros(2), prompt_tokens=np.zeros(2),
        category=np.zeros(2, np.int64), features=np.zeros((2, 0)), predicted=np.zeros((2, 0)),
        service=np.full((2, 2), 0.5), cost=np.ones((2, 2)), quality=np.full((2, 2), NAN),
        failed=np.array([[1.0, 0.0], [0.0, 0.0]]),
    ), system(pool), rules)  # fmt: skip
    assert again.agent.tolist() == [0, 0, 0, 1, 0]


def test_what_is_tried_again_and_where() -> None:
    three = rs.AgentPool((agent("a"), agent("b"), agent("c", queue_limit=0)))
    fails = failing(three, 1.0, 1.0, 0.0)
    tasks = work([0.0, 0.0], 1.0, 1.0, 1.0)
    rules = ONE_TRY._replace(attempts=4, fallback=1)
    last = run(tasks, fails, rules)  # only the last is hidden: a, b, a, b
    assert last.retried_agent[: last.retries[0]].tolist() == [0, 1, 0, 0, 1, 0]
    assert last.status.tolist() == [FAILED, FAILED]
    every = run(tasks, fails, rules._replace(fallback=2))  # all that failed: a, b, c
    assert every.agent.tolist() == [2, 2]
    assert every.attempts.tolist() == [3, 3]
    assert every.retried_before[: every.retries[0]].tolist() == [-1, 0, -1, 2]
    shed = run(work([0.0, 0.0], 1.0, 1.0, 1.0), system(rs.AgentPool((agent("a", queue_limit=0),
               agent("b"), agent("c")))), rules._replace(on=ANY))  # fmt: skip
    assert shed.status.tolist() == [OK, OK]
    assert shed.agent.tolist() == [0, 1]
    assert shed.retried_status[0] == SHED


def test_a_fixed_chain_goes_before_the_policy() -> None:
    pool = rs.AgentPool((agent("a", fallback="c"), agent("b"), agent("c", fallback="b")))
    rules = ONE_TRY._replace(attempts=3)
    assert run(work([0.0], 1.0, 1.0, 1.0), failing(pool, 1.0, 0.0, 0.0), rules).agent.tolist() == [
        2
    ]
    assert run(work([0.0], 1.0, 1.0, 1.0), failing(pool, 1.0, 0.0, 1.0), rules).agent.tolist() == [
        1
    ]
    down = system(pool, [rs.Outage("c", 0.5, 9.0)])._replace(error_rate=np.array([1.0, 0.0, 0.0]))
    assert run(work([0.0], 1.0, 1.0, 1.0), down, rules).agent.tolist() == [1]


def test_jitter_shortens_a_back_off_by_a_share() -> None:
    fails, rules = (
        failing(rs.AgentPool((agent(),)), 1.0),
        ONE_TRY._replace(attempts=2, backoff=10.0),
    )
    tasks = work([100.0 * k for k in range(200)], 1.0)
    assert set(run(tasks, fails, rules).finished - tasks.arrived) == {12.0}
    pauses = run(tasks, fails, rules._replace(jitter=0.5)).finished - tasks.arrived - 2.0
    assert 5.0 < pauses.min() < 5.2
    assert 9.8 < pauses.max() < 10.0
    assert pauses.mean() == pytest.approx(7.5, abs=0.4)


def test_what_never_binds_leaves_every_array_as_it_was() -> None:
    plain = [agent(f"a{k}", service="lognormal", concurrency=2, patience=4.0) for k in range(3)]
    on = [
        msgspec.structs.replace(each, timeout=1e6, first_token_timeout=1e5, cut_off_cost="served")
        for each in plain
    ]
    arrived = np.cumsum(np.random.default_rng(2).exponential(1 / 5.5, 400)).tolist()
    rules = ONE_TRY._replace(attempts=3, backoff=0.5)
    more = rules._replace(
        budget=1e3, reserve=1e6, cool_failures=1000, cool_within=1.0, cool_seconds=9.0, cool_on=ANY
    )
    logs = [
        run(work(arrived, 1.0, 1.0, 1.0), failing(rs.AgentPool(tuple(each)), 0.2, 0.2, 0.2), given)
        for each, given in ((plain, rules), (on, more))
    ]
    assert logs[0].retries[0] > 20
    for name in ("agent", "status", "attempts", "left", "finished", "wait", "cost", "first"):
        np.testing.assert_array_equal(getattr(logs[0], name), getattr(logs[1], name), name)


def test_contradictions_are_named_with_agent_and_field() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"timeout": 2.0, "first_token_timeout": 2.0}, "agent a, field first_token_timeout: 2 s is "
         "not below timeout = 2 s, which cuts the same calls off: leave it out"),
        ({"patience_law": "exponential"}, 'agent a, field patience_law: "exponential" needs '
         "patience, its mean"),
        ({"ttft": 0.5, "timeout": 0.25}, "agent a, field timeout: 0.25 s is below ttft = 0.5 s, so "
         "that every call is cut off"),
        ({"timeout": 0.0}, "agent a, field timeout: Expected `float` > 0.0, found 0.0"),
        ({"cut_off": "stops"}, "agent a, field cut_off: Expected one of frees, holds, found "
         "'stops'"),
    ]  # fmt: skip
    for given, said in cases:
        with pytest.raises(AgentError) as caught:
            agent(**given)
        assert str(caught.value) == said
    ring = rs.AgentPool(
        (agent("a", fallback="b"), agent("b", fallback="c"), agent("c", fallback="b"))
    )
    with pytest.raises(SimulationError) as caught:
        rs.replay(None, ring, tasks=5, arrivals="poisson:1")
    assert str(caught.value) == (
        "agent b, field fallback: the chain is a ring (b -> c -> b); leave fallback out at its "
        "last agent"
    )

    lost = rs.AgentPool((agent("a", fallback="bb"), agent("b")))
    with pytest.raises(
        SimulationError, match="agent a, field fallback: no agent 'bb' in this pool"
    ):
        rs.replay(None, lost, tasks=5, arrivals="poisson:1")


@pytest.mark.parametrize(
    ("field", "meant"),
    [("slots", "concurrency"), ("rpm", "requests_per_minute"),
     ("max_tokens", "output_tokens' or 'context_window"),
     ("time_out", "timeout")],
)  # fmt: skip
def test_words_that_people_write_get_a_hint(field: str, meant: str) -> None:
    with pytest.raises(
        AgentError, match=rf"no field {field!r}: there are .*; did you mean '{meant}'\?$"
    ):
        rs.load_agents([{"id": "a", "name": "A", "cost": 1, "latency": 1, field: 3}])
    with pytest.raises(AgentError, match=rf"^agent a: no field {field!r}: .* '{meant}'\?$"):
        agent("a", **{field: 3})


def test_words_for_what_is_no_agents_say_where_it_belongs() -> None:
    with pytest.raises(AgentError, match=r"outcome; retries are of a replay, as Retries\(attempts"):
        agent("a", max_retries=3)


def test_a_replay_with_a_time_out_that_is_tried_elsewhere() -> None:
    slow = agent("slow", latency=5.0, timeout=1.0, cut_off="holds", fallback="quick")
    result = rs.replay(
        None,
        rs.AgentPool((slow, agent("quick"))),
        "static:slow",
        arrivals="poisson:0.1",
        tasks=50,
        retries=rs.Retries(2, backoff=0.5, on="timed_out", cooldown=rs.Cooldown(1000)),
    )
    calls = result.calls()
    assert (calls.status[calls.attempt == 0] == TIMED_OUT).all()
    assert (
        calls.sent_at[calls.attempt == 1].to_numpy() == calls.ended_at[calls.attempt == 0] + 0.5
    ).all()
    held = (result.log.held_until - result.log.held_from)[: result.log.holds[0]]
    assert held.min() == pytest.approx(4.0)
    served = float((calls.ended_at - calls.left_at)[calls.agent == 0].sum()) + float(held.sum())
    begin, end = result.window
    assert result.utilisation[0] == pytest.approx(served / (end - begin), rel=0.2)
    assert "on=('timed_out',)" in repr(result.retries)
    assert repr(rs.Retries()) == "Retries(attempts=3, backoff=1.0, factor=2.0, fallback=True)"
