"""Plots in words: the right agent, and figures by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.report.captions import (
    frontier_in_words,
    latencies_in_words,
    latency_in_words,
    loads_in_words,
    queue_in_words,
    usage_in_words,
)
from routingsim.report.figures import Comparison, Entry, TaskFigures
from routingsim.report.palette import policy_styles
from routingsim.simulation.faults import Outage
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import Interval


def run(slow: str, policy: str = "round-robin", **options: object) -> ReplayResult:
    """Nine tasks, one every 4 s, in turn to agents that take 1 s and 3 s, the first one more."""
    agents = (
        Agent(id=name, name=name, cost=0.001, concurrency=1, service="deterministic",
              latency=3.0 if name == slow else 1.0)
        for name in ("a", "b")
    )  # fmt: skip
    options = {"arrivals": "deterministic:0.25", "tasks": 9, "warm_up": 0.0} | options
    return replay(None, AgentPool(tuple(agents)), policy, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slow", "expected"),
    [
        # In use for 5 x 1 s and 4 x 3 s, or 5 x 3 s and 4 x 1 s, of 36 s.
        ("b", "Most tasks: a (56 %). Busiest: b (33 % of its slots)."),
        ("a", "Most tasks: a (56 %). Busiest: a ("),
    ],
)
def test_usage(slow: str, expected: str) -> None:
    assert usage_in_words(run(slow)).startswith(expected)


def test_latency() -> None:
    assert latency_in_words(run("b")) == "p50 1.0 s, p90 3.0 s, p95 3.0 s, p99 3.0 s."
    assert latencies_in_words([run("b"), run("b", "static:b")]) == (
        "round-robin p50 1.0 s, p95 3.0 s; static:b p50 3.0 s, p95 3.0 s."
    )


def test_nothing_answered() -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=1.0, latency=1.0, patience=0.5),))
    none = replay(None, pool, "cheapest", arrivals="deterministic:1", tasks=4,
                  outages=[Outage("a", 0.0, 1e6)])  # fmt: skip
    assert latency_in_words(none) == latencies_in_words([none]) == "No task was answered."


def test_queue() -> None:
    assert queue_in_words(run("b")) == "No task ever waited."
    busy = run("b", "static:b", arrivals="deterministic:1", tasks=4)
    # Sent at 1, 2, 3, 4; begun at 1, 4, 7, 10; over at 13: waits of 2 + 4 + 6 s in 13 s.
    assert queue_in_words(busy) == (
        "0.92 tasks waited on average, 2.0 at the worst, 3.03 s into the run, most of them at b."
    )
    down = run("b", "static:b", arrivals="deterministic:1", tasks=4, outages=[Outage("a", 1, 2)])
    assert queue_in_words(down).endswith("most of them at b; a down from 1 to 2 s.")


def at(load: float, **figures: tuple[float, float, float]) -> Comparison:
    """Entries by name with quality, cost (USD a task) and p95 (s); b is overloaded."""

    def entry(name: str, quality: float, cost: float, p95: float) -> Entry:
        known = {"quality": quality, "cost": cost, "latency_p95": p95, "recorded": 1.0}
        known |= {"above": 0.5, "peak": 4.0, "left": 4.0}
        tasks = TaskFigures(np.zeros(1, int), np.array([quality]), np.array([cost]))
        return Entry(name, False, policy_styles(1)[0], False,
                     "overloaded" if name == "b" else "steady", 1, 1,
                     lambda metric: Interval(known[metric], math.nan), tasks)  # fmt: skip

    entries = tuple(entry(name, *each) for name, each in figures.items())
    return Comparison(load, entries, lambda *_: None)


def test_frontier() -> None:
    shown = at(0.5, a=(0.5, 0.002, 3.0), b=(0.25, 0.001, 9.0), c=(math.nan, 0.1, 1.0))
    assert frontier_in_words(shown, "cost") == (
        "a quality 0.500 at USD 2.00 per 1,000 tasks; b quality 0.250 at USD 1.00 per 1,000 tasks."
    )
    assert frontier_in_words(shown, "latency_p95") == (
        "a quality 0.500 at 3.0 s; b quality 0.250 overloaded in 50 % of the time."
    )


def test_loads() -> None:
    low = at(0.2, a=(0.5, 0.002, 3.0), b=(0.25, 0.001, 9.0), c=(math.nan, 0.1, 1.0))
    high = at(0.8, a=(0.6, 0.003, 4.0), b=(math.inf, 0.001, math.nan), c=(0.5, 0.1, 1.0))
    assert loads_in_words([low, high], "quality") == "a 0.500 to 0.600; b 0.250 to without bound."
    assert loads_in_words([low, high], "cost") == "a 2.00 to 3.00; b 1.00 to 1.00; c 100 to 100."
    assert loads_in_words([low, high], "latency_p95") == "a 3.00 to 4.00; c 1.00 to 1.00."
    over = at(0.8, b=(0.25, 0.001, 400.0))
    low = at(0.2, b=(0.25, 0.001, 9.0))
    low = replace(low, entries=(replace(low.entries[0], verdict="steady"),))
    assert loads_in_words([low, over], "latency_p95") == "b 9.00 to above capacity."
    nothing = at(0.2, a=(math.nan, math.nan, math.nan))
    assert loads_in_words([nothing, nothing], "quality") == "Nothing recorded."
