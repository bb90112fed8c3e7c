"""The ranking against a look at all agents, and how much of it changes."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from routingsim.policies.ranking import BY_MEMORY, first_leaf, nth_lowest, only_lowest, ranking_size
from routingsim.simulation import availability
from routingsim.simulation.events import COUNTERS, LEAF, RANKS


class Ranked(SimpleNamespace):
    """The part of the engine's state that a ranking is of."""

    def __init__(self, agents: int) -> None:
        tree, counters = np.zeros(ranking_size(agents)), np.zeros(COUNTERS, np.int64)
        tree[::2] = math.inf
        counters[RANKS], counters[LEAF] = BY_MEMORY, first_leaf(agents)
        up, figure = np.zeros(agents, np.int64), np.zeros(agents)
        super().__init__(ranking=tree, counters=counters, figure=figure, up=up)

    def rank(self, a: int, figure: float, up: int) -> None:
        self.figure[a], self.up[a] = figure, up
        availability.rank_agent.py_func(self, a)


@pytest.mark.parametrize("agents", [1, 2, 4, 5, 16, 17, 64, 65])
def test_the_lowest_are_found_in_their_order(agents: int, seed: int) -> None:
    rng, state = np.random.default_rng(seed), Ranked(agents)
    for _ in range(150):
        state.rank(int(rng.integers(agents)), rng.integers(3) / 3, int(rng.random() < 0.8))
        offered = np.where(state.up, state.figure, math.inf)
        best = np.flatnonzero(state.up & (offered == offered.min()))
        assert state.ranking[:2].tolist() == [offered.min(), best.size]
        assert [nth_lowest(state.ranking, n) for n in range(best.size)] == best.tolist()
        if best.size == 1:
            assert only_lowest(state.ranking) == best[0]


def test_what_is_not_lowest_changes_the_nodes_up_to_a_lower_one() -> None:
    state = Ranked(16)
    for a in range(16):
        state.rank(a, 1.0 + a, 1)
    before = state.ranking.copy()
    state.rank(6, 9.0, 1)  # agent 4, its neighbour, has less
    assert np.flatnonzero(state.ranking != before).tolist() == [2 * (5 + 6)]
    assert (state.ranking[0], state.ranking[2 * 2]) == (1.0, 5.0)
