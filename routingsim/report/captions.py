"""Each plot in words: a caption for all readers, and a description for those who cannot see it."""

import math
from collections.abc import Sequence

from routingsim.formatting import duration, joined, number, percent, usd
from routingsim.report.figures import Comparison, Entry, timed
from routingsim.report.plot_data import Shown, time_unit, waiting
from routingsim.report.text import quality_in_words
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.run_summary import QUANTILES
from routingsim.simulation.stream_result import StreamedReplay


def usage_in_words(result: Shown) -> str:
    """What :func:`routingsim.report.plots.plot_usage` shows: most tasks, and who is busiest."""
    rows = dict(zip(result.pool.ids, result.summary().to_dict("records"), strict=False))
    most = max(rows, key=lambda agent: rows[agent]["share"])
    busiest = max(rows, key=lambda agent: rows[agent]["utilisation"])
    return (
        f"Most tasks: {most} ({percent(rows[most]['share'])}). "
        f"Busiest: {busiest} ({percent(rows[busiest]['utilisation'])} of its slots)."
    )


def latency_in_words(result: Shown) -> str:
    """The percentiles over all agents."""
    if not any(result.timed_answers):
        return "No task was answered."
    overall = result.overall
    said = (f"{q} {duration(overall[f'latency_{q}'])}" for q in QUANTILES)
    return f"{', '.join(said)}."


def latencies_in_words(results: Sequence[Shown]) -> str:
    """What :func:`routingsim.report.plots.plot_latencies` shows."""
    parts = []
    for result in results:
        if any(result.timed_answers):
            p50, p95 = (duration(result.overall[f"latency_{q}"]) for q in ("p50", "p95"))
            parts.append(f"{result.policy.name} p50 {p50}, p95 {p95}")
    return f"{'; '.join(parts)}." if parts else "No task was answered."


def queue_in_words(result: ReplayResult) -> str:
    """What :func:`routingsim.report.plots.plot_queue` shows."""
    edges, means = waiting(result)
    total = means.sum(axis=0)
    peak = int((total >= (1 - 1e-9) * total.max()).argmax())  # the first, whatever is rounded
    if total[peak] == 0:
        return "No task ever waited."
    seconds, unit = time_unit(float(result.work.arrived[-1]))
    agent = result.pool.ids[int(means[:, peak].argmax())]
    said = (
        f"{number(float(total.mean()), 2)} tasks waited on average, "
        f"{number(float(total[peak]), 2)} at the worst, {number(edges[peak] / seconds)} {unit} "
        f"into the run, most of them at {agent}"
    )
    down = [f"{o.agent} down from {o.down:g} to {o.up:g} s" for o in result.outages]
    return f"{said}; {joined(down)}." if down else f"{said}."


def waiting_in_words(result: StreamedReplay) -> str:
    """What :func:`routingsim.report.plots.plot_waiting` shows."""
    times, tasks = result.totals.waiting
    if not tasks.any():
        return "No task ever waited."
    peak = int(tasks.argmax())
    seconds, unit = time_unit(float(times[-1]))
    return (
        f"{number(float(tasks.mean()), 2)} tasks waited on average, {tasks[peak]:,} at the worst, "
        f"{number(times[peak] / seconds)} {unit} into the run."
    )


def frontier_in_words(at: Comparison, against: str) -> str:
    """What :func:`routingsim.report.frontier.draw_frontier` shows."""
    parts = []
    for entry in at.entries:
        if math.isnan(entry.mean("quality")):
            continue
        where = entry.state if entry.overloaded else f"at {duration(entry.mean(against))}"
        if against == "cost":
            where = f"at {usd(entry.mean('cost'))} per 1,000 tasks"
        parts.append(f"{entry.name} quality {quality_in_words(entry)} {where}")
    return f"{'; '.join(parts)}."


def loads_in_words(comparisons: Sequence[Comparison], metric: str) -> str:
    """What :func:`routingsim.report.study_plots.draw_load` shows: the lowest and highest load."""
    parts = []
    for position, entry in enumerate(comparisons[0].entries):
        ends = [at.entries[position] for at in (comparisons[0], comparisons[-1])]
        if not any(math.isnan(end.mean(metric)) for end in ends):
            shown = [_at_load(end, metric) for end in ends]
            parts.append(f"{entry.name} {' to '.join(shown)}")
    return f"{'; '.join(parts)}." if parts else "Nothing recorded."


def _at_load(entry: Entry, metric: str) -> str:
    if timed(metric) and entry.overloaded:
        return "above capacity"
    mean = entry.mean(metric)
    return "without bound" if math.isinf(mean) else number(mean)
