"""Sentences follow from the figures."""

import re

import numpy as np
import pytest

from routingsim.evaluation.study import Study
from routingsim.report import replay_text
from routingsim.report.breakdown import shortened
from routingsim.report.differences import (
    Resamples,
    apart,
    cost_apart,
    latency_apart,
    quality_apart,
    symmetric,
)
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import Interval


def test_comparison_gives_intervals(results: list[ReplayResult]) -> None:
    said = replay_text.comparison(results[1], results[2])
    number = r"[\d.,]+"
    assert re.fullmatch(
        r"threshold:calibrated costs as much as static:gpt-4, as far as can be told "
        rf"\(95 % CI -100 to \+{number} %\)(, at a quality that cannot be told apart|"
        rf" at {number} points’ (lower|higher) quality) \(95 % CI .+\); "
        "latency is not compared, as static:gpt-4 is overloaded.",
        said,
    ), said


def test_comparison_of_a_policy_with_itself(results: list[ReplayResult]) -> None:
    said = replay_text.comparison(results[1], results[1])
    name = "threshold:calibrated"
    same = f"{name} costs the same as {name} at the same quality"
    assert said.startswith(same)


def test_few_tasks_have_no_interval(wild: list[ReplayResult]) -> None:
    assert "CI" not in replay_text.comparison(wild[0], wild[1])
    assert any("too few for intervals" in each for each in replay_text.summary(wild).caveats)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (cost_apart(0.69, 1.0, "b", Interval(-0.31, 0.04)),
         "costs 31 % less than b (95 % CI 27–35 %)"),
        (cost_apart(1.01, 1.0, "b", Interval(0.01, 0.04)),
         "costs as much as b, as far as can be told (95 % CI -3 to +5 %)"),
        (cost_apart(10.0, 1.0, "b", Interval(9.0, 1.0)),
         "costs 10 times as much as b (95 % CI 9.0–11)"),
        (cost_apart(0.01, 0.0, "b", Interval(0.01, 0.001)),
         "costs USD 10.00 per 1,000 tasks, where b costs nothing"),
        (quality_apart(Interval(-0.021, 0.009)), " at 2.1 points’ lower quality (95 % CI 1.2–3.0)"),
        (quality_apart(Interval(0.0, 0.0)), " at the same quality"),
        (quality_apart(Interval(0.01, 0.02)),
         ", at a quality that cannot be told apart (95 % CI -1.0 to +3.0 points)"),
        (latency_apart(Interval(1.8, 0.6)), "1.8 s higher (95 % CI 1.2–2.4 s)"),
        (latency_apart(Interval(-0.1, 0.6)), "cannot be told apart (95 % CI -0.7 to +0.5 s)"),
    ],
)  # fmt: skip
def test_differences_in_words(said: str, expected: str) -> None:
    assert said == expected


def sojourns(draws: int, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of two queues that meet the same arrivals and texts, shape (draws, tasks).

    Two runs of Lindley's recursion (exponential gaps, service of cv 1), at loads 0.4 and 0.5.
    """
    rng = np.random.default_rng(8)
    gaps = rng.exponential(1.0, (tasks, draws))
    work = rng.exponential(1.0, (tasks, draws))
    found = []
    for load in (0.4, 0.5):
        wait, latency = np.zeros(draws), np.empty((tasks, draws))
        for k in range(tasks):
            latency[k] = wait + load * work[k]
            wait = np.maximum(latency[k] - gaps[k], 0.0)
        found.append(latency.T)
    return found[0], found[1]


def test_intervals_hold_what_they_say() -> None:
    """Of 400 runs, 95 % of the intervals hold the truth, to the width of a proportion's own."""
    draws, tasks = 400, 1_800
    one, other = sojourns(draws, tasks)
    resamples = Resamples(tasks)
    truths = {"mean": one.mean() - other.mean()}
    truths["p95"] = np.quantile(one, 0.95) - np.quantile(other, 0.95)
    for name, truth in truths.items():
        figure = getattr(resamples, name)
        intervals = [symmetric(figure(a) - figure(b)) for a, b in zip(one, other, strict=True)]
        held = np.mean([each.low <= truth <= each.high for each in intervals])
        assert 0.92 <= held <= 0.98, (name, held)


def test_the_middle_of_an_interval_is_what_the_tables_say(results: list[ReplayResult]) -> None:
    one, other = results[0], results[1]
    found = apart(one, other)
    assert found is not None
    for interval, key in (
        (found.cost, "cost_mean"), (found.quality, "quality"), (found.p95, "latency_p95")
    ):  # fmt: skip
        assert interval.mean == pytest.approx(one.overall[key] - other.overall[key], rel=0.02)


def test_few_answers_are_a_warning() -> None:
    few = replay(None, policy="round-robin", tasks=100, arrivals="poisson:1")
    many = replay(None, policy="round-robin", tasks=1_000, arrivals="poisson:1")
    assert any("fewer than 30" in said for said in replay_text.warnings([few]))
    assert not any("fewer than 30" in said for said in replay_text.warnings([many]))


def test_shortened() -> None:
    assert shortened("a  b\n c", 10) == "a b c"
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("one two three four", 10) == "one two th … (18 characters)"
    assert shortened("\x00\u202e", 10) == "\ufffd\ufffd"
    assert shortened(" " * 100, 10) == "… (100 characters)"


def test_results_fit_a_terminal(results: list[ReplayResult], study: Study) -> None:
    for shown in (results[0], study):
        assert max(map(len, repr(shown).splitlines()[1:])) <= 80
