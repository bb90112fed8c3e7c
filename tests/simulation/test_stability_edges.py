"""The rules of the verdict, each at its edge and on the other side of it."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.policies.kernel import SHED
from routingsim.simulation.faults import Outage
from routingsim.simulation.offered_load import Run
from routingsim.simulation.stability import (
    Stability,
    cells_of,
    consequence,
    in_words,
    load_and_queue,
    over_parts,
    over_runs,
    queue_steps,
    stability,
)

from .batches import batch_means
from .test_stability import log_of, one, waited, work_of


def pool_of(**agents: dict[str, Any]) -> AgentPool:
    return AgentPool(
        tuple(Agent(id=k, name=k, cost=0.1, latency=1.0, **more) for k, more in agents.items())
    )


def sent(
    pool: AgentPool,
    arrived: Sequence[float],
    agent: Sequence[int],
    seconds: Sequence[float],
    wait: Any = 0.0,
    took: Any = None,
) -> Run:
    """Tasks that would take these seconds alone, at any agent, and took some."""
    table = np.tile(np.array(seconds, float)[:, None], len(pool))
    work, log = work_of(arrived, range(len(arrived)), table), log_of(agent)
    log.wait[:] = wait
    log.left[:] = work.arrived + log.wait
    log.finished[:] = log.left + (np.array(seconds) if took is None else took)
    return Run(work, log, pool)


# -- words ------------------------------------------------------------------------------


def test_a_verdict_alone_says_no_more() -> None:
    bare = dataclasses.asdict(Stability("steady", {}, {}))
    assert math.isnan(bare.pop("half_width"))
    assert bare == {
        "verdict": "steady", "offered": {}, "error": {}, "enough": 0, "above": 0.0, "peak": 0,
        "left": 0, "bounded": False, "tasks": 0, "reason": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("load", "error", "shown"),
    [
        (999.5, 0.0, "999.50"),
        (1000.0, 0.004, "1,000 ± 0.01"),
        (12_345.6, 99.5, "12,346 ± 195.02"),
        (1.2345e15, 100.0, "1.23e+15"),
        (math.inf, math.inf, "inf"),
        (0.0, math.nan, "0.00"),
    ],
)
def test_how_a_load_and_its_error_are_shown(load: float, error: float, shown: str) -> None:
    found = Stability("growing", {"a": load, "b": -1.0}, {"a": error, "b": 7.0}, left=1)
    assert str(found) == (
        f"growing: highest offered load {shown} (a); 1 tasks wait at the end and more would in a "
        "longer run, so percentiles say how long the run was"
    )


def test_the_share_of_the_time_is_said_where_it_is_known() -> None:
    assert in_words("overloaded") == "overloaded"
    assert in_words("overloaded", 0.994) == "overloaded in 99 % of the time"
    assert in_words("overloaded", 0.0004) == "overloaded in 0.04 % of the time"


@pytest.mark.parametrize(
    ("verdict", "fields", "text"),
    [
        ("steady", {"half_width": 0.994}, "a longer run's mean latency is within 99 %"),
        (
            "too short to say",
            {"half_width": 0.994, "tasks": 7},
            "the mean latency of 7 tasks may be 99 % off that of a longer run",
        ),
        (
            "too short to say",
            {"half_width": 1.0, "tasks": 7, "enough": 1},
            "the mean latency of 7 tasks may be far off that of a longer run, about 1 tasks would "
            "do",
        ),
        (
            "saturated",
            {"peak": 1_234},
            "its slots are always in use and up to 1,234 users wait: more users add waits, not "
            "answers",
        ),
        (
            "overloaded",
            {"peak": 1_234, "left": 1},
            "up to 1,234 tasks wait, 1 of them at the end, and percentiles say how long that lasts",
        ),
        (
            "overloaded",
            {"peak": 1, "left": 1, "bounded": True},
            "up to 1 tasks wait, and percentiles say how long that lasts",
        ),
        (
            "overloaded",
            {"peak": 1},
            "up to 1 tasks wait, and percentiles say how long that lasts",
        ),
    ],
)
def test_what_follows_from_a_verdict(verdict: Any, fields: dict[str, Any], text: str) -> None:
    assert consequence(Stability(verdict, {"a": 0.5}, {"a": 0.0}, **fields)) == text


# -- above capacity, without chance -----------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "wait", "lost", "bound", "expected"),
    [
        (3.0, [0, 0, 0], False, None, ("no rate", 0.0, 0, 0)),
        (3.0, [0, 0, 0], True, None, ("overloaded", 1.0, 0, 0)),
        (3.0, [0, 0.001, 0], False, None, ("overloaded", 1.0, 0, 0)),
        (3.0, [0, 0, 9], False, None, ("growing", 0.0, 1, 1)),
        (3.0, [0, 0, 9], False, 9, ("overloaded", 1.0, 1, 1)),
        (3.0, [0, 0.5, 0], False, None, ("overloaded", 1.0, 1, 0)),
        (2.0, [0, 0, 9], False, None, ("too short to say", 0.0, 1, 1)),
        (2.0, [0, 0, 9], True, None, ("too short to say", 0.0, 1, 1)),
    ],
)
def test_a_load_above_1_is_above_capacity_if_tasks_waited_or_were_lost(
    seconds: float, wait: list[float], lost: bool, bound: int | None, expected: tuple[Any, ...]
) -> None:
    """Three tasks in 2 s for three slots: loads of 1.5 and 1, which vary in nothing."""
    pool = pool_of(a={"concurrency": 3, "queue_limit": bound})
    run = sent(pool, [10, 11, 12], [0] * 3, [seconds] * 3, wait)
    if lost:
        run.log.status[0] = SHED
    found = stability(run)
    assert (found.verdict, found.above, found.peak, found.left) == expected
    if expected[0] == "no rate":
        assert found.reason == "all 3 tasks arrive within 2 s, and a call takes 3 s on average"
    else:
        assert (found.offered, found.error) == ({"a": seconds / 2}, {"a": 0.0})


def test_an_agent_that_is_never_up_is_overloaded_whether_or_not_arrivals_vary() -> None:
    for arrived, error in (([10, 11, 12], 0.0), ([10, 11, 13], math.inf)):
        run = sent(one(), arrived, [0] * 3, [1.0] * 3)._replace(outages=[Outage("a", 0, 99)])
        run.log.status[:] = SHED
        found = stability(run)
        assert (found.verdict, found.error) == ("overloaded", {"a": error})
        assert str(found) == (
            "overloaded in 100 % of the time: highest offered load inf (a); tasks are lost, and "
            "percentiles say how long that lasts"
        )


@pytest.mark.parametrize(
    ("tasks", "wait", "expected"),
    [
        (19, 3.0, "saturated"),
        (19, 0.0, "too short to say"),
        (18, 3.0, "too short to say"),
    ],
)
def test_a_closed_loop_is_saturated_from_a_load_of_exactly_95_percent_on(
    tasks: int, wait: float, expected: str
) -> None:
    """Calls of 1 s in 20 s, of which the first waits."""
    waits = [wait] + [0.0] * (tasks - 1)
    run = sent(one(), [*range(10, 9 + tasks), 30], [0] * tasks, [1.0] * tasks, waits)
    found = stability(run, closed=True)
    assert (found.verdict, found.peak, found.offered["a"]) == (expected, int(wait > 0), tasks / 20)


def test_what_a_verdict_is_found_by_is_named_and_stays_as_it_was_found() -> None:
    run = sent(one(), [0, 10, 20], [0] * 3, [1.0] * 3)
    for judge in (stability, load_and_queue):
        with pytest.raises(TypeError, match="positional"):
            judge(run, True)  # pyright: ignore[reportCallIssue]
    with pytest.raises(dataclasses.FrozenInstanceError):
        stability(run).verdict = "growing"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_closed_loop_has_no_rate_only_if_all_tasks_come_at_one_time() -> None:
    batch = sent(one(), [3, 3, 3], [0] * 3, [1.0] * 3)
    found = stability(batch, closed=True)
    assert (found.verdict, found.reason) == ("no rate", "all 3 tasks arrive at the same time")
    assert math.isnan(load_and_queue(batch, closed=True)[0])
    two_times = sent(one(), [0, 0, 8], [0] * 3, [1.0] * 3)
    assert stability(two_times, closed=True).verdict == "too short to say"
    assert stability(two_times).reason == "the 3 tasks arrive at two times"


@pytest.mark.parametrize(("end", "rate"), [(15.9, False), (16.0, True)])
def test_the_mean_service_time_is_that_of_the_calls_alone(end: float, rate: bool) -> None:
    """Three of 4 s at a, which takes twice as long when full, and one of 12 s at b: mean 6 s."""
    pool = pool_of(
        a={"concurrency": 101, "sharing": 0.01}, b={"concurrency": 5}, idle={"concurrency": 1}
    )
    run = sent(pool, [10, 11, 12, end], [0, 0, 0, 1], [4.0, 4.0, 4.0, 12.0])
    found = stability(run)
    if rate:
        assert found.offered == {"a": 24 / (101 * 6), "b": 12 / (5 * 6), "idle": 0.0}
        assert load_and_queue(run) == (12 / 30, 0, 0)
    else:
        assert found.reason == "all 4 tasks arrive within 5.9 s, and a call takes 6 s on average"
        assert math.isnan(load_and_queue(run)[0])


# -- how many wait ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alone", "wait", "expected"),
    [
        (2.0, 0.0, (4, 4)),  # a load of 16 / 9
        (1.125, 0.0, (0, 0)),  # of 1
        (2.0, 0.5, (1, 0)),  # as one waited, those in service do not
    ],
)
def test_calls_in_service_wait_where_they_share_the_speed_of_an_agent_above_capacity(
    alone: float, wait: float, expected: tuple[int, int]
) -> None:
    """Three slots, in which a call takes twice as long when all are in use."""
    pool = pool_of(a={"concurrency": 3, "sharing": 0.5, "service": "deterministic"})
    run = sent(pool, [10, 11, 12, 13], [0] * 4, [alone] * 4, [0, wait, 0, 0], took=9.0)
    load = 8 * alone / 9
    assert load_and_queue(run) == (pytest.approx(load), *expected)
    found = stability(run)
    assert (found.peak, found.left) == expected
    assert found.verdict == {4: "growing", 1: "overloaded", 0: "too short to say"}[found.peak]


def test_in_how_many_cells_of_time_it_is_counted_who_waits() -> None:
    assert [cells_of(n) for n in (3, 16, 17, 4095, 4096, 9999)] == [16, 16, 17, 4095, 4096, 4096]
    entered, left = np.array([3.0, 3.0, 3.9]), np.array([3.3, 9.0, 4.5])
    assert queue_steps(entered, left, 4, 3.0, 5.0).tolist() == [1, 1, 0, -1]
    # Where all come at one time, half a second before and after it.
    assert queue_steps(entered, left, 4, 3.0, 3.0).tolist() == [0, 0, 2, -1]


# -- precision --------------------------------------------------------------------------


def test_the_half_width_of_an_agent_with_two_slots_beside_one_with_a_single_answer() -> None:
    """40 tasks, one each 10 s; at a of 5 and 25 s; b's single answer has a wait without variance.

    The queue of a relaxes in more than its mean service time.
    """
    size, at_b = 40, np.arange(40) == 20
    seconds = np.where(np.arange(size) % 2, 25.0, 5.0)
    wait = np.where(at_b, 6.0, np.arange(size) // 2 % 2 * 8.0)
    arrived = 100 + 10.0 * np.arange(size)
    pool = pool_of(a={"concurrency": 2}, b={"concurrency": 1}, idle={"concurrency": 1})
    found = stability(
        sent(pool, arrived.tolist(), at_b.astype(int).tolist(), seconds.tolist(), wait)
    )
    at_a, gaps = seconds[~at_b], np.diff(arrived[~at_b])
    varied = (gaps.std() / gaps.mean()) ** 2 + (at_a.std() / at_a.mean()) ** 2
    load = at_a.sum() / (2 * 390)
    error = load * math.sqrt(varied / 39)
    forgets = at_a.mean() / 2 * varied / 2 * (1 + load + error) / (1 - load - error) ** 2
    assert forgets > at_a.mean()
    waits = (39 / 40) ** 2 * wait[~at_b].var() * 2 * forgets / 390
    expected = 1.96 * math.sqrt(seconds.var() / 40 + waits) / (seconds + wait).mean()
    assert found.half_width == pytest.approx(expected)
    assert found.error == {"a": pytest.approx(error), "b": pytest.approx(5 / 390), "idle": 0.0}


def test_seconds_that_calls_owe_to_others_in_service_count_as_waits() -> None:
    """At a they take 0.6 and 1 s instead of 0.5 s, of which 3/8 is a wait; at b 4 s."""
    pool = pool_of(
        a={"concurrency": 3, "sharing": 0.5, "latency_cv": 0.1},
        b={"concurrency": 3},
        idle={"concurrency": 3, "sharing": 0.5},
    )
    run = sent(
        pool, [10, 20, 30, 40, 50], [0, 0, 0, 0, 1], [0.5] * 4 + [3.0], took=[0.6, 1.0] * 2 + [4.0]
    )
    alone = np.array([0.375, 0.625, 0.375, 0.625, 4.0])
    waits = 0.075**2 * 0.8**2 / 4  # of 0.225 and 0.375 s, and four observations
    expected = 1.96 * math.sqrt(alone.var() / 5 + waits) / 1.44
    assert stability(run).half_width == pytest.approx(expected)


def test_batch_means_count_in_an_open_run_too() -> None:
    took = np.linspace(1.0, 3.0, 200)
    found = stability(Run(*waited(np.arange(200) * 10.0, took), one()))
    assert found.half_width == pytest.approx(batch_means(took, 20).half_width / 2)
    few = stability(Run(*waited(np.arange(199) * 10.0, took[:199]), one()))
    assert few.half_width == pytest.approx(
        1.96 * math.sqrt(took[:199].var() / 199) / took[:199].mean()
    )


def test_answers_that_take_no_time_have_no_precision() -> None:
    for seconds, expected in ((0.0, (math.inf, 0)), (0.5, (0.0, 30))):
        found = stability(sent(one(), [0, 10, 20, 30], [0] * 4, [seconds] * 4))
        assert (found.half_width, found.enough) == expected


@pytest.mark.parametrize(
    ("slots", "seconds", "wait", "later", "expected"),
    [
        (40, (39.0, 39.0), 0.5, 0.0, (math.inf, 44)),  # a load of 1, which varies in nothing
        (40, (29.0, 49.0), 0.5, 0.0, (math.inf, 3_600)),  # 40 (2.33 · 10 / 39 / √40 / 0.01)²
        (40, (29.0, 49.0), 0.5, 0.001, (math.inf, 0)),  # below 1, by less than any run can tell
        (8, (10.0, 10.0), 0.0, 0.0, (0.0, 40)),  # above 1, and nobody waits
        (8, (10.0, 10.0), 0.5, 0.0, (math.inf, 44)),
    ],
)
def test_how_many_tasks_tell_a_load_from_1(
    slots: int,
    seconds: tuple[float, float],
    wait: float,
    later: float,
    expected: tuple[float, int],
) -> None:
    """40 tasks, one a second; each second waits."""
    arrived = [*range(10, 49), 49 + later]
    run = sent(one(slots), arrived, [0] * 40, [*seconds] * 20, np.tile([0.0, wait], 20))
    found = stability(run)
    assert (found.half_width, found.enough) == expected


# -- several runs, and parts of one -----------------------------------------------------


def test_runs_without_a_rate_stay_so() -> None:
    nothing = Stability("no rate", {"a": math.nan}, {"a": math.nan}, reason="there is one task")
    assert over_runs([nothing, nothing]) == ("no rate", "no rate")
    assert over_runs([]) == ()


def part(verdict: Any = "steady", a: float = 0.5, b: float = 0.75, **changed: Any) -> Stability:
    fields: dict[str, Any] = {"half_width": 0.1, "tasks": 50, "peak": 5, "left": 1} | changed
    return Stability(verdict, {"a": a, "b": b}, {"a": 0.1, "b": 0.2}, **fields)


NO_RATE = Stability("no rate", {"a": math.nan, "b": math.nan}, {"a": math.nan, "b": math.nan})


def over(*parts: Stability, seconds: float = 10.0, peak: int = 9, left: int = 3) -> Stability:
    return over_parts([(each, seconds) for each in parts], 1_000, peak, left)


def test_a_run_in_parts_has_the_means_of_their_figures_by_their_lengths() -> None:
    first = part(half_width=0.4, a=0.2, b=0.6, enough=70)
    last = part(half_width=0.1, a=0.6, b=0.8, enough=80)
    found = over_parts([(first, 10.0), (NO_RATE, 99.0), (last, 30.0)], 1_000, 9, 3)
    errors = {"a": math.sqrt(0.1**2 + 0.3**2) / 4, "b": math.sqrt(0.2**2 + 0.6**2) / 4}
    assert found == Stability(
        "steady",
        {"a": pytest.approx(0.5), "b": pytest.approx(0.75)},  # pyright: ignore[reportArgumentType]
        {name: pytest.approx(each) for name, each in errors.items()},  # pyright: ignore[reportArgumentType]
        half_width=pytest.approx(math.sqrt(0.1**2 + 0.075**2)),  # pyright: ignore[reportArgumentType]
        peak=9, left=3, tasks=1_000,
    )  # fmt: skip
    wide = over(part(half_width=0.3), part(half_width=0.3))
    assert (wide.verdict, wide.half_width) == ("too short to say", pytest.approx(0.3 / 2**0.5))
    assert over(part(half_width=math.inf), part()).half_width == math.inf


def test_a_single_part_or_none_with_a_rate_is_the_run() -> None:
    alone = part("overloaded", above=0.5)
    assert over(alone) == dataclasses.replace(alone, tasks=1_000)
    last = dataclasses.replace(NO_RATE, reason="there is one task")
    found = over(NO_RATE, last)
    assert (found.verdict, found.reason, found.tasks) == ("no rate", "there is one task", 1_000)
    assert over(NO_RATE, part(half_width=0.1)).verdict == "steady"


@pytest.mark.parametrize(
    ("verdicts", "fields", "expected"),
    [
        ("sg", {}, ("growing", 0.25)),
        ("sgg", {}, ("growing", 1 / 3)),
        ("ssg", {}, ("overloaded", 1 / 6)),
        ("ssgg", {}, ("growing", 0.25)),
        ("sggg", {}, ("growing", 0.375)),
        ("gs", {}, ("overloaded", 0.25)),
        ("ssog", {}, ("overloaded", 0.25)),
        ("gg", {"left": 0}, ("overloaded", 0.5)),
        ("ss", {}, ("steady", 0.0)),
        ("to", {}, ("overloaded", 0.25)),
    ],
)
def test_a_run_grows_if_all_parts_of_its_last_half_do(
    verdicts: str, fields: dict[str, int], expected: tuple[str, float]
) -> None:
    words = {"s": "steady", "t": "too short to say", "g": "growing", "o": "overloaded"}
    found = over(*(part(words[each], above=0.5) for each in verdicts), **fields)
    assert (found.verdict, found.above) == (expected[0], pytest.approx(expected[1]))


def test_the_queue_of_a_run_in_parts_is_bounded_if_that_of_its_last_is() -> None:
    assert over(part(), part("growing", bounded=True)).verdict == "overloaded"
    assert over(part(bounded=True), part("growing")).verdict == "growing"
    # A part above capacity that does not say for how long was so all the time.
    assert over(part(), part("growing")).above == 0.5


@pytest.mark.parametrize(
    ("load", "fields", "expected"),
    [
        (1.330, {}, ("growing", 0.0)),  # 2.33 · 0.2 / √2 is 0.3295
        (1.329, {}, ("steady", 0.0)),
        (1.330, {"left": 0}, ("overloaded", 1.0)),
        (1.330, {"peak": 1}, ("growing", 0.0)),
        (1.330, {"peak": 0, "left": 0}, ("steady", 0.0)),
    ],
)
def test_a_run_whose_mean_load_is_above_1_is_above_capacity(
    load: float, fields: dict[str, int], expected: tuple[str, float]
) -> None:
    found = over(part(b=load - 0.1), part(b=load + 0.1), **fields)
    assert (found.verdict, found.above) == expected


@pytest.mark.parametrize(("above", "expected"), [(3, ("steady", 0.0)), (4, ("overloaded", 0.002))])
def test_as_many_parts_above_capacity_as_chance_makes_are_no_overload(
    above: int, expected: tuple[str, float]
) -> None:
    """Of 1,000 parts one by chance, and 2.33 · √1 more."""
    found = over(*[part("overloaded", above=0.5)] * above, *[part()] * (1_000 - above))
    assert (found.verdict, found.above) == (expected[0], pytest.approx(expected[1]))


def test_thirty_answers_in_all_are_needed() -> None:
    parts = [(part(), 10.0), (part(), 10.0)]
    assert over_parts(parts, 30, 9, 3).verdict == "steady"
    assert over_parts(parts, 29, 9, 3).verdict == "too short to say"


def test_a_mean_load_of_1_without_error_is_not_above_capacity() -> None:
    full = dataclasses.replace(part(b=1.0), error={"a": 0.0, "b": 0.0})
    assert over(full, full).verdict == "steady"
    assert over_runs([full, full]) == ("steady", "steady")
    above = dataclasses.replace(full, offered={"a": 0.5, "b": 1.125})
    assert over(above, above).verdict == "growing"
    assert over_runs([above, above]) == ("growing", "growing")
