"""Options of commands that simulate: tasks, agents, policies, failures and targets."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from routingsim.cli.completion import among, complete_corpus, complete_policy, complete_pool
from routingsim.cli.console import progress, remark
from routingsim.cli.options import (
    DatesOption,
    MapOption,
    OnError,
    QualityOption,
    SloOption,
    bounds,
    load_option,
    option,
)
from routingsim.errors import RoutingSimError

if TYPE_CHECKING:  # imported when used, so that help is shown without loading the compiler
    from routingsim.agents import AgentPool
    from routingsim.corpora.corpus import Corpus
    from routingsim.simulation.changes import Change
    from routingsim.simulation.faults import Outage, Retries
    from routingsim.simulation.result import ReplayResult

FITTED = "log"
"""The value of ``--agents`` for the agents of a log, fitted to it."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The tasks, agents, policies and seed of any simulation."""

    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            help="File of tasks (CSV, JSON lines or Parquet, with columns id and text), the log of "
            "a tool (a file or a folder: LiteLLM, OpenTelemetry, Langfuse, …), or the name of a "
            "public corpus: see routingsim corpora.",
            autocompletion=complete_corpus,
        ),
    ]
    policy: Annotated[
        list[str] | None,
        option(
            "NAME",
            "Routing policy: see routingsim policies. Repeat it to compare "
            "policies; the first is the baseline.",
            "--policy",
            "-p",
            complete=complete_policy,
        ),
    ] = None
    agents: Annotated[
        str,
        option(
            "POOL",
            "TOML file of agents, the name of a built-in pool (see routingsim agents), or "
            "log: the agents of CORPUS, which is a log, fitted to it.",
            complete=complete_pool,
        ),
    ] = "default"
    tasks: Annotated[
        int | None,
        option(
            "N",
            "Number of tasks. Default: the whole corpus. Fewer are drawn at random, in proportion "
            "to their categories (with the corpus's own times: the first N); more are drawn with "
            "replacement.",
        ),
    ] = None
    seed: Annotated[
        int, option("N", "Seed of the random numbers; the same seed gives the same result.")
    ] = 0
    service: Annotated[
        str | None,
        option(
            "MODEL",
            "Service-time model of all agents: lognormal, exponential, deterministic, tokens "
            "or recorded. Default: each agent's own model.",
            complete=among("lognormal", "exponential", "deterministic", "tokens", "recorded"),
        ),
    ] = None
    on_error: Annotated[
        OnError, option(None, "On an invalid record: stop with an error, or skip it.")
    ] = OnError.RAISE
    dates: DatesOption = None
    map: MapOption = None

    def policies(self, corpus: "Corpus", pool: "AgentPool", default: Sequence[str]) -> list[str]:
        """Those of ``--policy``, or the default, with ``logged`` first where there is a log."""
        from routingsim.policies.policy import make_policy
        from routingsim.simulation.recorded import basis

        if self.policy:
            return self.policy
        if basis(corpus, pool).kind == "log":
            with suppress(RoutingSimError):  # a log that cannot be repeated
                make_policy(pool, "logged", corpus)
                return ["logged", *default]
        return list(default)

    def read(self) -> "tuple[Corpus, AgentPool]":
        """The corpus and the pool; notes on the corpus go to standard error."""
        from routingsim.agents import load_agents
        from routingsim.corpora.datasets import load_corpus
        from routingsim.corpora.logs.read import read_log
        from routingsim.corpora.rows import counted

        said: dict[str, Any] = {"on_error": self.on_error, "dates": self.dates}
        if self.agents == FITTED:
            from routingsim.evaluation.log_fit import fitted, usable

            log = read_log(self.corpus, columns=self.map, **said)
            corpus, pool = log.corpus(), fitted(usable(log)[0])[0]
        else:
            pool = load_agents(self.agents)
            corpus = load_corpus(self.corpus, columns=self.map, **said)
        for note in corpus.notes:
            remark(f"{corpus.name}: {note}", style="yellow")
        if found := corpus.check(pool):
            many = counted(len(found.findings), "finding")
            remark(f"{corpus.name}: read: {found.read}; {many} of the check-up", style="yellow")
        return corpus, pool


@dataclass(frozen=True, kw_only=True)
class FaultyInputs(Inputs):
    """The inputs of simulations in which agents fail and calls are tried again."""

    attempts: Annotated[int, load_option("N", "Attempts per task when calls fail.")] = 1
    backoff: Annotated[float, load_option("SECONDS", "Seconds before the first retry.")] = 1.0
    backoff_factor: Annotated[
        float, load_option("FACTOR", "Each further back-off is this many times as long.")
    ] = 2.0
    jitter: Annotated[
        float, load_option("SHARE", "Share of a back-off that is random, 0 to 1.")
    ] = 0.0
    retry_on: Annotated[
        list[str] | None,
        load_option(
            "STATUS",
            "What is tried again: failed, rejected, timed_out, shed or too_long. Can be repeated. "
            "Default: failed.",
            complete=among("failed", "rejected", "timed_out", "shed", "too_long"),
        ),
    ] = None
    retry_budget: Annotated[
        float | None,
        load_option(
            "SHARE", "Retries allowed for each task on average, such as 0.1. Default: no limit."
        ),
    ] = None
    retry_reserve: Annotated[
        float, load_option("N", "Retries in the budget at the start, and at most.")
    ] = 10.0
    retry_after: Annotated[
        bool, load_option(None, "Wait after a 429 for as long as its Retry-After says.")
    ] = True
    fallback: Annotated[
        bool, load_option(None, "Retry with another agent than the one that failed.")
    ] = True
    fallback_all: Annotated[
        bool, load_option(None, "Retry with an agent that has not had the task.", "--fallback-all")
    ] = False
    cooldown: Annotated[
        str | None,
        load_option(
            "N:WITHIN:S",
            "Do not offer an agent for S seconds after N failures within WITHIN seconds, as "
            "3:60:30.",
        ),
    ] = None
    outage: Annotated[
        list[str] | None,
        load_option(
            "A:DOWN:UP",
            "Take agent A, or all of an account, down from second DOWN to second UP, as "
            "gpt-4:60:90. Can be repeated.",
        ),
    ] = None

    change: Annotated[
        list[str] | None,
        load_option(
            "A:AT:F=V",
            "Change agent A, or all of an account, from second AT on: its speed, price or quality "
            "as a multiple, its error_rate, or whether it is offered, as gpt-4:600:speed=0.5. "
            "Can be repeated.",
        ),
    ] = None
    signal_delay: Annotated[
        float,
        load_option("SECONDS", "Delay with which the routers of --routers see each other's calls."),
    ] = 0.0
    routers: Annotated[int, load_option("N", "Routers that share the agents.")] = 1
    hedge: Annotated[
        str | None,
        load_option(
            "WHEN",
            "Send a second copy of a call to another agent after so many seconds, as 2s, or after "
            "a percentile of the agent's own times, as p95.",
        ),
    ] = None
    discipline: Annotated[
        str | None,
        load_option(
            "ORDER",
            "Which of the tasks that wait is next: fifo, priority or fair (between tenants). "
            "Default: each agent's own.",
            complete=among("fifo", "priority", "fair"),
        ),
    ] = None
    tenant: Annotated[
        list[str] | None,
        load_option(
            "TENANT",
            "A tenant's weight, the priority of its tasks, or its share of the tasks, as "
            "a:weight=2,share=0.3 or b:priority=1. Can be repeated.",
        ),
    ] = None

    def retries(self) -> "Retries":
        """What happens after a failed call."""
        from routingsim.simulation.faults import Retries

        return Retries(
            self.attempts,
            self.backoff,
            factor=self.backoff_factor,
            fallback="all" if self.fallback_all else self.fallback,
            on=self.retry_on or ("failed",),
            jitter=self.jitter,
            budget=self.retry_budget,
            reserve=self.retry_reserve,
            retry_after=self.retry_after,
            cooldown=self.cooldown,
        )

    def changes(self) -> "list[Change]":
        """What changes at agents."""
        from routingsim.simulation.changes import Change

        return [Change.parse(text) for text in self.change or []]

    def conditions(self) -> dict[str, Any]:
        """The conditions that ``replay`` and ``compare`` take."""
        return {
            "retries": self.retries(),
            "outages": self.outages(),
            "changes": self.changes(),
            "signal_delay": self.signal_delay,
            "routers": self.routers,
            "hedge": self.hedge,
            "discipline": self.discipline,
            "tenants": self.tenant or (),
        }

    def outages(self) -> "list[Outage]":
        """When agents are down."""
        from routingsim.simulation.faults import Outage

        return [Outage.parse(text) for text in self.outage or []]


@dataclass(frozen=True, kw_only=True)
class DecisionInputs(FaultyInputs):
    """The inputs of a comparison of policies, and its targets."""

    slo: SloOption = None
    quality: QualityOption = None
    baseline: Annotated[
        str | None,
        option(
            "NAME",
            "Policy in use, which the others are compared with. Default: logged for a log, else "
            "the first.",
            complete=complete_policy,
        ),
    ] = None
    objective: Annotated[
        float | None,
        option(
            "SECONDS",
            "Latency within which an answer counts for goodput. Default: 3 times the mean "
            "service time of the slowest agent.",
        ),
    ] = None
    first_token_objective: Annotated[
        float | None,
        option("SECONDS", "Seconds within which its first token has to come for that, too."),
    ] = None

    def objectives(self) -> dict[str, Any]:
        """The limits within which an answer counts for goodput.

        Raises
        ------
        SimulationError
            If one is not above 0.
        """
        from routingsim.evaluation.loads import check_runs

        check_runs(1, self.objective, 0.5, self.first_token_objective)
        names = "objective", "first_token_objective"
        return {name: getattr(self, name) for name in names}

    def asked(self) -> dict[str, Any]:
        """The targets and the policy in use, as ``Study.decision`` takes them.

        Raises
        ------
        SimulationError
            If a target is not a metric and a bound.
        """
        from routingsim.evaluation.targets import targets_of

        slo = bounds(self.slo)
        if slo or self.quality is not None:
            targets_of(slo, self.quality, None)  # refused before anything is run
        return {"slo": slo, "quality": self.quality, "baseline": self.baseline}

    def policies(self, corpus: "Corpus", pool: "AgentPool", default: Sequence[str]) -> list[str]:
        """Those of ``Inputs``, the policy in use first."""
        found = super().policies(corpus, pool, default)
        if self.baseline is None:
            return found
        return [self.baseline, *(name for name in found if name != self.baseline)]


@dataclass(frozen=True, kw_only=True)
class ReplayInputs(DecisionInputs):
    """The inputs of one replay per policy, for ``replay`` and ``report``."""

    arrivals: Annotated[
        str | None,
        load_option(
            "PROCESS",
            "Arrival process: poisson:4 (tasks/s), gamma:4,cv=2, corpus, corpus:2x, "
            "trace:FILE, closed:users=9,think=5, … Default: the corpus's own times, or Poisson "
            "at 70 % of the pool's capacity.",
        ),
    ] = None
    warm_up: Annotated[
        float | None,
        load_option(
            "SHARE",
            "Share of the run, from its start, left out of timing metrics. Default: 0.1, or 0 "
            "for recorded arrival times.",
        ),
    ] = None

    def streamed(self, asked: bool) -> bool:
        """Whether the corpus is replayed in blocks: as ``asked``, or too large to be loaded."""
        from routingsim.corpora.stream import streamed_bytes

        return asked or (self.map is None and streamed_bytes(Path(self.corpus)) is not None)

    def run(self, policies: Sequence[str]) -> "list[ReplayResult]":
        """Replay with a progress bar under each ``--policy``, or by default under ``policies``."""
        from routingsim.simulation.replay import replay

        conditions = self.conditions()
        corpus, pool = self.read()
        return [
            replay(
                corpus,
                pool,
                name,
                arrivals=self.arrivals,
                tasks=self.tasks,
                seed=self.seed,
                service=self.service,
                warm_up=self.warm_up,
                **conditions,
            )
            for name in progress(self.policies(corpus, pool, policies), "policies")
        ]
