"""Sentences computed from an experiment's figures: what was found, and what to mind."""

import math
from collections.abc import Sequence

from routingsim.evaluation.support import worst
from routingsim.formatting import cells, count, duration, joined, percent, upper_first, usd
from routingsim.report.differences import (
    compare_costs,
    cost_difference,
    latency_difference,
    quality_difference,
    zero_router_difference,
)
from routingsim.report.document import Summary
from routingsim.report.figures import Comparison, Entry, Experiment
from routingsim.simulation.stability import CONSEQUENCES

IN_SAMPLE = (
    "In-sample: the share of the tasks shown here whose texts it was fitted or chosen on, which "
    "makes it look better than it would on new tasks."
)
"""What the word means; said where a table has a column of that name."""

_OPENING = "At load {:g} "


def summary(
    experiment: Experiment,
    *,
    leader: str = "",
    findings: Sequence[str] = (),
    caveats: Sequence[str] = (),
) -> Summary:
    """The experiment in a few sentences: stability, then each policy against the baseline.

    ``leader`` says which policy is best, after the verdict; ``findings`` and ``caveats``
    come after the others. The experiment's foremost notes come before all.
    """
    policies = experiment.last.policies
    if not experiment.last.recorded:
        unknown = "Quality: not recorded, so nothing is said about how good the answers are."
        caveats = (unknown, *caveats)
    verdict = (
        *(f"{upper_first(note, experiment.names)}." for note in experiment.foremost),
        _rests_on(experiment),
        _kept_up(experiment),
        _answered(experiment.last),
        leader,
    )
    said = [compared(experiment, position) for position in range(1, len(policies))]
    said = said or [_alone(experiment.last)]
    return Summary(
        verdict=" ".join(filter(None, verdict)),
        findings=(*said, *_against_zero_router(experiment.comparisons[0]), *findings),
        caveats=tuple(caveats),
    )


def _rests_on(experiment: Experiment) -> str:
    """What the qualities rest on, where not every answer has a recorded quality."""
    at = experiment.last
    if found := at.estimates.get("quality"):
        weak, cannot = (
            [e.name for e in at.policies if e.estimated["quality"].verdict == verdict]
            for verdict in ("weak", "cannot")
        )
        said = (
            f"The corpus is a log with one answer a task, so qualities are estimates from its "
            f"{found.tasks:,} tasks"
        )
        said += f"; weak ones for {joined(weak, 6)}" if weak else ""
        said += f"; for {joined(cannot, 6)} the log cannot answer" if cannot else ""
        return f"{said}."
    partly = [e for e in at.policies if e.mean("recorded") < 1]
    if not at.recorded or not partly:
        return ""
    shares = sorted({percent(entry.mean("recorded")) for entry in partly})
    who = "" if len(partly) == len(at.policies) else f" of {joined([e.name for e in partly], 6)}"
    return f"Quality is known for {joined(shares)} of the answers{who}, and rests on these."


def quality_of(entry: Entry) -> tuple[str, str]:
    """A policy's quality and what it rests on: ``0.548 ± 0.058`` and ``estimated, weak``."""
    found = entry.shown("quality")
    if known := entry.estimated.get("quality"):
        if known.verdict == "cannot":
            return "not known", "the log cannot answer"
        return cells([found.parts], "interval", 3)[0], f"estimated, {known.verdict}"
    if math.isnan(found.mean):
        return "not recorded", ""
    share = entry.mean("recorded")
    return f"{found.mean:.3f}", f"known for {percent(share)}" if share < 1 else ""


def quality_in_words(entry: Entry) -> str:
    """The same on one line: ``0.548 ± 0.058 (estimated, weak)``."""
    shown, how = quality_of(entry)
    return f"{shown} ({how})" if how else shown


def _kept_up(experiment: Experiment) -> str:
    """Which policies were not steady at which load, or that all were."""
    every = [entry for at in experiment.comparisons for entry in at.policies]
    if all(entry.verdict not in CONSEQUENCES for entry in every):
        who = "The policy" if len(experiment.last.policies) == 1 else "Every policy"
        load = "the load" if len(experiment.comparisons) == 1 else "every load"
        return f"{who} kept up with {load}: queues were steady, so waits and latencies hold."
    if len(experiment.comparisons) > 1:
        return " ".join(map(_at_a_glance, experiment.comparisons))
    at, said = experiment.last, []
    for verdict, alike in _not_steady(at):
        named = [f"{entry.name}{_highest(entry)}" for entry in alike]
        opening = _at(at, _OPENING)
        found = _found(opening, joined(named, 6), len(named), alike[0].state)
        said.append(f"{found}: {CONSEQUENCES[verdict]}.")
    steady = sum(entry.verdict == "steady" for entry in at.policies)
    if 0 < steady < len(at.policies):
        others = "policy" if steady == 1 else f"{steady} policies"
        said.append(upper_first(f"{_at(at, _OPENING)}the other {others} kept up."))
    return " ".join(said)


def _not_steady(at: Comparison) -> list[tuple[str, list[Entry]]]:
    """The policies that were not steady, those in one state together, the worst first."""
    found: list[tuple[str, list[Entry]]] = []
    for verdict in CONSEQUENCES:
        alike: dict[str, list[Entry]] = {}
        for entry in at.policies:
            if entry.verdict == verdict:
                alike.setdefault(entry.state, []).append(entry)
        found += [(verdict, entries) for entries in alike.values()]
    return found


def _at_a_glance(at: Comparison) -> str:
    """Which policies kept up at one load of several, in a sentence without figures."""
    steady = [entry.name for entry in at.policies if entry.verdict == "steady"]
    said = [f"{joined(steady, 6)} kept up"] if steady else []
    for verdict, alike in _not_steady(at):
        names = [entry.name for entry in alike]
        who = joined(names, 6)
        said.append(
            f"the run is too short to judge {who}"
            if verdict == "too short to say"
            else _found("", who, len(names), alike[0].state)
        )
    return f"{_at(at, _OPENING)}{'; '.join(said)}."


def _highest(entry: Entry) -> str:
    """The highest offered load, where it is known, and the backlog, in brackets."""
    load = entry.mean("offered_max")
    if math.isnan(load):
        return ""
    said = [f"highest offered load {percent(load)}{f', at {entry.busiest}' * bool(entry.busiest)}"]
    if entry.verdict in ("overloaded", "saturated"):
        said.append(f"up to {count(round(entry.mean('peak')), 'task')} waiting")
    elif entry.verdict == "growing":
        said.append(f"{count(round(entry.mean('left')), 'task')} waiting at the end")
    elif entry.verdict == "too short to say" and entry.mean("enough"):
        said.append(f"about {round(entry.mean('enough')):,} tasks would do")
    return f" ({'; '.join(said)})"


def _found(opening: str, who: str, names: int, state: str) -> str:
    """The state of those named, with its verb, after an opening or none."""
    be = "is" if names == 1 else "are"
    if state == "too short to say":
        the = "the" if opening else "The"
        return f"{opening}{the} run is too short to say whether {who} {be} steady"
    if state == "no rate":
        return f"{opening}{who} {'has' if names == 1 else 'have'} no rate"
    return f"{opening}{who} {be} {state}"


def stability(at: Comparison, entry: Entry) -> str:
    """What a verdict on stability goes by, and what follows from it."""
    of_runs = f" in {entry.agreed} of {count(entry.runs, 'run')}" if entry.runs > 1 else ""
    said = f"{entry.state}{_at(at)}{of_runs}{_highest(entry)}"
    consequence = CONSEQUENCES.get(entry.verdict)
    return f"{said}: {consequence}" if consequence else said


def _answered(at: Comparison) -> str:
    short = [entry for entry in at.policies if entry.mean("answered") < 1]
    if not short:
        return upper_first(f"{_at(at, _OPENING)}every task was answered.")
    said = [
        upper_first(f"{_at(at, _OPENING)}under {entry.name} {endings(entry)}.") for entry in short
    ]
    if len(short) < len(at.policies):
        said.append("The other policies answered every task.")
    return f"{' '.join(said)} Waits and latencies are those of answered tasks only."


def endings(entry: Entry) -> str:
    """How the tasks ended: ``97 % of the tasks were answered and 3 % failed``."""
    said = [f"{percent(entry.mean('answered'))} of the tasks were answered"]
    for ending, tasks in entry.lost.items():
        if tasks:
            said.append(f"{percent(tasks / entry.count)} {_ENDINGS[ending]}")
    return joined(said, len(said))


_ENDINGS = {
    "failed": "failed",
    "timed_out": "timed out",
    "shed": "met a full queue",
    "rejected": "were rejected over a limit",
    "too_long": "were too long for their agent",
}


def compared(experiment: Experiment, position: int) -> str:
    """One policy, by its position, against the baseline at the highest load that both keep up with.

    A difference in quality is in points, hundredths on its scale from 0 to 1. Figures that need
    an interval are left out where there is none.
    """
    kept_up = [
        at
        for at in experiment.comparisons
        if not (at.entries[position].overloaded or at.baseline.overloaded)
    ]
    at = kept_up[-1] if kept_up else experiment.comparisons[0]
    one, base = at.entries[position], at.baseline
    ours, theirs = one.figure("cost").mean, base.figure("cost").mean
    cost = at.difference("cost", one)
    theirs = at.centre("cost", base) if cost is not None else theirs
    known = cost is None or not math.isnan(cost.mean)
    if cost is None:
        said = f"{one.name} {compare_costs(ours, theirs, base.name)}"
    elif not known:
        said = f"{one.name} has a cost that cannot be compared with that of {base.name}"
    else:  # the middle of further runs is not the one run shown
        ours = theirs + cost.mean if math.isfinite(cost.mean) else ours
        said = f"{one.name} {cost_difference(ours, theirs, base.name, cost)}"
    if known and (how := _how(one, base, "cost")):
        said = f"{said[:-1]}{how})" if said.endswith(")") else f"{said} ({how[2:]})"
    quality = at.difference("quality_all", one) if at.recorded else None
    if quality is not None and math.isnan(quality.mean):
        said += ", and their qualities cannot be compared"
        said += ": the log cannot answer" if one.estimated else ", as other tasks are recorded"
    elif quality is not None:
        lost = one.mean("answered") < 1 or base.mean("answered") < 1
        said += quality_difference(quality, " of all tasks" if lost else "", _how(one, base))
    where = _at(at, "; at load {:g}")
    if not kept_up:
        over = [entry.name for entry in (one, base) if entry.overloaded]
        return (
            f"{said}{where}; latency is not compared, as the backlog of {joined(over)} outlasts "
            "the run."
        )
    p95 = at.difference("latency_p95", one)
    if p95 is not None and not math.isnan(p95.mean):
        said += f"; p95 {latency_difference(p95)}"
    return (
        f"{said}{where}{'' if at is experiment.last else ', the highest that both keep up with'}."
    )


def _how(one: Entry, base: Entry, metric: str = "quality") -> str:
    """A note that a difference is an estimate, and how good it is; "" where it is none."""
    if metric not in one.estimated:
        return ""
    verdict = worst(one.estimated[metric].verdict, base.estimated[metric].verdict)
    return f"; estimated, {verdict}"


def _alone(at: Comparison) -> str:
    """The figures of an experiment's only policy."""
    entry = at.baseline
    total = entry.mean("cost_total") if at.load is None else math.nan
    in_all = "" if math.isnan(total) else f"{usd(total)} in all, "
    said = f"{entry.name} cost {in_all}{usd(entry.mean('cost'))} per 1,000 tasks"
    if "cost" in entry.estimated:
        said += f" (estimated, {entry.estimated['cost'].verdict})"
    if entry.estimated or not math.isnan(entry.mean("quality")):
        said += f", at a mean quality of {quality_in_words(entry)}"
        if entry.mean("answered") < 1 and not entry.estimated:
            said += f", {entry.mean('quality_all'):.3f} of all tasks"
    if not (entry.overloaded or math.isnan(entry.mean("latency_p50"))):
        p50, p95 = (duration(entry.mean(f"latency_{q}")) for q in ("p50", "p95"))
        said += f"; half of the answers took less than {p50}, 95 % less than {p95}"
    return f"{_at(at, _OPENING)}{said}."


def _against_zero_router(at: Comparison) -> list[str]:
    """The baseline against the control that has its cost and reads nothing of a task."""
    zero = next((entry for entry in at.controls if entry.name == "zero-router"), None)
    found = None if zero is None else at.difference("quality_all", zero)
    if found is None or math.isnan(found.mean):
        return []
    said = zero_router_difference(at.baseline.name, found.scaled(-1.0))
    return [f"{_at(at, _OPENING)}{said}"]


def warnings(experiment: Experiment, more: Sequence[str] = ()) -> tuple[str, ...]:
    """What stands in the way of believing the figures, the gravest first.

    ``more`` goes before the notes of the corpus and of the runs.
    """
    last, said = experiment.last, []
    for verdict, consequence in CONSEQUENCES.items():
        for position in range(len(last.policies)):
            found = [at for at in experiment.comparisons if at.entries[position].verdict == verdict]
            if found:
                entry = found[-1].entries[position]
                loads = loads_named([at.load for at in found if at.load is not None])
                opening = f"At {loads} " if loads else ""
                who = f"{entry.name}{_highest(entry)}"
                said.append(f"{_found(opening, who, 1, entry.state)}: {consequence}.")
    unfit = [entry.name for entry in last.controls if entry.verdict != "steady"]
    if unfit:
        said.append(
            f"Of the controls, {joined(unfit, 10)} {are(unfit)} not steady{_at(last)}: "
            "read their quality and cost, not their latencies."
        )
    for share in sorted({entry.in_sample for entry in last.entries} - {0.0}, reverse=True):
        fitted = [entry.name for entry in last.entries if entry.in_sample == share]
        said.append(
            f"{joined(fitted, 8)} {are(fitted)} in-sample (fitted or chosen on {percent(share)} of "
            "these tasks’ texts): expect worse results on tasks not seen before."
        )
    return (
        *said,
        *more,
        *(
            f"{upper_first(note, experiment.names)}."
            for note in dict.fromkeys(experiment.notes)
            if note
        ),
        "Latencies are simulated from each agent’s service model and queue, not measured on "
        "the agents themselves.",
    )


def _at(at: Comparison, form: str = " at load {:g}") -> str:
    """The load, to put into a sentence; nothing for replays."""
    return "" if at.load is None else form.format(at.load)


def loads_named(loads: Sequence[float]) -> str:
    """``load 0.8``, ``loads 0.2 and 0.8``; "" for none."""
    if not loads:
        return ""
    return f"load{'s' if len(loads) > 1 else ''} {joined([f'{load:g}' for load in loads], 8)}"


def are(names: Sequence[str]) -> str:
    """The verb that goes with so many names."""
    return "is" if len(names) == 1 else "are"
