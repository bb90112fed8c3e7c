"""PGR, APGR and CPT against naive recomputation, by hand, and by their invariances."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import CorpusError
from routingsim.evaluation import (
    RoutingCurve,
    apgr,
    cpt,
    pgr,
    routing_curve,
)

NAN = math.nan


def certain(*given: Any, **how: Any) -> RoutingCurve:
    """A curve by hand of a few tasks, which stand for themselves: the gap has no error."""
    return replace(routing_curve(*given, **how), error=0.0)


def naive_apgr(scores: list[float], weak: list[float], strong: list[float]) -> float:
    """The area by hand: send one task more to the strong agent at a time."""
    n = len(scores)
    order = sorted(range(n), key=lambda task: -scores[task])  # stable: ties in file order
    sent: set[int] = set()

    def quality() -> float:
        return sum(strong[t] if t in sent else weak[t] for t in range(n)) / n

    points = [quality()]
    for task in order:
        sent.add(task)
        points.append(quality())
    recovered = [(p - points[0]) / (points[-1] - points[0]) for p in points]
    return sum((recovered[k] + recovered[k + 1]) / 2 / n for k in range(n))


two_agents = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=30
).filter(lambda rows: sum(r[1] for r in rows) < sum(r[2] for r in rows))


@pytest.mark.slow
@given(two_agents)
def test_apgr_is_the_area_under_the_curve(rows: list[tuple[int, int, int]]) -> None:
    scores, weak, strong = (list(map(float, each)) for each in zip(*rows, strict=True))
    found = apgr(certain(scores, weak, strong))
    assert found == pytest.approx(naive_apgr(scores, weak, strong), abs=1e-9)


@pytest.mark.slow
@given(two_agents)
def test_apgr_depends_on_the_order_of_scores_only(rows: list[tuple[int, int, int]]) -> None:
    scores, weak, strong = np.array(rows, dtype=float).T
    first = apgr(certain(scores, weak, strong))
    assert apgr(certain(np.exp(scores) - 7, weak, strong)) == first
    # A fairer scale of quality changes nothing either.
    assert apgr(certain(scores, 0.3 * weak + 0.1, 0.3 * strong + 0.1)) == pytest.approx(first)


@pytest.mark.slow
@given(two_agents, st.randoms(use_true_random=False))
def test_averaged_ties_do_not_depend_on_the_order_of_the_file(rows, random) -> None:
    scores, weak, strong = np.array(rows, dtype=float).T
    mixed = list(range(len(rows)))
    random.shuffle(mixed)
    first = apgr(certain(scores, weak, strong, ties="average"))
    again = apgr(certain(scores[mixed], weak[mixed], strong[mixed], ties="average"))
    assert again == pytest.approx(first, abs=1e-9)


def test_averaged_ties_are_the_mean_over_all_orders() -> None:
    scores = np.array([2.0, 1, 1, 1, 0])
    weak, strong = np.array([0.0, 1, 0, 0, 1]), np.array([1.0, 0, 1, 1, 1])
    found = [
        apgr(certain(scores[list(p)], weak[list(p)], strong[list(p)]))
        for p in itertools.permutations(range(5))
    ]
    averaged = apgr(certain(scores, weak, strong, ties="average"))
    assert averaged == pytest.approx(np.mean(found), abs=1e-12)


@pytest.mark.slow
@given(two_agents)
def test_reversed_scores_mirror_the_curve(rows: list[tuple[int, int, int]]) -> None:
    scores, weak, strong = np.array(rows, dtype=float).T
    up = apgr(certain(scores, weak, strong, ties="average"))
    down = apgr(certain(-scores, weak, strong, ties="average"))
    assert up + down == pytest.approx(1.0, abs=1e-9)


def test_tied_scores_go_in_file_order() -> None:
    # By hand: PGR 0, 1, 1, 1, 1 for the first order and 0, 0, 0, 0, 1 for the second.
    assert apgr(certain([1] * 4, [0] * 4, [1, 0, 0, 0])) == pytest.approx(0.875)
    assert apgr(certain([1] * 4, [0] * 4, [0, 0, 0, 1])) == pytest.approx(0.125)


def test_cpt_is_the_first_crossing_of_a_curve_that_falls_back() -> None:
    # Quality 0, 1/5, 0, 1/5, 2/5, 2/5: PGR 0, .5, 0, .5, 1, 1.
    curve = certain([5, 4, 3, 2, 1], [0, 1, 0, 0, 0], [1, 0, 1, 1, 0])
    assert pgr(curve) == pytest.approx([0, 0.5, 0, 0.5, 1, 1])
    assert cpt(curve, 0.25) == pytest.approx(0.1)
    assert cpt(curve, 0.5) == pytest.approx(0.2)
    assert cpt(curve, 0.75) == pytest.approx(0.7)
    assert cpt(curve, 1.0) == pytest.approx(0.8)
    assert cpt(curve, 0.0) == 0.0
    assert math.isnan(cpt(curve, 1.01))


def test_both_together_can_beat_the_strong_agent() -> None:
    curve = certain([2, 1, 0], [0, 0, 1], [1, 1, 0])
    assert pgr(curve) == pytest.approx([0, 1, 2, 1])
    assert cpt(curve, 1.5) == pytest.approx(0.5)


def test_equally_good_agents_have_no_gap_to_recover() -> None:
    curve = certain([1, 2], [0, 1], [1, 0])
    assert np.isnan(pgr(curve)).all()
    assert math.isnan(apgr(curve))
    assert math.isnan(cpt(curve, 0.5))


def test_tasks_without_both_outcomes_are_left_out_and_counted() -> None:
    curve = certain([4, 3, 2, 1], [0, NAN, 0, 1], [1, 1, NAN, 1])
    assert curve.left_out == 2
    whole = certain([4, 1], [0, 1], [1, 1])
    assert np.array_equal(curve.quality, whole.quality)


def test_a_curve_can_come_from_a_sweep() -> None:
    assert apgr(RoutingCurve(np.array([0, 0.5, 1]), np.array([0.2, 0.8, 0.6]))) == pytest.approx(
        (0.25 * 1.5) + (0.25 * 2.5)
    )


@pytest.mark.parametrize(
    ("scores", "weak", "strong", "said"),
    [
        ([1, NAN], [0, 1], [1, 1], "NaN at task 1"),
        ([1, 2], [0, 1, 1], [1, 1], "3 values for 2 tasks"),
        ([1, 2], [0, NAN], [NAN, 1], "no task has a recorded quality of both"),
        ([], [], [], "one value per task"),
        ([[1, 2]], [0, 1], [1, 1], r"shape \(1, 2\)"),
        ([1, math.inf], [0, 1], [1, 1], "infinite"),
    ],
)
def test_bad_curves_are_refused(scores, weak, strong, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        certain(scores, weak, strong)


@pytest.mark.parametrize("share", [[0, 0.5], [0.1, 1], [0, 0.7, 0.6, 1]])
def test_a_sweep_must_rise_from_nothing_to_all(share: list[float]) -> None:
    with pytest.raises(CorpusError, match="rise from 0 to 1"):
        RoutingCurve(np.array(share), np.zeros(len(share)))


def test_a_strong_agent_that_is_the_weaker_is_refused() -> None:
    curve = routing_curve(range(40), [1] * 30 + [0] * 10, [0] * 30 + [1] * 10)
    for metric in (pgr, apgr, lambda given: cpt(given, 0.5)):
        with pytest.raises(
            CorpusError,
            match=r"the agent called strong is the weaker one \(quality 0\.2500, and 0\.7500 of "
            r"the weak\): swap the two, and turn the sign of the scores",
        ):
            metric(curve)
    swapped = routing_curve(range(0, -40, -1), [0] * 30 + [1] * 10, [1] * 30 + [0] * 10)
    assert apgr(swapped) == pytest.approx(0.75 * 0.75 + 0.25 * 1.25)


def test_a_gap_that_chance_explains_has_nothing_to_recover() -> None:
    # A gain on 10 of 40 tasks: 0.25 ± 0.0693, 3.6 standard errors; on 3 of 40 1.8 of them.
    clear = routing_curve([1] * 40, [0] * 40, [1] * 10 + [0] * 30)
    assert clear.error == pytest.approx(math.sqrt(0.25 * 0.75 / 39))
    assert apgr(clear) == pytest.approx(0.875)
    noise = routing_curve([1] * 40, [0] * 40, [1] * 3 + [0] * 37)
    assert math.isnan(apgr(noise))
    assert math.isnan(cpt(noise, 0.5))
    # Nor is an agent called the weaker that only chance makes so.
    assert math.isnan(apgr(routing_curve([1] * 40, [1] * 3 + [0] * 37, [0] * 40)))
