"""``routingsim report``: a replay, written down to be shown."""

import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from routingsim.cli.options import OUTPUT, as_typed, spread
from routingsim.cli.scenario import Scenario
from routingsim.console import remark
from routingsim.errors import SimulationError

__all__ = ["Form", "report"]

POLICIES = ["threshold", "threshold:calibrated", "least-loaded"]


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MD = "md"
    JSON = "json"


@spread
def report(
    scenario: Scenario,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="Of the report; by default that of the file's name, or html.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write, - for standard output. Default: routing-report.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    notebook: Annotated[
        bool,
        typer.Option(
            "--notebook",
            help="Write the report as a notebook to run and edit, with these options filled in.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Replay a corpus and write the report on it: HTML, Markdown, JSON or a notebook."""
    if notebook:
        if form is not None or output == Path("-"):
            raise SimulationError(
                "--notebook goes with neither --format nor -o -: it writes a .ipynb file; "
                "name it with -o FILE"
            )
        _write_notebook(scenario, output or Path("routing-report.ipynb"))
        return
    results = scenario.run(POLICIES)
    from routingsim.report import compose, render
    from routingsim.report.html import write_report

    if output == Path("-"):
        document = compose(results, command=as_typed())
        sys.stdout.write(render(document, (form or Form.HTML).value))
        return
    path = output or Path(f"routing-report.{form or Form.HTML}")
    written = write_report(results, path, command=as_typed(), form=form.value if form else None)
    remark(f"report: {written}", style="")


def _write_notebook(scenario: Scenario, path: Path) -> None:
    """The notebook, once its corpus and agents are known to be readable."""
    from routingsim.report.notebook import write_notebook

    scenario.read()
    parameters = asdict(scenario) | {
        "policies": scenario.policy or POLICIES,
        "outages": scenario.outage or [],
        "on_error": scenario.on_error.value,
    }
    for name in ("corpus", "agents"):  # a kernel starts in the notebook's folder
        if Path(parameters[name]).is_file():
            parameters[name] = os.path.relpath(parameters[name], path.absolute().parent)
    remark(f"notebook: {write_notebook(path, parameters)}", style="")
