"""``routingsim policies``, ``corpora`` and ``agents``: lists of what is available."""

from typing import Annotated

import typer

from routingsim.cli.completion import complete_pool
from routingsim.cli.console import out, table_of


def policies() -> None:
    """List the routing policies with their parameters."""
    from routingsim.policies import recipes

    table = table_of("policy", "what it does", "parameters")
    for name, recipe in sorted(recipes().items()):
        parameters = ", ".join(
            key if value is None or value == "" else f"{key}={value}"
            for key, value in recipe.parameters.items()
        )
        table.add_row(name, recipe.summary, parameters)
    out.print(table)
    out.print("Write NAME or NAME:KEY=VALUE,… such as threshold:calibrated or static:gpt-4")


def corpora() -> None:
    """List the corpora available by name, and whether they are on this machine."""
    import pandas as pd

    from routingsim.corpora.datasets import data_folder, list_corpora

    table = table_of("name", "records", "here", "what", "licence")
    for row in list_corpora().to_dict("records"):
        records = "-" if pd.isna(row["records"]) else f"{row['records']:,}"
        here = "yes" if row["present"] else "no"
        table.add_row(row["name"], records, here, row["what"], row["licence"])
    out.print(table)
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
    table = table_of("id", "name", "USD / 1,000 tokens", "service (s)", "cv", "slots", "strengths")
    for agent in pool:
        numbers = (agent.cost, agent.latency, agent.latency_cv)
        strengths = ", ".join(agent.strengths)
        slots = str(agent.concurrency)
        table.add_row(agent.id, agent.name, *(f"{each:g}" for each in numbers), slots, strengths)
    out.print(table)
    out.print(f"Capacity: {pool.capacity:.3g} tasks/s at most", highlight=False)
    out.print(f"Built-in pools: {', '.join(builtin_pools())}", highlight=False)
