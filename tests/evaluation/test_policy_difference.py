import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from routingsim.evaluation.choice_log import ChoiceLog, choice_log
from routingsim.evaluation.estimate import estimate
from routingsim.evaluation.outcome_model import Features, cross_predict
from routingsim.evaluation.policy_difference import policy_differences
from routingsim.evaluation.policy_value import Residuals, Side, quantile, residuals_of, skewness_of
from routingsim.evaluation.support import Support, Weights

DrawLog = Callable[..., tuple[ChoiceLog, NDArray, NDArray]]


def static(agent: int, tasks: int) -> NDArray:
    return np.full(tasks, agent)


def residuals(log: ChoiceLog, outcome: NDArray) -> Residuals:
    predicted = cross_predict(log.features.values, log.fold, log.chosen, outcome, 3)
    return residuals_of(outcome, predicted, log.chosen)


def test_differences_are_paired_and_simultaneous(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(6)
    c = static(2, 2000)
    close = c.copy()
    close[:100] = 1
    found = estimate(log, outcome, {"c": c, "close": close, "a": static(0, 2000), "again": c})
    one = found.differences["c", "close"]
    both = found.policies["c"], found.policies["close"]
    assert one.value == pytest.approx(both[0].value - both[1].value)
    assert one.error < 0.5 * math.hypot(both[0].error, both[1].error)  # they share most tasks
    assert list(found.differences)[:2] == [("c", "close"), ("c", "a")]
    same = found.differences["c", "again"]
    assert (same.value, same.interval.half_width, same.comparison) == (0, 0, "not distinguishable")
    alone = estimate(log, outcome, {"c": c, "a": static(0, 2000)}).differences["c", "a"]
    together = found.differences["c", "a"]
    apart = found._sides["c"].weight - found._sides["a"].weight
    skewness = skewness_of(apart, (apart != 0).astype(float), residuals(log, outcome))
    wide = quantile(alone.degrees, 0.95, skewness, bounded=False)
    assert alone.interval.half_width == pytest.approx(wide * alone.error, rel=1e-3)
    assert together.error == pytest.approx(alone.error)
    bonferroni = quantile(alone.degrees, 1 - 0.05 / 6, skewness, bounded=False) * alone.error
    assert alone.interval.half_width < together.interval.half_width < bonferroni
    assert (together.comparison, together.verdict) == ("better", "answered")


@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_p_value_and_interval_agree(bounds: tuple[float, float] | None, drawn_log: DrawLog) -> None:
    # At the level 1 - p the interval ends at 0.
    log, outcome, _ = drawn_log(6, 600)
    policies = {"b": static(1, 600), "c": static(2, 600)}
    one = estimate(log, outcome, policies, bounds=bounds).differences["b", "c"]
    assert 0.001 < one.p_value < 0.9
    level = 1 - one.p_value
    again = estimate(log, outcome, policies, level=level, bounds=bounds).differences["b", "c"]
    assert again.interval.half_width == pytest.approx(abs(one.value), rel=0.02)


def test_a_difference_on_few_tasks_is_weak(drawn_log: DrawLog) -> None:
    log, outcome, _ = drawn_log(6)
    c = static(2, 2000)
    close = c.copy()
    close[:40] = 1
    one = estimate(log, outcome, {"c": c, "close": close}).differences["c", "close"]
    assert one.verdict == "weak"
    assert any("where the two policies differ" in reason for reason in one.reasons)


def test_no_difference_from_a_policy_that_cannot_be_answered() -> None:
    chosen = (np.arange(280) % 20 == 19).astype(int)
    log = choice_log(
        chosen,
        ["a", "b"],
        propensity=np.tile([0.95, 0.05], (280, 1)),
        features=Features(np.zeros((280, 0)), ()),
    )
    found = estimate(
        log,
        np.arange(280) % 2.0,
        {"a": static(0, 280), "b": static(1, 280)},
    )
    one = found.differences["a", "b"]
    assert (one.verdict, one.comparison) == ("cannot", "not distinguishable")
    assert math.isnan(one.value)
    assert math.isnan(one.interval.half_width)
    assert "cannot answer" in str(found)
    assert math.isnan(float(found.to_frame().loc["b", "value"]))  # type: ignore[arg-type]


def test_a_difference_that_may_be_nearly_anything_is_not_shown() -> None:
    tasks = 40
    support = Support("weak", (), tasks, 0, 20.0, 20.0, 0.0, 0.0, 1.0, 0.1, False, None)
    none, half = np.zeros(tasks), np.full((tasks, 2), 0.5)
    chosen = np.arange(tasks) % 2
    weights = Weights(chosen, np.full(tasks, 0.5), half, np.ones(2), np.ones(tasks, dtype=bool))
    rest = Residuals(none, none, 0.0)
    found, sides = {}, {}
    for spread in (0.5, 4.0):
        terms = {"x": none, "y": np.where(chosen, spread, -spread) + 0.1}
        sides = {
            name: Side(target, support, none, none, terms[name], 0.0, 0.0)
            for name, target in (("x", np.eye(2)[none.astype(int)]), ("y", half))
        }
        found[spread] = policy_differences(sides, weights, rest, 0.95, True, (0.0, 1.0))["x", "y"]
    assert found[0.5].value == pytest.approx(-0.1)
    assert found[0.5].verdict == "weak"
    assert (found[4.0].verdict, math.isnan(found[4.0].value)) == ("cannot", True)
    assert "covers more than half of the possible range (-1 to 1)" in found[4.0].reasons[0]
    free = policy_differences(sides, weights, rest, 0.95, True)["x", "y"]
    assert (free.verdict, free.value) == ("weak", pytest.approx(-0.1))
