"""Metrics against naive recomputation, on small cases worked by hand, and by their invariances."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.agents import load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError
from routingsim.evaluation import (
    RoutingCurve,
    aiq,
    apgr,
    arena_score,
    cost_ratio,
    cost_score,
    cpt,
    cumulative_regret,
    gains,
    non_decreasing_hull,
    optimal_selection,
    oracle,
    pgr,
    recovery,
    robustness,
    routing_curve,
    timed_quality,
    timed_replay,
    zero_router,
)
from routingsim.simulation.replay import replay

NAN = math.nan
unit = st.floats(0, 1, allow_subnormal=False)


# -- RouteLLM -------------------------------------------------------------------------


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
).filter(lambda rows: sum(r[1] for r in rows) != sum(r[2] for r in rows))


@given(two_agents)
def test_apgr_is_the_area_under_the_curve(rows: list[tuple[int, int, int]]) -> None:
    scores, weak, strong = (list(map(float, each)) for each in zip(*rows, strict=True))
    found = apgr(routing_curve(scores, weak, strong))
    assert found == pytest.approx(naive_apgr(scores, weak, strong), abs=1e-9)


@given(two_agents)
def test_apgr_depends_on_the_order_of_scores_only(rows: list[tuple[int, int, int]]) -> None:
    scores, weak, strong = np.array(rows, dtype=float).T
    first = apgr(routing_curve(scores, weak, strong))
    assert apgr(routing_curve(np.exp(scores) - 7, weak, strong)) == first
    # A fairer scale of quality changes nothing either.
    assert apgr(routing_curve(scores, 0.3 * weak + 0.1, 0.3 * strong + 0.1)) == pytest.approx(first)


@given(two_agents, st.randoms(use_true_random=False))
def test_averaged_ties_do_not_depend_on_the_order_of_the_file(rows, random) -> None:
    scores, weak, strong = np.array(rows, dtype=float).T
    mixed = list(range(len(rows)))
    random.shuffle(mixed)
    first = apgr(routing_curve(scores, weak, strong, ties="average"))
    again = apgr(routing_curve(scores[mixed], weak[mixed], strong[mixed], ties="average"))
    assert again == pytest.approx(first, abs=1e-9)


def test_averaged_ties_are_the_mean_over_all_orders() -> None:
    scores = np.array([2.0, 1, 1, 1, 0])
    weak, strong = np.array([0.0, 1, 0, 0, 1]), np.array([1.0, 0, 1, 1, 1])
    found = [
        apgr(routing_curve(scores[list(p)], weak[list(p)], strong[list(p)]))
        for p in itertools.permutations(range(5))
    ]
    averaged = apgr(routing_curve(scores, weak, strong, ties="average"))
    assert averaged == pytest.approx(np.mean(found), abs=1e-12)


@given(two_agents)
def test_reversed_scores_mirror_the_curve(rows: list[tuple[int, int, int]]) -> None:
    scores, weak, strong = np.array(rows, dtype=float).T
    up = apgr(routing_curve(scores, weak, strong, ties="average"))
    down = apgr(routing_curve(-scores, weak, strong, ties="average"))
    assert up + down == pytest.approx(1.0, abs=1e-9)


def test_tied_scores_go_in_file_order() -> None:
    # By hand: PGR 0, 1, 1, 1, 1 for the first order and 0, 0, 0, 0, 1 for the second.
    assert apgr(routing_curve([1] * 4, [0] * 4, [1, 0, 0, 0])) == pytest.approx(0.875)
    assert apgr(routing_curve([1] * 4, [0] * 4, [0, 0, 0, 1])) == pytest.approx(0.125)


def test_cpt_is_the_first_crossing_of_a_curve_that_falls_back() -> None:
    # Quality 0, 1/5, 0, 1/5, 2/5, 2/5: PGR 0, .5, 0, .5, 1, 1.
    curve = routing_curve([5, 4, 3, 2, 1], [0, 1, 0, 0, 0], [1, 0, 1, 1, 0])
    assert pgr(curve) == pytest.approx([0, 0.5, 0, 0.5, 1, 1])
    assert cpt(curve, 0.25) == pytest.approx(0.1)
    assert cpt(curve, 0.5) == pytest.approx(0.2)
    assert cpt(curve, 0.75) == pytest.approx(0.7)
    assert cpt(curve, 1.0) == pytest.approx(0.8)
    assert cpt(curve, 0.0) == 0.0
    assert math.isnan(cpt(curve, 1.01))


def test_both_together_can_beat_the_strong_agent() -> None:
    curve = routing_curve([2, 1, 0], [0, 0, 1], [1, 1, 0])
    assert pgr(curve) == pytest.approx([0, 1, 2, 1])
    assert cpt(curve, 1.5) == pytest.approx(0.5)


def test_equally_good_agents_have_no_gap_to_recover() -> None:
    curve = routing_curve([1, 2], [0, 1], [1, 0])
    assert np.isnan(pgr(curve)).all()
    assert math.isnan(apgr(curve))
    assert math.isnan(cpt(curve, 0.5))


def test_tasks_without_both_outcomes_are_left_out_and_counted() -> None:
    curve = routing_curve([4, 3, 2, 1], [0, NAN, 0, 1], [1, 1, NAN, 1])
    assert curve.left_out == 2
    whole = routing_curve([4, 1], [0, 1], [1, 1])
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
        ([], [], [], "one value a task"),
        ([[1, 2]], [0, 1], [1, 1], r"shape \(1, 2\)"),
        ([1, math.inf], [0, 1], [1, 1], "infinite"),
    ],
)
def test_bad_curves_are_refused(scores, weak, strong, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        routing_curve(scores, weak, strong)


@pytest.mark.parametrize("share", [[0, 0.5], [0.1, 1], [0, 0.7, 0.6, 1]])
def test_a_sweep_must_rise_from_nothing_to_all(share: list[float]) -> None:
    with pytest.raises(CorpusError, match="rise from 0 to 1"):
        RoutingCurve(np.array(share), np.zeros(len(share)))


# -- RouterBench ----------------------------------------------------------------------

# Round numbers: the exactness of denormal ones is not what is tested.
coarse = st.integers(0, 1000).map(lambda n: n / 100), st.integers(0, 64).map(lambda n: n / 64)
points = st.lists(st.tuples(*coarse), min_size=1, max_size=12)


@given(points)
def test_hull_contains_all_points_and_is_reached_by_mixing(rows: list[tuple[float, float]]) -> None:
    cost, quality = np.array(rows).T
    hull = non_decreasing_hull(cost, quality)
    assert (hull.at(cost) >= quality - 1e-9).all()
    assert np.array_equal(hull.cost, cost[hull.index])
    assert np.array_equal(hull.quality, quality[hull.index])
    assert (np.diff(hull.cost) > 0).all()
    assert (np.diff(hull.quality) > 0).all()
    if hull.cost.size > 2:
        widths = np.diff(hull.cost)
        rises = np.diff(hull.quality)
        assert (rises[1:] * widths[:-1] <= rises[:-1] * widths[1:] + 1e-12).all()  # concave


@given(points, st.floats(0, 10))
def test_hull_is_the_best_mix_of_two_points(rows: list[tuple[float, float]], at: float) -> None:
    cost, quality = np.array(rows).T
    at = max(at, cost.min())
    best = -1.0
    for (c1, q1), (c2, q2) in itertools.product(rows, rows):
        if c1 <= at:
            best = max(best, q1)  # money left over buys nothing
            if at < c2:
                best = max(best, q1 + (q2 - q1) * (at - c1) / (c2 - c1))
    assert float(non_decreasing_hull(cost, quality).at(at)) == pytest.approx(best, abs=1e-6)


@given(points)
def test_aiq_lies_between_the_hull_ends(rows: list[tuple[float, float]]) -> None:
    cost, quality = np.array(rows).T
    hull = non_decreasing_hull(cost, quality)
    found = aiq(cost, quality)
    assert hull.quality[0] - 1e-9 <= found <= hull.quality[-1] + 1e-9
    # A point more can only help over the same range.
    more = aiq([*cost, cost.mean()], [*quality, 1.0], c_min=cost.min(), c_max=cost.max())
    assert more >= found - 1e-9
    # The unit of cost does not matter.
    assert aiq(1000 * cost, quality) == pytest.approx(found, rel=1e-6, abs=1e-9)


def test_aiq_by_hand() -> None:
    cost, quality = [1, 3, 2], [0.4, 0.8, 0.5]
    assert aiq(cost, quality) == pytest.approx(0.6)  # the point below the chord is no corner
    assert aiq(cost, quality, c_min=1, c_max=5) == pytest.approx((2 * 0.6 + 2 * 0.8) / 4)
    # Below the cheapest: mixed with the router that answers nothing for nothing.
    assert aiq(cost, quality, c_min=0, c_max=3) == pytest.approx((0.2 + 2 * 0.6) / 3)
    assert aiq([2, 2], [0.1, 0.3]) == pytest.approx(0.3)
    # A dearer and worse point widens the range and adds no corner.
    assert aiq([1, 3, 5], [0.4, 0.8, 0.1]) == pytest.approx((2 * 0.6 + 2 * 0.8) / 4)


@pytest.mark.parametrize(
    ("cost", "quality", "said"),
    [([-1, 2], [0, 1], "no NaN"), ([1, NAN], [0, 1], "no NaN"), ([1], [0, 1], "2 values for 1")],
)
def test_bad_points_are_refused(cost, quality, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        non_decreasing_hull(cost, quality)


def test_bad_range_is_refused() -> None:
    with pytest.raises(CorpusError, match="c_min <= c_max"):
        aiq([1, 2], [0, 1], c_min=2, c_max=1)


def test_zero_router_leaves_out_and_counts() -> None:
    quality = [[0.0, 1.0], [1.0, 1.0], [NAN, 1.0]]
    cost = [[1.0, 3.0], [1.0, 5.0], [1.0, 9.0]]
    hull = zero_router(quality, cost)
    assert hull.left_out == 1
    assert hull.cost.tolist() == [1.0, 4.0]
    assert hull.quality.tolist() == [0.5, 1.0]
    assert float(hull.at(2.5)) == pytest.approx(0.75)


def test_oracle_takes_the_cheapest_among_the_best() -> None:
    quality = [[1, 1, 0], [0, 0, 0], [0.5, 0.6, NAN], [NAN, NAN, NAN], [NAN, 0.1, 0.1]]
    cost = [[2, 1, 0], [3, 2, 2], [1, 9, 0], [5, 4, 6], [0, NAN, 7]]
    assert oracle(quality, cost).tolist() == [1, 1, 1, 1, 2]


# -- RouterArena ----------------------------------------------------------------------


def test_cost_score_is_1_at_the_floor_and_0_at_the_ceiling() -> None:
    assert cost_score(0.0044) == pytest.approx(1)
    assert cost_score(0) == pytest.approx(1)
    assert cost_score(200) == 0
    assert cost_score(5000) == 0
    # Halving the price adds as much wherever it is done.
    assert cost_score(1) - cost_score(2) == pytest.approx(cost_score(50) - cost_score(100))


@given(unit, st.floats(0.01, 200), unit, st.floats(0.01, 200))
def test_arena_score_rises_with_accuracy_and_falls_with_cost(a, c, b, d) -> None:
    score = arena_score(a, c)
    assert 0 <= score <= 1.1
    assert arena_score(max(a, b), min(c, d)) >= score - 1e-12


@pytest.mark.parametrize(("accuracy", "cost"), [(1.2, 1), (NAN, 1), (0.5, -1), (0.5, NAN)])
def test_arena_score_refuses_what_is_out_of_range(accuracy: float, cost: float) -> None:
    with pytest.raises(CorpusError, match="is needed"):
        arena_score(accuracy, cost)


def test_optimal_selection_and_cost_ratio_by_hand() -> None:
    quality = [[1, 1], [1, 1], [0, 1], [0, 0], [NAN, 1], [1, 0]]
    cost = [[1, 4], [1, 4], [1, 4], [1, 4], [1, 4], [1, 4]]
    chosen = [0, 1, 0, 1, 1, 0]
    share = optimal_selection(quality, cost, chosen)
    assert (share.value, share.tasks, share.left_out) == (0.5, 4, 2)
    # As good as the oracle on tasks 0, 1, 3 and 5: it pays 1 + 1 + 1 + 1, we paid 1 + 4 + 4 + 1.
    ratio = cost_ratio(quality, cost, chosen)
    assert (ratio.value, ratio.tasks, ratio.left_out) == (0.4, 4, 2)
    assert str(ratio) == "0.4 (4 tasks, 2 left out)"


def test_cost_ratio_where_nothing_or_everything_is_free() -> None:
    assert cost_ratio([[1.0, 0]], [[0.0, 0]], [0]).value == 1
    assert math.isnan(cost_ratio([[1.0, 0]], [[0.0, 0]], [1]).value)


def test_robustness_counts_flips() -> None:
    assert float(robustness(["a", "b", "a", "c"], ["a", "b", "c", "c"])) == 0.75
    with pytest.raises(CorpusError, match="one a task"):
        robustness([1, 2], [1])


# -- gains, regret, recovery ------------------------------------------------------------

outcomes = st.integers(2, 4).flatmap(
    lambda agents: st.lists(
        st.tuples(st.lists(unit, min_size=agents, max_size=agents), st.integers(0, agents - 1)),
        min_size=1,
        max_size=20,
    )
)


@given(outcomes)
def test_regret_and_gains_by_the_slow_way(rows) -> None:
    quality, chosen = [list(row) for row, _ in rows], [agent for _, agent in rows]
    found = cumulative_regret(quality, chosen)
    tasks, agents = len(rows), len(quality[0])
    means = [math.fsum(row[a] for row in quality) / tasks for a in range(agents)]
    assert means[found.best] == pytest.approx(max(means), abs=1e-12)
    lost = behind = 0.0
    for t in range(tasks):
        lost += max(quality[t]) - quality[t][chosen[t]]
        behind += quality[t][found.best] - quality[t][chosen[t]]
        assert found.against_oracle[t] == pytest.approx(lost, abs=1e-9)
        assert found.against_best[t] == pytest.approx(behind, abs=1e-9)
    hits = sum(quality[t][chosen[t]] == max(quality[t]) for t in range(tasks))
    assert found.optimal_share == pytest.approx(hits / tasks)

    gained = gains(quality, chosen)
    assert gained.oracle - gained.quality == pytest.approx(lost / tasks, abs=1e-9)
    assert gained.best_single - gained.quality == pytest.approx(behind / tasks, abs=1e-9)
    assert gained.random == pytest.approx(sum(means) / agents, abs=1e-9)
    if gained.random > 1e-6:
        assert gained.over_random == pytest.approx(gained.quality / gained.random - 1)
        assert gained.to_oracle == pytest.approx(1 - gained.quality / gained.oracle)


def test_incomplete_tasks_add_no_regret() -> None:
    found = cumulative_regret([[1, 0], [NAN, 0], [1, 0]], [1, 1, 1])
    assert found.against_oracle.tolist() == [1, 1, 2]
    assert (found.tasks, found.left_out) == (2, 1)
    with pytest.raises(CorpusError, match="of every agent"):
        gains([[NAN, 1.0]], [0])


def test_gains_over_nothing_are_unknown() -> None:
    assert math.isnan(gains([[0.0, 0.0]], [0]).over_random)


def test_recovery_by_hand() -> None:
    # Agent 1 is best from task 4 on; the policy follows from task 7 on.
    reward = np.array([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 8)
    chosen = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert recovery(reward, chosen, 4, window=2, tolerance=0.0).tasks == 5
    assert recovery(reward, chosen, 4, window=2, tolerance=0.5).tasks == 4
    assert recovery(reward, chosen, 4, window=4, tolerance=0.0).tasks == 7
    stuck = recovery(reward, [0] * 12, 4, window=2)
    assert math.isnan(stuck.tasks)
    assert stuck.best == 1
    missing = reward.copy()
    missing[5, 0] = NAN
    assert recovery(missing, chosen, 4, window=2, tolerance=0.0).left_out == 1
    with pytest.raises(CorpusError, match="windows of 50"):
        recovery(reward, chosen, 4)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [([0, 2], "columns go from 0 to 1"), ([0], "2 whole numbers"), ([0.0, 1.0], "whole numbers")],
)
def test_bad_choices_are_refused(chosen, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        cumulative_regret([[1, 0], [0, 1]], chosen)


def test_bad_matrices_are_refused() -> None:
    with pytest.raises(CorpusError, match="a row a task"):
        gains([1.0, 2.0], [0, 0])
    with pytest.raises(CorpusError, match=r"\(2, 1\).*\(2, 2\)"):
        oracle([[1, 0], [0, 1]], [[1], [0]])


# -- in time ----------------------------------------------------------------------------


def test_timed_quality_by_hand() -> None:
    found = timed_quality(
        latency=[1, 3, 1, 1, 9, 1],
        quality=[1, 1, 0.2, NAN, NAN, 0.5],
        cost=[1, 1, 1, 5, 1, 2],
        answered=[True, True, True, True, False, True],
        objective=2,
        seconds=4,
    )
    assert found.goodput == 0.5  # tasks 0 and 5 in four seconds
    assert (found.within.value, found.within.tasks, found.within.left_out) == (0.6, 5, 1)
    assert found.quality.value == pytest.approx((1 + 0.2 + 0.5) / 5)
    assert found.cost_per_right == 3


def test_no_right_answer_has_no_price() -> None:
    found = timed_quality([1.0], [0.0], [1.0], [True], objective=2, seconds=1)
    assert found.cost_per_right == math.inf
    assert found.goodput == 0
    with pytest.raises(CorpusError, match="above 0"):
        timed_quality([1.0], [0.0], [1.0], [True], objective=0, seconds=1)
    with pytest.raises(CorpusError, match="answered"):
        timed_quality([1.0], [0.0], [1.0], [True, False], objective=1, seconds=1)


def test_goodput_of_a_replay(tasks_corpus: Corpus) -> None:
    pool = load_agents()
    result = replay(tasks_corpus, pool, "random", arrivals="poisson:6", seed=3)
    found = timed_replay(result, 4.0)
    frame = result.to_frame()
    late = frame[frame["arrived_at"] >= result.window[0]]
    known = late[(late["status"] != "ok") | pd.notna(late["quality"])]
    prompt = known[(known["status"] == "ok") & (known["latency"] <= 4.0)]
    right = prompt[prompt["quality"] >= 0.5]
    seconds = result.window[1] - result.window[0]
    assert len(right) > 50
    assert found.goodput == pytest.approx(len(right) / seconds)
    assert found.quality.value == pytest.approx(prompt["quality"].sum() / len(known))
    assert found.within.value == pytest.approx(len(prompt) / len(known))
    assert found.cost_per_right == pytest.approx(known["cost"].sum() / len(right))
    assert found.within.left_out == len(late) - len(known)


@pytest.fixture(scope="module")
def tasks_corpus() -> Corpus:
    """The five default agents on made-up outcomes, a few of them unknown."""
    rng = np.random.default_rng(5)
    pool = load_agents()
    frame = pd.DataFrame({"id": [f"t{i}" for i in range(400)], "text": ["hello"] * 400})
    for a, agent in enumerate(pool):
        right = (rng.random(400) < 0.5 + a / 10).astype(float)
        frame[f"outcomes.{agent.id}.quality"] = np.where(rng.random(400) < 0.05, np.nan, right)
    return Corpus.from_frame(frame)
