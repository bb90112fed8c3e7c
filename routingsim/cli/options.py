"""What commands share: each option declared once, and given to a command as one object."""

import inspect
import shlex
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from routingsim.cli.console import remark

if TYPE_CHECKING:  # the command line starts without the compiler
    from routingsim.agents import AgentPool
    from routingsim.corpora.corpus import Corpus

__all__ = [
    "LOAD",
    "OUTPUT",
    "AgentsOption",
    "Inputs",
    "JsonOption",
    "OnError",
    "ReportOption",
    "as_typed",
    "spread",
]

LOAD, OUTPUT = "Load and faults", "Output"

AgentsOption = Annotated[
    str,
    typer.Option(
        "--agents",
        metavar="POOL",
        help="TOML file of agents, or a shipped pool: see [bold]routingsim agents[/].",
    ),
]
JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the result as one JSON document; - for standard output.",
        rich_help_panel=OUTPUT,
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the report here: HTML, or .md or .json by the file's name.",
        rich_help_panel=OUTPUT,
    ),
]


class OnError(StrEnum):
    """What to do with a record that is not allowed."""

    RAISE = "raise"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The tasks, the agents, the policies and the seed of any simulation."""

    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            help="A file of tasks (CSV, JSON lines or Parquet, with columns id and text), or a "
            "corpus by name: see [bold]routingsim corpora[/].",
        ),
    ]
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            "-p",
            metavar="NAME",
            help="A policy, of [bold]routingsim policies[/]; more than once, the baseline first.",
        ),
    ] = None
    agents: AgentsOption = "default"
    tasks: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="How many tasks; more than the corpus has are drawn from it."
        ),
    ] = None
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="Of every draw: one seed, one result, to the last digit."),
    ] = 0
    service: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Service model of every agent: lognormal, exponential, deterministic, tokens or "
            "recorded. Default: each agent's own.",
        ),
    ] = None
    on_error: Annotated[OnError, typer.Option(help="For records that are not allowed.")] = (
        OnError.RAISE
    )

    def read(self) -> "tuple[Corpus, AgentPool]":
        """The corpus and the pool; what was noted in reading is said on standard error."""
        from routingsim.agents import load_agents
        from routingsim.corpora.datasets import load_corpus

        pool = load_agents(self.agents)
        corpus = load_corpus(self.corpus, on_error=self.on_error.value)
        for note in corpus.notes:
            remark(f"{corpus.name}: {note}", style="yellow")
        return corpus, pool


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter, a dataclass, is given field by field on the command line.

    Typer reads options from a signature; so the fields take the parameter's place in it.
    """
    first, *others = inspect.signature(command).parameters.values()
    shared, hints = first.annotation, get_type_hints(first.annotation, include_extras=True)

    def parameter(name: str, default: Any) -> inspect.Parameter:
        value = inspect.Parameter.empty if default is MISSING else default
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(name, kind, default=value, annotation=hints[name])

    taken = [parameter(field.name, field.default) for field in fields(shared)]
    rest = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in others]

    @wraps(command)
    def spread_out(**given: Any) -> None:
        own = {each.name: given.pop(each.name) for each in others}
        command(shared(**given), **own)

    vars(spread_out)["__signature__"] = inspect.Signature([*taken, *rest])
    return spread_out


def as_typed() -> str:
    """The command as typed, to be repeated."""
    return shlex.join(["routingsim", *sys.argv[1:]])
