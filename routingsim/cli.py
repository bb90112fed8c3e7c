"""The command line: the same words as in Python."""

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from routingsim.errors import RoutingSimError, SimulationError

if TYPE_CHECKING:
    from routingsim.corpus import Corpus
    from routingsim.evaluation.study import Study
    from routingsim.simulation.result import ReplayResult

__all__ = [
    "OnError",
    "Only",
    "agents",
    "app",
    "compare",
    "corpora",
    "main",
    "policies",
    "replay",
    "route",
    "serve",
]

app = typer.Typer(
    help="What would this routing policy do to my traffic, before I turn it on?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out, err = Console(), Console(stderr=True)


class OnError(StrEnum):
    """What to do with a record that is not allowed."""

    RAISE = "raise"
    SKIP = "skip"


AgentsOption = Annotated[
    str,
    typer.Option(
        "--agents", help="TOML file of agents, or a shipped pool: see [bold]routingsim agents[/]."
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Of every draw: one seed, one result, to the last digit.")
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", help="Write the result as one JSON document; - for standard output."),
]


@app.command()
def route(
    text: Annotated[str, typer.Argument(help="The task's text; - reads standard input.")],
    policy: Annotated[str, typer.Option("--policy", "-p", help="See routingsim policies.")] = (
        "threshold"
    ),
    agents: AgentsOption = "default",
    json_to: JsonOption = None,
) -> None:
    """Say which agent would get one task, and why."""
    import msgspec

    from routingsim.agents import load_agents
    from routingsim.routing import TaskRouter

    if text == "-":
        text = sys.stdin.read()
    decision = TaskRouter(load_agents(agents), policy).route(text)
    if json_to is not None:
        _write_json(msgspec.to_builtins(decision), json_to)
        return
    score = decision.complexity_score
    out.print(decision.reason, highlight=False, markup=False)
    out.print(
        f"D_var {score.d_var:.3f}: {score.factors.length:,} characters, "
        f"{score.factors.punctuation:,} punctuation marks, "
        f"{score.factors.unique_tokens:,} unique tokens",
        style="dim",
        highlight=False,
    )


@app.command()
def replay(
    corpus: Annotated[
        str, typer.Argument(help="A public corpus by name (routingsim corpora), or a file.")
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", "-p", help="Policy to try (routingsim policies); give it more than once."
        ),
    ] = None,
    arrivals: Annotated[
        str | None,
        typer.Option(
            help="poisson:4 (a second), gamma:4,cv=2, corpus, corpus:2x, trace:FILE, "
            "closed:users=20,think=10, … Default: the corpus's own times, or Poisson at 70 % "
            "of the pool's capacity."
        ),
    ] = None,
    agents: AgentsOption = "default",
    tasks: Annotated[
        int | None,
        typer.Option(help="How many tasks; more than the corpus has are drawn from it."),
    ] = None,
    seed: SeedOption = 0,
    service: Annotated[
        str | None,
        typer.Option(
            help="Service model of every agent: lognormal, exponential, deterministic, tokens or "
            "recorded. Default: each agent's own."
        ),
    ] = None,
    attempts: Annotated[int, typer.Option(help="Tries a task has when calls fail.")] = 1,
    backoff: Annotated[float, typer.Option(help="Seconds before the first retry.")] = 1.0,
    fallback: Annotated[
        bool, typer.Option(help="Retry at another agent than the one that failed.")
    ] = True,
    outage: Annotated[
        list[str] | None, typer.Option(help="AGENT:DOWN:UP in seconds; more than once.")
    ] = None,
    warm_up: Annotated[
        float | None,
        typer.Option(help="Share of the horizon left out of timing. Default 0.1 or 0: see docs."),
    ] = None,
    on_error: Annotated[OnError, typer.Option(help="For records that are not allowed.")] = (
        OnError.RAISE
    ),
    report: Annotated[Path | None, typer.Option(help="Write the HTML report here.")] = None,
    json_to: JsonOption = None,
    live: Annotated[
        bool, typer.Option("--live", help="Publish the replay on Redis and WebSocket as it runs.")
    ] = False,
    speed: Annotated[
        float, typer.Option(help="With --live: times real time; 60 plays an hour in a minute.")
    ] = 60.0,
) -> None:
    """Replay a corpus through the agents under one or more policies, in virtual time."""
    from routingsim.agents import load_agents
    from routingsim.datasets import load_corpus
    from routingsim.simulation.replay import replay as run
    from routingsim.simulation.scenario import Retries
    from routingsim.simulation.service import Outage

    pool = load_agents(agents)
    tasks_read = load_corpus(corpus, on_error=on_error.value)
    _say_notes(tasks_read)
    results = []
    for name in _progress(policy or ["threshold"], "policies"):
        result = run(
            tasks_read,
            pool,
            name,
            arrivals=arrivals,
            tasks=tasks,
            seed=seed,
            retries=Retries(attempts, backoff, fallback=fallback),
            outages=[Outage.parse(text) for text in outage or []],
            service=service,
            warm_up=warm_up,
        )
        results.append(result)
    if live:
        _play(results, speed)
    document = {
        "corpus": tasks_read.name,
        "tasks": len(results[0]),
        "seed": seed,
        "policies": [result.to_dict() for result in results],
    }
    if json_to is not None:
        _write_json(document, json_to)
    if json_to != Path("-"):
        _print_results(results)
    if report is not None:
        from routingsim.report.html import write_report

        path = write_report(results, report, command=_command())
        err.print(f"report: {path}", highlight=False)


@app.command()
def compare(
    corpus: Annotated[
        str, typer.Argument(help="A public corpus by name (routingsim corpora), or a file.")
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", "-p", help="Policies to compare, the baseline first; more than once."
        ),
    ] = None,
    loads: Annotated[
        str, typer.Option(help="Shares of the pool's capacity, separated by commas.")
    ] = "0.3,0.6,0.9",
    arrivals: Annotated[
        str | None, typer.Option(help="Shape of the arrivals, scaled to each load. Poisson.")
    ] = None,
    agents: AgentsOption = "default",
    replications: Annotated[int, typer.Option(help="Runs of each policy at each load.")] = 20,
    tasks: Annotated[int | None, typer.Option(help="Tasks of a run; all by default.")] = None,
    seed: SeedOption = 0,
    objective: Annotated[
        float | None,
        typer.Option(
            help="Seconds within which an answer counts for goodput. Default: 3 x the "
            "slowest agent's mean service time."
        ),
    ] = None,
    right: Annotated[float, typer.Option(help="Least quality of a right answer.")] = 0.5,
    service: Annotated[
        str | None, typer.Option(help="Service model of every agent, in place of its own.")
    ] = None,
    controls: Annotated[bool, typer.Option(help="Run the controls beside the policies.")] = True,
    resume: Annotated[
        Path | None, typer.Option(help="File of finished parts, to go on with after a break.")
    ] = None,
    on_error: Annotated[OnError, typer.Option(help="For records that are not allowed.")] = (
        OnError.RAISE
    ),
    report: Annotated[Path | None, typer.Option(help="Write the HTML report here.")] = None,
    json_to: JsonOption = None,
) -> None:
    """Compare policies at several loads, with intervals, verdicts and controls."""
    from tqdm import tqdm

    from routingsim.agents import load_agents
    from routingsim.datasets import load_corpus
    from routingsim.evaluation.compare import compare as run

    tasks_read = load_corpus(corpus, on_error=on_error.value)
    _say_notes(tasks_read)
    with tqdm(unit="cell", delay=1.0, file=sys.stderr, disable=None) as bar:

        def show(done: int, whole: int) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        study = run(
            tasks_read,
            load_agents(agents),
            policy or ["threshold", "threshold:calibrated", "least-loaded"],
            loads=_numbers(loads, "--loads"),
            arrivals=arrivals,
            replications=replications,
            tasks=tasks,
            seed=seed,
            objective=objective,
            right=right,
            service=service,
            controls=controls,
            progress=show,
            resume=resume,
        )
    if json_to is not None:
        _write_json(study.to_dict(), json_to)
    if json_to != Path("-"):
        _print_study(study)
    if report is not None:
        err.print(f"report: {study.report(report)}", highlight=False)


@app.command()
def policies() -> None:
    """List the policies, one line each, with their parameters."""
    from routingsim.policies import recipes

    table = _table("policy", "what it does", "parameters")
    for name, recipe in sorted(recipes().items()):
        parameters = ", ".join(
            key if value is None or value == "" else f"{key}={value}"
            for key, value in recipe.parameters.items()
        )
        table.add_row(name, recipe.summary, parameters)
    out.print(table)
    out.print("Write NAME or NAME:KEY=VALUE,… such as threshold:calibrated or static:gpt-4")


@app.command()
def corpora() -> None:
    """List the corpora that can be replayed by name, and which are on this machine."""
    from routingsim.datasets import corpora as listed
    from routingsim.datasets import data_folder

    table = _table("name", "records", "here", "what", "licence")
    for row in listed().itertuples():
        records = f"{row.records:,}" if isinstance(row.records, int) else "-"
        table.add_row(row.name, records, "yes" if row.present else "no", row.what, row.licence)
    out.print(table)
    out.print(f"Folder: {data_folder()} (set ROUTINGSIM_DATA to use another)", highlight=False)


@app.command()
def agents(
    source: Annotated[
        str, typer.Argument(help="TOML file of agents, or a shipped pool by name.")
    ] = "default",
) -> None:
    """Show a pool of agents, and list the pools that are shipped."""
    from routingsim.agents import load_agents, shipped_pools

    pool = load_agents(source)
    table = _table("id", "name", "USD / 1,000 tokens", "service (s)", "cv", "slots", "strengths")
    for agent in pool:
        table.add_row(
            agent.id,
            agent.name,
            f"{agent.cost:g}",
            f"{agent.latency:g}",
            f"{agent.latency_cv:g}",
            str(agent.concurrency),
            ", ".join(agent.strengths),
        )
    out.print(table)
    out.print(f"Capacity: {pool.capacity:.3g} tasks/s with all slots in use", highlight=False)
    out.print(f"Shipped pools: {', '.join(shipped_pools())}", highlight=False)


class Only(StrEnum):
    """One part of the live path."""

    BRIDGE = "bridge"
    API = "api"


@app.command()
def serve(
    only: Annotated[
        Only | None, typer.Option(help="Start only this part; Redis must be configured then.")
    ] = None,
) -> None:
    """Start broker, WebSocket bridge, HTTP API and dashboard; ctrl-C stops them."""
    from routingsim.live.serving import serve as run
    from routingsim.live.settings import load_settings

    run(load_settings(), only=only.value if only else None)


def main() -> None:
    """Run the command line: an error of the user's is one line and exit code 2."""
    try:
        app()
    except RoutingSimError as error:
        err.print(f"[bold red]error:[/] {_escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone: head, less
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


# -- what commands share --------------------------------------------------------------


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(" ".join(text.split()))


def _command() -> str:
    """The command as typed, to be repeated."""
    return shlex.join(["routingsim", *sys.argv[1:]])


def _say_notes(corpus: "Corpus") -> None:
    for note in corpus.notes:
        err.print(f"{corpus.name}: {note}", style="yellow", highlight=False, markup=False)


def _progress(items: Sequence[Any], unit: str) -> Iterator[Any]:
    """Items with a progress bar on stderr, once it has taken over a second."""
    from tqdm import tqdm

    return iter(
        tqdm(items, unit=unit, delay=1.0, file=sys.stderr, disable=True if len(items) < 2 else None)
    )


def _write_json(document: Any, path: Path) -> None:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, default=float)
    if path == Path("-"):
        print(text)
        return
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(path)


def _table(*columns: str) -> Table:
    """A plain table whose first column is never broken."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for k, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=k == 0)
    return table


_SHOWN = (
    ("tasks", "tasks", "{:,.0f}"),
    ("share", "share", "{:.1%}"),
    ("utilisation", "used", "{:.1%}"),
    ("wait_mean", "wait s", "{:.2f}"),
    ("latency_p50", "p50 s", "{:.2f}"),
    ("latency_p95", "p95 s", "{:.2f}"),
    ("latency_p99", "p99 s", "{:.2f}"),
    ("cost", "USD", "{:,.4g}"),
    ("quality", "quality", "{:.4f}"),
)


def _print_results(results: "Sequence[ReplayResult]") -> None:
    for result in results:
        summary = result.summary()
        table = _table("agent")
        for _, title, _ in _SHOWN:
            table.add_column(title, justify="right", no_wrap=True)
        for agent, row in summary.iterrows():
            cells = [_cell(row[key], form) for key, _, form in _SHOWN]
            table.add_row(str(agent), *cells, style="bold" if agent == "all" else "")
        out.print()
        out.print(f"[bold]{_escape(result.policy.name)}[/]  {_escape(str(result.stability))}")
        out.print(table)
        unanswered = {k: int(summary.loc["all", k]) for k in ("failed", "timed_out", "shed")}
        if any(unanswered.values()):
            said = ", ".join(f"{n:,} {k.replace('_', ' ')}" for k, n in unanswered.items() if n)
            out.print(f"not answered: {said}", highlight=False)
        if summary["quality"].isna().all():
            out.print("quality: not recorded in this corpus", style="dim")
    for note in dict.fromkeys(note for result in results for note in result.notes):
        out.print(f"note: {note}", style="dim", highlight=False, markup=False)


def _cell(value: float, form: str) -> str:
    return "-" if value != value else form.format(value)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SimulationError(
            f"{option} {text!r}: numbers separated by commas are needed, as 0.3,0.6,0.9"
        ) from None


_STUDIED = (
    ("goodput", "goodput/s", "{:.3g}"),
    ("quality", "quality", "{:.4f}"),
    ("cost", "USD/task", "{:.3g}"),
    ("latency_mean", "mean s", "{:.2f}"),
    ("latency_p95", "p95 s", "{:.2f}"),
)


def _print_study(study: "Study") -> None:
    for load in study.loads:
        frame = study.table(load)
        shown = [each for each in _STUDIED if each[0] in frame]
        table = _table("policy")
        for _, title, _ in shown:
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("stability")
        table.add_column("verdict")
        for _, row in frame.iterrows():
            cells = [
                _cell(row[key], form) + (f" ±{row[key + '_hw']:.2g}" if key == by else "")
                for by in [study.ranked_by]
                for key, _, form in shown
            ]
            style = "dim" if row["kind"] == "control" else ""
            name = row["policy"] + (" *" if row["in_sample"] else "")
            table.add_row(name, *cells, row["stability"], row["verdict"], style=style)
        out.print()
        out.print(
            f"[bold]load {load:g}[/]  {load * study.capacity:.3g} tasks/s, "
            f"{study.settings.replications} replications, ranked by {study.ranked_by}",
            highlight=False,
        )
        out.print(table)
    out.print(
        "dim: controls; *: fitted on this corpus, so its figures flatter; verdicts are against "
        f"{study.baseline}, together at 95 % (Holm); latencies are simulated.",
        style="dim",
        highlight=False,
    )


def _play(results: "Sequence[ReplayResult]", speed: float) -> None:
    """Publish replays at ``speed`` times real time, through broker and bridge."""
    from tqdm import tqdm

    from routingsim.live.pacing import play
    from routingsim.live.settings import redacted
    from routingsim.live.stack import LiveStack
    from routingsim.simulation.broadcast import broadcast

    with LiveStack(http=False) as stack, stack.listen() as listener:
        _say(f"live: decisions on {redacted(stack.redis_url)} and {stack.url}")
        sent = undelivered = 0
        for result in results:
            seconds = float(result.log.finished.max())
            form = "{desc}: {percentage:3.0f}% |{bar}| {n:,.0f} of {total:,.0f} s"
            with tqdm(total=seconds, desc=result.policy.name, bar_format=form, disable=None) as bar:

                def show(now: float, _: int, bar: Any = bar) -> None:
                    bar.update(now - bar.n)

                played = play(broadcast(result), stack.publisher, speed=speed, progress=show)
                bar.update(seconds - bar.n)
            sent += played.messages
            undelivered += played.undelivered
        with suppress(TimeoutError):
            listener.wait_for(sent - undelivered, timeout=2.0)
        _say(
            f"live: {sent:,} messages published, {undelivered:,} undelivered, "
            f"{listener.count:,} received back over WebSocket"
        )


def _say(line: str) -> None:
    err.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)
