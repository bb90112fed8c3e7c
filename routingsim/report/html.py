"""The report as one HTML file: no scripts, no network, readable by anybody."""

import datetime
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from routingsim.errors import SimulationError
from routingsim.report.contents import compose
from routingsim.report.document import Document, Gallery
from routingsim.report.drawing import draw
from routingsim.report.formatting import number
from routingsim.simulation.result import ReplayResult

__all__ = ["render_html", "write_report"]


def write_report(
    results: Sequence[ReplayResult],
    path: str | os.PathLike[str],
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
) -> Path:
    """Write a report on one or more policies to one HTML file.

    Written beside and renamed, so that no half of it is ever there. The same results
    and date give the same bytes.

    Parameters
    ----------
    results : sequence of ReplayResult
        One a policy, all on the same corpus, agents, arrivals and seed; the first is
        what the others are compared with.
    path : path
        Where to.
    command : str, optional
        What to type to get the report again; the calls of ``replay`` by default.
    date : str or date, optional
        To print on it; today by default.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    SimulationError
        If results cannot be compared, or the file cannot be written.
    """
    path = Path(path)
    data = render_html(compose(results, command=command, date=date)).encode()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise SimulationError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def render_html(document: Document) -> str:
    """The page, drawings inline."""
    return _environment().get_template("report.html").render(document=document)


def _drawings(gallery: Gallery) -> list[Markup]:
    """SVG from matplotlib, the one markup in the page that is not escaped."""
    svgs = draw([picture.draw for picture in gallery.pictures], gallery.name, gallery.size)
    return [Markup(svg) for svg in svgs]


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
    made.tests["block"] = lambda block, kind: type(block).__name__ == kind
    return made
