"""``routingsim replay``: a corpus through the agents, in virtual time."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from routingsim.cli.console import print_results, remark, write_json
from routingsim.cli.live import play_live
from routingsim.cli.options import OUTPUT, JsonOption, ReportOption, as_typed, spread
from routingsim.cli.scenario import Scenario

__all__ = ["replay"]


@spread
def replay(
    scenario: Scenario,
    report: ReportOption = None,
    tasks_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every task here: .csv, .parquet or .jsonl, by the file's name.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    trace_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the schedule here as Chrome-trace JSON, to open in Perfetto.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_to: JsonOption = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Publish the replay on Redis and WebSocket as it runs.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    speed: Annotated[
        float,
        typer.Option(
            metavar="TIMES",
            help="With --live: times real time; 60 plays an hour in a minute.",
            rich_help_panel=OUTPUT,
        ),
    ] = 60.0,
    start: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="With --live: begin so many seconds into the replay.",
            rich_help_panel=OUTPUT,
        ),
    ] = 0.0,
) -> None:
    """Replay a corpus through the agents under one or more policies, in virtual time."""
    if live:
        from routingsim.live.publisher.playback import check_pace

        check_pace(speed, start)
    results = scenario.run(["threshold"])
    if live:
        play_live(results, speed, start)
    corpus = results[0].corpus
    document = {
        "corpus": corpus.name if corpus is not None else None,
        "tasks": len(results[0]),
        "seed": scenario.seed,
        "policies": [result.to_dict() for result in results],
    }
    if json_to is not None:
        write_json(document, json_to)
    if json_to != Path("-"):
        print_results(results)
        if report is None:
            _say_what_next(scenario)
    if tasks_to is not None or trace_to is not None:
        from routingsim.simulation.export import write_tasks, write_trace

        if tasks_to is not None:
            remark(f"tasks: {write_tasks(results, tasks_to)}", style="")
        if trace_to is not None:
            remark(f"trace: {write_trace(results, trace_to)}", style="")
    if report is not None:
        from routingsim.report.html import write_report

        remark(f"report: {write_report(results, report, command=as_typed())}", style="")


def _say_what_next(scenario: Scenario) -> None:
    """The two commands that most readers of a table want next, with their own corpus and agents."""
    given = [scenario.corpus]
    if scenario.agents != "default":
        given += ["--agents", scenario.agents]
    policies = [word for name in scenario.policy or [] for word in ("-p", name)]
    for what, command in (("to show it", "report"), ("for intervals, at several loads", "compare")):
        remark(f"{what}: {shlex.join(['routingsim', command, *given, *policies])}")
