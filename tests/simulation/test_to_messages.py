"""A replay as messages."""

from collections import Counter

import msgspec
import numpy as np
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.messages import AgentStatus, RoutingDecision, Try, decode, encode
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.to_messages import to_messages


@pytest.fixture(scope="module")
def result() -> ReplayResult:
    pool = AgentPool(tuple(msgspec.structs.replace(a, error_rate=0.3) for a in rs.load_agents()))
    return rs.replay(
        rs.load_corpus("tasks"),
        pool,
        "least-loaded",
        arrivals="poisson:6",
        seed=3,
        retries=rs.Retries(3),
        outages=[rs.Outage("gpt-4", 20, 40), rs.Outage("llama", 60, 1e6)],
    )


def test_messages_come_in_order_and_read_back(result: ReplayResult) -> None:
    times, messages = zip(*to_messages(result), strict=True)
    assert list(times) == sorted(times)
    for at, message in zip(times, messages, strict=True):
        assert message.timestamp == int(at * 1000)
        assert decode(encode(message)).payload == message


def test_each_task_has_one_decision_that_of_its_last_try(result: ReplayResult) -> None:
    decisions = {
        m.task_id: (at, m) for at, m in to_messages(result) if isinstance(m, RoutingDecision)
    }
    frame = result.to_frame()
    assert Counter(decisions.keys()) == Counter(frame["task_id"])
    sent = result.calls().groupby("task")["sent_at"].last().to_numpy()
    for i, (task, agent, d_var) in enumerate(
        frame[["task_id", "agent", "d_var"]].itertuples(index=False)
    ):
        at, decision = decisions[task]
        assert (at, decision.agent.id) == (sent[i], agent)
        assert decision.complexity_score.d_var == d_var


@pytest.mark.slow
def test_reasons_tell_the_load_that_was(result: ReplayResult) -> None:
    """Counted anew, try by try: who was sent earlier and has not ended."""
    calls = result.calls()
    last = calls.groupby("task").tail(1).set_index("task")
    ids = result.task_ids()
    for task in range(0, len(result), 25):
        mine = last.loc[task]
        others = calls[(calls["agent"] == mine["agent"]) & (calls["sent_at"] < mine["sent_at"])]
        agent = result.pool.agents[int(mine["agent"])]
        load = (others["ended_at"] > mine["sent_at"]).sum() / agent.concurrency
        said = next(m.reason for _, m in to_messages(result)
                    if isinstance(m, RoutingDecision) and m.task_id == ids[task])  # fmt: skip
        assert said == f"Lowest load ({load:.2f}): Routed to {agent.name}"


def test_statuses_tell_each_change_and_no_other(result: ReplayResult) -> None:
    told: dict[str, tuple[str, float, int | None]] = {}
    for at, message in to_messages(result):
        if not isinstance(message, AgentStatus):
            continue
        now = message.status, message.load, message.queued
        same = told.get(message.agent_id) == now
        assert not same or message.wait is not None or message.latency is not None
        told[message.agent_id] = now
        assert 0 <= message.load <= 1
        down = any(o.agent == message.agent_id and o.down <= at < o.up for o in result.outages)
        expected = "offline" if down else "busy" if message.load == 1 else "available"
        assert message.status == expected
    assert {a: tuple(rest) for a, (_, *rest) in told.items()} == dict.fromkeys(
        result.pool.ids, (0.0, 0)
    )
    assert told["llama"][0] == "offline"


def test_statuses_tell_queues_waits_and_latencies() -> None:
    """One slot, a second each, three tasks at 0: counted by hand."""
    pool = AgentPool((Agent(id="a", name="A", cost=0, latency=1, service="deterministic",
                            concurrency=1),))  # fmt: skip
    played = rs.replay(None, pool, "static:a", arrivals=rs.Trace([0, 0, 0]), tasks=3)
    messages = [m for _, m in to_messages(played)]
    statuses = [m for m in messages if isinstance(m, AgentStatus)]
    assert [(m.timestamp, m.queued, m.wait, m.latency) for m in statuses] == [
        (0, 2, 0.0, None), (1000, 1, 1.0, 1.0), (2000, 0, 2.0, 2.0), (3000, 0, None, 3.0),
    ]  # fmt: skip
    third = [m for m in messages if isinstance(m, RoutingDecision)][2]
    assert third.tries == (Try("a", sent=0.0, waited=2.0, served=1.0, status="ok"),)


def test_a_decision_tells_all_tries_of_its_task(result: ReplayResult) -> None:
    tries = {m.task_id: m.tries for _, m in to_messages(result) if isinstance(m, RoutingDecision)}
    frame = result.to_frame()
    for task_id, attempts, latency, status in frame[
        ["task_id", "attempts", "latency", "status"]
    ].itertuples(index=False):
        assert len(tries[task_id]) == attempts
        assert [each.status for each in tries[task_id]] == ["failed"] * (attempts - 1) + [status]
        last = tries[task_id][-1]
        assert last.sent + last.waited + last.served == pytest.approx(latency, abs=1e-5)


def test_load_is_that_of_the_slots() -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=0, latency=1, service="deterministic",
                            concurrency=2),))  # fmt: skip
    played = rs.replay(None, pool, "static:a", arrivals=rs.Trace([0, 0, 0, 5]), tasks=4)
    loads = [(at, m.load) for at, m in to_messages(played) if isinstance(m, AgentStatus)]
    assert loads == [(0, 1.0), (1, 0.5), (2, 0.0), (5, 0.5), (6, 0.0)]
    without_text = next(m for _, m in to_messages(played) if isinstance(m, RoutingDecision))
    assert without_text.complexity_score.d_var == 0
    assert np.isfinite(without_text.timestamp)
