"""Answers in time: all at once and block by block alike, up to the rounding of the clock."""

import math
from dataclasses import replace

import numpy as np
import pytest

from routingsim.errors import CorpusError, SimulationError
from routingsim.simulation.in_time import (
    Answers,
    InTime,
    Objective,
    Tally,
    as_dict,
    check_objectives,
    in_time,
    in_words,
    latest,
)

FOUND = InTime(4.0, tasks=8, prompt=6, judged=3, right=2, known=5, quality=2.4, cost=12.0)
NONE = replace(FOUND, tasks=0, prompt=0, judged=0, right=0, known=0, quality=0.0, cost=0.0)


def test_in_time_allows_for_rounding_and_no_more() -> None:
    late = np.array([1.0, 1.0 + 1e-12, 1.0 + 1e-8])
    assert in_time(late, 1.0, 10.0).tolist() == [True, True, False]
    # At 10 million seconds a clock is exact to 2e-9 s.
    assert in_time(np.array([1.0 + 5e-9, 1.0 + 1e-7]), 1.0, 1e7).tolist() == [True, False]
    assert latest(2.0, 1.0) == 2.0 + 2e-9
    with pytest.raises(CorpusError, match=r"objective=0.0 s over 1.0 s of arrivals"):
        latest(0.0, 1.0)
    assert latest(1.0, 2.0**23) == 1.0 + 2.0**-27  # four times the last bit of 2^23


def test_objectives_are_above_0() -> None:
    check_objectives(0.5, None)
    with pytest.raises(SimulationError, match=r"first_token_objective=0.0: a number of seconds"):
        check_objectives(0.5, 0.0)
    with pytest.raises(SimulationError, match="objective=inf"):
        check_objectives(math.inf, None)


def test_figures_by_hand() -> None:
    # Three of the six in time are judged, so that each stands for two.
    assert (FOUND.scale, FOUND.correct, FOUND.goodput) == (2.0, 4.0, 1.0)
    assert (FOUND.within, FOUND.cost_per_right) == (0.75, 3.0)
    assert FOUND.mean_quality == pytest.approx(2 * 2.4 / 8)
    assert (NONE.goodput, NONE.cost_per_right) == (0.0, math.inf)
    assert math.isnan(NONE.within)
    assert math.isnan(NONE.mean_quality)
    assert math.isnan(replace(FOUND, judged=0, right=0).goodput)


def test_as_values_and_in_words() -> None:
    goal = Objective(2.0)
    assert as_dict(goal, NONE) == {
        "objective": 2.0,
        "first_token_objective": None,
        "goodput": 0.0,
        "within": None,
        "quality_in_time": None,
        "cost_per_right": None,
    }
    said = "75.0% of the tasks answered within 2 s"
    assert in_words(goal, FOUND, False) == f"goodput: 1 right answers/s, {said}"
    assert in_words(goal, FOUND, True) == f"{said}; goodput says only how long the run was"
    unknown = replace(FOUND, judged=0, right=0)
    assert in_words(goal, unknown, False) == (
        f"{said}; goodput is not known, as no quality of these is recorded"
    )
    assert str(Objective(2.0, 0.5, 0.7)) == (
        "within 2 s, first token within 0.5 s, quality of 0.7 or more"
    )


def answers(latency: np.ndarray, rng: np.random.Generator) -> Answers:
    """Some of unknown quality or cost, some never answered, some of exactly half a quality."""
    size = latency.size
    unknown, unpaid = rng.random((2, size)) < 0.3
    return Answers(
        latency,
        rng.exponential(1.0, size),
        np.where(unknown, np.nan, rng.integers(0, 5, size) / 4),
        np.where(unpaid, np.nan, rng.random(size)),
        rng.random(size) < 0.8,
    )


@pytest.mark.parametrize("first", [None, 0.5])
@pytest.mark.parametrize("seconds", [1.5, 2.0**23, np.nextafter(2.0**23, 0.0), 1e300])
def test_a_tally_of_blocks_has_the_counts_of_all_at_once(
    seconds: float, first: float | None, seed: int
) -> None:
    rng, goal = np.random.default_rng(seed), Objective(1.0, first)
    edge = latest(1.0, seconds)
    edges = np.repeat([edge, np.nextafter(edge, 0), np.nextafter(edge, math.inf), math.nan], 20)
    whole = answers(np.concatenate([edges, rng.exponential(1.0, 200)]), rng)
    tally = Tally(goal)
    for rows in np.array_split(rng.permutation(whole.latency.size), 3):
        tally.add(Answers._make(each[rows] for each in whole))
    one, other = whole.counted(goal, seconds), tally.over(seconds)
    assert one.cost == pytest.approx(other.cost)
    assert replace(one, cost=0.0) == replace(other, cost=0.0)  # qualities are sums of quarters
    with pytest.raises(CorpusError, match="both must be above 0"):
        tally.over(0.0)


def test_without_a_task_or_a_known_cost() -> None:
    none = Answers._make([*np.zeros((4, 0)), np.zeros(0, bool)])
    assert none.counted(Objective(1.0), 4.0) == NONE == Tally(Objective(1.0)).over(4.0)
    unpaid = Answers._make([*np.ones((3, 2)), np.full(2, np.nan), np.ones(2, bool)])
    tally = Tally(Objective(1.0))
    tally.add(unpaid)
    assert math.isnan(unpaid.counted(Objective(1.0), 4.0).cost)
    assert math.isnan(tally.over(4.0).cost)
