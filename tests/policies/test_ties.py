"""Equal agents: each has the same chance, whatever the order of the agents' file."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import routingsim as rs
from routingsim.policies import make_policy
from routingsim.policies.kernel import PoolView, TaskView
from routingsim.policies.ties import which

N = 3000
RULES = ("least-loaded", "shortest-wait", "cheapest", "fastest", "threshold")


def pool_of(*costs: float) -> rs.AgentPool:
    return rs.AgentPool(
        tuple(rs.Agent(id=f"a{k}", name="A", cost=c, latency=2.0) for k, c in enumerate(costs))
    )


def task(key: int, d_var: float = 0.1) -> TaskView:
    return TaskView(0, 0, 0.0, np.uint64(key), d_var, 0.0, -1, np.zeros(0), np.zeros(0))


def view(pool: rs.AgentPool, busy: list[int], up: list[int]) -> PoolView:
    agents = len(pool)
    return PoolView(
        np.array(busy),
        np.zeros(agents, np.int64),
        np.full(agents, 4),
        pool.column("cost"),
        np.zeros(agents),
        np.full(agents, 2.0),
        np.array(up),
    )


def shares(spec: str, pool: rs.AgentPool, seen: PoolView) -> tuple[list[int], list[float]]:
    """How often each agent is chosen by N tasks, and with what probability."""
    policy = make_policy(pool, spec)
    chosen = Counter(policy.choose(task(key), seen, policy.memory) for key in range(N))
    out = np.full(len(pool), np.nan)
    policy.probabilities(task(0), seen, policy.memory, out)
    return [chosen[a] for a in range(len(pool))], out.tolist()


def test_a_key_falls_on_each_of_equals() -> None:
    keys = [(k << 62) | 12345 for k in range(4)]  # the quarters of the range

    class Keyed:
        def __init__(self, key: int) -> None:
            self.key = key

    assert [which(Keyed(key), 4) for key in keys] == [0, 1, 2, 3]
    assert [which(Keyed(key), 2) for key in keys] == [0, 0, 1, 1]
    assert [which(Keyed(2**64 - 1), n) for n in (1, 2, 7)] == [0, 1, 6]


@pytest.mark.slow
@pytest.mark.parametrize("spec", RULES)
def test_equal_agents_are_chosen_alike_and_others_never(spec: str) -> None:
    pool = pool_of(0.1, 0.1, 0.1)
    bands = {band: list(pool.ids) for band in ("low", "medium", "high")}
    found, told = shares(spec, pool, view(pool, [1, 1, 1], [1, 1, 1]))
    if spec == "threshold":  # its default bands hold one agent each
        assert (found, told) == ([N, 0, 0], [1.0, 0.0, 0.0])
        policy = rs.policies.threshold(pool, bands=bands)
        seen = view(pool, [1, 1, 1], [1, 1, 1])
        chosen = Counter(policy.choose(task(key), seen, policy.memory) for key in range(N))
        found, told = [chosen[a] for a in range(3)], [1 / 3] * 3
    assert told == [1 / 3] * 3
    assert stats.chisquare(found).pvalue > 1e-4
    found, told = shares(spec, pool, view(pool, [1, 1, 1], [0, 1, 0]))
    if spec != "threshold":
        assert (found, told) == ([0, N, 0], [0.0, 1.0, 0.0])


@pytest.mark.slow
def test_the_better_of_two_has_all() -> None:
    pool = pool_of(0.2, 0.1)
    assert shares("cheapest", pool, view(pool, [4, 4], [1, 1])) == ([0, N], [0.0, 1.0])
    assert shares("least-loaded", pool, view(pool, [0, 1], [1, 1])) == ([N, 0], [1.0, 0.0])


@pytest.mark.slow
def test_threshold_spills_to_each_of_the_least_loaded_and_only_to_less_loaded() -> None:
    pool = pool_of(0.1, 0.1, 0.1)
    bands = {"low": ["a0"], "medium": ["a1"], "high": ["a2"]}
    policy = rs.policies.threshold(pool, bands=bands, spill=0.5)

    def sent(busy: list[int]) -> tuple[set[int], list[float]]:
        out = np.empty(3)
        seen = view(pool, busy, [1, 1, 1])
        policy.probabilities(task(0), seen, policy.memory, out)
        return {policy.choose(task(k), seen, policy.memory) for k in range(99)}, out.tolist()

    assert sent([3, 1, 1]) == ({1, 2}, [0.0, 0.5, 0.5])
    assert sent([1, 0, 0]) == ({0}, [1.0, 0.0, 0.0])  # a load of 0.25 is below 0.5
    assert sent([2, 2, 2]) == ({0}, [1.0, 0.0, 0.0])  # nobody is less loaded


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["least-loaded", "shortest-wait"])
def test_the_order_of_the_file_decides_nothing(policy: str, seed: int) -> None:
    good = rs.Agent(id="good", name="G", cost=0.0, latency=1.0)
    bad = rs.Agent(id="bad", name="B", cost=0.0, latency=1.0)
    frame = pd.DataFrame(
        {"id": [str(k) for k in range(2000)], "text": "x"}
        | {"outcomes.good.quality": 0.9, "outcomes.bad.quality": 0.5}
    )
    corpus = rs.Corpus.from_frame(frame)
    for agents in ((good, bad), (bad, good)):  # at a load of .01 nearly all find both idle
        pool = rs.AgentPool(agents)
        found = rs.replay(corpus, pool, policy, arrivals="poisson:0.08", seed=seed)
        assert found.overall["quality"] == pytest.approx(0.7, abs=4 * 0.2 / 2000**0.5)
