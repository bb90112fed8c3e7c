"""Intervals cover the truth as often as they say, and verdicts follow from them."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation import (
    apgr,
    bootstrap,
    bootstrap_mean,
    holm,
    paired_bootstrap,
    paired_t,
    routing_curve,
    t_interval,
    verdict,
    versus,
)
from routingsim.evaluation.intervals import not_comparable
from routingsim.simulation.statistics import Interval

NAN = math.nan


@pytest.mark.slow
def test_t_interval_covers_as_often_as_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = rng.normal(3.0, 2.0, (4000, 10))
    hits = np.mean([abs(t_interval(row).mean - 3) <= t_interval(row).half_width for row in draws])
    print(f"coverage {hits:.4f}")
    # 0.95 with a standard error of 0.0034.
    assert 0.935 < hits < 0.965


@pytest.mark.slow
def test_bootstrap_covers_as_often_as_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hits = 0
    for trial in range(800):
        right = (rng.random(150) < 0.8).astype(float)
        found = bootstrap_mean(right, resamples=499, seed=trial)
        hits += found.low <= 0.8 <= found.high
    print(f"coverage {hits / 800:.4f}")
    assert 0.92 < hits / 800 < 0.98


@pytest.mark.slow
def test_paired_comparisons_of_equals_are_seldom_called_different(seed: int) -> None:
    rng = np.random.default_rng(seed)
    called = {"t": 0, "bootstrap": 0}
    for trial in range(800):
        common = rng.normal(size=80)
        first, second = common + rng.normal(size=80), common + rng.normal(size=80)
        called["t"] += paired_t(first, second).verdict != "not distinguishable"
        ahead = paired_bootstrap(first, second, resamples=499, seed=trial)
        called["bootstrap"] += ahead.verdict != "not distinguishable"
    print(called)
    assert all(0.02 < count / 800 < 0.08 for count in called.values())


def test_common_random_numbers_make_a_small_difference_visible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=20)
    first = common + 0.1 + rng.normal(scale=0.02, size=20)
    found = paired_t(first, common)
    assert found.verdict == "better"
    assert paired_t(first, common, higher_is_better=False).verdict == "worse"
    assert paired_t(common, first).verdict == "worse"
    # Unpaired, the same numbers say nothing.
    assert t_interval(first).low < t_interval(common).high


def test_paired_t_is_the_textbook_one() -> None:
    first, second = [5.0, 7, 6, 9, 4], [4.0, 7, 3, 8, 5]
    found = paired_t(first, second)
    expected = stats.ttest_rel(first, second)
    low, high = expected.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.pairs == 5


@pytest.mark.parametrize("test", [paired_t, paired_bootstrap])
def test_a_policy_is_not_distinguishable_from_itself(test) -> None:
    values = np.random.default_rng(0).random(30)
    found = test(values, values)
    assert found.verdict == "not distinguishable"
    assert found.p_value == 1
    # Nor from itself summed in another order.
    noisy = values * (1 + 1e-15)
    assert test(noisy, values).verdict == "not distinguishable"


@pytest.mark.parametrize("test", [paired_t, paired_bootstrap])
def test_a_constant_lead_is_a_lead(test) -> None:
    found = test(np.arange(10) + 1.0, np.arange(10.0))
    assert found.verdict == "better"
    assert found.interval.half_width == 0


@pytest.mark.parametrize("test", [paired_t, paired_bootstrap])
def test_too_little_to_tell(test) -> None:
    found = test([1.0, NAN], [0.0, 0.0])
    assert (found.pairs, found.left_out, found.p_value) == (1, 1, 1.0)
    assert math.isnan(found.interval.half_width)
    assert found.verdict == "not distinguishable"
    empty = test([NAN], [0.0])
    assert (empty.pairs, empty.verdict) == (0, "not distinguishable")


@pytest.mark.slow
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40), st.integers(0, 5))
def test_bootstrap_verdict_and_p_value_agree(values: list[float], seed: int) -> None:
    found = paired_bootstrap(values, np.zeros(len(values)), resamples=199, seed=seed)
    assert (found.p_value <= 0.05 + 1e-12) == (found.verdict != "not distinguishable")


def test_bootstrap_of_a_mean_is_the_general_one_quicker() -> None:
    values = np.random.default_rng(1).random(300)
    quick = bootstrap_mean(values, seed=2)
    general = bootstrap(lambda rows: float(values[rows].mean()), 300, seed=3)
    error = values.std() / math.sqrt(300) * 1.96
    assert quick.half_width == pytest.approx(error, rel=0.08)
    assert general.half_width == pytest.approx(error, rel=0.08)
    assert quick.mean == general.mean


def test_bootstrap_repeats_and_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(500)
    whole = bootstrap_mean(values, seed=4)
    monkeypatch.setattr("routingsim.evaluation.intervals._CELLS", 1000)
    assert bootstrap_mean(values, seed=4) == whole
    assert bootstrap_mean(values, seed=5) != whole


def test_bootstrap_takes_any_figure() -> None:
    rng = np.random.default_rng(7)
    weak, strong = (rng.random((2, 400)) < [[0.5], [0.8]]).astype(float)
    scores = strong - weak + rng.normal(size=400)

    def figure(rows: np.ndarray) -> float:
        return apgr(routing_curve(scores[rows], weak[rows], strong[rows]))

    found = bootstrap(figure, 400, resamples=199)
    assert found.mean == apgr(routing_curve(scores, weak, strong))
    assert 0 < found.half_width < 0.2


def test_verdict_words() -> None:
    assert verdict(Interval(1.0, 0.5)) == "better"
    assert verdict(Interval(-1.0, 0.5)) == "worse"
    assert verdict(Interval(-1.0, 0.5), higher_is_better=False) == "better"
    assert verdict(Interval(0.5, 0.5)) == "not distinguishable"
    assert verdict(Interval(0.5, NAN)) == "not distinguishable"


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    with pytest.raises(CorpusError, match="from 0 to 1"):
        holm([0.5, 1.5])


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_one_comparison_and_bonferroni(p_values: list[float]) -> None:
    p = np.array(p_values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(p * p.size, 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@pytest.mark.slow
def test_many_equals_are_seldom_called_different(seed: int) -> None:
    rng = np.random.default_rng(seed)
    false_calls = 0
    for _ in range(400):
        baseline = rng.normal(size=20)
        others = {f"p{k}": rng.normal(size=20) for k in range(8)}
        found = versus(baseline, others)
        false_calls += any(each.verdict != "not distinguishable" for each in found.values())
    print(f"family-wise error {false_calls / 400:.3f}")
    assert false_calls / 400 < 0.09


def test_versus_finds_the_better_one_and_names_the_correction() -> None:
    rng = np.random.default_rng(3)
    baseline = rng.normal(size=20)
    others = {f"same{k}": baseline + rng.normal(size=20) for k in range(4)}
    others["ahead"] = baseline + 0.5 + rng.normal(scale=0.1, size=20)
    found = versus(baseline, others)
    assert list(found) == list(others)
    assert found["ahead"].verdict == "better"
    assert {each.correction for each in found.values()} == {"Holm over 5"}
    single = versus(baseline, {"ahead": others["ahead"]}, test=paired_bootstrap)["ahead"]
    assert (single.verdict, single.correction) == ("better", "")
    assert "better" in str(single)
    assert versus(baseline, {}) == {}


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SimulationError, match="confidence level"):
        t_interval([1.0, 2.0], level=95)
    with pytest.raises(SimulationError, match="at least 19"):
        bootstrap_mean([1.0, 2.0], resamples=10)
    with pytest.raises(SimulationError, match="two or more"):
        bootstrap(lambda rows: 0.0, 1)
    with pytest.raises(CorpusError, match="2 values for 3"):
        paired_t([1.0, 2, 3], [1.0, 2])


def test_groups_are_drawn_whole_by_hand() -> None:
    # Two groups, of means 0 and 1: a resample has a mean of 0, 0.5 or 1.
    values, group = [0.0, 0.0, 1.0, 1.0], [5, 5, 2, 2]
    found = bootstrap_mean(values, groups=group)
    assert (found.mean, found.half_width) == (0.5, 0.5)
    same = paired_bootstrap(values, [0.0] * 4, groups=group)
    assert (same.interval, same.method) == (found, "paired bootstrap over 2 groups of tasks")
    assert (same.pairs, same.left_out, same.verdict) == (4, 0, "not distinguishable")
    one = paired_bootstrap(values, [0.5] * 4, groups=[1] * 4)
    assert math.isnan(one.interval.half_width)
    assert one.verdict == "not distinguishable"
    # Groups of unequal size weigh by their tasks, and NaNs leave their group's others.
    rows = np.array([1.0, 2.0, 3.0, NAN, 7.0, 8.0])
    assert bootstrap_mean(rows, groups=[1, 1, 1, 2, 2, 3]).mean == pytest.approx(4.2)
    assert bootstrap_mean(rows, groups=range(6)) == bootstrap_mean(rows)
    with pytest.raises(CorpusError, match=r"groups: shape \(2,\) for 4 tasks"):
        bootstrap_mean(values, groups=[1, 2])
    with pytest.raises(SimulationError, match="4 tasks of one group"):
        bootstrap(lambda rows: float(rows.size), 4, groups=[1] * 4)


def test_the_bootstrap_of_groups_is_the_general_one_quicker() -> None:
    rng = np.random.default_rng(5)
    values, group = rng.random(60), rng.integers(0, 12, 60)
    quick = bootstrap_mean(values, groups=group, seed=3)
    slow = bootstrap(lambda rows: float(values[rows].mean()), 60, groups=group, seed=3)
    assert quick.mean == pytest.approx(slow.mean)
    assert quick.half_width == pytest.approx(slow.half_width)


@pytest.mark.slow
def test_equals_on_few_prompts_are_seldom_called_different(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(200), 100)
    by_prompt = by_task = 0
    for _ in range(200):
        one, other = (rng.random((2, 200)) < 0.7).astype(float)[:, prompt]
        groups = {"groups": prompt, "resamples": 199}
        by_prompt += paired_bootstrap(one, other, **groups).verdict != "not distinguishable"
        lead = (one - other).mean() / (one - other).std() * math.sqrt(one.size)
        by_task += abs(lead) > 1.96
    print(f"false, of 200: by prompts {by_prompt}, by tasks {by_task}; seed {seed}")
    assert by_prompt <= 24
    assert by_task > 100


def test_a_difference_without_an_interval_is_equal_once_pickled() -> None:
    found = not_comparable("rests on other tasks")
    assert pickle.loads(pickle.dumps(found)) == found
    assert found != not_comparable("no quality")
