"""``routingsim route``: choose the agent of one task."""

import sys
from typing import Annotated

import typer

from routingsim.cli.console import out, write_json
from routingsim.cli.options import AgentsOption, JsonOption, option


def route(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="Text of the task; - reads standard input.")
    ],
    policy: Annotated[
        str, option("NAME", "Routing policy: see [bold]routingsim policies[/].", "--policy", "-p")
    ] = "threshold",
    agents: AgentsOption = "default",
    json_to: JsonOption = None,
) -> None:
    """Show which agent would get one task, and why."""
    import msgspec

    from routingsim.agents import load_agents
    from routingsim.errors import RoutingSimError
    from routingsim.files import beyond, limit
    from routingsim.routing import TaskRouter

    if text == "-":
        text = sys.stdin.read(limit("ROUTINGSIM_MAX_TEXT") + 1)
    if reason := beyond("ROUTINGSIM_MAX_TEXT", len(text), "characters"):
        raise RoutingSimError(f"the task's text: {reason}")
    decision = TaskRouter(load_agents(agents), policy).route(text)
    if json_to is not None:
        write_json(msgspec.to_builtins(decision), json_to)
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
