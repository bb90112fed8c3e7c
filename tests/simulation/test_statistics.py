"""Intervals, exact quantiles and slopes."""

import math

import numpy as np
import pytest
from scipy import stats

from routingsim.simulation.statistics import (
    Interval,
    hall_interval,
    of_means,
    quantiles,
)


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


def test_an_interval_of_batches_by_hand() -> None:
    """Means 1, 2 and 6, whose mean is 3."""
    found = of_means(np.array([1.0, 2.0, 6.0]))
    assert found.mean == 3
    assert found.half_width == pytest.approx(4.302653 * math.sqrt(7) / math.sqrt(3), rel=1e-6)
    assert (found.low, found.high) == (3 - found.half_width, 3 + found.half_width)
    assert str(Interval(1.2345678, 0.0123)) == "1.235 ± 0.012"
    assert str(Interval(0.000231, 8.2e-6)) == "0.0002310 ± 0.0000082"


def test_a_wider_level_is_a_wider_interval() -> None:
    means = np.random.default_rng(0).normal(size=30)
    assert of_means(means, level=0.99).half_width > of_means(means).half_width


def test_an_interval_may_be_skewed() -> None:
    found = Interval(10.0, 3.0, shift=1.0)
    assert (found.low, found.high) == (8.0, 14.0)
    assert str(found) == "10 (8 to 14)"
    assert str(Interval(10.0, 3.0)) == "10.0 ± 3.0"
    assert str(Interval(10.0, math.nan)) == "10"
    other = found.scaled(-2.0)
    assert (other.mean, other.low, other.high) == (-20.0, -28.0, -16.0)
    assert found == Interval(10.0, 3.0, shift=1.0, method="ten runs", runs=10)
    cut = found.within(9.0, 12.0)
    assert (cut.mean, cut.low, cut.high) == (10.0, 9.0, 12.0)
    assert found.within(0.0, math.inf) is found
    assert math.isnan(Interval(-1.0, math.nan).within(0.0, 1.0).half_width)


def test_hall_interval_by_hand() -> None:
    """Of 0, 0, 0, 8: mean 2, s 4, skewness 2/sqrt(3), times 9/4; t of 3 degrees is 3.18245.

    Without skewness it is Student's; with it, the end in the long tail is far out, and the other
    no nearer than Student's.
    """
    student = 3.182446 * 4 / 2
    found = hall_interval([0, 0, math.nan, 0, 8])
    assert found.mean == 2
    assert found.runs == 4
    assert found.low == pytest.approx(2 - student, rel=1e-6)
    g, n, x = 2 / math.sqrt(3) * 9 / 4, 4, -3.182446
    root = math.copysign(
        abs(1 + g * (x / 2 - g / (6 * n))) ** (1 / 3), 1 + g * (x / 2 - g / (6 * n))
    )
    assert found.high == pytest.approx(2 - 4 / 2 * (3 * 2 / g * (root - 1)), rel=1e-6)
    assert found.high > 2 + student
    mirrored = hall_interval([0, 0, 0, -8])
    assert (mirrored.low, mirrored.high) == (-found.high, -found.low)
    even = hall_interval([-2, 0, 2])
    assert even.shift == pytest.approx(0)
    assert even.half_width == pytest.approx(stats.t.ppf(0.975, 2) * 2 / math.sqrt(3))


def test_a_hall_interval_needs_three_values() -> None:
    assert math.isnan(hall_interval([1.0, 2.0]).half_width)
    assert hall_interval([1.0, 2.0]).mean == 1.5
    assert math.isnan(hall_interval([]).mean)
    assert hall_interval([0.1 + 0.2, 0.3, 0.3]).half_width == 0
    assert hall_interval([1, 2, 4], level=0.99).high > hall_interval([1, 2, 4]).high


@pytest.mark.parametrize("law", ["exponential", "lognormal"])
def test_hall_intervals_hold_where_students_do_not(law: str) -> None:
    rng = np.random.default_rng(4)
    draws = getattr(rng, law)(size=(1_000, 10))
    truth = 1.0 if law == "exponential" else math.exp(0.5)
    held = np.mean([each.low <= truth <= each.high for each in map(hall_interval, draws)])
    width = stats.t.ppf(0.975, 9) * draws.std(axis=1, ddof=1) / math.sqrt(10)
    student = np.mean(abs(draws.mean(axis=1) - truth) <= width)
    print(law, held, student)
    assert student < held - 0.03
    assert held > (0.93 if law == "exponential" else 0.9)
