"""The live router: choices, counts, feedback, and what it tells the world."""

import re
import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.errors import PolicyError, RoutingSimError
from routingsim.live.publisher.memory import MemoryPublisher
from routingsim.messages import AgentStatus, Body, RoutingDecision, decode
from routingsim.policies.kernel import choose_kernel, learn_kernel
from routingsim.policies.policy import Policy

RULES = ["threshold", "cheapest", "fastest", "round-robin", "least-loaded", "shortest-wait",
         "threshold:spill=0.5"]  # fmt: skip


def two(**fields) -> AgentPool:
    """A dear agent with one slot, and a cheap one with two."""
    return AgentPool(
        (
            Agent(id="dear", name="Dear", cost=2.0, latency=1.0, concurrency=1, **fields),
            Agent(id="cheap", name="Cheap", cost=1.0, latency=2.0, concurrency=2, **fields),
        )
    )


def told(publisher: MemoryPublisher) -> list[Body]:
    return [decode(message).payload for _, message in publisher.messages]


# -- one decision ------------------------------------------------------------------------


def test_a_decision_says_what_and_why() -> None:
    text = "Implement a binary search in Python, with type hints; explain why it is O(log n)."
    decision = rs.TaskRouter().route(text, task_id="mine")
    assert decision.task_id == "mine"
    assert decision.complexity_score == rs.score(text)
    said = r"High complexity \(D_var=0\.\d{3}\): Routed to .+ for advanced reasoning"
    assert re.fullmatch(said, decision.reason)
    assert rs.TaskRouter().route(text).task_id != rs.TaskRouter().route(text).task_id


def test_statistics_count_every_agent() -> None:
    router = rs.TaskRouter(two(), "cheapest", recent=2)
    assert router.stats() == {
        "totalRoutes": 0,
        "agentUsage": {"dear": 0, "cheap": 0},
        "recentDecisions": [],
    }
    for k in range(3):
        router.route("hello", task_id=f"t{k}")
    stats = router.stats()
    assert stats["totalRoutes"] == 3
    assert stats["agentUsage"] == {"dear": 0, "cheap": 3}
    assert [each["taskId"] for each in stats["recentDecisions"]] == ["t2", "t1"]


# -- feedback ----------------------------------------------------------------------------


def loads(router: rs.TaskRouter) -> dict[str, float]:
    return {status.agent_id: status.load for status in router.statuses()}


def test_completion_frees_the_queue_then_the_slots() -> None:
    router = rs.TaskRouter(two(), "static:cheap")
    for k in range(4):
        router.route("x", task_id=str(k))
    seen = [loads(router)["cheap"]]
    for k in range(4):
        router.complete(str(k))
        seen.append(loads(router)["cheap"])
    assert seen == [1, 1, 1, 0.5, 0]  # two of the four waited


def test_freed_slots_are_seen_by_the_policy() -> None:
    router = rs.TaskRouter(two(), "least-loaded")
    assert [router.route("x", task_id=str(k)).agent.id for k in range(3)] == [
        "dear", "cheap", "cheap",
    ]  # fmt: skip
    router.complete("0")
    assert router.route("x").agent.id == "dear"


def test_tasks_must_be_in_flight_once() -> None:
    router = rs.TaskRouter(two())
    router.route("x", task_id="a")
    with pytest.raises(RoutingSimError, match="'a' is in flight already"):
        router.route("x", task_id="a")
    with pytest.raises(RoutingSimError, match="'b' is not in flight"):
        router.complete("b")
    with pytest.raises(RoutingSimError, match="status='great': choose one of ok, failed"):
        router.complete("a", status="great")  # pyright: ignore[reportArgumentType]
    router.complete("a")
    with pytest.raises(RoutingSimError, match="'a' is not in flight"):
        router.complete("a")
    assert router.stats()["totalRoutes"] == 1


@choose_kernel
def to_the_first(task, pool, memory):
    return 0


@learn_kernel
def keep(task, agent, outcome, pool, memory):
    memory[0] += 1
    memory[1] = task.index
    memory[2] = agent
    memory[3] = outcome.status
    memory[4] = outcome.latency
    memory[5] = outcome.quality
    memory[6] = outcome.cost


@pytest.mark.parametrize("interpreted", [False, True])
def test_a_learning_policy_is_told(interpreted: bool) -> None:
    policy = Policy("keep", to_the_first, keep, np.zeros(7), interpreted=interpreted)
    router = rs.TaskRouter(two(), policy)
    for k in range(3):
        router.route("x", task_id=str(k))
    router.complete("1", status="failed", quality=0.25, cost=0.5, latency=3.0)
    np.testing.assert_array_equal(router.memory, [1, 1, 0, 1, 3.0, 0.25, 0.5])
    router.complete("2")
    assert router.memory[0] == 2
    assert 0 <= router.memory[4] < 60
    assert policy.memory[0] == 0  # the router works on a copy


# -- agents that are away ------------------------------------------------------------------


def test_an_agent_that_is_offline_gets_nothing() -> None:
    publisher = MemoryPublisher()
    router = rs.TaskRouter(two(), "cheapest", publisher=publisher)
    router.set_offline("cheap")
    assert router.route("x").agent.id == "dear"
    assert [s.status for s in router.statuses()] == ["busy", "offline"]
    router.set_offline("dear")
    assert router.route("x").agent.id == "cheap"  # it must go somewhere
    assert [s.status for s in router.statuses()] == ["offline", "offline"]
    router.set_offline("cheap", False)
    assert router.route("x").agent.id == "cheap"
    statuses = [m.status for m in told(publisher) if isinstance(m, AgentStatus)]
    assert statuses[0] == "offline"
    with pytest.raises(RoutingSimError, match="no agent 'nobody'"):
        router.set_offline("nobody")


# -- the same policy, live and simulated ----------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_live_choices_are_those_of_the_simulator(rule: str) -> None:
    """All tasks at one instant: nothing completes in between, in either world."""
    corpus, pool = rs.load_corpus("tasks"), rs.load_agents()
    simulated = rs.replay(corpus, pool, rule, arrivals=rs.Trace(np.zeros(len(corpus))), seed=1)
    batch = rs.TaskRouter(pool, rule, corpus=corpus, seed=1).route_batch(corpus)
    assert batch["agent"].tolist() == simulated.to_frame()["agent"].tolist()
    router = rs.TaskRouter(pool, rule, corpus=corpus, seed=1)
    one_by_one = [router.route(text).agent.id for text in corpus.tasks["text"]]
    assert one_by_one == batch["agent"].tolist()


@choose_kernel
def _by_features(task, pool, memory):
    return int(task.features[1])


@pytest.mark.parametrize("interpreted", [True, False])
def test_features_of_any_kind_of_number_are_read_right(interpreted: bool) -> None:
    def featurize(texts, categories):
        return np.array([[9, len(text)] for text in texts], np.int16, order="F")

    asks: Any = featurize
    policy = Policy("by-features", _by_features, featurize=asks, interpreted=interpreted)
    texts = ["", "a"] * 10
    one_by_one = [rs.TaskRouter(two(), policy).route(text).agent.id for text in texts]
    batch = rs.TaskRouter(two(), policy).route_batch(texts)["agent"].tolist()
    assert one_by_one == batch == ["dear", "cheap"] * 10


def test_a_plain_function_routes() -> None:
    def longest_name(task, pool, memory):
        return int(task.d_var > 0.3)

    router = rs.TaskRouter(two(), longest_name)
    assert router.route("x").agent.id == "dear"
    assert router.route("a much longer text, with words").agent.id == "cheap"
    texts = ["x", "a much longer text, with words"] * 20
    assert router.route_batch(texts)["agent"].tolist() == ["dear", "cheap"] * 20


@pytest.mark.parametrize("answer", [-1, 2])
def test_a_policy_that_names_nobody_is_refused(answer: int) -> None:
    router = rs.TaskRouter(two(), lambda task, pool, memory: answer)
    with pytest.raises(PolicyError, match="allowed: 0 to 1"):
        router.route("x", task_id="a")
    assert router.stats()["totalRoutes"] == 0
    with pytest.raises(RoutingSimError, match="not in flight"):
        router.complete("a")


# -- what is published ------------------------------------------------------------------------


def test_a_decision_and_its_agents_status_are_published() -> None:
    publisher = MemoryPublisher()
    router = rs.TaskRouter(two(), "static:cheap", publisher=publisher)
    decision = router.route("x")
    router.complete(decision.task_id)
    sent, status, freed = told(publisher)
    assert sent == decision
    assert isinstance(status, AgentStatus)
    assert isinstance(freed, AgentStatus)
    assert (status.agent_id, status.status, status.load) == ("cheap", "available", 0.5)
    assert freed.load == 0


def test_a_batch_is_published_whole_with_statuses_of_those_chosen() -> None:
    publisher, corpus = MemoryPublisher(), rs.load_corpus("tasks")
    frame = rs.TaskRouter(policy="threshold", publisher=publisher).route_batch(corpus)
    messages = told(publisher)
    decisions = [m for m in messages if isinstance(m, RoutingDecision)]
    assert (
        [d.task_id for d in decisions] == frame["task_id"].tolist() == corpus.tasks["id"].tolist()
    )
    assert [d.agent.id for d in decisions] == frame["agent"].tolist()
    assert [d.reason for d in decisions] == frame["reason"].tolist()
    statuses = [m.agent_id for m in messages if isinstance(m, AgentStatus)]
    assert sorted(statuses) == sorted(frame["agent"].unique())


def test_a_batch_with_an_id_twice_routes_nothing() -> None:
    corpus = rs.load_corpus("tasks").head(20)
    publisher = MemoryPublisher()
    router = rs.TaskRouter(publisher=publisher)
    router.route("x", task_id=corpus.tasks["id"].iloc[7])
    with pytest.raises(RoutingSimError, match="in flight already"):
        router.route_batch(corpus)
    assert router.stats()["totalRoutes"] == 1
    assert len(publisher.messages) == 2


def test_an_empty_batch_is_an_empty_table() -> None:
    frame = rs.TaskRouter().route_batch([])
    assert len(frame) == 0
    assert "reason" in frame


# -- several threads -----------------------------------------------------------------------------


def test_eight_threads_lose_nothing() -> None:
    publisher = MemoryPublisher()
    pool = rs.load_agents()
    router = rs.TaskRouter(pool, "least-loaded", publisher=publisher)

    def work(thread: int) -> None:
        for k in range(1_000):
            router.route("hello there", task_id=f"{thread}-{k}")
            if k % 2:
                router.complete(f"{thread}-{k}")

    threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = router.stats()
    assert stats["totalRoutes"] == sum(stats["agentUsage"].values()) == 8_000
    decisions = [m for m in told(publisher) if isinstance(m, RoutingDecision)]
    assert len({d.task_id for d in decisions}) == 8_000
    assert Counter(d.agent.id for d in decisions) == stats["agentUsage"]
    for thread in range(8):
        for k in range(0, 1_000, 2):
            router.complete(f"{thread}-{k}")
    assert set(loads(router).values()) == {0.0}
