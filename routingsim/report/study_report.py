"""The contents of a report on a study, computed once from its cells."""

import datetime
import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.study import Study
from routingsim.report import study_plots
from routingsim.report.breakdown import (
    MOST_TASKS,
    Measure,
    by_category,
    by_complexity,
    mean_known,
    most_apart,
    task_shown,
)
from routingsim.report.document import (
    Block,
    Card,
    Choice,
    Column,
    Document,
    Facts,
    Gallery,
    Picture,
    Points,
    Section,
    Tasks,
    table,
)
from routingsim.report.formatting import ABSENT, count, duration, number, percent
from routingsim.report.frontier import ABOUT, FRONTIER, UNRECORDED, frontier_height
from routingsim.report.palette import agent_colours
from routingsim.report.provenance import agents, corpus_call, corpus_facts, versions
from routingsim.report.study_text import (
    of_kind,
    stability,
    study_caption,
    study_subtitle,
    study_summary,
    study_warnings,
)
from routingsim.scoring.dvar import score_column

__all__ = ["compose_study"]


def compose_study(
    study: Study,
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
) -> Document:
    """Compute a report on a study.

    Parameters
    ----------
    study : Study
        Made by :func:`routingsim.compare`.
    command : str, optional
        What to type to get it again; the call of ``compare`` by default.
    date : str or date, optional
        To print on it; today by default.
    """
    sections = [
        _stability(study),
        _ranking(study),
        _frontier(study),
        _loads(study),
        _regret(study),
        _text_use(study),
        *_breakdown(study),
        _disagreements(study),
        Section("warnings", "Warnings", blocks=(Points(study_warnings(study)),)),
        _run(study, command),
    ]
    return Document(
        title=f"Routing study: {study.corpus.name}",
        subtitle=study_subtitle(study),
        date=str(date or datetime.date.today()),
        summary=study_summary(study),
        cards=tuple(_card(study, name) for name in of_kind(study, "policy")),
        sections=tuple(section for section in sections if section is not None),
        data={"study": study.to_dict()},
    )


def _card(study: Study, name: str) -> Card:
    load = study.loads[-1]
    verdict = stability(study, name, load)
    mean = {m: float(study.values(name, load, m).mean()) for m in study_plots.AXES}
    recorded = not math.isnan(mean["quality"])
    over = verdict == "overloaded"
    figures = [
        ("Quality", f"{mean['quality']:.3f}" if recorded else "not recorded"),
        ("USD per 1,000 tasks", number(1000 * mean["cost"])),
        ("Latency p95", ABSENT if over else duration(mean["latency_p95"])),
        ("Answered", percent(mean["answered"])),
        *([("Right in time, 1/s", number(mean["goodput"]))] if recorded else []),
    ]
    times = study.cells[name, load].verdicts.count(verdict)
    said = f"at load {load:g}: {verdict} in {times} of {count(study.settings.replications, 'run')}"
    return Card(name, verdict, said, tuple(figures))


def _stability(study: Study) -> Section:
    columns = [Column("policy", kind="text"), Column("kind", kind="text")]
    for load in study.loads:
        columns += [
            Column(f"at load {load:g}", kind="text"),
            Column("highest offered load", "%", "percent"),
        ]
    rows = []
    for name in study.names:
        row: list[object] = [name, study.kinds[name]]
        for load in study.loads:
            verdict = stability(study, name, load)
            verdicts = study.cells[name, load].verdicts
            agreed = verdicts.count(verdict)
            shown = (
                verdict if agreed == len(verdicts) else f"{verdict} ({agreed} of {len(verdicts)})"
            )
            row += [shown, float(study.values(name, load, "offered_max").mean())]
        rows.append(row)
    text = (
        "Read this before any percentile. Offered load is the work sent to an agent over what "
        "its slots can do, of the busiest agent: from 100 % on its queue grows as long as the "
        "run lasts, and waits say only how long that was.",
    )
    blocks = (table("Stability at each load", columns, rows, _colours(study, study.names)),)
    return Section("stability", "Can the waits be believed?", text, blocks)


def _colours(study: Study, names: tuple[str, ...] | list[str]) -> list[str]:
    styles = study_plots.study_styles(study)
    return [styles[name].colour for name in names]


def _ranking(study: Study) -> Section:
    text = (
        f"Means with half-widths of 95 % intervals, best first by {_by(study)}. A verdict says "
        f"whether a policy differs from {study.baseline} in that; those of one load hold "
        "together (Holm). Controls are baselines of the baseline: what cheap rules, chance, and "
        "hindsight (oracle) reach.",
        *(
            ("In sample: fitted on the tasks shown, so its figures flatter.",)
            if any(study.in_sample.values())
            else ()
        ),
    )
    blocks = tuple(_ranked(study, load) for load in reversed(study.loads))
    return Section("ranking", "Ranking", text, blocks)


def _by(study: Study) -> str:
    if study.ranked_by != "goodput":
        return "mean latency"
    return (
        f"right answers a second within {duration(study.settings.objective)} (right: quality of "
        f"{study.settings.right:g} or more)"
    )


def _ranked(study: Study, load: float) -> Block:
    frame = study.table(load)
    known = {
        "goodput": Column("right in time", "1/s", "interval"),
        "quality": Column("quality", "0–1", "interval"),
        "cost": Column("cost", "USD per 1,000 tasks", "interval"),
        "latency_mean": Column("mean latency", "s", "interval"),
        "latency_p95": Column("latency p95", "s", "interval"),
    }
    shown = [name for name in known if name in frame]
    marked = bool(frame["in_sample"].any())
    columns = [
        Column("policy", kind="text"),
        Column("rank", kind="count"),
        *(known[name] for name in shown),
        Column("answered", "%", "percent"),
        Column("stability", kind="text"),
        Column(f"against {study.baseline}", kind="text"),
        *([Column("in sample", kind="text")] if marked else []),
    ]
    rows = []
    for row in frame.to_dict("records"):
        name = row["policy"]
        control = study.kinds[name] == "control" and "control" not in name
        scales = (1000.0 if metric == "cost" else 1.0 for metric in shown)
        rows.append(
            [
                f"{name} (control)" if control else name,
                row["rank"],
                *(
                    (scale * row[metric], scale * row[f"{metric}_hw"])
                    for metric, scale in zip(shown, scales, strict=True)
                ),
                float(study.values(name, load, "answered").mean()),
                row["stability"],
                row["verdict"],
                *(["yes" if row["in_sample"] else ABSENT] if marked else []),
            ]
        )
    title = f"At load {load:g}: {number(load * study.capacity)} tasks/s"
    return table(title, columns, rows, _colours(study, frame["policy"].tolist()))


def _frontier(study: Study) -> Section:
    if not study.recorded:
        return Section("frontier", FRONTIER, (UNRECORDED,))
    blocks = []
    size = 3.6, frontier_height(of_kind(study, "policy"), of_kind(study, "control"))
    for load in dict.fromkeys((study.loads[0], study.loads[-1])):
        pictures = []
        sure = any(stability(study, name, load) != "overloaded" for name in study.names)
        for against in ("cost", "latency_p95") if sure else ("cost",):
            scale = 1000.0 if against == "cost" else 1.0
            said = (
                f"Quality: {study_caption(study, 'quality', load)} "
                f"{study_plots.AXES[against]}: {study_caption(study, against, load, scale)}"
            )
            draw = partial(study_plots.plot_frontier, study, load, against=against)
            title = f"Quality and {against.replace('_', ' ')} at load {load:g}"
            point = "" if sure else "All are overloaded, so there is no latency to show."
            pictures.append(Picture(title, point, said, draw))
        blocks.append(Gallery(f"frontier-{load:g}", tuple(pictures), size))
    return Section("frontier", FRONTIER, (f"{ABOUT} Bars are 95 % intervals.",), tuple(blocks))


def _loads(study: Study) -> Section | None:
    if len(study.loads) < 2:
        return None
    metrics = ["goodput", "quality"] if study.recorded else ["latency_mean"]
    scales = {"cost": 1000.0}
    pictures = []
    for metric in [*metrics, "latency_p95", "cost"]:
        axis = study_plots.AXES[metric]
        said = study_caption(study, metric, scale=scales.get(metric, 1.0))
        draw = partial(study_plots.plot_load, study, metric)
        pictures.append(Picture(axis, "", said, draw))
    text = (
        "From the lowest load to the highest. Bands are 95 % intervals; controls are thin and "
        "grey.",
    )
    return Section(
        "loads",
        "What load does",
        text,
        (Gallery("loads", tuple(pictures), (3.6, study_plots.legend_space(study))),),
    )


def _regret(study: Study) -> Section | None:
    load = study.loads[-1]
    ends = {name: study.cells[name, load].regret[-1] for name in study.names}
    ends = {name: end for name, end in ends.items() if not math.isnan(end)}
    if not ends:
        return None
    said = "; ".join(f"{name} {number(end)}" for name, end in ends.items())
    picture = Picture(
        "Regret",
        "",
        f"Quality lost by the end of the run: {said}.",
        partial(study_plots.plot_regret, study, load),
    )
    text = (
        "Quality lost so far against the best agent of each task, on average over runs. A policy "
        "that learns bends down; one that does not is a straight line.",
    )
    return Section(
        "regret",
        "Regret",
        text,
        (Gallery("regret", (picture,), (3.6, study_plots.legend_space(study))),),
    )


def _text_use(study: Study) -> Section | None:
    if not study.recorded:
        return None
    load = study.loads[-1]
    text = (
        "Each policy’s choices against the same choices dealt out at random: a policy that is no "
        "better than its shuffle has the quality of its mix of agents, and does not use the "
        f"text. By the choices of all runs at load {load:g}; p is of the one policy, "
        "findings hold together (Holm).",
    )
    columns = (
        Column("policy", kind="text"),
        Column("finding", kind="text"),
        Column("quality", "0–1", "quality"),
        Column("of its shuffles", "0–1", "quality"),
        Column("p"),
        Column("tasks", kind="count"),
    )
    names = of_kind(study, "policy")
    try:
        found = [study.uses_text(name, load) for name in names]
    except CorpusError as error:
        return Section("text-use", "Do the policies use the text?", (f"Not known: {error}.",))
    table_said = study.table(load)
    judged = dict(zip(table_said["policy"], table_said["uses_text"], strict=True))
    rows = []
    for name, use in zip(names, found, strict=True):
        said = "uses the text" if judged[name] else "does not use the text"
        rows.append((name, said, use.quality, use.shuffled, use.p_value, use.tasks))
    blocks = (table("Against their own shuffle", columns, rows, _colours(study, names)),)
    return Section("text-use", "Do the policies use the text?", text, blocks)


def _breakdown(study: Study) -> tuple[Section | None, ...]:
    """Quality and cost at the highest load by category and by complexity."""
    load, names = study.loads[-1], of_kind(study, "policy")
    cells = {name: study.cells[name, load] for name in names}

    def mean(scale: float, values: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
        return scale * mean_known(values[mask])

    measures = (
        Measure(
            "Mean quality (0–1)",
            "quality",
            {name: partial(mean, 1.0, cell.quality) for name, cell in cells.items()},
        ),
        Measure(
            "Cost (USD per 1,000 tasks)",
            "number",
            {name: partial(mean, 1000.0, cell.cost) for name, cell in cells.items()},
        ),
    )
    return (
        by_category(study.corpus, np.arange(len(study.corpus)), measures),
        by_complexity(_d_var(study), measures) if study.corpus.has_texts else None,
    )


def _d_var(study: Study) -> NDArray[np.float64]:
    return score_column(study.corpus.texts)["d_var"].to_numpy()


def _disagreements(study: Study) -> Section | None:
    names, load = of_kind(study, "policy"), study.loads[-1]
    cells = [study.cells[name, load] for name in names]
    seen = np.flatnonzero(np.all([cell.chosen >= 0 for cell in cells], axis=0))
    if len(names) < 2 or not seen.size:
        return None
    order, alike = most_apart(
        *(np.stack([getattr(c, field)[seen] for c in cells]) for field in _PER_RECORD)
    )
    colours = agent_colours(len(study.pool))
    d_var = _d_var(study) if study.corpus.has_texts else None
    shown = []
    for row in seen[order[:MOST_TASKS]].tolist():
        choices = [
            Choice(
                policy=name,
                agent=study.pool.ids[cell.chosen[row]],
                colour=colours[cell.chosen[row]],
                status="",
                latency=None,
                cost=float(cell.cost[row]),
                quality=None if np.isnan(cell.quality[row]) else float(cell.quality[row]),
            )
            for name, cell in zip(names, cells, strict=True)
        ]
        record = study.corpus.tasks.iloc[row]
        shown.append(task_shown(record, None if d_var is None else float(d_var[row]), choices))
    text = (
        f"All policies sent {percent(alike)} of the tasks to the same agent. Agents are those of "
        f"the first run at load {load:g}; cost and quality are means over runs, in which "
        "the agent may have been another.",
    )
    blocks = (Tasks(tuple(shown)),) if shown else ()
    return Section("disagreements", "Where the policies disagree most", text, blocks)


_PER_RECORD = ("chosen", "quality", "cost")


def _run(study: Study, command: str | None) -> Section:
    settings = study.settings
    last = settings.seed + settings.replications - 1
    loads = [f"{load:g} ({number(load * study.capacity)} tasks/s)" for load in study.loads]
    facts = [
        *corpus_facts(study.corpus),
        ("Tasks of a run", f"{settings.tasks:,}, in an order of its own"),
        ("Loads", ", ".join(loads)),
        ("Capacity", f"{number(study.capacity)} tasks/s with all slots in use"),
        ("Arrivals", f"{study.arrivals}, scaled to each load"),
        ("Replications", f"{settings.replications}, under common random numbers"),
        ("Seeds", f"{settings.seed} to {last}" if last > settings.seed else f"{settings.seed}"),
        ("Latency objective", duration(settings.objective)),
        ("Right answer", f"quality of {settings.right:g} or more"),
        ("Versions", versions()),
        ("To repeat", command or _call(study)),
    ]
    columns = (
        Column("name", kind="text"),
        Column("kind", kind="text"),
        Column("fitted on", kind="text"),
    )
    rows = [
        (name, kind, "the corpus shown" if study.in_sample.get(name) else ABSENT)
        for name, kind in study.kinds.items()
    ]
    policies = table("Policies and controls", columns, rows, _colours(study, study.names))
    return Section(
        "run", "What was run", blocks=(Facts(tuple(facts)), agents(study.pool), policies)
    )


def _call(study: Study) -> str:
    """The same from Python, the agents being at hand as ``pool``."""
    s = study.settings
    controls = "" if of_kind(study, "control") else ", controls=False"
    return (
        f"compare({corpus_call(study.corpus)}, pool, {of_kind(study, 'policy')}, "
        f"loads={list(study.loads)}, arrivals={study.arrivals!r}, "
        f"replications={s.replications}, tasks={s.tasks}, seed={s.seed}, "
        f"objective={s.objective:g}, right={s.right:g}{controls})"
    )
