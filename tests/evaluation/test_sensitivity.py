import math
from itertools import product

import numpy as np
import pytest

from routingsim.evaluation.sensitivity import Arm, sensitivity


def example(seed: int, size: int = 9) -> Arm:
    rng = np.random.default_rng(seed)
    share = np.round(rng.random(size), 1)
    return Arm(share, 1 / rng.uniform(0.1, 0.9, size) - 1, rng.standard_normal(size), mass=0.8)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 4.0])
def test_extremes_are_those_of_all_corners(seed: int, gamma: float) -> None:
    arm = example(seed)
    found = []
    for corner in product((gamma, 1 / gamma), repeat=9):
        weight = arm.share * (1 + arm.odds * np.array(corner))
        found.append(0.8 * float(weight @ arm.residual / weight.sum()))
    assert arm.extreme(gamma, 1)[0] == pytest.approx(max(found))
    assert arm.extreme(gamma, -1)[0] == pytest.approx(min(found))


def test_certain_choices_leave_nothing_to_hide() -> None:
    arm = Arm(np.ones(3), np.zeros(3), np.array([0.5, -1.0, 2.0]))
    assert arm.extreme(50.0, 1)[0] == arm.extreme(50.0, -1)[0] == pytest.approx(0.5)
    # Kish's error of a plain mean: the root of the sum of squares over the number.
    assert arm.extreme(1.0, 1)[1] == pytest.approx(math.sqrt(0 + 2.25 + 2.25) / 3)


def test_curve_by_hand() -> None:
    # Two records of one agent at even odds, residuals ±1: the mean is (G - 1/G)/(2 + G + 1/G).
    arm = Arm(np.ones(2), np.ones(2), np.array([1.0, -1.0]))
    curve = sensitivity(0.3, 0.0, arm, gammas=(1.0, 2.0, 3.0), against=0.0)
    shift = [(g - 1 / g) / (2 + g + 1 / g) for g in (1.0, 2.0, 3.0)]
    np.testing.assert_allclose(curve.low, 0.3 - np.array(shift))
    np.testing.assert_allclose(curve.high, 0.3 + np.array(shift))
    # (G - 1)/(G + 1) = .3 at G = 13/7.
    assert curve.turns == pytest.approx(13 / 7, rel=1e-6)
    assert str(curve) == "the answer turns at Γ = 1.86"


def test_intervals_widen_and_contain_the_bounds(seed: int) -> None:
    plus, minus = example(seed), example(seed + 1)
    curve = sensitivity(0.5, 0.1, plus, minus, against=0.0)
    assert (curve.low[0], curve.high[0]) == pytest.approx((0.5, 0.5))
    assert curve.interval_low[0] == pytest.approx(0.4)
    assert (np.diff(curve.low) <= 1e-12).all()
    assert (np.diff(curve.high) >= -1e-12).all()
    assert (curve.interval_low <= curve.low - 0.1 + 1e-12).all()
    assert (curve.interval_high >= curve.high + 0.1 - 1e-12).all()


def test_where_answers_turn() -> None:
    arm = Arm(np.ones(2), np.ones(2), np.array([1.0, -1.0]))
    assert sensitivity(0.05, 0.1, arm, against=0.0).turns == 1
    assert math.isinf(sensitivity(5.0, 0.1, arm, against=0.0).turns)
    assert math.isnan(sensitivity(5.0, 0.1, arm).turns)
    assert math.isnan(sensitivity(math.nan, math.nan, arm, against=0.0).turns)
    negative = sensitivity(-0.3, 0.0, arm, against=0.0)
    assert negative.turns == pytest.approx(13 / 7, rel=1e-6)
    assert "even without" in str(sensitivity(0.05, 0.1, arm, against=0.0))
    assert "holds up to" in str(sensitivity(5.0, 0.1, arm, against=0.0))
    assert "no answer" in str(sensitivity(5.0, 0.1, arm))
