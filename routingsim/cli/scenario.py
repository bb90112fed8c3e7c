"""One replay a policy: the options that ``replay`` and ``report`` share, and the run itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from routingsim.cli.console import progress
from routingsim.cli.options import LOAD, Inputs

if TYPE_CHECKING:
    from routingsim.simulation.result import ReplayResult

__all__ = ["Scenario"]


@dataclass(frozen=True, kw_only=True)
class Scenario(Inputs):
    """What is replayed, at which load, and what goes wrong meanwhile."""

    arrivals: Annotated[
        str | None,
        typer.Option(
            metavar="PROCESS",
            help="poisson:4 (a second), gamma:4,cv=2, corpus, corpus:2x, trace:FILE, "
            "closed:users=20,think=10, … Default: the corpus's own times, or Poisson at 70 % "
            "of the pool's capacity.",
            rich_help_panel=LOAD,
        ),
    ] = None
    attempts: Annotated[
        int,
        typer.Option(metavar="N", help="Tries a task has when calls fail.", rich_help_panel=LOAD),
    ] = 1
    backoff: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Seconds before the first retry.", rich_help_panel=LOAD
        ),
    ] = 1.0
    fallback: Annotated[
        bool,
        typer.Option(help="Retry at another agent than the one that failed.", rich_help_panel=LOAD),
    ] = True
    outage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AGENT:DOWN:UP",
            help="An agent that is down between these seconds; more than once.",
            rich_help_panel=LOAD,
        ),
    ] = None
    warm_up: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the horizon left out of timing. Default: 0.1, or 0 where tasks arrive "
            "at recorded times.",
            rich_help_panel=LOAD,
        ),
    ] = None

    def run(self, policies: Sequence[str]) -> "list[ReplayResult]":
        """Replay under each policy, these unless others were asked for, with a progress bar."""
        from routingsim.simulation.faults import Outage, Retries
        from routingsim.simulation.replay import replay

        corpus, pool = self.read()
        retries = Retries(self.attempts, self.backoff, fallback=self.fallback)
        outages = [Outage.parse(text) for text in self.outage or []]
        return [
            replay(
                corpus,
                pool,
                name,
                arrivals=self.arrivals,
                tasks=self.tasks,
                seed=self.seed,
                service=self.service,
                retries=retries,
                outages=outages,
                warm_up=self.warm_up,
            )
            for name in progress(self.policy or policies, "policies")
        ]
