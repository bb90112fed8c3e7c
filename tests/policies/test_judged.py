"""What a cascade gains by how often its judge errs, worked out by hand."""

import math

import numpy as np
import pytest

from routingsim.policies.judged import expected_quality, turning
from routingsim.policies.policy import Judge


def test_expected_quality_of_two_levels() -> None:
    quality = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 1.0], [0.4, 0.2]])
    judge = Judge(levels=2, bar=0.5)
    perfect = expected_quality(quality, judge, 0.0)
    assert perfect.tolist() == [1.0, 1.0, 0.5, 0.2]
    # Right verdicts in 9 of 10: 0.9 · 1 + 0.1 · 0; 0.1 · 0 + 0.9 · 1; 0.9 · 0.5 + 0.1 · 1; …
    np.testing.assert_allclose(expected_quality(quality, judge, 0.1), [0.9, 0.9, 0.55, 0.22])


def test_expected_quality_of_three_levels_and_of_one() -> None:
    quality = np.array([[0.0, 0.0, 1.0]])
    # Both must be sent on: 0.8 · 0.8.
    assert expected_quality(quality, Judge(levels=3), 0.2) == pytest.approx([0.64])
    assert expected_quality(quality[:, :1], Judge(levels=1), 0.2).tolist() == [0.0]


@pytest.mark.parametrize(
    ("gain", "turns"),
    [
        ([0.2, 0.1, -0.1], 0.2),  # half-way between 0.1 and 0.3
        ([0.2, 0.0, -0.1], 0.1),
        ([0.2, 0.1, 0.05], math.inf),
        ([0.0, 0.1, 0.1], math.nan),
        ([-0.1, 0.1, 0.1], math.nan),
    ],
)
def test_where_a_gain_ends(gain: list[float], turns: float) -> None:
    found = turning(np.array([0.0, 0.1, 0.3]), np.array(gain))
    assert found == pytest.approx(turns, nan_ok=True)
