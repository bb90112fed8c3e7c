"""``routingsim policies``, ``corpora`` and ``agents``: lists of what is available."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from routingsim.cli.completion import complete_pool
from routingsim.cli.console import out, print_table, write_json
from routingsim.cli.options import JsonOption
from routingsim.formatting import short


def policies(json_to: JsonOption = None) -> None:
    """List the routing policies with their parameters."""
    from routingsim.policies import recipes

    if json_to is not None:
        listed = [
            {"name": name, "summary": recipe.summary, "parameters": _plain(recipe.parameters)}
            for name, recipe in sorted(recipes().items())
        ]
        write_json("policies", {"policies": listed}, json_to)
        if json_to == Path("-"):
            return
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


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them: what it cannot hold, such as inf, in words."""
    kept = (bool, int, str, type(None))
    return {
        name: each
        if isinstance(each, kept) or (isinstance(each, float) and math.isfinite(each))
        else str(each)
        for name, each in parameters.items()
    }


def corpora(json_to: JsonOption = None) -> None:
    """List the corpora available by name, and whether they are on this machine."""
    import pandas as pd

    from routingsim.corpora.datasets import data_folder, list_corpora

    if json_to is not None:
        frame = list_corpora().astype(object)
        listed = frame.where(frame.notna(), None).to_dict("records")
        write_json("corpora", {"folder": str(data_folder()), "corpora": listed}, json_to)
        if json_to == Path("-"):
            return
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
    json_to: JsonOption = None,
) -> None:
    """Show a pool of agents, and list the built-in pools."""
    from routingsim.agents import builtin_pools, load_agents
    from routingsim.agents.agent import PRICES

    pool = load_agents(source)
    if json_to is not None:
        more = {"capacity": pool.capacity, "builtin_pools": list(builtin_pools())}
        write_json("agents", {**pool.to_dict(), **more}, json_to)
        if json_to == Path("-"):
            return
    heads = ["id", "name", "USD / 1,000\ntokens", "service\n(s)", "cv", "slots", "strengths"]
    titles = [f"USD / 1M\n{name}" for name in ("prompt", "answer", "cached", "written")]
    columns = [[getattr(agent, price) for agent in pool] for price in PRICES]
    given = [k for k, column in enumerate(columns) if column != [None] * len(pool)]
    heads[3:3] = [titles[k] for k in given]
    rows = []
    for n, agent in enumerate(pool):
        numbers = [agent.cost, *(columns[k][n] for k in given)]
        numbers += [agent.latency, agent.latency_cv, agent.concurrency]
        shown = ("" if v is None else short(v, 3) for v in numbers)
        rows.append((agent.id, escape(agent.name), *shown, escape(", ".join(agent.strengths))))
    spare = ["name", "cv", "strengths", titles[3], titles[2]]
    if None not in columns[0] + columns[1]:
        spare.append(heads[2])
    print_table(heads, rows, words=("id", "name", "strengths"), spare=spare)
    out.print(f"Capacity: {pool.capacity:.3g} tasks/s at most", highlight=False)
    out.print(f"Built-in pools: {', '.join(builtin_pools())}", highlight=False)
