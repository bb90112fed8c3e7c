"""Runs of the same tasks: compared by the day, skewed or not."""

import math

import numpy as np
import pytest
from scipy import stats

from routingsim.evaluation.evidence import Runs, difference
from routingsim.simulation.statistics import hall_interval


def test_runs_without_skew_are_compared_by_student() -> None:
    """Differences 1, 2, 3: mean 2, error 1 / sqrt(3), t of 2 degrees of freedom 4.303."""
    one, other = Runs(np.array([2.0, 4.0, 6.0, math.nan])), Runs(np.array([1.0, 2.0, 3.0, 4.0]))
    found = difference(one, other, higher_is_better=True)
    assert found.interval.mean == 2
    assert found.interval.half_width == pytest.approx(4.302653 / 3**0.5)
    assert found.p_value == pytest.approx(0.0741799)
    assert (found.pairs, found.left_out) == (3, 1)
    assert (found.verdict, found.method) == (
        "not distinguishable",
        "paired Hall's t over replications",
    )


@pytest.mark.parametrize("mean", [0.3, -0.3, 1.0])
def test_the_p_value_is_that_of_the_interval(mean: float) -> None:
    runs = np.random.default_rng(1).exponential(1, 12) - 1 + mean
    _, p = Runs(runs).interval()
    touching = hall_interval(runs, 1 - p)
    assert min(abs(touching.low), abs(touching.high)) == pytest.approx(0, abs=1e-9)
    for level in (0.8, 0.95):
        found, _ = Runs(runs).interval(level)
        assert (p <= 1 - level) == (found.low > 0 or found.high < 0)


def test_equal_runs_differ_by_nothing_and_few_say_nothing() -> None:
    runs = np.random.default_rng(2).normal(size=6)
    same = difference(Runs(runs), Runs(runs), higher_is_better=True)
    assert (same.interval.half_width, same.p_value, same.verdict) == (0, 1, "not distinguishable")
    less = difference(Runs(runs), Runs(runs + 0.1), higher_is_better=False)
    assert (less.p_value, less.verdict) == (0, "better")
    for few in (runs[:2], runs[:0]):
        assert difference(Runs(few), Runs(few - 1), higher_is_better=True).verdict == "no verdict"


def test_differences_of_p95_that_are_mostly_zero_are_covered(seed: int) -> None:
    """As between policies that differ in few choices: zero in half of the runs, then a jump."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    trials, covered = 1000, {5: [0, 0], 10: [0, 0]}
    for runs, hits in covered.items():
        jumps = rng.exponential(1, (trials, runs)) * (rng.random((trials, runs)) > 0.53)
        t = stats.t.ppf(0.975, runs - 1) / math.sqrt(runs)
        for each in jumps:
            found, _ = Runs(each).interval()
            hits[0] += found.low <= 0.47 <= found.high
            hits[1] += abs(each.mean() - 0.47) <= t * each.std(ddof=1)
    print(covered)
    for runs, (ours, students) in covered.items():
        assert ours > students + 15, runs
        assert ours > {5: 850, 10: 905}[runs], runs
