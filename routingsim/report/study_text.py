"""Sentences computed from a study: what was found, with intervals, and what to mind."""

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from routingsim.evaluation.intervals import Difference
from routingsim.evaluation.study import Study
from routingsim.report.differences import (
    against_zero_router,
    cost_apart,
    latency_apart,
    quality_apart,
)
from routingsim.report.document import Summary
from routingsim.report.formatting import count, duration, isolated, joined, number, percent
from routingsim.simulation.scenario import other_agents
from routingsim.simulation.statistics import Interval

__all__ = [
    "of_kind",
    "stability",
    "study_caption",
    "study_subtitle",
    "study_summary",
    "study_warnings",
]

Differences = Callable[[str, float], dict[str, Difference]]

_FEW = 10  # replications below which a half-width is itself a rough estimate
_WIDE = 0.1  # half-width over mean from which an estimate is called unstable
_WORST = ("overloaded", "at the edge", "stable")


def of_kind(study: Study, kind: str) -> list[str]:
    """Names of the policies, or of the controls."""
    return [name for name in study.names if study.kinds[name] == kind]


def stability(study: Study, name: str, load: float) -> str:
    """The verdict of most runs."""
    return study.cells[name, load].verdict


def study_subtitle(study: Study) -> str:
    """What was run, in a line."""
    loads = joined([f"{load:g}" for load in study.loads], 6)
    return (
        f"{count(len(of_kind(study, 'policy')), 'policy', 'policies')} and "
        f"{count(len(of_kind(study, 'control')), 'control')} at {_word(study.loads)} {loads}, "
        f"{count(study.settings.replications, 'replication')} of "
        f"{count(study.settings.tasks, 'task')} of the corpus “{isolated(study.corpus.name)}”, "
        f"{count(len(study.pool), 'agent')}"
    )


def study_summary(study: Study) -> Summary:
    """The study in a few sentences: stability first, then policies against the baseline."""
    apart = cache(study.differences)  # each takes many bootstraps
    findings = [_against_baseline(study, apart, name) for name in of_kind(study, "policy")[1:]]
    findings += [said for said in (_against_nothing(study, apart), _text_use(study)) if said]
    caveats = [
        "Intervals are of 95 % confidence. Latencies are simulated from each agent’s service "
        "model and queue."
    ]
    if not study.recorded:
        caveats.insert(
            0,
            "Quality: not recorded, so nothing is said about how good the answers are, and no "
            "control goes with the policies.",
        )
    return Summary(f"{_kept_up(study)} {_leader(study)}", tuple(findings), tuple(caveats))


def _kept_up(study: Study) -> str:
    policies = of_kind(study, "policy")
    said = []
    for load in study.loads:
        for verdict in _WORST[:2]:
            names = [name for name in policies if stability(study, name, load) == verdict]
            if names:
                every = len(names) == len(policies) > 1
                who = "every policy" if every else joined(names, 6)
                verb = "is" if every or len(names) == 1 else "are"
                said.append(f"at load {load:g} {who} {verb} {verdict}")
    if said:
        return (
            f"A{'; '.join(said)[1:]}: waits and latencies there say how long the runs "
            "were, not how the policy would fare."
        )
    who = "The policy" if len(policies) == 1 else "Every policy"
    return f"{who} kept up with every load, so waits and latencies hold."


def _leader(study: Study) -> str:
    load, metric = study.loads[-1], study.ranked_by
    table = study.table(load)
    best = table[table["kind"] == "policy"].iloc[0]
    value, width = float(best[metric]), float(best[f"{metric}_hw"])
    if metric == "goodput":
        figure = f"{_pm(value, width)} right answers a second within {_objective(study)}"
    else:
        figure = f"a mean latency of {_pm(value, width)} s"
    if len(of_kind(study, "policy")) == 1:
        return f"At load {load:g} {best['policy']} has {figure}."
    return f"At load {load:g} {best['policy']} is first of the policies with {figure}."


def _objective(study: Study) -> str:
    return duration(study.settings.objective)


def _pm(value: float, width: float) -> str:
    return number(value) if math.isnan(width) else f"{number(value)} ± {number(width, 2)}"


def _against_baseline(study: Study, apart: Differences, name: str) -> str:
    """One policy against the baseline, at the highest load that both bear."""
    base = study.baseline
    borne = [
        load
        for load in study.loads
        if "overloaded" not in (stability(study, name, load), stability(study, base, load))
    ]
    load = borne[-1] if borne else study.loads[0]
    said = f"{name} {_cost(study, apart('cost', load)[name], name, load)}"
    quality = apart("quality", load)[name] if study.recorded else None
    if quality is not None and not math.isnan(quality.interval.mean):
        said += quality_apart(quality.interval)
    if borne:
        latency = apart("latency_p95", load)[name]
        if not math.isnan(latency.interval.mean):
            said += f", p95 {latency_apart(latency.interval)}"
        return f"{said}; at load {load:g}{_highest(study, load)}."
    over = [each for each in (name, base) if stability(study, each, load) == "overloaded"]
    return (
        f"{said}; at load {load:g}; latency is not compared, as {joined(over)} "
        f"{'is' if len(over) == 1 else 'are'} overloaded."
    )


def _highest(study: Study, load: float) -> str:
    return "" if load == study.loads[-1] or len(study.loads) == 1 else ", the highest both bear"


def _cost(study: Study, apart: Difference, name: str, load: float) -> str:
    base = study.baseline
    one, other = (float(study.values(each, load, "cost").mean()) for each in (name, base))
    return cost_apart(one, other, base, apart.interval)


def _against_nothing(study: Study, apart: Differences) -> str:
    """The baseline against the controls that have its cost and read nothing of a task."""
    load = study.loads[0]
    if not study.recorded or "zero-router" not in study.names:
        return ""
    # The difference is of the control less the baseline.
    found = apart("quality", load)["zero-router"].interval
    base = Interval(-found.mean, found.half_width)
    return f"At load {load:g} {against_zero_router(study.baseline, base)}"


def _text_use(study: Study) -> str:
    table = study.table(study.loads[-1])
    uses = dict(zip(table["policy"], table["uses_text"], strict=True))
    blind = [name for name in of_kind(study, "policy") if uses[name] is False]
    if not blind:
        return ""
    verb = "does" if len(blind) == 1 else "do"
    return (
        f"{joined(blind, 6)} {verb} not use the text: no better than the same agents dealt "
        "out at random."
    )


def study_caption(study: Study, metric: str, load: float | None = None, scale: float = 1.0) -> str:
    """A metric of every policy, in words: at a load, or from the lowest to the highest."""
    parts = []
    for name in study.names:
        loads = study.loads if load is None else (load,)
        ends = dict.fromkeys((loads[0], loads[-1]))
        means = [scale * float(study.values(name, each, metric).mean()) for each in ends]
        if not any(math.isnan(mean) for mean in means):
            parts.append(f"{name} {' to '.join(_figure(mean) for mean in means)}")
    return f"{'; '.join(parts)}." if parts else "Nothing recorded."


def _figure(value: float) -> str:
    return "without bound" if math.isinf(value) else number(value)


def study_warnings(study: Study) -> tuple[str, ...]:
    """What stands in the way of believing the figures, the gravest first."""
    policies, last = of_kind(study, "policy"), study.loads[-1]
    said = []
    for verdict in _WORST[:2]:
        for name in policies:
            loads = [load for load in study.loads if stability(study, name, load) == verdict]
            if loads:
                said.append(f"{name} is {verdict} at {_at(loads)}.")
    unfit = [n for n in of_kind(study, "control") if stability(study, n, last) != "stable"]
    if unfit:
        said.append(
            f"Of the controls, {joined(unfit, 10)} {'is' if len(unfit) == 1 else 'are'} not "
            f"stable at load {last:g}: read their quality and cost, not their latencies."
        )
    fitted = [name for name in study.names if study.in_sample.get(name)]
    if fitted:
        said.append(
            f"{joined(fitted, 8)} {'was' if len(fitted) == 1 else 'were'} fitted on the very "
            "corpus shown here: they would do worse on tasks they have not seen."
        )
    runs = study.settings.replications
    if runs < _FEW:
        said.append(
            f"Only {count(runs, 'replication')}: half-widths are themselves rough estimates"
            f"{', and there are none of one run' if runs == 1 else ''}."
        )
    wide = [name for name in policies if _unstable(study, name, last)]
    if wide:
        said.append(
            f"The p95 of {joined(wide, 8)} at load {last:g} is known to no better than 10 %: "
            "more replications or longer runs would tell."
        )
    lost = {name: float(study.values(name, last, "answered").mean()) for name in policies}
    said += [
        f"At load {last:g} {name} answered {percent(share)} of the tasks; its latencies are of "
        "those only."
        for name, share in lost.items()
        if share < 1
    ]
    notes = (other_agents(study.corpus, study.pool), *study.corpus.notes)
    said += [f"{note[:1].upper()}{note[1:]}." for note in notes if note]
    said.append(
        "Latencies are simulated from each agent’s service model and queue, not measured on "
        "the agents themselves."
    )
    return tuple(said)


def _unstable(study: Study, name: str, load: float) -> bool:
    found = study.interval(name, load, "latency_p95")
    return bool(np.isfinite(found.half_width) and found.half_width > _WIDE * found.mean)


def _at(loads: Sequence[float]) -> str:
    return f"{_word(loads)} {joined([f'{load:g}' for load in loads], 8)}"


def _word(loads: Sequence[float]) -> str:
    return "load" if len(loads) == 1 else "loads"
