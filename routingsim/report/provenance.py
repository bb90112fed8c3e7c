"""What was run: enough to repeat it."""

import platform
from collections.abc import Sequence
from importlib.metadata import version

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.stream import CorpusStream
from routingsim.formatting import count, isolated
from routingsim.report.document import Column, Facts, Section, Table, table
from routingsim.report.palette import agent_colours

_DEFAULTS = dict(
    zip(reversed(Agent.__struct_fields__), reversed(Agent.__struct_defaults__), strict=False)
)
_KNOWN = {
    "id": Column("agent", kind="text"),
    "name": Column("name", kind="text"),
    "cost": Column("price", "USD per 1,000 tokens"),
    "latency": Column("mean service", "s"),
    "latency_cv": Column("cv"),
    "service": Column("service model", kind="text"),
    "concurrency": Column("slots", kind="count"),
}
_LIMITS = {
    "price_input": Column("input price", "USD per million tokens"),
    "price_output": Column("output price", "USD per million tokens"),
    "price_cache_read": Column("cached input price", "USD per million tokens"),
    "price_cache_write": Column("cache write price", "USD per million tokens"),
    "ttft": Column("first token", "s"),
    "prefill_tokens_per_second": Column("prompt", "tokens/s"),
    "tokens_per_second": Column("answer", "tokens/s"),
    "output_tokens": Column("mean answer", "tokens"),
    "discipline": Column("discipline", kind="text"),
    "queue_limit": Column("queue limit", "tasks", "count"),
    "patience": Column("patience", "s"),
    "patience_law": Column("law of patience", kind="text"),
    "error_rate": Column("errors", "% of calls", "percent"),
    "requests_per_minute": Column("limit", "calls/min", "count"),
    "tokens_per_minute": Column("token limit", "tokens/min", "count"),
    "requests_per_day": Column("daily limit", "calls/day", "count"),
    "over_limit": Column("over a limit", kind="text"),
    "limit_window": Column("window of limits", kind="text"),
    "account": Column("account", kind="text"),
    "sharing": Column("sharing"),
    "context_window": Column("context window", "tokens", "count"),
    "timeout": Column("time-out", "s"),
    "first_token_timeout": Column("first-token time-out", "s"),
    "cut_off": Column("slot of a call cut off", kind="text"),
    "fallback": Column("falls back to", kind="text"),
    "price_per_slot_hour": Column("slot", "USD per hour"),
    "failures": Column("failures", kind="text"),
    "outcome": Column("recorded as", kind="text"),
}
"""Shown where an agent has another value than the default."""


def run_section(
    corpus: Corpus | None,
    pool: AgentPool,
    facts: Sequence[tuple[str, str]],
    command: str,
    policies: Table,
) -> Section:
    """Corpus, settings, versions, agents and policies: all it takes to run it again.

    ``facts`` are settings by name; ``command`` is what to type to get the report again.
    """
    return _section(_corpus_facts(corpus, pool), pool, facts, command, policies)


def stream_section(
    stream: CorpusStream,
    pool: AgentPool,
    facts: Sequence[tuple[str, str]],
    command: str,
    policies: Table,
) -> Section:
    """The same of a corpus that is read in blocks."""
    known = [
        ("Corpus", f"{isolated(stream.name)}, {count(len(stream), 'record')}, in blocks"),
        ("Source", f"{stream.source}, {count(len(stream.files), 'file')}"),
        *(("Note", note) for note in stream.facts.notes),
    ]
    return _section(known, pool, facts, command, policies)


def _section(
    corpus: Sequence[tuple[str, str]],
    pool: AgentPool,
    facts: Sequence[tuple[str, str]],
    command: str,
    policies: Table,
) -> Section:
    used = [f"{name} {version(name)}" for name in ("routingsim", "numpy", "numba")]
    versions = ", ".join([f"Python {platform.python_version()}", *used])
    known = [
        *corpus,
        *_price_facts(pool),
        *facts,
        ("Versions", versions),
        ("To repeat", command),
    ]
    blocks = (Facts(tuple(known)), agents_table(pool), policies)
    return Section("run", "What was run", blocks=blocks)


def _corpus_facts(corpus: Corpus | None, pool: AgentPool) -> list[tuple[str, str]]:
    if corpus is None:
        return [("Corpus", "none: queueing alone")]
    return [
        ("Corpus", f"{isolated(corpus.name)}, {count(len(corpus), 'record')}"),
        ("Source", corpus.source),
        ("SHA-256", corpus.sha256),
        *(("Note", note) for note in corpus.notes),
        *(("Check-up", line) for line in corpus.check(pool).lines),
    ]


_BILLED = {
    "all": "as much as any",
    "served": "the share of its time that it was served",
    "input": "its prompt",
    "nothing": "nothing",
}


def _price_facts(pool: AgentPool) -> list[tuple[str, str]]:
    """Where prices and limits come from, and what calls cost that have no answer."""
    facts = [
        (title, f"{', '.join(a.id for a in pool if getattr(a, field) == source)}: {source}")
        for title, field in (("Prices", "price_source"), ("Limits", "limit_source"))
        for source in dict.fromkeys(filter(None, (getattr(a, field) for a in pool)))
    ]
    facts.append(("A call that fails costs", _by_agent(pool, "failed_cost")))
    cuts = any(agent.timeout or agent.first_token_timeout for agent in pool)
    if cuts or any(agent.cut_off_cost != "all" for agent in pool):
        facts.append(("A call that is cut off costs", _by_agent(pool, "cut_off_cost")))
    return facts


def _by_agent(pool: AgentPool, field: str) -> str:
    """What a call of each agent costs; said once where it is the same of all."""
    said = {agent.id: _BILLED[getattr(agent, field)] for agent in pool}
    if len({*said.values()}) == 1:
        return said[pool.ids[0]]
    return "; ".join(f"{agent}: {what}" for agent, what in said.items())


def corpus_call(corpus: Corpus | None) -> str:
    """The Python expression that loads a corpus."""
    if corpus is None:
        return "None"
    public = corpus.source.startswith("http")
    return f"load_corpus({(corpus.name if public else corpus.source)!r})"


def agents_table(pool: AgentPool) -> Table:
    """The agents and their limits, as far as there are any."""
    columns = [
        (column, [getattr(agent, field) for agent in pool])
        for field, column in (_KNOWN | _LIMITS).items()
        if field in _KNOWN or any(getattr(agent, field) != _DEFAULTS[field] for agent in pool)
    ]
    return table("Agents", columns, agent_colours(len(pool)))
