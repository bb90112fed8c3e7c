"""What a live router says of each task and agent: costs, queues, latencies, and what it refuses."""

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.errors import PolicyError, RoutingSimError
from routingsim.messages import AgentStatus, RoutingDecision
from routingsim.policies.kernel import choose_kernel, learn_kernel
from routingsim.policies.policy import Policy


class Written:
    """A publisher that keeps what it gets, and drops so many messages for each."""

    def __init__(self, decision: int | None = None, status: int | None = None) -> None:
        self.decisions: list[RoutingDecision] = []
        self.statuses: list[AgentStatus] = []
        self._dropped = decision, status

    def publish_routing_decision(self, decision: RoutingDecision) -> int | None:
        self.decisions.append(decision)
        return self._dropped[0]

    def publish_agent_status(self, status: AgentStatus) -> int | None:
        self.statuses.append(status)
        return self._dropped[1]


def priced() -> AgentPool:
    """Answers have 100 tokens. Prices are of a million tokens, b's cost is of 1,000."""
    mine: dict[str, Any] = {"latency": 1.0, "output_tokens": 100.0}
    return AgentPool(
        (
            Agent(id="a", name="A", price_input=3.0, price_output=7.0, **mine),
            Agent(id="b", name="B", cost=0.25, **mine),
        )
    )


@choose_kernel
def _alternate(task, pool, memory):
    """Note the cost expected at a, and the attempt; send even tasks there, odd ones to b."""
    memory[task.index] = pool.price[0] * 1e6 + task.attempt
    return task.index % 2


@learn_kernel
def _note(task, agent, outcome, pool, memory):
    memory[10 + task.index] = pool.price[0] * 1e6 + task.attempt


def test_the_expected_cost_is_that_of_the_task_in_decisions_sums_and_what_a_policy_sees() -> None:
    """Prompts of 10, 20 and 30 tokens: 3 · 10 + 7 · 100 of a million USD, and so on."""
    publisher = Written()
    policy = Policy("alternate", _alternate, _note, np.zeros(20), interpreted=True)
    router = rs.TaskRouter(priced(), policy, publisher=publisher)
    router.route("x" * 40, task_id="0", attempt=2)
    assert router.stats()["expectedCost"] == pytest.approx(730e-6)
    ids = router.route_batch(["x" * 80, "x" * 120])["task_id"].tolist()
    costs = [each.expected_cost for each in publisher.decisions]
    assert costs == [pytest.approx(730e-6), None, pytest.approx(790e-6)]
    assert router.stats()["expectedCost"] == pytest.approx(0.03 + 1520e-6)
    for task_id in ("0", *ids):
        router.complete(task_id)
    assert router.memory[:3].tolist() == pytest.approx([732.0, 760.0, 790.0])
    assert router.memory[10:13].tolist() == pytest.approx([732.0, 760.0, 790.0])


def test_a_status_says_who_waits_once_ends_are_reported_and_the_latency_of_the_end() -> None:
    publisher = Written()
    pool = AgentPool((Agent(id="a", name="A", cost=1.0, latency=1.0, concurrency=1),))
    router = rs.TaskRouter(pool, "static:a", publisher=publisher)
    for task_id in "abc":
        router.route("x", task_id=task_id)
    router.complete("a", latency=2.5)
    router.complete("b", latency=float("nan"))
    router.route_batch(["x"])
    router.set_offline("a")
    router.complete("c")
    *told, last = [(each.load, each.queued, each.latency) for each in publisher.statuses]
    assert told == [
        (1.0, None, None), (1.0, None, None), (1.0, None, None),
        (1.0, 1, 2.5), (1.0, 0, None), (1.0, 1, None), (1.0, 1, None),
    ]  # fmt: skip
    assert last[:2] == (1.0, 0)
    assert last[2] is not None
    assert 0 <= last[2] < 60
    assert router.statuses()[0].queued == 0


@pytest.mark.parametrize(
    ("decision", "status", "dropped"),
    [(None, None, 0), (0, 0, 0), (2, None, 2), (None, 3, 3), (2, 3, 5)],
)
def test_what_was_dropped_for_a_decision_and_for_its_status_adds_up(
    decision: int | None, status: int | None, dropped: int
) -> None:
    router = rs.TaskRouter(priced(), "cheapest", publisher=Written(decision, status))
    made = router.route("x")
    assert made.dropped == dropped
    assert (type(made) is RoutingDecision) == (dropped == 0)


def test_a_policy_sees_what_is_left_of_a_limit_of_tokens() -> None:
    """Of 100 tokens a minute a call takes its prompt's and an answer of 10."""
    seen = []

    @choose_kernel
    def watch(task, pool, memory):
        seen.append(pool.room[0])
        return 0

    agent = Agent(
        id="a", name="A", cost=1.0, latency=1.0, output_tokens=10.0, tokens_per_minute=100
    )
    router = rs.TaskRouter(AgentPool((agent,)), Policy("w", watch, interpreted=True))
    router.route("x" * 40)
    router.route_batch(["x" * 80, "x" * 40])
    router.route("x")
    assert seen == pytest.approx([1.0, 0.8, 0.8, 0.3])  # a batch sees what was before it


def test_what_a_router_refuses() -> None:
    given: list[tuple[dict[str, Any], str]] = [
        ({"in_flight": 0}, "in_flight=0: at least 1 task is needed"),
        ({"seed": 1.5}, "seed=1.5: a whole number is needed"),
        ({"publisher": 3}, "publisher: 3 is an int; a Publisher is needed"),
    ]
    for arguments, said in given:
        with pytest.raises(RoutingSimError) as caught:
            rs.TaskRouter(priced(), "cheapest", **arguments)
        assert str(caught.value) == said
    router = rs.TaskRouter(priced(), "cheapest", in_flight=1, seed=1, publisher=Written())
    batch: Any = 3
    with pytest.raises(RoutingSimError) as caught:
        router.route_batch(batch)
    assert str(caught.value) == ("route_batch takes a corpus or a list of texts; route takes one")
    with pytest.raises(TypeError, match="positional"):
        router.route_batch(["x"], print)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match=r"^a TaskRouter cannot be pickled or copied: make another"):
        pickle.dumps(router)
    assert inspect.signature(rs.TaskRouter).parameters["in_flight"].default == 1_000_000


def test_a_policy_that_knows_one_corpus_routes_nothing_live() -> None:
    replayed = Policy("known", _alternate, replay_only=True, memory=np.zeros(20))
    with pytest.raises(PolicyError) as caught:
        rs.TaskRouter(priced(), replayed)
    assert str(caught.value) == (
        "policy known knows the tasks of one corpus only: replay that corpus with it, and give a "
        "live router another policy"
    )


def test_texts_may_come_from_any_iterable() -> None:
    texts: Any = (text for text in ("x", "y"))
    router = rs.TaskRouter(priced(), "static:b")
    assert router.route_batch(texts)["agent"].tolist() == ["b", "b"]
    assert router.stats()["agentUsage"] == {"a": 0, "b": 2}
