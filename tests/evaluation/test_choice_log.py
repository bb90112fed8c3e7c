import numpy as np
import pytest

from routingsim.errors import CorpusError
from routingsim.evaluation.choice_log import choice_log, choice_probabilities
from routingsim.evaluation.outcome_model import Features


def plain_features(tasks: int) -> Features:
    """No feature: the outcome model is the mean of each agent in the other folds."""
    return Features(np.zeros((tasks, 0)), ())


def test_runs_and_probabilities() -> None:
    runs = np.array([[0, 1, 2], [0, 2, -1], [1, 1, 2]])
    np.testing.assert_allclose(
        choice_probabilities(runs, 3, 3), [[2 / 3, 1 / 3, 0], [0, 2 / 3, 1 / 3], [0, 0, 1]]
    )
    np.testing.assert_array_equal(choice_probabilities([1, 0], 2, 2), [[0, 1], [1, 0]])
    given = np.array([[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_array_equal(choice_probabilities(given, 2, 2), given)


def test_bad_logs_are_refused() -> None:
    features = plain_features(4)
    for chosen, propensity, said in [
        ([0, 1, 2, 0], None, "0 to 1, or -1"),
        ([0.0, 1, 0, 0], None, "whole number"),
        ([-1, -1, -1, -1], None, "no task was served"),
        ([0, 1, 0, 0], [0.5, 0.0, 0.5, 0.5], "0.0 at task 1"),
        ([0, 1, 0, 0], [0.5, np.nan, 0.5, 0.5], "nan at task 1"),
        ([0, 1, 0, 0], [0.5, 0.5], r"shape \(2,\)"),
        ([0, 1, 0, 0], [[0.5, 0.5], [0.6, 0.5], [1, 0], [1, 0]], "sum to 1"),
    ]:
        with pytest.raises(CorpusError, match=said):
            choice_log(chosen, ["a", "b"], propensity=propensity, features=features)
    with pytest.raises(CorpusError, match="3 texts"):
        choice_log([0, 1], ["a", "b"], texts=["one", "two", "three"])


def test_bad_policies_are_refused() -> None:
    for target, said in [
        ([0, 1, 2, 0], "from 0 to 1"),
        ([0, 1, 1], "shape"),
        ([-1, 0, 0, 0], "task 0 has none"),
        (np.full((4, 2), 0.6), "sum to 1"),
        (np.full((4, 3), 1 / 3), "shape"),
    ]:
        with pytest.raises(CorpusError, match=said):
            choice_probabilities(target, 4, 2)
