"""Resampled corpora: drawn as they should be, and scaled to what corpora vary by."""

import math
import pickle

import numpy as np
import pytest
from scipy import stats

from routingsim.evaluation.resampling import (
    CORPORA,
    Resamples,
    Sampled,
    independent,
    scale,
    stand_ins,
)

NAN = float("nan")


@pytest.mark.parametrize("records", [50, 501])
def test_a_drawn_task_keeps_its_place_and_copies_fill_the_others(records: int) -> None:
    drawn = stand_ins(np.arange(records), seed=3)
    assert drawn.shape == (CORPORA, records)
    for each in drawn:
        times = np.bincount(each, minlength=records)
        there = times > 0
        assert np.array_equal(each[there], np.flatnonzero(there))
        assert times.sum() == records
    missing = (np.sort(drawn, axis=1)[:, 1:] == np.sort(drawn, axis=1)[:, :-1]).mean()
    assert missing == pytest.approx(math.exp(-1), abs=0.03)  # not drawn: (1 - 1/N)^N


def test_copies_in_order_come_near_their_own_places() -> None:
    group = np.arange(2500)
    drawn, near = stand_ins(group, 3), stand_ins(group, 3, in_order=True)
    assert np.array_equal(np.sort(drawn, axis=1), np.sort(near, axis=1))  # the same tasks
    moved = [np.abs(each - group)[each != group] for each in (drawn, near)]
    far, close = (int(np.median(each)) for each in moved)
    assert far > 500
    assert close < 2 * math.sqrt(2500)
    assert all(np.array_equal(each[each == group], group[each == group]) for each in near)


def test_records_of_one_prompt_are_drawn_together() -> None:
    group = np.repeat(np.arange(60), 4)
    for each in stand_ins(group, seed=0):
        times = np.bincount(each, minlength=240).reshape(60, 4)
        assert (times == times[:, :1]).all()


def test_the_same_seed_draws_the_same() -> None:
    group = np.arange(100)
    assert np.array_equal(stand_ins(group, 5), stand_ins(group, 5))
    assert not np.array_equal(stand_ins(group, 5), stand_ins(group, 6))


@pytest.mark.parametrize(
    ("group", "count"),
    [
        (range(60), 60),
        ([k // 40 for k in range(1200)], 30),
        ([0] * 100, 1),
        ([0] * 900 + list(range(1, 101)), 1),  # (1000)² / (900² + 100) = 1.23
        ([], 0),
    ],
)
def test_prompts_count_by_how_often_they_are_asked(group: list[int], count: int) -> None:
    assert independent(np.array(group, dtype=np.intp)) == count


def test_the_scale_of_whole_runs_is_n_over_n_less_one() -> None:
    group = np.arange(400)
    rows = [np.random.default_rng(r).permutation(400).astype(np.int32) for r in range(2)]
    found = scale(group, stand_ins(group, 1), rows)
    assert found == pytest.approx(400 / 399, rel=0.05)


def test_a_study_draws_once() -> None:
    group, rows = np.arange(100), [np.arange(100, dtype=np.int32)]
    found = Resamples(group, 5)
    again = pickle.loads(pickle.dumps(found))  # a process draws for itself
    assert found.drawn is found.drawn
    assert np.array_equal(found.drawn, stand_ins(group, 5))
    assert np.array_equal(again.drawn, found.drawn)
    for part in (rows, [rows[0][:30]]):
        assert found.scale(part) == again.scale(part) == scale(group, found.drawn, part)
    assert found.scale(rows) != found.scale([rows[0][:30]])
    assert found.independent == 100


def test_the_variance_of_a_mean_over_tasks_is_that_between_corpora(seed: int) -> None:
    """Whole runs, parts of the corpus, more tasks than it has, and prompts asked four times."""
    rng = np.random.default_rng(seed)
    print(f"seed {seed}")
    cases = [
        (np.arange(300), 300),
        (np.arange(300), 60),
        (np.arange(300), 3000),
        (np.repeat(np.arange(75), 4), 300),
    ]
    for group, tasks in cases:
        values = rng.normal(size=(400, group.max() + 1))[:, group]
        whole = tasks == group.size
        rows = [
            (rng.permutation(300)[:tasks] if tasks <= 300 else rng.integers(0, 300, tasks))
            for _ in range(2)
        ]
        rows = [row.astype(np.int32) for row in rows]
        drawn = stand_ins(group, int(rng.integers(1000)))
        means = np.array([[values[:, d[r]].mean(axis=1) for r in rows] for d in drawn])
        found = scale(group, drawn, rows) * means.mean(axis=1).var(axis=0, ddof=1).mean()
        true = 1 / (group.max() + 1)
        assert found == pytest.approx(true, rel=0.15), (group.size, tasks, whole)


def test_the_interval_by_hand() -> None:
    rng = np.random.default_rng(0)
    runs, resamples = rng.normal(3, 1, 10), rng.normal(3, 0.5, (CORPORA, 2))
    of_corpus = 1.01 * resamples.mean(axis=1).var(ddof=1)
    of_runs = runs.var(ddof=1) / 10
    freedom = (of_corpus + of_runs) ** 2 / (of_corpus**2 * (1 / 19 + 1 / 79) + of_runs**2 / 9)
    interval, p = Sampled(runs, resamples, 1.01, 80).interval()
    error = math.sqrt(of_corpus + of_runs)
    assert interval.mean == pytest.approx(runs.mean())
    assert interval.half_width == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    assert p == pytest.approx(2 * stats.t.sf(runs.mean() / error, freedom))


def test_more_runs_do_not_narrow_what_only_more_tasks_can() -> None:
    rng = np.random.default_rng(1)
    resamples = rng.normal(0, 0.1, (CORPORA, 2))
    few, many = (
        Sampled(rng.normal(0, 0.1, count), resamples, 1.0, 200).interval()[0].half_width
        for count in (10, 100_000)
    )
    assert many < few
    assert many > 2.0 * resamples.mean(axis=1).std(ddof=1)


def test_too_little_known_gives_no_interval() -> None:
    runs, resamples = np.arange(4.0), np.ones((CORPORA, 2))
    few = resamples.copy()
    few[: CORPORA // 2 + 1] = NAN
    for each in (
        Sampled(runs[:1], resamples, 1.0, 80),
        Sampled(np.array([1.0, NAN]), resamples, 1.0, 80),
        Sampled(runs, few, 1.0, 80),
        Sampled(runs, np.empty((0, 1)), 1.0, 80),
    ):
        interval, p = each.interval()
        assert math.isnan(interval.half_width)
        assert math.isnan(p)
    assert not math.isnan(Sampled(runs, resamples, 1.0, 80).interval()[1])
