"""``routingsim report``: simulate a corpus and write a report or a notebook."""

import os
import re
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from routingsim.cli.console import remark
from routingsim.cli.options import ReplayInputs, as_typed, output_option, spread
from routingsim.errors import SimulationError

POLICIES = ["threshold", "threshold:calibrated", "least-loaded"]
_NAMED_FILE = re.compile(r'(?<=\btrace:")[^"]+|(?:(?<=\btrace:)|(?<=\bfile:))[^",]+?(?=,|\s\+\s|$)')


Form = StrEnum("Form", {"HTML": "html", "MD": "md", "JSON": "json"})


@spread
def report(
    inputs: ReplayInputs,
    form: Annotated[
        Form | None,
        output_option(
            None, "Format of the report. Default: by the suffix of --output.", "--format"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option(
            "FILE",
            "File to write; - writes to stdout. Default: routing-report.html.",
            "--output",
            "-o",
        ),
    ] = None,
    notebook: Annotated[
        bool,
        output_option(
            None,
            "Write the report as a notebook with these options filled in, to run and edit.",
            "--notebook",
        ),
    ] = False,
) -> None:
    """Replay a corpus and write the report on it: HTML, Markdown, JSON or a notebook."""
    if notebook:
        if form is not None or output == Path("-"):
            raise SimulationError(
                "--notebook writes a .ipynb file and allows neither --format nor -o -: name the "
                "file with -o FILE"
            )
        _write_notebook(inputs, output or Path("routing-report.ipynb"))
        return
    results = inputs.run(POLICIES)
    from routingsim.report import compose, render
    from routingsim.report.html import write_report

    if output == Path("-"):
        document = compose(results, command=as_typed())
        sys.stdout.write(render(document, (form or Form.HTML).value))
        return
    path = output or Path(f"routing-report.{form or Form.HTML}")
    written = write_report(results, path, command=as_typed(), form=form.value if form else None)
    remark(f"report: {written}", style="")


def _write_notebook(inputs: ReplayInputs, path: Path) -> None:
    """Write the notebook, after running its replays to find errors."""
    from routingsim.report.notebook import write_notebook

    inputs.run(POLICIES)
    parameters = asdict(inputs) | {
        "policies": inputs.policy or POLICIES,
        "outages": inputs.outage or [],
        "on_error": str(inputs.on_error),
        "dates": inputs.dates and str(inputs.dates),
    }
    folder = path.absolute().parent  # where the notebook's kernel starts

    def from_there(name: str) -> str:
        return os.path.relpath(name, folder) if Path(name).is_file() else name

    def within(text: str) -> str:
        """The text with each ``trace:FILE`` and ``file:FILE`` relative to the notebook."""
        return _NAMED_FILE.sub(lambda found: from_there(found[0]), text)

    for name in ("corpus", "agents"):
        parameters[name] = from_there(parameters[name])
    parameters["policies"] = [within(name) for name in parameters["policies"]]
    if inputs.arrivals is not None:
        parameters["arrivals"] = within(inputs.arrivals)
    remark(f"notebook: {write_notebook(path, parameters)}", style="")
