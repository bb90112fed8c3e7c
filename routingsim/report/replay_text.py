"""Sentences computed from figures: what a reader would say of a run, and no more."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from routingsim.report.differences import (
    FEWEST,
    SPELLS,
    against_zero_router,
    apart,
    cost_apart,
    cost_compared,
    latency_apart,
    quality_apart,
)
from routingsim.report.document import Summary
from routingsim.report.formatting import count, duration, isolated, joined, number, percent, usd
from routingsim.simulation.result import ReplayResult

__all__ = [
    "FEW",
    "arrivals",
    "comparison",
    "ends",
    "stability",
    "subtitle",
    "summary",
    "warnings",
]

FEW = 30
"""Answers below which a p99 is little more than the largest value."""

_SO = {
    "overloaded": "queues grow or tasks are lost, and waits say how long the run was",
    "at the edge": "waits depend on the length of the run",
}


def subtitle(results: Sequence[ReplayResult]) -> str:
    """What was run, in a line."""
    first = results[0]
    tasks = count(len(first), "task")
    of = (
        f"{tasks} of the corpus “{isolated(first.corpus.name)}”"
        if first.corpus
        else f"{tasks} without text"
    )
    over = duration(float(first.work.arrived[-1]))
    return (
        f"{of} over {over}, {count(len(first.pool), 'agent')}, "
        f"{count(len(results), 'policy', 'policies')}"
    )


def summary(
    results: Sequence[ReplayResult], controls: Mapping[str, ReplayResult] = MappingProxyType({})
) -> Summary:
    """The run in a few sentences: stability first, then each policy against the first.

    ``controls`` are those of the first.
    """
    first, *others = results
    caveats = []
    if all(math.isnan(r.overall["quality"]) for r in results):
        caveats.append("Quality: not recorded, so nothing is said about how good the answers are.")
    if others:
        caveats.append(
            "Intervals are over the tasks of this one run, by a bootstrap over "
            f"{SPELLS} spells of them, and too narrow where queues last as long as a spell. Under "
            "other arrivals it may come out otherwise: routingsim compare repeats the run."
            if len(first) >= FEWEST
            else f"Fewer than {FEWEST} tasks: too few for intervals, so nothing is said of "
            "differences in quality and latency."
        )
    return Summary(
        verdict=f"{_stability_of_all(results)} {_answers(results)}",
        findings=(
            *(tuple(comparison(other, first) for other in others) or (_alone(first),)),
            *_against_nothing(first, controls),
        ),
        caveats=tuple(caveats),
    )


def _stability_of_all(results: Sequence[ReplayResult]) -> str:
    said = []
    for verdict, so in _SO.items():
        named = [f"{r.policy.name} ({_highest(r)})" for r in results if _is(r, verdict)]
        if named:
            be = "is" if len(named) == 1 else "are"
            said.append(f"{joined(named, 6)} {be} {verdict}: {so}.")
    rest = sum(_is(r, "stable") for r in results)
    if not said:
        who = "The policy" if len(results) == 1 else "Every policy"
        return f"{who} kept up with the load: queues were stable, so waits and latencies hold."
    if rest:
        said.append(f"The other {'policy' if rest == 1 else f'{rest} policies'} kept up.")
    return " ".join(said)


def _is(result: ReplayResult, verdict: str) -> bool:
    return result.stability.verdict == verdict


def _highest(result: ReplayResult) -> str:
    offered = result.stability.offered
    worst = max(offered, key=lambda agent: offered[agent])
    return f"highest offered load {percent(offered[worst])}, {worst}"


def stability(result: ReplayResult) -> str:
    """What stands behind the verdict on one policy."""
    so = _SO.get(result.stability.verdict)
    return f"{_highest(result)}: {so}" if so else _highest(result)


def _answers(results: Sequence[ReplayResult]) -> str:
    short = [r for r in results if r.overall["ok"] < len(r)]
    if not short:
        return "Every task was answered."
    said = " ".join(f"Under {r.policy.name} {ends(r)}." for r in short)
    rest = " The rest answered every task." if len(short) < len(results) else ""
    return f"{said}{rest} Waits and latencies are those of answered tasks only."


def ends(result: ReplayResult) -> str:
    """How its tasks ended: ``97 % were answered, 2.1 % failed``."""
    words = {
        "ok": "were answered",
        "failed": "failed",
        "timed_out": "gave up waiting",
        "shed": "were turned away",
    }
    overall = result.overall
    parts = [
        f"{percent(overall[key] / len(result))} {said}"
        for key, said in words.items()
        if overall[key] or key == "ok"
    ]
    return joined(parts)


def comparison(one: ReplayResult, other: ReplayResult) -> str:
    """One policy against another: cost, quality where recorded, p95 of latency.

    A difference in quality is in points, hundredths on its scale from 0 to 1. Few tasks
    give no interval, and no sentence on what would need one.
    """
    a, b, name = one.overall, other.overall, other.policy.name
    found = apart(one, other)
    if found is None:
        return f"{one.policy.name} {cost_compared(a['cost_mean'], b['cost_mean'], name)}."
    said = f"{one.policy.name} {cost_apart(a['cost_mean'], b['cost_mean'], name, found.cost)}"
    if not math.isnan(found.quality.mean):
        said += quality_apart(found.quality)
    over = [r.policy.name for r in (one, other) if r.stability.verdict == "overloaded"]
    if over:
        be = "is" if len(over) == 1 else "are"
        return f"{said}; latency is not compared, as {joined(over)} {be} overloaded."
    if not math.isnan(found.p95.mean):
        said += f"; p95 {latency_apart(found.p95)}"
    return f"{said}."


def _alone(result: ReplayResult) -> str:
    overall = result.overall
    said = f"{result.policy.name} cost {usd(overall['cost'])} in all"
    if overall["ok"]:
        said += f", {usd(1000 * overall['cost_mean'])} per 1,000 tasks"
    if result.stability.verdict == "overloaded" or math.isnan(overall["latency_p50"]):
        return f"{said}."
    quality = overall["quality"]
    at = "" if math.isnan(quality) else f", at a mean quality of {quality:.3f}"
    return (
        f"{said}{at}; half of the answers took less than {duration(overall['latency_p50'])}, "
        f"95 % less than {duration(overall['latency_p95'])}."
    )


def _against_nothing(result: ReplayResult, controls: Mapping[str, ReplayResult]) -> list[str]:
    """A policy against the control that has its cost and reads nothing of a task."""
    zero = controls.get("zero-router")
    found = apart(result, zero) if zero is not None else None
    if found is None or math.isnan(found.quality.mean):
        return []
    return [against_zero_router(result.policy.name, found.quality)]


def arrivals(result: ReplayResult) -> tuple[str, str]:
    """Arrivals asked for, and met: rate and cv of the gaps."""

    def form(rate: float | None, cv: float | None) -> str:
        known = [] if rate is None or math.isnan(rate) else [f"{number(rate)} tasks/s"]
        if cv is not None and not math.isnan(cv):
            known.append(f"cv of gaps {cv:.2f}")
        return ", ".join(known)

    asked = form(*result.asked)
    return f"{result.arrivals} ({asked})" if asked else result.arrivals, form(*result.realised)


def warnings(results: Sequence[ReplayResult]) -> tuple[str, ...]:
    """What stands in the way of believing the figures, the gravest first."""
    first = results[0]
    said = [
        f"{r.policy.name} is {verdict}, {stability(r)}."
        for verdict in ("overloaded", "at the edge")
        for r in results
        if r.stability.verdict == verdict
    ]
    said += [
        f"{r.policy.name} was fitted on the very corpus shown here: it would do worse on tasks "
        "it has not seen."
        for r in results
        if first.corpus is not None and first.corpus.sha256 in r.policy.fitted_on
    ]
    said += [few for r in results if (few := _few(r))]
    said += [
        f"{note[:1].upper()}{note[1:]}."
        for note in dict.fromkeys(note for r in results for note in r.notes)
    ]
    said.append(
        "Latencies are simulated from each agent’s service model and queue, not measured on "
        "the agents themselves."
    )
    if len(results) == 1:
        said.append("One run under one seed: no confidence interval goes with these figures.")
    return tuple(said)


def _few(result: ReplayResult) -> str:
    answers = np.bincount(result.log.agent[result.timed], minlength=len(result.pool))
    named = [
        f"{agent} ({n})"
        for agent, n in zip(result.pool.ids, answers.tolist(), strict=True)
        if 0 < n < FEW
    ]
    if not named:
        return ""
    return (
        f"Under {result.policy.name} fewer than {FEW} timed answers are behind the percentiles of "
        f"{joined(named)}: their p95 and p99 are little more than the largest values."
    )
