"""``routingsim policies``, ``corpora`` and ``agents``: lists of what is available."""

from typing import Annotated

import typer
from rich.markup import escape

from routingsim.cli.completion import complete_pool
from routingsim.cli.console import out, print_table


def policies() -> None:
    """List the routing policies with their parameters."""
    from routingsim.policies import recipes

    rows = []
    for name, recipe in sorted(recipes().items()):
        parameters = ", ".join(
            key if value is None or value == "" else f"{key}={value}"
            for key, value in recipe.parameters.items()
        )
        rows.append((name, recipe.summary, parameters))
    heads = ("policy", "what it does", "parameters")
    print_table(heads, rows, words=heads)
    out.print("Write NAME or NAME:KEY=VALUE,… such as threshold:calibrated or static:gpt-4")


def corpora() -> None:
    """List the corpora available by name, and whether they are on this machine."""
    import pandas as pd

    from routingsim.corpora.datasets import data_folder, list_corpora

    rows = []
    for row in list_corpora().to_dict("records"):
        records = "-" if pd.isna(row["records"]) else f"{row['records']:,}"
        here = "yes" if row["present"] else "no"
        rows.append((row["name"], records, here, row["what"], row["licence"]))
    heads = ("name", "records", "here", "what", "licence")
    print_table(heads, rows, words=("name", "what", "licence"), spare=("records", "licence"))
    out.print(f"Folder: {data_folder()} (set ROUTINGSIM_DATA to use another)", highlight=False)


def agents(
    source: Annotated[
        str,
        typer.Argument(
            metavar="POOL",
            help="TOML file of agents, or the name of a built-in pool.",
            autocompletion=complete_pool,
        ),
    ] = "default",
) -> None:
    """Show a pool of agents, and list the built-in pools."""
    from routingsim.agents import builtin_pools, load_agents

    pool = load_agents(source)
    heads = ("id", "name", "USD / 1,000\ntokens", "service\n(s)", "cv", "slots", "strengths")
    rows = []
    for agent in pool:
        numbers = (agent.cost, agent.latency, agent.latency_cv, agent.concurrency)
        strengths = ", ".join(agent.strengths)
        rows.append((agent.id, escape(agent.name), *(f"{v:g}" for v in numbers), escape(strengths)))
    print_table(heads, rows, words=("id", "name", "strengths"), spare=("name", "cv", "strengths"))
    out.print(f"Capacity: {pool.capacity:.3g} tasks/s at most", highlight=False)
    out.print(f"Built-in pools: {', '.join(builtin_pools())}", highlight=False)
