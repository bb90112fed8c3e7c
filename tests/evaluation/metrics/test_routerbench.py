"""Hull, AIQ, zero router and oracle, by hand and by their invariances."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import CorpusError
from routingsim.evaluation import (
    aiq,
    non_decreasing_hull,
    oracle,
    zero_router,
)

NAN = math.nan


# Round numbers: the exactness of denormal ones is not what is tested.
coarse = st.integers(0, 1000).map(lambda n: n / 100), st.integers(0, 64).map(lambda n: n / 64)
points = st.lists(st.tuples(*coarse), min_size=1, max_size=12)


@pytest.mark.slow
@given(points)
def test_hull_contains_all_points_and_is_reached_by_mixing(rows: list[tuple[float, float]]) -> None:
    cost, quality = np.array(rows).T
    hull = non_decreasing_hull(cost, quality)
    assert (hull.at(cost) >= quality - 1e-9).all()
    assert np.array_equal(hull.cost, cost[hull.index])
    assert np.array_equal(hull.quality, quality[hull.index])
    assert (np.diff(hull.cost) > 0).all()
    assert (np.diff(hull.quality) > 0).all()
    if hull.cost.size > 2:
        widths = np.diff(hull.cost)
        rises = np.diff(hull.quality)
        assert (rises[1:] * widths[:-1] <= rises[:-1] * widths[1:] + 1e-12).all()  # concave


@pytest.mark.slow
@given(points, st.floats(0, 10))
def test_hull_is_the_best_mix_of_two_points(rows: list[tuple[float, float]], at: float) -> None:
    cost, quality = np.array(rows).T
    at = max(at, cost.min())
    best = -1.0
    for (c1, q1), (c2, q2) in itertools.product(rows, rows):
        if c1 <= at:
            best = max(best, q1)  # money left over buys nothing
            if at < c2:
                best = max(best, q1 + (q2 - q1) * (at - c1) / (c2 - c1))
    assert float(non_decreasing_hull(cost, quality).at(at)) == pytest.approx(best, abs=1e-6)


@pytest.mark.slow
@given(points)
def test_aiq_lies_between_the_hull_ends(rows: list[tuple[float, float]]) -> None:
    cost, quality = np.array(rows).T
    hull = non_decreasing_hull(cost, quality)
    found = aiq(cost, quality)
    assert hull.quality[0] - 1e-9 <= found <= hull.quality[-1] + 1e-9
    # A point more can only help over the same range.
    more = aiq([*cost, cost.mean()], [*quality, 1.0], c_min=cost.min(), c_max=cost.max())
    assert more >= found - 1e-9
    # The unit of cost does not matter.
    assert aiq(1000 * cost, quality) == pytest.approx(found, rel=1e-6, abs=1e-9)


def test_aiq_by_hand() -> None:
    cost, quality = [1, 3, 2], [0.4, 0.8, 0.5]
    assert aiq(cost, quality) == pytest.approx(0.6)  # the point below the chord is no corner
    assert aiq(cost, quality, c_min=1, c_max=5) == pytest.approx((2 * 0.6 + 2 * 0.8) / 4)
    # Below the cheapest: mixed with the router that answers nothing for nothing.
    assert aiq(cost, quality, c_min=0, c_max=3) == pytest.approx((0.2 + 2 * 0.6) / 3)
    assert aiq([2, 2], [0.1, 0.3]) == pytest.approx(0.3)
    # A dearer and worse point widens the range and adds no corner.
    assert aiq([1, 3, 5], [0.4, 0.8, 0.1]) == pytest.approx((2 * 0.6 + 2 * 0.8) / 4)


@pytest.mark.parametrize(
    ("cost", "quality", "said"),
    [([-1, 2], [0, 1], "no NaN"), ([1, NAN], [0, 1], "no NaN"), ([1], [0, 1], "2 values for 1")],
)
def test_bad_points_are_refused(cost, quality, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        non_decreasing_hull(cost, quality)


def test_bad_range_is_refused() -> None:
    with pytest.raises(CorpusError, match="c_min <= c_max"):
        aiq([1, 2], [0, 1], c_min=2, c_max=1)


def test_zero_router_leaves_out_and_counts() -> None:
    quality = [[0.0, 1.0], [1.0, 1.0], [NAN, 1.0]]
    cost = [[1.0, 3.0], [1.0, 5.0], [1.0, 9.0]]
    hull = zero_router(quality, cost)
    assert hull.left_out == 1
    assert hull.cost.tolist() == [1.0, 4.0]
    assert hull.quality.tolist() == [0.5, 1.0]
    assert float(hull.at(2.5)) == pytest.approx(0.75)


def test_oracle_takes_the_cheapest_among_the_best() -> None:
    quality = [[1, 1, 0], [0, 0, 0], [0.5, 0.6, NAN], [NAN, NAN, NAN], [NAN, 0.1, 0.1]]
    cost = [[2, 1, 0], [3, 2, 2], [1, 9, 0], [5, 4, 6], [0, NAN, 7]]
    assert oracle(quality, cost).tolist() == [1, 1, 1, 1, 2]


def test_oracle_gives_equals_the_same_chance() -> None:
    quality, cost = np.ones((3000, 4)), np.tile([2.0, 1.0, 1.0, 1.0], (3000, 1))
    counts = np.bincount(oracle(quality, cost), minlength=4)
    assert counts[0] == 0
    assert abs(counts[1:] - 1000).max() < 4 * (3000 * 2 / 9) ** 0.5  # four standard errors
    assert (oracle(quality, cost) == oracle(quality, cost)).all()
    assert (oracle(quality, cost) != oracle(quality, cost, seed=1)).any()
