"""Predicates of differences, worked out by hand."""

import math

import pytest

from routingsim.report.differences import (
    compare_costs,
    cost_difference,
    interval_ends,
    latency_difference,
    quality_difference,
    zero_router_difference,
)
from routingsim.simulation.statistics import Interval


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0.002, 0.002, "costs the same as b"),
        (0.0, 0.0, "costs the same as b"),
        (0.01, 0.0, "costs USD 10.00 per 1,000 tasks, where b costs nothing"),
        (0.0, 0.01, "costs 100 % less than b"),
        (1.004, 1.0, "costs about the same as b"),
        (0.996, 1.0, "costs about the same as b"),
        (1.0061, 1.0, "costs 0.61 % more than b"),
        (1.25, 1.0, "costs 25 % more than b"),
        (0.69, 1.0, "costs 31 % less than b"),
        (1.5, 2.0, "costs 25 % less than b"),
        (3.98, 2.0, "costs 99.0 % more than b"),
        (4.0, 2.0, "costs 2.0 times as much as b"),
        (20.0, 2.0, "costs 10 times as much as b"),
    ],
)
def test_costs_compared(one: float, other: float, expected: str) -> None:
    assert compare_costs(one, other, "b") == expected


@pytest.mark.parametrize(
    ("one", "other", "interval", "expected"),
    [
        # The difference is chance.
        (2.02, 2.0, Interval(0.02, 0.08),
         "costs as much as b, as far as can be told (95 % CI -3 to +5 %)"),
        (1.0, 2.0, Interval(-1.0, 3.0),
         "costs as much as b, as far as can be told (95 % CI -100 to +100 %)"),
        (2.02, 2.0, Interval(0.02, math.nan), "costs as much as b, as far as can be told"),
        (0.01, 0.0, Interval(0.01, 0.02), "costs as much as b, as far as can be told"),
        (2.0, 2.0, Interval(0.0, 0.0), "costs the same as b"),
        (2.0, 2.0, Interval(0.0, 0.5), "costs the same as b"),
        # An end at 0 is not a difference, one just beyond it is.
        (2.5, 2.0, Interval(0.5, 0.5),
         "costs as much as b, as far as can be told (95 % CI +0 to +50 %)"),
        (1.5, 2.0, Interval(-0.5, 0.5),
         "costs as much as b, as far as can be told (95 % CI -50 to +0 %)"),
        (2.5, 2.0, Interval(0.5, 0.4), "costs 25 % more than b (95 % CI 5–45 %)"),
        # It is not.
        (1.5, 2.0, Interval(-0.5, 0.1), "costs 25 % less than b (95 % CI 20–30 %)"),
        (0.1, 2.0, Interval(-1.9, 0.4), "costs 95 % less than b (95 % CI 75–100 %)"),
        (0.1, 0.5, Interval(-0.4, 0.3), "costs 80 % less than b (95 % CI 20–100 %)"),
        (0.9, 0.5, Interval(0.4, 0.3), "costs 80 % more than b (95 % CI 20–140 %)"),
        (2.1, 2.0, Interval(0.1, 0.02), "costs 5.0 % more than b (95 % CI 4.0–6.0 %)"),
        (3.9, 2.0, Interval(1.9, 1.0), "costs 95 % more than b (95 % CI 45–145 %)"),
        (0.01, 0.0, Interval(0.01, 0.001),
         "costs USD 10.00 per 1,000 tasks, where b costs nothing"),
        # From twice as much on, as a ratio.
        (4.0, 2.0, Interval(2.0, 1.0), "costs 2.0 times as much as b (95 % CI 1.5–2.5)"),
        (20.0, 2.0, Interval(18.0, 2.0), "costs 10 times as much as b (95 % CI 9.0–11)"),
    ],
)  # fmt: skip
def test_cost(one: float, other: float, interval: Interval, expected: str) -> None:
    assert cost_difference(one, other, "b", interval) == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(0.0, 0.0), " at the same quality"),
        (Interval(0.0, 0.01),
         ", at a quality that cannot be told apart (95 % CI -1.0 to +1.0 points)"),
        (Interval(0.01, 0.02),
         ", at a quality that cannot be told apart (95 % CI -1.0 to +3.0 points)"),
        (Interval(0.1, 0.4),
         ", at a quality that cannot be told apart (95 % CI -30.0 to +50.0 points)"),
        (Interval(0.01, math.nan), ", at a quality that cannot be told apart"),
        (Interval(-0.021, 0.009), " at 2.1 points’ lower quality (95 % CI 1.2–3.0)"),
        (Interval(0.021, 0.009), " at 2.1 points’ higher quality (95 % CI 1.2–3.0)"),
        (Interval(0.213, 0.042), " at 21.3 points’ higher quality (95 % CI 17.1–25.5)"),
        (Interval(0.5, 0.0), " at 50.0 points’ higher quality (95 % CI 50.0–50.0)"),
        (Interval(-1.0, 0.25), " at 100.0 points’ lower quality (95 % CI 75.0–125.0)"),
    ],
)  # fmt: skip
def test_quality(interval: Interval, expected: str) -> None:
    assert quality_difference(interval) == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(0.0, 0.0), "the same"),
        (Interval(0.0, 0.5), "cannot be told apart (95 % CI -0.5 to +0.5 s)"),
        (Interval(-0.1, 0.6), "cannot be told apart (95 % CI -0.7 to +0.5 s)"),
        (Interval(1.0, math.nan), "cannot be told apart"),
        (Interval(1.8, 0.6), "1.8 s higher (95 % CI 1.2–2.4 s)"),
        (Interval(-1.8, 0.6), "1.8 s lower (95 % CI 1.2–2.4 s)"),
        (Interval(-0.5, 0.1), "0.50 s lower (95 % CI 0.4–0.6 s)"),
        (Interval(0.5, 0.0), "0.50 s higher (95 % CI 0.5–0.5 s)"),
        (Interval(240.0, 60.0), "4.0 min higher (95 % CI 180–300 s)"),
        (Interval(1500.0, 300.0), "25 min higher (95 % CI 1,200–1,800 s)"),
        # As many decimals as tell the ends apart; one below 10 s, none from 10 s on.
        (Interval(7.0, 2.0), "7.0 s higher (95 % CI 5.0–9.0 s)"),
        (Interval(9.0, 1.0), "9.0 s higher (95 % CI 8–10 s)"),
        (Interval(10.25, 0.05), "10.2 s higher (95 % CI 10.2–10.3 s)"),
        (Interval(10.0, 0.0), "10.0 s higher (95 % CI 10–10 s)"),
        (Interval(0.0205, 0.0003), "0.021 s higher (95 % CI 0.020–0.021 s)"),
        (Interval(0.0203, 0.0001), "0.020 s higher (95 % CI 0.0202–0.0204 s)"),
        (Interval(0.02031, 0.00001), "0.020 s higher (95 % CI 0.0–0.0 s)"),
        (Interval(0.0200002, 0.0000001), "0.020 s higher (95 % CI 0.0–0.0 s)"),
    ],
)  # fmt: skip
def test_latency(interval: Interval, expected: str) -> None:
    assert latency_difference(interval) == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(0.01, 0.02),
         "a cannot be told apart in quality from zero-router, which reads no task and mixes "
         "single agents at its cost."),
        (Interval(0.05, 0.02),
         "a has better answers than zero-router, which reads no task and mixes single agents at "
         "its cost, by 5.0 points (95 % CI 3.0–7.0)."),
        (Interval(-0.213, 0.042),
         "a has worse answers than zero-router, which reads no task and mixes single agents at "
         "its cost, by 21.3 points (95 % CI 17.1–25.5)."),
    ],
)  # fmt: skip
def test_zero_router(interval: Interval, expected: str) -> None:
    assert zero_router_difference("a", interval) == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_says_which_way_where_chance_is_skewed(sign: int) -> None:
    """No difference in the runs there were, and an interval from 1 to 3 hundredths."""
    skewed = Interval(0.0, 0.01, shift=0.02 * sign)
    above = sign > 0
    assert quality_difference(skewed) == (
        f" at 0.0 points’ {'higher' if above else 'lower'} quality (95 % CI 1.0–3.0)"
    )
    assert f"has {'better' if above else 'worse'} answers" in zero_router_difference("a", skewed)
    assert f"{'higher' if above else 'lower'} (95 %" in latency_difference(skewed)


def test_parts_of_sentences_and_the_ends_of_a_positive_figure() -> None:
    found = quality_difference(Interval(0.04, 0.01), " of all tasks", "; estimated")
    assert found == " at 4.0 points’ higher quality of all tasks (95 % CI 3.0–5.0; estimated)"
    found = quality_difference(Interval(0.0, 0.0), " of all tasks", "; estimated")
    assert found == " at the same quality of all tasks"
    found = quality_difference(Interval(0.01, 0.02), " of all tasks", "; estimated")
    assert found == (
        ", at a quality of all tasks that cannot be told apart (95 % CI -1.0 to +3.0 points; "
        "estimated)"
    )
    assert interval_ends(Interval(1.8, 0.6)) == "1.2–2.4"
