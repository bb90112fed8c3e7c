"""What was run: enough to repeat it."""

import platform
from collections.abc import Sequence
from importlib.metadata import version

from routingsim import display
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.report import replay_text
from routingsim.report.document import Block, Column, Facts, Section, table
from routingsim.report.formatting import ABSENT, count, duration, isolated, percent
from routingsim.report.palette import agent_colours
from routingsim.simulation.result import ReplayResult

__all__ = ["agents", "corpus_call", "corpus_digest", "corpus_facts", "run", "versions"]


def run(results: Sequence[ReplayResult], command: str | None) -> Section:
    """Corpus, arrivals, seed, versions, agents and policies: all it takes to run it again."""
    first = results[0]
    asked, met = replay_text.arrivals(first)
    facts = [
        *corpus_facts(first.corpus),
        ("Tasks", f"{len(first):,}"),
        ("Arrivals asked for", asked),
        ("Arrivals met", f"{met}, over {duration(float(first.work.arrived[-1]))}"),
        ("Seed", str(first.seed)),
        (
            "Warm-up",
            f"first {percent(first.warm_up)} of the arrivals’ time left out of timing figures"
            if first.warm_up
            else "none",
        ),
        *(("Outage", f"{o.agent} down from {o.down:g} s to {o.up:g} s") for o in first.outages),
        *(
            (
                f"Retries under {r.policy.name}",
                f"{count(int(r.log.retries[0]), 'try', 'tries')} more",
            )
            for r in results
            if r.log.retries[0]
        ),
        ("Versions", versions()),
        ("To repeat", command or _call(results)),
    ]
    return Section(
        "run", "What was run", blocks=(Facts(tuple(facts)), agents(first.pool), _policies(results))
    )


def corpus_facts(corpus: Corpus | None) -> list[tuple[str, str]]:
    """What a corpus is known by."""
    if corpus is None:
        return [("Corpus", "none: queueing alone")]
    return [
        ("Corpus", f"{isolated(corpus.name)}, {count(len(corpus), 'record')}"),
        ("Source", corpus.source),
        ("SHA-256", corpus.sha256),
        *(("Note", note) for note in corpus.notes),
    ]


def versions() -> str:
    """Of all that figures depend on."""
    names = ("routingsim", "numpy", "numba")
    return ", ".join([f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in names)])


def _call(results: Sequence[ReplayResult]) -> str:
    """The same from Python, the agents being at hand as ``pool``."""
    first = results[0]
    corpus = corpus_call(first.corpus)
    given = f"arrivals={first.arrivals!r}, tasks={len(first)}, seed={first.seed}"
    if first.log.retries[0]:
        given += f", retries={first.retries!r}"
    if first.outages:
        given += f", outages={list(first.outages)}"
    if len(results) == 1:
        return f"replay({corpus}, pool, {first.policy.name!r}, {given})"
    names = [result.policy.name for result in results]
    return f"[replay({corpus}, pool, policy, {given}) for policy in {names}]"


def corpus_call(corpus: Corpus | None) -> str:
    """How to load it in Python."""
    if corpus is None:
        return "None"
    public = corpus.source.startswith("http")
    return f"load_corpus({(corpus.name if public else corpus.source)!r})"


def agents(pool: AgentPool) -> Block:
    """The agents and their limits, as far as there are any."""
    columns = [
        Column("agent", kind="text"),
        Column("name", kind="text"),
        Column("price", "USD per 1,000 tokens"),
        Column("mean service", "s", "seconds"),
        Column("cv"),
        Column("service model", kind="text"),
        Column("slots", kind="count"),
    ]
    rows = [[a.id, a.name, a.cost, a.latency, a.latency_cv, a.service, a.concurrency] for a in pool]
    limits: tuple[tuple[str, Column], ...] = (
        ("queue_limit", Column("queue limit", "tasks", "count")),
        ("patience", Column("patience", "s", "seconds")),
        ("error_rate", Column("errors", "% of calls", "percent")),
        ("requests_per_minute", Column("limit", "calls/min", "count")),
    )
    for field, column in limits:
        values = [getattr(agent, field) for agent in pool]
        if any(values):
            columns.append(column)
            for row, value in zip(rows, values, strict=True):
                row.append(value)
    return table("Agents", columns, rows, agent_colours(len(rows)))


def _policies(results: Sequence[ReplayResult]) -> Block:
    columns = (
        Column("policy", kind="text"),
        Column("parameters", kind="text"),
        Column("learns", kind="text"),
        Column("fitted on", kind="text"),
    )
    rows = []
    for result in results:
        policy = result.policy
        shown = "; ".join(f"{k} = {display.parameter(v)}" for k, v in policy.parameters.items())
        fitted = ", ".join(
            "the corpus shown" if digest == corpus_digest(result) else digest[:12]
            for digest in policy.fitted_on
        )
        learns = "while it runs" if policy.learns else "no"
        rows.append((policy.name, shown or ABSENT, learns, fitted or ABSENT))
    return table("Policies", columns, rows)


def corpus_digest(result: ReplayResult) -> str | None:
    """Hash of the corpus, if there is one."""
    return result.corpus.sha256 if result.corpus else None
