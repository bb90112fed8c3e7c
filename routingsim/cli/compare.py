"""``routingsim compare``: policies at several loads, again and again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from routingsim.cli.console import print_study, remark, write_json
from routingsim.cli.options import (
    LOAD,
    OUTPUT,
    Inputs,
    JsonOption,
    ReportOption,
    as_typed,
    spread,
)
from routingsim.errors import SimulationError

__all__ = ["compare"]


@spread
def compare(
    inputs: Inputs,
    loads: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="Shares of the pool's capacity, separated by commas. Default: 0.3,0.6,0.9.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="RATES",
            help="Tasks a second instead of loads, separated by commas.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    arrivals: Annotated[
        str | None,
        typer.Option(
            metavar="PROCESS",
            help="Shape of the arrivals, scaled to each load: gamma:1,cv=2, corpus, trace:FILE, … "
            "Default: Poisson.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    replications: Annotated[
        int, typer.Option(metavar="N", help="Runs of each policy at each load.")
    ] = 20,
    objective: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Seconds within which an answer counts for goodput. Default: 3 x the "
            "slowest agent's mean service time.",
        ),
    ] = None,
    right: Annotated[
        float, typer.Option(metavar="Q", help="Least quality of a right answer.")
    ] = 0.5,
    controls: Annotated[bool, typer.Option(help="Run the controls beside the policies.")] = True,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of finished parts, to go on with after a break."),
    ] = None,
    report: ReportOption = None,
    runs_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every run here: .csv, .parquet or .jsonl, by the file's name.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_to: JsonOption = None,
) -> None:
    """Compare policies at several loads, with intervals, verdicts and controls."""
    from tqdm import tqdm

    from routingsim.evaluation.compare import compare as run
    from routingsim.simulation.scenario import other_agents

    corpus, pool = inputs.read()
    with tqdm(unit="cell", delay=1.0, file=sys.stderr, disable=None) as bar:

        def show(done: int, whole: int) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        study = run(
            corpus,
            pool,
            inputs.policy or ["threshold", "threshold:calibrated", "least-loaded"],
            loads=_numbers(loads, "--loads"),
            rates=_numbers(rates, "--rates"),
            arrivals=arrivals,
            replications=replications,
            tasks=inputs.tasks,
            seed=inputs.seed,
            objective=objective,
            right=right,
            service=inputs.service,
            controls=controls,
            progress=show,
            resume=resume,
        )
    if json_to is not None:
        write_json(study.to_dict(), json_to)
    if json_to != Path("-"):
        print_study(study)
        if said := other_agents(corpus, pool):
            remark(f"note: {said}")
    if runs_to is not None:
        remark(f"runs: {study.write(runs_to)}", style="")
    if report is not None:
        from routingsim.report.html import write_report

        remark(f"report: {write_report(study, report, command=as_typed())}", style="")


def _numbers(text: str | None, option: str) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SimulationError(
            f"{option} {text!r}: numbers separated by commas are needed, as 0.3,0.6,0.9"
        ) from None
