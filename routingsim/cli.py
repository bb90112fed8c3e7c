"""The command line: the same words as in Python."""

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from routingsim.console import (
    out,
    print_results,
    print_study,
    progress,
    remark,
    table_of,
    write_json,
)
from routingsim.errors import RoutingSimError, SimulationError

if TYPE_CHECKING:
    from routingsim.corpus import Corpus
    from routingsim.simulation.result import ReplayResult

__all__ = [
    "Form",
    "OnError",
    "Only",
    "agents",
    "app",
    "compare",
    "corpora",
    "main",
    "policies",
    "replay",
    "report",
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
CorpusArgument = Annotated[
    str, typer.Argument(help="A public corpus by name (routingsim corpora), or a file.")
]
PoliciesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--policy", "-p", help="Policy to try (routingsim policies); give it more than once."
    ),
]
ArrivalsOption = Annotated[
    str | None,
    typer.Option(
        help="poisson:4 (a second), gamma:4,cv=2, corpus, corpus:2x, trace:FILE, "
        "closed:users=20,think=10, … Default: the corpus's own times, or Poisson at 70 % "
        "of the pool's capacity."
    ),
]
TasksOption = Annotated[
    int | None, typer.Option(help="How many tasks; more than the corpus has are drawn from it.")
]
ServiceOption = Annotated[
    str | None,
    typer.Option(
        help="Service model of every agent: lognormal, exponential, deterministic, tokens or "
        "recorded. Default: each agent's own."
    ),
]
AttemptsOption = Annotated[int, typer.Option(help="Tries a task has when calls fail.")]
BackoffOption = Annotated[float, typer.Option(help="Seconds before the first retry.")]
FallbackOption = Annotated[
    bool, typer.Option(help="Retry at another agent than the one that failed.")
]
OutageOption = Annotated[
    list[str] | None, typer.Option(help="AGENT:DOWN:UP in seconds; more than once.")
]
WarmUpOption = Annotated[
    float | None,
    typer.Option(help="Share of the horizon left out of timing. Default 0.1 or 0: see docs."),
]
OnErrorOption = Annotated[OnError, typer.Option(help="For records that are not allowed.")]
ReportOption = Annotated[
    Path | None,
    typer.Option(help="Write the report here: HTML, or .md or .json by the file's name."),
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
        write_json(msgspec.to_builtins(decision), json_to)
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
    corpus: CorpusArgument,
    policy: PoliciesOption = None,
    arrivals: ArrivalsOption = None,
    agents: AgentsOption = "default",
    tasks: TasksOption = None,
    seed: SeedOption = 0,
    service: ServiceOption = None,
    attempts: AttemptsOption = 1,
    backoff: BackoffOption = 1.0,
    fallback: FallbackOption = True,
    outage: OutageOption = None,
    warm_up: WarmUpOption = None,
    on_error: OnErrorOption = OnError.RAISE,
    report: ReportOption = None,
    tasks_to: Annotated[
        Path | None,
        typer.Option(help="Write every task here: .csv, .parquet or .jsonl, by the file's name."),
    ] = None,
    trace_to: Annotated[
        Path | None,
        typer.Option(help="Write the schedule here as Chrome-trace JSON, to open in Perfetto."),
    ] = None,
    json_to: JsonOption = None,
    live: Annotated[
        bool, typer.Option("--live", help="Publish the replay on Redis and WebSocket as it runs.")
    ] = False,
    speed: Annotated[
        float, typer.Option(help="With --live: times real time; 60 plays an hour in a minute.")
    ] = 60.0,
    start: Annotated[
        float, typer.Option(help="With --live: begin so many seconds into the replay.")
    ] = 0.0,
) -> None:
    """Replay a corpus through the agents under one or more policies, in virtual time."""
    results = _replay(
        corpus,
        policy or ["threshold"],
        agents=agents,
        on_error=on_error,
        arrivals=arrivals,
        tasks=tasks,
        seed=seed,
        retries=(attempts, backoff, fallback),
        outages=outage or [],
        service=service,
        warm_up=warm_up,
    )
    if live:
        _play(results, speed, start)
    corpus_read = results[0].corpus
    document = {
        "corpus": corpus_read.name if corpus_read is not None else None,
        "tasks": len(results[0]),
        "seed": seed,
        "policies": [result.to_dict() for result in results],
    }
    if json_to is not None:
        write_json(document, json_to)
    if json_to != Path("-"):
        print_results(results)
    if tasks_to is not None or trace_to is not None:
        from routingsim.simulation.export import write_tasks, write_trace

        if tasks_to is not None:
            remark(f"tasks: {write_tasks(results, tasks_to)}", style="")
        if trace_to is not None:
            remark(f"trace: {write_trace(results, trace_to)}", style="")
    if report is not None:
        from routingsim.report.html import write_report

        path = write_report(results, report, command=_command())
        remark(f"report: {path}", style="")


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MD = "md"
    JSON = "json"


@app.command()
def report(
    corpus: CorpusArgument,
    policy: PoliciesOption = None,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format", help="Of the report; by default that of the file's name, or html."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write, - for standard output. Default: routing-report."
        ),
    ] = None,
    arrivals: ArrivalsOption = None,
    agents: AgentsOption = "default",
    tasks: TasksOption = None,
    seed: SeedOption = 0,
    service: ServiceOption = None,
    attempts: AttemptsOption = 1,
    backoff: BackoffOption = 1.0,
    fallback: FallbackOption = True,
    outage: OutageOption = None,
    warm_up: WarmUpOption = None,
    on_error: OnErrorOption = OnError.RAISE,
) -> None:
    """Replay a corpus and write the report on it: HTML, Markdown or JSON."""
    results = _replay(
        corpus,
        policy or ["threshold", "threshold:calibrated", "least-loaded"],
        agents=agents,
        on_error=on_error,
        arrivals=arrivals,
        tasks=tasks,
        seed=seed,
        retries=(attempts, backoff, fallback),
        outages=outage or [],
        service=service,
        warm_up=warm_up,
    )
    from routingsim.report.html import write_report

    path = output or Path(f"routing-report.{form or Form.HTML}")
    if path == Path("-"):
        from routingsim.report import compose, render

        document = compose(results, command=_command())
        sys.stdout.write(render(document, (form or Form.HTML).value))
        return
    written = write_report(
        results, path, command=_command(), form=None if form is None else form.value
    )
    remark(f"report: {written}", style="")


@app.command()
def compare(
    corpus: CorpusArgument,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", "-p", help="Policies to compare, the baseline first; more than once."
        ),
    ] = None,
    loads: Annotated[
        str | None,
        typer.Option(
            help="Shares of the pool's capacity, separated by commas. Default: 0.3,0.6,0.9."
        ),
    ] = None,
    rates: Annotated[
        str | None, typer.Option(help="Tasks a second instead of loads, separated by commas.")
    ] = None,
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
    on_error: OnErrorOption = OnError.RAISE,
    report: ReportOption = None,
    runs_to: Annotated[
        Path | None,
        typer.Option(help="Write every run here: .csv, .parquet or .jsonl, by the file's name."),
    ] = None,
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
            rates=_numbers(rates, "--rates"),
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
        write_json(study.to_dict(), json_to)
    if json_to != Path("-"):
        print_study(study)
    if runs_to is not None:
        remark(f"runs: {study.write(runs_to)}", style="")
    if report is not None:
        from routingsim.report.html import write_study

        remark(f"report: {write_study(study, report, command=_command())}", style="")


@app.command()
def policies() -> None:
    """List the policies, one line each, with their parameters."""
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


@app.command()
def corpora() -> None:
    """List the corpora that can be replayed by name, and which are on this machine."""
    import pandas as pd

    from routingsim.datasets import corpora as listed
    from routingsim.datasets import data_folder

    table = table_of("name", "records", "here", "what", "licence")
    for row in listed().to_dict("records"):
        records = "-" if pd.isna(row["records"]) else f"{row['records']:,}"
        here = "yes" if row["present"] else "no"
        table.add_row(row["name"], records, here, row["what"], row["licence"])
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
    table = table_of("id", "name", "USD / 1,000 tokens", "service (s)", "cv", "slots", "strengths")
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
        remark(f"error: {' '.join(str(error).split())}", style="red")
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone: head, less
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


# -- what commands share -------------------------------------------------------------


def _command() -> str:
    """The command as typed, to be repeated."""
    return shlex.join(["routingsim", *sys.argv[1:]])


def _replay(
    source: str,
    names: Sequence[str],
    *,
    agents: str,
    on_error: OnError,
    retries: tuple[int, float, bool],
    outages: Sequence[str],
    **options: Any,
) -> "list[ReplayResult]":
    """Replay a corpus under each policy, with a progress bar."""
    from routingsim.agents import load_agents
    from routingsim.datasets import load_corpus
    from routingsim.simulation.replay import replay as run
    from routingsim.simulation.scenario import Retries
    from routingsim.simulation.service import Outage

    pool = load_agents(agents)
    corpus = load_corpus(source, on_error=on_error.value)
    _say_notes(corpus)
    attempts, backoff, fallback = retries
    options["retries"] = Retries(attempts, backoff, fallback=fallback)
    options["outages"] = [Outage.parse(text) for text in outages]
    return [run(corpus, pool, name, **options) for name in progress(names, "policies")]


def _say_notes(corpus: "Corpus") -> None:
    for note in corpus.notes:
        remark(f"{corpus.name}: {note}", style="yellow")


def _numbers(text: str | None, option: str) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SimulationError(
            f"{option} {text!r}: numbers separated by commas are needed, as 0.3,0.6,0.9"
        ) from None


def _play(results: "Sequence[ReplayResult]", speed: float, start: float) -> None:
    """Publish replays from ``start`` (s) at ``speed`` times real time, and show them."""
    from tqdm import tqdm

    from routingsim.live.pacing import play
    from routingsim.live.settings import redacted
    from routingsim.live.stack import LiveStack
    from routingsim.simulation.broadcast import broadcast

    with LiveStack(pool=results[0].pool) as stack, stack.listen() as listener:
        remark(f"live: watch at {stack.public.api}")
        remark(f"live: decisions on {redacted(stack.redis_url)} and {stack.url}")
        sent = undelivered = 0
        lag = 0.0
        for result in results:
            seconds = float(result.log.finished.max())
            tasks = result.corpus.name if result.corpus else "synthetic tasks"
            form = "{desc}: {percentage:3.0f}% |{bar}| {n:,.0f} of {total:,.0f} s{postfix}"
            with tqdm(total=seconds, desc=result.policy.name, bar_format=form, disable=None) as bar:

                def show(now: float, _: int, bar: Any = bar) -> None:
                    bar.update(now - bar.n)

                played = play(
                    broadcast(result),
                    stack.publisher,
                    speed=speed,
                    start=start,
                    title=f"{tasks}, policy {result.policy.name}",
                    end=seconds,
                    progress=show,
                )
                bar.update(seconds - bar.n)
            sent += played.messages
            undelivered += played.undelivered
            lag = max(lag, played.lag_max)
        with suppress(TimeoutError):
            listener.wait_for(sent - undelivered, timeout=2.0)
        remark(
            f"live: {sent:,} messages published, {undelivered:,} undelivered, "
            f"{listener.count:,} received back over WebSocket; at most {1e3 * lag:,.0f} ms late"
        )
