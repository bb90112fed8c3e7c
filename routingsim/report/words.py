"""Sentences computed from figures: what a reader would say of a run, and no more."""

import math
from collections.abc import Sequence

import numpy as np

from routingsim.report.document import Summary
from routingsim.report.formatting import count, duration, isolated, joined, number, percent, usd
from routingsim.simulation.result import ReplayResult

__all__ = [
    "FEW",
    "arrivals",
    "comparison",
    "cost_compared",
    "ends",
    "stability",
    "subtitle",
    "summary",
    "warnings",
]

FEW = 30
"""Answers below which a p99 is little more than the largest value."""


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


def summary(results: Sequence[ReplayResult]) -> Summary:
    """The run in a few sentences: stability first, then each policy against the first."""
    first, *others = results
    caveats = []
    if all(math.isnan(r.overall["quality"]) for r in results):
        caveats.append("Quality: not recorded, so nothing is said about how good the answers are.")
    if others:
        caveats.append(
            "These are differences in one run under one seed, without confidence intervals: "
            "repeat it under other seeds before acting on a small one."
        )
    return Summary(
        verdict=f"{_stability_of_all(results)} {_answers(results)}",
        findings=tuple(comparison(other, first) for other in others) or (_alone(first),),
        caveats=tuple(caveats),
    )


def _stability_of_all(results: Sequence[ReplayResult]) -> str:
    bad = [r for r in results if r.stability.verdict != "stable"]
    if not bad:
        who = "The policy" if len(results) == 1 else "Every policy"
        return f"{who} kept up with the load: queues were stable, so waits and latencies hold."
    said = "; ".join(_verdict(r) for r in bad)
    rest = len(results) - len(bad)
    return f"{said}." + (f" The other {count(rest, 'policy', 'policies')} kept up." if rest else "")


def _verdict(result: ReplayResult) -> str:
    return f"{result.policy.name} is {result.stability.verdict}, {stability(result)}"


def stability(result: ReplayResult) -> str:
    """What stands behind the verdict on one policy."""
    offered = result.stability.offered
    worst = max(offered, key=lambda agent: offered[agent])
    said = f"highest offered load {percent(offered[worst])} ({worst})"
    means = {
        "stable": "",
        "at the edge": ": waits depend on the length of the run",
        "overloaded": ": queues grow or tasks are lost, percentiles say how long the run was",
    }
    return said + means[result.stability.verdict]


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

    A difference in quality is in points, hundredths on its scale from 0 to 1.
    """
    a, b = one.overall, other.overall
    parts = [
        f"{one.policy.name} {cost_compared(a['cost_mean'], b['cost_mean'], other.policy.name)}"
    ]
    points = 100 * (a["quality"] - b["quality"])
    if not math.isnan(points):
        if abs(points) < 0.05:
            parts[0] += " at the same quality"
        else:
            more = "higher" if points > 0 else "lower"
            parts[0] += f" at {abs(points):.1f} points’ {more} quality"
    for result in (one, other):
        if result.stability.verdict == "overloaded":
            parts.append(f"latency is not compared, as {result.policy.name} is overloaded")
            return "; ".join(parts) + "."
    later = a["latency_p95"] - b["latency_p95"]
    if not math.isnan(later):
        if abs(later) < 0.005 * b["latency_p95"]:
            parts.append("p95 the same")
        else:
            parts.append(f"p95 {duration(abs(later))} {'higher' if later > 0 else 'lower'}")
    return "; ".join(parts) + "."


def cost_compared(one: float, other: float, whom: str) -> str:
    """A cost against another policy's, as a predicate: ``costs 31 % less than threshold``."""
    if one == other:
        return f"costs the same as {whom}"
    if other == 0:
        return f"costs {usd(1000 * one)} per 1,000 tasks, where {whom} costs nothing"
    change = one / other - 1
    if abs(change) < 0.005:
        return f"costs about the same as {whom}"
    if change >= 1:
        return f"costs {number(one / other, 2)} times as much as {whom}"
    return f"costs {percent(abs(change))} {'more' if change > 0 else 'less'} than {whom}"


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
        f"{_verdict(r)}."
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
