import numpy as np
import pytest
from numpy.typing import NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.outcome_model import Features
from routingsim.evaluation.propensities import (
    Calibration,
    balance,
    calibration,
    estimated,
    read_propensities,
    weights_balanced,
)

NAMES = ("a", "b", "c")


def drawn(played: NDArray, seed: int) -> NDArray:
    rng = np.random.default_rng(seed)
    return (rng.random((len(played), 1)) > played.cumsum(axis=1)[:, :-1]).sum(axis=1)


def test_two_agents_or_certain_choices_are_completed() -> None:
    two = read_propensities([0.3, 0.6], np.array([0, 1]), 2)
    np.testing.assert_allclose(two.full, [[0.3, 0.7], [0.4, 0.6]])  # type: ignore[arg-type]
    assert not two.deterministic
    sure = read_propensities([1.0, 1.0], np.array([2, 0]), 3)
    np.testing.assert_array_equal(sure.full, [[0, 0, 1], [1, 0, 0]])  # type: ignore[arg-type]
    assert sure.deterministic
    assert read_propensities([0.5, 1.0], np.array([2, 0]), 3).full is None


def test_rows_without_an_agent_are_not_read() -> None:
    found = read_propensities([[np.nan, np.nan], [0.2, 0.8]], np.array([-1, 1]), 2)
    assert np.isnan(found.chosen[0])
    assert found.chosen[1] == 0.8
    with pytest.raises(CorpusError, match="at task 0"):
        read_propensities([[np.nan, np.nan], [0.2, 0.8]], np.array([0, 1]), 2)
    with pytest.raises(CorpusError, match=r"1\.5 at task 0"):
        read_propensities([1.5, 0.5], np.array([0, 1]), 2)


@pytest.mark.slow
def test_estimates_recover_what_was_played() -> None:
    x = np.random.default_rng(0).standard_normal((4000, 1))
    odds = np.exp(np.column_stack([np.zeros(4000), x[:, 0], -1 - x[:, 0]]))
    played = odds / odds.sum(axis=1, keepdims=True)
    chosen = drawn(played, 1)
    found = estimated(x, np.arange(4000) % 5, chosen, 4)
    assert not found.recorded
    assert found.full is not None
    assert np.abs(found.full[:, :3] - played).mean() < 0.02
    assert (found.full[:, 3] == 0).all()  # never chosen
    np.testing.assert_allclose(found.full.sum(axis=1), 1)
    share = estimated(np.zeros((4000, 0)), np.arange(4000) % 5, chosen, 3).full
    np.testing.assert_allclose(share[0], np.bincount(chosen) / 4000, atol=0.02)  # type: ignore[index]


def test_the_largest_discrepancy_is_named() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal(3000)
    features = Features(np.column_stack([rng.standard_normal(3000), x]), ("noise", "hardness"))
    played = np.full((3000, 3), 1 / 3)
    right = calibration(
        read_propensities(played, drawn(played, 2), 3), drawn(played, 2), features, NAMES
    )
    assert right is not None
    assert right.passed
    tilted = played + np.column_stack([np.zeros(3000), 0.1 * np.sign(x), -0.1 * np.sign(x)])
    chosen = drawn(tilted, 2)
    wrong = calibration(read_propensities(played, chosen, 3), chosen, features, NAMES)
    assert wrong is not None
    assert not wrong.passed
    assert "hardness" in wrong.largest
    assert "do not agree" in str(wrong)
    counts = np.tile([0.4, 0.3, 0.3], (3000, 1))
    chosen = drawn(counts, 2)
    wrong = calibration(read_propensities(played, chosen, 3), chosen, features, NAMES)
    assert wrong is not None
    assert wrong.largest == "agent a, number of choices"


def test_a_wrong_temperature_is_found() -> None:
    rng = np.random.default_rng(6)
    odds = np.exp(rng.standard_normal((3000, 3)))
    played = odds / odds.sum(axis=1, keepdims=True)
    sharper = odds**1.4 / (odds**1.4).sum(axis=1, keepdims=True)
    chosen = drawn(played, 3)
    features = Features(np.zeros((3000, 0)), ())
    found = calibration(read_propensities(sharper, chosen, 3), chosen, features, NAMES)
    assert found is not None
    assert not found.passed
    assert "its own propensity" in found.largest


def test_nothing_left_to_chance_passes() -> None:
    chosen = np.arange(30) % 3
    found = calibration(
        read_propensities(np.ones(30), chosen, 3), chosen, Features(np.zeros((30, 0)), ()), NAMES
    )
    assert found is not None
    assert found.passed
    assert found.largest == "no choice left to chance"


def test_weights_are_balanced_beside_features() -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal(4000)
    beside = balance(Features(x[:, np.newaxis], ("hardness",)))
    always = np.tile([0.0, 1.0], (4000, 1))

    def found(chosen: NDArray, weight: float = 5.0) -> Calibration:
        return weights_balanced(weight * chosen, always, chosen, 0.2, beside)

    assert found((rng.random(4000) < 0.2).astype(int)).passed
    tilted = found((rng.random(4000) < 0.2 + 0.1 * np.sign(x)).astype(int))
    assert not tilted.passed
    assert tilted.largest == "hardness"
    often = found((rng.random(4000) < 0.3).astype(int))
    assert not often.passed
    assert often.largest == "number of choices"
    assert not found(np.zeros(4000, dtype=int)).passed


def test_weights_that_are_all_1_are_looked_at_agent_by_agent() -> None:
    # Recorded as uniform: the weights of a uniform policy are 1 whatever was chosen.
    rng = np.random.default_rng(8)
    x = rng.standard_normal(3000)
    beside = balance(Features(x[:, np.newaxis], ("hardness",)))
    uniform = np.full((3000, 3), 1 / 3)
    right = drawn(uniform, 4)
    assert weights_balanced(np.ones(3000), uniform, right, 1 / 3, beside).passed
    tilted = uniform + np.column_stack([np.zeros(3000), 0.1 * np.sign(x), -0.1 * np.sign(x)])
    wrong = weights_balanced(np.ones(3000), uniform, drawn(tilted, 4), 1 / 3, beside)
    assert not wrong.passed
    assert wrong.largest == "hardness"


@pytest.mark.slow
def test_right_weights_pass_at_the_promised_rate() -> None:
    # 1,000 logs of a router that follows the feature; .001 are to fail by chance.
    rng = np.random.default_rng(9)
    failed = 0
    for _ in range(1000):
        x = rng.standard_normal(600)
        played = 0.7 * np.eye(3)[np.digitize(x, [-0.43, 0.43])] + 0.1
        chosen = (rng.random((600, 1)) > played.cumsum(axis=1)[:, :-1]).sum(axis=1)
        target = np.tile([0.0, 0.0, 1.0], (600, 1))
        weight = (chosen == 2) / played[:, 2]
        beside = balance(Features(x[:, np.newaxis], ("hardness",)))
        failed += not weights_balanced(weight, target, chosen, 0.1, beside).passed
    assert failed <= 6
