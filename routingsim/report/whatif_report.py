"""The report on a what-if: the policies' report, with the backtest that says how far it holds."""

import datetime
from dataclasses import replace

from routingsim.evaluation.whatif_result import WhatIf
from routingsim.formatting import upper_first
from routingsim.report.backtest_report import backtest_sections
from routingsim.report.document import Column, Document, Points, Section, table
from routingsim.report.figures import METRICS
from routingsim.report.replay_report import compose


def compose_whatif(
    found: WhatIf,
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
) -> Document:
    """The report on a what-if, computed from its result."""
    document = compose(found.results, command=command, date=date)
    frame = found.to_frame()
    times = ("latency_p50", "latency_p95", "latency_p99", "wait_mean")
    words = {None: "", True: "yes", False: "no: within the simulator’s error"}
    rows = table(
        "Against the log",
        [
            ("policy", frame["policy"]),
            *((METRICS[name], frame[name]) for name in ("answered", *times)),
            (METRICS["cost_total"], frame["cost"]),
            (Column("p95 change", "%", "percent"), frame["p95_change"]),
            ("believe", [words[each] for each in frame["believed"].tolist()]),
            ("verdict", frame["stability"]),
        ],
    )
    asked = upper_first(found.question or "other policies on the traffic of the log")
    below = Points(tuple(f"{upper_first(each, ['p95'])}." for each in found.below()))
    section = Section("whatif", "What if?", (f"{asked}. {found.backtest}",), (rows, below))
    *shown, glossary = document.sections
    answer = document.answer
    if found.question:
        which = f"{answer.asked[:1].lower()}{answer.asked[1:]}"
        answer = replace(answer, asked=f"With {found.question}: {which}")
    return replace(
        document,
        title=f"What if: {found.log}",
        answer=answer,
        sections=(section, *shown, *backtest_sections(found.backtest), glossary),
        data={"whatif": found.to_dict(), **document.data},
    )
