import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from routingsim.evaluation.choice_log import ChoiceLog, choice_log
from routingsim.evaluation.estimate import Estimates, estimate
from routingsim.evaluation.outcome_model import Features

DrawLog = Callable[..., tuple[ChoiceLog, NDArray, NDArray]]


def static(agent: int, tasks: int) -> NDArray:
    return np.full(tasks, agent)


def plain_features(tasks: int) -> Features:
    """No feature: the outcome model is the mean of each agent in the other folds."""
    return Features(np.zeros((tasks, 0)), ())


def exact_log(tasks: int, hits: int, propensity: float, *, full: bool = True) -> ChoiceLog:
    """A log that chose agent 1 on ``hits`` tasks, with one propensity throughout."""
    chosen = np.zeros(tasks, dtype=int)
    chosen[np.linspace(0, tasks - 1, hits).astype(int)] = 1
    played = np.tile([1 - propensity, propensity, 0.0], (tasks, 1))
    mine = played[np.arange(tasks), chosen]
    return choice_log(
        chosen, ["a", "b", "c"], propensity=played if full else mine, features=plain_features(tasks)
    )


def always_one(log: ChoiceLog, missing: int = 0) -> Estimates:
    outcome = np.arange(log.chosen.size) % 3 / 2
    outcome[:missing] = np.nan
    return estimate(log, outcome, {"b": static(1, log.chosen.size)})


@pytest.mark.parametrize("full", [True, False], ids=["all", "chosen"])
@pytest.mark.parametrize(
    ("tasks", "hits", "propensity", "verdict", "reason"),
    [
        (1000, 50, 0.05, "answered", ""),
        (980, 49, 0.05, "weak", "an answer needs 50"),
        (300, 15, 0.05, "weak", "worth 15"),
        (280, 14, 0.05, "cannot", "15 are the least"),
        (5000, 50, 0.0101, "answered", ""),
        (5100, 50, 0.0099, "cannot", "hardly ever made"),
    ],
)
def test_verdict_edges(
    tasks: int, hits: int, propensity: float, verdict: str, reason: str, full: bool
) -> None:
    one = always_one(exact_log(tasks, hits, propensity, full=full)).policies["b"]
    assert one.verdict == verdict, one
    assert reason in " ".join(one.support.reasons)
    assert math.isnan(one.value) == (verdict == "cannot")
    assert math.isnan(one.interval.half_width) == (verdict == "cannot")


def test_realised_sample_and_mean_weight() -> None:
    # The propensities promise 60 tasks of agent 1; the log has fewer.
    few = always_one(exact_log(1200, 24, 0.05)).policies["b"]
    assert few.verdict == "weak"
    assert any("an answer needs 25" in reason for reason in few.support.reasons)
    assert any("weights average 0.4" in reason for reason in few.support.reasons)
    hardly = always_one(exact_log(1200, 7, 0.05)).policies["b"]
    assert hardly.verdict == "cannot"
    # Three errors of sqrt(19 / 1200) are .377: 38 of 60 tasks are .367 too few, 37 are .383.
    assert not any(
        "average" in reason
        for reason in always_one(exact_log(1200, 38, 0.05)).policies["b"].support.reasons
    )
    assert any(
        "average" in reason
        for reason in always_one(exact_log(1200, 37, 0.05)).policies["b"].support.reasons
    )


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.01, "answered"), (0.012, "weak"), (0.05, "weak"), (0.052, "cannot")]
)
def test_rare_choices(share: float, verdict: str) -> None:
    tasks = 10_000
    rare = np.arange(tasks) < share * tasks
    played = np.where(rare[:, np.newaxis], [0.995, 0.005], [0.5, 0.5])
    rng = np.random.default_rng(2)
    chosen = (rng.random(tasks) < played[:, 1]).astype(int)
    log = choice_log(chosen, ["a", "b"], propensity=played, features=plain_features(tasks))
    one = estimate(log, np.ones(tasks), {"b": static(1, tasks)}).policies["b"]
    assert one.support.rare == pytest.approx(share)
    assert one.verdict == verdict


def test_deterministic_logs_answer_for_their_own_policy_only() -> None:
    base = np.arange(900) % 3
    nearly = base.copy()
    nearly[0] = 1
    outcome = np.random.default_rng(0).random(900)
    for propensity in (np.ones(900), np.eye(3)[base], None):
        features = Features(np.eye(3)[base] - 1 / 3, ("one", "two", "three"))
        log = choice_log(base, ["a", "b", "c"], propensity=propensity, features=features)
        found = estimate(log, outcome, {"own": base, "nearly": nearly, "a": static(0, 900)})
        own = found.policies["own"]
        assert own.verdict == "answered"
        assert own.value == pytest.approx(outcome.mean())
        assert own.error == pytest.approx(outcome.std(ddof=1) / 30)
        assert own.degrees == 899
        assert found.policies["nearly"].verdict != "answered"
        assert found.policies["a"].verdict == "cannot"
    assert (
        "left nothing to chance"
        in estimate(
            choice_log(
                base, ["a", "b", "c"], propensity=np.ones(900), features=plain_features(900)
            ),
            outcome,
            {"a": static(0, 900)},
        )
        .policies["a"]
        .support.reasons[0]
    )


def test_wrong_propensities_are_found_out(drawn_log: DrawLog) -> None:
    right, outcome, _ = drawn_log(1)
    played, chosen = right.propensities.full, right.chosen
    assert played is not None
    targets = {"a": static(0, 2000), "c": static(2, 2000)}
    assert right.calibration is not None
    assert right.calibration.passed
    assert estimate(right, outcome, targets).policies["c"].verdict == "answered"
    wrongs = {
        "shuffled": played[np.random.default_rng(1).permutation(2000)],
        "uniform": np.full((2000, 3), 1 / 3),
        "less exploration": (played - 0.1) / 0.7 * 0.85 + 0.05,
    }
    for name, wrong in wrongs.items():
        log = choice_log(chosen, right.agents, propensity=wrong, features=right.features)
        assert log.calibration is not None
        assert not log.calibration.passed, name
        one = estimate(log, outcome, targets).policies["c"]
        assert one.verdict != "answered"
        assert any("do not agree" in reason for reason in one.support.reasons)
        only = wrong[np.arange(2000), chosen]
        log = choice_log(chosen, right.agents, propensity=only, features=right.features)
        assert log.calibration is None  # not of all agents
        assert estimate(log, outcome, targets).policies["c"].verdict != "answered", name


@pytest.mark.slow
def test_right_propensities_pass_at_the_promised_rate(drawn_log: DrawLog) -> None:
    # 300 logs; at most 1 % are to fail by chance: more than 9 have a probability of 0.001.
    checks = [drawn_log(seed, 300)[0].calibration for seed in range(300)]
    assert sum(check is None or not check.passed for check in checks) <= 9


@pytest.mark.parametrize(
    ("tasks", "hits", "bounds", "verdict", "reason"),
    [
        (20_000, 1000, None, "answered", ""),
        (
            19_980,
            999,
            None,
            "weak",
            "the log is worth 999 tasks served by this policy; an answer about skewed outcomes "
            "without bounds needs 1,000",
        ),
        (
            20_000,
            499,
            None,
            "weak",
            "the log's own choices agree with the policy on an effective 499 tasks; an answer "
            "about skewed outcomes without bounds needs 500",
        ),
        (1000, 50, (0, 1), "answered", ""),
    ],
)
def test_skewed_outcomes_without_bounds_need_more(
    tasks: int, hits: int, bounds: tuple[float, float] | None, verdict: str, reason: str
) -> None:
    log = exact_log(tasks, hits, 0.05)
    # One outcome of twenty is 1: a skewness of .9 / sqrt(.0475) = 4.1.
    skewed = (np.arange(tasks) % 20 == 3).astype(float)
    one = estimate(log, skewed, {"b": static(1, tasks)}, bounds=bounds).policies["b"]
    assert one.verdict == verdict, one
    assert reason in "; ".join(one.support.reasons)


def test_agent_never_chosen_is_not_extrapolated_to() -> None:
    # Chosen propensities alone leave a half to agent c, which the log never chose.
    log = exact_log(2000, 1000, 0.5, full=False)
    outcome = np.arange(2000) % 2 * 1.0
    third = np.tile([0.45, 0.45, 0.1], (2000, 1))
    little = np.tile([0.49, 0.48, 0.03], (2000, 1))
    found = estimate(
        log, outcome, {"third": third, "little": little, "half": [[0.5, 0.5, 0]] * 2000}
    )
    support = {name: each.support for name, each in found.policies.items()}
    assert (support["third"].verdict, support["third"].rare) == ("cannot", pytest.approx(0.1))
    assert support["third"].unsupported == pytest.approx(0.1)
    assert "10.0% of the policy's choices were hardly ever made" in support["third"].reasons[0]
    assert (support["little"].verdict, support["little"].rare) == ("weak", pytest.approx(0.03))
    assert (support["half"].verdict, support["half"].rare) == ("answered", 0.0)
