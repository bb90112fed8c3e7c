"""``routingsim replay``: simulate a corpus under one or more policies."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from routingsim.cli.console import (
    err,
    print_decision,
    print_estimates,
    print_intervals,
    print_results,
    remark,
    write_json,
)
from routingsim.cli.inputs import ReplayInputs
from routingsim.cli.live import play_live
from routingsim.cli.options import (
    BlocksOption,
    JsonOption,
    ReportOption,
    output_option,
    spread,
    write_page,
)
from routingsim.cli.outputs import TABLE, file_option
from routingsim.cli.replay_in_blocks import SHOWN, replay_in_blocks
from routingsim.cli.report import notebook_of
from routingsim.errors import SimulationError

DEFAULT = ["threshold"]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from routingsim.evaluation.estimate import Estimates
    from routingsim.simulation.result import ReplayResult
    from routingsim.simulation.statistics import Interval


@spread
def replay(
    inputs: ReplayInputs,
    report: ReportOption = None,
    explore: Annotated[
        bool,
        output_option(
            None, "With --report FILE.html: add an interactive view, the only script in the page."
        ),
    ] = False,
    tasks_to: Annotated[
        Path | None,
        file_option(
            "Write a row per task to FILE.csv, FILE.parquet or FILE.jsonl; of a corpus that is "
            "replayed in blocks to FILE.parquet or a new folder.",
            TABLE,
            folder=True,
        ),
    ] = None,
    trace_to: Annotated[
        Path | None,
        file_option("Write the schedule as Chrome-trace JSON, to open in Perfetto.", (".json",)),
    ] = None,
    json_to: JsonOption = None,
    in_blocks: BlocksOption = False,
    intervals: Annotated[
        bool,
        output_option(
            None, "Run each policy again under further seeds, for 95 % intervals.", "--intervals"
        ),
    ] = False,
    precision: Annotated[
        float | None,
        output_option(
            "SHARE",
            "With --intervals: add runs until each half-width is this share of its mean.",
            "--precision",
        ),
    ] = None,
    days: Annotated[
        bool,
        output_option(
            None,
            "With --intervals and recorded arrivals: intervals for other days like this one.",
            "--days",
        ),
    ] = False,
    live: Annotated[
        bool, output_option(None, "Publish the replay on Redis and WebSocket as it runs.", "--live")
    ] = False,
    speed: Annotated[
        float,
        output_option(
            "FACTOR", "With --live: speed relative to real time; 60 plays an hour in a minute."
        ),
    ] = 60.0,
    start: Annotated[
        float, output_option("SECONDS", "With --live: start at this second of the replay.")
    ] = 0.0,
) -> None:
    """Replay a corpus through the agents under one or more policies, in virtual time.

    A folder of more than 512 MB of Parquet, JSON lines or CSV files is replayed in blocks, in
    under 2 GB of memory; --in-blocks does so with any folder or file.
    """
    if (precision is not None or days) and not intervals:
        raise SimulationError("--precision and --days are of --intervals: add --intervals")
    if explore and (report is None or report.suffix.lower() not in (".html", ".htm")):
        raise SimulationError("--explore needs --report FILE.html, to which it adds a view")
    goal = inputs.asked() | inputs.objectives()
    if inputs.streamed(in_blocks):
        others = {"--explore": explore or None, "--trace-to": trace_to, "--live": live or None}
        others |= {"--precision": precision, "--days": days or None}
        replay_in_blocks(inputs, DEFAULT, tasks_to, json_to, report, intervals, others)
        return
    if tasks_to is not None and tasks_to.is_dir():
        raise SimulationError(f"{tasks_to}: is a folder; name a file in it")
    if tasks_to is not None and not tasks_to.suffix:
        raise SimulationError(
            f"--tasks-to {tasks_to}: a folder is for a corpus that is replayed in blocks; name "
            "FILE.parquet, FILE.csv or FILE.jsonl"
        )
    if live:
        from routingsim.live.publisher.playback import check_pace

        check_pace(speed, start)
    results = inputs.run(DEFAULT)
    from routingsim.evaluation.decision import of_replays as decision_on
    from routingsim.evaluation.objective import asked_objective

    if live:
        play_live(results, speed, start)
    estimates = _estimates(results)
    asked: dict[str, Any] = {"precision": precision, "days": days, "progress": err.is_terminal}
    found = [
        {metric: each.interval(metric, **asked) for metric in _shown(each)}
        for each in (results if intervals else [])
    ]
    if json_to is not None:
        write_json("replay", _document(results, inputs.seed, estimates, found), json_to)
    if json_to != Path("-"):
        print_results(results, asked_objective(results, **goal))
        for result, each in zip(results, found, strict=False):
            print_intervals(result.policy.name, each)
        for field, each in estimates.items():
            print_estimates(each, field)
        # A report leads with the decision, so it has been worked out.
        if goal["slo"] or goal["quality"] is not None or (report is not None and results[1:]):
            print_decision(decision_on(results, **goal))
        if report is None:
            _suggest(inputs)
    if tasks_to is not None:
        from routingsim.simulation.export import write_tasks

        remark(f"tasks: {write_tasks(results, tasks_to)}", style="")
    if trace_to is not None:
        from routingsim.simulation.export import write_trace

        remark(f"trace: {write_trace(results, trace_to)}", style="")
    if report is not None and report.suffix.lower() == ".ipynb":
        remark(f"report: {notebook_of(inputs, DEFAULT, report)}", style="")
    else:
        write_page(results, report, explore=explore, **goal)


def _shown(result: "ReplayResult") -> list[str]:
    """The times that have intervals; first tokens where answers do not come whole."""
    first = ("first_token_mean", "first_token_p95") if result.work.first.size else ()
    return [*SHOWN, *first]


def _estimates(results: "list[ReplayResult]") -> "dict[str, Estimates]":
    """Estimates of quality and of cost, where the corpus is a log with one answer a task."""
    if "log" not in (results[0].basis.kind, results[0].cost_basis.kind):
        return {}
    from routingsim.evaluation.partial import replay_estimates  # takes a second to load

    found = {field: replay_estimates(results, field) for field in ("quality", "cost")}
    return {field: each for field, each in found.items() if each is not None}


def _document(
    results: "list[ReplayResult]",
    seed: int,
    estimates: "Mapping[str, Estimates]",
    intervals: "Sequence[Mapping[str, Interval]]",
) -> dict[str, Any]:
    """What ``--json`` writes."""
    from routingsim.simulation.recovery import as_dicts

    corpus = results[0].corpus
    policies = [result.to_dict() for result in results]
    for policy, each in zip(policies, intervals, strict=False):
        policy["intervals"] = {metric: found.to_dict() for metric, found in each.items()}
    if intervals:
        for policy, result in zip(policies, results, strict=True):
            policy["recovery"] = as_dicts(result.recovery())
    document = {
        "corpus": corpus.name if corpus is not None else None,
        "tasks": len(results[0]),
        "seed": seed,
        "policies": policies,
    }
    if estimates:
        document["estimates"] = {field: each.to_dict() for field, each in estimates.items()}
    return document


def _suggest(inputs: ReplayInputs) -> None:
    """Name what readers of a table need next, of the same inputs."""
    given = [inputs.corpus]
    if inputs.agents != "default":
        given += ["--agents", inputs.agents]
    given += [word for name in inputs.policy or [] for word in ("-p", name)]
    remark(f"as a report: {shlex.join(['routingsim', 'report', *given])}")
    again = shlex.join(["routingsim", "compare", *given])
    remark(f"with intervals, at several loads: {again}")
