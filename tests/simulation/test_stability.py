"""The verdict on a run, on small runs worked out by hand; ``offered_load`` is tested here too."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import ArrayLike

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.policies.kernel import FAILED, OK, SHED
from routingsim.policies.policy import Judge
from routingsim.simulation.faults import Outage
from routingsim.simulation.offered_load import Run, offered_load
from routingsim.simulation.stability import (
    CONSEQUENCES,
    TOLERANCE,
    VERDICTS,
    Stability,
    _round_up,
    in_words,
    lasts,
    load_and_queue,
    of_most,
    over_runs,
    stability,
)
from routingsim.simulation.state import ESCALATED, Log, Workload, empty_log
from routingsim.simulation.theory import mmc

from .batches import batch_means

SERVICE = [[1.0, 3.0], [2.0, 5.0]]  # seconds of the two records at the agents a and b


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
    arrived: ArrayLike, row: Sequence[int], service: Any = SERVICE, quality: Any = None
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
    finished: ArrayLike = (),
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
    log.finished[:] = finished if np.size(finished) else 0.0
    log.left[:] = log.wait[:] = 0.0
    log.retried[:], log.retried_agent[:], log.retried_status[:] = 0, 1, ESCALATED  # not in use
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
    pool = pool or two()
    found = offered_load(Run(work, log, pool, outages, judge)).mean
    return dict(zip(pool.ids, found.tolist(), strict=True))


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
    tries = [(0, 0, ESCALATED), (1, 0, FAILED), (2, 1, ESCALATED)]
    log = log_of([1, 1, 1], attempts=[2, 2, 2], retried=tries)
    assert offered(log, judge=judge) == {"a": (1 + 2 + 4) / 40, "b": (3 + 5 + 3 + 3 + 4) / 20}


def test_the_error_of_a_load() -> None:
    """Gaps 2 and 4 s have c² = 1/9, services of 1 and 3 s (mean 2) have c² = 1/4; three calls."""
    work = work_of([0, 2, 6], [0, 0, 0], [[2.0]])
    log = log_of([0, 0, 0], [1.0, 5.0, 8.0])
    log.left[:] = [0.0, 2.0, 6.0]
    services = np.array([1.0, 3.0, 2.0])
    found = offered_load(Run(work, log, one()))
    assert found.mean.tolist() == [1.0]
    both = 1 / 9 + services.var() / 4
    assert found.variation[0] == pytest.approx(both / 2)
    assert found.error[0] == pytest.approx(math.sqrt(both / 3))
    log.status[1] = FAILED  # a failed call took its time, too
    assert offered_load(Run(work, log, one())).variation[0] == pytest.approx(both / 2)


def test_gaps_are_those_between_calls_in_order_of_time() -> None:
    """With the retry, listed last, calls at 0, 0, 0.2 and 0.6 s: gaps of mean 0.2, c² = 2/3."""
    work = work_of([0, 0.2, 0.6], [0, 0, 0], [[1.0]])
    log = log_of([0, 0, 0], [1.0, 1.2, 1.6], retried=[(0, 0, FAILED)])
    log.left[:] = work.arrived
    assert offered_load(Run(work, log, one())).variation[0] == pytest.approx(1 / 3)


def test_calls_at_one_time_and_a_single_call_vary_as_in_a_poisson_process() -> None:
    work = work_of([0, 0, 0, 5], [0, 0, 0, 0], [[1.0, 1.0]])
    log = log_of([0, 0, 0, 1], [1.0, 1.0, 1.0, 6.0])
    log.left[:] = work.arrived
    assert offered_load(Run(work, log, two())).variation.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("limit", "above"), [(60, 1.0), (240, 0.0)])
def test_calls_beyond_a_limit_per_minute_are_above_capacity(limit: int, above: float) -> None:
    """Two calls a second, 0.2 s apart, for 100 s, to slots that could do far more."""
    pool = two(requests_per_minute=limit)
    work = work_of(np.repeat(np.arange(100), 2) + np.tile([0, 0.2], 100), [0] * 200, [[0.1, 0.1]])
    log = log_of([0] * 200, work.arrived + 0.1)
    log.left[:] = work.arrived
    found = offered_load(Run(work, log, pool))
    assert found.mean[0] == pytest.approx(200 * 60 / (limit * 99.2))
    assert (found.above[0], found.last_spell[0]) == (above, above)


# -- the verdict ------------------------------------------------------------------------


def test_a_load_near_1_takes_as_many_tasks_as_tell_it_from_1() -> None:
    """Two calls of half a second a second: the load may be 0.01 above 1 or less."""
    arrived = np.repeat(np.arange(100), 2) + np.tile([0, 0.2], 100)
    work, log = work_of(arrived, [0] * 200, [[0.5]]), log_of([0] * 200)
    log.wait[:] = np.arange(200) % 7
    log.left[:] = arrived + log.wait
    log.finished[:] = log.left + 0.5
    found = stability(Run(work, log, one()))
    assert found.verdict == "too short to say"
    assert found.offered["a"] == pytest.approx(100 / 99.2)
    times = (2.33 * found.error["a"] / 0.01) ** 2  # 2.33 standard errors are 0.01 then
    assert found.enough == math.ceil(200 * times / 1000) * 1000


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
    found = stability(Run(work, log, one(slots=100)))
    assert (found.verdict, found.reason, found.busiest) == ("no rate", reason, "")
    assert math.isnan(found.offered["a"])
    assert str(found) == (
        f"no rate is known: {reason}; waits depend on how many come together, read percentiles "
        "with care"
    )


def one_agent(slots: int = 1, **fields: Any) -> AgentPool:
    """Agent a with exponential services of 1 s."""
    agent = Agent(id="a", name="A", cost=0.1, latency=1.0, concurrency=slots, **fields)
    return AgentPool((msgspec.structs.replace(agent, service="exponential"),))


def run(arrivals: Any, tasks: int, slots: int = 1, seed: int = 1, **given: Any) -> Stability:
    fields = {k: given.pop(k) for k in list(given) if k in ("patience", "queue_limit")}
    pool = one_agent(slots, **fields)
    return rs.replay(
        None, pool, "static:a", arrivals=arrivals, tasks=tasks, seed=seed, **given
    ).stability


def test_a_load_above_one_grows_if_more_than_its_error_above() -> None:
    """0.5 s and 0.8 s between tasks of 1 s: each waits longer than the last."""
    fast = run("deterministic:2", 200)
    assert (fast.verdict, fast.above, fast.lasts) == ("growing", pytest.approx(1, abs=0.02), True)
    assert fast.left > 80
    few = run("poisson:1.2", 100)
    assert few.verdict == "too short to say"
    assert abs(few.offered["a"] - 1) < 2.33 * few.error["a"]


def test_a_few_tasks_that_never_wait_are_no_overload() -> None:
    found = run(rs.Trace([0.0, 0.2, 0.4, 3.0]), 4, slots=4, service="deterministic")
    assert found.peak == 0
    assert found.verdict == "too short to say"
    assert found.enough == 30
    two = run(rs.Trace([0.0, 0.2]), 2, slots=4)
    assert two.verdict == "no rate"


OFFICE = "piecewise:32400@0.2/28800@6/25200@0.2"  # 1.5 of the capacity of four slots for 8 h


@pytest.mark.slow
def test_office_hours_above_capacity_are_told_by_their_share() -> None:
    """8 of 24 h, on each of three days; the nights work the backlog off."""
    found = run(OFFICE, 552_960, slots=4)  # 3 x (57,600 x 0.2 + 28,800 x 6)
    assert found.verdict == "overloaded"
    assert found.above == pytest.approx(1 / 3, abs=0.01)
    assert found.offered["a"] == pytest.approx(0.533, abs=0.01)
    assert found.peak == pytest.approx(28_800 * 2, rel=0.05)
    assert not found.lasts
    assert str(found) == (
        f"overloaded in {100 * found.above:.0f} % of the time: highest offered load "
        f"{found.offered['a']:.2f} ± {1.96 * found.error['a']:.2f} (a); up to {found.peak:,} tasks "
        f"wait{left_of(found)}, and percentiles say how long that lasts"
    )
    calm = run(OFFICE.replace("@6", "@3"), 293_760, slots=4)
    assert (calm.verdict, calm.above) == ("steady", 0.0)


def left_of(found: Stability) -> str:
    return f", {found.left:,} of them at the end" if found.left else ""


def test_an_outage_is_a_spell_above_capacity() -> None:
    down = run("poisson:1", 900, slots=4, outages=rs.Outage("a", 20, 120))
    assert down.verdict == "overloaded"
    assert down.above == pytest.approx(100 / 900, abs=0.03)
    assert down.peak == pytest.approx(100, abs=30)
    assert run("poisson:1", 900, slots=4).verdict == "steady"


def test_a_bounded_queue_is_overloaded_and_does_not_grow() -> None:
    found = run("poisson:1.3", 5_000, queue_limit=10)
    assert (found.verdict, found.bounded, found.peak) == ("overloaded", True, 10)
    assert found.above == pytest.approx(1, abs=0.05)
    assert run("poisson:1.3", 5_000).verdict == "growing"
    assert run("poisson:0.5", 5_000, queue_limit=10).verdict == "steady"


def test_a_full_closed_loop_is_saturated() -> None:
    full = run("closed:users=40,think=1", 2_000, slots=4)
    assert full.verdict == "saturated"
    assert str(full) == (
        f"saturated: highest offered load {full.offered['a']:.2f} ± {1.96 * full.error['a']:.2f} "
        f"(a); its slots are always in use and up to {full.peak} users wait: more users add waits, "
        "not answers"
    )
    assert full.peak in range(30, 37)
    assert run("closed:users=4,think=10", 2_000, slots=4).verdict == "steady"
    assert run("closed:users=4,think=10", 40, slots=4).verdict == "too short to say"


def test_a_short_run_near_capacity_is_not_steady() -> None:
    """Of 540 tasks at .9 the mean latency is often half of that of a long run."""
    found = [run("poisson:0.9", 540, seed=seed) for seed in range(20)]
    assert {each.verdict for each in found} == {"too short to say"}
    assert np.median([each.enough for each in found]) > 10_000
    assert run("poisson:0.9", 100_000).verdict == "steady"
    assert run("poisson:0.3", 1_000).verdict == "steady"


def test_as_many_tasks_as_are_said_would_do() -> None:
    short = run("poisson:0.6", 500)
    assert (short.verdict, short.tasks) == ("too short to say", 500)
    assert str(short) == (
        f"too short to say: highest offered load {short.offered['a']:.2f} ± "
        f"{1.96 * short.error['a']:.2f} (a); the mean latency of 500 tasks may be "
        f"{100 * short.half_width:.0f} % off that of a longer run, about {short.enough:,} tasks "
        "would do"
    )
    assert 600 < short.enough < 3_000
    assert run("poisson:0.6", 3 * short.enough).verdict == "steady"


def test_the_half_width_by_relaxation_time() -> None:
    """M/M/1: variance of services over n, and of waits over T / 2τ, τ = (1 + ρ) / (1 − ρ)²."""
    pool = one_agent()
    result = rs.replay(None, pool, "static:a", arrivals="poisson:0.5", tasks=150, seed=3)
    found = offered_load(Run(result.work, result.log, pool))
    load = found.mean[0] + found.error[0]
    forgets = found.service[0] * (1 + load) / (1 - load) ** 2 * found.variation[0]
    observed = np.ptp(result.work.arrived) / (2 * forgets)
    served = (result.latency - result.log.wait).var() / 150
    variance = served + result.log.wait.var() / observed
    expected = 1.96 * math.sqrt(variance) / result.latency.mean()
    assert result.stability.half_width == pytest.approx(expected)


def test_what_several_runs_tell_together() -> None:
    """Twenty runs of 540 tasks at .6: each too short, their mean within 20 %."""
    short = [run("poisson:0.6", 540, seed=seed) for seed in range(20)]
    assert [each.verdict for each in short].count("too short to say") > 15
    assert set(over_runs(short)) == {"steady"}
    busy = [run("poisson:1.1", 300, seed=seed) for seed in range(20)]
    assert [each.verdict for each in busy].count("too short to say") > 15
    assert set(over_runs(busy)) == {"growing"}
    assert over_runs(busy[:1]) == (busy[0].verdict,)


@pytest.mark.parametrize(
    ("verdict", "peak", "left", "expected"),
    [
        ("growing", 9, 0, True),
        ("overloaded", 9, 5, True),
        ("overloaded", 10, 5, True),
        ("overloaded", 10, 4, False),
        ("steady", 9, 9, False),
        ("too short to say", 9, 9, False),
    ],
)
def test_whose_backlog_outlasts_the_run(verdict: str, peak: int, left: int, expected: bool) -> None:
    assert lasts(verdict, peak, left) is expected


def test_the_words_and_their_order() -> None:
    assert VERDICTS == (
        "steady", "too short to say", "no rate", "saturated", "overloaded", "growing",
    )  # fmt: skip
    assert set(CONSEQUENCES) == set(VERDICTS[1:])
    assert in_words("overloaded", 0.325) == "overloaded in 32 % of the time"
    assert in_words("overloaded", 0.004) == "overloaded in 0.4 % of the time"
    assert in_words("growing", 0.5) == "growing"


# -- on runs written by hand ---------------------------------------------------------------


def waited(arrived: ArrayLike, seconds: Any, wait: ArrayLike = 0.0) -> tuple[Workload, Log]:
    """Tasks of one agent: when they come, how long a call takes, and how long they wait."""
    size = np.size(arrived)
    work = work_of(arrived, range(size), np.broadcast_to(seconds, size)[:, None])
    log = log_of([0] * size)
    log.wait[:] = wait
    log.left[:] = work.arrived + log.wait
    log.finished[:] = log.left + seconds
    return work, log


@pytest.mark.parametrize(
    ("size", "end", "wait", "expected"),
    [
        # 16 cells of 1 s, or as many as tasks: who waits across the edge at 1 s is counted.
        (3, 16, 0.05, (1, 0)),
        (20, 20, 0.05, (1, 0)),
        (3, 16, 0.04, (0, 0)),
        (3, 16, 30.0, (2, 2)),
    ],
)
def test_how_many_wait(size: int, end: int, wait: float, expected: tuple[int, int]) -> None:
    """A task comes at 0.95 s and waits, another comes after 15.5 s and waits 30 s or not at all."""
    arrived = np.linspace(3.2, end - 2.8, size)
    arrived[:2] = 0.0, 0.95
    arrived[-1] = end
    waits = np.zeros(size)
    waits[1] = wait
    if wait > 1:
        waits[0] = wait
    work, log = waited(arrived, 1.0, waits)
    found = stability(Run(work, log, one(slots=100)))
    assert (found.peak, found.left) == expected
    load = size / (100 * end)
    assert load_and_queue(Run(work, log, one(slots=100))) == (pytest.approx(load), *expected)


def test_the_load_and_the_queue_of_a_batch_and_of_a_closed_loop() -> None:
    batch = Run(*waited([0, 0, 0], 1.0, [0, 1, 2]), one())
    found = load_and_queue(batch)
    assert math.isnan(found[0])
    assert found[1:] == (0, 0)
    short = Run(*waited([0, 1, 2], 3.0), one(slots=9))  # within the mean service time
    assert math.isnan(load_and_queue(short)[0])
    assert load_and_queue(short, closed=True) == (9 / 18, 0, 0)
    just = Run(*waited([0, 1, 3], 3.0), one(slots=9))
    assert load_and_queue(just) == (9 / 27, 0, 0)
    two_times = Run(*waited([0, 0, 8], 1.0), one())
    assert load_and_queue(two_times, closed=True) == (3 / 8, 0, 0)
    assert math.isnan(load_and_queue(two_times)[0])


def test_half_of_the_tasks_at_one_time_are_no_batch_and_a_call_as_long_as_the_run_neither() -> None:
    for arrived in ([0, 0, 0, 50, 60, 70], [0, 1, 2, 3]):
        run = Run(*waited(arrived, 3.0), one(slots=100))
        assert stability(run).verdict == "too short to say"
        assert stability(run).tasks == len(arrived)


@pytest.mark.parametrize(
    ("number", "rounded"),
    [(0, 0), (0.5, 1), (7, 7), (7.1, 8), (10, 10), (42.5, 43), (99, 99), (100, 100), (101, 110),
     (1234, 1300), (1300, 1300), (99_001, 100_000)],
)  # fmt: skip
def test_numbers_are_rounded_up_to_two_digits(number: float, rounded: int) -> None:
    assert _round_up(number) == rounded


def test_the_precision_of_a_closed_loop_is_that_of_its_services() -> None:
    """Services of 1 and 3 s (variance 1) and waits of 2 and 0 s: all latencies are 3 s."""
    work, log = waited([0, 10, 20, 30], [1.0, 3.0, 1.0, 3.0], [2.0, 0.0, 2.0, 0.0])
    found = stability(Run(work, log, one()), closed=True)
    assert found.verdict == "too short to say"
    assert found.half_width == pytest.approx(1.96 * 0.5 / 3)  # √(1 / 4) of 3 s
    assert found.enough == 81  # 30 · (0.327 / 0.2)² = 80.03
    log.status[:2] = FAILED
    assert stability(Run(work, log, one()), closed=True).half_width == pytest.approx(
        1.96 * math.sqrt(1 / 2) / 3
    )
    log.status[2] = FAILED
    one_answer = stability(Run(work, log, one()), closed=True)
    assert (one_answer.half_width, one_answer.enough) == (math.inf, 0)


@pytest.mark.parametrize("tasks", [199, 200])
def test_batch_means_count_from_200_answers_on(tasks: int) -> None:
    """Latencies that rise from 1 to 3 s."""
    took = np.linspace(1.0, 3.0, tasks)
    found = stability(Run(*waited(np.arange(tasks) * 10.0, took), one()), closed=True)
    services = 1.96 * math.sqrt(took.var() / tasks) / 2
    batches = batch_means(took, 20).half_width / 2
    assert batches > services
    assert found.half_width == pytest.approx(batches if tasks == 200 else services)
    assert found.verdict == "steady"
    assert found.enough == tasks + (1 if tasks == 199 else 0)


def test_how_many_tasks_would_do_for_an_open_run() -> None:
    """40 tasks, one each 10 s, of 5 s, of which each second waits 8 s."""
    work, log = waited(np.arange(40) * 10.0, 5.0, np.tile([0.0, 8.0], 20))
    log.finished[::4] += 1.0  # a service of 6 s for each fourth: c_s² = 0.1875 / 5.25²
    found = stability(Run(work, log, one()))
    load, squared = 40 * 5 / 390, 0.1875 / 5.25**2
    error = load * math.sqrt(squared / 40)

    def half_width(times: float) -> float:
        above = load + error / math.sqrt(times)
        forgets = max(5.0, 5.0 * (1 + above) / (1 - above) ** 2 * squared / 2)
        variance = 0.1875 / 40 + 16 * max(2 * forgets / 390, 1 / 40)
        return 1.96 * math.sqrt(variance) / 9.25 / math.sqrt(times)

    assert found.offered["a"] == pytest.approx(load)
    assert found.error["a"] == pytest.approx(error)
    assert found.half_width == pytest.approx(half_width(1.0))
    assert (found.verdict, found.peak) == ("steady", 1)
    log.wait[:] *= 4
    log.left[:] = work.arrived + log.wait
    log.finished[:] = log.left + 5.0 + (np.arange(40) % 4 == 0)
    long = stability(Run(work, log, one()))

    def longer(times: float) -> float:
        above = load + error / math.sqrt(times)
        forgets = max(5.0, 5.0 * (1 + above) / (1 - above) ** 2 * squared / 2)
        variance = 0.1875 / 40 + 256 * max(2 * forgets / 390, 1 / 40)
        return 1.96 * math.sqrt(variance) / 21.25 / math.sqrt(times)

    times = next(1.1**k for k in itertools.count() if longer(1.1**k) <= 0.2)
    assert long.half_width == pytest.approx(longer(1.0))
    assert long.verdict == "too short to say"
    assert long.enough == math.ceil(40 * times)


@pytest.mark.parametrize(
    ("seconds", "wait", "expected"),
    [(0.91, 3.0, "saturated"), (0.91, 0.0, "too short to say"), (0.89, 3.0, "too short to say")],
)
def test_a_closed_loop_is_saturated_from_95_percent_on(
    seconds: float, wait: float, expected: str
) -> None:
    """20 tasks in 19 s: loads of 0.958 and 0.937."""
    run = Run(*waited(np.arange(20.0), seconds, wait), one())
    assert stability(run, closed=True).verdict == expected


@pytest.mark.parametrize(
    ("few", "wait", "bound", "expected", "above"),
    [
        (64, 5.0, None, "growing", 0.5),
        (72, 5.0, None, "overloaded", 7 / 16),
        (64, 5.0, 9, "overloaded", 0.5),
        (64, 0.1, None, "overloaded", 0.5),  # none waits at the end
    ],
)
def test_what_grows_is_above_capacity_in_the_last_half_of_the_run(
    few: int, wait: float, bound: int | None, expected: str, above: float
) -> None:
    """129 tasks in 160 s, short at first and then 2.4 s: 9.2 s more in 10 s than can be done."""
    arrived = np.arange(129) * 1.25
    seconds = np.where(np.arange(129) < few, 0.01, 2.4)
    work, log = waited(arrived, seconds, wait)
    if wait < 1:
        log.left[-1], log.wait[-1] = 160.0, 0.0
    log.finished[:] = log.left + 1.0
    agent = Agent(id="a", name="A", cost=0.1, latency=1.0, queue_limit=bound, concurrency=1)
    found = stability(Run(work, log, AgentPool((agent,))))
    assert (found.verdict, found.above) == (expected, above)
    assert found.bounded == (bound is not None)
    assert found.left == (0 if wait < 1 else 4)


def several(count: int, verdict: Any = "too short to say", **changed: Any) -> list[Stability]:
    """So many runs of two agents, whose loads are 0.5 ± 0.1 and 0.8 ± 0.1."""
    fields: dict[str, Any] = {"half_width": 0.4, "tasks": 100, "peak": 5} | changed
    offered = fields.pop("offered", {"a": 0.5, "b": 0.8})
    return [Stability(verdict, offered, {"a": 0.1, "b": 0.1}, **fields)] * count


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        # The half-width of the mean of R runs is 1/√R of one's.
        (several(4), "steady"),
        (several(3), "too short to say"),
        (several(1, "steady", half_width=0.2), "steady"),
        # 30 answers in all are needed.
        (several(4, tasks=7), "too short to say"),
        (several(4, tasks=8), "steady"),
        (several(5, tasks=6), "steady"),
        # More than 20 runs count as 20: 0.9 / √20 is 0.201, and 0.89 / √20 0.199.
        (several(25, half_width=0.9), "too short to say"),
        (several(25, half_width=0.89), "steady"),
        (several(4, half_width=math.nan), "too short to say"),
        # A load is above 1 by more than 2.33 · 0.1 / √R: 0.1165 for four runs.
        (several(4, offered={"a": 1.117, "b": 0.8}), "growing"),
        (several(4, offered={"a": 0.5, "b": 1.117}), "growing"),
        (several(4, offered={"a": 1.116, "b": 0.8}), "steady"),
        (several(3, offered={"a": 1.117, "b": 0.8}), "too short to say"),
        (several(4, offered={"a": 1.117, "b": 0.8}, bounded=True), "overloaded"),
        (several(4, offered={"a": 1.117, "b": 0.8}, peak=0), "steady"),
        (several(4, offered={"a": 1.117, "b": 0.8}, peak=1), "growing"),
        (several(4, "saturated"), "saturated"),
        (several(4, "overloaded"), "overloaded"),
        (several(4, "growing"), "growing"),
    ],
)
def test_what_runs_tell_together(runs: list[Stability], expected: str) -> None:
    assert over_runs(runs) == (expected,) * len(runs)


def test_a_run_without_a_rate_says_nothing_of_the_load_of_the_others() -> None:
    batch = several(1, "no rate", offered={"a": math.nan, "b": math.nan})
    runs = [*batch, *several(4, offered={"a": 1.117, "b": 0.8})]
    assert over_runs(runs) == ("no rate", *["growing"] * 4)
    mixed = [*several(2, offered={"a": 1.3, "b": 0.8}), *several(2)]  # 0.9 on average
    assert over_runs(mixed) == ("steady",) * 4


# -- as text ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            Stability("steady", {"a": 0.5, "b": 0.704}, {"a": 0.1, "b": 0.01}, half_width=0.123),
            "steady: highest offered load 0.70 ± 0.02 (b); a longer run's mean latency is within "
            "12 %",
        ),
        (
            Stability("too short to say", {"a": 0.97}, {"a": 0.05}, math.inf, 41_000, tasks=1_200),
            "too short to say: highest offered load 0.97 ± 0.10 (a); the mean latency of 1,200 "
            "tasks may be far off that of a longer run, about 41,000 tasks would do",
        ),
        (
            Stability("growing", {"a": 1000.0}, {"a": 0.0}, left=1234),
            "growing: highest offered load 1,000 (a); 1,234 tasks wait at the end and more would "
            "in a longer run, so percentiles say how long the run was",
        ),
        (
            Stability(
                "overloaded", {"a": 1.2}, {"a": 0.0}, above=1.0, peak=10, left=9, bounded=True
            ),
            "overloaded in 100 % of the time: highest offered load 1.20 (a); up to 10 tasks wait, "
            "and percentiles say how long that lasts",
        ),
        (
            Stability("overloaded", {"a": 1.2}, {"a": 0.0}, above=0.25, bounded=True),
            "overloaded in 25 % of the time: highest offered load 1.20 (a); tasks are lost, and "
            "percentiles say how long that lasts",
        ),
    ],
)
def test_the_sentence(found: Stability, text: str) -> None:
    assert str(found) == text


# -- against theory ---------------------------------------------------------------------


@pytest.mark.slow
def test_steady_runs_are_near_theory() -> None:
    """The short form of benchmarks/stability.py, at fixed seeds."""
    steady, wrong, grows, short = 0, 0, 0, 0
    for load, tasks, slots in itertools.product((0.3, 0.6, 0.9), (540, 5_000, 20_000), (1, 4)):
        truth = mmc(load * slots, 1.0, slots).latency_mean
        for seed in range(8):
            result = rs.replay(
                None, one_agent(slots), "static:a", arrivals=rs.Poisson(load * slots), tasks=tasks,
                seed=seed,
            )  # fmt: skip
            found = result.stability
            grows += found.verdict in ("growing", "overloaded")
            if found.verdict == "steady":
                steady += 1
                wrong += abs(result.overall["latency_mean"] / truth - 1) > TOLERANCE
            short += load == 0.9 and tasks == 540 and found.verdict == "steady"
    assert steady > 80
    assert wrong <= 0.05 * steady
    assert (grows, short) == (0, 0)
    assert {run(rs.Poisson(1.2), 5_000, seed=seed).verdict for seed in range(8)} == {"growing"}


def test_the_verdict_of_most_runs_is_the_worse_one_in_a_tie() -> None:
    assert of_most(("steady", "growing", "steady")) == "steady"
    assert of_most(("growing", "steady")) == of_most(("steady", "growing")) == "growing"


# -- agents whose calls share their speed, and speeds that change ---------------------


@pytest.mark.parametrize(("sharing", "slots"), [(1.0, 10_000), (1.0, 20), (0.25, 8)])
def test_the_load_of_calls_that_share_a_speed_is_that_of_full_slots(
    sharing: float, slots: int
) -> None:
    given = {"service": "exponential", "concurrency": slots, "sharing": sharing}
    pool = rs.AgentPool((rs.Agent(id="a", name="A", cost=1.0, latency=2.0, **given),))
    for share, verdict in ((0.6, "steady"), (1.2, "growing")):
        process = rs.Poisson(share * pool.capacity)
        result = rs.replay(None, pool, "static:a", arrivals=process, tasks=10_000, seed=4)
        found = result.stability
        assert found.verdict == verdict
        assert found.offered["a"] == pytest.approx(share, rel=0.04)
        # The slots are full above capacity, and what comes then is left over.
        if share > 1:
            assert found.left == pytest.approx(10_000 / 6, rel=0.2)


def test_the_load_after_a_change_of_speed_is_that_of_the_new_speed() -> None:
    pool = rs.AgentPool(
        (rs.Agent(id="a", name="A", cost=1.0, latency=1.0, service="deterministic", concurrency=1),)
    )
    change = rs.Change("a", 400.0, speed=0.5)
    given = {"arrivals": rs.Deterministic(0.6), "tasks": 601, "changes": change}
    found = rs.replay(None, pool, "static:a", **given).stability
    # 240 tasks take 1 s, 361 take 2 s, in 1,000 s.
    assert found.offered["a"] == pytest.approx(0.962, abs=0.001)
    assert found.verdict == "growing"
    plain = rs.replay(None, pool, "static:a", arrivals=rs.Deterministic(0.6), tasks=601).stability
    assert (plain.verdict, plain.offered["a"]) == ("steady", pytest.approx(0.601))
