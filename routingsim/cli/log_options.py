"""Options of commands that fit the agents of a log: ``fit``, ``backtest`` and ``whatif``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from routingsim.cli.console import remark
from routingsim.cli.options import DatesOption, MapOption, OnError, option
from routingsim.errors import RoutingSimError

if TYPE_CHECKING:
    from routingsim.corpora.logs.call_log import CallLog

T = TypeVar("T", float, int, str)

LogArgument = Annotated[
    str,
    typer.Argument(
        metavar="LOG",
        help="Log of calls: the export of a tool, a file or a folder (LiteLLM, OpenTelemetry, "
        "Langfuse, OpenRouter, …), or a table with columns agent, arrived_at and latency (s), "
        "optionally output_tokens, cost and status.",
    ),
]
CostOption = Annotated[
    list[str] | None,
    option(
        "[AGENT=]USD",
        "USD per 1,000 tokens, of all agents or of one. Default: the prices that explain the "
        "recorded costs. Can be repeated.",
    ),
]
ConcurrencyOption = Annotated[
    list[str] | None,
    option(
        "[AGENT=]N",
        "Slots, of all agents or of one. Default: as the log shows. Can be repeated.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class LogInputs:
    """A log, where it is cut, and what it does not say of its agents."""

    corpus: LogArgument
    at: Annotated[
        str,
        option(
            "SHARE|DATE",
            "Where the part that is fitted ends: a share of the log's time, or a date in UTC.",
        ),
    ] = "0.7"
    cost: CostOption = None
    concurrency: ConcurrencyOption = None
    seed: Annotated[
        int, option("N", "Seed of the random numbers; the same seed gives the same result.")
    ] = 0
    on_error: Annotated[
        OnError, option(None, "On a damaged record: stop with an error, or skip and count it.")
    ] = OnError.RAISE
    dates: DatesOption = None
    map: MapOption = None

    def read(self) -> "CallLog":
        """The log; what its reader noted goes to standard error."""
        from routingsim.corpora.logs.read import read_log

        log = read_log(self.corpus, columns=self.map, on_error=self.on_error, dates=self.dates)
        for note in log.notes:
            remark(f"{log.name}: {note}", style="yellow")
        for why, count in log.left_out.items():
            remark(f"{log.name}: {count:,} {why} left out", style="yellow")
        return log

    def settings(self) -> dict[str, Any]:
        """What ``backtest`` and ``whatif`` take beside the log."""
        fields: dict[str, Any] = {"at": self._at(), "seed": self.seed}
        if self.cost:
            fields["cost"] = by_agent(self.cost, "--cost", float)
        if self.concurrency:
            fields["concurrency"] = by_agent(self.concurrency, "--concurrency", int)
        return fields

    def _at(self) -> float | str:
        try:
            return float(self.at)
        except ValueError:
            return self.at


def by_agent(texts: Sequence[str], name: str, number: type[T]) -> T | dict[str, T]:
    """One value for all agents, or one of each: ``0.01``, or ``big=0.03`` ``small=0.001``."""
    pairs = [text.rpartition("=")[::2] for text in texts]
    try:
        found = {agent: number(value) for agent, value in pairs}
    except ValueError:
        found = {}
    if len(found) < len(texts) or ("" in found and len(found) > 1):
        raise RoutingSimError(
            f"{name} {' '.join(texts)}: one value for all agents is needed, or AGENT=VALUE for each"
        )
    return found.get("", found)
