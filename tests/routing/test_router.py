"""The live router: choices, counts, feedback, and what it publishes.

What a policy may know (``task_state``), ids (``task_ids``) and ``publishing`` are tested here too.
"""

import re
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim import rng
from routingsim.agents import Agent, AgentPool
from routingsim.errors import AgentError, CorpusError, PolicyError, RoutingSimError
from routingsim.live.publisher.base import PublisherStats
from routingsim.live.publisher.memory import MemoryPublisher
from routingsim.messages import AgentStatus, Body, RoutingDecision, decode, encode
from routingsim.policies.kernel import choose_kernel, learn_kernel
from routingsim.policies.policy import Policy
from routingsim.routing import status_of

COMPILED: Any = pytest.param(False, marks=pytest.mark.slow)  # whether it is interpreted

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


def test_decisions_say_what_the_task_is_expected_to_cost() -> None:
    """With answers of 100 tokens, 400 characters are 100 tokens: 100 x 1 + 100 x 10 a million."""
    mine: dict[str, Any] = {"latency": 1.0, "output_tokens": 100.0}
    pool = AgentPool(
        (
            Agent(id="long", name="Long", price_input=1.0, price_output=10.0, **mine),
            Agent(id="short", name="Short", price_input=8.0, price_output=2.0, **mine),
            Agent(id="plain", name="Plain", cost=0.1, **mine),
        )
    )
    router = rs.TaskRouter(pool, "cheapest")
    short, long = router.route("x" * 40), router.route("x" * 4000)
    assert (short.agent.id, short.expected_cost) == ("short", pytest.approx(280e-6))
    assert (long.agent.id, long.expected_cost) == ("long", pytest.approx(2000e-6))
    assert router.stats()["expectedCost"] == pytest.approx(2280e-6)
    frame = router.route_batch(["x" * 40, "x" * 4000])
    assert frame["agent"].tolist() == ["short", "long"]
    assert router.stats()["expectedCost"] == pytest.approx(4560e-6)
    assert b'"expectedCost":0.00028' in encode(short)
    plain = rs.TaskRouter(pool, "static:plain")
    assert plain.route("x" * 400).expected_cost is None  # as messages always were
    assert plain.stats()["expectedCost"] == pytest.approx(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 12])  # one by one, and compiled
def test_policies_see_what_the_task_is_expected_to_cost(size: int) -> None:
    pool = AgentPool(
        (
            Agent(id="a", name="A", price_input=1.0, price_output=10.0, latency=1.0),
            Agent(id="b", name="B", price_input=8.0, price_output=2.0, latency=1.0),
        )
    )

    def lowest(task, pool, memory):
        return 0 if pool.price[0] < pool.price[1] else 1

    router = rs.TaskRouter(pool, choose_kernel(lowest) if size > 1 else lowest)
    texts = ["x" * 40, "x" * 4000] * size
    assert router.route_batch(texts)["agent"].tolist() == ["b", "a"] * size
    assert [router.route(text).agent.id for text in texts[:2]] == ["b", "a"]


@pytest.mark.parametrize("size", [1, 12])  # by the interpreter, and in compiled code
def test_an_agent_is_not_offered_a_prompt_that_is_too_long(size: int) -> None:
    small = rs.Agent(id="a", name="A", cost=0.01, latency=1.0, context_window=10, concurrency=99)
    large = rs.Agent(id="b", name="B", cost=0.02, latency=1.0, context_window=50, concurrency=99)
    router = rs.TaskRouter(rs.AgentPool((small, large)), "cheapest")

    def chosen(characters: int) -> set[str]:
        return set(router.route_batch(["x" * characters] * size)["agent"])

    assert chosen(40) == {"a"}  # 10 tokens, four characters each
    assert chosen(44) == {"b"}
    assert chosen(400) == {"a"}  # fits none: all are offered
    router.set_offline("b")
    assert chosen(44) == {"b"}  # the one that it fits, down or not
    assert chosen(40) == {"a"}
    router.set_offline("b", False)
    router.set_offline("a")
    assert chosen(40) == {"b"}


def test_statistics_count_every_agent() -> None:
    router = rs.TaskRouter(two(), "cheapest", recent=2)
    assert router.stats() == {
        "totalRoutes": 0,
        "agentUsage": {"dear": 0, "cheap": 0},
        "expectedCost": 0.0,
        "recentDecisions": [],
        "inFlight": 0,
        "abandoned": 0,
    }
    for k in range(3):
        router.route("hello", task_id=f"t{k}")
    stats = router.stats()
    assert stats["totalRoutes"] == 3
    assert stats["agentUsage"] == {"dear": 0, "cheap": 3}
    assert [each["taskId"] for each in stats["recentDecisions"]] == ["t2", "t1"]


def test_tasks_that_nobody_completes_are_given_up_and_memory_is_given_back() -> None:
    router = rs.TaskRouter(two(), "cheapest", in_flight=200)
    router.route_batch(["hello"] * 200)
    assert (router.stats()["inFlight"], router.stats()["abandoned"]) == (200, 0)
    router.route("hello", task_id="last")  # one too many: it and 1 % of the oldest make room
    assert (router.stats()["inFlight"], router.stats()["abandoned"]) == (198, 3)
    ids = router.route_batch(["hello"] * 300).task_id.tolist()
    assert router.stats()["inFlight"] == 198
    with pytest.raises(rs.RoutingSimError, match="not in flight"):
        router.complete("last")
    full = sys.getsizeof(router._in_flight.tasks)
    for task_id in ids[-198:]:
        router.complete(task_id)
    assert router.stats()["inFlight"] == 0
    assert sys.getsizeof(router._in_flight.tasks) < full / 2
    assert loads(router) == {"dear": 0.0, "cheap": 0.0}
    with pytest.raises(rs.RoutingSimError, match="in_flight=0"):
        rs.TaskRouter(two(), "cheapest", in_flight=0)


class Full:
    """A publisher that drops an old message for each new one."""

    def publish_routing_decision(self, decision: RoutingDecision) -> int:
        return 1

    def publish_agent_status(self, status: AgentStatus) -> int:
        return 1

    def stats(self) -> PublisherStats:
        return PublisherStats(0, 2, 2, 0, 0)


def test_a_call_tells_what_was_dropped_for_it() -> None:
    router = rs.TaskRouter(two(), "cheapest", publisher=Full())
    decision = router.route("hello")
    assert decision.dropped == 2
    assert router.stats()["publisher"]["dropped"] == 2
    assert rs.TaskRouter(two(), "cheapest").route("hello").dropped == 0


def test_a_batch_tells_its_progress() -> None:
    told: list[tuple[int, int]] = []
    rs.TaskRouter(two(), "cheapest").route_batch(
        ["a"] * 1_200, progress=lambda *at: told.append(at)
    )
    assert told == [(500, 1200), (1000, 1200), (1200, 1200)]


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
    sent = [router.route("x", task_id=str(k)).agent.id for k in range(3)]
    assert sorted(sent) == ["cheap", "cheap", "dear"]  # the first is either: both are idle
    router.complete(str(sent.index("dear")))
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


def test_an_outcome_is_told_by_name() -> None:
    router = rs.TaskRouter(two(), "cheapest")
    router.route(text="x", task_id="a")
    with pytest.raises(TypeError, match="positional"):
        router.complete("a", "ok")  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="positional"):
        router.route("x", "b")  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="positional"):
        rs.TaskRouter(two(), "cheapest", None)  # pyright: ignore[reportCallIssue]
    router.complete(task_id="a")
    assert loads(router)["cheap"] == 0


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


@pytest.mark.parametrize("interpreted", [COMPILED, True])
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


@pytest.mark.parametrize("interpreted", [COMPILED, True])
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


def test_a_batch_with_an_id_in_flight_routes_nothing() -> None:
    corpus = rs.load_corpus("tasks").head(20)
    publisher = MemoryPublisher()
    router = rs.TaskRouter(publisher=publisher)
    router.route("x", task_id=corpus.tasks["id"].iloc[7])
    said = f"^task {corpus.tasks['id'].iloc[7]!r} is in flight already: ids must differ$"
    with pytest.raises(RoutingSimError, match=said):
        router.route_batch(corpus)
    assert router.stats()["totalRoutes"] == 1
    assert len(publisher.messages) == 2


def test_an_empty_batch_is_an_empty_table() -> None:
    frame = rs.TaskRouter().route_batch([])
    assert len(frame) == 0
    assert "reason" in frame


# -- what a policy sees, worked out by hand --------------------------------------------------------

SEEN = ("index", "attempt", "uniform", "d_var", "tokens", "category", "feature", "predicted",
        "busy 0", "busy 1", "queued 0", "queued 1", "wait 0", "wait 1", "up 0", "up 1",
        "time")  # fmt: skip


@choose_kernel
def _observe(task, pool, memory):
    """Write down all that is to be seen; send even tasks to the first agent, odd to the second."""
    row = 1 + 17 * int(memory[0])
    memory[0] += 1
    memory[row] = task.index
    memory[row + 1] = task.attempt
    memory[row + 2] = task.uniform
    memory[row + 3] = task.d_var
    memory[row + 4] = task.prompt_tokens
    memory[row + 5] = task.category
    memory[row + 6] = task.features[1]
    memory[row + 7] = task.predicted[0]
    for a in range(2):
        memory[row + 8 + a] = pool.busy[a]
        memory[row + 10 + a] = pool.queued[a]
        memory[row + 12 + a] = pool.wait[a]
        memory[row + 14 + a] = pool.up[a]
    memory[row + 16] = task.time
    return task.index % 2


def observer(interpreted: bool = False) -> Policy:
    def featurize(texts, categories):
        return np.array([[0, 10 * len(category)] for category in categories], float)

    def predict(texts, categories):
        return np.array([[len(text), 0] for text in texts], float)

    return Policy(
        "observe",
        _observe,
        memory=np.zeros(1 + 17 * 50),
        reason=lambda agent, d_var, load: f"{agent.name}, {d_var:.3f}, load {load:g}",
        featurize=featurize,
        predict=predict,
        interpreted=interpreted,
    )


def seen(router: rs.TaskRouter) -> pd.DataFrame:
    rows = int(router.memory[0])
    return pd.DataFrame(router.memory[1 : 1 + 17 * rows].reshape(rows, 17), columns=list(SEEN))


TEXTS = ["", "a", "four", "fives", "Why? Because!", *"ghijklm"]
KINDS = ["", "code", "verse", "", "code", "strange", *[""] * 6]
# Even tasks go to an agent with one slot and a service time of 1 s, odd ones to an agent with two
# slots and 2 s. What each task meets: busy, queued and expected wait at both, and the load of its
# own agent before it.
MET = [
    (0, 0, 0, 0, 0, 0, "0"), (1, 0, 0, 0, 1, 0, "0"), (1, 1, 0, 0, 1, 0, "1"),
    (1, 1, 1, 0, 2, 0, "0.5"), (1, 2, 1, 0, 2, 1, "2"), (1, 2, 2, 0, 3, 1, "1"),
    (1, 2, 2, 1, 3, 2, "3"), (1, 2, 3, 1, 4, 2, "1.5"), (1, 2, 3, 2, 4, 3, "4"),
    (1, 2, 4, 2, 5, 3, "2"), (1, 2, 4, 3, 5, 4, "5"), (1, 2, 5, 3, 6, 4, "2.5"),
]  # fmt: skip


def tasks(size: int = 12) -> pd.DataFrame:
    ids = [f"t{k}" for k in range(size)]
    return pd.DataFrame({"id": ids, "text": TEXTS[:size], "category": KINDS[:size]})


@pytest.mark.parametrize("interpreted", [COMPILED, True], ids=["compiled", "interpreted"])
@pytest.mark.parametrize("way", ["one by one", "small batches", "one batch"])
def test_every_way_shows_a_policy_the_same(way: str, interpreted: bool) -> None:
    known = tasks(3).assign(id=["x", "y", "z"])
    router = rs.TaskRouter(two(), observer(interpreted), corpus=known, seed=5, recent=20)
    before = time.time_ns() // 1_000_000
    if way == "one by one":
        made = [
            router.route(text, task_id=name, category=kind)
            for name, text, kind in tasks().itertuples(index=False)
        ]
        rows = [(d.task_id, d.agent.id, d.complexity_score.d_var, d.reason, d.timestamp)
                for d in made]  # fmt: skip
    else:
        size = 6 if way == "small batches" else 12
        frame = tasks()
        batches = [router.route_batch(frame.iloc[at : at + size, :]) for at in range(0, 12, size)]
        rows = [row for batch in batches for row in batch.itertuples(index=False, name=None)]
    after = time.time_ns() // 1_000_000

    table = seen(router)
    assert table["index"].tolist() == list(range(12))
    assert set(table["attempt"]) == {0}
    stream = rng.stream(5, rng.CHOICE)
    assert table["uniform"].tolist() == [rng.of_try(stream, k, 0, 0) for k in range(12)]
    scores = [rs.score(text).d_var for text in TEXTS]
    assert table["d_var"].tolist() == scores
    assert table["tokens"].tolist() == [0, 1, 1, 2, 4, 1, 1, 1, 1, 1, 1, 1]  # a token is 4 letters
    assert table["category"].tolist() == [-1, 0, 1, -1, 0, *[-1] * 7]
    assert table["feature"].tolist() == [10 * len(kind) for kind in KINDS]
    assert table["predicted"].tolist() == [len(text) for text in TEXTS]
    assert table.iloc[:, 8:14].to_numpy().tolist() == [list(row[:6]) for row in MET]
    assert set(table["up 0"]) == set(table["up 1"]) == {1}
    assert table["time"].between(0, 60).all()
    assert table["time"].is_monotonic_increasing

    assert [row[:4] for row in rows] == [
        (
            f"t{k}",
            ("dear", "cheap")[k % 2],
            scores[k],
            f"{('Dear', 'Cheap')[k % 2]}, {scores[k]:.3f}, load {MET[k][6]}",
        )
        for k in range(12)
    ]
    assert all(before <= row[4] <= after for row in rows)
    stats = router.stats()
    assert (stats["totalRoutes"], stats["agentUsage"]) == (12, {"dear": 6, "cheap": 6})
    assert [each["taskId"] for each in stats["recentDecisions"]] == [
        f"t{k}" for k in reversed(range(12))
    ]
    assert stats["recentDecisions"][0] == {
        "taskId": "t11",
        "agent": {"name": "Cheap", "id": "cheap", "strengths": (), "cost": 1.0, "latency": 2.0},
        "complexityScore": msgspec.to_builtins(rs.score("m")),
        "reason": rows[11][3],
        "timestamp": rows[11][4],
    }
    for k in range(12):
        router.complete(f"t{k}")
    assert loads(router) == {"dear": 0, "cheap": 0}


def test_without_a_corpus_no_category_is_known() -> None:
    router = rs.TaskRouter(two(), observer())
    with pytest.raises(PolicyError, match="category='code': policy observe goes by codes"):
        router.route("x", category="code", attempt=3)
    router.route("x", attempt=3)
    router.route_batch(["a", "b"])
    assert seen(router)["category"].tolist() == [-1] * 3
    assert seen(router)["attempt"].tolist() == [3, 0, 0]
    assert seen(router)["feature"].tolist() == [0, 0, 0]
    assert seen(router)["index"].tolist() == [0, 1, 2]
    stream = rng.stream(0, rng.CHOICE)
    assert seen(router)["uniform"].iloc[0] == rng.of_try(stream, 0, 3, 0)


def test_with_all_agents_offline_a_policy_sees_all_of_them() -> None:
    router = rs.TaskRouter(two(), observer())
    router.set_offline("dear")
    router.route("x")
    router.set_offline("cheap")
    router.route("x")
    router.set_offline("dear", False)
    router.route("x")
    assert seen(router)[["up 0", "up 1"]].to_numpy().tolist() == [[0, 1], [1, 1], [1, 0]]
    assert [each.status for each in router.statuses()] == ["busy", "offline"]


@learn_kernel
def _report(task, agent, outcome, pool, memory):
    """Write down what is told of a task and the pool it leaves."""
    memory[0] = task.index
    memory[1] = task.prompt_tokens
    memory[2] = agent
    memory[3] = outcome.status
    memory[4] = outcome.wait
    memory[5] = outcome.service
    memory[6] = outcome.latency
    for a in range(2):
        memory[7 + a] = pool.busy[a]
        memory[9 + a] = pool.queued[a]
        memory[11 + a] = pool.wait[a]


@choose_kernel
def _alternate(task, pool, memory):
    return task.index % 2


@pytest.mark.parametrize("interpreted", [COMPILED, True], ids=["compiled", "interpreted"])
@pytest.mark.parametrize("batch", [False, True])
def test_what_is_told_when_tasks_complete(batch: bool, interpreted: bool) -> None:
    policy = Policy("report", _alternate, _report, np.zeros(13), interpreted=interpreted)
    router = rs.TaskRouter(two(), policy)
    router.route("before", task_id="before")
    router.complete("before")
    frame = tasks()  # even indices are now the odd tasks
    if batch:
        router.route_batch(frame)
    else:
        for name, text, _ in frame.itertuples(index=False):
            router.route(text, task_id=name)
    told = []
    ends: list[tuple[str, Any]] = [
        ("t0", "ok"), ("t1", "failed"), ("t4", "shed"), ("t2", "timed_out"),
    ]  # fmt: skip
    for name, status in ends:
        router.complete(name, status=status, latency=2.5)
        told.append(router.memory.tolist())
    # Dear: 1 slot of 1 s, 6 tasks; cheap: 2 slots of 2 s, 6 tasks.
    assert told == [
        [1, 0, 1, 0, 0, 2.5, 2.5, 1, 2, 5, 3, 6, 4],
        [2, 1, 0, 1, 0, 2.5, 2.5, 1, 2, 4, 3, 5, 4],
        [5, 4, 1, 3, 0, 2.5, 2.5, 1, 2, 4, 2, 5, 3],
        [3, 1, 1, 2, 0, 2.5, 2.5, 1, 2, 4, 1, 5, 2],
    ]
    for name in ("t6", "t8", "t10"):
        router.complete(name)
        told.append(router.memory.tolist())
    assert [row[7:] for row in told[4:]] == [
        [1, 2, 4, 0, 5, 1],  # both slots in use, nobody waits
        [1, 1, 4, 0, 5, 0],
        [1, 0, 4, 0, 5, 0],
    ]
    assert all(row[5] == row[6] and 0 <= row[5] < 60 for row in told[4:])


@pytest.mark.parametrize("interpreted", [COMPILED, True])
@pytest.mark.parametrize("size", [2, 12])
def test_a_batch_with_an_agent_that_does_not_exist_routes_nothing(
    size: int, interpreted: bool
) -> None:
    @choose_kernel
    def second_task_to_nobody(task, pool, memory):
        memory[0] += 1
        memory[1] = pool.wait[0]
        return 2 if task.index == 1 else 0

    router = rs.TaskRouter(
        two(), Policy("odd", second_task_to_nobody, memory=np.zeros(2), interpreted=interpreted)
    )
    with pytest.raises(PolicyError) as caught:
        router.route_batch(tasks(size))
    assert str(caught.value) == (
        "policy odd named an agent that does not exist for task 't1'; allowed: 0 to 1"
    )
    assert router.memory[0] == 2
    assert loads(router) == {"dear": 0, "cheap": 0}
    assert router.stats()["totalRoutes"] == 0
    with pytest.raises(RoutingSimError, match=r"^task 't0' is not in flight: routed here"):
        router.complete("t0")
    assert router.memory[1] == 1  # what the second task met: a service of 1 s
    assert router.route("x").agent.id == "dear"
    assert router.memory[1] == 0


# -- ids, statuses and publishers ------------------------------------------------------------------


def test_ids_are_random_uuids() -> None:
    router = rs.TaskRouter(two(), "cheapest")
    ids = [router.route("x").task_id for _ in range(1_100)]
    ids += router.route_batch(["x"] * 900)["task_id"].tolist()
    assert len(set(ids)) == 2_000
    for each in ids:
        parsed = uuid.UUID(each)
        assert (str(parsed), parsed.version, parsed.variant) == (each, 4, uuid.RFC_4122)


@pytest.mark.parametrize(
    ("load", "up", "word"),
    [(0.0, True, "available"), (0.99, True, "available"), (1.0, True, "busy"),
     (0.5, False, "offline"), (1.0, False, "offline")],
)  # fmt: skip
def test_a_status_says_how_busy_an_agent_is(load: float, up: bool, word: str) -> None:
    before = time.time_ns() // 1_000_000
    status = status_of(two().agents[0], load, up)
    assert before <= status.timestamp <= time.time_ns() // 1_000_000
    assert msgspec.to_builtins(status) == {
        "agentId": "dear", "name": "Dear", "status": word, "load": load,
        "timestamp": status.timestamp,
    }  # fmt: skip
    assert status_of(two().agents[0], 0.0).status == "available"


class Calls:
    """A publisher that writes down how it is called, one decision at a time."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def publish_routing_decision(self, decision: RoutingDecision) -> None:
        self.calls.append([decision.task_id])

    def publish_agent_status(self, status: AgentStatus) -> None:
        self.calls.append([f"{status.agent_id} {status.status} {status.load:g}"])


class ManyCalls(Calls):
    """One with a call for the decisions of a batch."""

    def publish_batch(self, decisions: Sequence[RoutingDecision]) -> None:
        self.calls.append([each.task_id for each in decisions])


def test_a_batch_goes_to_the_publisher_in_parts_of_500() -> None:
    many, single = ManyCalls(), Calls()
    texts = ["x"] * 1_001
    ids = rs.TaskRouter(two(), "static:cheap", publisher=many).route_batch(texts)["task_id"]
    assert [len(call) for call in many.calls] == [500, 500, 1, 1]
    assert [name for call in many.calls[:3] for name in call] == ids.tolist()
    assert many.calls[3] == ["cheap busy 1"]
    ids = rs.TaskRouter(two(), "static:cheap", publisher=single).route_batch(["x"])["task_id"]
    assert single.calls == [ids.tolist(), ["cheap available 0.5"]]


def test_statuses_follow_decisions_and_completions() -> None:
    publisher = Calls()
    router = rs.TaskRouter(two(), "static:dear", publisher=publisher)
    router.route("x", task_id="a")
    router.route("x", task_id="b")
    router.complete("a")
    router.set_offline("cheap")
    router.complete("b")
    router.set_offline("cheap", False)
    assert [call[0] for call in publisher.calls] == [
        "a", "dear busy 1", "b", "dear busy 1", "dear busy 1", "cheap offline 0",
        "dear available 0", "cheap available 0",
    ]  # fmt: skip


def test_the_statistics_list_the_last_hundred_decisions() -> None:
    router = rs.TaskRouter(two(), "cheapest")
    router.route_batch(["x"] * 60)
    router.route("x", task_id="last but 50")
    frame = router.route_batch(["x"] * 50)
    recent = [each["taskId"] for each in router.stats()["recentDecisions"]]
    assert len(recent) == 100
    assert recent[:51] == [*reversed(frame["task_id"].tolist()), "last but 50"]
    assert router.stats()["totalRoutes"] == 111


# -- what a router is made of ----------------------------------------------------------------------


def test_pools_and_corpora_may_be_given_as_plain_values() -> None:
    router = rs.TaskRouter(two().to_dict(), "cheapest", corpus=tasks())
    assert router.pool == two()
    assert rs.TaskRouter("routellm").pool == rs.load_agents("routellm")
    assert rs.TaskRouter(list(two())).pool == two()
    with pytest.raises(AgentError, match=r"^agents: expected a name, .*, found Corpus$"):
        rs.TaskRouter(rs.load_corpus("tasks"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(CorpusError, match=r"^corpus: expected a name, .*, found 3 \(int\)$"):
        rs.TaskRouter(corpus=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(RoutingSimError) as caught:
        router.route_batch("a text")
    said = "route_batch takes a corpus or a list of texts; route takes one"
    assert str(caught.value) == said


def test_a_router_shows_what_it_is_and_did() -> None:
    router = rs.TaskRouter(two(), "cheapest")
    router.route_batch(["x"] * 1_000)
    assert repr(router) == "TaskRouter(cheapest: dear, cheap; no publisher; 1,000 tasks routed)"
    asked = rs.TaskRouter(two(), "cheapest", explore=0.05)
    assert repr(asked) == (
        "TaskRouter(cheapest: dear, cheap; explore=0.05; no publisher; 0 tasks routed)"
    )
    many = AgentPool(tuple(Agent(id=f"a{k}", name="A", cost=1, latency=1) for k in range(11)))
    assert repr(rs.TaskRouter(many, "cheapest", publisher=Calls())) == (
        "TaskRouter(cheapest: a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, …; Calls; 0 tasks\n  routed)"
    )
    assert "…" not in repr(rs.TaskRouter(many[:10], "cheapest"))


# -- several threads -----------------------------------------------------------------------------


@pytest.mark.slow
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
