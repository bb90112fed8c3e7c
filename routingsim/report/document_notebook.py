"""The report as a notebook: its text to edit, its tables as data, its plots as pictures."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from routingsim.display import markdown_text
from routingsim.report.document import Block, Column, Document, Gallery, Table
from routingsim.report.markdown import render_block, render_heading, render_opening
from routingsim.report.svg import png_plots

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_DIGITS = 4  # significant digits of a table's numbers; the JSON form has them all


def render_notebook(document: Document) -> str:
    """The report as a notebook that has been run: its tables are DataFrames in code."""
    cells = [_markdown(render_opening(document))]
    cells.append(_code("import pandas as pd", None, 1))
    for section in document.sections:
        cells.append(_markdown(render_heading(section)))
        for block in section.blocks:
            cells += _cells(block, sum(cell["cell_type"] == "code" for cell in cells) + 1)
    for k, cell in enumerate(cells):
        cell["id"] = f"cell-{k}"
    return notebook(cells)


def notebook(cells: Sequence[dict[str, Any]]) -> str:
    """The text of a notebook of these cells."""
    found = {
        "cells": list(cells),
        "metadata": {"kernelspec": KERNEL},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _cells(block: Block, count: int) -> list[dict[str, Any]]:
    if isinstance(block, Table):
        frame, code = _frame(block)
        return [_markdown(f"**{markdown_text(block.caption)}**"), _code(code, frame, count)]
    if isinstance(block, Gallery):
        return [_gallery(block)]
    return [_markdown(render_block(block))]


def _gallery(block: Gallery) -> dict[str, Any]:
    """The plots of a gallery as attachments, each with its words below."""
    found = png_plots([picture.draw for picture in block.pictures], block.size)
    lines, attachments = [], {}
    for k, (picture, data) in enumerate(zip(block.pictures, found, strict=True), 1):
        name = f"{block.name}-{k}.png"
        attachments[name] = {"image/png": base64.b64encode(data).decode()}
        lines += [f"![{markdown_text(picture.title)}](attachment:{name})"]
        lines += [markdown_text(f"{picture.title}: {picture.words}")]
    return _markdown("\n\n".join(lines)) | {"attachments": attachments}


def _frame(block: Table) -> tuple[pd.DataFrame, str]:
    """A table as a DataFrame, and the code that makes it."""
    columns = [
        name
        for column in block.columns
        for name in ([column.title, "low", "high"] if column.kind == "interval" else [column.title])
    ]
    rows = [
        tuple(
            value
            for column, cell in zip(block.columns, row, strict=True)
            for value in _values(column, cell)
        )
        for row in block.rows
    ]
    listed = "".join(f"        {row!r},\n" for row in rows)
    code = f"pd.DataFrame(\n    [\n{listed}    ],\n    columns={columns!r},\n)"
    return pd.DataFrame(rows, columns=columns), code


def _values(column: Column, cell: Any) -> list[Any]:
    """What a cell holds: of an interval the mean and both ends."""
    if column.kind != "interval":
        return [_rounded(cell)]
    mean, width, shift = (*cell, 0.0)[:3]
    if mean is None or width is None:
        return [_rounded(mean), None, None]
    return [_rounded(mean), _rounded(mean + shift - width), _rounded(mean + shift + width)]


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(text: str, shown: pd.DataFrame | None, count: int) -> dict[str, Any]:
    outputs = []
    if shown is not None:
        data = {"text/html": shown.to_html(border=1), "text/plain": shown.to_string()}
        lines = {kind: said.splitlines(keepends=True) for kind, said in data.items()}
        result = {"output_type": "execute_result", "metadata": {}, "execution_count": count}
        outputs = [result | {"data": lines}]
    return {
        "cell_type": "code",
        "metadata": {"jupyter": {"source_hidden": shown is not None}},
        "execution_count": count,
        "source": text.splitlines(keepends=True),
        "outputs": outputs,
    }
