"""The report as one file: HTML without network or (unless asked) scripts, PDF, Markdown, JSON."""

import datetime
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from routingsim.errors import SimulationError
from routingsim.evaluation.backtest_result import Backtest
from routingsim.evaluation.capacity_answer import Capacity
from routingsim.evaluation.study import Study
from routingsim.evaluation.sweeps.result import Sweep
from routingsim.evaluation.whatif_result import WhatIf
from routingsim.files import written
from routingsim.formatting import number
from routingsim.report.backtest_report import compose_backtest
from routingsim.report.capacity_report import compose_capacity
from routingsim.report.document import Document, Gallery, aligned
from routingsim.report.document_notebook import render_notebook
from routingsim.report.explore import page
from routingsim.report.markdown import render_json, render_markdown
from routingsim.report.pdf import print_page
from routingsim.report.replay_report import as_results, compose
from routingsim.report.stream_report import compose_streams
from routingsim.report.study_report import compose_study
from routingsim.report.svg import svg_plots
from routingsim.report.sweep_report import compose_sweep
from routingsim.report.whatif_report import compose_whatif
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stream_result import StreamedReplay
from routingsim.synonyms import argument_hints

Form = Literal["html", "pdf", "md", "json", "ipynb"]
"""The formats of a report."""

ENDINGS: Mapping[str, Form] = {
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".md": "md",
    ".json": "json",
    ".ipynb": "ipynb",
}
"""What a path ends in, for each format."""

_COMPOSE: Mapping[type, Callable[..., Document]] = {
    Study: compose_study,
    Sweep: compose_sweep,
    Backtest: compose_backtest,
    WhatIf: compose_whatif,
    Capacity: compose_capacity,
}


@argument_hints
def write_report(
    shown: ReplayResult
    | StreamedReplay
    | Sequence[ReplayResult]
    | Sequence[StreamedReplay]
    | Study
    | Sweep
    | Backtest
    | WhatIf
    | Capacity,
    path: str | os.PathLike[str],
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
    form: Form | None = None,
    explore: bool = False,
    **asked: Any,
) -> Path:
    """Write a report on policies, on a log's backtest or on a question of capacity, to one file.

    HTML, PDF, Markdown, JSON or a notebook, as the path ends in ``.html``, ``.pdf``, ``.md``,
    ``.json`` or ``.ipynb``. A notebook has the text, the tables as data, and the plots.
    The same results and date give the same bytes, but for a PDF.

    Parameters
    ----------
    shown : ReplayResult or StreamedReplay or several, Study, Sweep, Backtest, WhatIf or Capacity
        One result a policy, all on the same corpus, agents, arrivals and seed; the first
        is what the others are compared with. Or what :func:`routingsim.compare`,
        :func:`routingsim.sweep`, :func:`routingsim.capacity`, :meth:`.CallLog.backtest` or
        :meth:`.CallLog.whatif` returns.
    path : path
        The file to write.
    command : str, optional
        What to type to get the report again; the calls in Python by default.
    date : str or date, optional
        To print on it; today by default.
    form : {"html", "pdf", "md", "json", "ipynb"}, optional
        By default what the path ends in.
    explore : bool
        Add the view of :mod:`routingsim.report.explore` to an HTML report on replays; it is
        the only script in it.
    **asked
        ``slo``, ``quality`` and ``baseline`` of
        :meth:`routingsim.evaluation.study.Study.decision`, which the report leads with.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SimulationError
        If the path ends in anything else and no ``form`` is given, ``shown`` is something else,
        results cannot be compared or explored, or the file cannot be written.
    """
    path = Path(path)
    form = form or ENDINGS.get(path.suffix.lower())
    if form is None:
        raise SimulationError(
            f"{path}: name a report with .html, .pdf, .md, .json or .ipynb at its end"
        )
    if explore and (form != "html" or type(shown) in _COMPOSE):
        raise SimulationError(f"{path}: the interactive view is of HTML reports on replays")
    several = isinstance(shown, Sequence)
    blocks = isinstance(shown[0] if several and shown else shown, StreamedReplay)
    if blocks and explore:
        raise SimulationError(f"{path}: a replay in blocks keeps no tasks to explore")
    make: Callable[..., Document] = _COMPOSE.get(type(shown), compose)
    make = compose_streams if blocks else make
    document = make(shown, command=command, date=date, **asked)
    view = page(as_results(shown)) if explore else ""
    text = render(document, "html" if form == "pdf" else form, view)
    with written(path, SimulationError) as file:
        if form == "pdf":
            print_page(text, file)
        else:
            file.write_text(text, encoding="utf-8", newline="\n")
    return path


def render(document: Document, form: Literal["html", "md", "json", "ipynb"], view: str = "") -> str:
    """The document in one of the formats of a report.

    An HTML page has its plots inline, and the interactive ``view``, itself HTML.
    """
    document = replace(document, sections=aligned(document.sections))
    if form == "html":
        template = _environment().get_template("report.html")
        return template.render(document=document, view=Markup(view))
    as_text = {"md": render_markdown, "json": render_json, "ipynb": render_notebook}
    return as_text[form](document)


def _drawings(gallery: Gallery) -> list[Markup]:
    """The plots as SVG, the only markup in the page that is not escaped."""
    drawings = [picture.draw for picture in gallery.pictures]
    return list(map(Markup, svg_plots(drawings, gallery.name, gallery.size)))


def _coded(sentence: str) -> Markup:
    """A sentence, escaped, in which what stands between backquotes is code.

    Browsers break lines at hyphens, and would cut ``--seed`` in two.
    """

    def code(found: re.Match[str]) -> str:
        options = re.sub("(--[a-z-]+)", r'<span class="whole">\1</span>', found[1])
        return f"<code>{options}</code>"

    return Markup(re.sub("`([^`]+)`", code, str(escape(sentence))))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("routingsim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["drawings"] = _drawings
    made.filters["number"] = number
    made.filters["coded"] = _coded
    made.tests["block"] = lambda block, kind: type(block).__name__ == kind
    return made
