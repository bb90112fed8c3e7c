"""Plain Python functions as policies."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies.kernel import Kernel, choose_kernel, draw, learn_kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.simulation.result import ReplayResult

SHIPPED = ["threshold", "threshold:calibrated", "least-loaded", "random", "round-robin",
           "power-of-two", "shortest-wait"]  # fmt: skip


@choose_kernel
def greedy(task, pool, memory):
    """The agent with the best mean so far, but one in ten at random."""
    if draw(task, 1) < 0.1:
        return int(task.uniform * pool.busy.size)
    return int(np.argmax(memory[: pool.busy.size]))


@learn_kernel
def remember(task, agent, outcome, pool, memory):
    """Mean of minus latency an agent, weighed by the category, to have it cross the border."""
    agents = pool.busy.size
    memory[agents + agent] += 1
    reward = -outcome.latency - outcome.wait + 0.01 * task.category - outcome.cost
    memory[agent] += (reward - memory[agent]) / memory[agents + agent]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return rs.load_corpus("tasks")


@pytest.fixture(scope="module")
def pool() -> AgentPool:
    return rs.load_agents()


def run(corpus: Corpus, pool: AgentPool, policy) -> ReplayResult:
    return rs.replay(
        corpus, pool, policy, arrivals="poisson:9", seed=4, tasks=2_000,
        retries=rs.Retries(2), outages=[rs.Outage("gpt-4", 30.0, 60.0)],
    )  # fmt: skip


def interpreted(policy: Policy) -> Policy:
    return dataclasses.replace(policy, interpreted=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_rule_runs_the_same_interpreted(corpus: Corpus, pool: AgentPool, name: str) -> None:
    policy = make_policy(pool, name, corpus)
    compiled, plain = run(corpus, pool, policy), run(corpus, pool, interpreted(policy))
    pd.testing.assert_frame_equal(compiled.to_frame(), plain.to_frame())
    np.testing.assert_array_equal(compiled.memory, plain.memory)


@pytest.mark.slow
def test_a_learning_policy_learns_the_same_interpreted(corpus: Corpus, pool: AgentPool) -> None:
    policy = Policy("greedy", greedy, remember, memory=np.zeros(2 * len(pool)))
    compiled, plain = run(corpus, pool, policy), run(corpus, pool, interpreted(policy))
    pd.testing.assert_frame_equal(compiled.to_frame(), plain.to_frame())
    np.testing.assert_array_equal(compiled.memory, plain.memory)
    assert compiled.memory[len(pool) :].sum() == compiled.log.attempts.sum()


def test_a_plain_function_is_a_policy(corpus: Corpus, pool: AgentPool) -> None:
    seen = []

    def shortest_queue(task, view, memory):
        seen.append((task.index, task.time, view.queued.sum()))
        return int(view.queued.argmin())

    result = rs.replay(corpus, pool, shortest_queue, arrivals="poisson:5", tasks=500, seed=1)
    assert result.policy.name == "shortest_queue"
    assert [index for index, _, _ in seen] == list(range(500))
    np.testing.assert_array_equal([time for _, time, _ in seen], result.work.arrived)


@pytest.mark.parametrize("where", ["choose", "learn"])
def test_what_a_function_raises_reaches_the_caller(pool: AgentPool, where: str) -> None:
    def choose(task, view, memory):
        if where == "choose" and task.index == 7:
            raise ZeroDivisionError("in choose")
        return 0

    def learn(task, agent, outcome, view, memory):
        if where == "learn" and task.index == 7:
            raise ZeroDivisionError("in learn")

    policy = Policy("bad", choose_kernel(choose), learn_kernel(learn), interpreted=True)
    with pytest.raises(ZeroDivisionError, match=f"in {where}"):
        rs.replay(None, pool, policy, tasks=100)


@pytest.mark.parametrize("answer", [-1, 5, 10**6])
def test_an_agent_that_is_not_there_is_refused(pool: AgentPool, answer: int) -> None:
    with pytest.raises(PolicyError, match="'wrong' returned an agent that does not exist"):
        rs.replay(None, pool, named("wrong", answer), tasks=10)


def named(name: str, answer: Any) -> Any:
    def function(task, view, memory):
        return answer

    function.__name__ = name
    return function


def test_what_is_no_number_is_refused(pool: AgentPool) -> None:
    with pytest.raises(TypeError, match="None"):
        rs.replay(None, pool, named("nothing", None), tasks=10)


def test_an_outcome_is_told_in_full(pool: AgentPool) -> None:
    told = []

    def learn(task, agent, outcome, view, memory):
        told.append((task.index, agent, outcome))

    policy = Policy("told", Kernel(named("first", 0), None), learn_kernel(learn), interpreted=True)
    result = rs.replay(None, pool, policy, arrivals="poisson:1", tasks=200, seed=2)
    assert len(told) == 200
    for index, agent, outcome in told:
        assert agent == result.log.agent[index]
        assert outcome.wait == result.log.wait[index]
        assert outcome.latency == result.latency[index]
        assert outcome.cost == result.log.cost[index]
        assert math.isnan(outcome.quality)
