"""``routingsim log-size``: how many tasks a log needs to estimate other policies from it."""

import dataclasses
from pathlib import Path
from typing import Annotated

from routingsim.cli.console import print_said, write_json
from routingsim.cli.options import JsonOption, option


def log_size(
    agents: Annotated[int, option("N", "Agents that the router chooses from.")],
    explore: Annotated[
        float,
        option(
            "P",
            "Probability with which the router draws an agent at random, as in "
            "TaskRouter(explore=P).",
        ),
    ],
    tasks: Annotated[
        int | None,
        option("N", "Size of the log. Default: the least that gives an answer."),
    ] = None,
    half_width: Annotated[
        float | None,
        option("W", "Instead of --tasks: how wide an estimate may be, ±W; 0.05 is five points."),
    ] = None,
    spread: Annotated[
        float,
        option(
            "SD",
            "Standard deviation of an outcome. 0.5 is the most that right or wrong can have.",
        ),
    ] = 0.5,
    level: Annotated[float, option("C", "Confidence level.")] = 0.95,
    json_to: JsonOption = None,
) -> None:
    """Say how many tasks a log needs, so that other policies can be estimated from it.

    A log holds the answer of the agent that served a task, and no other. Another
    policy can be estimated from it if every agent had a chance: let the router
    draw one at random now and then, and log the propensities. This says how many
    tasks that takes, and how wide the answer will be, for the policy that is
    hardest to estimate: one that never chooses as the router does. Policies that
    agree with the router more often need fewer.
    """
    from routingsim.evaluation.log_size import log_size as size_of

    found = size_of(agents, explore, tasks=tasks, half_width=half_width, spread=spread, level=level)
    if json_to is not None:
        write_json("log-size", dataclasses.asdict(found), json_to)
        if json_to == Path("-"):
            return
    print_said(
        str(found),
        f"In the router: TaskRouter(explore={explore:g}); in the log: the column propensity.",
    )
