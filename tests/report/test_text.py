"""Whole sentences on two agents and a few policies, worked out by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.evaluation.policy_value import PolicyEstimate
from routingsim.evaluation.support import Support, SupportVerdict
from routingsim.policies.kernel import FAILED, STATUS_NAMES
from routingsim.report.figures import Comparison, Entry, Experiment, TaskFigures
from routingsim.report.palette import policy_styles
from routingsim.report.text import (
    are,
    compared,
    endings,
    loads_named,
    quality_in_words,
    stability,
    summary,
    warnings,
)
from routingsim.simulation.statistics import Interval

POOL = AgentPool(
    (
        Agent(id="small", name="S", cost=0.1, latency=1.0),
        Agent(id="big", name="B", cost=1.0, latency=2.0),
    )
)
GROWING = "queues grow for as long as tasks come, and waits say only how long the run was"
OVERLOADED = "more comes than can be done, and waits say how long that lasts"
TOO_SHORT = "the waits of a longer run may differ"
SATURATED = "slots are always in use, and more users add waits, not answers"
NO_RATE = "tasks arrive as a batch, and waits depend on how many come together"
SIMULATED = (
    "Latencies are simulated from each agent’s service model and queue, not measured on the "
    "agents themselves."
)
KEPT_UP = "Every policy kept up with the load: queues were steady, so waits and latencies hold."


def entry(name: str, verdict: str = "steady", **changed: Any) -> Entry:
    """200 tasks: USD 2 per 1,000, quality 0.5, p50 1 s, p95 3 s, 60 % load, all answered.

    At most 40 tasks wait, and 30 at the end.
    """
    figures: dict[str, float] = {
        "cost": 0.002, "cost_total": 0.4, "quality": 0.5, "latency_p50": 1.0, "latency_p95": 3.0,
        "offered_max": 0.6, "answered": 1.0, "recorded": 1.0, "quality_all": 0.5,
        "above": 0.25, "peak": 40, "left": 30, "enough": 5000,
    }  # fmt: skip
    figures |= {k: changed.pop(k) for k in list(changed) if k in figures}
    known = not math.isnan(figures["quality"])
    tasks = TaskFigures(
        np.zeros(200, int), np.full(200, 0.5 if known else np.nan), np.full(200, 0.002)
    )
    fields = {"busiest": "big", "lost": {}, "agreed": 1, "runs": 1, "control": False}
    fields |= {"count": 200} | changed
    return Entry(
        name=name,
        style=policy_styles(1)[0],
        in_sample=float(fields.pop("in_sample", 0.0)),
        verdict=verdict,
        figure=lambda metric: Interval(figures[metric], math.nan),
        tasks=tasks,
        **fields,
    )


def at(
    *entries: Entry, load: float | None = None, differences: Mapping[str, Interval | None] = {}
) -> Comparison:
    """Entries at one load; those after the first differ from it as given, if not at all."""
    return Comparison(
        load, entries, lambda metric, entry: differences.get(metric, Interval(0.0, 0.0))
    )


def experiment(*comparisons: Comparison, notes: tuple[str, ...] = ()) -> Experiment:
    return Experiment(None, POOL, np.arange(200), None, comparisons, notes)


def verdict(*comparisons: Comparison, leader: str = "") -> str:
    return summary(experiment(*comparisons), leader=leader).verdict


# -- the verdict --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("a")],
         "The policy kept up with the load: queues were steady, so waits and latencies hold."),
        ([entry("a"), entry("b")], KEPT_UP),
        ([entry("a", "growing", offered_max=1.48)],
         "a (highest offered load 148 %, at big; 30 tasks waiting at the end) is growing: "
         f"{GROWING}."),
        ([entry("a", "overloaded", offered_max=0.51)],
         "a (highest offered load 51 %, at big; up to 40 tasks waiting) is overloaded in 25 % of "
         f"the time: {OVERLOADED}."),
        ([entry("a", "saturated")],
         "a (highest offered load 60 %, at big; up to 40 tasks waiting) is saturated: "
         f"{SATURATED}."),
        ([entry("a"), entry("b", "too short to say", offered_max=0.97, busiest="small")],
         "The run is too short to say whether b (highest offered load 97 %, at small; about 5,000 "
         f"tasks would do) is steady: {TOO_SHORT}. The other policy kept up."),
        ([entry("a", "too short to say", enough=0), entry("b", "too short to say", enough=0)],
         "The run is too short to say whether a (highest offered load 60 %, at big) and b (highest "
         f"offered load 60 %, at big) are steady: {TOO_SHORT}."),
        ([entry("a"), entry("b", "growing", left=1), entry("c")],
         f"b (highest offered load 60 %, at big; 1 task waiting at the end) is growing: {GROWING}. "
         "The other 2 policies kept up."),
        ([entry("a", "overloaded"), entry("b", "growing"), entry("c", "overloaded", above=0.5)],
         "b (highest offered load 60 %, at big; 30 tasks waiting at the end) is growing: "
         f"{GROWING}. a (highest offered load 60 %, at big; up to 40 tasks waiting) is overloaded "
         f"in 25 % of the time: {OVERLOADED}. c (highest offered load 60 %, at big; up to 40 tasks "
         f"waiting) is overloaded in 50 % of the time: {OVERLOADED}."),
    ],
)  # fmt: skip
def test_who_kept_up(entries: list[Entry], expected: str) -> None:
    assert verdict(at(*entries)) == f"{expected} Every task was answered."


def test_a_batch_has_no_rate() -> None:
    batch = {"offered_max": math.nan, "busiest": ""}
    a, b = entry("a", "no rate", **batch), entry("b", "no rate", **batch)
    assert verdict(at(a)) == f"a has no rate: {NO_RATE}. Every task was answered."
    assert verdict(at(a, b)) == f"a and b have no rate: {NO_RATE}. Every task was answered."
    assert verdict(at(a, entry("c"))) == (
        f"a has no rate: {NO_RATE}. The other policy kept up. Every task was answered."
    )
    assert warnings(experiment(at(a)))[0] == f"a has no rate: {NO_RATE}."
    assert stability(at(a), a) == f"no rate: {NO_RATE}"


def test_at_most_six_are_named() -> None:
    named = [entry(f"p{k}", "too short to say", busiest="", enough=0) for k in range(7)]
    assert "p5 (highest offered load 60 %) and 1 more are steady" in verdict(at(*named))


def test_controls_say_nothing_of_the_policies() -> None:
    control = entry("c", "overloaded", control=True, answered=0.5)
    alone = "The policy kept up with the load: queues were steady, so waits and latencies hold."
    assert verdict(at(entry("a"), control)) == f"{alone} Every task was answered."


def test_each_load_is_named() -> None:
    calm, busy = (at(entry("a"), entry("b"), load=load) for load in (0.2, 0.8))
    every = "Every policy kept up with every load: queues were steady, so waits and latencies hold."
    assert verdict(calm, busy) == f"{every} At load 0.8 every task was answered."
    busy = at(entry("a"), entry("b", "growing", busiest=""), load=0.8)
    assert verdict(calm, busy, leader="At load 0.8 a is first.") == (
        "At load 0.2 a and b kept up. At load 0.8 a kept up; b is growing. At load 0.8 every task "
        "was answered. At load 0.8 a is first."
    )
    short = at(entry("a", "too short to say"), entry("b", "too short to say"), load=0.5)
    assert verdict(short, busy).startswith(
        "At load 0.5 the run is too short to judge a and b. At load 0.8 a kept up; b is growing. "
    )
    assert verdict(busy).startswith(
        "At load 0.8 b (highest offered load 60 %; 30 tasks waiting at the end) is growing: "
        f"{GROWING}. At load 0.8 the other policy kept up. At load 0.8 every task was answered."
    )


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("a", answered=0.98, lost={"failed": 3, "timed_out": 0, "shed": 1}), entry("b")],
         "Under a 98.0 % of the tasks were answered, 1.5 % failed and 0.50 % met a full queue. "
         "The other policies answered every task. Waits and latencies are those of answered "
         "tasks only."),
        ([entry("a", answered=0.5, lost={"failed": 0, "timed_out": 100, "shed": 0})],
         "Under a 50 % of the tasks were answered and 50 % timed out. Waits and "
         "latencies are those of answered tasks only."),
        ([entry("a", answered=0.5), entry("b", answered=0.9)],
         "Under a 50 % of the tasks were answered. Under b 90 % of the tasks were answered. "
         "Waits and latencies are those of answered tasks only."),
    ],
)  # fmt: skip
def test_what_was_answered(entries: list[Entry], expected: str) -> None:
    kept = KEPT_UP if len(entries) > 1 else KEPT_UP.replace("Every", "The", 1)
    assert verdict(at(*entries)) == f"{kept} {expected}"


def test_what_was_answered_at_a_load() -> None:
    one = at(entry("a", answered=0.5), entry("b"), load=0.8)
    assert "holds" not in verdict(one)
    assert verdict(one) == (
        f"{KEPT_UP} At load 0.8 under a 50 % of the tasks were answered. The other policies "
        "answered every task. Waits and latencies are those of answered tasks only."
    )


def test_endings_of_all_tasks() -> None:
    assert endings(entry("a", answered=1.0, lost={"failed": 0})) == (
        "100 % of the tasks were answered"
    )
    assert endings(entry("a", answered=0.0, lost={"failed": 200})) == (
        "0 % of the tasks were answered and 100 % failed"
    )
    every = dict.fromkeys(STATUS_NAMES[FAILED:], 20)
    assert endings(entry("a", answered=0.5, lost=every)) == (
        "50 % of the tasks were answered, 10 % failed, 10 % timed out, 10 % met a full queue, 10 % "
        "were rejected over a limit and 10 % were too long for their agent"
    )


# -- findings -----------------------------------------------------------------------------


APART = {
    "cost": Interval(-0.0005, 0.0001),
    "quality_all": Interval(0.04, 0.01),
    "latency_p95": Interval(1.5, 0.5),
}
COSTS = "b costs 25 % less than a (95 % CI 20–30 %)"
BETTER = " at 4.0 points’ higher quality (95 % CI 3.0–5.0)"
LATER = "; p95 1.5 s higher (95 % CI 1.0–2.0 s)"


def test_a_policy_against_the_baseline() -> None:
    both = entry("a"), entry("b", cost=0.0015)
    shown = experiment(at(*both, differences=APART))
    assert compared(shown, 1) == f"{COSTS}{BETTER}{LATER}."
    assert summary(shown).findings == (f"{COSTS}{BETTER}{LATER}.",)
    same = experiment(at(entry("a"), entry("b")))
    assert compared(same, 1) == "b costs the same as a at the same quality; p95 the same."


@pytest.mark.parametrize(
    ("entries", "over"),
    [
        ([entry("a"), entry("b", "growing", cost=0.0015)], "b"),
        ([entry("a", "overloaded"), entry("b", cost=0.0015)], "a"),
        ([entry("a", "growing"), entry("b", "overloaded", left=20, cost=0.0015)], "b and a"),
    ],
)
def test_no_latency_where_the_backlog_outlasts_the_run(entries: list[Entry], over: str) -> None:
    shown = experiment(at(*entries, differences=APART))
    assert compared(shown, 1) == (
        f"{COSTS}{BETTER}; latency is not compared, as the backlog of {over} outlasts the run."
    )


def test_a_backlog_that_was_worked_off_is_part_of_the_latency() -> None:
    """19 of 40 tasks that waited are left: fewer than half."""
    both = entry("a"), entry("b", "overloaded", left=19, cost=0.0015)
    assert compared(experiment(at(*both, differences=APART)), 1) == f"{COSTS}{BETTER}{LATER}."


def test_what_is_unknown_is_not_compared() -> None:
    unknown = Interval(math.nan, math.nan)
    both = entry("a", quality=math.nan), entry("b", cost=0.0015, quality=math.nan)
    no_quality = experiment(at(*both, differences=APART))
    assert compared(no_quality, 1) == f"{COSTS}{LATER}."
    both = entry("a"), entry("b", cost=0.0015)
    nothing = experiment(
        at(*both, differences=APART | {"quality_all": unknown, "latency_p95": unknown})
    )
    apart = ", and their qualities cannot be compared, as other tasks are recorded"
    assert compared(nothing, 1) == f"{COSTS}{apart}."
    few = experiment(at(*both, differences=dict.fromkeys(APART)))
    assert compared(few, 1) == "b costs 25 % less than a."


@pytest.mark.parametrize(
    ("verdicts", "where"),
    [
        (("steady", "steady"), "; at load 0.8."),
        (("steady", "too short to say"), "; at load 0.8."),
        (("steady", "growing"), "; at load 0.2, the highest that both keep up with."),
    ],
)
def test_the_highest_load_that_both_bear(verdicts: tuple[str, str], where: str) -> None:
    shown = experiment(
        *(
            at(entry("a"), entry("b", verdict, cost=0.0015), load=load, differences=APART)
            for load, verdict in zip((0.2, 0.8), verdicts, strict=True)
        )
    )
    assert compared(shown, 1) == f"{COSTS}{BETTER}{LATER}{where}"


def test_where_none_bears_a_load_the_lowest_is_compared() -> None:
    shown = experiment(
        *(
            at(entry("a", "growing"), entry("b", cost=cost), load=load, differences=APART)
            for load, cost in ((0.2, 0.0015), (0.8, 0.001))
        )
    )
    assert compared(shown, 1) == (
        f"{COSTS}{BETTER}; at load 0.2; latency is not compared, as the backlog of a outlasts the "
        "run."
    )


@pytest.mark.parametrize(
    ("only", "load", "expected"),
    [
        (entry("a"), None,
         "a cost USD 0.400 in all, USD 2.00 per 1,000 tasks, at a mean quality of 0.500; half of "
         "the answers took less than 1.0 s, 95 % less than 3.0 s."),
        (entry("a"), 0.8,
         "At load 0.8 a cost USD 2.00 per 1,000 tasks, at a mean quality of 0.500; half of the "
         "answers took less than 1.0 s, 95 % less than 3.0 s."),
        (entry("a", quality=math.nan), None,
         "a cost USD 0.400 in all, USD 2.00 per 1,000 tasks; half of the answers took less than "
         "1.0 s, 95 % less than 3.0 s."),
        (entry("a", "overloaded"), None,
         "a cost USD 0.400 in all, USD 2.00 per 1,000 tasks, at a mean quality of 0.500."),
        (entry("a", latency_p50=math.nan), None,
         "a cost USD 0.400 in all, USD 2.00 per 1,000 tasks, at a mean quality of 0.500."),
    ],
)  # fmt: skip
def test_a_policy_alone(only: Entry, load: float | None, expected: str) -> None:
    assert summary(experiment(at(only, load=load))).findings == (expected,)


def test_the_zero_router() -> None:
    zero = entry("zero-router", control=True)
    who = "zero-router, which reads no task and mixes single agents at its cost"

    def found(load: float | None, quality: Interval | None) -> tuple[str, ...]:
        shown = at(entry("a"), entry("b"), zero, load=load, differences={"quality_all": quality})
        last = at(entry("a"), entry("b"), load=0.9)
        return summary(experiment(shown, last)).findings[1:]

    better = f"a has better answers than {who}, by 5.0 points (95 % CI 4.0–6.0)."
    assert found(None, Interval(-0.05, 0.01)) == (better,)
    assert found(0.2, Interval(-0.05, 0.01)) == (f"At load 0.2 {better}",)
    assert found(None, Interval(0.05, 0.01)) == (better.replace("better", "worse"),)
    assert found(None, None) == found(None, Interval(math.nan, math.nan)) == ()
    other = at(entry("a"), entry("zero-router"), differences={"quality_all": Interval(0.05, 0.01)})
    assert len(summary(experiment(other)).findings) == 1


def test_findings_and_caveats_are_added() -> None:
    shown = experiment(at(entry("a"), entry("b")))
    said = summary(shown, findings=["More."], caveats=["Mind."])
    assert said.findings[1:] == ("More.",)
    assert said.caveats == ("Mind.",)
    unknown = experiment(at(entry("a", quality=math.nan), entry("b", quality=math.nan)))
    assert summary(unknown, caveats=["Mind."]).caveats == (
        "Quality: not recorded, so nothing is said about how good the answers are.",
        "Mind.",
    )


# -- one policy's stability ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "load", "expected"),
    [
        (entry("a"), None, "steady (highest offered load 60 %, at big)"),
        (entry("a", "overloaded", offered_max=2.0, busiest="small"), None,
         "overloaded in 25 % of the time (highest offered load 200 %, at small; up to 40 tasks "
         f"waiting): {OVERLOADED}"),
        (entry("a", "too short to say", agreed=2, runs=3, busiest=""), 0.8,
         "too short to say at load 0.8 in 2 of 3 runs (highest offered load 60 %; about 5,000 "
         f"tasks would do): {TOO_SHORT}"),
        (entry("a", agreed=2, runs=2, busiest=""), 0.8,
         "steady at load 0.8 in 2 of 2 runs (highest offered load 60 %)"),
    ],
)  # fmt: skip
def test_stability(one: Entry, load: float | None, expected: str) -> None:
    assert stability(at(one, load=load), one) == expected


# -- warnings -----------------------------------------------------------------------------


def test_nothing_to_warn_of() -> None:
    assert warnings(experiment(at(entry("a"), entry("b", control=True)))) == (SIMULATED,)


def test_warnings_the_gravest_first() -> None:
    shown = at(
        entry("a", "too short to say"),
        entry("b", "growing", in_sample=1.0),
        entry("c", "growing", control=True),
        entry("d", control=True, in_sample=1.0),
        entry("e", "too short to say", control=True),
    )
    assert warnings(experiment(shown, notes=("one note", "", "one note", "x")), ["More."]) == (
        "b (highest offered load 60 %, at big; 30 tasks waiting at the end) is growing: "
        f"{GROWING}.",
        "The run is too short to say whether a (highest offered load 60 %, at big; about 5,000 "
        f"tasks would do) is steady: {TOO_SHORT}.",
        "Of the controls, c and e are not steady: read their quality and cost, not their "
        "latencies.",
        "b and d are in-sample (fitted or chosen on 100 % of these tasks’ texts): expect worse "
        "results on tasks not seen before.",
        "More.",
        "One note.",
        "X.",
        SIMULATED,
    )


def test_warnings_name_the_loads() -> None:
    control = {"control": True, "in_sample": 1.0}
    calm = at(entry("a", "growing", offered_max=1.1, busiest=""), entry("b"), load=0.2)
    busy = at(
        entry("a", "growing", offered_max=1.5, busiest=""),
        entry("b", "too short to say", busiest="", enough=0),
        entry("c", "too short to say", **control),
        load=0.8,
    )
    assert warnings(experiment(calm, busy)) == (
        "At loads 0.2 and 0.8 a (highest offered load 150 %; 30 tasks waiting at the end) is "
        f"growing: {GROWING}.",
        "At load 0.8 the run is too short to say whether b (highest offered load 60 %) is steady: "
        f"{TOO_SHORT}.",
        "Of the controls, c is not steady at load 0.8: read their quality and cost, not their "
        "latencies.",
        "c is in-sample (fitted or chosen on 100 % of these tasks’ texts): expect worse results on "
        "tasks not seen before.",
        SIMULATED,
    )


def test_many_names_are_cut() -> None:
    controls = [entry(f"c{k}", "overloaded", control=True, in_sample=1.0) for k in range(12)]
    unfit, fitted, _ = warnings(experiment(at(entry("a"), *controls)))
    assert "c8, c9 and 2 more are not steady" in unfit
    assert "c6, c7 and 4 more are in-sample" in fitted


def test_words() -> None:
    assert loads_named([0.8]) == "load 0.8"
    assert loads_named([k / 10 for k in range(1, 11)]) == (
        "loads 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8 and 2 more"
    )
    assert loads_named([]) == ""
    assert are(["a"]) == "is"
    assert are(["a", "b"]) == "are"


def estimated(name: str, value: float, verdict: SupportVerdict, **changed: Any) -> Entry:
    support = Support(verdict, (), 900, 0, 90.0, 60.0, 0.0, 0.0, 1.0, 0.1, False, None)
    half = math.nan if math.isnan(value) else 0.05
    found = PolicyEstimate(name, value, 0.02, 15.0, Interval(value, half), support)
    made = entry(name, recorded=0.4, quality=value, **changed)

    def figure(metric: str) -> Interval:
        return found.interval if metric == "quality" else made.figure(metric)

    return replace(made, figure=figure, estimated={"quality": found, "quality_all": found})


def test_estimates_are_called_so() -> None:
    a, b = estimated("a", 0.55, "weak"), estimated("b", 0.91, "answered", cost=0.0015)
    shown = at(a, b, differences=APART)
    shown = replace(shown, estimates={"quality": SimpleNamespace(tasks=900)})
    said = summary(experiment(shown))
    assert said.verdict.startswith(
        "The corpus is a log with one answer a task, so qualities are estimates from its 900 "
        "tasks; weak ones for a. Every policy kept up"
    )
    assert said.findings[0].startswith(
        f"{COSTS} at 4.0 points’ higher quality (95 % CI 3.0–5.0; estimated, weak)"
    )
    assert quality_in_words(a) == "0.550 ± 0.050 (estimated, weak)"


def test_a_log_that_cannot_answer_shows_no_quality() -> None:
    a, b = estimated("a", 0.55, "weak"), estimated("b", math.nan, "cannot", cost=0.0015)
    unknown = {"quality_all": Interval(math.nan, math.nan)}
    shown = at(a, b, differences=APART | unknown)
    shown = replace(shown, estimates={"quality": SimpleNamespace(tasks=900)})
    said = summary(experiment(shown))
    assert "weak ones for a; for b the log cannot answer." in said.verdict
    assert "their qualities cannot be compared: the log cannot answer; p95" in said.findings[0]
    assert quality_in_words(b) == "not known (the log cannot answer)"


def test_the_share_recorded_is_said_first() -> None:
    shown = at(entry("a", recorded=0.33), entry("b", recorded=0.33))
    assert summary(experiment(shown)).verdict.startswith(
        "Quality is known for 33 % of the answers, and rests on these. Every policy"
    )
    assert quality_in_words(entry("a", recorded=0.33)) == "0.500 (known for 33 %)"
    one = at(entry("a"), entry("b", recorded=0.33))
    assert summary(experiment(one)).verdict.startswith(
        "Quality is known for 33 % of the answers of b, and rests on these."
    )


def test_quality_of_all_tasks_where_some_have_no_answer() -> None:
    shown = at(entry("a"), entry("b", answered=0.7, cost=0.0015), differences=APART)
    assert " at 4.0 points’ higher quality of all tasks (95 % CI" in compared(experiment(shown), 1)
    alone = summary(experiment(at(entry("a", answered=0.7, quality_all=0.35)))).findings[0]
    assert "at a mean quality of 0.500, 0.350 of all tasks" in alone


def test_quality_of_all_tasks_where_the_baseline_has_lost_some() -> None:
    lost, whole = entry("a", answered=0.7), entry("b", cost=0.0015)
    shown = experiment(at(lost, whole, differences=APART))
    all_tasks = " at 4.0 points’ higher quality of all tasks (95 % CI 3.0–5.0)"
    assert compared(shown, 1) == f"{COSTS}{all_tasks}{LATER}."


def test_shares_recorded_differ_and_at_most_six_policies_are_named() -> None:
    partly = [entry(f"p{k}", recorded=0.33 if k else 0.5) for k in range(7)]
    said = "Quality is known for 33 % and 50 % of the answers of p0, p1, p2, p3, p4, p5 and 1 more"
    assert verdict(at(entry("a"), *partly)).startswith(f"{said}, and rests on these. Every policy")
    six = said.replace("p4, p5 and 1 more", "p4 and p5")
    assert verdict(at(entry("a"), *partly[:6])).startswith(f"{six}, and rests on these. Every")


@pytest.mark.parametrize(("count", "names"), [(6, "p4 and p5"), (7, "p4, p5 and 1 more")])
def test_at_most_six_estimates_are_named(count: int, names: str) -> None:
    cases: list[tuple[SupportVerdict, str]] = [
        ("weak", f"; weak ones for p0, p1, p2, p3, {names}."),
        ("cannot", f"; for p0, p1, p2, p3, {names} the log cannot answer."),
    ]
    for how, said in cases:
        value = 0.5 if how == "weak" else math.nan
        shown = at(*(estimated(f"p{k}", value, how) for k in range(count)))
        shown = replace(shown, estimates={"quality": SimpleNamespace(tasks=1900)})
        assert verdict(shown).startswith(
            "The corpus is a log with one answer a task, so qualities are estimates from its 1,900 "
            f"tasks{said} Every policy kept up"
        )


def test_a_policy_alone_by_estimates() -> None:
    only = estimated("a", 0.55, "weak", answered=0.7)
    only = replace(only, estimated={**only.estimated, "cost": only.estimated["quality"]})
    shown = replace(at(only), estimates={"quality": SimpleNamespace(tasks=900)})
    assert summary(experiment(shown)).findings == (
        "a cost USD 0.400 in all, USD 2.00 per 1,000 tasks (estimated, weak), at a mean quality of "
        "0.550 ± 0.050 (estimated, weak); half of the answers took less than 1.0 s, 95 % less than "
        "3.0 s.",
    )
    two = at(only, replace(only, name="b"), differences={"quality_all": Interval(0.04, 0.01)})
    assert compared(experiment(replace(two, estimates=shown.estimates)), 1) == (
        "b costs the same as a (estimated, weak) at 4.0 points’ higher quality of all tasks (95 % "
        "CI 3.0–5.0; estimated, weak); p95 the same."
    )


def test_foremost_notes_come_first() -> None:
    shown = replace(experiment(at(entry("a"), entry("b"))), foremost=("mind this", "and that"))
    assert summary(shown).verdict == (f"Mind this. And that. {KEPT_UP} Every task was answered.")


def test_the_cost_is_the_middle_of_all_runs() -> None:
    shown = at(entry("a"), entry("b", cost=0.003), differences=APART)
    assert compared(experiment(shown), 1) == f"{COSTS}{BETTER}{LATER}."
    one_run = at(entry("a"), entry("b", cost=0.003), differences=APART | {"cost": None})
    assert compared(experiment(one_run), 1) == f"b costs 50 % more than a{BETTER}{LATER}."
    unknown = APART | {"cost": Interval(math.nan, math.nan)}
    one_run = at(entry("a"), entry("b", cost=0.003), differences=unknown)
    assert compared(experiment(one_run), 1) == (
        f"b has a cost that cannot be compared with that of a{BETTER}{LATER}."
    )


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (entry("a"), "0.500"),
        (entry("a", quality=math.nan), "not recorded"),
        (entry("a", recorded=0.99), "0.500 (known for 99.0 %)"),
    ],
)
def test_quality_in_words(one: Entry, shown: str) -> None:
    assert quality_in_words(one) == shown
