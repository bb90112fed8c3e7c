"""Choices of the ``router`` at random, their propensities by hand; and a log that can be asked."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim import rng
from routingsim.agents import Agent, AgentPool
from routingsim.errors import PolicyError
from routingsim.evaluation.choice_log import choice_log
from routingsim.evaluation.estimate import estimate
from routingsim.messages import encode
from routingsim.policies import bandit_base, certain
from routingsim.policies.kernel import PoolView, TaskView, choose_kernel, learn_kernel
from routingsim.policies.policy import Policy
from routingsim.routing.choices import (
    ASKED,
    CERTAIN,
    UNKNOWN,
    Exploration,
    choose_one,
    expect,
    exploration,
)

SEED = 3
TEXTS = [f"What is {k} and {k}?" for k in range(400)]


def pool_of(size: int = 4) -> AgentPool:
    return AgentPool(
        tuple(
            Agent(id=f"a{k}", name=f"A{k}", cost=1.0 + k, latency=1.0, concurrency=500)
            for k in range(size)
        )
    )


def drawn(explore: float, up: list[int], size: int = len(TEXTS)) -> list[int | None]:
    """The agents drawn for tasks 0, 1, …; None where the policy chooses."""
    stream = rng.stream(SEED, rng.EXPLORE)
    return [
        up[int(rng.of_try(stream, k, 0, 1) * len(up))]
        if rng.of_try(stream, k, 0, 0) < explore
        else None
        for k in range(size)
    ]


@pytest.mark.parametrize(
    "way", [*(pytest.param(w, marks=pytest.mark.slow) for w in ("one by one", "small batches")),
            "one batch"],
)  # fmt: skip
def test_each_choice_is_drawn_or_the_policys_and_says_how_likely_it_was(way: str) -> None:
    router = rs.TaskRouter(pool_of(), "static:a1", seed=SEED, explore=0.2, recent=400)
    if way == "one by one":
        made = [router.route(text) for text in TEXTS]
        found = [(d.agent.id, d.propensity, d.reason) for d in made]
    else:
        size = 8 if way == "small batches" else 400
        frame = pd.concat([router.route_batch(TEXTS[k : k + size]) for k in range(0, 400, size)])
        found = list(frame[["agent", "propensity", "reason"]].itertuples(index=False, name=None))
    expected = []
    for a in drawn(0.2, [0, 1, 2, 3]):
        agent = 1 if a is None else a
        said = "Always the same" if a is None else "Drawn at random (explore=0.2)"
        # 0.2 / 4 for all, and 0.8 more for the policy's own agent, drawn or not.
        propensity = 0.2 / 4 + 0.8 if agent == 1 else 0.2 / 4
        expected.append((f"a{agent}", propensity, f"{said}: Routed to A{agent}"))
    assert found == expected
    assert 60 < sum("at random" in row[2] for row in found) < 100
    told = [each["propensity"] for each in reversed(router.stats()["recentDecisions"])]
    assert told == [row[1] for row in expected]


def test_only_agents_that_are_up_are_drawn() -> None:
    router = rs.TaskRouter(pool_of(), "static:a1", seed=SEED, explore=0.5)
    router.set_offline("a0")
    router.set_offline("a1")  # static goes there all the same
    frame = router.route_batch(TEXTS[:8])
    expected = [1 if a is None else a for a in drawn(0.5, [2, 3], 8)]
    assert frame["agent"].tolist() == [f"a{a}" for a in expected]
    assert frame["propensity"].tolist() == [0.5 if a == 1 else 0.25 for a in expected]
    assert {1, 2, 3} == set(expected)
    router.set_offline("a2")
    router.set_offline("a3")
    assert router.route("all are offline, and all may be chosen").propensity in (0.125, 0.625)


@pytest.mark.parametrize(
    ("policy", "explore", "expected"),
    [
        ("random", 0.0, {"a0": 0.25, "a1": 0.25, "a2": 0.25, "a3": 0.25}),
        ("weighted:3/1/0/0", 0.0, {"a0": 0.75, "a1": 0.25}),
        ("weighted:3/1/0/0", 0.2, {"a0": 0.65, "a1": 0.25, "a2": 0.05, "a3": 0.05}),
        ("cheapest", 0.0, {"a0": 1.0}),
        ("cheapest", 1.0, {"a0": 0.25, "a1": 0.25, "a2": 0.25, "a3": 0.25}),
        ("thompson", 1.0, {"a0": 0.25, "a1": 0.25, "a2": 0.25, "a3": 0.25}),
    ],
)
def test_a_policys_own_probabilities_count(
    policy: str, explore: float, expected: dict[str, float]
) -> None:
    frame = rs.TaskRouter(pool_of(), policy, seed=SEED, explore=explore).route_batch(TEXTS)
    found = {str(a): p for a, p in zip(frame["agent"], frame["propensity"], strict=True)}
    assert found == pytest.approx(expected)
    for agent, count in Counter(frame["agent"]).items():
        assert count / 400 == pytest.approx(expected[agent], abs=0.11)


def test_epsilon_greedys_is_that_of_its_state() -> None:
    router = rs.TaskRouter(
        pool_of(2), "epsilon-greedy:epsilon=0.4,decay=inf", seed=SEED, explore=0.5
    )
    for k, quality in enumerate((1.0, 0.0)):  # each agent once, a1 first or second
        name = router.route("x", task_id=f"first {k}").agent.id
        router.complete(f"first {k}", quality=quality if name == "a0" else 0.0)
    done = router.memory[bandit_base.HEAD + bandit_base.DONE * 2 :][:2]
    reward = router.memory[bandit_base.HEAD + bandit_base.REWARD * 2 :][:2]
    means = np.where(done > 0, reward / np.maximum(done, 1), np.inf)
    greedy = int(means.argmax())
    frame = router.route_batch(TEXTS[:1])
    chosen = frame["agent"].tolist() == [f"a{greedy}"]
    mine = 0.5 / 2 + 0.5 * (0.4 / 2 + 0.6 * chosen)
    assert frame["propensity"].tolist() == pytest.approx([mine])


def test_what_is_not_known_is_not_said() -> None:
    router = rs.TaskRouter(pool_of(), "thompson", seed=SEED, explore=0.5)
    assert np.isnan(router.route_batch(TEXTS)["propensity"]).all()
    decision = router.route("x")
    assert decision.propensity is None
    assert b"propensity" not in encode(decision)
    own = rs.TaskRouter(pool_of(), lambda task, pool, memory: 2, explore=0.0)
    assert np.isnan(own.route_batch(["x"])["propensity"].to_numpy()).all()  # it may draw


@choose_kernel
def _to_the_last(task, pool, memory):
    return 3


def test_a_policy_of_ones_own_may_say_that_it_draws_nothing() -> None:
    policy = Policy("last", _to_the_last, probabilities=certain)
    assert rs.TaskRouter(pool_of(), policy, explore=0.0).route("x").propensity == 1.0
    wrong: Any = 1.0
    with pytest.raises(PolicyError, match="decorate the function with @probability_kernel"):
        Policy("last", _to_the_last, probabilities=wrong)


def test_a_router_that_does_not_explore_sends_messages_as_before() -> None:
    decision = rs.TaskRouter(pool_of(), "cheapest").route("x", task_id="t")
    assert list(msgspec.to_builtins(decision)) == [
        "taskId", "agent", "complexityScore", "reason", "timestamp",
    ]  # fmt: skip
    logged = rs.TaskRouter(pool_of(), "cheapest", explore=0.0).route("x", task_id="t")
    assert (decision.propensity, logged.propensity) == (None, 1.0)
    assert encode(logged).endswith(b',"propensity":1.0}}')
    frame = rs.TaskRouter(pool_of(), "cheapest").route_batch(["x"])
    assert frame["propensity"].tolist() == [1.0]  # known, though not published


@pytest.mark.parametrize("explore", [-0.1, 1.5, math.nan, "0.1", True])
def test_explore_is_a_probability(explore: Any) -> None:
    with pytest.raises(PolicyError) as caught:
        rs.TaskRouter(pool_of(), explore=explore)
    assert str(caught.value) == (
        f"explore={explore!r}: a probability from 0 to 1 is needed, or None to log no propensities"
    )


def test_all_or_no_choices_may_be_random() -> None:
    for explore, propensity in ((1.0, 0.5), (0.0, 1.0)):
        router = rs.TaskRouter(pool_of(2), "static:a1", explore=explore)
        assert router.route_batch(["one"])["propensity"].tolist() == [propensity]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ucb1", "linucb:words=4", "epsilon-greedy", "thompson"])
def test_a_learning_policy_learns_from_what_was_drawn(name: str) -> None:
    router = rs.TaskRouter(pool_of(), name, seed=SEED, explore=0.5)
    for k, text in enumerate(TEXTS[:60]):
        router.route(text, task_id=str(k))
    for k in range(60):
        router.complete(str(k), quality=0.5)
    blocks = router.memory[bandit_base.HEAD :][: 4 * bandit_base.BLOCKS].reshape(-1, 4)
    assert blocks[bandit_base.PENDING].tolist() == [0, 0, 0, 0]
    assert blocks[bandit_base.DONE].tolist() == list(router.stats()["agentUsage"].values())
    assert router.memory[bandit_base.CHOICES] == 60


def test_a_draw_leaves_no_trace_in_a_policy_that_does_not_learn() -> None:
    router = rs.TaskRouter(pool_of(), "round-robin", seed=SEED, explore=0.5)
    frame = router.route_batch(TEXTS[:40])
    own = [a for a, at_random in zip(frame["agent"], drawn(0.5, [0, 1, 2, 3]), strict=False)
           if at_random is None]  # fmt: skip
    assert own == [f"a{k % 4}" for k in range(len(own))]


@choose_kernel
def _first_up(task, pool, memory):
    """The first agent that is up, which it notes."""
    for a in range(pool.up.size):
        if pool.up[a]:
            memory[a] += 1
            return a
    return 0


@learn_kernel
def _add_ten(task, agent, outcome, pool, memory):
    """And more where the attempt or the latency is not that of a task that was just routed."""
    memory[agent] += 10 + task.attempt + (0 if 0 <= outcome.latency < 60 else 1000)


def test_a_learning_policy_notes_the_agent_that_was_drawn() -> None:
    policy = Policy("first", _first_up, _add_ten, np.zeros(4), interpreted=True)
    router = rs.TaskRouter(pool_of(), policy, seed=SEED, explore=0.5)
    frame = router.route_batch(TEXTS[:40])
    expected = [0 if a is None else a for a in drawn(0.5, [0, 1, 2, 3], 40)]
    assert frame["agent"].tolist() == [f"a{a}" for a in expected]
    assert router.memory.tolist() == np.bincount(expected, minlength=4).tolist()
    assert min(router.memory) > 0
    assert {status.status for status in router.statuses()} == {"available"}  # all are up again


def test_a_learning_policy_is_told_of_tasks_routed_one_by_one_and_in_a_batch() -> None:
    policy = Policy("first", _first_up, _add_ten, np.zeros(2), interpreted=True)
    router = rs.TaskRouter(pool_of(2), policy)
    router.route("a text", task_id="alone")
    router.complete("alone")
    assert router.memory.tolist() == [11.0, 0.0]
    frame = router.route_batch(["one", "two"])
    router.complete(frame["task_id"].tolist()[1])
    assert router.memory.tolist() == [23.0, 0.0]


def test_the_expected_wait_is_that_of_the_queue_and_one_more() -> None:
    zeros = np.zeros(1, np.int64)
    none = np.zeros(1)
    view = PoolView(zeros, zeros, np.array([2]), none, none, np.array([3.0]), zeros)
    waits = []
    for busy, queued in ((1, 0), (2, 0), (2, 3)):
        expect(view, NONE, 0, busy, queued)
        waits.append(view.wait[0])
    assert waits == [0.0, 1.5, 6.0]


def test_a_task_takes_a_slot_while_there_is_one_and_then_queues() -> None:
    none, zeros = np.zeros(1), np.zeros(1, np.int64)
    view = PoolView(
        *(np.ones(1, np.int64), zeros, np.array([2]), none, none, np.ones(1), zeros + 1)
    )
    task = TaskView(0, 0, 0.0, np.uint64(1), 0.5, 1.0, -1, np.zeros(0), np.zeros(0))
    plan = Exploration(0.0, np.uint64(0), UNKNOWN, False)
    found = []
    for _ in range(3):
        _, load, _, _ = choose_one(
            lambda *_: 0, None, plan, view, NONE, NONE, np.zeros(1), np.zeros(1), False, task
        )
        found.append((load, int(view.busy[0]), int(view.queued[0])))
    assert found == [(0.5, 2, 0), (1.0, 2, 1), (1.5, 2, 2)]


def test_an_agent_that_does_not_exist_is_minus_1_and_changes_nothing() -> None:
    zeros, ones = np.zeros(2, np.int64), np.ones(2, np.int64)
    none = np.zeros(2)
    view = PoolView(zeros, zeros, ones, none, none, none, zeros.copy())
    task = TaskView(0, 0, 0.0, np.uint64(1), 0.5, 1.0, -1, np.zeros(0), np.zeros(0))
    plan = Exploration(0.0, np.uint64(0), UNKNOWN, False)
    for wrong in (-1, 2):
        found = choose_one(
            lambda *_, a=wrong: a,
            None,
            plan,
            view,
            NONE,
            NONE,
            np.zeros(1),
            np.zeros(2),
            True,
            task,
        )
        assert str(found) == "(-1, 0.0, nan, False)"
        assert [each.tolist() for each in (view.busy, view.queued, view.up)] == [[0, 0]] * 3


@pytest.mark.parametrize("size", [9, 10, 12])
def test_a_function_that_cannot_be_compiled_makes_each_choice_of_a_batch(size: int) -> None:
    asked: dict[str, list[int]] = {"of": []}

    def write_down(task, pool, memory):
        asked["of"].append(task.index)
        return task.index % 2

    router = rs.TaskRouter(pool_of(2), Policy("own", choose_kernel(write_down), interpreted=True))
    chosen = router.route_batch(TEXTS[:size])["agent"].tolist()
    assert asked["of"] == list(range(size))
    assert chosen == [f"a{k % 2}" for k in range(size)]


def idle(up: list[int]) -> PoolView:
    """Agents with a slot each, of which some are up."""
    zeros, none = np.zeros(len(up)), np.zeros(len(up), np.int64)
    return PoolView(none, none.copy(), none + 1, zeros, zeros.copy(), zeros + 3.0, np.array(up))


def numbered(index: int, attempt: int = 0) -> TaskView:
    return TaskView(index, attempt, 0.0, np.uint64(1), 0.5, 1.0, -1, np.zeros(0), np.zeros(0))


def _second(task, pool, memory):
    """The second agent, unless it is the first alone that is up; counts those it is asked of."""
    a = 0 if pool.up[0] and not pool.up[1] else 1
    memory[a] += 1
    return a


def _say(task, pool, memory, own):
    own[:] = 0.3, 0.7


KEY = np.uint64(rng.stream(SEED, rng.EXPLORE))
NONE = np.zeros(0)  # no agent shares its speed


def index_of(at_random: bool, falls_on: int, attempt: int = 0) -> int:
    """The first task that explore=0.5 decides so, and whose draw falls on that half."""
    return next(
        k
        for k in range(1000)
        if (rng.of_try(KEY, k, attempt, 0) < 0.5) == at_random
        and int(2 * rng.of_try(KEY, k, attempt, 1)) == falls_on
    )


@pytest.mark.parametrize("attempt", [0, 2])
@pytest.mark.parametrize(
    ("known", "at_random", "falls_on", "agent", "propensity"),
    [
        # Half of the choices are even, half go to the second agent or as the policy says.
        (CERTAIN, True, 0, 0, 0.25),
        (CERTAIN, True, 1, 1, 0.25 + 0.5),
        (CERTAIN, False, 0, 1, 0.25 + 0.5),
        (ASKED, True, 0, 0, 0.25 + 0.5 * 0.3),
        (ASKED, True, 1, 1, 0.25 + 0.5 * 0.7),
        (ASKED, False, 1, 1, 0.25 + 0.5 * 0.7),
        (UNKNOWN, True, 0, 0, math.nan),
        (UNKNOWN, False, 0, 1, math.nan),
    ],
)
def test_a_choice_by_hand(
    known: int, at_random: bool, falls_on: int, agent: int, propensity: float, attempt: int
) -> None:
    task = numbered(index_of(at_random, falls_on, attempt), attempt)
    for learns in (False, True):
        view, memory = idle([1, 1]), np.zeros(2)
        found = choose_one(
            *(_second, _say, Exploration(0.5, KEY, known, learns), view, NONE, NONE, memory),
            *(np.zeros(2), False, task),
        )
        assert (found[0], found[1], found[3]) == (agent, 0.0, at_random)
        assert found[2] == pytest.approx(propensity, nan_ok=True)
        # A draw leaves a trace only in a policy that learns: that of the agent drawn.
        noted = [0, 0]
        noted[agent] = 0 if at_random and not learns else 1
        assert memory.tolist() == noted
        assert view.up.tolist() == [1, 1]
        assert view.busy.tolist() == [1 - agent, agent]
        assert view.wait.tolist() == [3.0 * (1 - agent), 3.0 * agent]  # the slot is taken


@pytest.mark.parametrize(
    ("up", "nobody", "at_random", "agent", "propensity"),
    [
        # The policy goes to the second, which is down: no draw falls on it.
        ([1, 0, 0], False, True, 0, 0.5),
        ([0, 0, 1], False, True, 2, 0.5),
        ([0, 0, 1], False, False, 1, 0.5),
        ([0, 1, 0], False, True, 1, 0.5 + 0.5),
        # All may be chosen where all are down, and stay down.
        ([0, 0, 0], True, False, 1, 0.5 / 3 + 0.5),
    ],
)
def test_a_choice_with_agents_that_are_down(
    up: list[int], nobody: bool, at_random: bool, agent: int, propensity: float
) -> None:
    view, task = idle(up), numbered(index_of(at_random, 1))
    found = choose_one(
        *(lambda *_: 1, _say, Exploration(0.5, KEY, CERTAIN, False), view, NONE, NONE),
        *(np.zeros(2), np.zeros(3), nobody, task),
    )
    assert found == (agent, 0.0, pytest.approx(propensity), at_random)
    assert view.up.tolist() == up


@pytest.mark.parametrize(
    ("policy", "known", "learns"),
    [
        (Policy("last", _to_the_last, probabilities=certain), CERTAIN, False),
        ("random", ASKED, False),
        ("thompson", UNKNOWN, True),
        ("epsilon-greedy", ASKED, True),
    ],
)
def test_what_choices_have_in_common(policy: Any, known: int, learns: bool) -> None:
    made = rs.TaskRouter(pool_of(2), policy).policy
    assert exploration(made, 0.25, SEED) == (0.25, KEY, known, learns)
    assert exploration(made, None, SEED).explore == exploration(made, 0, SEED).explore == 0.0


@pytest.mark.slow
def test_what_was_explored_can_be_asked(tmp_path: Path) -> None:
    """Routed, written in our own format, read again, and asked about other policies."""
    size, pool = 4000, pool_of(3)
    random = np.random.default_rng(11)
    hard = random.random(size) < 0.4
    words = random.integers(0, 200, (size, 6))
    texts = [
        ("Prove " if is_hard else "Name ") + " ".join(f"w{word}" for word in row)
        for is_hard, row in zip(hard, words, strict=True)
    ]
    chances = np.column_stack(
        [np.where(hard, 0.3, 0.9), np.where(hard, 0.6, 0.8), np.full(size, 0.7)]
    )
    quality = (random.random((size, 3)) < chances).astype(float)
    tasks = pd.DataFrame({"id": [f"t{k}" for k in range(size)], "text": texts})

    def by_first_word(task, pool, memory):  # what a router may know of the text
        return int(task.features[0])

    router = rs.TaskRouter(
        pool,
        Policy(
            "by-first-word",
            choose_kernel(by_first_word),
            featurize=lambda texts, _: np.array([[float(t[0] == "P")] for t in texts]),
            interpreted=True,
            probabilities=certain,
        ),
        seed=SEED,
        explore=0.2,
    )
    frame = router.route_batch(tasks)
    chosen = frame["agent"].cat.codes.to_numpy()
    log = tasks.assign(propensity=frame["propensity"])
    for a, agent in enumerate(pool):
        log[f"outcomes.{agent.id}.quality"] = np.where(chosen == a, quality[:, a], np.nan)
    log.to_csv(tmp_path / "log.csv", index=False)

    read = rs.load_corpus(tmp_path / "log.csv")
    assert read.notes == ()
    recorded = read.outcome("quality", pool.ids)
    assert (np.isfinite(recorded).sum(axis=1) == 1).all()
    served = np.isfinite(recorded).argmax(axis=1)
    assert (served == chosen).all()
    asked = choice_log(
        served,
        pool.ids,
        texts=read.tasks["text"].tolist(),
        propensity=read.tasks["propensity"].to_numpy(),
    )
    policies = {agent.id: np.full(size, a) for a, agent in enumerate(pool)}
    found = estimate(asked, np.nanmax(recorded, axis=1), policies, bounds=(0, 1))
    for a, agent in enumerate(pool):
        each = found.policies[agent.id]
        assert each.verdict == "answered", str(each)
        assert each.interval.low <= quality[:, a].mean() <= each.interval.high
        assert each.interval.half_width < 0.1
    raw = np.nanmean(recorded, axis=0)
    assert raw[1] < found.policies["a1"].interval.low  # it was given the hard ones


@pytest.mark.parametrize("batch", [False, True])
def test_speeds_and_waits_of_agents_that_share_are_those_of_the_simulator(batch: bool) -> None:
    plain = {"cost": 1.0, "latency": 2.0, "service": "deterministic"}
    pool = rs.AgentPool(
        (
            rs.Agent(id="a", name="A", concurrency=3, sharing=0.5, **plain),
            rs.Agent(id="b", name="B", **plain),
        )
    )

    def note(task, pool, memory):
        memory[2 * task.index], memory[2 * task.index + 1] = pool.speed[0], pool.wait[0]
        return 0

    policy = Policy("note", choose_kernel(note), memory=np.zeros(10))
    router = rs.TaskRouter(pool, policy)
    if batch:
        router.route_batch(["x"] * 5)
    else:
        for _ in range(5):
            router.route("x")
    # One call more is served at 1, 1 / 1.5 and 1 / 2 of the speed alone; in a full agent a call
    # takes 4 s, and a slot is free after 4 / 3 s.
    seen = [1.0, 0.0, 1 / 1.5, 0.0, 0.5, 0.0, 0.5, 4 / 3, 0.5, 8 / 3]
    assert router.memory.tolist() == seen
    run = rs.replay(None, pool, policy, arrivals=rs.Deterministic(1e6), tasks=5, warm_up=0)
    assert run.memory.tolist() == seen
