"""The command line, with the same names as the Python interface."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from routingsim.cli.backtest import backtest
from routingsim.cli.capacity import capacity
from routingsim.cli.check import check
from routingsim.cli.compare import compare
from routingsim.cli.console import remark
from routingsim.cli.fit import fit, train
from routingsim.cli.help import NarrowHelp
from routingsim.cli.lists import agents, corpora, policies
from routingsim.cli.live import serve
from routingsim.cli.log_size import log_size
from routingsim.cli.replay import replay
from routingsim.cli.report import report
from routingsim.cli.route import route
from routingsim.cli.sweep import sweep
from routingsim.cli.whatif import whatif
from routingsim.errors import AgentError, RoutingSimError, SimulationError
from routingsim.formatting import joined
from routingsim.synonyms import of_agents

__all__ = ["EXAMPLES", "app", "main"]


class _Group(NarrowHelp, TyperGroup):
    pass


app = typer.Typer(
    cls=_Group,
    help="What would this routing policy do to my traffic, before I turn it on?",
    epilog="\n\n".join(
        [
            "Start with routingsim report tasks, then use a file of your own: CSV, JSON lines or "
            "Parquet with columns id and text.",
            "The help of every command has examples: routingsim replay --help.",
        ]
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"routingsim {version_of('routingsim')}")
        raise typer.Exit


@app.callback()
def _general(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


# Examples of each command, shown at the end of its help.
EXAMPLES = {
    route: [
        'routingsim route "Implement a binary search in Python"',
        "routingsim route - --policy cheapest < task.txt",
    ],
    replay: [
        "routingsim replay tasks -p threshold -p least-loaded --arrivals poisson:4",
        "routingsim replay mine.csv --agents mine.toml --report report.html",
        "routingsim replay tasks --arrivals corpus:40x --live --speed 20",
        "routingsim replay calls.csv --agents log -p logged --live --speed 600",
        "routingsim replay tasks --outage gpt-4:60:120 --attempts 3",
    ],
    report: [
        "routingsim report tasks",
        "routingsim report mine.csv -p threshold -p static:gpt-4 --arrivals poisson:2",
        "routingsim report mine.csv --format md -o - | less",
        "routingsim report mine.csv --notebook",
    ],
    compare: [
        "routingsim compare tasks",
        "routingsim compare mine.csv -p static:gpt-4 -p threshold --loads 0.5,0.8",
        "routingsim compare mine.csv --rates 1,2,4 --arrivals gamma:1,cv=3 --report study.html",
    ],
    sweep: [
        "routingsim sweep plan.toml",
        "routingsim sweep plan.toml --workers 8 --processes",
        "routingsim sweep plan.toml --dask tcp://scheduler:8786 --results runs/monday",
    ],
    capacity: [
        "routingsim capacity mine.csv --arrivals poisson:4 --slots big=0-8 --slots small=0-8 "
        "--slo p95=2 --quality 0.85",
        "routingsim capacity mine.csv --agents mine.toml -p threshold -p utility "
        "--arrivals corpus:2x --slots big=0-4 --slo p95=2 --agents-to answer.toml",
    ],
    check: [
        "routingsim check mine.csv",
        "routingsim check mine.csv --agents mine.toml",
        "routingsim check mine.csv --json -",
    ],
    backtest: [
        "routingsim backtest spend_logs.json",
        "routingsim backtest calls.csv --at 2025-06-09 --report backtest.html",
        "routingsim backtest calls.csv --map agent=model,latency=latency_ms:ms,"
        "arrived_at=created:epoch_ms",
    ],
    whatif: [
        "routingsim whatif spend_logs.json --policy cheapest --policy utility --report whatif.html",
        "routingsim whatif calls.csv --shift 2x",
        "routingsim whatif calls.csv --without gpt-4 -p least-loaded",
        "routingsim whatif calls.csv --price gpt-4=0.02 --json -",
    ],
    fit: [
        "routingsim fit calls.csv --cost big=0.03 --cost small=0.001 --output mine.toml",
        "routingsim fit calls.parquet --map agent=model --cost 0.01 --concurrency 8 -o mine.toml",
    ],
    train: [
        "routingsim train mine.csv -p linucb --output linucb.npz",
        "routingsim train mine.csv --agents mine.toml -p thompson --load 0.7 -o thompson.npz",
    ],
    log_size: [
        "routingsim log-size --agents 4 --explore 0.1",
        "routingsim log-size --agents 4 --explore 0.1 --half-width 0.05",
        "routingsim log-size --agents 4 --explore 0.1 --tasks 1000 --json -",
    ],
    policies: ["routingsim policies"],
    corpora: ["routingsim corpora"],
    agents: ["routingsim agents", "routingsim agents mine.toml"],
    serve: ["routingsim serve", "REDIS_HOST=redis.internal routingsim serve --only bridge"],
}


_TASKS = "; run it again; fewer --tasks take less time"
_AGAIN: dict[str | None, str] = {
    **dict.fromkeys(("replay", "report", "train"), _TASKS),
    "capacity": "; run it again; fewer --slots or --runs take less time",
    "compare": "; run it again with --resume FILE, which keeps finished cells",
}
"""What to do after ctrl-C, for each command that has more to say than to run it again."""


def _changed(path: Path) -> int:
    """When a file was last changed; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def _interrupt_in(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that an error is or came after, as errors of libraries that clean up."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


class _Command(NarrowHelp, TyperCommand):
    """A command whose errors say where to give an option that is a field of agents.

    After ctrl-C it says which results there are, unless what the command raises says it.
    """

    def invoke(self, ctx: Any) -> Any:
        paths = [each for each in ctx.params.values() if isinstance(each, Path)]
        before = [_changed(path) for path in paths]
        try:
            return super().invoke(ctx)
        except BaseException as error:
            if (stop := _interrupt_in(error)) is None:
                raise
            made = [str(p) for p, at in zip(paths, before, strict=True) if _changed(p) != at]
            were = "was" if len(made) == 1 else "were"
            results = f"only {joined(made)} {were} written" if made else "no result was written"
            again = _AGAIN.get(self.name, "; run it again")
            remark(f"interrupted: {str(stop) or results + again}")
            raise stop from None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for each in self.params for name in (*each.opts, *each.secondary_opts)}
        given = {arg.partition("=")[0] for arg in args if arg.startswith("--")}
        for word in sorted(given - known - {"--", "--help"}):
            if where := of_agents(word[2:]):
                raise AgentError(f"{ctx.info_name}: no option {word}; {where}")
            if word in ("--rate", "--load") and "--arrivals" in known and "--loads" not in known:
                raise SimulationError(
                    f"{ctx.info_name}: no option {word}; arrivals have a rate, as --arrivals "
                    "poisson:4 (tasks/s)"
                )
        return super().parse_args(ctx, args)


for command, examples in EXAMPLES.items():
    epilog = "\n\n".join(["Examples:", *examples])
    app.command(epilog=epilog, cls=_Command)(command)


def main() -> None:
    """Run the command line; a user's error is one line on standard error and exit code 2."""
    try:
        app()
    except RoutingSimError as error:
        remark(f"error: {' '.join(str(error).split())}", style="red")
        sys.exit(2)
    except BrokenPipeError:  # head or less has closed our output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # of a path that cannot be looked at, as of too long a name
        if error.filename is None:
            raise
        remark(f"error: {error.filename}: {error.strerror}; name another file", style="red")
        sys.exit(2)
