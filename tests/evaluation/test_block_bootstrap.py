"""Intervals of one replay less another: by hand, against a plain bootstrap, and in the long run."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from routingsim.evaluation.block_bootstrap import (
    BLOCKS,
    LEAST_TASKS,
    mean_difference,
    p95_difference,
)
from routingsim.evaluation.intervals import RESAMPLES
from routingsim.simulation.statistics import Interval, quantiles

# Of ten blocks: the root of 10/9, and Student's t with 9 degrees of freedom for the normal.
WIDER = math.sqrt(10 / 9) * stats.t.ppf(0.975, 9) / stats.norm.ppf(0.975)


def plain(
    values: np.ndarray, statistic: Callable[[np.ndarray], float], second: np.ndarray | None = None
) -> Interval:
    """The same interval, each resample put together from its blocks one by one."""
    other = np.zeros(values.size) if second is None else second
    pairs = [np.array_split(each, BLOCKS) for each in (values, other)]
    drawn = np.random.default_rng(0).multinomial(BLOCKS, [1 / BLOCKS] * BLOCKS, RESAMPLES)

    def figure(times: np.ndarray) -> float:
        one, two = (
            np.concatenate([np.tile(block, n) for block, n in zip(each, times, strict=True)])
            for each in pairs
        )
        return statistic(one) - statistic(two)

    centre = figure(np.ones(BLOCKS, int))
    away = sorted(abs(figure(times) - centre) for times in drawn)
    return Interval(centre, float(WIDER) * away[math.ceil(0.95 * RESAMPLES) - 1])


@pytest.mark.slow
def test_means_by_hand() -> None:
    one = np.repeat(np.arange(10.0), 10)
    found = mean_difference(one, np.zeros(100))
    assert found.mean == 4.5
    assert found.level == 0.95
    expected = plain(one, np.mean)
    assert found.half_width == pytest.approx(expected.half_width, rel=1e-12)
    # The standard error of a mean of ten values, times t: about as wide.
    assert found.half_width == pytest.approx(
        stats.t.ppf(0.975, 9) * np.arange(10.0).std(ddof=1) / math.sqrt(10), rel=0.05
    )
    assert mean_difference(np.zeros(100), one) == Interval(-4.5, found.half_width)


def test_blocks_are_consecutive_tasks() -> None:
    spread_out = np.tile(np.arange(10.0), 10)  # every block has the same mean
    assert mean_difference(spread_out, np.zeros(100)) == Interval(4.5, 0.0)


def test_what_both_share_cancels() -> None:
    rng = np.random.default_rng(1)
    one = rng.exponential(size=500)
    assert mean_difference(one, one) == Interval(0.0, 0.0)
    assert p95_difference(one, one) == Interval(0.0, 0.0)
    constant = mean_difference(one + 2, one)
    assert constant.mean == pytest.approx(2)
    assert constant.half_width == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("tasks", "off"), [(100, 1e-12), (430, 1e-12), (1_990, 1e-3)])
def test_percentiles_are_those_of_each_resample(tasks: int, off: float) -> None:
    rng = np.random.default_rng(tasks)
    one, other = rng.exponential(size=tasks), rng.exponential(size=tasks)

    def p95(values: np.ndarray) -> float:
        return float(quantiles(values, [0.95])[0])

    found, expected = p95_difference(one, other), plain(one, p95, other)
    assert found.mean == expected.mean
    assert found.half_width == pytest.approx(expected.half_width, rel=off)


def test_a_grid_of_2000_latencies() -> None:
    values = np.random.default_rng(2).permutation(np.arange(1.0, 40_001.0))
    assert p95_difference(values, np.zeros(40_000)).mean == 38_000.0
    # Between two points of the grid the upper one: within 20 of 40,000.
    shifted = np.append(values, np.full(1_000, 1e6))
    assert p95_difference(shifted, np.zeros(41_000)).mean == pytest.approx(38_950, abs=20.5)


def test_what_is_unknown_is_left_out() -> None:
    one = np.where(np.arange(100) % 2, np.nan, np.repeat(np.arange(10.0), 10))
    assert mean_difference(one, np.zeros(100)).mean == 4.5
    assert p95_difference(one, np.zeros(100)).mean == 9.0
    for difference in (mean_difference, p95_difference):
        nothing = difference(np.full(100, np.nan), np.zeros(100))
        assert math.isnan(nothing.mean)
        assert math.isnan(nothing.half_width)


def test_what_a_replay_needs() -> None:
    assert BLOCKS == 10
    assert LEAST_TASKS == 100


def sojourns(draws: int, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of two queues that meet the same arrivals and texts, shape (draws, tasks).

    Two runs of Lindley's recursion (exponential gaps, service of cv 1), at loads 0.4 and 0.5.
    """
    rng = np.random.default_rng(8)
    gaps = rng.exponential(1.0, (tasks, draws))
    work = rng.exponential(1.0, (tasks, draws))
    found = []
    for load in (0.4, 0.5):
        wait, latency = np.zeros(draws), np.empty((tasks, draws))
        for k in range(tasks):
            latency[k] = wait + load * work[k]
            wait = np.maximum(latency[k] - gaps[k], 0.0)
        found.append(latency.T)
    return found[0], found[1]


@pytest.mark.slow
def test_intervals_hold_what_they_say() -> None:
    """Of 400 runs, 95 % of the intervals hold the truth, to the width of a proportion's own."""
    draws, tasks = 400, 1_800
    one, other = sojourns(draws, tasks)
    for difference, truth in (
        (mean_difference, one.mean() - other.mean()),
        (p95_difference, np.quantile(one, 0.95) - np.quantile(other, 0.95)),
    ):
        intervals = [difference(a, b) for a, b in zip(one, other, strict=True)]
        held = np.mean([each.low <= truth <= each.high for each in intervals])
        assert 0.92 <= held <= 0.98, (difference, held)
