"""The verdict on a run, on small runs worked out by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.policies.kernel import FAILED, OK, SHED
from routingsim.policies.policy import Judge
from routingsim.simulation.faults import Outage
from routingsim.simulation.stability import Stability, stability
from routingsim.simulation.state import REJECTED, Log, Workload, empty_log
from routingsim.simulation.statistics import slope_t

SERVICE = [[1.0, 3.0], [2.0, 5.0]]  # seconds of the two records at the agents a and b
GRID = 256


def two(**fields: Any) -> AgentPool:
    """Agent a with two slots and agent b with one."""
    return AgentPool(
        (
            Agent(id="a", name="A", cost=0.1, latency=1.0, concurrency=2, **fields),
            Agent(id="b", name="B", cost=0.1, latency=1.0, concurrency=1),
        )
    )


def one(slots: int = 1) -> AgentPool:
    return AgentPool((Agent(id="a", name="A", cost=0.1, latency=1.0, concurrency=slots),))


def work_of(
    arrived: Sequence[float], row: Sequence[int], service: Any = SERVICE, quality: Any = None
) -> Workload:
    table = np.array(service)
    rows, agents = table.shape
    return Workload(
        arrived=np.array(arrived, float),
        row=np.array(row, np.int32),
        d_var=np.zeros(rows),
        prompt_tokens=np.zeros(rows),
        category=np.zeros(rows, np.int64),
        features=np.zeros((rows, 0)),
        predicted=np.zeros((rows, 0)),
        service=table,
        cost=np.zeros((rows, agents)),
        quality=np.full((rows, agents), np.nan) if quality is None else np.array(quality),
    )


def log_of(
    agent: Sequence[int],
    finished: Sequence[float] = (),
    *,
    status: Sequence[int] | None = None,
    attempts: Sequence[int] | None = None,
    retried: Sequence[tuple[int, int, int]] = (),
) -> Log:
    """A log; ``retried`` has (task, agent, status) of each try that was followed by another."""
    log = empty_log(len(agent), 4)
    log.agent[:] = agent
    log.status[:] = [OK] * len(agent) if status is None else status
    log.attempts[:] = [1] * len(agent) if attempts is None else attempts
    log.finished[:] = finished if len(finished) else 0.0
    log.retried[:], log.retried_agent[:], log.retried_status[:] = 0, 1, REJECTED  # not in use
    for k, (task, where, how) in enumerate(retried):
        log.retried[k], log.retried_agent[k], log.retried_status[k] = task, where, how
    log.retries[0] = len(retried)
    return log


THREE = work_of([5, 10, 25], [0, 1, 0])  # 20 s from the first arrival to the last
TO_A_A_B = log_of([0, 0, 1])


def offered(
    log: Log = TO_A_A_B,
    work: Workload = THREE,
    pool: AgentPool | None = None,
    outages: Sequence[Outage] = (),
    judge: Judge | None = None,
) -> dict[str, float]:
    return stability(work, log, pool or two(), outages, judge).offered


# -- offered load -----------------------------------------------------------------------


def test_offered_load_is_work_over_what_the_slots_can_do() -> None:
    assert offered() == {"a": (1 + 2) / (2 * 20), "b": 3 / 20}


def test_every_try_counts_and_only_those_there_were() -> None:
    log = log_of([0, 0, 1], retried=[(1, 1, FAILED), (0, 0, FAILED)])
    assert offered(log) == {"a": (1 + 2 + 1) / 40, "b": (3 + 5) / 20}


def test_calls_that_were_shed_count_too() -> None:
    assert offered(log_of([0, 0, 1], status=[OK, SHED, OK])) == offered()


@pytest.mark.parametrize(
    ("down", "up", "seconds"),
    [
        (10.0, 15.0, 15.0),  # within the run
        (0.0, 10.0, 15.0),  # began before it
        (20.0, 99.0, 15.0),  # ended after it
        (0.0, 3.0, 20.0),  # over before it
        (30.0, 40.0, 20.0),  # after it
    ],
)
def test_an_outage_shortens_the_time_of_its_agent(down: float, up: float, seconds: float) -> None:
    assert offered(outages=[Outage("b", down, up)]) == {"a": 3 / 40, "b": 3 / seconds}


def test_outages_add_up() -> None:
    outages = [Outage("b", 6, 10), Outage("b", 20, 21), Outage("a", 5, 15)]
    assert offered(outages=outages) == {"a": 3 / 20, "b": 3 / 15}


def test_an_agent_that_is_always_down_is_infinitely_loaded_if_anything_is_sent_to_it() -> None:
    gone = [Outage("b", 0, 100)]
    assert offered(outages=gone) == {"a": 3 / 40, "b": math.inf}
    assert offered(log_of([0, 0, 0]), outages=gone) == {"a": 4 / 40, "b": 0.0}


def test_a_limit_per_minute_counts_where_it_is_the_bottleneck() -> None:
    slow, fast = two(requests_per_minute=3), two(requests_per_minute=600)
    assert offered(pool=slow)["a"] == 2 * 60 / (3 * 20)  # 2 calls in 20 s, 1 a 20 s allowed
    assert offered(pool=fast)["a"] == 3 / 40
    retried = log_of([0, 0, 1], retried=[(1, 0, FAILED)])
    assert offered(retried, pool=slow)["a"] == 3 * 60 / (3 * 20)
    down = [Outage("a", 5, 15)]
    assert offered(pool=slow, outages=down)["a"] == 2 * 60 / (3 * 10)


def test_verdicts_of_a_judge_take_the_agents_time() -> None:
    """Answers of both records at a and of the first at b are recorded."""
    work = work_of([5, 10, 25], [0, 1, 0], quality=[[0.5, 0.5], [0.5, math.nan]])
    judge = Judge(levels=2, seconds=4.0)
    assert offered(work=work, judge=judge) == {"a": (3 + 2 * 4) / 40, "b": (3 + 4) / 20}
    assert offered(work=work, judge=Judge(levels=2)) == offered()
    last_level = log_of([0, 0, 1], attempts=[1, 2, 2])
    assert offered(last_level, work, judge=judge) == {"a": (3 + 4) / 40, "b": 3 / 20}
    lost = log_of([0, 0, 1], status=[OK, FAILED, SHED])
    assert offered(lost, work, judge=judge) == {"a": (3 + 4) / 40, "b": 3 / 20}
    unrecorded = log_of([0, 1, 1])
    assert offered(unrecorded, work, judge=judge) == {"a": (1 + 4) / 40, "b": (5 + 3 + 4) / 20}


def test_rejected_answers_were_judged_and_failed_calls_were_not() -> None:
    judge = Judge(levels=2, seconds=4.0)
    tries = [(0, 0, REJECTED), (1, 0, FAILED), (2, 1, REJECTED)]
    log = log_of([1, 1, 1], attempts=[2, 2, 2], retried=tries)
    assert offered(log, judge=judge) == {"a": (1 + 2 + 4) / 40, "b": (3 + 5 + 3 + 3 + 4) / 20}


# -- the verdict ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "verdict"),
    [
        (0.0, "stable"),
        (0.9499, "stable"),
        (0.95, "at the edge"),
        (0.9999, "at the edge"),
        (1.0, "overloaded"),
        (7.0, "overloaded"),
    ],
)
def test_the_highest_load_decides(load: float, verdict: str) -> None:
    """Eleven tasks, each 0.1 s after the last, the work of the first at the second agent."""
    times = np.linspace(2, 3, 11).tolist()
    work = work_of(times, [0] + [1] * 10, [[0.1, load], [0.1, 0.0]])
    found = stability(work, log_of([1] * 11), two())
    assert found.offered == {"a": 0.0, "b": load}
    assert found.verdict == verdict
    assert stability(work, log_of([1] * 11), two(), closed=True).verdict == "stable"


@pytest.mark.parametrize(
    ("arrived", "seconds", "reason"),
    [
        ([3], 1.0, "there is one task"),
        ([3] * 50, 1.0, "all 50 tasks arrive at the same time"),
        ([3, 3, 900, 900], 1.0, "the 4 tasks arrive at two times"),
        ([3, 900], 1.0, "the 2 tasks arrive at two times"),
        ([0] * 6 + [100, 200, 300, 400, 500], 1.0, "6 of 11 tasks arrive at the same time"),
        ([0, 100, 200] + [900] * 4, 1.0, "4 of 7 tasks arrive at the same time"),
        (
            [0, 1, 2, 3, 4],
            5.0,
            "all 5 tasks arrive within 4 s, and a call takes 5 s on average",
        ),
    ],
)
def test_a_batch_has_no_rate(arrived: list[float], seconds: float, reason: str) -> None:
    """Enough slots for no overload."""
    work = work_of(arrived, [0] * len(arrived), [[seconds]])
    log = log_of([0] * len(arrived), (np.array(arrived) + seconds).tolist())
    found = stability(work, log, one(slots=100))
    assert (found.verdict, found.reason) == ("no rate", reason)
    assert math.isnan(found.offered["a"])
    assert math.isnan(found.backlog_slope_t)
    assert str(found) == (
        f"no rate can be told: {reason}; waits depend on how many come together, read percentiles "
        "with care"
    )


@pytest.mark.parametrize(
    ("arrived", "seconds", "slots", "verdict", "load"),
    [
        ([0] * 5 + [100, 200, 300, 400, 500], 1.0, 1, "stable", 10 / 500),  # half at one time
        ([0, 1, 2, 3, 5], 5.0, 100, "stable", 25 / 500),  # in the time of one call
        ([0, 1, 2, 3, 4], 5.0, 1, "overloaded", 25 / 4),  # in less, and more than can be done
        ([0, 0, 0, 5], 5.0, 1, "overloaded", 20 / 5),
        ([0] * 40 + [1, 2, 3], 10.0, 1, "overloaded", 430 / 3),
    ],
)
def test_arrivals_that_have_a_rate(
    arrived: list[float], seconds: float, slots: int, verdict: str, load: float
) -> None:
    work = work_of(arrived, [0] * len(arrived), [[seconds]])
    log = log_of([0] * len(arrived), (np.array(arrived) + seconds).tolist())
    found = stability(work, log, one(slots))
    assert found.verdict == verdict
    assert found.offered == {"a": pytest.approx(load)}
    assert found.reason == ""


def test_a_closed_loop_of_a_batch_is_stable() -> None:
    """Its users ask again after each answer, so that a rate comes of itself."""
    work = work_of([0, 0, 0, 10], [0] * 4, [[1.0]])
    log = log_of([0] * 4, [1, 1, 1, 11])
    assert stability(work, log, one(9), closed=True).verdict == "stable"
    assert stability(work, log, one(9)).verdict == "no rate"


def backlog_of(unfinished: Sequence[int], slots: int = 1, **options: Any) -> Stability:
    """One arrival in each of the 256 cells, two in the last; those in ``unfinished`` stay.

    All others end at once, so the number in the system is that of the unfinished so far.
    """
    arrived = np.arange(GRID + 1.0)
    finished = arrived.copy()
    finished[list(unfinished)] = 1e9
    work = work_of(arrived.tolist(), [0] * arrived.size, [[0.0]])
    return stability(work, log_of([0] * arrived.size, finished.tolist()), one(slots), **options)


def test_a_backlog_that_grows_steadily_is_at_the_edge() -> None:
    found = backlog_of(range(GRID + 1))
    assert found.verdict == "at the edge"
    assert found.offered == {"a": 0.0}
    # In cells 128 to 255 there are 129, 130, ..., 255 tasks, and 257 with the two of the last.
    assert found.backlog_slope_t == slope_t([*range(129, 256), 257])
    assert backlog_of(range(GRID + 1), closed=True).verdict == "stable"


def test_the_backlog_is_measured_in_256_cells() -> None:
    """Four arrivals in each, five in the last, and none ends."""
    arrived = (np.arange(4 * GRID + 1) / 4).tolist()
    work = work_of(arrived, [0] * len(arrived), [[0.0]])
    found = stability(work, log_of([0] * len(arrived), [1e9] * len(arrived)), one())
    assert found.backlog_slope_t == slope_t([*range(516, 1024, 4), 1025])


def test_a_backlog_that_shrinks_is_stable() -> None:
    """The first 128 tasks end one by one in the second half."""
    arrived = np.arange(GRID + 1.0)
    finished = arrived.copy()
    finished[:128] = 128.0 + np.arange(128)
    work = work_of(arrived.tolist(), [0] * arrived.size, [[0.0]])
    found = stability(work, log_of([0] * arrived.size, finished.tolist()), one())
    assert found.verdict == "stable"
    assert found.backlog_slope_t < -100


def test_growth_in_the_first_half_does_not_count() -> None:
    found = backlog_of(range(128))
    assert (found.verdict, found.backlog_slope_t) == ("stable", 0.0)


@pytest.mark.parametrize(("slots", "verdict"), [(127, "at the edge"), (128, "stable")])
def test_growth_within_the_slots_is_stable(slots: int, verdict: str) -> None:
    """From 129 tasks to 257 it is 128."""
    assert backlog_of(range(GRID + 1), slots).verdict == verdict


@pytest.mark.parametrize(("tasks", "verdict"), [(10, "stable"), (11, "at the edge")])
def test_growth_by_ten_tasks_is_stable(tasks: int, verdict: str) -> None:
    """One more task every ten cells, from cell 135."""
    assert backlog_of(range(135, 135 + 10 * tasks, 10)).verdict == verdict


@pytest.mark.parametrize(
    ("first", "verdict"), [(255, "stable"), (251, "stable"), (250, "at the edge")]
)
def test_growth_that_is_not_steady_is_stable(first: int, verdict: str) -> None:
    """Twenty tasks arrive in one cell and stay: the later, the lower is t."""
    arrived = np.concatenate([np.arange(GRID + 1.0), np.full(20, first + 0.5)])
    finished = np.concatenate([np.arange(GRID + 1.0), np.full(20, 1e9)])
    order = np.argsort(arrived, kind="stable")
    work = work_of(arrived[order].tolist(), [0] * arrived.size, [[0.0]])
    found = stability(work, log_of([0] * arrived.size, finished[order].tolist()), one())
    assert found.backlog_slope_t == slope_t([0] * (first - 128) + [20] * (GRID - first))
    assert found.verdict == verdict


# -- as text ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "offered", "text"),
    [
        (
            "stable",
            {"a": 0.5, "b": 0.704, "c": 0.1},
            "stable: highest offered load 0.70 (b)",
        ),
        (
            "at the edge",
            {"a": 0.97, "b": 0.2},
            "at the edge: highest offered load 0.97 (a); waits depend on the length of the run, "
            "read percentiles with care",
        ),
        (
            "overloaded",
            {"a": 1.0, "b": 999.994},
            "overloaded: highest offered load 999.99 (b); queues grow or tasks are lost, "
            "percentiles say how long the run was",
        ),
        (
            "overloaded",
            {"a": 1000.0},
            "overloaded: highest offered load 1e+03 (a); queues grow or tasks are lost, "
            "percentiles say how long the run was",
        ),
    ],
)
def test_the_sentence(verdict: Any, offered: dict[str, float], text: str) -> None:
    assert str(Stability(verdict, offered, 0.0)) == text
