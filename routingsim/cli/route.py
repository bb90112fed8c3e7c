"""``routingsim route``: choose the agent of one task."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routingsim.cli.completion import complete_policy
from routingsim.cli.console import one_line, out, print_table, write_json
from routingsim.cli.options import AgentsOption, JsonOption, MapOption, option
from routingsim.formatting import short

if TYPE_CHECKING:
    from routingsim.routing import TaskRouter


def route(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="Text of the task; - reads standard input. The path of a file or folder routes "
            "each task in it: of a corpus, or of the log of a tool.",
        ),
    ],
    policy: Annotated[
        str,
        option(
            "NAME",
            "Routing policy: see routingsim policies.",
            "--policy",
            "-p",
            complete=complete_policy,
        ),
    ] = "threshold",
    agents: AgentsOption = "default",
    map: MapOption = None,
    json_to: JsonOption = None,
) -> None:
    """Show which agent would get one task, and why; or how the tasks of a file are shared out."""
    import msgspec

    from routingsim.agents import load_agents
    from routingsim.errors import RoutingSimError
    from routingsim.files import beyond, limit
    from routingsim.routing import TaskRouter

    if text == "-":
        text = sys.stdin.read(limit("ROUTINGSIM_MAX_TEXT") + 1)
    if reason := beyond("ROUTINGSIM_MAX_TEXT", len(text), "characters"):
        raise RoutingSimError(f"the task's text: {reason}")
    router = TaskRouter(load_agents(agents), policy)
    if os.path.exists(text):
        _route_file(router, text, map, json_to)
        return
    if map is not None:
        raise RoutingSimError(f"--map is for a file or a folder; there is none named {text!r}")
    decision = router.route(text)
    if json_to is not None:
        write_json("route", msgspec.to_builtins(decision), json_to)
        if json_to == Path("-"):
            return
    score = decision.complexity_score
    out.print(decision.reason, highlight=False, markup=False)
    out.print(
        f"D_var {score.d_var:.3f}: {score.factors.length:,} characters, "
        f"{score.factors.punctuation:,} punctuation marks, "
        f"{score.factors.unique_tokens:,} unique tokens",
        style="dim",
        highlight=False,
    )
    if (cost := decision.expected_cost) is not None:
        out.print(f"Expected cost: {short(cost)} USD", style="dim", highlight=False)


def _route_file(router: "TaskRouter", path: str, map: str | None, json_to: Path | None) -> None:
    """Route each task of a corpus or log, and print how many each agent gets."""
    from routingsim.corpora.datasets import load_corpus

    frame = router.route_batch(load_corpus(path, columns=map))
    if json_to is not None:
        write_json("route-file", {"tasks": frame.to_dict("records")}, json_to)
        if json_to == Path("-"):
            return
    counts = frame["agent"].value_counts()
    rows = [
        (one_line(str(agent)), f"{count:,}", f"{count / len(frame):.1%}")
        for agent, count in counts.items()
    ]
    print_table(("agent", "tasks", "share"), rows, words=("agent",))
