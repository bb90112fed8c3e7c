"""``routingsim sweep``: many settings of policies, agents and loads, by a plan."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routingsim.cli.console import print_frame, print_said, remark, write_json
from routingsim.cli.options import JsonOption, ReportOption, Workers, spread, write_page
from routingsim.cli.outputs import TABLE, file_option

if TYPE_CHECKING:
    from routingsim.evaluation.sweeps.result import Sweep


@spread
def sweep(
    workers: Workers,
    plan: Annotated[
        Path,
        typer.Argument(metavar="PLAN", help="TOML file: what is run, and what is varied."),
    ],
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder in which each cell is saved as it ends, and from which a sweep resumes. "
            "Default: PLAN.results beside the plan.",
            rich_help_panel="Output",
        ),
    ] = None,
    cells_to: Annotated[
        Path | None,
        file_option("Write a row per cell to FILE.csv, FILE.parquet or FILE.jsonl.", TABLE),
    ] = None,
    report: ReportOption = None,
    json_to: JsonOption = None,
) -> None:
    """Run many settings of policies, agents, arrivals and seeds; resume an interrupted sweep.

    With the same plan and folder, finished cells are not run again. Cells
    that fail are listed and do not stop the rest; the exit code is then 1.
    """
    from routingsim.evaluation.sweeps.plan_file import read_plan
    from routingsim.evaluation.sweeps.sweep import sweep as run
    from routingsim.simulation.export import write_table

    given = read_plan(plan)
    beside = given.pop("results")
    folder = beside if results is None else results
    with workers.execution() as where:
        try:
            found = run(**given, results=folder, **where)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"finished cells are saved in {folder}; run it again to resume"
            ) from None
    failed = found.failed
    if json_to is not None:
        write_json("sweep", found.to_dict(), json_to)
    if json_to != Path("-"):
        print_said(str(found))
        if found.has_figures:
            _print_best(found)
    for row in failed.to_dict("records"):
        at = ", ".join(f"{name}={row[name]}" for name in found.varied)
        remark(f"failed: {at}: {row['error']}", style="red")
    remark(f"results: {folder}", style="")
    if cells_to is not None:
        remark(f"cells: {write_table(found.to_frame(), cells_to)}", style="")
    write_page(found, report)
    if len(failed):
        remark(f"tracebacks of the {len(failed):,} failed cells: column traceback in {folder}")
        sys.exit(1)


def _print_best(found: "Sweep") -> None:
    figures = dict.fromkeys((found.ranked_by, "cost", "latency_p95", "quality"))
    frame = found.best()
    kept = [name for name in figures if frame[name].notna().to_numpy().any()]
    frame = frame.loc[:, [*found.varied, *kept, "verdict"]]
    short = {name: name.removeprefix("policy.").removeprefix("pool.") for name in found.varied}
    print_frame(frame.rename(columns=short), spare=("quality", "latency_p95", "cost", "verdict"))
