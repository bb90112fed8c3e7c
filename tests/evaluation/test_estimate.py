import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.choice_log import ChoiceLog, choice_log
from routingsim.evaluation.estimate import estimate
from routingsim.evaluation.outcome_model import Features

DrawLog = Callable[..., tuple[ChoiceLog, NDArray, NDArray]]


def static(agent: int, tasks: int) -> NDArray:
    return np.full(tasks, agent)


def plain_features(tasks: int) -> Features:
    """No feature: the outcome model is the mean of each agent in the other folds."""
    return Features(np.zeros((tasks, 0)), ())


def test_by_hand() -> None:
    # Four tasks, two folds, no features: the model is the mean of the agent in the other fold.
    log = choice_log(
        [0, 1, 0, 1],
        ["a", "b"],
        propensity=[[0.5, 0.5], [0.75, 0.25], [0.5, 0.5], [0.5, 0.5]],
        features=plain_features(4),
        fold=[0, 0, 1, 1],
    )
    found = estimate(log, [1.0, 0.0, 0.4, 0.8], {"mixed": np.full((4, 2), 0.5)})
    # m of fold 0: a .4, b .8; of fold 1: a 1, b 0. Weights: 1, 2, 1, 1.
    terms = [0.6 + 0.6, 0.6 + 2 * -0.8, 0.5 - 0.6, 0.5 + 0.8]
    side = found._sides["mixed"]
    np.testing.assert_allclose(side.terms, terms)
    support = found.policies["mixed"].support
    # sum_a .25 / p: 1, 4/3, 1, 1
    assert support.planned == pytest.approx(4 / ((3 + 4 / 3) / 4))
    assert support.realised == pytest.approx(25 / 7)
    assert support.mean_weight == pytest.approx(1.25)
    assert support.verdict == "cannot"
    # Residuals .6, -.8, -.6, .8, on half of whose choices log and policy agree.
    assert side.residual == pytest.approx(0.5)
    # Each agent's residuals are symmetric.
    assert side.skewness == pytest.approx(0)


@pytest.mark.slow
def test_without_bias_and_honest_on_a_known_world(drawn_log: DrawLog) -> None:
    # 80 logs of 1,000 tasks: each estimate's mean error is within chance of 0, coverage high.
    targets = {"a": static(0, 1000), "b": static(1, 1000), "c": static(2, 1000)}
    apart, held, raw = [], [], []
    for seed in range(80):
        log, outcome, chance = drawn_log(seed, tasks=1000)
        found = estimate(log, outcome, targets)
        truth = chance.mean(axis=0)
        values = np.array([each.value for each in found.policies.values()])
        apart.append(values - truth)
        raw.append([outcome[log.chosen == agent].mean() for agent in range(3)] - truth)
        widths = [each.interval.half_width for each in found.policies.values()]
        held.append(np.abs(values - truth) <= widths)
    error = np.std(apart, axis=0, ddof=1) / math.sqrt(80)
    assert (np.abs(np.mean(apart, axis=0)) < 4 * error).all()
    assert (np.abs(np.mean(raw, axis=0))[[0, 2]] > 0.05).all()  # raw means are far off
    assert 0.92 <= np.mean(held) <= 0.995


def coverage(count: int, tasks: int, figure: str) -> tuple[float, float]:
    """Of policies of one agent: the share answered, and the share whose interval holds."""
    errors, spread = np.array([0.8, 1.0, 1.2]), np.array([1.5, 2.5, 3.5])
    answered, held = [], []
    for seed in range(count):
        rng = np.random.default_rng([20, seed])
        x = rng.standard_normal((tasks, 1))
        played = 0.7 * np.eye(3)[np.digitize(x[:, 0], [-0.43, 0.43])] + 0.1
        chosen = (rng.random((tasks, 1)) > played.cumsum(axis=1)[:, :-1]).sum(axis=1)
        if figure == "quality":
            chance = 1 / (1 + np.exp(x - spread))
            every, truth = (rng.random((tasks, 3)) < chance).astype(float), chance.mean(axis=0)
        else:
            every = np.exp(0.3 * x + errors * rng.standard_normal((tasks, 3)))
            truth = np.exp((0.09 + errors**2) / 2)  # mean of a log-normal
        log = choice_log(
            chosen,
            ["a", "b", "c"],
            propensity=played,
            features=Features(x - x.mean(), ("x",)),
            fold=np.arange(tasks) % 5,
            seed=seed,
        )
        found = estimate(
            log,
            every[np.arange(tasks), chosen],
            {name: static(number, tasks) for number, name in enumerate(log.agents[:2])},
            bounds=(0, 1) if figure == "quality" else None,
        )
        for each, true in zip(found.policies.values(), truth, strict=False):
            answered.append(each.verdict == "answered")
            held.append(each.interval.low <= true <= each.interval.high)
    return float(np.mean(answered)), float(np.mean(held))


@pytest.mark.slow
def test_intervals_hold_as_often_as_they_say() -> None:
    # Rare failures from the least log that answers, 50 x 3 / .3 tasks, and log-normal costs,
    # skewed by 3.7 and 6.2, from one eight times as large, which is too little for these;
    # benchmarks/partial_logs.py has real tasks. With fixed seeds .983 and .975 hold; without
    # the correction for skewness .937 and .942 would, without the variance by the model .960
    # and .967.
    answered, held = coverage(150, 500, "quality")
    assert answered >= 0.95
    assert 0.97 <= held <= 0.995
    answered, held = coverage(60, 4000, "cost")
    assert answered == 0
    assert 0.97 <= held <= 0.995


@pytest.mark.slow
def test_nothing_is_answered_without_recorded_chance(drawn_log: DrawLog) -> None:
    for seed in range(8):
        log, outcome, _ = drawn_log(seed, 500)
        targets = {"a": static(0, 500), "c": static(2, 500), "uniform": np.full((500, 3), 1 / 3)}
        for propensity in (None, np.ones(500)):
            again = choice_log(
                log.chosen, log.agents, propensity=propensity, features=log.features, seed=seed
            )
            found = estimate(again, outcome, targets, bounds=(0, 1))
            assert all(each.verdict != "answered" for each in found.policies.values())
            assert all(each.verdict != "answered" for each in found.differences.values())


@pytest.mark.slow
def test_a_log_that_misleads() -> None:
    # The old router sent hard tasks to big: raw means turn the decision round.
    log, outcome, chosen = misleading_log()
    size = chosen.size
    assert outcome[chosen == 0].mean() > outcome[chosen == 1].mean() + 0.03
    found = estimate(
        log, outcome, {"small": static(0, size), "big": static(1, size), "logged": chosen}
    )
    small, big, logged = (found.policies[name] for name in ("small", "big", "logged"))
    assert abs(small.value - 0.5785) <= small.interval.half_width
    assert abs(big.value - 0.908) <= big.interval.half_width
    assert (small.verdict, big.verdict, logged.verdict) == ("weak", "weak", "answered")
    assert "does not record" in small.support.reasons[0]
    difference = found.differences["small", "big"]
    assert (difference.comparison, difference.verdict) == ("worse", "weak")
    assert logged.value == pytest.approx(outcome.mean())
    curve = found.sensitivity("big", "small")
    assert 1.3 < curve.turns < 5
    assert curve.low[0] == pytest.approx(-difference.value)


def misleading_log() -> tuple[ChoiceLog, NDArray, NDArray]:
    rng = np.random.default_rng(11)
    hard = np.arange(2000) % 2
    chosen = np.where(rng.random(2000) < 0.94, hard, 1 - hard)
    chance = np.array([[0.957, 0.966], [0.2, 0.85]])[hard, chosen]
    outcome = (rng.random(2000) < chance).astype(float)
    texts = ["Prove that each finite group of odd order is solvable." if h else "hi" for h in hard]
    return choice_log(chosen, ["small", "big"], texts=texts), outcome, chosen


def test_costs_are_estimated_alike(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(5)
    targets = {"a": static(0, 2000), "c": static(2, 2000)}
    quality = estimate(log, outcome, targets)
    cost = estimate(log, 3 - 2 * outcome, targets, higher_is_better=False)
    assert cost.policies["a"].value == pytest.approx(3 - 2 * quality.policies["a"].value)
    assert cost.policies["a"].error == pytest.approx(2 * quality.policies["a"].error)
    assert quality.differences["a", "c"].comparison == "worse"
    assert cost.differences["a", "c"].comparison == "worse"
    assert cost.policies["a"].verdict == quality.policies["a"].verdict == "answered"


def test_unserved_tasks_and_missing_outcomes_are_counted(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(9)
    chosen = log.chosen.copy()
    chosen[:40] = -1
    outcome[40:60] = np.nan
    part = choice_log(
        chosen, log.agents, propensity=log.propensities.full, features=log.features, fold=log.fold
    )
    found = estimate(part, outcome, {"c": static(2, 2000), "own": np.maximum(chosen, 0)})
    assert (found.tasks, found.unserved, found.missing) == (1960, 40, 20)
    assert found.policies["c"].verdict == "answered"
    assert found.policies["c"].support.missing == 20
    outcome[40:200] = np.nan
    many = estimate(part, outcome, {"c": static(2, 2000), "own": np.maximum(chosen, 0)})
    assert many.policies["c"].verdict == many.policies["own"].verdict == "weak"
    assert any(
        "outcomes are missing: 160 of 1,960 (8%)" in r for r in many.policies["c"].support.reasons
    )


def test_an_agent_judged_less_often_is_not_worse(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(4)
    whole = estimate(log, outcome, {"a": static(0, 2000), "c": static(2, 2000)})
    rng = np.random.default_rng(4)
    outcome[(log.chosen == 2) & (rng.random(2000) < 0.67)] = np.nan
    part = estimate(log, outcome, {"a": static(0, 2000), "c": static(2, 2000)})
    one = part.policies["c"]
    assert abs(one.value - whole.policies["c"].value) < one.interval.half_width
    assert one.verdict == "weak"
    assert any("more often of some agents" in reason for reason in one.support.reasons)
    assert part.differences["a", "c"].comparison == "worse"


def test_bad_input_is_refused() -> None:
    features = plain_features(4)
    log = choice_log([0, 1, 0, 1], ["a", "b"], propensity=[0.5] * 4, features=features)
    for outcome, target, said in [
        ([np.nan] * 4, [0] * 4, "none is known"),
        ([1.0], [0] * 4, "1 values for 4"),
    ]:
        with pytest.raises(CorpusError, match=said):
            estimate(log, outcome, {"it": target})
    with pytest.raises(CorpusError, match="from 1 to 1; from 2 to 3"):
        estimate(log, [1.0] * 4, {"it": [0] * 4}, bounds=(2, 3))
    with pytest.raises(SimulationError, match="confidence level"):
        estimate(log, [1.0] * 4, {"it": [0] * 4}, level=1)
    found = estimate(log, [1.0] * 4, {"it": [0] * 4})
    with pytest.raises(SimulationError, match="no estimate of 'that'"):
        found.sensitivity("that")
    with pytest.raises(SimulationError, match="no difference"):
        found.sensitivity("it", "that")
    with pytest.raises(SimulationError, match="1 upward"):
        found.sensitivity("it", gammas=(0.5,))
