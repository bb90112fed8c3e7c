"""FS-QMIX: states, the learning step, and what it learns."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import make_policy, q_values
from routingsim.policies.bandit_base import explore
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import FAILED, OK, Outcome, PoolView, TaskView
from routingsim.policies.policy import Policy

SHORT, LONG = "Hi", "Prove, in full, that the sum of two odd numbers is even; then explain: why?"
ANSWER = Outcome(OK, 0.0, 1.0, 1.0, 0.0, 0.25)


def pool_of(agents: int, **fields) -> AgentPool:
    fields = {"latency": 1.0, "concurrency": 4, "service": "deterministic"} | fields
    return AgentPool(
        tuple(Agent(id=f"a{a}", name=f"Agent {a}", cost=0.0, **fields) for a in range(agents))
    )


def task(index: int = 0, d_var: float = 0.4) -> TaskView:
    key = np.uint64(3)
    return TaskView(index, 0, 0.0, key, d_var, 5.0, -1, np.zeros(0), np.zeros(0))


def seen(busy: list[int], queued: list[int] | None = None, up: list[int] | None = None) -> PoolView:
    """Agents of four slots each."""
    agents = len(busy)
    return PoolView(
        np.array(busy),
        np.array(queued or [0] * agents),
        np.full(agents, 4),
        np.zeros(agents),
        np.zeros(agents),
        np.ones(agents),
        np.array(up or [1] * agents),
    )


def greedy(wanted: str, pool: AgentPool) -> Policy:
    return explore(make_policy(pool, wanted), 0.0)


def learned(policy: Policy, pool: AgentPool, view: PoolView, d_var: float) -> tuple[int, ...]:
    """The cell of the table that a task's outcome changes: band, level, agent."""
    memory = policy.memory.copy()
    one = task(d_var=d_var)
    a = policy.choose(one, view, memory)
    policy.learn(one, a, ANSWER, view, memory)
    before = q_values(pool, policy)
    (cell,) = np.argwhere(q_values(pool, replace(policy, memory=memory)) != before)
    assert cell[2] == a
    return tuple(cell.tolist())


# -- states ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d_var", "band"), [(0.0, 0), (0.2999, 0), (0.3, 1), (0.4999, 1), (0.5, 2), (0.99, 2)]
)
def test_bands_are_those_of_complexity(d_var: float, band: int) -> None:
    pool = pool_of(2)
    assert learned(greedy("fs-qmix", pool), pool, seen([0, 0]), d_var)[0] == band


@pytest.mark.parametrize(
    ("busy", "queued", "up", "level"),
    [
        ([0, 0], [0, 0], [1, 1], 0),
        ([1, 0], [0, 0], [1, 1], 0),
        ([2, 0], [0, 0], [1, 1], 1),  # a quarter of eight slots
        ([4, 3], [0, 0], [1, 1], 3),
        ([4, 4], [0, 0], [1, 1], 4),
        ([4, 4], [50, 9], [1, 1], 4),
        ([4, 1], [50, 0], [0, 1], 1),  # of those that are up
    ],
)
def test_levels_are_those_of_the_pools_load(busy, queued, up, level: int) -> None:
    pool = pool_of(2)
    assert learned(greedy("fs-qmix", pool), pool, seen(busy, queued, up), 0.4)[1] == level


def test_levels_can_be_those_of_each_agent() -> None:
    pool = pool_of(2)
    policy = greedy("fs-qmix:own=true,levels=3", pool)
    q_values_at = policy.memory[-3 * 3 * 2 :].reshape(3, 3, 2)
    q_values_at[1] = [[5.0, 4.0], [3.0, 2.0], [1.0, 0.0]]  # the busier the worse
    for busy, cell in [([0, 0], (1, 0, 0)), ([2, 0], (1, 0, 1)), ([4, 3], (1, 1, 1))]:
        assert learned(policy, pool, seen(busy), 0.4) == cell


def test_one_level_looks_at_no_load() -> None:
    pool = pool_of(2)
    assert learned(greedy("fs-qmix:levels=1", pool), pool, seen([4, 4], [9, 9]), 0.4)[1] == 0


def test_bands_can_be_calibrated_and_are_named_by_their_bounds() -> None:
    corpus, pool = rs.load_corpus("tasks"), pool_of(2)
    policy = make_policy(pool, "fs-qmix:bounds=calibrated/4", corpus)
    edges = [float(edge) for edge in policy.parameters["bounds"].split("/")]
    scores = rs.score_column(corpus.texts)["d_var"]
    shares = np.bincount(np.searchsorted(edges, scores, side="right")) / len(corpus)
    np.testing.assert_allclose(shares, 0.25, atol=0.02)
    assert policy.fitted_on == (FittedTexts.of(corpus),)
    again = make_policy(pool, policy.name)
    np.testing.assert_array_equal(again.memory, policy.memory)


@pytest.mark.parametrize("bounds", ["", "0.5", "0.1/0.2/0.3"])
def test_any_number_of_bands(bounds: str) -> None:
    pool = pool_of(3)
    policy = make_policy(pool, f"fs-qmix:bounds={bounds}")
    assert q_values(pool, policy).shape == (len(bounds.split("/")) + bool(bounds), 5, 3)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("fs-qmix:bounds=0.5/0.3", r"bounds='0.5/0.3'; rising numbers are needed"),
        ("fs-qmix:bounds=low", r"bounds='low'; rising numbers"),
        ("fs-qmix:bounds=calibrated/0", r"or calibrated/5 for five bands"),
        (
            "fs-qmix:bounds=calibrated",
            "a corpus with texts, or recorded d_var, and none is at hand",
        ),
        ("fs-qmix:levels=0", r"levels=0; it must be a whole number from 1"),
        ("fs-qmix:discount=1", r"discount=1.0; it must be 0 or more and below 1"),
        ("fs-qmix:rate=2", r"rate=2.0; it must be from 0 to 1"),
    ],
)
def test_parameters_out_of_range_are_refused(wanted: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        make_policy(pool_of(2), wanted)


def test_other_policies_have_no_table() -> None:
    with pytest.raises(PolicyError, match="ucb1 has no table of values"):
        q_values(pool_of(2), make_policy(pool_of(2), "ucb1"))


# -- the learning step ----------------------------------------------------------------


def test_a_step_by_hand() -> None:
    pool = pool_of(2)
    policy = greedy("fs-qmix:rate=0.5,discount=0.8,levels=3,w_cost=10,w_latency=0.1", pool)
    table = np.arange(18.0).reshape(3, 3, 2) / 10
    memory = np.concatenate([policy.memory[:-18], table.ravel()])
    first, a = task(0), policy.choose(task(0), seen([0, 0]), memory)
    assert a == 1
    outcome = Outcome(OK, 1.0, 1.0, 2.0, 0.02, 0.9)
    policy.learn(first, a, outcome, seen([4, 4]), memory)  # the pool has filled up since
    table[1, 0, 1] += 0.5 * (0.9 - 0.2 - 0.2 + 0.8 * table[1, 2].max() - table[1, 0, 1])
    np.testing.assert_allclose(memory[-18:].reshape(3, 3, 2), table)


def test_only_agents_that_are_up_count_for_the_next_state() -> None:
    pool = pool_of(2)
    policy = greedy("fs-qmix:rate=1,discount=0.5,levels=1,bounds=", pool)
    memory = np.concatenate([policy.memory[:-2], [3.0, 7.0]])
    one = task()
    assert policy.choose(one, seen([0, 0], up=[1, 0]), memory) == 0
    policy.learn(one, 0, ANSWER, seen([0, 0], up=[1, 0]), memory)
    assert memory[-2:].tolist() == [0.25 + 1.5, 7.0]


def test_outcomes_meet_the_very_choice_they_belong_to() -> None:
    pool = pool_of(2)
    policy = greedy("fs-qmix:rate=1,discount=0,levels=2", pool)
    memory, view = policy.memory.copy(), seen([0, 0])
    early, late = task(5, 0.1), task(5 + 4096, 0.9)  # they share a place
    a = policy.choose(early, view, memory)
    b = policy.choose(late, seen([4, 4]), memory)
    before = memory.copy()
    policy.learn(early, a, ANSWER, view, memory)  # too late: nothing is learned
    np.testing.assert_array_equal(memory, before)
    policy.learn(late, b, ANSWER, view, memory)
    values = q_values(pool, replace(policy, memory=memory))
    assert values[2, 1, b] == 0.25
    policy.learn(late, b, ANSWER._replace(status=FAILED, quality=math.nan), view, memory)
    np.testing.assert_array_equal(q_values(pool, replace(policy, memory=memory)), values)


# -- what it learns -------------------------------------------------------------------


def planted(tasks: int = 2000) -> Corpus:
    """Short texts need agent 0, long ones agent 1."""
    rng = np.random.default_rng(2)
    kind = rng.integers(0, 2, tasks)
    columns = {
        "id": [f"t{k}" for k in range(tasks)],
        "text": np.array([SHORT, LONG])[kind],
        "outcomes.a0.quality": np.where(kind == 0, 0.9, 0.2),
        "outcomes.a1.quality": np.where(kind == 1, 0.9, 0.2),
    }
    return Corpus.from_frame(pd.DataFrame(columns))


def test_it_learns_which_agent_suits_which_complexity() -> None:
    policy = make_policy(pool_of(2), "fs-qmix:rate=0.1,decay=100")
    result = rs.replay(planted(), pool_of(2), policy, arrivals="poisson:1", seed=1)
    assert result.quality[1000:].mean() > 0.85
    assert result.quality[:200].mean() < 0.75


@pytest.mark.parametrize("wanted", ["fs-qmix", "fs-qmix:own=true,w_latency=0.1,discount=0.9"])
def test_compiled_and_interpreted_runs_are_the_same(wanted: str) -> None:
    pool = pool_of(3, error_rate=0.2, concurrency=1)
    policy = make_policy(pool, wanted)
    options = {
        "arrivals": "poisson:2.5", "seed": 5, "tasks": 800,
        "retries": rs.Retries(3), "outages": [rs.Outage("a1", 50.0, 90.0)],
    }  # fmt: skip
    compiled = rs.replay(planted(), pool, policy, **options)
    plain = rs.replay(planted(), pool, replace(policy, interpreted=True), **options)
    pd.testing.assert_frame_equal(compiled.to_frame(), plain.to_frame())
    np.testing.assert_array_equal(compiled.memory, plain.memory)
    assert compiled.log.attempts.max() > 1


@pytest.mark.parametrize("agents", [1, 40])
def test_any_number_of_agents_is_served(agents: int) -> None:
    result = rs.replay(planted(600), pool_of(agents), "fs-qmix", arrivals="poisson:2")
    assert result.overall["ok"] == 600
    assert set(result.log.agent.tolist()) == set(range(agents))


def test_an_agent_that_is_down_is_not_chosen() -> None:
    result = rs.replay(
        planted(), pool_of(3), "fs-qmix", arrivals="deterministic:1",
        outages=[rs.Outage("a0", 500.0, 1500.0)],
    )  # fmt: skip
    arrived = result.work.arrived
    assert not (result.log.agent[(arrived >= 500) & (arrived < 1500)] == 0).any()
    assert (result.log.agent[arrived >= 1500] == 0).any()


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["fs-qmix", "fs-qmix:own=true", "fs-qmix:floor=0,epsilon=0"])
def test_when_every_agent_is_down_it_waits_and_learns_on(spec: str) -> None:
    corpus, pool = rs.load_corpus("tasks"), rs.load_agents()
    outages = [rs.Outage(agent, 5.0, 50.0) for agent in pool.ids]
    result = rs.replay(corpus, pool, spec, arrivals="poisson:4", seed=1, outages=outages)
    assert result.overall["ok"] > 500
    policy = make_policy(pool, spec)
    count, none = np.zeros(len(pool), np.int64), np.zeros(0)
    nobody = PoolView(count, count, count + 4, none, none, none, count)
    memory = policy.memory.copy()
    task = TaskView(0, 0, 0.0, np.uint64(1), 0.5, 10.0, -1, none, none)
    for choose in (policy.choose, policy.choose.python):
        assert 0 <= choose(task, nobody, memory) < len(pool)
