"""The ranking against a look at all agents, and how much of it changes."""

import math

import numpy as np
import pytest

from routingsim.policies.ranking import nth_lowest, rank, ranking_size


@pytest.mark.parametrize("agents", [1, 2, 4, 5, 16, 17, 64, 65])
def test_the_lowest_are_found_in_their_order(agents: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = np.zeros(ranking_size(agents))
    tree[::2] = math.inf
    figures, up = np.zeros(agents), np.zeros(agents, np.int64)
    for _ in range(150):
        a = int(rng.integers(agents))
        figures[a], up[a] = rng.integers(3) / 3, rng.random() < 0.8
        rank(tree, agents, a, figures[a], up[a])
        offered = np.where(up, figures, math.inf)
        best = np.flatnonzero(up & (offered == offered.min()))
        assert tree[:2].tolist() == [offered.min(), best.size]
        assert [nth_lowest(tree, n) for n in range(best.size)] == best.tolist()


def test_what_is_not_lowest_changes_the_nodes_up_to_a_lower_one() -> None:
    tree = np.zeros(ranking_size(16))
    tree[::2] = math.inf
    for a in range(16):
        rank(tree, 16, a, 1.0 + a, 1)
    before = tree.copy()
    rank(tree, 16, 6, 9.0, 1)  # 5 is lower than 6, and its neighbour
    assert np.flatnonzero(tree != before).tolist() == [2 * (5 + 6)]
    assert (tree[0], tree[2 * 2]) == (1.0, 5.0)
