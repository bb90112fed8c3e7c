"""Differences between replays: by hand, paired, and in the long run."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.evaluation.controls.simulated import control_replays
from routingsim.evaluation.intervals import paired_t
from routingsim.evaluation.replay_difference import (
    different_tasks,
    replay_difference,
)
from routingsim.simulation.batches import BATCHES, PARTS
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stability import ABOVE
from routingsim.simulation.statistics import Interval, hall_interval


def pool() -> AgentPool:
    return AgentPool(
        tuple(
            Agent(id=i, name=i, cost=c, latency=s, service="exponential", concurrency=2)
            for i, c, s in (("a", 1.0, 1.0), ("b", 2.0, 1.2))
        )
    )


def corpus(tasks: int) -> Corpus:
    rng = np.random.default_rng(tasks)
    names = [f"word {k}" for k in range(tasks)]
    frame = pd.DataFrame({"id": names, "text": names})
    for agent, share in (("a", 0.5), ("b", 0.8)):
        frame[f"outcomes.{agent}.quality"] = (rng.uniform(size=tasks) < share).astype(float)
    return Corpus.from_frame(frame)


def both(given: Corpus | None, **settings: Any) -> tuple[ReplayResult, ReplayResult]:
    """Agent b alone, and agent a alone."""
    scene: dict[str, Any] = {"arrivals": "poisson:1", "seed": 2} | settings
    first, second = (rs.replay(given, pool(), f"static:{agent}", **scene) for agent in "ba")
    return first, second


def apart(metric: str, first: ReplayResult, second: ReplayResult) -> Interval:
    found = replay_difference(metric, first, second)
    assert found is not None
    return found


def further(result: ReplayResult, metric: str) -> np.ndarray:
    assert result.replications is not None
    return np.array([run[metric] for run in result.replications.measured(lambda run: run.whole)])


def test_latency_differs_run_by_run() -> None:
    first, second = both(None, tasks=200)
    found = apart("latency_p95", first, second)
    both_ways = further(first, "latency_p95") - further(second, "latency_p95")
    assert found == hall_interval(both_ways)
    assert found.runs == 10
    alone = [each.interval("latency_p95").half_width for each in (first, second)]
    assert found.half_width < math.hypot(*alone)  # pairs share arrivals and noise


def test_quality_takes_tasks_as_a_sample() -> None:
    """Each agent alone has the same quality in all runs, so what varies is the tasks."""
    first, second = both(corpus(80))
    found = apart("quality_all", first, second)
    tasks = paired_t(first.quality, second.quality).interval  # 80 tasks, no two alike
    assert found.mean == pytest.approx(tasks.mean)
    assert found.half_width == pytest.approx(tasks.half_width, rel=1e-6)
    assert found.half_width > 0.05
    assert apart("quality", first, second) == found


@pytest.mark.parametrize(("tasks", "known"), [(49, False), (50, True)])
def test_few_different_tasks_have_no_difference_in_quality(tasks: int, known: bool) -> None:
    first, second = both(corpus(tasks), tasks=400)
    assert different_tasks(first) == tasks
    for metric in ("cost", "quality", "quality_all"):
        assert (replay_difference(metric, first, second) is not None) is known
    assert replay_difference("latency_p95", first, second) is not None  # days can be had


def test_tasks_drawn_often_are_no_more_tasks() -> None:
    once, often = both(corpus(100)), both(corpus(100), tasks=4_000)
    widths = []
    for runs in (once, often):
        found = replay_difference("quality_all", *runs)
        assert found is not None
        widths.append(found.half_width)
    assert widths[1] > 0.85 * widths[0]


def test_the_overloaded_have_no_difference_in_latency() -> None:
    runs = both(None, tasks=3_000, arrivals="poisson:1.9")
    assert runs[0].stability.verdict in ABOVE
    assert replay_difference("latency_p95", *runs) is None
    cost = replay_difference("cost", *runs)
    assert cost is not None
    assert cost.half_width == 0  # the same calls on any day


def test_long_runs_need_no_further_ones() -> None:
    first, second = both(None, tasks=70_000, arrivals="poisson:0.8", seed=3)
    assert first.long
    assert second.long
    assert apart("cost", first, second).runs == 0
    for share, metric in ((None, "latency_mean"), (0.5, "latency_p50"), (0.95, "latency_p95")):
        found = apart(metric, first, second)
        assert found.runs == 0
        kept = first.timed.sum() // (BATCHES * PARTS) * BATCHES * PARTS
        one, other = (np.sort(run.latency[run.timed][-kept:]) for run in (first, second))
        if share is None:
            expected = one.mean() - other.mean()
        else:
            at = math.ceil(share * kept) - 1
            expected = one[at] - other[at]
        assert found.mean == pytest.approx(expected)
    assert not vars(first).get("replications")  # none was made


def test_controls_are_compared_by_further_runs_too() -> None:
    for tasks in (None, 400):  # each once, and drawn with replacement
        result = rs.replay(corpus(60), pool(), "round-robin", arrivals="poisson:1", tasks=tasks)
        control = control_replays(result)
        found = replay_difference("quality_all", control["zero-router"], result)
        assert found is not None
        assert found.half_width > 0
        # A choice by task is known for the tasks of this run alone.
        assert (control["oracle"].replications is None) is (
            tasks is not None and different_tasks(result) < 60
        )
