"""``routingsim report``: a replay, written down to be shown."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from routingsim.cli.options import OUTPUT, as_typed, spread
from routingsim.cli.scenario import Scenario
from routingsim.console import remark

__all__ = ["Form", "report"]


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
) -> None:
    """Replay a corpus and write the report on it: HTML, Markdown or JSON."""
    results = scenario.run(["threshold", "threshold:calibrated", "least-loaded"])
    from routingsim.report import compose, render
    from routingsim.report.html import write_report

    if output == Path("-"):
        document = compose(results, command=as_typed())
        sys.stdout.write(render(document, (form or Form.HTML).value))
        return
    path = output or Path(f"routing-report.{form or Form.HTML}")
    written = write_report(results, path, command=as_typed(), form=form.value if form else None)
    remark(f"report: {written}", style="")
