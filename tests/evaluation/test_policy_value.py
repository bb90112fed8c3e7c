import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from routingsim.evaluation.choice_log import ChoiceLog, choice_log
from routingsim.evaluation.estimate import estimate
from routingsim.evaluation.outcome_model import Features
from routingsim.evaluation.policy_value import (
    Side,
    degrees_of,
    p_value,
    policy_estimate,
    quantile,
    residuals_of,
    skewness_of,
)
from routingsim.evaluation.support import Support

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
    weight = side.weight[agreed]
    by_model = side.expected.var(ddof=1) + (found._rest[agreed] ** 2).mean() * demand
    assert one.value == pytest.approx(side.terms.mean())
    assert one.error == pytest.approx(math.sqrt(max(by_terms, by_model) / 2000))
    assert one.support.planned == pytest.approx(2000 / demand)
    assert one.degrees == pytest.approx(2000 / demand / 4)
    # Residuals of c are the most skewed, so that their own skewness counts.
    alike = [found._rest[log.chosen == agent] for agent in range(3)]
    standard = np.concatenate([(each - each.mean()) / each.std() for each in alike])
    own = stats.skew(alike[2])
    assert abs(own) > abs((standard**3).mean())
    skewness = abs(own) * (weight**3).sum() / (weight**2).sum() ** 1.5
    assert side.skewness == pytest.approx(skewness)
    t = stats.t.ppf(0.975, one.degrees)
    wide = t + skewness * (2 * t**2 + 1) / 6
    assert one.interval.half_width == pytest.approx(wide * one.error)
    bounded = estimate(log, outcome, {"c": static(2, 2000)}, bounds=(0, 1)).policies["c"]
    wide = t + skewness**2 * (t**5 + 2 * t**3 - 3 * t) / 18
    assert bounded.interval.half_width == pytest.approx(wide * one.error)
    assert bounded.interval.half_width < one.interval.half_width


def test_quantile_by_hand() -> None:
    # Student's t with 2 degrees of freedom: (2 q - 1) sqrt(2 / (4 q (1 - q))).
    t = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
    for bounded in (False, True):
        assert quantile(2, 0.95, 0.0, bounded=bounded) == pytest.approx(t)
    one, both = 2 * t**2 + 1, t**5 + 2 * t**3 - 3 * t  # 38.0 and 1,621
    assert quantile(2, 0.95, 0.6, bounded=False) == pytest.approx(t + one / 10)
    assert quantile(2, 0.95, 0.03, bounded=True) == pytest.approx(t + both / 20_000)
    assert quantile(2, 0.95, 0.6, bounded=True) == pytest.approx(t + one / 10)  # both is 32.4
    assert quantile(1e9, 0.5, 0.3, bounded=True) == pytest.approx(0.67449, abs=1e-5)
    assert (degrees_of(50), degrees_of(6)) == (12.5, 2)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("skewness", [0.0, 0.2, 1.5])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_p_value_is_the_other_way_round(level: float, skewness: float, bounded: bool) -> None:
    errors = quantile(12.5, level, skewness, bounded=bounded)
    assert p_value(errors, 12.5, skewness, bounded=bounded) == pytest.approx(1 - level)
    assert p_value(0.0, 12.5, skewness, bounded=bounded) == 1


def test_skewness_by_hand() -> None:
    # Right in one of four is skewed by (1 - 2 p) / sqrt(p (1 - p)) = .5 / sqrt(.1875).
    outcome = np.array([1, 0, 0, 0, np.nan, 0, 1, 1, 1])
    chosen = np.array([0] * 5 + [1] * 4)
    rest = residuals_of(outcome, np.full((9, 2), 0.25), chosen)
    assert rest.values.tolist() == [0.75, -0.25, -0.25, -0.25, 0, -0.25, 0.75, 0.75, 0.75]
    right = 0.5 / math.sqrt(0.1875)
    assert rest.cubes[:5].mean() * 5 / 4 == pytest.approx(right)
    assert rest.skewness == pytest.approx(0)  # of all: the other agent is wrong in one of four
    weight = np.where(chosen == 0, [2.0, 2, 2, 2, 0, 0, 0, 0, 0], 0)
    # 4 x 8 / (4 x 4)^1.5 = 1/2, and with the skewness of what log and policy agree on.
    assert skewness_of(weight, (weight > 0).astype(float), rest) == pytest.approx(right / 2)
    assert skewness_of(-weight, (weight > 0).astype(float), rest) == pytest.approx(right / 2)
    assert skewness_of(weight, np.ones(9), rest) == pytest.approx(0)
    assert skewness_of(0 * weight, np.ones(9), rest) == 0
    alone = residuals_of(outcome[:5], np.full((5, 1), 0.25), chosen[:5])
    assert alone.skewness == pytest.approx(right)
    # Three wrong answers alone show no tail; that of all four records counts.
    assert skewness_of(np.ones(5), np.array([0.0, 1, 1, 1, 0]), alone) == pytest.approx(
        right / math.sqrt(5)
    )


def test_outcomes_alike_have_no_skewness() -> None:
    outcome, chosen = np.full(7, 0.1), np.zeros(7, dtype=int)
    predicted = np.array([[0.1 + 1e-17 * row] for row in range(7)])
    assert residuals_of(outcome, predicted, chosen).skewness == 0


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
    assert one.half_width == pytest.approx(-math.log(0.05) / one.support.planned)
    assert (one.interval.low, one.interval.high) == (pytest.approx(1 - one.half_width), 1)


def side(terms: list[float], planned: float = 2000.0) -> Side:
    """A policy whose estimate has these terms, of a log worth so many tasks."""
    support = Support(
        "weak", ("heavy",), len(terms), 0, planned, planned, 0.0, 0.0, 1.0, 0.1, False, None
    )
    none = np.zeros(len(terms))
    return Side(none[:, None], support, none, none, np.array(terms), 0.0, 0.0)


@pytest.mark.parametrize(
    ("terms", "bounds", "shown"),
    [
        # Errors .1 and .2; t of 500 degrees of freedom is 1.965.
        ([0.9, 1.1], (0, 1), "p: 1 (0.8035 to 1) (estimated, weak; heavy)"),
        ([-0.3, 0.1], (0, 1), "p: 0 (0 to 0.2929) (estimated, weak; heavy)"),
        ([0.7, 0.9], (0, 1), "p: 0.80 ± 0.20 (estimated, weak; heavy)"),
        ([1.9, 2.1], (0, 3), "p: 2.00 ± 0.20 (estimated, weak; heavy)"),
        ([0.3, 0.9], (0, 1), "p: the log cannot answer this; the interval, 0.011 to 1, covers "
         "more than half of the possible range (0 to 1); heavy"),
        ([1.2, 1.4], (0, 1), "p: the log cannot answer this; the interval lies outside the "
         "possible range (0 to 1); heavy"),
        ([1.2, 1.4], None, "p: 1.30 ± 0.20 (estimated, weak; heavy)"),
        ([0.0, 0.2], (0, math.inf), "p: 0.1 (0 to 0.2965) (estimated, weak; heavy)"),
        ([0.9, 1.1], (-math.inf, 1), "p: 1 (0.8035 to 1) (estimated, weak; heavy)"),
        ([9.0, 2.0], (0, math.inf), "p: 5.5 (0 to 12.38) (estimated, weak; heavy)"),
    ],
)  # fmt: skip
def test_an_estimate_is_possible_or_not_shown(
    terms: list[float], bounds: tuple[float, float] | None, shown: str
) -> None:
    found = policy_estimate("p", side(terms), 0.95, bounds)
    assert str(found).startswith(shown)
    if found.verdict == "cannot":
        assert math.isnan(found.value)
        assert found.support.verdict == "cannot"


def test_a_side_without_a_figure_has_no_difference() -> None:
    # 40 tasks, one agent each; the few that b served were all right, by heavy weights.
    chosen = np.repeat([0, 1], [160, 40])
    log = choice_log(
        chosen,
        ["a", "b"],
        propensity=np.tile([0.9, 0.1], (200, 1)),
        features=Features(np.zeros((200, 0)), ()),
        fold=np.arange(200) % 5,
    )
    outcome = (np.arange(200) % 2).astype(float)
    found = estimate(log, outcome, {"a": static(0, 200), "b": static(1, 200)}, bounds=(0, 1))
    assert found.policies["a"].verdict != "cannot"
    assert found.policies["b"].support.planned == pytest.approx(20)
    assert found.policies["b"].verdict == found.differences["a", "b"].verdict == "cannot"
    assert "covers more than half of the possible range (0 to 1)" in str(found.policies["b"])
    free = estimate(log, outcome, {"b": static(1, 200)}).policies["b"]
    assert free.verdict == "weak"
