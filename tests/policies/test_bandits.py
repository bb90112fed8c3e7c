"""Bandits, LinUCB among them: what they are told, what they learn from it, and how soon."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike, NDArray

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import make_policy
from routingsim.policies.bandit_base import (
    CHOICES,
    DONE,
    HEAD,
    PENDING,
    REWARD,
    explore,
)
from routingsim.policies.kernel import TaskView
from routingsim.policies.policy import Policy
from routingsim.simulation.result import ReplayResult

BANDITS = ["epsilon-greedy", "ucb1", "thompson", "thompson:gaussian", "linucb"]
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


def pool_of(agents: int, *, latency: ArrayLike = 1.0, **fields) -> AgentPool:
    """Agents with slots for all, each recorded under its own id."""
    fields = {"concurrency": 4000, "service": "deterministic", "failures": "drawn"} | fields
    return AgentPool(
        tuple(
            Agent(id=f"a{a}", name=f"Agent {a}", cost=0.0, latency=float(seconds), **fields)
            for a, seconds in enumerate(np.broadcast_to(latency, agents))
        )
    )


def planted(chances: ArrayLike, cost: ArrayLike = 0.0, tasks: int = 3000, seed: int = 0) -> Corpus:
    """Tasks that agent a gets right with chance ``chances[a]`` (or ``[task, a]``)."""
    rng = np.random.default_rng(seed)
    chance = np.atleast_2d(np.asarray(chances, dtype=float))
    right = rng.random((tasks, chance.shape[1])) < chance
    costs = np.broadcast_to(cost, right.shape)
    columns = {"id": [f"t{k}" for k in range(tasks)], "text": rng.choice(WORDS, tasks)}
    for a in range(right.shape[1]):
        columns[f"outcomes.a{a}.quality"] = right[:, a].astype(float)
        columns[f"outcomes.a{a}.cost"] = costs[:, a]
    return Corpus.from_frame(pd.DataFrame(columns))


def run(corpus: Corpus, pool: AgentPool, policy: str | Policy, rate: float = 1.0, **options):
    return rs.replay(corpus, pool, policy, arrivals=rs.Deterministic(rate), **options)


def share(result: ReplayResult, agent: int, begin: float, end: float = 1.0) -> float:
    """Share of the agent among the tasks between two shares of the run."""
    n = len(result)
    return float((result.log.agent[int(begin * n) : int(end * n)] == agent).mean())


def block(memory: NDArray[np.float64], which: int, agents: int) -> NDArray[np.float64]:
    return memory[HEAD + which * agents : HEAD + (which + 1) * agents]


# -- what they learn ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", BANDITS)
def test_the_best_agent_is_found_and_regret_flattens(name: str) -> None:
    chances = np.array([0.3, 0.5, 0.9, 0.4])
    result = run(planted(chances), pool_of(4), name, seed=3)
    regret = 0.9 - chances[result.log.agent]
    early, late = regret[:1500].sum(), regret[1500:].sum()
    assert share(result, 2, 0.75) > 0.9
    assert late < 0.5 * early
    assert early < 0.25 * (0.9 - chances.mean()) * 1500 * 2  # half of what chance would lose


@pytest.mark.slow
@pytest.mark.parametrize("name", BANDITS)
def test_regret_against_the_best_agent_grows_more_slowly_than_the_run(name: str) -> None:
    corpus, pool = planted([0.6, 0.75, 0.9], tasks=8000), pool_of(3)
    best = corpus.outcome("quality", pool.ids)[:, 2]
    # Best fixed agent less what was got, over 1,000, 2,000, … tasks.
    runs = [run(corpus, pool, name, seed=seed) for seed in range(4)]
    lost = np.mean([np.cumsum(best - one.quality)[999::1000] for one in runs], axis=0)
    assert lost[7] < 8**0.75 * lost[0]
    assert lost[7] / 8000 < 0.03  # a task; by chance it were 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", BANDITS)
def test_compiled_and_interpreted_runs_are_the_same(name: str) -> None:
    pool = pool_of(3, latency=[1.0, 2.0, 9.0], concurrency=2, error_rate=0.1, patience=20.0)
    corpus = planted([0.2, 0.5, 0.9], cost=[0.001, 0.01, 0.1], tasks=200)
    wanted = f"{name}{',' if ':' in name else ':'}gamma=0.99,budget=0.02,w_latency=0.01,w_cost=1"
    policy = make_policy(pool, wanted)
    options = {"seed": 5, "retries": rs.Retries(3), "outages": [rs.Outage("a1", 50.0, 90.0)]}
    compiled = run(corpus, pool, policy, **options)
    plain = run(corpus, pool, replace(policy, interpreted=True), **options)
    pd.testing.assert_frame_equal(compiled.to_frame(), plain.to_frame())
    np.testing.assert_array_equal(compiled.memory, plain.memory)


@pytest.mark.parametrize("name", BANDITS)
@pytest.mark.parametrize("agents", [1, 40])
def test_any_number_of_agents_is_served(name: str, agents: int) -> None:
    pool = pool_of(agents)
    result = run(planted(np.linspace(0.9, 0.1, agents), tasks=400), pool, name)
    assert result.overall["ok"] == 400
    assert set(result.log.agent.tolist()) == set(range(agents))  # each is tried


@pytest.mark.parametrize("name", BANDITS)
def test_an_agent_that_is_down_is_not_chosen(name: str) -> None:
    corpus, pool = planted([0.9, 0.3, 0.2]), pool_of(3)
    result = run(corpus, pool, name, outages=[rs.Outage("a0", 1000.0, 2000.0)])
    arrived = result.work.arrived
    down = (arrived >= 1000.0) & (arrived < 2000.0)
    assert not (result.log.agent[down] == 0).any()
    assert share(result, 0, 0.8) > 0.8


@pytest.mark.parametrize("name", BANDITS)
def test_all_that_was_pending_is_done_in_the_end(name: str) -> None:
    result = run(planted([0.5, 0.5]), pool_of(2), name)
    np.testing.assert_array_equal(block(result.memory, PENDING, 2), 0.0)
    counts = np.bincount(result.log.agent, minlength=2)
    np.testing.assert_array_equal(block(result.memory, DONE, 2), counts)
    won = [result.quality[result.log.agent == a].sum() for a in range(2)]
    np.testing.assert_allclose(block(result.memory, REWARD, 2), won)
    assert result.memory[CHOICES] == len(result)


@pytest.mark.parametrize("name", ["epsilon-greedy", "ucb1", "thompson", "linucb"])
def test_weights_make_the_reward(name: str) -> None:
    corpus = planted([0.9, 0.8, 0.1], cost=[0.5, 0.01, 0.01])
    pool = pool_of(3, latency=[1.0, 4.0, 1.0])
    for weights, best in [("w_cost=0", 0), ("w_cost=1", 1), ("w_latency=0.5,w_cost=2", 2)]:
        result = run(corpus, pool, f"{name}:{weights}", seed=1)
        assert share(result, best, 0.75) > 0.7, weights


def test_thompson_is_gaussian_where_rewards_leave_0_to_1() -> None:
    pool = pool_of(2)
    beta, gaussian = make_policy(pool, "thompson:beta"), make_policy(pool, "thompson:gaussian")
    for name, expected in [
        ("thompson", beta),
        ("thompson:w_latency=0.1", gaussian),
        ("thompson:w_cost=0.1", gaussian),
        ("thompson:w_quality=2", gaussian),
        ("thompson:beta,w_cost=0.1", beta),
    ]:
        assert make_policy(pool, name).choose is expected.choose


# -- drift, delay, budget -------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["epsilon-greedy:", "ucb1:exploration=0.2,", "thompson:",
                                  "thompson:gaussian,", "linucb:"])  # fmt: skip
def test_forgetting_recovers_after_drift(name: str) -> None:
    swapped = np.repeat([[0.9, 0.6, 0.1], [0.1, 0.6, 0.9]], 2000, axis=0)
    corpus, pool = planted(swapped, tasks=4000), pool_of(3)
    kept, faded = (
        [run(corpus, pool, f"{name}gamma={gamma}", seed=seed) for seed in range(3)]
        for gamma in (1.0, 0.995)
    )
    for one in faded:
        assert share(one, 2, 0.75) > 0.9
    after = [np.mean([one.quality[2000:].mean() for one in runs]) for runs in (kept, faded)]
    assert after[1] > after[0] + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", BANDITS)
def test_late_feedback_slows_learning(name: str) -> None:
    corpus = planted([0.9, 0.5, 0.3], tasks=1500)
    soon, late = (
        np.mean([run(corpus, pool, name, seed=seed).quality.mean() for seed in range(5)])
        for pool in (pool_of(3, latency=0.5), pool_of(3, latency=400.0))
    )
    assert late < soon - 0.03
    assert late > 0.6  # what chance would give is 0.57


@pytest.mark.parametrize("name", BANDITS)
def test_the_pacer_counts_retries_to_their_task(name: str) -> None:
    corpus = planted([0.5, 0.9], cost=[0.001, 0.010])
    pool = pool_of(2, error_rate=0.3)
    comma = "," if ":" in name else ":"
    wanted = f"{name}{comma}budget=0.006,pace=0.05"
    result = run(corpus, pool, wanted, retries=rs.Retries(3), seed=2)
    assert result.log.attempts.max() == 3
    assert 0.0055 < result.log.cost.mean() <= 0.006


def test_a_budget_above_all_costs_changes_nothing() -> None:
    corpus, pool = planted([0.5, 0.9], cost=[0.001, 0.010]), pool_of(2)
    free, held = run(corpus, pool, "ucb1"), run(corpus, pool, "ucb1:budget=1")
    np.testing.assert_array_equal(free.log.agent, held.log.agent)


@pytest.mark.slow
@pytest.mark.parametrize("budget", ["", ",budget=0.01"])
def test_linucb_that_forgets_does_not_lock_in(budget: str) -> None:
    """Narrow bounds and forgetting: the agent that has become the better one is found."""
    swapped = np.repeat([[0.9, 0.8], [0.7, 0.95]], 2500, axis=0)
    corpus = planted(swapped, cost=[0.001, 0.002], tasks=5000)
    for seed in range(4):
        result = run(corpus, pool_of(2), f"linucb:gamma=0.997,exploration=0.05{budget}", seed=seed)
        assert share(result, 1, 0.8) > 0.8, seed


# -- exploration and parameters -------------------------------------------------------


def test_exploration_can_be_switched_off() -> None:
    pool = pool_of(3)
    policy = explore(make_policy(pool, "epsilon-greedy:epsilon=1,decay=inf"), 0.0)
    counts = np.full(3, 10.0)
    block(policy.memory, DONE, 3)[:] = counts
    block(policy.memory, REWARD, 3)[:] = 1.0, 9.0, 5.0
    view = rs.policies.PoolView(
        *(np.zeros(3, np.int64), np.zeros(3, np.int64), np.ones(3, np.int64)),
        *(np.zeros(3), np.zeros(3), np.ones(3), np.ones(3, np.int64)),
    )
    chosen = {int(policy.choose(task(k), view, policy.memory.copy())) for k in range(50)}
    assert chosen == {1}


def task(k: int) -> TaskView:
    return TaskView(k, 0, 0.0, np.uint64(9), 0.5, 10.0, -1, np.zeros(0), np.zeros(0))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("epsilon-greedy:epsilon=1.5", r"epsilon-greedy: epsilon=1.5; it must be from 0 to 1"),
        ("epsilon-greedy:decay=0", "decay=0.0; it must be above 0"),
        ("ucb1:exploration=-1", r"exploration=-1.0; it must be 0 or more"),
        ("ucb1:gamma=0", r"gamma=0.0; it must be above 0 and up to 1"),
        ("ucb1:budget=0", r"budget=0.0; it must be above 0, in USD a task"),
        ("thompson:prior=cauchy", r"prior='cauchy'; choose auto, beta or gaussian"),
        ("thompson:w_cost=nan", r"w_cost=nan; it must be 0 or more"),
        ("linucb:words=0", r"words=0; it must be a whole number from 1 to 1000"),
        ("linucb:ridge=0", r"ridge=0.0; it must be above 0"),
        ("linucb:pace=inf", r"pace=inf; it must be above 0"),
    ],
)
def test_parameters_out_of_range_are_refused(wanted: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        make_policy(pool_of(2), wanted)


def test_names_spell_what_is_not_default() -> None:
    name = "thompson:prior=beta,w_cost=0.1,gamma=0.999,budget=1e-05"
    assert make_policy(pool_of(2), name).name == name
    assert make_policy(pool_of(2), "ucb1:gamma=1,budget=inf").name == "ucb1"
