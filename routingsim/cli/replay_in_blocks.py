"""``routingsim replay`` of a folder that does not fit into memory."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routingsim.cli.console import (
    print_decision,
    print_intervals,
    print_streamed,
    progress,
    remark,
    write_json,
)
from routingsim.cli.inputs import FITTED, ReplayInputs
from routingsim.cli.options import write_page
from routingsim.errors import SimulationError
from routingsim.formatting import count

if TYPE_CHECKING:
    from routingsim.simulation.stream_result import StreamedReplay

SHOWN = ("wait_mean", "latency_mean", "latency_p50", "latency_p95", "latency_p99")
"""Times of which a replay shows intervals."""


def replay_in_blocks(
    inputs: ReplayInputs,
    default: Sequence[str],
    tasks_to: Path | None,
    json_to: Path | None,
    report: Path | None,
    intervals: bool,
    others: Mapping[str, Any],
) -> None:
    """Replay the files of a folder in blocks, and print what is kept of them.

    Parameters
    ----------
    inputs : ReplayInputs
    default : sequence of str
        The policies, where none is given.
    tasks_to, json_to, report : Path, optional
        Where the rows of tasks, the result as JSON, and the report go.
    intervals : bool
        Whether intervals are asked for.
    others : mapping of str to object
        Further options by their names, None where not given: they need a replay in memory.

    Raises
    ------
    SimulationError
        If an option is given that needs one.
    """
    goal = inputs.asked() | inputs.objectives()
    results = run_in_blocks(inputs, default, tasks_to, others)
    found = [
        {name: each.interval(name) for name in interval_names(each)}
        for each in (results if intervals else ())
    ]
    if json_to is not None:
        said = [each.to_dict() for each in results]
        for policy, each in zip(said, found, strict=False):
            policy["intervals"] = {name: interval.to_dict() for name, interval in each.items()}
        stream = results[0].stream
        document = {"corpus": stream.name, "tasks": len(stream), "seed": inputs.seed}
        write_json("replay", document | {"policies": said}, json_to)
    if json_to != Path("-"):
        print_streamed(results)
        for result, each in zip(results, found, strict=False):
            print_intervals(result.policy.name, each)
        if goal["slo"] or goal["quality"] is not None:
            from routingsim.evaluation.decision import of_streams

            print_decision(of_streams(results, **goal))
    if tasks_to is not None:
        remark(f"tasks: {tasks_to}", style="")
    write_page(results, report, **goal)


def interval_names(result: "StreamedReplay") -> list[str]:
    """The times that have intervals; first tokens where answers do not come whole."""
    first = ("first_token_mean", "first_token_p95")
    return [*SHOWN, *(first if "first_token_mean" in result.overall else ())]


def run_in_blocks(
    inputs: ReplayInputs,
    default: Sequence[str],
    tasks_to: Path | None,
    others: Mapping[str, Any],
) -> "list[StreamedReplay]":
    """Replay the files of a folder in blocks under each policy; see :func:`replay_in_blocks`."""
    given = {"--tasks": inputs.tasks, **others}
    given |= {"--map": inputs.map, "--agents log": True if inputs.agents == FITTED else None}
    if refused := next((name for name, value in given.items() if value is not None), None):
        raise SimulationError(
            f"{inputs.corpus}: is replayed in blocks, and {refused} needs it in memory; leave it "
            "out, give a part of the files, or set ROUTINGSIM_STREAM_BYTES above their size"
        )
    if inputs.objective is None and "goodput" in inputs.asked()["slo"]:
        raise SimulationError(
            "--slo goodput: a replay in blocks needs --objective SECONDS, within which an answer "
            "counts"
        )
    from routingsim.agents import load_agents
    from routingsim.corpora.stream import stream_corpus
    from routingsim.simulation.replay_stream import replay_stream
    from routingsim.simulation.task_sink import TaskSink

    sink = nullcontext() if tasks_to is None else TaskSink(tasks_to)
    dates = None if inputs.dates is None else str(inputs.dates)
    stream = stream_corpus(inputs.corpus, on_error=str(inputs.on_error), dates=dates)
    files = count(len(stream.files), "file")
    remark(f"{inputs.corpus}: {len(stream):,} tasks in {files}, in blocks")
    pool, conditions = load_agents(inputs.agents), inputs.conditions()
    conditions |= {"service": inputs.service, "warm_up": inputs.warm_up} | inputs.objectives()
    with sink as to:
        return [
            replay_stream(
                *(stream, pool, name),
                to=to,
                arrivals=inputs.arrivals,
                seed=inputs.seed,
                **conditions,
            )
            for name in progress(inputs.policy or default, "policies")
        ]
