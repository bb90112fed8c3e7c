"""The report on replays in blocks, of which totals are kept, not tasks."""

import datetime
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from routingsim.errors import SimulationError, wrong_type
from routingsim.evaluation import decision, partial
from routingsim.formatting import duration, isolated, joined
from routingsim.report import captions, plots, replay_sections, sections
from routingsim.report.differences import interval_ends
from routingsim.report.document import Document, Section
from routingsim.report.figures import Comparison, Entry, Experiment, TaskFigures, run_entry
from routingsim.report.palette import policy_styles
from routingsim.report.provenance import stream_section
from routingsim.report.replay_sections import call_of, check_alike, gallery, policy_table, settings
from routingsim.simulation.quantile_sketch import ERROR
from routingsim.simulation.statistics import Interval
from routingsim.simulation.stream_result import StreamedReplay

_COLUMNS = {"cost": "cost_mean"}


def compose_streams(
    results: StreamedReplay | Sequence[StreamedReplay],
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
    **asked: Any,
) -> Document:
    """Compute a report.

    Parameters
    ----------
    results : StreamedReplay or several
        One a policy, all of the same stream, agents, arrivals and seed.
    command, date, **asked
        As for :func:`routingsim.report.compose`.

    Raises
    ------
    SimulationError
        If one is of another kind, or two cannot be compared.
    """
    results = [results] if isinstance(results, StreamedReplay) else list(results)
    _check(results)
    first = results[0]
    at = _compared(results)
    experiment = Experiment(
        corpus=None,
        pool=first.pool,
        rows=np.zeros(0, np.int64),
        d_var=None,
        comparisons=(at,),
        notes=tuple(note for result in results for note in result.notes),
        foremost=first.foremost,
    )
    name = first.stream.name
    return replay_sections.assemble(
        results,
        experiment,
        decision.of_streams(results, **asked),
        first.objective,
        _run(results, at.policies, command),
        _queue(results),
        sections.frontier("quality", [at]),
        name=name,
        of=f"of the files of “{isolated(name)}” over {duration(first.span)}",
        date=date,
        caveats=_caveats(results),
    )


def _check(results: Sequence[StreamedReplay]) -> None:
    for each in results:
        if not isinstance(each, StreamedReplay):
            needed = "results of rs.replay_stream are needed beside another of it"
            raise SimulationError(wrong_type("a report", each, needed))
    check_alike(results, _facts)


def _facts(result: StreamedReplay) -> dict[str, Any]:
    return {
        "stream": result.stream.files,
        "agents": result.pool.agents,
        "arrivals": result.arrivals,
        "seed": result.seed,
        "warm-up": result.warm_up,
        "objective": result.objective,
    }


def _compared(results: Sequence[StreamedReplay]) -> Comparison:
    named = partial.named(results)
    styles = policy_styles(len(named))
    none = np.zeros(0)
    entries = []
    for (name, result), style in zip(named.items(), styles, strict=True):
        whole = result.totals.whole
        tasks = TaskFigures(none.astype(np.int64), np.array([whole["quality"]]), none)
        entries.append(run_entry(name, result, style, whole, tasks))
    first = results[0]

    @cache
    def difference(metric: str, entry: Entry) -> Interval | None:
        return named[entry.name].difference(first, _COLUMNS.get(metric, metric))

    return Comparison(None, tuple(entries), difference)


def _run(
    results: Sequence[StreamedReplay], policies: Sequence[Entry], command: str | None
) -> Section:
    """What was run, and the call that repeats it."""
    first = results[0]
    facts, call = settings(first, duration(first.span))
    rows = [f"{r.policy.name}: {r.tasks_to}" for r in results if r.tasks_to is not None]
    if rows:
        facts.append(("Rows of tasks", "; ".join(rows)))
    if first.objective is not None:
        call += f", objective={first.objective.latency:g}"
        if first.objective.first_token is not None:
            call += f", first_token_objective={first.objective.first_token:g}"
    stream = f"stream_corpus({first.stream.source!r})"
    call = command or call_of(results, "replay_stream", stream, call)
    return stream_section(first.stream, first.pool, facts, call, policy_table(results, policies))


def _queue(results: Sequence[StreamedReplay]) -> Section:
    shown = gallery("queue", results, plots.plot_waiting, captions.waiting_in_words)
    return Section("queue", "Queues over time", ("Tasks waiting for a slot, at all agents.",),
                   (shown,))  # fmt: skip


def _caveats(results: Sequence[StreamedReplay]) -> list[str]:
    """How exact figures are, and the intervals there are."""
    said = [
        f"The tasks were replayed in blocks: counts are exact, percentiles within {ERROR:.1%} of "
        "the exact ones, and there are no figures by category, by complexity or by task."
    ]
    for result in results:
        found = {name: result.interval(f"latency_{name}") for name in ("mean", "p95")}
        shown = [
            f"{name} {interval_ends(each)} s"
            for name, each in found.items()
            if not math.isnan(each.half_width)
        ]
        under = f" under {result.policy.name}" * (len(results) > 1)
        method = found["mean"].method.removeprefix("none: ")
        which = f", 95 % CI: {joined(shown)}" if shown else " has no interval"
        said.append(f"Latency{under}{which} ({method}).")
    if len(results) > 1:
        said.append("Differences and their intervals are by batches of the runs, pair by pair.")
    return said
