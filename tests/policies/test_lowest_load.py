"""The lowest of eight loads at once, as compiled, against a look at all in plain Python."""

import math

import numpy as np
import pytest

import routingsim as rs
from routingsim.policies import lowest_load, make_policy, threshold
from routingsim.policies.kernel import PoolView, TaskView


def task(key: int, d_var: float) -> TaskView:
    return TaskView(0, 0, 0.0, np.uint64(key), d_var, 0.0, -1, np.zeros(0), np.zeros(0))


def pool_of(size: int) -> rs.AgentPool:
    return rs.AgentPool(
        tuple(rs.Agent(id=f"a{k}", name="A", cost=1, latency=1) for k in range(size))
    )


def view(rng: np.random.Generator, size: int, slots: list[int], up: float) -> PoolView:
    def whole(below: int) -> np.ndarray:
        return rng.integers(0, below, size)

    none = np.zeros(size)
    own = rng.choice(slots, size)
    offered = (rng.random(size) < up).astype(np.int64)
    return PoolView(whole(5), whole(2), own, none, none, none, offered)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 16, 21])
@pytest.mark.parametrize("slots", [[6], [2, 3, 4, 6], [10**9, 3]], ids=["alike", "few", "many"])
def test_compiled_code_chooses_as_plain_python(size: int, slots: list[int], seed: int) -> None:
    rng, pool = np.random.default_rng(seed), pool_of(size)
    ids = list(pool.ids)
    bands = {  # in the pool's order, in another one, and one agent alone
        "low": ids[: size // 2 + 1],
        "medium": ids[::-2],
        "high": ids[-1:],
    }
    spills = threshold(pool, spill=0.5, bands=bands)
    keeps, spilled = threshold(pool, spill=math.inf, bands=bands), 0
    for key in range(60):
        seen, its = view(rng, size, slots, rng.choice([0.0, 0.3, 1.0])), task(key, rng.random())
        for policy in (make_policy(pool, "least-loaded"), spills, keeps):
            chosen = policy.choose(its, seen, policy.memory)
            assert chosen == policy.choose.python(its, seen, policy.memory)
            assert seen.up[chosen] or not seen.up.any()
            spilled += policy is spills and chosen >= 0 and chosen != size - 1 and its.d_var >= 0.5
    assert spilled or size == 1


def test_bits_are_a_number_for_each_eight() -> None:
    assert lowest_load.bits([0, 2, 9], 17).tolist() == [5.0, 2.0, 0.0]
    assert lowest_load.bits([7], 8).tolist() == [128.0]
