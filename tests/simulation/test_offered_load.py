"""Spells above capacity and how load varies, on numbers worked out by hand.

The load itself is tested with the verdict that rests on it, in ``test_stability``.
"""

import math
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.policies.kernel import FAILED, OK, SHED, TIMED_OUT
from routingsim.simulation.faults import Outage
from routingsim.simulation.offered_load import (
    Run,
    _squared_service,
    _squared_variation,
    _unlikely_rise,
    _up,
    offered_load,
    sent_work,
)
from routingsim.simulation.state import Log, Workload, empty_log
from routingsim.simulation.sums import rising


def two() -> AgentPool:
    return AgentPool(
        tuple(Agent(id=name, name=name, cost=0.1, latency=1.0, concurrency=1) for name in "ab")
    )


def log_of(agent: Sequence[int], took: Sequence[float], status: Sequence[int] = ()) -> Log:
    """A log of calls without retries, which left their queues at 100 s."""
    log = empty_log(len(agent), 1)
    log.agent[:], log.left[:], log.wait[:], log.attempts[:] = agent, 100.0, 0.0, 1
    log.finished[:] = 100.0 + np.array(took)
    log.status[:] = status or OK
    log.retries[0] = 0
    return log


def run_of(arrived: Any, seconds: Any, slots: int, limit: int | None = None) -> Run:
    """A run of one agent whose tasks each mean another service time."""
    agent = Agent(
        id="a", name="a", cost=0.1, latency=1.0, concurrency=slots, requests_per_minute=limit
    )
    size = len(arrived)
    nothing, table = np.zeros(size), np.zeros((size, 0))
    work = Workload(
        arrived=np.array(arrived, float),
        row=np.arange(size, dtype=np.int32),
        d_var=nothing,
        prompt_tokens=nothing,
        category=np.zeros(size, np.int64),
        features=table,
        predicted=table,
        service=np.array(seconds, float)[:, None],
        cost=np.zeros((size, 1)),
        quality=np.full((size, 1), np.nan),
    )
    return Run(work, log_of([0] * size, [1.0] * size), AgentPool((agent,)))


@pytest.mark.parametrize(
    ("excess", "least", "in_all", "at_the_end"),
    [
        ([0, 1, 2, 3], 3.0, 1, 1),
        ([0, 1, 2, 3], 3.1, 0, 0),
        ([0, 3, 0], 3.0, 1 / 2, 0),
        ([0, 3, 1, 5], 3.0, 1, 1),  # a fall of 2 does not end it, one of 3 does
        ([0, 3, 0, 2], 3.0, 1 / 3, 0),
        ([0, 3, 0, 5], 3.0, 2 / 3, 1 / 3),
        ([0, -1, -2, 1, 1], 3.0, 1 / 2, 1 / 2),
        # It begins at the last trough and ends at the last peak; 1 above the trough is no rise.
        ([0, 4, 4, 1, 0, 0, 5, 4], 3.0, 3 / 7, 2 / 7),
        ([1, 0, 2, 1, 4, 0, 1, 0], 3.0, 3 / 7, 0),
    ],
)
def test_rises(excess: list[float], least: float, in_all: float, at_the_end: float) -> None:
    assert rising(np.array(excess, float), least) == (in_all, at_the_end)


@pytest.mark.parametrize(
    ("mean", "error", "variation", "expected"),
    [
        # θ = (1 − ρ) / (ρ s v) for s = 2 s and 100 s of work.
        (0.5, 0.1, 1.0, (math.log(1 + 100 * 0.5) + math.log(1000)) / 0.5),
        (0.8, 0.1, 0.5, (math.log(1 + 100 * 0.25) + math.log(1000)) / 0.25),
        # A load is taken as one standard error below 1 at most.
        (0.9, 0.2, 0.5, (math.log(1 + 100 * 0.25) + math.log(1000)) / 0.25),
        (7.0, 0.2, 0.5, (math.log(1 + 100 * 0.25) + math.log(1000)) / 0.25),
        (0.5, 0.1, 0.0, 0.0),
        (0.0, 0.0, 1.0, math.inf),
        (0.5, 1.0, 1.0, math.inf),
        (1.0, 0.0, 1.0, math.inf),
        (3.0, 0.0, 1.0, math.inf),
        (math.inf, 0.5, 1.0, 0.0),
        (math.inf, math.inf, 1.0, 0.0),
        (math.inf, math.nan, 1.0, 0.0),
    ],
)
def test_a_rise_that_a_queue_hardly_ever_shows(
    mean: float, error: float, variation: float, expected: float
) -> None:
    assert _unlikely_rise(mean, error, variation, 2.0, 100.0) == pytest.approx(expected, rel=1e-12)


def test_the_time_that_agents_were_up_until_each_edge() -> None:
    edges = np.array([10.0, 12.0, 16.0])
    outages = [Outage("b", 0, 11), Outage("b", 13, 14), Outage("a", 15, 99)]
    assert _up(edges, two(), outages).tolist() == [[0, 2, 5], [0, 1, 4]]
    assert _up(edges, two(), []).tolist() == [[0, 2, 6], [0, 2, 6]]


def test_how_gaps_vary() -> None:
    """Calls to a at 0, 2 and 6 s; two to b, whose single gap tells nothing; three at once to c."""
    arrived = np.array([0.0, 1, 2, 4, 6, 8, 8, 8])
    agent = np.array([0, 1, 0, 1, 0, 2, 2, 2], np.int16)
    assert _squared_variation(arrived, agent, 4).tolist() == pytest.approx([1 / 9, 1, 1, 1])
    last_first = _squared_variation(arrived[::-1], agent[::-1], 4)
    assert last_first.tolist() == pytest.approx([1 / 9, 1, 1, 1])


def test_how_service_times_vary() -> None:
    """Calls of 1 and 3 s, and two that no agent served."""
    log = log_of([0, 0, 0, 0, 1], [1, 3, 50, 50, 2], [OK, FAILED, SHED, TIMED_OUT, OK])
    assert _squared_service(log, 3).tolist() == pytest.approx([1 / 4, 0, 0])
    assert _squared_service(log_of([0, 1], [0, 5]), 2).tolist() == [0, 0]
    for tasks in range(2, 60):  # rounding gives no variance below 0
        assert _squared_service(log_of([0] * tasks, [0.1] * tasks), 1)[0] >= 0


@pytest.mark.parametrize(
    ("slots", "seconds", "share"),
    [
        # 16 cells of 10 s. From 120 s on 15 s more come in each than one slot does, and 40 s more
        # with the last task: 85 s, and ten tasks of 126.2 / 17 s are 74 s.
        (1, 25.0, 0.25),
        (2, 25.0, 0.0),  # 45 s
        # With more than ten slots as many tasks: 1,220 s of at least 12 · 100 s …
        (12, 340.0, 0.25),
        (14, 340.0, 0.0),  # … and 1,140 s of 14 · 100 s
    ],
)
def test_a_spell_is_ten_tasks_or_one_for_each_slot(
    slots: int, seconds: float, share: float
) -> None:
    """A call each 10 s, of 0.1 s at first; neither gaps nor services vary."""
    found = offered_load(run_of(range(0, 161, 10), [0.1] * 12 + [seconds] * 5, slots))
    assert found.variation.tolist() == [0]
    assert found.service[0] == pytest.approx((1.2 + 5 * seconds) / 17)
    assert found.mean[0] == pytest.approx((1.2 + 5 * seconds) / (160 * slots))
    assert (found.above[0], found.last_spell[0]) == (share, share)


def test_a_cell_of_time_is_eight_tasks_long() -> None:
    """A call each second: 25 cells of 8 s, of which the last 5 have more than can be done."""
    found = offered_load(run_of(range(201), [0.1] * 160 + [4.0] * 41, 1))
    assert (found.above[0], found.last_spell[0]) == (5 / 25, 5 / 25)


def test_calls_as_fast_as_a_limit_allows_are_not_above_it() -> None:
    """A call each second for 30 s, two for 80 s, and one for 20 s, of 60 a minute allowed.

    26 cells of 5 s: neither the first six nor the last four change the excess, which a rise has
    from its last trough to its last peak.
    """
    calm = [*range(110, 129), 130]  # five in each cell, as the last call counts to the last cell
    arrived = np.concatenate([np.arange(30), np.arange(30, 110, 0.5), calm])
    found = offered_load(run_of(arrived, [0.1] * 210, 1, 60))
    assert found.mean[0] == pytest.approx(210 / 130)
    assert (found.above[0], found.last_spell[0]) == (20 / 26, 20 / 26)


def test_loads_cannot_be_changed_and_are_themselves_alone() -> None:
    run = run_of([0, 10, 30], [5.0] * 3, 1)
    for found, other in ((offered_load(run), offered_load(run)), (sent_work(run), sent_work(run))):
        with pytest.raises(FrozenInstanceError):
            found.mean = found.mean  # pyright: ignore[reportAttributeAccessIssue]
        assert len({found, other}) == 2


@pytest.mark.parametrize(
    ("limit", "mean", "limited", "variation"),
    [
        (6, 1.0, True, 1 / 18),  # three calls in 30 s, 10 s for each
        (3, 2.0, False, 1 / 18 + 1 / 12),  # 20 s each, as long as a call takes
        (None, 2.0, False, 1 / 18 + 1 / 12),
    ],
)
def test_service_times_do_not_count_where_a_limit_decides(
    limit: int | None, mean: float, limited: bool, variation: float
) -> None:
    """Gaps of 10 and 20 s: c² = 1/9; services of 1, 2 and 3 s: c² = 1/6."""
    seconds = 5.0 if limit == 6 else 20.0
    run = run_of([0, 10, 30], [seconds] * 3, 1, limit)
    run = run._replace(log=log_of([0] * 3, [1, 2, 3]))
    assert sent_work(run).limited.tolist() == [limited]
    found = offered_load(run)
    assert found.variation.tolist() == pytest.approx([variation])
    assert found.mean[0] == pytest.approx(mean)
    assert found.error[0] == pytest.approx(found.mean[0] * math.sqrt(2 * variation / 3))
