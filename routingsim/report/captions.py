"""What each plot shows, in words: its point for all, the rest for those who do not see it."""

import math
from collections.abc import Mapping, Sequence

from routingsim.report.formatting import duration, joined, number, percent, usd
from routingsim.report.plot_data import clock, leading_agents, waiting
from routingsim.simulation.result import QUANTILES, ReplayResult

__all__ = [
    "latencies_in_words",
    "latency_in_words",
    "latency_point",
    "queue_in_words",
    "tradeoff_in_words",
    "usage_in_words",
    "usage_point",
]

_NAMED = 6  # agents that a description names


def usage_point(result: ReplayResult) -> str:
    """Who gets most tasks, and who is busiest."""
    rows = _rows(result)
    most = max(rows, key=lambda agent: rows[agent]["share"])
    busiest = max(rows, key=lambda agent: rows[agent]["utilisation"])
    return (
        f"Most tasks: {most} ({percent(rows[most]['share'])}). "
        f"Busiest: {busiest} ({percent(rows[busiest]['utilisation'])} of its slots)."
    )


def usage_in_words(result: ReplayResult) -> str:
    """What :func:`routingsim.report.plots.plot_usage` shows."""
    parts = [
        f"{agent} {percent(row['share'])} of tasks, {percent(row['utilisation'])} utilised"
        for agent, row in _leading(result)
    ]
    return f"{'; '.join(parts)}{_and_more(result)}."


def latency_point(result: ReplayResult) -> str:
    """The percentiles over all agents."""
    if not result.timed.any():
        return "No task was answered."
    overall = result.overall
    said = (f"{q} {duration(overall[f'latency_{q}'])}" for q in QUANTILES)
    return f"{', '.join(said)}."


def latency_in_words(result: ReplayResult) -> str:
    """What :func:`routingsim.report.plots.plot_latency` shows."""
    if not result.timed.any():
        return "No task was answered."
    parts = [
        f"{agent} {duration(row['latency_p50'])}"
        for agent, row in _leading(result)
        if not math.isnan(row["latency_p50"])
    ]
    return f"{latency_point(result)} Medians: {joined(parts, 6)}{_and_more(result)}."


def latencies_in_words(results: Sequence[ReplayResult]) -> str:
    """What :func:`routingsim.report.plots.plot_latencies` shows."""
    parts = [
        f"{r.policy.name} p50 {duration(r.overall['latency_p50'])}, "
        f"p95 {duration(r.overall['latency_p95'])}"
        for r in results
        if r.timed.any()
    ]
    return f"{'; '.join(parts)}." if parts else "No task was answered."


def queue_in_words(result: ReplayResult) -> str:
    """What :func:`routingsim.report.plots.plot_queue` shows."""
    edges, means = waiting(result)
    total = means.sum(axis=0)
    peak = int(total.argmax())
    if total[peak] == 0:
        return "No task ever waited."
    seconds, unit = clock(result)
    agent = result.pool.ids[int(means[:, peak].argmax())]
    said = (
        f"{number(float(total.mean()), 2)} tasks waited on average, "
        f"{number(float(total[peak]), 2)} at the worst, {number(edges[peak] / seconds)} {unit} "
        f"into the run, most of them at {agent}"
    )
    down = [f"{o.agent} down from {o.down:g} to {o.up:g} s" for o in result.outages]
    return f"{said}; {joined(down)}." if down else f"{said}."


def tradeoff_in_words(
    results: Sequence[ReplayResult], controls: Mapping[str, ReplayResult], against: str
) -> str:
    """What :func:`routingsim.report.plots.plot_tradeoff` shows."""
    runs = {result.policy.name: result for result in results} | dict(controls)
    parts = []
    for name, result in runs.items():
        overall = result.overall
        if math.isnan(overall["quality"]):
            continue
        if against == "cost":
            said = f"at {usd(1000 * overall['cost_mean'])} per 1,000 tasks"
        elif result.stability.verdict == "overloaded":
            said = "overloaded"
        else:
            said = f"at {duration(overall[against])}"
        parts.append(f"{name} quality {overall['quality']:.3f} {said}")
    return f"{'; '.join(parts)}."


def _and_more(result: ReplayResult) -> str:
    more = len(result.pool) - _NAMED
    return f"; {more} more agents in the table" if more > 0 else ""


def _rows(result: ReplayResult) -> dict[str, dict[str, float]]:
    """The summary's row of each agent."""
    table = result.summary()
    return dict(zip(result.pool.ids, table.to_dict("records"), strict=False))


def _leading(result: ReplayResult) -> list[tuple[str, dict[str, float]]]:
    """The agents with the most tasks, each with its row."""
    rows = _rows(result)
    ids = [result.pool.ids[a] for a in leading_agents(result, _NAMED)]
    return [(agent, rows[agent]) for agent in ids]
