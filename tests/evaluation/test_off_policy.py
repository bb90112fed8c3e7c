"""Estimates from logs against the true value, on the full outcome matrix of real data."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from routingsim.corpora.datasets import load_corpus
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation import Estimate, doubly_robust, ips, snips
from routingsim.evaluation.off_policy import SMALL_SAMPLE

Z = 4.5


@pytest.fixture(scope="module")
def rewards(shared_data: Path) -> NDArray[np.float64]:
    return load_corpus(shared_data / "paretobandit_val_k4.jsonl").outcomes["quality"]


@pytest.fixture(scope="module")
def target(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """A policy that mostly plays the agent that is best by a noisy guess."""
    guess = rewards + np.random.default_rng(1).normal(scale=0.3, size=rewards.shape)
    return np.where(guess == guess.max(axis=1, keepdims=True), 0.85, 0.05)


def log_of(rewards: NDArray, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Decisions of a policy that prefers the cheap agent, with their propensities."""
    rng = np.random.default_rng(seed)
    play = np.array([0.55, 0.15, 0.1, 0.2])
    chosen = rng.choice(4, size=len(rewards), p=play)
    return chosen, play[chosen], rewards[np.arange(len(rewards)), chosen]


def predictions(rewards: NDArray) -> NDArray:
    return np.broadcast_to([0.75, 0.9, 0.95, 0.9], rewards.shape)


def estimates(rewards: NDArray, target: NDArray, seed: int) -> list[Estimate]:
    log = log_of(rewards, seed)
    return [
        ips(*log, target),
        snips(*log, target),
        doubly_robust(*log, target, predictions(rewards)),
    ]


def test_estimates_meet_the_true_value(rewards: NDArray, target: NDArray) -> None:
    true = float((target * rewards).sum(axis=1).mean())
    for found in estimates(rewards, target, seed=2026):
        # The spread over logs of these very tasks is a little less than the interval's,
        # which also allows for other tasks.
        z = (found.interval.mean - true) / (found.interval.half_width / 1.96)
        print(f"{found}; true {true:.4f}, z = {z:+.2f}")
        assert abs(z) <= Z
        assert found.notes == ()


def test_estimates_are_unbiased_and_intervals_cover(rewards: NDArray, target: NDArray) -> None:
    # Tasks are drawn anew as well: the interval is of the mean over all such tasks.
    true = float((target * rewards).sum(axis=1).mean())
    runs = []
    for seed in range(300):
        rows = np.random.default_rng(10_000 + seed).integers(0, len(rewards), len(rewards))
        runs.append(estimates(rewards[rows], target[rows], seed))
    for method in range(3):
        mean = np.array([run[method].interval.mean for run in runs])
        half = np.array([run[method].interval.half_width for run in runs])
        z = (mean.mean() - true) / (mean.std(ddof=1) / math.sqrt(len(runs)))
        covered = float((np.abs(mean - true) <= half).mean())
        print(f"{runs[0][method].method}: z = {z:+.2f}, coverage {covered:.3f}")
        assert abs(z) <= Z
        assert 0.90 < covered < 0.985


def test_predictions_narrow_the_interval(rewards: NDArray, target: NDArray) -> None:
    plain, normalised, robust = estimates(rewards, target, seed=3)
    assert robust.interval.half_width < 0.6 * plain.interval.half_width
    assert normalised.interval.half_width < 0.6 * plain.interval.half_width


def test_perfect_predictions_need_no_log(rewards: NDArray, target: NDArray) -> None:
    found = doubly_robust(*log_of(rewards, 5), target, rewards)
    assert found.interval.mean == pytest.approx((target * rewards).sum(axis=1).mean(), abs=1e-12)


def test_right_predictions_outweigh_wrong_propensities(rewards: NDArray, target: NDArray) -> None:
    chosen, propensity, reward = log_of(rewards, 6)
    true = float((target * rewards).sum(axis=1).mean())
    wrong = np.clip(1.7 * propensity, 0, 1)
    biased = ips(chosen, wrong, reward, target)
    assert abs(biased.interval.mean - true) > biased.interval.half_width
    assert any("not 1" in note for note in biased.notes)
    found = doubly_robust(chosen, wrong, reward, target, rewards)
    assert found.interval.mean == pytest.approx(true, abs=1e-12)


def test_by_hand() -> None:
    chosen, propensity, reward = [0, 1, 1], [0.5, 0.25, 0.5], [1.0, 0.0, 0.5]
    target = [[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]]  # weights 2, 2, 1.5
    assert ips(chosen, propensity, reward, target).interval.mean == pytest.approx(2.75 / 3)
    found = snips(chosen, propensity, reward, target)
    assert found.interval.mean == pytest.approx(2.75 / 5.5)
    assert found.effective_sample_size == pytest.approx(5.5**2 / (4 + 4 + 2.25))
    guess = [[0.5, 0.5]] * 3
    robust = doubly_robust(chosen, propensity, reward, target, guess)
    assert robust.interval.mean == pytest.approx((0.5 * 3 + 2 * 0.5 - 2 * 0.5 + 0) / 3)


def test_a_log_of_the_policy_itself_is_worth_all_of_it(rewards: NDArray) -> None:
    play = np.tile([0.55, 0.15, 0.1, 0.2], (len(rewards), 1))
    chosen, propensity, reward = log_of(rewards, 8)
    for method in (ips, snips):
        found = method(chosen, propensity, reward, play)
        assert found.effective_sample_size == pytest.approx(len(rewards))
        assert found.interval.mean == pytest.approx(reward.mean())


def test_missing_rewards_are_left_out_and_counted(rewards: NDArray, target: NDArray) -> None:
    chosen, propensity, reward = log_of(rewards, 9)
    reward = reward.copy()
    reward[:100] = np.nan
    found = ips(chosen, propensity, reward, target)
    assert (found.tasks, found.left_out) == (len(rewards) - 100, 100)
    rest = ips(chosen[100:], propensity[100:], reward[100:], target[100:])
    assert found.interval == rest.interval


def test_small_samples_come_with_a_warning(rewards: NDArray) -> None:
    # The log hardly ever plays what the policy always does.
    rng = np.random.default_rng(4)
    chosen = np.where(rng.random(len(rewards)) < 0.02, 2, 0)
    propensity = np.where(chosen == 2, 0.02, 0.98)
    reward = rewards[np.arange(len(rewards)), chosen]
    always = np.tile([0.0, 0, 1, 0], (len(rewards), 1))
    found = snips(chosen, propensity, reward, always)
    assert found.effective_sample_size == pytest.approx((chosen == 2).sum())
    assert found.effective_sample_size < SMALL_SAMPLE
    assert "effective sample size" in found.notes[0]
    assert "effective sample size" in str(found)
    tiny = ips([0, 1, 0], [0.9, 0.01, 0.9], [1.0, 1.0, 1.0], [[0.5, 0.5]] * 3)
    assert any("one decision carries" in note for note in tiny.notes)


def test_a_log_that_never_plays_an_agent_is_found_out(rewards: NDArray) -> None:
    chosen = np.zeros(len(rewards), dtype=int)
    even = np.full(rewards.shape, 0.25)
    found = ips(chosen, np.ones(len(rewards)), rewards[:, 0], even)
    assert any("average 0.250, not 1" in note for note in found.notes)
    never = np.tile([0.0, 1, 0, 0], (len(rewards), 1))
    with pytest.raises(CorpusError, match="never chose"):
        snips(chosen, np.ones(len(rewards)), rewards[:, 0], never)


def test_bad_logs_are_refused() -> None:
    good = ([0, 1], [0.5, 0.5], [1.0, 0.0], [[0.5, 0.5], [0.5, 0.5]])
    for position, value, said in [
        (0, [0, 2], "columns go from 0 to 1"),
        (1, [0.5, 0.0], "0.0 at decision 1"),
        (1, [0.5, np.nan], "nan at decision 1"),
        (1, [0.5, 1.5], "above 0 and up to 1"),
        (2, [np.nan, np.nan], "none is known"),
        (2, [1.0], "1 values for 2 tasks"),
        (3, [[0.5, 0.6], [0.5, 0.5]], "sum to 1"),
    ]:
        log = list(good)
        log[position] = value
        with pytest.raises(CorpusError, match=said):
            ips(*log)
    with pytest.raises(CorpusError, match="NaN"):
        doubly_robust(*good, [[np.nan, 0], [0, 0]])
    with pytest.raises(SimulationError, match="confidence level"):
        ips(*good, level=2)
