"""What a run met of its arrivals, and what its warm-up leaves out, in whole sentences."""

import math

import numpy as np
import pytest

import routingsim as rs
from routingsim.simulation.arrival_notes import asked_and_met, left_out, seconds, unlike_asked
from routingsim.simulation.arrivals import Arrivals, parse_arrivals

DAY = parse_arrivals("diurnal:3,amplitude=0.8")
RUSH = parse_arrivals("piecewise:600@6/6600@1")
MILD = parse_arrivals("diurnal:3,amplitude=0.01,period=1000")


@pytest.mark.parametrize(
    ("process", "asked", "tasks", "spans", "said"),
    [
        (DAY, 3.0, 1500, [2465.0],
         "1,500 tasks take 2,465 s of the 86,400 s after which the arrivals repeat: 0.609 tasks/s "
         "arrive, and 3 are asked for; 259,200 tasks make a whole period"),
        (DAY, 3.0, 259_200, [86_000.0], ""),
        (DAY, 3.0, 258_000, [86_000.0], ""),  # 2.4 standard errors fewer
        (DAY, 3.0, 400_000, [132_000.0],
         "400,000 tasks take 1.53 times the 86,400 s after which the arrivals repeat: 3.03 tasks/s "
         "arrive, and 3 are asked for, 6 standard errors apart; 518,400 tasks make 2 whole "
         "periods"),
        (RUSH, 10_200 / 7200, 10_200, [7190.0], ""),
        (MILD, 3.0, 4500, [1500.0], ""),  # one and a half periods, at the same rate
        (parse_arrivals("poisson:3"), 3.0, 900, [300.0], ""),
        (parse_arrivals("poisson:3"), 3.0, 900, [272.0], ""),  # 2.9 standard errors
        (parse_arrivals("poisson:3"), 3.0, 900, [250.0],
         "3.6 tasks/s arrive, and 3 are asked for, 5 standard errors apart: 900 tasks are no "
         "sample of these arrivals; run more"),
        (parse_arrivals("poisson:3"), 3.0, 900, [280.0] * 4,
         "3.21 tasks/s arrive, and 3 are asked for, 4 standard errors apart: 900 tasks are no "
         "sample of these arrivals; run more"),
        (parse_arrivals("gamma:3,cv=3"), 3.0, 900, [250.0], ""),
        (parse_arrivals("deterministic:3"), 3.0, 900, [300.0], ""),
        (parse_arrivals("burst:rate=0.5,peak=4,on=200,off=1000"), 13 / 12, 200, [338.0],
         "200 tasks take 338 s of the 1,200 s after which the arrivals repeat on average: 0.592 "
         "tasks/s arrive, and 1.08 are asked for; 1,300 tasks make a whole period"),
        (parse_arrivals("burst:rate=0.5,peak=4,on=200,off=1000"), 13 / 12, 2000, [2000.0], ""),
        (parse_arrivals("corpus"), None, 5, [10.0], ""),
        (DAY, 3.0, 1, [0.0], ""),
    ],
)  # fmt: skip
def test_what_was_met(
    process: Arrivals, asked: float | None, tasks: int, spans: list[float], said: str
) -> None:
    assert unlike_asked(process, asked, tasks, spans) == said


EVEN = np.arange(1.0, 1001.0)


@pytest.mark.parametrize(
    ("arrived", "outages", "warm_up", "said"),
    [
        (EVEN, [], 0.1, ()),
        (EVEN, [rs.Outage("a", 20, 80)], 0.0, ()),
        (EVEN, [rs.Outage("a", 200, 280)], 0.1, ()),
        (EVEN, [rs.Outage("a", 20, 80)], 0.1,
         ("the warm-up leaves out the first 100 s, and with it the outage of a from 20 to 80 s: "
          "warm_up=0 counts it",)),
        (np.concatenate([np.arange(600) / 6 + 1e-3, 100 + np.arange(1, 901.0)]), [], 0.1,
         ("the warm-up leaves out the first 100 s, in which 6 tasks/s arrive, and 1 after it: "
          "warm_up=0 counts both",)),
        (np.sort(np.concatenate([EVEN, np.full(50, 205.5), np.full(60, 905.5)])), [], 0.5, ()),
        (np.sort(np.concatenate([EVEN, np.full(50, 205.5)])), [], 0.5,
         ("the warm-up leaves out the first 500 s, and with it the peak of the arrivals, 6 "
          "tasks/s: warm_up=0 counts it",)),
    ],
)  # fmt: skip
def test_what_a_warm_up_leaves_out(
    arrived: np.ndarray, outages: list[rs.Outage], warm_up: float, said: tuple[str, ...]
) -> None:
    assert left_out(arrived, outages, warm_up) == said


def test_seconds() -> None:
    assert [seconds(x) for x in (0.0123, 9.96, 99.96, 100, 86400)] == [
        "0.0123 s", "9.96 s", "100 s", "100 s", "86,400 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "period", "stationary", "dispersion"),
    [
        ("poisson:2", None, True, 1.0),
        ("deterministic:2", None, True, 0.0),
        ("gamma:2,cv=3", None, True, 9.0),
        ("weibull:2,cv=0.5", None, True, 0.25),
        ("diurnal:2,amplitude=0.5,period=60", 60.0, False, 1.0),
        ("piecewise:600@6/6600@1", 7200.0, False, 1.0),
        ("piecewise:600@2/100@2", None, True, 1.0),
        ("closed:users=2,think=1", None, True, None),
        ("corpus", None, False, None),
        ("poisson:2 + diurnal:2,amplitude=0.5,period=60", 60.0, False, 1.0),
        ("poisson:1 + gamma:3,cv=3", None, True, 7.0),
    ],
)
def test_what_processes_know_of_themselves(
    text: str, period: float | None, stationary: bool, dispersion: float | None
) -> None:
    process = parse_arrivals(text)
    assert (process.period, process.stationary) == (period, stationary)
    assert process.dispersion == (None if dispersion is None else pytest.approx(dispersion))


def test_traces_that_loop_have_a_period() -> None:
    times = [0.0, 1.0, 3.0]
    assert rs.Trace(times, loop=True, speed=2.0).period == pytest.approx((3 + 1.5) / 2)
    assert rs.Trace(times).period is None
    assert rs.Trace(times).dispersion == pytest.approx((0.5 / 1.5) ** 2)
    assert rs.Trace(times, jitter=0.1).dispersion is None


def test_the_dispersion_of_random_states() -> None:
    """Two states: 1 + 2 (λ1 − λ2)² r1 r2 / ((r1 + r2)² (λ1 r2 + λ2 r1)) (the cookbook, eq. 16)."""
    a, b, leave_a, leave_b = 0.5, 4.0, 1 / 1000, 1 / 200
    process = rs.MMPP(rates=(a, b), sojourns=(1000, 200))
    exact = 1 + 2 * (a - b) ** 2 * leave_a * leave_b / (
        (leave_a + leave_b) ** 2 * (a * leave_b + b * leave_a)
    )
    assert process.dispersion == pytest.approx(exact)
    assert (process.period, process.stationary) == (1200.0, True)
    assert rs.MMPP(rates=(2, 2, 2), sojourns=(1, 2, 3)).dispersion == pytest.approx(1)


# -- in runs ------------------------------------------------------------------------------


def run(arrivals: str, tasks: int, **given: object) -> rs.ReplayResult:
    return rs.replay(None, None, "least-loaded", arrivals=arrivals, tasks=tasks, seed=1, **given)  # pyright: ignore


def test_a_run_says_first_that_its_arrivals_are_others() -> None:
    short = run("diurnal:3,amplitude=0.8", 1500)
    assert short.foremost == [short.unlike]
    assert short.notes[0] == short.unlike
    shown = " ".join(repr(short).split())
    assert f"seed 1 note: {short.unlike} arrivals: 3/s asked for, 0.6" in shown
    assert short.stability.verdict == "too short to say"
    assert short.stability.half_width == math.inf
    whole = run("diurnal:3,amplitude=0.8,period=1000", 3000)
    assert (whole.unlike, whole.foremost) == ("", [])


def test_the_rate_and_the_span_stand_beside_the_rate_asked_for() -> None:
    result = run("poisson:3", 900)
    rate, cv = result.realised
    assert result.arrivals_in_words == (
        f"arrivals: 3/s (cv 1) asked for, {rate:.3g}/s (cv {cv:.3g}) met over {result.span:.0f} s"
    )
    assert result.to_dict()["arrivals"]["span"] == result.span == pytest.approx(899 / rate)


@pytest.mark.parametrize(
    ("arrivals", "outages", "warm_up"),
    [
        ("poisson:1", (), 0.1),
        ("burst:rate=0.5,peak=4,on=20,off=100", (), 0.1),
        ("poisson:1", rs.Outage("claude", 20, 80), 0.0),
        ("diurnal:1,amplitude=0.5,period=900", (), 0.0),
        ("piecewise:100@6/800@1", (), 0.0),
        ("piecewise:100@1/800@1", (), 0.1),
    ],
)
def test_a_warm_up_is_of_stationary_models_without_outages(
    arrivals: str, outages: object, warm_up: float
) -> None:
    assert run(arrivals, 900, outages=outages).warm_up == warm_up


def test_a_rush_at_the_beginning_is_in_the_percentiles() -> None:
    """2,400 tasks in the first 600 s and 4 slots of a second: the last of them wait for minutes."""
    pool = rs.AgentPool((rs.Agent(id="a", name="A", cost=0.1, latency=1.0, concurrency=3),))
    settings = {"arrivals": "piecewise:600@6/6600@1", "tasks": 10_200, "seed": 1}
    whole = rs.replay(None, pool, "static:a", **settings)
    assert whole.overall["latency_p95"] > 300
    assert not any("warm-up" in note for note in whole.notes)
    cut = rs.replay(None, pool, "static:a", warm_up=0.3, **settings)
    assert cut.overall["latency_p95"] < 10
    (said,) = (note for note in cut.notes if "warm-up" in note)
    assert said.startswith("the warm-up leaves out the first 2,")
    assert said.endswith(" after it: warm_up=0 counts both")


def test_an_outage_in_a_warm_up_is_said() -> None:
    result = run("poisson:1", 900, outages=rs.Outage("claude", 20, 80), warm_up=0.1)
    (said,) = (note for note in result.notes if "warm-up" in note)
    assert said.endswith("with it the outage of claude from 20 to 80 s: warm_up=0 counts it")


def test_the_rate_asked_for_beside_that_met() -> None:
    assert asked_and_met(3.0, 2.971, 504.6) == "3 tasks/s asked for, 2.97 met over 505 s"
    for unknown in (None, 0.0):
        assert asked_and_met(unknown, 0.6125, 81.26) == "0.613 tasks/s met over 81.3 s"
