"""The report on replays, computed once from their results."""

import datetime
import math
from collections.abc import Sequence
from typing import Any

from routingsim.errors import SimulationError, wrong_type
from routingsim.evaluation import decision
from routingsim.evaluation.controls.simulated import controls_for_replays
from routingsim.evaluation.objective import asked_objective
from routingsim.evaluation.replay_difference import different_tasks
from routingsim.evaluation.resampling import LEAST
from routingsim.formatting import (
    ABSENT,
    count,
    duration,
    isolated,
    joined,
    number,
    percent,
    upper_first,
)
from routingsim.policies.fitted import in_sample
from routingsim.report import captions, plots, replay_sections, sections
from routingsim.report.differences import interval_ends
from routingsim.report.document import Document, Section, table
from routingsim.report.figures import METRICS, Comparison, Entry, Experiment, of_replays
from routingsim.report.provenance import corpus_call, run_section
from routingsim.report.replay_sections import call_of, check_alike, gallery, policy_table, settings
from routingsim.report.text import IN_SAMPLE
from routingsim.simulation.replications import REPLICATIONS
from routingsim.simulation.result import ReplayResult


def compose(
    results: ReplayResult | Sequence[ReplayResult],
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
    **asked: Any,
) -> Document:
    """Compute a report.

    Parameters
    ----------
    results : ReplayResult, or sequence of them
        One a policy, all on the same corpus, agents, arrivals and seed.
    command : str, optional
        What to type to get the report again; the calls of ``replay`` by default.
    date : str or date, optional
        To print on it; today by default.
    **asked
        ``slo``, ``quality`` and ``baseline`` of
        :meth:`routingsim.evaluation.study.Study.decision`, and the objectives of
        :func:`routingsim.evaluation.decision.of_replays`.

    Raises
    ------
    SimulationError
        If there is no result, one is something else, or two of them cannot be compared.
    """
    results = as_results(results)
    first = results[0]
    recorded = any(not math.isnan(result.overall["quality"]) for result in results)
    controls, why, same = controls_for_replays(results) if recorded else ({}, "", [])
    compared = of_replays(results, controls)
    scored = first.corpus is not None and first.corpus.has_scores
    experiment = Experiment(
        corpus=first.corpus,
        pool=first.pool,
        rows=first.work.row,
        d_var=first.work.d_var if scored else None,
        comparisons=(compared,),
        notes=tuple(note for result in results for note in result.notes),
        foremost=tuple(first.foremost),
    )
    corpus = f"of the corpus “{isolated(first.corpus.name)}”" if first.corpus else "without text"
    return replay_sections.assemble(
        results,
        experiment,
        decision.of_replays(results, **asked),
        asked_objective(results, **asked),
        _run(results, compared.policies, command),
        _queue(results),
        *_recovery(results),
        _frontier(compared, why, same),
        name=first.corpus.name if first.corpus else "queueing",
        of=f"{corpus} over {_length(first)}",
        date=date,
        caveats=[*filter(None, _caveats(results))],
    )


def as_results(given: Any) -> list[ReplayResult]:
    """One result or several that can be compared, as a list.

    Raises
    ------
    SimulationError
        As for :func:`compose`.
    """
    single = isinstance(given, str) or not hasattr(given, "__iter__")
    results: list[Any] = [given] if single else list(given)
    if not results:
        raise SimulationError("a report needs a result or more, and was given none")
    for each in results:
        if not isinstance(each, ReplayResult):
            needed = "results of rs.replay are needed, or one of rs.compare, rs.capacity or a log"
            raise SimulationError(wrong_type("a report", each, needed))
    check_alike(results, _facts)
    return results


def _facts(result: ReplayResult) -> dict[str, Any]:
    return {
        "corpus": result.corpus.sha256 if result.corpus else None,
        "agents": result.pool.agents,
        "arrivals": result.arrivals,
        "seed": result.seed,
        "number of tasks": len(result),
    }


def _length(result: ReplayResult) -> str:
    return duration(float(result.work.arrived[-1]))


def _caveats(results: Sequence[ReplayResult]) -> list[str]:
    """How the intervals were made, which question they answer, and where there are none."""
    first, said = results[0], []
    if len(results) == 1:
        return [_over_runs(first)] if not first.stability.lasts else []
    few = first.corpus is not None and different_tasks(first) < LEAST
    if few and first.basis.kind != "log":  # estimates say themselves what they rest on
        said.append(
            f"Fewer than {LEAST} different tasks: too few for intervals of quality and cost, "
            "so nothing is said of differences in quality."
        )
    sample = ""
    if first.basis.kind == "log":
        sample = "; those of quality are estimates from the log"
    elif first.corpus is not None:
        sample = "; those of quality and cost take the tasks as a sample, too"
        if fitted := [r.policy.name for r in results if r.policy.predict or r.policy.fitted_on]:
            sample += f", and the fit of {joined(fitted)} as it is"
    if all(result.long for result in results):
        made = "batches of this one run, which is long enough for them"
    else:
        made = (
            f"{REPLICATIONS} further runs of each policy under other seeds, the same for all: "
            f"{first.question()}"
        )
    said.append(
        f"Differences and their intervals are of {made}{sample}. Tables and plots show this run."
    )
    return said


def _over_runs(result: ReplayResult) -> str:
    """The intervals of the latencies of a report's only policy."""
    names = ("mean", "p95")
    found = [result.interval(f"latency_{name}") for name in names]
    shown = [
        f"{name} {interval_ends(each)} s" for name, each in zip(names, found, strict=True)
        if not math.isnan(each.half_width)
    ]  # fmt: skip
    return f"Latency, 95 % CI: {joined(shown)} ({found[0].method})." if shown else ""


def _run(
    results: Sequence[ReplayResult], policies: Sequence[Entry], command: str | None
) -> Section:
    """What was run, and the call that repeats it, with the agents as ``pool``."""
    first = results[0]
    facts, call = settings(first, _length(first), f"tasks={len(first)}, ")
    facts += [
        (f"Second copies under {result.policy.name}", _copies(result))
        for result in results
        if result.hedge is not None
    ]
    facts += [
        (f"Retries under {result.policy.name}", f"{count(again, 'try', 'tries')} more")
        for result in results
        if (again := int(result.log.retries[0]))
    ]
    fitted = [_fitted_on(result) for result in results]
    shown = policy_table(results, policies, ("fitted on", fitted))
    call = command or call_of(results, "replay", corpus_call(first.corpus), call)
    return run_section(first.corpus, first.pool, facts, call, shown)


def _copies(result: ReplayResult) -> str:
    """How many second copies were sent, and what they took."""
    whole = result.overall
    return (
        f"of {percent(whole['hedged'])} of the tasks; copies that did not decide took "
        f"{percent(whole['spare'])} of the seconds of service"
    )


def _recovery(results: Sequence[ReplayResult]) -> list[Section]:
    """How long each policy's pool took to be as before, where something happened to it."""
    found = {result.policy.name: result.recovery() for result in results}
    blocks = [
        table(f"Recovery under {name}", [
            ("after", rows["event"]),
            ("figure", [each.replace("_", " ") for each in rows["figure"]]),
            ("before", [number(each) for each in rows["before"]]),
            ("band up to", [number(each) for each in rows["bound"]]),
            ("this run", [_recovered(each) for each in rows["seconds"]]),
            ("mean, 95 % CI", [_over_further(row) for row in rows.to_dict("records")]),
        ])
        for name, rows in found.items() if len(rows)
    ]  # fmt: skip
    if not blocks:
        return []
    rows = next(iter(found.values()))
    text = (
        "Time from the end of an outage, or from a change, until a figure is within its band "
        f"again, the mean before the first event and three standard deviations of windows of "
        f"{duration(rows['window'].iloc[0])}; in windows in which the same run without outages and "
        "changes is above that mean, its figure takes the place of the mean. Latencies are those "
        "of the answers of a window, and the backlog is the mean number of tasks in the pool.",
    )
    return [Section("recovery", "Recovery", text, tuple(blocks))]


def _recovered(seconds: float) -> str:
    if math.isinf(seconds):
        return "not by the last arrival"
    return ABSENT if math.isnan(seconds) else duration(seconds)


def _over_further(row: dict[str, Any]) -> str:
    """The interval over further runs, or how many of them were not back."""
    if row["not_back"]:
        return f"not back in {row['not_back']:.0f} of {row['runs']:.0f} runs"
    if math.isnan(row["low"]):
        return ABSENT
    return f"{duration(row['mean'])} ({duration(row['low'])} to {duration(row['high'])})"


def _fitted_on(result: ReplayResult) -> str:
    """The corpora that a policy was fitted on, with the share of them that is shown."""
    said = []
    for each in result.policy.fitted_on:
        share = in_sample(result.corpus, [each], result.work.row)
        said.append(f"{each.corpus} ({sections.fitted_on(share)})" if share else each.corpus)
    return ", ".join(said) or ABSENT


def _queue(results: Sequence[ReplayResult]) -> Section:
    title = "Queues over time"
    if not any((result.calls()["left_at"] > result.calls()["sent_at"]).any() for result in results):
        return Section("queue", title, ("No task ever waited for a slot.",))
    shown = gallery("queue", results, plots.plot_queue, captions.queue_in_words)
    return Section("queue", title, ("Tasks waiting for a slot, the agents stacked.",), (shown,))


def _frontier(at: Comparison, why: str, same: Sequence[str]) -> Section:
    """Policies beside their controls; ``why`` there are none, and which are the ``same``."""
    p95 = [None if entry.overloaded else entry.mean("latency_p95") for entry in at.entries]
    columns = [
        *sections.quality_columns(at.entries),
        "cost",
        (METRICS["latency_p95"], p95),
        ("verdict", [entry.state for entry in at.entries]),
        *(marked := sections.in_sample(at.entries)),
    ]
    title = f"Policies, and controls of {at.baseline.name}" if at.controls else "Policies"
    text = [f"No controls: {why}."] if why else []
    text += [f"{upper_first(each)}." for each in same]
    if marked:
        text.append(IN_SAMPLE)
    shown = sections.entry_table(title, at.entries, columns)
    return sections.frontier("quality", [at], text, [shown])
