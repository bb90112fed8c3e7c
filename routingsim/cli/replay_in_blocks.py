"""``routingsim replay`` of a folder that does not fit into memory."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from routingsim.cli.console import print_intervals, print_streamed, progress, remark, write_json
from routingsim.cli.inputs import FITTED, ReplayInputs
from routingsim.errors import SimulationError


def replay_in_blocks(
    inputs: ReplayInputs,
    default: Sequence[str],
    tasks_to: Path | None,
    json_to: Path | None,
    intervals: bool,
    others: Mapping[str, Any],
) -> None:
    """Replay the files of a folder in blocks, and print what is kept of them.

    Parameters
    ----------
    inputs : ReplayInputs
    default : sequence of str
        The policies, where none is given.
    tasks_to : Path, optional
        Where the rows of tasks go.
    json_to : Path, optional
        Where the result goes as JSON.
    intervals : bool
        Whether intervals are asked for.
    others : mapping of str to object
        Further options by their names, None where not given: they need a replay in memory.

    Raises
    ------
    SimulationError
        If an option is given that needs one.
    """
    given = {"--tasks": inputs.tasks, "--tenant": inputs.tenant, "--slo": inputs.slo}
    given |= {"--quality": inputs.quality, "--baseline": inputs.baseline, **others}
    given["--agents log"] = True if inputs.agents == FITTED else None
    if refused := next((name for name, value in given.items() if value is not None), None):
        raise SimulationError(
            f"{inputs.corpus}: is too large to load whole, and {refused} needs that; leave it out, "
            "give a part of the files, or set ROUTINGSIM_STREAM_BYTES above their size"
        )
    from routingsim.agents import load_agents
    from routingsim.corpora.stream import stream_corpus
    from routingsim.simulation.replay_stream import replay_stream
    from routingsim.simulation.task_sink import TaskSink

    sink = nullcontext() if tasks_to is None else TaskSink(tasks_to)
    dates = None if inputs.dates is None else str(inputs.dates)
    stream = stream_corpus(inputs.corpus, on_error=str(inputs.on_error), dates=dates)
    remark(f"{inputs.corpus}: {len(stream):,} tasks in {len(stream.files):,} files, in blocks")
    pool, conditions = load_agents(inputs.agents), inputs.conditions()
    del conditions["tenants"]
    conditions |= {"service": inputs.service, "warm_up": inputs.warm_up}
    with sink as to:
        results = [
            replay_stream(
                *(stream, pool, name),
                to=to,
                arrivals=inputs.arrivals,
                seed=inputs.seed,
                **conditions,
            )
            for name in progress(inputs.policy or default, "policies")
        ]
    if json_to is not None:
        said = [each.to_dict() for each in results]
        document = {"corpus": stream.name, "tasks": len(stream), "seed": inputs.seed}
        write_json("replay", document | {"policies": said}, json_to)
    if json_to != Path("-"):
        print_streamed(results)
        for each in results if intervals else ():
            found = {name: each.interval(name) for name in ("wait_mean", "latency_mean")}
            print_intervals(each.policy.name, found)
    if tasks_to is not None:
        remark(f"tasks: {tasks_to}", style="")
