"""Options that commands share, each declared once, and how a command takes many as one object."""

import inspect
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from routingsim.cli.completion import among, complete_pool
from routingsim.cli.console import remark
from routingsim.cli.outputs import PAGE, check_distinct, file_option
from routingsim.errors import SimulationError


def option(
    metavar: str | None,
    said: str,
    *names: str,
    panel: str | None = None,
    complete: Callable[[str], list[str]] | None = None,
) -> Any:
    """An option of a command: the name of its value, its help, and its own names, if any.

    ``complete`` gives what a shell may complete from the beginning of a value.
    """
    return typer.Option(
        *names, metavar=metavar, help=said, rich_help_panel=panel, autocompletion=complete
    )


load_option = partial(option, panel="Load and faults")
worker_option = partial(option, panel="Workers")
output_option = partial(option, panel="Output")

AgentsOption = Annotated[
    str,
    option(
        "POOL",
        "TOML file of agents, or the name of a built-in pool: see routingsim agents.",
        complete=complete_pool,
    ),
]
BlocksOption = Annotated[
    bool,
    load_option(
        None,
        "Replay the files of a folder, or a file, in blocks: with little memory, however many "
        "tasks there are. The default for a folder of more than 512 MB.",
        "--in-blocks",
    ),
]
JsonOption = Annotated[
    Path | None,
    file_option(
        "Write the result as one JSON document; - writes to stdout.",
        (".json",),
        "--json",
        stdout=True,
    ),
]
MapOption = Annotated[
    str | None,
    option(
        "MAP",
        "Which column of a log holds which field, as OURS=THEIRS or OURS=THEIRS:UNIT, joined by "
        "commas: id=request_id or latency=took:ms.",
        "--map",
    ),
]
ReportOption = Annotated[
    Path | None,
    file_option(
        "Write a report: FILE.html, FILE.pdf, FILE.md or FILE.json, or the notebook FILE.ipynb.",
        PAGE,
        "--report",
    ),
]
SloOption = Annotated[
    list[str] | None,
    option(
        "METRIC=BOUND",
        "Target: p95=2, p99=5, mean=1, ttft=1, wait=0.5 (s), answered=0.999, cost=0.01 (USD a "
        "task), goodput=2 (right answers a second). Can be repeated.",
    ),
]
QualityOption = Annotated[
    float | None, option("Q", "Target: least mean quality of all tasks, from 0 to 1.")
]


def bounds(texts: Sequence[str] | None) -> dict[str, float]:
    """Targets as typed, METRIC=BOUND each, by metric.

    Raises
    ------
    SimulationError
        If one is not so.
    """
    found = {}
    for text in texts or ():
        name, _, bound = text.partition("=")
        try:
            found[name] = float(bound)
        except ValueError:
            raise SimulationError(
                f"--slo {text!r}: a metric and a bound are needed, as p95=2"
            ) from None
    return found


OnError = StrEnum("OnError", ["RAISE", "SKIP"])
Dates = StrEnum("Dates", {"MONTH_FIRST": "month first", "DAY_FIRST": "day first"})
DatesOption = Annotated[
    Dates | None,
    option(
        "ORDER",
        "Of dates such as 10/6/2023: 'month first' or 'day first'.",
        complete=among(*Dates),
    ),
]


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Where the runs of ``compare``, ``sweep`` and ``capacity`` go."""

    workers: Annotated[
        int | None,
        worker_option("N", "How many run at the same time. Default: one for each core, as -1."),
    ] = None
    processes: Annotated[
        bool,
        worker_option(
            None, "Run in processes, not in threads: for policies in plain Python.", "--processes"
        ),
    ] = False
    dask: Annotated[
        str | None,
        worker_option(
            "ADDRESS", "Run on a Dask cluster, as tcp://host:8786, or local for one made here."
        ),
    ] = None

    @contextmanager
    def execution(self) -> Iterator[dict[str, Any]]:
        """What says where to run: ``executor`` and ``n_jobs``."""
        from routingsim.evaluation.processes import dask_at
        from routingsim.evaluation.workers import check_where

        if self.workers == 0:
            raise SimulationError(
                "--workers 0: 1 or more are needed, or -1 for one a core, -2 for one less"
            )
        if self.dask is None:
            name = "processes" if self.processes else None
            check_where(name, self.workers)
            yield {"executor": name, "n_jobs": self.workers}
            return
        if self.processes:
            raise SimulationError("--dask and --processes: give one of them")
        if self.dask == "local":
            yield {"executor": "dask", "n_jobs": self.workers}
            return
        if self.workers is not None:
            raise SimulationError(
                f"--dask {self.dask} and --workers: a cluster has the workers it has; leave "
                "--workers out"
            )
        with dask_at(self.dask) as client:
            yield {"executor": client}


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes each field of its parameters that are dataclasses as an option.

    Typer reads options from a function's signature, so the fields replace the parameters in it.
    """
    given = inspect.signature(command).parameters.values()
    shared = [each for each in given if is_dataclass(each.annotation)]
    others = [each for each in given if not is_dataclass(each.annotation)]

    def parameters(of: inspect.Parameter) -> list[inspect.Parameter]:
        hints = get_type_hints(of.annotation, include_extras=True)
        return [
            inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if each.default is MISSING else each.default,
                annotation=hints[each.name],
            )
            for each in fields(of.annotation)
        ]

    taken = {each.name: parameters(each) for each in shared}
    rest = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in others]

    @wraps(command)
    def spread_out(**given: Any) -> None:
        own = {each.name: given.pop(each.name) for each in others}
        files = [each for each in own.values() if isinstance(each, Path)]
        inputs = [given[name] for name in ("corpus", "agents") if name in given]
        check_distinct(files, inputs)
        made = {
            each.name: each.annotation(**{p.name: given.pop(p.name) for p in taken[each.name]})
            for each in shared
        }
        command(**made, **own)

    spread_out_parameters = [*(p for each in taken.values() for p in each), *rest]
    vars(spread_out)["__signature__"] = inspect.Signature(spread_out_parameters)
    return spread_out


def as_typed() -> str:
    """The command line as typed, to repeat the run."""
    return shlex.join(["routingsim", *sys.argv[1:]])


def write_page(result: Any, path: Path | None, **asked: Any) -> None:
    """Write the report on a result to ``path``, if there is one, and say where it is."""
    if path is not None:
        from routingsim.report.html import write_report  # loads matplotlib

        remark(f"report: {write_report(result, path, command=as_typed(), **asked)}", style="")
