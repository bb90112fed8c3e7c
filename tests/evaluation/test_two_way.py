"""Variance over tasks and runs: each counted once, prompts and not records counted."""

import math

import numpy as np
import pytest
from scipy import stats

from routingsim.evaluation.evidence import difference
from routingsim.evaluation.two_way import TwoWay

TASKS, RUNS = 100, 20
NAN = float("nan")


def table(values: np.ndarray, group: np.ndarray | None = None) -> TwoWay:
    """Of a metric of each run and task, shape (runs, tasks)."""
    runs, tasks = values.shape
    half = runs // 2
    return TwoWay(
        tasks=values.mean(axis=0),
        halves=np.array([values[:half].mean(axis=0), values[half:].mean(axis=0)]),
        met=np.repeat([[half], [runs - half]], tasks, axis=1),
        runs=values.mean(axis=1),
        group=np.arange(tasks) if group is None else group,
    )


def mean_squares(values: np.ndarray) -> tuple[float, float, float]:
    """Of tasks, runs and residual."""
    runs, tasks = values.shape
    by_task, by_run, mean = values.mean(axis=0), values.mean(axis=1), values.mean()
    rest = values - by_task - by_run[:, np.newaxis] + mean
    return (
        runs * float(((by_task - mean) ** 2).sum()) / (tasks - 1),
        tasks * float(((by_run - mean) ** 2).sum()) / (runs - 1),
        float((rest**2).sum()) / (tasks - 1) / (runs - 1),
    )


def test_the_variance_by_hand_of_two_runs() -> None:
    """With two runs the halves are the runs, and the residual is that of the table exactly."""
    rng = np.random.default_rng(2)
    values = rng.normal(1.0, 1.0, 60) + rng.normal(0, 0.5, (2, 60))
    of_tasks, of_runs, residual = mean_squares(values)
    variance = (of_tasks + of_runs - residual) / 120
    parts = ((of_tasks - residual) / 120) ** 2 / 59 + (of_runs / 120) ** 2
    interval, p = table(values).interval()
    freedom, error = variance**2 / parts, math.sqrt(variance)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.half_width == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    assert p == pytest.approx(2 * stats.t.sf(values.mean() / error, freedom))


@pytest.mark.parametrize(("by_task", "by_run", "noise"), [
    (0.3, 0.0, 0.0), (0.3, 0.02, 0.3), (0.02, 0.1, 0.1), (0.05, 0.0, 1.0),
])  # fmt: skip
def test_intervals_cover_the_truth_and_are_no_wider(
    by_task: float, by_run: float, noise: float, seed: int
) -> None:
    """Known truth 0: tasks drawn from a population, runs that move all of their tasks."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    trials, covered, squares = 400, 0, 0.0
    for _ in range(trials):
        values = rng.normal(0, by_task, TASKS) + rng.normal(0, by_run, RUNS)[:, np.newaxis]
        values = values + rng.normal(0, noise, (RUNS, TASKS))
        found, p = table(values).interval()
        covered += found.low <= 0 <= found.high
        assert (p <= 0.05) == (not found.low <= 0 <= found.high)
        squares += (found.half_width / 2) ** 2 / trials
    true = by_task**2 / TASKS + by_run**2 / RUNS + noise**2 / TASKS / RUNS
    four_errors = 4 * (trials * 0.05 * 0.95) ** 0.5
    assert trials * 0.95 - four_errors <= covered
    # Counting the residual twice gives 1.9 times the variance in the last case.
    assert squares == pytest.approx(true, rel=0.25)


def test_records_of_one_prompt_count_once() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, 50) + rng.normal(0, 0.5, (4, 50))
    once, _ = table(values).interval()
    often = np.repeat(values, 30, axis=1)
    grouped, _ = table(often, np.repeat(np.arange(50), 30)).interval()
    assert grouped.half_width == pytest.approx(once.half_width)
    apart, _ = table(often).interval()
    assert apart.half_width < 0.8 * grouped.half_width


def test_tasks_met_in_few_runs_are_no_wider() -> None:
    """Each record in about half of the runs: what is a task's in single runs is taken off."""
    rng = np.random.default_rng(4)
    squares, true = 0.0, 0.2**2 / 200 + 1.0 / 200 / 10.4
    for _ in range(200):
        values = rng.normal(0, 0.2, 200) + rng.normal(0, 1.0, (20, 200))
        values[2:10][rng.random((8, 200)) < 0.6] = NAN  # two runs of each half have them all
        values[12:][rng.random((8, 200)) < 0.6] = NAN
        met = np.array([(~np.isnan(half)).sum(axis=0) for half in (values[:10], values[10:])])
        halves = np.array([np.nanmean(half, axis=0) for half in (values[:10], values[10:])])
        tasks = np.nanmean(values, axis=0)
        steady = np.zeros(20) + tasks.mean()
        found, _ = TwoWay(tasks, halves, met, steady, np.arange(200)).interval()
        squares += (found.half_width / 1.972) ** 2 / 200
    assert squares == pytest.approx(0.2**2 / 200, rel=0.3)
    assert squares < true


def test_unknown_tasks_and_runs_are_left_out() -> None:
    values = np.random.default_rng(5).normal(1, 0.3, (6, 30))
    whole = table(values)
    wider = TwoWay(
        np.append(whole.tasks, NAN),
        np.column_stack([whole.halves, [NAN, NAN]]),
        np.column_stack([whole.met, [0, 0]]),
        np.append(whole.runs, NAN),
        np.arange(31),
    )
    assert wider.interval() == pytest.approx(whole.interval())
    zero = table(np.zeros((6, 30)))
    padded = TwoWay(np.append(zero.tasks, 0.0), np.column_stack([zero.halves, [0.0, 0.0]]),
                    np.column_stack([zero.met, [3, 3]]), np.append(zero.runs, 0.0),
                    np.arange(31))  # fmt: skip
    found = difference(wider, padded, higher_is_better=True)
    assert (found.pairs, found.left_out) == (30, 1)
    assert found.method == "two-way variance over tasks and replications"
    assert found.verdict == "better"
    assert difference(padded, wider, higher_is_better=True).verdict == "worse"
    assert difference(wider, padded, higher_is_better=False).verdict == "worse"


def test_equal_values_differ_by_nothing_and_single_runs_say_nothing() -> None:
    values = np.random.default_rng(6).normal(1, 0.3, (6, 30))
    same = difference(table(values), table(values), higher_is_better=True)
    assert (same.interval.half_width, same.p_value, same.verdict) == (0, 1, "not distinguishable")
    more = difference(table(values + 0.1), table(values), higher_is_better=True)
    assert (more.interval.half_width, more.p_value, more.verdict) == (0, 0, "better")
    for few in (np.vstack([values[:1], values[:1] * NAN]), values[:, :1]):
        found = difference(table(few), table(few - 1), higher_is_better=True)
        assert (found.verdict, found.method) == ("no verdict", "too little is known")
        assert math.isnan(found.interval.half_width)
