"""``routingsim check``: what is suspicious about a file of tasks, before any run."""

from pathlib import Path
from typing import Annotated

import typer

from routingsim.cli.completion import complete_corpus, complete_pool
from routingsim.cli.console import out, remark, write_json
from routingsim.cli.options import DatesOption, JsonOption, MapOption, OnError, option
from routingsim.cli.outputs import check_distinct


def check(
    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            help="File of tasks, or the name of a public corpus.",
            autocompletion=complete_corpus,
        ),
    ],
    agents: Annotated[
        str | None,
        option(
            "POOL",
            "TOML file of agents, or the name of a built-in pool: their slots and prices are "
            "compared with what is recorded.",
            complete=complete_pool,
        ),
    ] = None,
    on_error: Annotated[
        OnError, option(None, "On an invalid record: skip it, or stop with an error.")
    ] = OnError.SKIP,
    dates: DatesOption = None,
    map: MapOption = None,
    json_to: JsonOption = None,
) -> None:
    """Check a file of tasks: what was read, what is suspicious, and what to do about it."""
    from routingsim.agents import load_agents
    from routingsim.corpora.datasets import load_corpus

    check_distinct([json_to] if json_to else [], [corpus])
    pool = None if agents is None else load_agents(agents)
    found = load_corpus(corpus, columns=map, on_error=on_error, dates=dates)
    for note in found.notes:
        remark(f"{found.name}: {note}", style="yellow")
    checkup = found.check(pool)
    if json_to is not None:
        write_json("check", {"corpus": found.name, **checkup.to_dict()}, json_to)
    if json_to != Path("-"):
        for line in checkup.lines:
            out.print(line, highlight=False, markup=False)
