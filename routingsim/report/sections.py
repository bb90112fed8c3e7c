"""The sections that reports on replays and on studies share, each written once."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from routingsim.report.captions import frontier_in_words
from routingsim.report.document import (
    Card,
    Column,
    Gallery,
    Picture,
    Points,
    Section,
    Table,
    table,
)
from routingsim.report.figures import METRICS, Comparison, Entry, Experiment
from routingsim.report.formatting import ABSENT, duration, number, percent
from routingsim.report.frontier import draw_frontier, frontier_height
from routingsim.report.text import stability, warnings

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


def mean_column(entries: Sequence[Entry], metric: str) -> tuple[Column, list[Any]]:
    """A metric of each entry, as a column of a table."""
    return METRICS[metric], [entry.mean(metric) for entry in entries]


def interval_column(entries: Sequence[Entry], metric: str) -> tuple[Column, list[Any]]:
    """A metric of each entry with the half-width of its interval."""
    found = [entry.shown(metric) for entry in entries]
    pairs = [(each.mean, each.half_width) for each in found]
    return replace(METRICS[metric], kind="interval"), pairs


def entry_table(
    caption: str, entries: Sequence[Entry], columns: Sequence[tuple[Column, Sequence[Any]]]
) -> Table:
    """A table with a row a policy or control; the columns given follow its name and kind."""
    names = [(Column("policy", kind="text"), [entry.name for entry in entries])]
    if any(entry.control for entry in entries):
        kinds = ["control" if entry.control else "policy" for entry in entries]
        names.append((Column("kind", kind="text"), kinds))
    return table(caption, [*names, *columns], [entry.style.colour for entry in entries])


def in_sample(entries: Sequence[Entry]) -> list[tuple[Column, list[str]]]:
    """The column that marks entries as in-sample; none where no entry is."""
    marks = ["yes" if entry.in_sample else ABSENT for entry in entries]
    return [(Column("in-sample", kind="text"), marks)] if "yes" in marks else []


def card(at: Comparison, entry: Entry) -> Card:
    """A policy at a glance; no latency of one that is overloaded."""
    quality, latencies = entry.mean("quality"), {}
    for q in ("p50", "p95"):
        seconds = entry.mean(f"latency_{q}")
        unknown = entry.overloaded or math.isnan(seconds)
        latencies[q] = ABSENT if unknown else duration(seconds)
    figures = [
        ("Quality", "not recorded" if math.isnan(quality) else f"{quality:.3f}"),
        ("USD per 1,000 tasks", number(entry.mean("cost"))),
        *((f"Latency {q}", shown) for q, shown in latencies.items()),
        ("Answered", percent(entry.mean("answered"))),
    ]
    if at.load is not None and at.recorded:
        figures.append(("Right in time, 1/s", number(entry.mean("goodput"))))
    return Card(entry.name, entry.verdict, stability(at, entry), tuple(figures))


def stability_section(experiment: Experiment) -> Section:
    """The verdict on each entry at each load, and what it goes by."""
    columns: list[tuple[Column, Sequence[Any]]] = []
    for at in experiment.comparisons:
        title = "verdict" if at.load is None else f"at load {at.load:g}"
        verdicts = [
            e.verdict if e.agreed == e.runs else f"{e.verdict} ({e.agreed} of {e.runs})"
            for e in at.entries
        ]
        columns += [
            (Column(title, kind="text"), verdicts),
            mean_column(at.entries, "offered_max"),
        ]
        if any(entry.busiest for entry in at.entries):
            columns.append((Column("at agent", kind="text"), [e.busiest for e in at.entries]))
    text = (
        "Read this before any percentile. Offered load is the work sent to an agent divided by "
        "what its slots can do; shown is that of the busiest agent. From 100 % on, its queue "
        "grows as long as the run lasts, and waits say only how long that was.",
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
    galleries = [_gallery(ident, at) for at in comparisons]
    bars = "" if comparisons[0].load is None else " Bars are 95 % intervals."
    return Section(ident, _FRONTIER, (f"{_ABOUT}{bars}", *text), (*galleries, *blocks))


def _gallery(ident: str, at: Comparison) -> Gallery:
    name, title = (
        (ident, "") if at.load is None else (f"{ident}-{at.load:g}", f" at load {at.load:g}")
    )
    no_latency = all(entry.overloaded for entry in at.entries)
    pictures = [
        Picture(
            f"Quality and {against.replace('_', ' ')}{title}",
            "All are overloaded, so there is no latency to show." if no_latency else "",
            frontier_in_words(at, against),
            partial(draw_frontier, at, against=against),
        )
        for against in (("cost",) if no_latency else ("cost", "latency_p95"))
    ]
    return Gallery(name, tuple(pictures), (3.6, frontier_height(at)))


def warnings_section(experiment: Experiment, more: Sequence[str]) -> Section:
    """What stands in the way of believing the figures."""
    return Section("warnings", "Warnings", blocks=(Points(warnings(experiment, more)),))
