"""``routingsim report``: a replay, written down to be shown."""

import os
import re
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from routingsim.cli.console import remark
from routingsim.cli.options import OUTPUT, as_typed, spread
from routingsim.cli.scenario import Scenario
from routingsim.errors import SimulationError

__all__ = ["Form", "report"]

POLICIES = ["threshold", "threshold:calibrated", "least-loaded"]
_NAMED_FILE = re.compile(r'(?<=\btrace:")[^"]+|(?:(?<=\btrace:)|(?<=\bfile:))[^",]+?(?=,|\s\+\s|$)')


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
    """The notebook, once its replays are known to run."""
    from routingsim.report.notebook import write_notebook

    scenario.run(POLICIES)
    parameters = asdict(scenario) | {
        "policies": scenario.policy or POLICIES,
        "outages": scenario.outage or [],
        "on_error": scenario.on_error.value,
    }
    folder = path.absolute().parent  # where the notebook's kernel starts

    def from_there(name: str) -> str:
        return os.path.relpath(name, folder) if Path(name).is_file() else name

    def within(text: str) -> str:
        """The same for ``trace:FILE`` and ``file:FILE``, quoted or not, options after it."""
        return _NAMED_FILE.sub(lambda found: from_there(found[0]), text)

    for name in ("corpus", "agents"):
        parameters[name] = from_there(parameters[name])
    parameters["policies"] = [within(name) for name in parameters["policies"]]
    if scenario.arrivals is not None:
        parameters["arrivals"] = within(scenario.arrivals)
    remark(f"notebook: {write_notebook(path, parameters)}", style="")
