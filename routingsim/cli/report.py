"""``routingsim report``: simulate a corpus and write a report or a notebook."""

import json
import os
import re
import sys
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from routingsim.cli.console import remark, write_json
from routingsim.cli.inputs import FITTED, DecisionInputs, ReplayInputs
from routingsim.cli.options import (
    BlocksOption,
    JsonOption,
    as_typed,
    output_option,
    spread,
    write_page,
)
from routingsim.cli.outputs import PAGE, check_output, file_option
from routingsim.cli.replay_in_blocks import run_in_blocks
from routingsim.errors import SimulationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from routingsim.evaluation.study import Study
    from routingsim.report.document import Document

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
        file_option(
            "File to write: .html, .pdf, .md, .json or, for the notebook, .ipynb; - writes to "
            "stdout. Default: routing-report.html.",
            (),
            "--output",
            "-o",
            stdout=True,
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
    json_to: JsonOption = None,
    in_blocks: BlocksOption = False,
) -> None:
    """Replay a corpus and write the report on it: HTML, Markdown, JSON or a notebook."""
    notebook = notebook or (output is not None and output.suffix.lower() == ".ipynb")
    if notebook and (form is not None or output == Path("-")):
        raise SimulationError(
            "--notebook writes a .ipynb file and allows neither --format nor -o -: name the "
            "file with -o FILE.ipynb"
        )
    path = output or Path(
        "routing-report.ipynb" if notebook else f"routing-report.{form or 'html'}"
    )
    if path != Path("-"):
        written_as = (".ipynb",) if notebook else () if form else PAGE
        check_output(path, "--output", written_as)
    from routingsim.report import compose, compose_streams, render

    asked = inputs.asked() | inputs.objectives()
    made: Callable[..., Document] = compose
    if inputs.streamed(in_blocks):
        made = compose_streams
        results = run_in_blocks(inputs, POLICIES, None, {"--notebook": notebook or None})
    else:
        results = inputs.run(POLICIES)
    if json_to is not None:
        found = json.loads(render(made(results, command=as_typed(), **asked), "json"))
        write_json("report", found, json_to)
        if output is None and not notebook:
            return
    if notebook:  # after its replays, which find errors
        remark(f"notebook: {notebook_of(inputs, POLICIES, path)}", style="")
        return
    if output == Path("-"):
        document = made(results, command=as_typed(), **asked)
        sys.stdout.write(render(document, (form or Form.HTML).value))
        return
    write_page(results, path, form=form.value if form else None, **asked)


def notebook_of(inputs: ReplayInputs, policies: list[str], path: Path) -> Path:
    """Write the report as a notebook of these inputs, and of these policies where none is named."""
    from routingsim.report.notebook import write_notebook
    from routingsim.simulation.signals import Signals

    if inputs.agents == FITTED:
        raise SimulationError(
            "--agents log: a notebook reads its agents from a file; write them with "
            f"routingsim fit {inputs.corpus} -o FILE.toml, and name it with --agents"
        )
    parameters = asdict(inputs) | {
        "policies": inputs.policy or policies,
        "outages": inputs.outage or [],
        "changes": inputs.change or [],
        "retries": inputs.retries().arguments()
        | ({"cooldown": inputs.cooldown} if inputs.cooldown else {}),
        "signals": Signals(inputs.signal_delay, inputs.routers).arguments()
        | {
            name: value
            for name, value in (
                ("hedge", inputs.hedge),
                ("discipline", inputs.discipline),
                ("tenants", inputs.tenant),
            )
            if value
        },
        "on_error": str(inputs.on_error),
        "dates": inputs.dates and str(inputs.dates),
    }
    from_there = partial(_from_there, path)
    for name in ("corpus", "agents"):
        parameters[name] = from_there(parameters[name])
    parameters["policies"] = [_within(path, name) for name in parameters["policies"]]
    if inputs.arrivals is not None:
        parameters["arrivals"] = _within(path, inputs.arrivals)
    return write_notebook(path, parameters)


def notebook_of_study(
    inputs: DecisionInputs, study: "Study", options: dict[str, Any], path: Path
) -> Path:
    """Write a notebook that repeats a study; ``options`` are further arguments of ``compare``."""
    from routingsim.report.notebook import write_study_notebook

    return write_study_notebook(
        path,
        _from_there(path, inputs.corpus),
        _from_there(path, inputs.agents),
        [_within(path, name) for name in study.policies],
        {
            name: _within(path, value) if isinstance(value, str) else value
            for name, value in options.items()
            if value is not None
        },
        inputs.asked(),
    )


def _from_there(path: Path, name: str) -> str:
    """A file's name relative to the notebook, where its kernel starts."""
    return os.path.relpath(name, path.absolute().parent) if Path(name).is_file() else name


def _within(path: Path, text: str) -> str:
    """The text with each ``trace:FILE`` and ``file:FILE`` relative to the notebook."""
    return _NAMED_FILE.sub(lambda found: _from_there(path, found[0]), text)
