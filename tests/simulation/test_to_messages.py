"""A replay as messages."""

from collections import Counter

import msgspec
import numpy as np
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.messages import AgentStatus, RoutingDecision, decode, encode
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
    told: dict[str, tuple[str, float]] = {}
    for at, message in to_messages(result):
        if not isinstance(message, AgentStatus):
            continue
        now = message.status, message.load
        assert told.get(message.agent_id) != now
        told[message.agent_id] = now
        assert 0 <= message.load <= 1
        down = any(o.agent == message.agent_id and o.down <= at < o.up for o in result.outages)
        expected = "offline" if down else "busy" if message.load == 1 else "available"
        assert message.status == expected
    assert {agent: load for agent, (_, load) in told.items()} == dict.fromkeys(result.pool.ids, 0.0)
    assert told["llama"][0] == "offline"


def test_load_is_that_of_the_slots() -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=0, latency=1, service="deterministic",
                            concurrency=2),))  # fmt: skip
    played = rs.replay(None, pool, "static:a", arrivals=rs.Trace([0, 0, 0, 5]), tasks=4)
    loads = [(at, m.load) for at, m in to_messages(played) if isinstance(m, AgentStatus)]
    assert loads == [(0, 1.0), (1, 0.5), (2, 0.0), (5, 0.5), (6, 0.0)]
    without_text = next(m for _, m in to_messages(played) if isinstance(m, RoutingDecision))
    assert without_text.complexity_score.d_var == 0
    assert np.isfinite(without_text.timestamp)
