"""Intervals, exact quantiles and slopes."""

import math

import numpy as np
import pytest

from routingsim.simulation.statistics import Interval, batch_means, quantiles, slope_t


def test_quantiles_are_values_that_occurred() -> None:
    values = np.arange(1, 101)[::-1]
    np.testing.assert_array_equal(quantiles(values, [0.5, 0.9, 0.95, 0.99, 1.0]),
                                  [50, 90, 95, 99, 100])  # fmt: skip
    assert quantiles([1.0, 2.0], 0.5) == 1.0
    assert quantiles([3.0, math.nan, 1.0], 1.0) == 3.0
    assert np.isnan(quantiles([math.nan], [0.5, 0.9])).all()


def test_quantiles_leave_their_input_alone() -> None:
    values = np.array([3.0, 1.0, 2.0])
    quantiles(values, 0.5)
    np.testing.assert_array_equal(values, [3, 1, 2])


def test_batch_means_by_hand() -> None:
    """Three batches of two after the first value: means 1, 2, 6, whose mean is 3."""
    found = batch_means([100, 0, 2, 1, 3, 5, 7], batches=3)
    assert found.mean == 3
    assert found.half_width == pytest.approx(4.302653 * math.sqrt(7) / math.sqrt(3), rel=1e-6)
    assert (found.low, found.high) == (3 - found.half_width, 3 + found.half_width)
    assert str(Interval(1.2345678, 0.0123)) == "1.235 ± 0.012"


def test_a_wider_level_is_a_wider_interval() -> None:
    values = np.random.default_rng(0).normal(size=3_000)
    assert batch_means(values, level=0.99).half_width > batch_means(values).half_width


def test_too_few_values_have_no_interval() -> None:
    assert math.isnan(batch_means(np.arange(59), 30).half_width)
    assert batch_means([1, 3], 30).mean == 2
    assert math.isnan(batch_means([], 30).mean)
    assert batch_means([math.nan, 1, 3, math.nan, 1, 3], 2).mean == 2


def test_slope_against_the_textbook() -> None:
    """Of 0, 1, 2, 4: slope 1.3, residual variance 0.15, so t = 1.3 / sqrt(0.15 / 5)."""
    assert slope_t([0, 1, 2, 4]) == pytest.approx(1.3 / math.sqrt(0.15 / 5))
    assert slope_t([5, 5, 5, 5]) == 0
    assert slope_t([1, 2]) == 0
    assert slope_t([3, 2, 1]) < -1e6
