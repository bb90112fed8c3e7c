import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from routingsim.evaluation.choice_log import ChoiceLog, choice_log
from routingsim.evaluation.estimate import estimate
from routingsim.evaluation.outcome_model import Features

DrawLog = Callable[..., tuple[ChoiceLog, NDArray, NDArray]]


def static(agent: int, tasks: int) -> NDArray:
    return np.full(tasks, agent)


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
    t = stats.t.ppf(0.975, alone.degrees)
    assert alone.interval.half_width == pytest.approx(t * alone.error, rel=1e-3)
    assert together.error == pytest.approx(alone.error)
    bonferroni = stats.t.ppf(1 - 0.05 / 12, alone.degrees) * alone.error
    assert alone.interval.half_width < together.interval.half_width < bonferroni
    assert (together.comparison, together.verdict) == ("better", "answered")


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
