"""The report on a question of capacity: answer, margins, frontier, and what breaks first."""

import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.evaluation.capacity_answer import Capacity
from routingsim.evaluation.capacity_question import MONTH
from routingsim.evaluation.targets import USD, in_words
from routingsim.formatting import count, isolated, joined, number, upper_first
from routingsim.report.capacity_plot import frontier, plot_capacity
from routingsim.report.document import (
    Answer,
    Cells,
    Column,
    Document,
    Gallery,
    Picture,
    Section,
    Summary,
    table,
)
from routingsim.report.figures import METRICS
from routingsim.report.provenance import corpus_call, run_section
from routingsim.report.sections import explained_document
from routingsim.simulation.conditions import as_arguments

_MOST = 25  # rows of a table of candidates
_ABOUT = (
    "Intervals are of 95 % confidence. Whole intervals, not means, are compared with each target, "
    "and those of the answer come from runs that had no part in choosing it."
)
_CHEAPEST = "Cost is that of calls and of slots; a month has 730 hours like these."


def compose_capacity(
    found: Capacity,
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
) -> Document:
    """The report on a question of capacity, computed from its answer.

    Parameters
    ----------
    found : Capacity
    command : str, optional
        What to type to get the report again; the call in Python by default.
    date : str or date, optional
        To print on it; today by default.
    """
    question = found.question
    name = isolated(question.corpus.name) if question.corpus else "queueing alone"
    ids = question.pool.ids
    targets = joined([str(target) for target in found.targets], 9)
    open_ = [found.left_open] if found.undecided else []
    how = "simulated" if found.runs else "those of queueing theory (Erlang C)"
    rests_on = (
        f"{upper_first(found.arrivals_in_words)}.",
        f"{found.searched}.",
        f"Waits and latencies are {how}.",
    )
    parts = (
        ("How sure", tuple(f"{upper_first(each)}." for each in (*found.held, *open_))),
        ("What breaks first", tuple(f"{upper_first(each, ids)}." for each in found.broken)),
        ("What it rests on", rests_on),
        ("What to do next", tuple(found.then)),
    )
    asked = f"Which pool and policy are the cheapest with {targets}?"
    notes = tuple(f"{upper_first(each)}." for each in found.foremost)
    return explained_document(
        Answer(asked, found.said, parts, title="Answer"),
        Summary(_ABOUT, notes, (_CHEAPEST,)),
        [
            *(_margins(found), _frontier(found), _stress(found), _tried(found)),
            _run(found, command),
        ],
        title=f"Capacity: {name}",
        subtitle=f"{count(len(found.frame), 'pool and policy', 'pools and policies')} at "
        f"{question.process}, {count(question.tasks, 'task')} a run",
        date=date,
        data={"capacity": found.to_dict()},
    )


def _margins(found: Capacity) -> Section | None:
    if found.best is None:
        return None
    frame, cost = found.margins, found.best.found[USD]
    names = ("bound", "mean", "low", "high", "margin", "margin_low", "margin_high")
    margins = table(
        "Targets",
        [
            ("target", list(map(str, found.targets))),
            *((Column(name.replace("_", " ")), frame[name]) for name in names),
            ("verdict", frame["verdict"]),
        ],
        of_row=True,
    )
    ends = [cost.mean, cost.low, cost.high]
    costs = table(
        "Cost",
        [
            ("calls and slots", ["mean", "low", "high"]),
            (Column("an hour", "USD"), ends),
            (Column("a month", "USD"), [MONTH * value for value in ends]),
        ],
    )
    text = (
        "A margin is how far the figure is on the right side of its bound, in its own unit; below "
        "0 it is on the wrong side.",
    )
    return Section("margins", "Targets and margins", text, (margins, costs))


def _pictures(found: Capacity) -> list[Picture]:
    first = [target.metric for target in found.targets if target.metric != USD][:1]
    metrics = dict.fromkeys(("latency_p95", "quality_all", *first))
    pictures = []
    for metric in (each for each in metrics if each in found.question.metrics):
        cost, figure = frontier(found, metric)
        ends = [
            f"{number(y)} for {number(x)} USD an hour" for x, y in zip(cost, figure, strict=True)
        ]
        words = f"The frontier of {in_words(metric)}: {joined(ends, 8) or 'none was run'}."
        draw = partial(plot_capacity, found, metric=metric)
        pictures.append(Picture(METRICS[metric].name, "", words, draw))
    return pictures


def _frontier(found: Capacity) -> Section | None:
    frame = found.frontier()
    if frame.empty:
        return None
    text = (
        "Filled marks meet all targets. No pool and policy that was run has a better figure for "
        "less money than the line; the table has those that none beats in all figures. What costs "
        "more than the answer was not run.",
    )
    width, height = 3.6, 3.2 + 0.12 * len(set(found.frame["policy"]))
    gallery = Gallery("frontier", tuple(_pictures(found)), (width, min(height, 6.0)))
    blocks = (gallery, table("On the frontier", _columns(found, frame.head(_MOST))))
    return Section("frontier", "What latency and quality cost", text, blocks)


def _stress(found: Capacity) -> Section | None:
    frame = found.stress
    if frame.empty:
        return None
    metrics = [target.metric for target in found.targets if target.metric != USD]
    columns: list[Cells] = [
        ("condition", frame["condition"]),
        *((METRICS[name], _of_tasks(name, frame[name])) for name in metrics),
        (Column("cost", "USD an hour"), frame[USD]),
        ("busiest agent", frame["busiest"]),
        (Column("its offered load", "%", "percent"), frame["offered"]),
        ("misses", frame["breaks"]),
    ]
    text = (
        "Means over a few runs under seeds of their own. The target that is missed by most, as a "
        "share of its bound, stands first.",
    )
    return Section("stress", "What breaks first", text, (table("Other conditions", columns),))


def _tried(found: Capacity) -> Section:
    frame = found.frame
    text = [f"{found.searched}."]
    if len(frame) > _MOST:
        text.append(f"The {_MOST} cheapest of them:")
    why = [
        "cannot: by theory; growing: the backlog outlasts the runs; open: an interval has a bound "
        "in it; dearer: costs more than the answer, and was not run."
    ]
    rows = frame.head(_MOST)
    columns = [*_columns(found, rows), ("verdict", rows["verdict"]), ("why", rows["why"])]
    shown = table("Candidates", columns)
    return Section("tried", "Pools and policies", (*text, *why), (shown,))


def _columns(found: Capacity, frame: pd.DataFrame) -> list[Cells]:
    varied = list(frame.columns[: list(frame.columns).index("policy")])
    return [
        ("policy", frame["policy"]),
        *((Column(name, "slots", "count"), frame[name]) for name in varied),
        (Column("cost", "USD an hour"), frame[USD]),
        *((METRICS[name], _of_tasks(name, frame[name])) for name in found.question.metrics),
        (Column("runs", kind="count"), frame["runs"]),
    ]


def _of_tasks(metric: str, values: Any) -> NDArray[np.float64]:
    """Costs of 1,000 tasks, as reports have them."""
    return np.asarray(values, dtype=float) * (1000 if metric == "cost" else 1)


def _run(found: Capacity, command: str | None) -> Section:
    question = found.question
    pool = question.pool
    facts = [
        ("Arrivals", found.arrivals_in_words),
        ("Tasks of a run", f"{question.tasks:,}"),
        ("Runs of each at most", str(question.runs)),
        ("Seed", str(question.seed)),
    ]
    slo = {t.metric: t.bound for t in found.targets if t.metric not in ("quality_all", USD)}
    frame = found.frame
    varied = list(frame.columns[: list(frame.columns).index("policy")])
    slots = {name: sorted({*frame[name].tolist()}) for name in varied}
    policies = list(dict.fromkeys(frame["policy"]))
    call = (
        f"capacity({corpus_call(question.corpus)}, pool, {policies}, "
        f"arrivals={str(question.process)!r}, slots={slots}, slo={slo}, "
        f"runs={question.runs}, tasks={question.tasks}, seed={question.seed}"
    )
    bounds = {target.metric: target.bound for target in found.targets}
    for metric, name in (("quality_all", "quality"), (USD, "budget")):
        if metric in bounds:
            call += f", {name}={bounds[metric]:g}"
    call += as_arguments(question.conditions)
    shown = table("Policies", [("policy", policies)])
    return run_section(question.corpus, pool, facts, command or f"{call})", shown)
