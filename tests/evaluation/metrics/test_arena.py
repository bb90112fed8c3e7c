"""RouterArena's metrics by hand and at their bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import CorpusError
from routingsim.evaluation import (
    arena_score,
    cost_ratio,
    cost_score,
    optimal_selection,
    robustness,
)

NAN = math.nan
unit = st.floats(0, 1, allow_subnormal=False)


def test_cost_score_is_1_at_the_floor_and_0_at_the_ceiling() -> None:
    assert cost_score(0.0044) == pytest.approx(1)
    assert cost_score(0) == pytest.approx(1)
    assert cost_score(200) == 0
    assert cost_score(5000) == 0
    # Halving the price adds as much wherever it is done.
    assert cost_score(1) - cost_score(2) == pytest.approx(cost_score(50) - cost_score(100))


@given(unit, st.floats(0.01, 200), unit, st.floats(0.01, 200))
def test_arena_score_rises_with_accuracy_and_falls_with_cost(a, c, b, d) -> None:
    score = arena_score(a, c)
    assert 0 <= score <= 1.1
    assert arena_score(max(a, b), min(c, d)) >= score - 1e-12


@pytest.mark.parametrize(("accuracy", "cost"), [(1.2, 1), (NAN, 1), (0.5, -1), (0.5, NAN)])
def test_arena_score_refuses_what_is_out_of_range(accuracy: float, cost: float) -> None:
    with pytest.raises(CorpusError, match="is needed"):
        arena_score(accuracy, cost)


def test_optimal_selection_and_cost_ratio_by_hand() -> None:
    quality = [[1, 1], [1, 1], [0, 1], [0, 0], [NAN, 1], [1, 0]]
    cost = [[1, 4], [1, 4], [1, 4], [1, 4], [1, 4], [1, 4]]
    chosen = [0, 1, 0, 1, 1, 0]
    share = optimal_selection(quality, cost, chosen)
    assert (share.value, share.tasks, share.left_out) == (0.5, 4, 2)
    # As good as the oracle on tasks 0, 1, 3 and 5: it pays 1 + 1 + 1 + 1, we paid 1 + 4 + 4 + 1.
    ratio = cost_ratio(quality, cost, chosen)
    assert (ratio.value, ratio.tasks, ratio.left_out) == (0.4, 4, 2)
    assert str(ratio) == "0.4 (4 tasks, 2 left out)"


def test_cost_ratio_where_nothing_or_everything_is_free() -> None:
    assert cost_ratio([[1.0, 0]], [[0.0, 0]], [0]).value == 1
    assert math.isnan(cost_ratio([[1.0, 0]], [[0.0, 0]], [1]).value)


def test_robustness_counts_flips() -> None:
    assert float(robustness(["a", "b", "a", "c"], ["a", "b", "c", "c"])) == 0.75
    with pytest.raises(CorpusError, match="one per task"):
        robustness([1, 2], [1])
