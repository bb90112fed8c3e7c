"""The rule of a decision: worked out by hand, from figures and intervals that are given.

Tests of ``decision_rule``, ``decision_record`` and ``decision_text``.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from routingsim.evaluation.decision_record import Alternative, Choice, Compared, Grounds
from routingsim.evaluation.decision_rule import decide
from routingsim.evaluation.decision_text import plain, sentences
from routingsim.evaluation.intervals import Difference, no_verdict, not_comparable, verdict
from routingsim.evaluation.study_intervals import DEPENDENT, ONE_RUN, TOO_FEW
from routingsim.evaluation.targets import Target, targets_of
from routingsim.simulation.statistics import Interval

HIGHER = {"quality_all", "answered"}
WIDTHS = {"quality_all": 0.008, "cost": 0.00002, "latency_p95": 0.2, "answered": 0.0}


def policy(
    name: str, quality: float, cost: float, p95: float, *, lasts: bool = False, **widths: float
) -> Alternative:
    """A policy by its mean quality, USD per 1,000 tasks and p95 in seconds."""
    means = {"quality_all": quality, "cost": cost / 1000, "latency_p95": p95, "answered": 1.0}
    figures = {m: Interval(v, (WIDTHS | widths)[m]) for m, v in means.items()}
    state = "growing" if lasts else "steady"
    return Alternative(name, state, 0.0, lasts, figures)  # pyright: ignore[reportArgumentType]


def apart(one: Interval, other: Interval, metric: str) -> Difference:
    found = Interval(one.mean - other.mean, one.half_width + other.half_width)
    if math.isnan(found.mean):
        return not_comparable("other tasks")
    told = verdict(found, higher_is_better=metric in HIGHER)
    return Difference(found, math.nan, told, "given", 20)


def decided(
    *policies: Alternative,
    targets: tuple[Target, ...] = (),
    baseline: str | None = None,
    why: str = "",
    **grounds: Any,
) -> Choice:
    figures: Mapping[str, Alternative] = {each.policy: each for each in policies}

    def pair(metric: str, one: str, other: str) -> Difference:
        found = apart(figures[one].figures[metric], figures[other].figures[metric], metric)
        return no_verdict(why, found.interval.mean) if why else found

    said = {
        "tasks": 500,
        "runs": 20,
        "prompts": 480,
        "records": "complete",
        "coverage": 1.0,
        "estimate": "",
        "fitted": 0.0,
        "enough": 0,
        "agreed": 20,
        "population": "tasks like these",
    }
    return decide(
        policies,
        pair,
        lambda chosen: Grounds(**(said | grounds)),
        targets=targets,
        baseline=baseline or policies[0].policy,
        load=0.8,
        rate=3.2,
    )


USED = policy("used", 0.90, 2.0, 5.6)
QUICK = policy("quick", 0.90, 2.0, 3.2)


def test_the_better_of_two_is_first_and_said_with_what_it_changes() -> None:
    made = decided(USED, QUICK)
    assert (made.kind, made.chosen, made.against) == ("use", "quick", "used")
    assert made.standing("in doubt") == ["used"]  # quality within 1.6 points is not told to be
    assert not made.first
    said = sentences(made)
    assert said.asked == (
        "Which policy is the best compromise between quality, cost and p95 latency at load 0.8 "
        "(3.20 tasks/s)? No target was given."
    )
    assert said.answer == (
        "Use quick instead of used: p95 3.2 s instead of 5.6 s, about the same cost; quality may "
        "be up to 1.6 points lower."
    )
    assert said.sure == (
        "Against used, 95 % intervals: quality 1.6 points lower to 1.6 points higher; cost 2.0 % "
        "lower to 2.0 % higher; p95 2.0 to 2.8 s lower.",
        "In doubt beside quick: used (quality).",
    )
    narrow = [policy(p.policy, 0.9, 2.0, p.figures["latency_p95"].mean, quality_all=0.004)
              for p in (USED, QUICK)]  # fmt: skip
    first = decided(*narrow)
    assert first.first
    assert first.standing("behind") == ["used"]
    assert sentences(first).answer == (
        "Use quick instead of used: p95 3.2 s instead of 5.6 s, about the same quality, about the "
        "same cost."
    )
    assert "quick is first: no pair of it with another policy is in doubt." in sentences(first).sure


def test_no_cost_is_more_than_all_of_it_lower() -> None:
    cheap = policy("cheap", 0.90, 0.01, 5.6)
    cheap = replace(cheap, figures={**cheap.figures, "cost": Interval(0.00001, 0.00035)})
    said = sentences(decided(USED, cheap)).sure[0]
    assert "cost 81 to 100 % lower" in said


def test_nothing_shown_keeps_the_policy_in_use() -> None:
    made = decided(USED, policy("like it", 0.901, 2.01, 5.5))
    assert (made.kind, made.chosen, made.against) == ("keep", "used", "")
    assert sentences(made).answer == (
        "Keep used, with quality 0.900, USD 2.00 per 1,000 tasks and p95 5.6 s: no other policy is "
        "shown to be better."
    )
    assert sentences(made).sure == ("In doubt beside used: like it (quality).",)


def test_a_cheaper_policy_that_may_answer_worse_does_not_win_unsaid() -> None:
    cheap = policy("cheap", 0.85, 0.3, 5.6, quality_all=0.06)
    made = decided(USED, cheap)
    assert made.chosen == "cheap"
    assert made.kind == "use"
    assert "quality may be up to 12 points lower" in sentences(made).answer
    assert not made.first


def test_two_ends_of_a_frontier_are_a_trade_off_and_no_knee() -> None:
    made = decided(USED, policy("cheap", 0.80, 0.3, 5.6))
    assert made.kind == "undecided"
    assert sentences(made).answer == (
        "Undecided, a trade-off. used: quality 0.900, USD 2.00 per 1,000 tasks and p95 5.6 s; "
        "cheap: quality 0.800, USD 0.300 per 1,000 tasks and p95 5.6 s."
    )


def test_the_knee_is_the_policy_nearest_to_the_best_of_all() -> None:
    made = decided(
        policy("dear", 0.95, 10.0, 9.0),
        policy("knee", 0.93, 2.0, 3.0),
        policy("cheap", 0.7, 1.0, 2.5),
    )
    assert (made.kind, made.chosen) == ("use", "knee")
    assert made.standing("trade-off") == ["dear", "cheap"]
    assert made.first  # what is a matter of taste is in no doubt


def test_an_overloaded_policy_is_no_yardstick_and_no_candidate() -> None:
    over = policy("over", 0.99, 0.1, 900.0, lasts=True)
    made = decided(over, USED, QUICK)
    assert (made.chosen, made.baseline, made.against) == ("quick", "over", "used")
    assert made.standing("overloaded") == ["over"]
    assert sentences(made).answer.startswith(
        "Use quick: over does not keep up with the load. Compared with used: p95 3.2 s instead"
    )
    alone = decided(over, QUICK)
    assert sentences(alone).answer == (
        "Use quick, with quality 0.900, USD 2.00 per 1,000 tasks and p95 3.2 s: no other policy "
        "keeps up with the load."
    )
    none = decided(over, policy("too", 0.9, 1.0, 99.0, lasts=True))
    assert (none.kind, none.chosen) == ("none keeps up", "")
    assert sentences(none).answer == (
        "No policy keeps up with this load: queues grow for as long as tasks come, and waits say "
        "only how long the run was."
    )


@pytest.mark.parametrize("asked", ["ttft", "ttft_p95", "first_token_p95"])
def test_a_first_token_of_an_overloaded_policy_is_without_bound(asked: str) -> None:
    targets = targets_of({asked: 1}, None, None)
    assert targets[0].metric == "first_token_p95"
    tokens = {"over": Interval(math.nan, math.nan), "short": Interval(0.5, 0.1)}
    some = [policy(name, 0.9, 1.0, 9.0, lasts=name == "over") for name in tokens]
    some = [replace(p, figures={**p.figures, targets[0].metric: tokens[p.policy]}) for p in some]
    made = decided(*some, targets=targets)
    told = {each.policy: each.targets["first_token_p95"] for each in made.alternatives}
    assert told == {"over": "missed", "short": "met"}
    assert made.chosen == "short"


def test_of_those_that_meet_the_targets_the_cheapest_and_of_equals_the_quickest() -> None:
    targets = targets_of({"p95": 4}, 0.85, None)
    cheap, dear = policy("cheap", 0.88, 1.0, 3.5), policy("dear", 0.95, 4.0, 2.0)
    made = decided(USED, dear, cheap, policy("slow", 0.9, 0.5, 4.9), targets=targets)
    assert (made.kind, made.chosen) == ("use", "cheap")
    assert made.standing("misses") == ["used", "slow"]
    assert made.standing("trade-off") == ["dear"]
    said = sentences(made)
    assert said.asked == (
        "Which policy is the cheapest with 95 % of the answers within 4 s, a mean quality of at "
        "least 0.85 and at least 99 % of the tasks answered at load 0.8 (3.20 tasks/s)?"
    )
    assert said.answer == (
        "Use cheap instead of used: it meets the targets, which used misses (p95); quality 0.880 "
        "instead of 0.900, 50 % lower cost, p95 3.5 s instead of 5.6 s."
    )
    as_cheap = decided(dear, cheap, policy("quicker", 0.88, 1.0, 2.5), targets=targets)
    assert as_cheap.chosen == "quicker"


def test_none_meets_the_targets_and_the_nearest_is_named_with_what_it_lacks() -> None:
    made = decided(USED, QUICK, targets=targets_of({"p95": 3}, None, None))
    assert made.kind == "undecided"  # 3.2 ± 0.2 may be 3
    assert sentences(made).answer == (
        "Undecided: no policy is shown to meet all targets. quick comes closest, with p95 3.2 s "
        "(3.00 to 3.40), 0.20 s more than asked for."
    )
    made = decided(USED, QUICK, targets=targets_of({"p95": 2}, 0.95, None))
    assert made.kind == "none meets"
    assert sentences(made).answer == (
        "No policy meets the targets. quick comes closest, with p95 3.2 s (3.00 to 3.40), 1.2 s "
        "more than asked for and quality 0.900 (0.892 to 0.908), 0.050 less than asked for."
    )
    assert sentences(made).then[0].startswith("Add slots or agents: `routingsim capacity`")


def test_an_unknown_quality_is_open_and_never_met() -> None:
    blind = [policy("a", math.nan, 1.0, 2.0), policy("b", math.nan, 2.0, 1.0)]
    made = decided(*blind, targets=targets_of(None, 0.5, None), records="none", coverage=0.0)
    assert made.kind == "undecided"
    assert "a quality that is not known" in sentences(made).answer
    assert "No quality is recorded: by cost and latency alone." in sentences(made).rests_on
    without = decided(*blind, records="none", coverage=0.0)
    assert sentences(without).asked.startswith(
        "Which policy is the best compromise between cost and p95 latency"
    )
    assert "quality" not in sentences(without).answer


@pytest.mark.parametrize(
    ("why", "answer", "then"),
    [
        (ONE_RUN, "one run cannot tell the policies apart.", "Run it again with more"),
        (TOO_FEW, "12 different tasks cannot tell the policies apart.", "Bring 50 different"),
        (DEPENDENT, f"the policies cannot be told apart ({DEPENDENT}).", "Replay more tasks, or"),
    ],
)
def test_why_nothing_can_be_told_is_the_answer(why: str, answer: str, then: str) -> None:
    made = decided(USED, QUICK, why=why, prompts=12)
    assert made.kind == "undecided"
    assert sentences(made).answer == f"Undecided: {answer}"
    assert sentences(made).then[0].startswith(then)


def test_one_policy_is_compared_with_none() -> None:
    made = decided(USED)
    assert (made.kind, made.chosen) == ("alone", "used")
    assert sentences(made).answer == (
        "used: quality 0.900, USD 2.00 per 1,000 tasks and p95 5.6 s. There is no other policy "
        "to compare it with."
    )
    held = decided(USED, targets=targets_of({"p95": 6}, None, None))
    assert sentences(held).asked.startswith("Does used reach 95 % of the answers within 6 s")
    assert sentences(held).answer.startswith("used meets the targets, with quality 0.900")
    missed = decided(USED, targets=targets_of({"p95": 5}, None, None))
    assert sentences(missed).answer == (
        "used does not reach the targets. It has p95 5.6 s (5.40 to 5.80), 0.60 s more than asked "
        "for."
    )


@pytest.mark.parametrize(
    ("grounds", "said"),
    [
        ({}, "No backtest: how far the simulator is off here is not measured."),
        ({"backtest": "It was off by 4 %."}, "It was off by 4 %."),
        ({"backtest": "the simulator is off by 4 %"}, "The simulator is off by 4 %."),
        ({"coverage": 0.6}, "Quality is known for 60 % of the answers of used."),
        (
            {"records": "log", "estimate": "weak"},
            "The log has one answer a task, so quality is estimated: of used it can tell weakly.",
        ),
        (
            {"fitted": 1.0},
            "used was fitted on 100 % of these tasks, so its quality is too favourable.",
        ),
    ],
)
def test_what_it_rests_on(grounds: dict[str, Any], said: str) -> None:
    assert said in sentences(decided(USED, **grounds)).rests_on


def test_a_terminal_gets_all_of_it_in_this_order() -> None:
    text = plain(decided(USED, QUICK))
    titles = ("Asked: ", "Answer: ", "How sure: ", "What it rests on: ", "What to do next: ")
    found = [text.index(title) for title in titles]
    assert found == sorted(found)
    assert max(map(len, text.splitlines())) <= 79


def test_about_the_same_needs_the_whole_interval_and_no_worse_its_worse_end() -> None:
    def told(half_width: float, mean: float = 0.0) -> str:
        found = Interval(mean, half_width)
        each = Difference(found, math.nan, "not distinguishable", "given", 20)
        return Compared("quality_all", each, 0.9).told

    assert told(0.01) == "about the same"
    assert told(0.011) == "in doubt"
    assert told(0.05, 0.045) == "no worse"
    assert told(0.05, -0.045) == "in doubt"
    assert told(math.nan) == "in doubt"
