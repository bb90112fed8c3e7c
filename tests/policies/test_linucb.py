"""LinUCB: what it learns of texts, held to ridge regression."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.policies.bandit_base import BLOCKS, HEAD
from routingsim.policies.features import hashed_features
from routingsim.policies.policy import Policy

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


def pool_of(agents: int, *, latency: ArrayLike = 1.0, **fields) -> AgentPool:
    """Agents with slots for all, each recorded under its own id."""
    fields = {"concurrency": 4000, "service": "deterministic"} | fields
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


def contextual(by: str, tasks: int = 3000, seed: int = 4) -> Corpus:
    """Tasks of two kinds, by their category or a word; each agent is good at one."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, tasks)
    chance = np.where(kind[:, np.newaxis] == np.arange(2), 0.9, 0.3)
    frame = planted(chance, tasks=tasks).to_frame()
    names = np.array(["code", "poetry"])[kind]
    frame[by] = names if by == "category" else [f"{a} {b}" for a, b in zip(
        names, rng.choice(WORDS, tasks), strict=True)]  # fmt: skip
    return Corpus.from_frame(frame)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["category", "text"])
def test_linucb_goes_by_the_text(by: str) -> None:
    corpus, pool = contextual(by), pool_of(2)
    linear, blind = run(corpus, pool, "linucb"), run(corpus, pool, "ucb1")
    assert linear.quality[1500:].mean() > 0.85
    assert blind.quality[1500:].mean() < 0.65


def test_linucb_estimates_what_ridge_regression_does() -> None:
    corpus, pool = contextual("category", tasks=500), pool_of(2)
    result = run(corpus, pool, "linucb:ridge=2", seed=1)
    tasks = corpus.tasks
    features = hashed_features(tasks["text"].tolist(), tasks["category"].tolist())
    d_var = rs.score_column(corpus.texts)["d_var"].to_numpy()
    tokens = np.array([len(text) / 4 for text in tasks["text"]])
    x = np.column_stack([np.ones(500), d_var, 0.1 * np.log1p(result.work.prompt_tokens), features])
    np.testing.assert_allclose(result.work.prompt_tokens, tokens, atol=1.0)
    d = x.shape[1]
    weights = result.memory[HEAD + BLOCKS * 2 + 3 + 2 * d : -2].reshape(2, d + d * d)
    for a in range(2):
        mine = result.log.agent == a
        matrix = x[mine].T @ x[mine] + 2 * np.eye(d)
        np.testing.assert_allclose(weights[a, d:].reshape(d, d), np.linalg.inv(matrix), atol=1e-9)
        # The ridge draws the intercept to the mean reward of all tries.
        drawn = np.append(2 * result.quality.mean(), np.zeros(d - 1))
        theta = np.linalg.solve(matrix, x[mine].T @ result.quality[mine] + drawn)
        np.testing.assert_allclose(weights[a, :d], theta, atol=1e-9)


@pytest.mark.slow
def test_linucb_keeps_its_ridge_where_it_forgets() -> None:
    """A fades to no less than its ridge, though most of its directions are never met."""
    gamma, corpus, pool = 0.99, contextual("category"), pool_of(2)
    result = run(corpus, pool, f"linucb:gamma={gamma},ridge=1", seed=1)
    d = int(result.memory[HEAD + BLOCKS * 2])
    weights = result.memory[HEAD + BLOCKS * 2 + 3 + 2 * d : -2].reshape(2, d + d * d)
    # What a coordinate's ridge fades to until its turn comes round, d updates later.
    least = d * (1 - gamma) * gamma**d / (1 - gamma**d)
    for matrix in weights[:, d:].reshape(2, d, d):
        values = np.linalg.eigvalsh(np.linalg.inv(matrix))
        assert least * (1 - 1e-6) <= values.min() <= 1.3
        assert 50 < values.max() < 4 / (1 - gamma)  # an effective window of tries
    assert result.quality[1500:].mean() > 0.75


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_an_agent_never_tried_is_taken_to_be_like_the_others(gamma: float) -> None:
    """Its intercept is the mean reward of all tries; it was 0, and worse than any."""
    corpus = contextual("category", tasks=200)
    pool = pool_of(2)
    outage = [rs.Outage("a1", 0.0, 1e6)]
    result = run(corpus, pool, f"linucb:gamma={gamma},exploration=0.05", outages=outage)
    d = int(result.memory[HEAD + BLOCKS * 2])
    theta = result.memory[HEAD + BLOCKS * 2 + 3 + 2 * d + d + d * d :][:d]
    weights = gamma ** np.arange(199, -1, -1)
    assert theta[0] == pytest.approx((weights * result.quality).sum() / weights.sum(), abs=1e-6)
    np.testing.assert_allclose(theta[1:], 0.0, atol=1e-12)


def test_linucb_routes_tasks_without_texts() -> None:
    trace = Corpus.from_frame(planted([0.9, 0.1]).to_frame().assign(text=""))
    agent = run(trace, pool_of(2), "linucb").log.agent
    assert np.mean(agent[len(agent) * 3 // 4 :] == 0) > 0.9
