import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from routingsim.evaluation.choice_log import ChoiceLog
from routingsim.evaluation.estimate import estimate

DrawLog = Callable[..., tuple[ChoiceLog, NDArray, NDArray]]


def static(agent: int, tasks: int) -> NDArray:
    return np.full(tasks, agent)


def test_variance_is_the_larger_and_degrees_follow_the_planned_sample(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(3)
    found = estimate(log, outcome, {"c": static(2, 2000)})
    one, side = found.policies["c"], found._sides["c"]
    demand = (1 / log.propensities.full[:, 2]).mean()  # type: ignore[index]
    by_terms = side.terms.var(ddof=1)
    agreed = log.chosen == 2
    rest, weight = found._rest[agreed], side.weight[agreed]
    residual = max((rest**2).mean(), weight**2 @ rest**2 / (weight**2).sum())
    by_model = side.expected.var(ddof=1) + residual * demand
    assert one.value == pytest.approx(side.terms.mean())
    assert one.error == pytest.approx(math.sqrt(max(by_terms, by_model) / 2000))
    assert one.support.planned == pytest.approx(2000 / demand)
    kurtosis = stats.kurtosis(side.terms, fisher=False)
    assert one.degrees == pytest.approx(min(2000 / demand / 6, 2000 / (kurtosis - 1)))
    t = stats.t.ppf(0.975, one.degrees)
    assert one.interval.half_width == pytest.approx(t * one.error)


def test_own_choices_of_an_exploring_log_have_the_plain_mean(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(7)
    own = estimate(log, outcome, {"own": log.chosen}).policies["own"]
    assert (own.value, own.verdict) == (pytest.approx(outcome.mean()), "answered")


def test_outcomes_all_alike_are_not_certain(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(8)
    right = np.ones_like(outcome)
    sure = estimate(log, right, {"c": static(2, 2000)}).policies["c"]
    assert (sure.value, sure.interval.half_width) == (1, 0)
    one = estimate(log, right, {"c": static(2, 2000)}, bounds=(0, 1)).policies["c"]
    assert one.value == 1
    # The rule of three, as -log(.05) is 2.996.
    assert one.interval.half_width == pytest.approx(-math.log(0.05) / one.support.planned)
