"""The report on a backtest, and its sections for a report on what follows from it."""

import datetime
import platform
from functools import partial
from importlib.metadata import version

from routingsim.evaluation.backtest_result import Backtest
from routingsim.formatting import count, isolated, upper_first
from routingsim.report.backtest_plots import plot_backtest_latency, plot_backtest_load
from routingsim.report.document import (
    Answer,
    Column,
    Document,
    Facts,
    Gallery,
    Picture,
    Points,
    Section,
    Summary,
    table,
)
from routingsim.report.provenance import agents_table
from routingsim.report.sections import explained_document

_ABOUT = (
    "Latency, cost and failures of the held-out calls are predicted; arrival times, agents and "
    "lengths are as recorded. An interval holds 95 % of what the fitted agents would do again; "
    "“off” means that what was recorded lies outside."
)
_OFTEN = (
    "Rolling windows of consecutive held-out calls: how often the interval predicted for one held "
    "what it recorded. 95 % are promised. Windows overlap and are correlated; the interval "
    "of the share allows for that."
)


def compose_backtest(
    found: Backtest,
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
) -> Document:
    """The report on a backtest, computed from its result."""
    facts = [
        ("Log", isolated(found.log)),
        ("SHA-256", found.sha256),
        ("Cut at", found.at),
        ("Replications", str(found.replications)),
        ("Seed", str(found.seed)),
        ("Versions", f"Python {platform.python_version()}, routingsim {version('routingsim')}"),
        ("To repeat", command or f"log.backtest(at={found.at!r}, seed={found.seed})"),
    ]
    run = Section("run", "What was run", blocks=(Facts(tuple(facts)), agents_table(found.pool)))
    held_out = count(found.held_out, "call")
    parts = (
        ("How sure", found.calibration_said()),
        ("Why it is off", found.causes),
        ("What it rests on", [found.done, *found.notes]),
    )
    said = tuple((name, tuple(f"{upper_first(x)}." for x in each)) for name, each in parts)
    return explained_document(
        Answer(
            "Would the simulator have predicted the rest of this log?",
            str(found),
            (*said, ("What to do next", tuple(found.then))),
            title="Answer",
        ),
        Summary(_ABOUT, (), ()),
        [*backtest_sections(found, alone=True), run],
        title=f"Backtest: {found.log}",
        subtitle=f"{count(found.fitted, 'call')} fitted, the {held_out} after them held out",
        date=date,
        data={"backtest": found.to_dict()},
    )


def backtest_sections(found: Backtest, *, alone: bool = False) -> list[Section]:
    """Figures, curves and calibration of a backtest; ``alone``, as the parts of its own report."""
    frame, often = found.to_frame(), found.calibration()
    words = (
        f"{found.figure('latency p50').recorded:.3g} s recorded at the median of latency, "
        f"{found.figure('latency p50').predicted:.3g} s predicted; at p95 "
        f"{found.figure('latency p95').recorded:.3g} s and "
        f"{found.figure('latency p95').predicted:.3g} s."
    )
    load = (
        f"On average {found.load.recorded.mean():.3g} calls under way recorded, "
        f"{found.load.predicted.mean():.3g} predicted; at most {found.load.recorded.max():.3g} and "
        f"{found.load.predicted.max():.3g}."
    )
    curves = Gallery(
        "backtest",
        (
            Picture("Latency", words, words, partial(plot_backtest_latency, found)),
            Picture("Calls under way", load, load, partial(plot_backtest_load, found)),
        ),
    )
    figures = table(
        "Predicted and recorded",
        [
            ("agent", frame["agent"]),
            ("figure", frame["figure"]),
            (Column("calls", kind="count"), frame["calls"]),
            *((Column(name), frame[name]) for name in ("recorded", "predicted", "low", "high")),
            (Column("off", "%", "percent"), frame["off"]),
            ("verdict", frame["verdict"]),
        ],
        of_row=True,
    )
    shares = [(Column(name, "%", "percent"), often[name]) for name in ("held", "low", "high")]
    calibration = table(
        "Windows in which the predicted interval held",
        [
            ("agent", often["agent"]),
            ("figure", often["figure"]),
            (Column("windows", kind="count"), often["windows"]),
            (Column("calls of each", kind="count"), often["calls"]),
            *shares,
            ("verdict", often["verdict"]),
        ],
    )
    why = [Points(tuple(f"{upper_first(each)}." for each in found.causes))] if found.causes else []
    unheld = [f"{upper_first(each)}." for each in found.calibration_said()]
    held = (
        Section("calibration", "Do its intervals hold?", (_OFTEN,), (calibration,))
        if len(often)
        else Section("calibration", "Do its intervals hold?", tuple(unheld))
    )
    return [
        Section(
            "backtest",
            "Would the simulator have predicted this log?",
            () if alone else (str(found), _ABOUT),
            (*why, curves, figures),
        ),
        held,
    ]
