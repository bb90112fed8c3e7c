"""Outcome matrices and choices are checked; means count what they leave out."""

import math

import numpy as np
import pytest

from routingsim.errors import CorpusError
from routingsim.evaluation import (
    cumulative_regret,
    gains,
    oracle,
)
from routingsim.evaluation.outcomes import mean_of


@pytest.mark.parametrize(
    ("chosen", "said"),
    [([0, 2], "columns go from 0 to 1"), ([0], "2 whole numbers"), ([0.0, 1.0], "whole numbers")],
)
def test_bad_choices_are_refused(chosen, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        cumulative_regret([[1, 0], [0, 1]], chosen)


def test_bad_matrices_are_refused() -> None:
    with pytest.raises(CorpusError, match="a row per task"):
        gains([1.0, 2.0], [0, 0])
    with pytest.raises(CorpusError, match=r"\(2, 1\).*\(2, 2\)"):
        oracle([[1, 0], [0, 1]], [[1], [0]])


def test_what_is_no_array_of_numbers_is_refused() -> None:
    with pytest.raises(CorpusError, match="rewards: not an array of numbers"):
        gains("good", [0])
    with pytest.raises(CorpusError, match="rewards: not an array of numbers"):
        gains([[1.0], [1.0, 2.0]], [0, 0])
    with pytest.raises(CorpusError, match=r"rewards: infinite at \(1, 0\)"):
        gains([[1.0, 0.0], [math.inf, 0.0]], [0, 0])


def test_a_mean_says_what_it_leaves_out() -> None:
    found = mean_of(np.array([1.0, math.nan, 2.0]))
    assert (found.value, found.tasks, found.left_out) == (1.5, 2, 1)
    assert str(found) == "1.5 (2 tasks, 1 left out)"
    assert str(mean_of(np.array([1.0, 3.0]))) == "2 (2 tasks)"
    none = mean_of(np.array([math.nan]))
    assert math.isnan(float(none))
    assert (none.tasks, none.left_out) == (0, 1)
