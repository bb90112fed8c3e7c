"""A report as a notebook: every table is data that runs, every plot a picture."""

import contextlib
import io

import nbformat
import pandas as pd
import pytest

from routingsim.report.document import (
    Answer,
    Column,
    Document,
    Gallery,
    Picture,
    Points,
    Section,
    Summary,
    table,
)
from routingsim.report.document_notebook import render_notebook
from routingsim.report.html import render
from routingsim.report.replay_report import compose
from routingsim.simulation.result import ReplayResult

TABLE = table(
    "Figures *of* all",
    [
        ("policy", ["a | b", "c"]),
        (Column("runs", kind="count"), [3, None]),
        (Column("quality", "0–1", "interval"), [(0.98, 0.03, -0.01), (None, None)]),
        (Column("p95", "s", "interval"), [(1.23456789, 0.1), (2.0, None)]),
    ],
)
DOCUMENT = Document(
    title="A title",
    subtitle="of it",
    date="2026-01-01",
    answer=Answer("Which?", "This one.", ()),
    summary=Summary("Verdict.", (), ()),
    cards=(),
    sections=(
        Section("one", "One", ("Said.",), (TABLE, Points(("A point.",)))),
        Section(
            "two",
            "Two",
            blocks=(Gallery("g", (Picture("P", "", "In words.", lambda ax: ax.plot([0, 1])),)),),
        ),
    ),
    data={},
)


def run(text: str) -> list[pd.DataFrame]:
    """The tables of a notebook, each as its code makes it and as its output shows it."""
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    names, found = {}, []
    for cell in notebook.cells:
        if cell.cell_type == "code" and not cell.outputs:
            exec(cell.source, names)
        elif cell.cell_type == "code":
            found.append(eval(cell.source, names))
            assert cell.outputs[0].data["text/plain"] == found[-1].to_string()
    return found


def test_a_table_is_a_frame_with_the_ends_of_intervals() -> None:
    (frame,) = run(render_notebook(DOCUMENT))
    assert list(frame) == [
        "policy",
        "runs",
        "quality (0–1)",
        "low",
        "high",
        "p95 (s)",
        "low",
        "high",
    ]
    assert frame.iloc[0].tolist() == ["a | b", 3, 0.98, 0.94, 1.0, 1.235, 1.135, 1.335]
    assert frame.iloc[1].isna().tolist() == [False, True, True, True, True, False, True, True]


def test_text_and_plots_are_there_before_it_is_run() -> None:
    text = render_notebook(DOCUMENT)
    assert text.startswith('{\n "cells": [\n  {\n')  # as Jupyter writes it, for small diffs
    notebook = nbformat.reads(text, as_version=4)
    first, *_, last = notebook.cells
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == [1, 2]
    assert first.source.startswith("# A title\n\nof it. 2026-01-01")
    assert "**This one.**" in first.source
    assert last.source == "![P](attachment:g-1.png)\n\nP: In words."
    assert last.attachments["g-1.png"]["image/png"].startswith("iVBOR")
    assert render_notebook(DOCUMENT) == render_notebook(DOCUMENT)


@pytest.mark.slow
def test_a_report_on_replays_runs(results: list[ReplayResult]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        found = run(render(compose(results, date="2026-01-01"), "ipynb"))
    assert len(found) > 5
