"""The report on a study, computed once from its figures."""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from routingsim.errors import CorpusError
from routingsim.evaluation import partial as logs
from routingsim.evaluation.study import Study
from routingsim.evaluation.study_intervals import not_compared
from routingsim.formatting import count, duration, isolated, joined, number
from routingsim.report import sections, study_plots
from routingsim.report.captions import loads_in_words
from routingsim.report.document import Column, Document, Gallery, Picture, Section, table
from routingsim.report.figures import METRICS, Comparison, Experiment, axis_label, of_study
from routingsim.report.provenance import corpus_call, run_section
from routingsim.report.text import IN_SAMPLE, loads_named
from routingsim.scoring.corpora import corpus_scores
from routingsim.simulation.conditions import as_arguments
from routingsim.simulation.statistics import Interval

_FEW = 10  # replications below which a half-width is itself a rough estimate
_WIDE = 0.1  # half-width over mean above which an estimate is called imprecise

_ORDERS = {
    "shuffled": "in an order of its own",
    "blocks": "resampled in blocks of the log, each task with its own time",
    "file": "in the order of the file",
}


_OF_TENANTS = ("wait_mean", "latency_p50", "latency_p95", "first_token_p95", "quality_all")


def compose_study(
    study: Study,
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
    **asked: Any,
) -> Document:
    """Compute a report on a study; parameters as of :func:`routingsim.report.compose`."""
    corpus = study.corpus
    scores = corpus_scores(corpus)
    experiment = Experiment(
        corpus=corpus,
        pool=study.pool,
        rows=np.arange(len(corpus)),
        d_var=None if scores is None else scores["d_var"].to_numpy(),
        comparisons=tuple(of_study(study, load) for load in study.loads),
        notes=study.notes,
        foremost=tuple(study.foremost),
    )
    at, ends = experiment.last, dict.fromkeys((experiment.comparisons[0], experiment.last))
    ranking = study.table(at.load)
    uses = dict(zip(ranking["policy"], ranking["uses_text"], strict=True))
    uses_text = {entry.name: uses[entry.name] for entry in at.policies}
    settings, policies = study.settings, count(len(at.policies), "policy", "policies")
    return sections.assemble(
        experiment,
        study.decision(**asked),
        [
            _ranking(study, experiment),
            sections.frontier("frontier", list(ends)),
            _loads(study, experiment),
            _regret(study, at),
            _tenants(study, at),
            _text_use(study, at, uses_text),
        ],
        _run(study, at, command),
        title=f"Routing study: {corpus.name}",
        subtitle=f"{policies} and {count(len(at.controls), 'control')} at "
        f"{loads_named(study.loads)}, {count(settings.replications, 'replication')} of "
        f"{count(settings.tasks, 'task')} of the corpus “{isolated(corpus.name)}”, "
        f"{count(len(study.pool), 'agent')}",
        date=date,
        leader=_leader(study, at),
        findings=_blind([name for name, uses in uses_text.items() if uses is False]),
        caveats=[
            f"Intervals are of 95 % confidence, on {settings.population}. Latencies are simulated "
            "from each agent’s service model and queue."
        ],
        cautions=_cautions(study, at),
        data={"study": study.to_dict()},
    )


def _leader(study: Study, at: Comparison) -> str:
    """The policy that is first at the highest load, or those that may be the best."""
    if found := at.estimates.get("quality"):
        best = logs.best_of(found, [entry.name for entry in at.policies])
        if len(best) == 1 < len(at.policies):
            said = f"{best[0]} has the highest quality of the policies"
            return f"At load {at.load:g} {said}, {logs.said(found, best[0])}."
        said = "the best by estimated quality cannot be told apart"
        return f"At load {at.load:g} {said}: {joined(best, 6)}." if best[1:] else ""
    found, where = study.leader(at.load), f"At load {at.load:g}"
    if not found.first:
        return study.leading(at.load)
    figure = next(e for e in at.policies if e.name == found.first).figure(study.ranked_by)
    shown = number(figure.mean)
    if not math.isnan(figure.half_width):
        shown += f" ± {number(figure.half_width, 2)}"
    if study.recorded:
        shown += f" right answers a second within {duration(study.settings.objective)}"
    else:
        shown = f"a mean latency of {shown} s"
    first = "is first of the policies with" if len(at.policies) > 1 else "has"
    return f"{where} {found.first} {first} {shown}{not_compared(study, at.load)}."


def _blind(names: Sequence[str]) -> list[str]:
    """The policies that do no better than their shuffle, in a sentence."""
    said = f"{joined(names, 6)} {'does' if len(names) == 1 else 'do'} not use the text"
    return [f"{said}: no better than the same agents assigned at random."] if names else []


def _cautions(study: Study, at: Comparison) -> list[str]:
    """Warnings that only studies need."""
    runs, said = study.settings.replications, []
    if runs < _FEW:
        said.append(
            f"Only {count(runs, 'replication')}: half-widths are themselves rough estimates"
            f"{', and there are none of one run' if runs == 1 else ''}."
        )
    p95 = {entry.name: entry.figure("latency_p95") for entry in at.policies}
    wide = [name for name, found in p95.items() if found.half_width > _WIDE * found.mean]
    if wide:
        said.append(
            f"The half-width of the p95 of {joined(wide, 8)} at load {at.load:g} is more than "
            "10 % of it: more replications or longer runs would narrow it."
        )
    return said


def _ranking(study: Study, experiment: Experiment) -> Section:
    settings, at_log = study.settings, bool(experiment.last.estimates)
    objective, right = duration(settings.objective), f"quality of {settings.right:g} or more"
    by = f"right answers a second within {objective} (right: {right})"
    by = by if study.recorded else "mean latency"
    by = "estimated quality, by the intervals of all differences" if at_log else by
    text = [
        f"Means with half-widths of 95 % intervals on {settings.population}, best first by {by}. "
        "A rank is 1 more than the number of those shown to be better, so that those that cannot "
        f"be told apart may share it. A verdict says whether a policy differs from "
        f"{study.baseline}; the verdicts at one load allow for their number (Holm). "
        "Controls show what simple rules and chance reach, and the most "
        "that any choice of agents could (the oracle)."
    ]
    if any(entry.overloaded for at in experiment.comparisons for entry in at.entries):
        text.append("Times of a policy whose backlog outlasts the run are left out.")
    if sections.in_sample(experiment.last.entries):
        text.append(IN_SAMPLE)
    first = ["goodput"] if study.recorded and not at_log else []
    metrics, blocks = ("cost", "latency_mean", "latency_p95"), []
    for at in reversed(experiment.comparisons):
        frame = study.table(at.load)
        ranks = frame["rank"].notna()
        entries = {entry.name: entry for entry in at.entries}
        ranked = [entries[name] for name in frame["policy"]]
        columns = [
            (Column("rank", kind="count"), frame["rank"].astype(object).where(ranks, None)),
            *(sections.interval_column(ranked, metric) for metric in first),
            *(sections.quality_columns(ranked) if study.recorded else []),
            *(sections.interval_column(ranked, metric) for metric in metrics),
            (f"against {study.baseline}", frame["verdict"]),
            ("stability", [entry.state for entry in ranked]),
            "answered",
            *sections.in_sample(ranked),
        ]
        title = f"At load {at.load or 0.0:g}: {study.arrivals_at(at.load or 0.0)}"
        blocks.append(sections.entry_table(title, ranked, columns))
    return Section("ranking", "Ranking", tuple(text), tuple(blocks))


def _loads(study: Study, experiment: Experiment) -> Section | None:
    comparisons = experiment.comparisons
    if len(comparisons) < 2:
        return None
    metrics = ["goodput", "quality"] if study.recorded else ["latency_mean"]
    metrics = ["quality"] if experiment.last.estimates else metrics
    pictures = []
    for metric in (*metrics, "latency_p95", "cost"):
        draw = partial(study_plots.draw_load, comparisons, metric)
        words = loads_in_words(comparisons, metric)
        label = axis_label(metric, comparisons[0].entries)
        pictures.append(Picture(label, "", words, draw))
    text = (
        "From the lowest load to the highest. Bands are 95 % intervals; controls are thin and "
        "grey.",
    )
    size = 3.6, study_plots.legend_space(comparisons[0])
    return Section("loads", "What load does", text, (Gallery("loads", tuple(pictures), size),))


def _regret(study: Study, at: Comparison) -> Section | None:
    ends = {name: study.cells[name, study.loads[-1]].regret[-1] for name in study.names}
    shown = [f"{name} {number(end)}" for name, end in ends.items() if not math.isnan(end)]
    if not shown:
        return None
    words = f"Quality lost by the end of the run: {'; '.join(shown)}."
    picture = Picture("Regret", "", words, partial(study_plots.plot_regret, study, at.load))
    text = (
        "Quality lost so far against the best agent of each task, on average over runs. The line "
        "of a policy that learns bends down; that of one that does not is straight.",
    )
    size = 3.6, study_plots.legend_space(at)
    return Section("regret", "Regret", text, (Gallery("regret", (picture,), size),))


def _text_use(study: Study, at: Comparison, uses_text: Mapping[str, bool | None]) -> Section | None:
    if not study.recorded:
        return None
    title = "Do the policies use the text?"
    try:
        found = [study.uses_text(entry.name, at.load) for entry in at.policies]
    except CorpusError as error:
        return Section("text-use", title, (f"Not known: {error}.",))
    text = (
        "Each policy’s choices against the same choices assigned to the tasks at random: a "
        "policy that is no better than its shuffle has the quality of its mix of agents, and "
        f"does not use the text. By the choices of all runs at load {at.load:g}; p is of the one "
        "policy, findings allow for the number of policies (Holm).",
    )
    said = ["uses the text" if uses else "does not use the text" for uses in uses_text.values()]
    columns = [
        ("finding", said),
        (METRICS["quality"], [use.quality for use in found]),
        (Column("of its shuffles", "0–1", "quality"), [use.shuffled for use in found]),
        (Column("p"), [use.p_value for use in found]),
        (Column("tasks", kind="count"), [use.tasks for use in found]),
    ]
    blocks = (sections.entry_table("Against their own shuffle", at.policies, columns),)
    return Section("text-use", title, text, blocks)


def _tenants(study: Study, at: Comparison) -> Section | None:
    """Figures of each tenant under each policy, and how evenly they were served."""
    if len(study.tenant_names) < 2:
        return None
    frame, load = study.by_tenant(), study.loads[-1]
    blocks, said = [], []
    for entry in at.policies:
        found = frame.query("policy == @entry.name and load == @load")
        even = study.interval(entry.name, load, "fairness")
        said.append(f"{_with_half(even)} under {entry.name}")
        columns = [
            ("tenant", found["tenant"]),
            (Column("tasks of a run"), found["tasks"]),
            (Column("share of tasks", "%", "percent"), found["share"]),
            (Column("share of service", "%", "percent"), found["service"]),
        ]
        for metric in _OF_TENANTS:
            each = [
                study.tenant_interval(entry.name, load, tenant, metric)
                for tenant in found["tenant"]
            ]
            if not all(math.isnan(one.mean) for one in each):
                head = replace(METRICS[metric], kind="interval")
                columns.append((head, [(one.mean, one.half_width) for one in each]))
        blocks.append(table(f"Tenants under {entry.name}", columns))
    text = (
        f"Jain’s index of the service that tenants had for their weights is {joined(said, 9)}: 1 "
        "is even; a tenant that asks for less than its share lowers it, too. Figures are means "
        f"over runs at load {load:g}, with half-widths of 95 % intervals on these tasks.",
    )
    return Section("tenants", "Tenants", text, tuple(blocks))


def _with_half(found: Interval) -> str:
    half = "" if math.isnan(found.half_width) else f" ± {number(found.half_width, 2)}"
    return f"{found.mean:.3f}{half}"


def _run(study: Study, at: Comparison, command: str | None) -> Section:
    """What was run, and the call that repeats it, with the agents as ``pool``."""
    settings = study.settings
    loads = [f"{load:g} ({study.arrivals_at(load)})" for load in study.loads]
    facts = [
        ("Tasks of a run", f"{settings.tasks:,}, {_ORDERS[settings.order]}"),
        ("Loads", "; ".join(loads)),
        ("Capacity", f"{number(study.capacity)} tasks/s at most"),
        ("Arrivals", f"{study.arrivals}, scaled to each load"),
        ("Replications", f"{settings.replications}, under common random numbers"),
        ("Seed", f"{settings.seed}, from which those of the replications are derived"),
        ("Intervals and verdicts", f"on {settings.population}"),
        ("Latency objective", duration(settings.objective)),
        ("Right answer", f"quality of {settings.right:g} or more"),
    ]
    fitted = [sections.fitted_on(entry.in_sample) for entry in at.entries]
    policies = sections.entry_table("Policies and controls", at.entries, [("fitted on", fitted)])
    first = settings.first_token_objective
    first = "" if first is None else f", first_token_objective={first:g}"
    call = (
        f"compare({corpus_call(study.corpus)}, pool, {[entry.name for entry in at.policies]}, "
        f"loads={list(study.loads)}, arrivals={study.arrivals!r}, "
        f"replications={settings.replications}, tasks={settings.tasks}, seed={settings.seed}, "
        f"{'' if settings.sampled else f'population={settings.population!r}, '}"
        f"objective={settings.objective:g}, right={settings.right:g}{first}"
        f"{as_arguments(study.conditions) if study.conditions else ''}"
        f"{'' if at.controls else ', controls=False'})"
    )
    return run_section(study.corpus, study.pool, facts, command or call, policies)
