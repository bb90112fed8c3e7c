"""The order in which a pool names its agents decides nothing, whatever the policy."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import routingsim as rs
from routingsim.policies import make_policy, recipes
from routingsim.simulation.scenario import prepare

TASKS, SEEDS = 40, 24
SPECS = {"static": "static:b", "weighted": "weighted:capacity"}
# One fit each, where ridge is fitted to the others of five folds.
SPECS |= {k: f"{k}:cross_fitted=false" for k in ("blend", "kmeans", "knn", "logistic", "utility")}
# These go by the file's, ids' or log's order where agents are equal, and say so.
BY_NAME = ("static", "cascade", "threshold", "logged", "round-robin")
POLICIES = sorted({*recipes()} - {"file"})


def agents(alike: bool) -> list[rs.Agent]:
    return [
        rs.Agent(
            id=name,
            name=name,
            cost=0.01 if alike else 0.01 * (k + 1),
            latency=1.0 if alike else 0.6 + 0.3 * k,
            concurrency=2 if alike else 1 + k,
        )
        for k, name in enumerate("abcd")
    ]


@cache
def corpus_of(alike: bool, logged: bool) -> rs.Corpus:
    dice = np.random.default_rng(3)
    rows = pd.DataFrame({"id": [str(k) for k in range(TASKS)]})
    words = dice.choice(["sum", "poem", "code", "mail", "law", "tax"], (TASKS, 6))
    rows["text"] = [f"{' '.join(each)} {k}" for k, each in enumerate(words)]
    good = (dice.random(TASKS) < 0.7).astype(float)
    served = dice.integers(0, 4, TASKS)
    for k, name in enumerate("abcd"):
        mine = good if alike else (dice.random(TASKS) < 0.5 + 0.1 * k).astype(float)
        rows[f"outcomes.{name}.quality"] = np.where(served == k, mine, np.nan) if logged else mine
    return rs.Corpus.from_frame(rows)


def choices(name: str, alike: bool, backwards: bool) -> np.ndarray:
    """The names of the agents chosen, shape (seeds, tasks)."""
    listed = agents(alike)
    pool = rs.AgentPool(tuple(listed[::-1] if backwards else listed))
    corpus = corpus_of(alike, name == "logged")
    scene = prepare(corpus, pool, make_policy(pool, SPECS.get(name, name), corpus))
    runs = [scene.run(rs.Poisson(4.0), seed=seed, tasks=TASKS) for seed in range(SEEDS)]
    return np.array(pool.ids)[np.array([run.log.agent for run in runs])]


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_reversing_the_pool_changes_no_figure(name: str) -> None:
    for alike in (True, False):
        one, other = choices(name, alike, False), choices(name, alike, True)
        if name in ("static", "cascade", "threshold"):
            assert one.tolist() == other.tolist()
        for agent in "abcd":
            shares = [(each == agent).mean(axis=1) for each in (one, other)]
            apart = abs(shares[0].mean() - shares[1].mean())
            error = np.sqrt(sum(each.var(ddof=1) / SEEDS for each in shares))
            assert apart <= 4 * error + 1 / TASKS, (name, alike, agent)
        if alike and name not in BY_NAME:
            counts = [int((one[:, 0] == agent).sum()) for agent in "abcd"]
            assert stats.chisquare(counts).pvalue > 1e-4, (name, counts)
