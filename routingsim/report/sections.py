"""The sections that all reports share, and the report made of them."""

import datetime
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from routingsim.evaluation.decision import Decision
from routingsim.evaluation.decision_text import sentences
from routingsim.formatting import ABSENT, duration, number, percent
from routingsim.report.breakdown import categories, complexity, disagreements
from routingsim.report.captions import frontier_in_words
from routingsim.report.document import (
    Answer,
    Card,
    Cells,
    Document,
    Gallery,
    Picture,
    Points,
    Section,
    Summary,
    Table,
    table,
)
from routingsim.report.estimates import advice_section, estimates_section
from routingsim.report.figures import Comparison, Entry, Experiment, column_of, timed
from routingsim.report.frontier import draw_frontier, frontier_height
from routingsim.report.glossary import Explained
from routingsim.report.text import quality_of, stability, summary, warnings

_FRONTIER = "Quality, cost and latency"
_UNRECORDED = (
    "Quality: not recorded. The corpus has no record of how good the answers of these agents "
    "are, and none is made up."
)
_ABOUT = (
    "Up and to the left is better. Controls are grey and open: they show what simple rules and "
    "chance reach, and the most that any choice of agents could (the oracle). Against cost the "
    "line is the hull: what mixing two of the points at random reaches, the oracle left out. A "
    "policy is worth its rules where it lies above the line that the others make. Against "
    "latency the steps join the points that no other beats in both, the oracle left out."
)

_ESTIMATED = (
    "Up and to the left is better. Qualities are estimates from a log with one answer a task; "
    "bars are their 95 % intervals. No frontier is drawn through estimates."
)


def assemble(
    experiment: Experiment,
    decision: Decision,
    own: Sequence[Section | None],
    *last: Section,
    title: str,
    subtitle: str,
    date: str | datetime.date | None,
    leader: str = "",
    findings: Sequence[str] = (),
    caveats: Sequence[str],
    cautions: Sequence[str],
    data: dict[str, Any],
) -> Document:
    """A report: the sections that all reports have, and those of its own kind of experiment.

    The ``decision`` comes first. ``own`` follow the section on stability; ``last`` come at the end.
    ``leader``, ``findings`` and ``caveats`` go into the summary, ``cautions`` among the warnings.
    """
    found = [
        stability_section(experiment),
        estimates_section(experiment.last),
        *own,
        categories(experiment),
        complexity(experiment),
        disagreements(experiment),
        Section("warnings", "Warnings", blocks=(Points(warnings(experiment, cautions)),)),
        *last,
        advice_section(experiment.last),
    ]
    said = sentences(decision)
    _, *parts = said.parts()
    return explained_document(
        Answer(said.asked, said.answer, tuple(parts)),
        summary(experiment, leader=leader, findings=findings, caveats=caveats),
        found,
        title=title,
        subtitle=subtitle,
        date=date,
        cards=tuple(card(experiment.last, entry) for entry in experiment.last.policies),
        data={"decision": decision.to_dict(), **data},
    )


def explained_document(
    answer: Answer,
    short: Summary,
    sections: Sequence[Section | None],
    *,
    title: str,
    subtitle: str,
    date: str | datetime.date | None,
    cards: tuple[Card, ...] = (),
    data: dict[str, Any],
) -> Document:
    """A report whose words are explained where they are used first, and in a glossary at the end.

    ``date`` is today by default; of the ``sections`` those that are None are left out.
    """
    explained = Explained()
    answer, short = explained.answer(answer), explained.summary(short, cards)
    shown = [explained.section(section) for section in sections if section is not None]
    return Document(
        title=title,
        subtitle=subtitle,
        date=str(date or datetime.date.today()),
        answer=answer,
        summary=short,
        cards=cards,
        sections=(*shown, explained.glossary()),
        data=data,
    )


def mean_column(entries: Sequence[Entry], metric: str) -> Cells:
    """A metric of each entry, as a column of a table."""
    return column_of(entries, metric), [entry.mean(metric) for entry in entries]


def interval_column(entries: Sequence[Entry], metric: str) -> Cells:
    """A metric of each entry with the half-width of its interval.

    Times of an overloaded run are left out: they say only how long the run was.
    """
    shown = (
        None if timed(metric) and entry.overloaded else entry.shown(metric) for entry in entries
    )
    pairs = [(None, None) if each is None else each.parts for each in shown]
    return replace(column_of(entries, metric), kind="interval"), pairs


def quality_columns(entries: Sequence[Entry]) -> list[str | Cells]:
    """Quality and what it rests on: the share recorded, all tasks, or the estimate's verdict."""
    found = [entry.estimated.get("quality") for entry in entries]
    if known := [each for each in found if each is not None]:
        verdicts = [each.verdict for each in known]
        return [interval_column(entries, "quality"), ("estimate", verdicts), "recorded"]
    shown = ["quality"]
    if any(entry.mean("answered") < 1 for entry in entries):
        shown.append("quality_all")
    runs = max(entry.runs for entry in entries)
    column = interval_column if runs > 1 else mean_column
    columns: list[str | Cells] = [column(entries, metric) for metric in shown]
    if any(entry.mean("recorded") < 1 for entry in entries):
        columns.append("recorded")
    return columns


def entry_table(caption: str, entries: Sequence[Entry], columns: Sequence[str | Cells]) -> Table:
    """A table with a row a policy or control, which begins with its name and kind.

    Of the columns that follow, a metric's name alone stands for its means.
    """
    shown: list[Cells] = [("policy", [entry.name for entry in entries])]
    if any(entry.control for entry in entries):
        shown.append(("kind", ["control" if entry.control else "policy" for entry in entries]))
    shown += [mean_column(entries, each) if isinstance(each, str) else each for each in columns]
    return table(caption, shown, [entry.style.colour for entry in entries])


def in_sample(entries: Sequence[Entry]) -> list[Cells]:
    """The column of the shares that are in-sample; none where no entry has one."""
    shares = [entry.in_sample for entry in entries]
    marks = [percent(share) if share else ABSENT for share in shares]
    return [("in-sample", marks)] if any(shares) else []


def fitted_on(share: float) -> str:
    """What share of the tasks' texts something was fitted on, in the words of a table."""
    return f"{percent(share)} of the texts shown" if share else ABSENT


def card(at: Comparison, entry: Entry) -> Card:
    """A policy at a glance; no latency of one whose backlog outlasts the run."""
    shown, how = quality_of(entry)
    figures = {f"Quality, {how}" if how else "Quality": shown}
    cost = f"USD per 1,000 tasks{', estimated' * ('cost' in entry.estimated)}"
    figures[cost] = number(entry.mean("cost"))
    for q in ("p50", "p95"):
        seconds = math.nan if entry.overloaded else entry.mean(f"latency_{q}")
        figures[f"Latency {q}"] = ABSENT if math.isnan(seconds) else duration(seconds)
    if entry.mean("answered") < 1:
        figures["Answered"] = percent(entry.mean("answered"))
    if at.load is not None and at.recorded and not entry.estimated:
        figures["Right in time, 1/s"] = number(entry.mean("goodput"))
    return Card(entry.name, entry.state, stability(at, entry), tuple(figures.items()))


def stability_section(experiment: Experiment) -> Section:
    """The verdict on each entry at each load, and what it goes by."""
    columns: list[str | Cells] = []
    for at in experiment.comparisons:
        verdicts = [
            e.state if e.agreed == e.runs else f"{e.state} ({e.agreed} of {e.runs})"
            for e in at.entries
        ]
        title = "verdict" if at.load is None else f"at load {at.load:g}"
        columns += [(title, verdicts), mean_column(at.entries, "offered_max")]
        if any(entry.mean("peak") for entry in at.entries):
            columns.append(mean_column(at.entries, "peak"))
        if any(entry.busiest for entry in at.entries):
            columns.append(("at agent", [entry.busiest for entry in at.entries]))
    text = (
        "Read this before any percentile. Offered load is the work sent to an agent divided by "
        "what its slots can do; shown is that of the busiest agent. “Steady” means that a longer "
        "run would have the same mean latency within 20 %; from a load of 100 % on, a queue grows "
        "as long as the run lasts, and waits say only how long that was.",
    )
    blocks = (entry_table("Stability", experiment.last.entries, columns),)
    return Section("stability", "Can the waits be believed?", text, blocks)


def frontier(
    ident: str,
    comparisons: Sequence[Comparison],
    text: Sequence[str] = (),
    blocks: Sequence[Table] = (),
) -> Section:
    """Quality against cost and against latency p95, a gallery a comparison.

    ``text`` and ``blocks`` follow.
    """
    if not comparisons[0].recorded:
        return Section(ident, _FRONTIER, (_UNRECORDED,))
    galleries = []
    for at in comparisons:
        name, title = ident, ""
        if at.load is not None:
            name, title = f"{ident}-{at.load:g}", f" at load {at.load:g}"
        no_latency = all(entry.overloaded for entry in at.entries)
        pictures = [
            Picture(
                f"Quality and {against.replace('_', ' ')}{title}",
                "All backlogs outlast the run, so there is no latency to show."
                if no_latency
                else "",
                frontier_in_words(at, against),
                partial(draw_frontier, at, against=against),
            )
            for against in (("cost",) if no_latency else ("cost", "latency_p95"))
        ]
        galleries.append(Gallery(name, tuple(pictures), (3.6, frontier_height(at))))
    bars = "" if comparisons[0].load is None else " Bars are 95 % intervals."
    about = _ESTIMATED if comparisons[0].estimates else f"{_ABOUT}{bars}"
    return Section(ident, _FRONTIER, (about, *text), (*galleries, *blocks))
