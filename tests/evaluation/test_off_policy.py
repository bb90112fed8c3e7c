"""Estimates from logs against the true value, on the full outcome matrix of real data."""

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
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


@pytest.mark.slow
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


# Two agents, four decisions; the last reward is unknown. The weights target / propensity of
# the first three are 1.0 / 0.5, 0.5 / 0.25 and 0.75 / 0.5.
CHOSEN, PROPENSITY, REWARD = [0, 1, 1, 0], [0.5, 0.25, 0.5, 1.0], [1.0, 0.0, 0.5, math.nan]
TARGET = [[1.0, 0.0], [0.5, 0.5], [0.25, 0.75], [1.0, 0.0]]
PREDICTED = [[0.5, 0.25], [1.0, 0.5], [0.0, 1.0], [0.0, 0.0]]
Z95, Z80 = 1.959963984540054, 1.2815515655446004


@pytest.mark.parametrize(("level", "quantile"), [(0.95, Z95), (0.8, Z80)])
def test_ips_by_hand(level: float, quantile: float) -> None:
    found = ips(CHOSEN, PROPENSITY, REWARD, TARGET, level=level)
    # Terms w r: 2, 0 and 0.75, whose mean is 11/12.
    spread = math.sqrt(((13 / 12) ** 2 + (11 / 12) ** 2 + (2 / 12) ** 2) / 2)
    assert found.method == "IPS"
    assert found.interval.mean == pytest.approx(11 / 12, abs=1e-12)
    assert found.interval.half_width == pytest.approx(quantile * spread / math.sqrt(3), rel=1e-12)
    assert found.interval.level == level
    assert (found.tasks, found.left_out) == (3, 1)


@pytest.mark.parametrize(("level", "quantile"), [(0.95, Z95), (0.8, Z80)])
def test_snips_by_hand(level: float, quantile: float) -> None:
    found = snips(CHOSEN, PROPENSITY, REWARD, TARGET, level=level)
    # 2.75 / 5.5 = 0.5; deviations w (r - 0.5) over the mean weight 5.5 / 3: 6/11, -6/11 and 0.
    spread = math.sqrt(2 * (6 / 11) ** 2 / 2)
    assert found.method == "SNIPS"
    assert found.interval.mean == pytest.approx(0.5, abs=1e-12)
    assert found.interval.half_width == pytest.approx(quantile * spread / math.sqrt(3), rel=1e-12)
    assert found.interval.level == level
    assert found.effective_sample_size == pytest.approx(5.5**2 / (4 + 4 + 2.25), rel=1e-12)
    assert (found.tasks, found.left_out) == (3, 1)


@pytest.mark.parametrize(("level", "quantile"), [(0.95, Z95), (0.8, Z80)])
def test_doubly_robust_by_hand(level: float, quantile: float) -> None:
    found = doubly_robust(CHOSEN, PROPENSITY, REWARD, TARGET, PREDICTED, level=level)
    # Expected 0.5, 0.75 and 0.75; corrections 2 (1 - 0.5), 2 (0 - 0.5) and 1.5 (0.5 - 1):
    # terms 1.5, -0.25 and 0, whose mean is 5/12.
    spread = math.sqrt(((13 / 12) ** 2 + (8 / 12) ** 2 + (5 / 12) ** 2) / 2)
    assert found.method == "doubly robust"
    assert found.interval.mean == pytest.approx(5 / 12, abs=1e-12)
    assert found.interval.half_width == pytest.approx(quantile * spread / math.sqrt(3), rel=1e-12)
    assert found.interval.level == level
    assert found.effective_sample_size == pytest.approx(5.5**2 / (4 + 4 + 2.25), rel=1e-12)
    assert (found.tasks, found.left_out) == (3, 1)


def test_one_decision_has_no_interval() -> None:
    for found in (
        ips([0], [0.5], [0.25], [[1.0, 0.0]]),
        snips([0], [0.5], [0.25], [[1.0, 0.0]]),
        doubly_robust([0], [0.5], [0.25], [[1.0, 0.0]], [[0.0, 0.0]]),
    ):
        assert found.interval.mean == (0.25 if found.method == "SNIPS" else 0.5)
        assert math.isnan(found.interval.half_width)
        assert (found.tasks, found.left_out, found.effective_sample_size) == (1, 0, 1.0)
        assert found.notes == (
            "effective sample size 1.0 of 1: below 100, so the interval is unreliable",
            "one decision carries 100% of all weight",
        )


def test_two_decisions_have_one() -> None:
    found = ips([0, 0], [0.5, 0.5], [0.0, 1.0], [[1.0, 0.0]] * 2)
    assert found.interval.mean == 1.0
    assert found.interval.half_width == pytest.approx(Z95 * math.sqrt(2) / math.sqrt(2))


def test_the_whole_sentence() -> None:
    found = ips([0, 1] * 100, [0.5] * 200, [1.0, 0.0] * 100, [[0.5, 0.5]] * 200)
    assert found.notes == ()
    half_width = Z95 * math.sqrt(200 * 0.25 / 199) / math.sqrt(200)
    assert str(found) == f"IPS: 0.500 ± {half_width:.2g}, worth 200 of 200 decisions"
    with pytest.raises(FrozenInstanceError):
        found.tasks = 1  # pyright: ignore[reportAttributeAccessIssue]
    noted = replace(found, notes=("first", "second"))
    assert str(noted) == f"{found}; first; second"


def constant(weights: list[float]) -> Estimate:
    """The estimate of a log of one agent with these weights, each 1 or less."""
    weight = np.array(weights)
    target = np.column_stack([weight, 1 - weight])
    return ips(np.zeros(weight.size, int), np.ones(weight.size), np.ones(weight.size), target)


def test_the_warning_of_a_small_sample_begins_below_100() -> None:
    assert constant([1.0] * SMALL_SAMPLE).notes == ()
    (note,) = constant([1.0] * (SMALL_SAMPLE - 1)).notes
    assert note == "effective sample size 99.0 of 99: below 100, so the interval is unreliable"


def test_the_warning_of_one_heavy_decision_begins_above_a_tenth() -> None:
    at, over = constant([1.0] * 10), constant([1.0] * 9)  # each carries a tenth, or a ninth
    assert not any("one decision" in note for note in at.notes)
    assert "one decision carries 11% of all weight" in over.notes


@pytest.mark.parametrize(("agents", "said"), [((0.6, 0.4), True), ((0.5, 0.5), False)])
def test_weights_that_do_not_average_1_are_found_out(
    agents: tuple[float, float], said: bool
) -> None:
    # The log played 600 to 400; the propensities say even. Their weights under a target of
    # these shares average 1.04 with a standard error of 0.0062, or 1 exactly.
    chosen = np.repeat([0, 1], [600, 400])
    found = ips(chosen, np.full(1000, 0.5), np.ones(1000), np.tile(agents, (1000, 1)))
    mean = (600 * agents[0] + 400 * agents[1]) / 500
    assert found.interval.mean == pytest.approx(mean)
    assert found.notes == (
        (
            "weights average 1.040, not 1: propensities are wrong, or the policy would choose "
            "agents that the log never does",
        )
        if said
        else ()
    )


def test_a_mean_weight_within_four_standard_errors_of_1_passes() -> None:
    # Of 1,000 decisions under an even coin with weights 1.2 and 0.8, k and 1,000 - k average
    # 0.8 + 0.4 k / 1,000: 3.95 standard errors from 1 for 562, and 4.01 for 563.
    for ones, noted in ((500, False), (562, False), (563, True), (437, True), (438, False)):
        chosen = np.repeat([0, 1], [ones, 1000 - ones])
        found = ips(chosen, np.full(1000, 0.5), np.ones(1000), np.tile([0.6, 0.4], (1000, 1)))
        assert bool(found.notes) == noted


def test_weights_that_miss_1_by_rounding_pass() -> None:
    chosen, reward = np.zeros(200, int), np.arange(200) % 2
    propensity, target = np.full(200, 0.1 + 0.2), np.tile([0.3, 0.7], (200, 1))
    assert target[0, 0] / propensity[0] != 1
    assert ips(chosen, propensity, reward, target).notes == ()


def test_a_log_without_weight_is_worth_nothing() -> None:
    with pytest.raises(CorpusError, match="all weights are 0: the log never chose an agent"):
        snips([0, 0], [1.0, 1.0], [1.0, 1.0], [[0.0, 1.0]] * 2)
    assert snips([0, 0], [1.0, 1.0], [1.0, 1.0], [[0.5, 0.5]] * 2).interval.mean == 1.0
    found = ips([0, 0], [1.0, 1.0], [1.0, 1.0], [[0.0, 1.0]] * 2)
    assert (found.interval.mean, found.effective_sample_size) == (0.0, 0.0)
    assert found.notes == (
        "effective sample size 0.0 of 2: below 100, so the interval is unreliable",
        "weights average 0.000, not 1: propensities are wrong, or the policy would choose "
        "agents that the log never does",
    )


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


GOOD = ([0, 1], [0.5, 1.0], [1.0, 0.0], [[0.5, 0.5], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("position", "value", "said"),
    [
        (0, [0, 2], "columns go from 0 to 1"),
        (1, [0.5, 0.0], "propensities: 0.0 at decision 1; a probability above 0 and up to 1"),
        (1, [-0.5, 0.5], "propensities: -0.5 at decision 0"),
        (1, [0.0, 1.5], "propensities: 0.0 at decision 0"),
        (1, [0.5, np.nan], "nan at decision 1"),
        (1, [0.5, 1.5], "1.5 at decision 1"),
        (2, [np.nan, np.nan], "none is known"),
        (2, [1.0], "1 values for 2 tasks"),
        (3, [[0.5, 0.6], [0.5, 0.5]], "sum to 1"),
        (3, [[0.5, 0.5], [0.5, 0.499998]], "sum to 1"),
        (3, [[-0.1, 1.1], [0.5, 0.5]], "sum to 1"),
        (3, [[math.nan, 1.0], [0.5, 0.5]], "sum to 1"),
    ],
)
@pytest.mark.parametrize("method", [ips, snips])
def test_bad_logs_are_refused(
    method: Callable[..., Estimate], position: int, value: list[float], said: str
) -> None:
    assert method(*GOOD).tasks == 2
    log = list(GOOD)
    log[position] = value
    with pytest.raises(CorpusError, match=said):
        method(*log)
    with pytest.raises(CorpusError, match=said):
        doubly_robust(log[0], log[1], log[2], log[3], [[0.0, 0.0]] * 2)


def test_rows_may_miss_1_by_rounding() -> None:
    assert ips(*GOOD[:3], [[0.5, 0.5], [0.5, 0.4999995]]).tasks == 2


def test_bad_predictions_are_refused() -> None:
    with pytest.raises(CorpusError, match="predicted rewards: NaN; a prediction of every agent"):
        doubly_robust(*GOOD, [[np.nan, 0], [0, 0]])
    with pytest.raises(CorpusError, match=r"predicted rewards: shape \(1, 2\); \(2, 2\)"):
        doubly_robust(*GOOD, [[0.0, 0.0]])


@pytest.mark.parametrize("level", [0, 1, 2, -0.5, math.nan])
def test_levels_out_of_range_are_refused(level: float) -> None:
    with pytest.raises(SimulationError, match=f"level={level}: a confidence level between"):
        ips(*GOOD, level=level)


@pytest.mark.parametrize("method", [ips, snips, doubly_robust])
def test_a_level_is_given_by_name_and_the_rest_may_be(method: Callable[..., Estimate]) -> None:
    named = dict(zip(("chosen", "propensity", "reward", "target"), GOOD, strict=True))
    guess = {"predicted": [[0.0, 0.0]] * 2} if method is doubly_robust else {}
    assert method(**named, **guess, level=0.8) == method(*GOOD, *guess.values(), level=0.8)
    with pytest.raises(TypeError, match="positional"):
        method(*GOOD, *guess.values(), 0.8)
