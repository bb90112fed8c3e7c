"""What was run, as a section."""

from typing import Any

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.report.document import Column, Facts, Table, table
from routingsim.report.provenance import corpus_call, run_section

POLICIES = table("Policies", [(Column("policy", kind="text"), ["a"])])


def test_the_section(corpus: Corpus) -> None:
    limited = Agent(id="a", name="A", cost=0.5, latency=2.0, latency_cv=0.25, patience=3.0)
    pool = AgentPool((limited, Agent(id="b", name="B", cost=0.1, latency=1.0)))
    section = run_section(corpus, pool, [("Seed", "7")], "do it", POLICIES)
    facts, agents, policies = section.blocks
    assert isinstance(facts, Facts)
    assert facts.items[:4] == (
        ("Corpus", "wild <corpus>, 120 records"), ("Source", corpus.source),
        ("SHA-256", corpus.sha256), *facts.items[3:4],
    )  # fmt: skip
    assert facts.items[-3] == ("Seed", "7")
    assert facts.items[-4] == ("A call that fails costs", "as much as any")
    assert facts.items[-2][0] == "Versions"
    assert facts.items[-1] == ("To repeat", "do it")
    assert isinstance(agents, Table)
    assert [column.name for column in agents.columns] == [
        "agent", "name", "price", "mean service", "cv", "service model", "slots", "patience",
    ]  # fmt: skip
    assert agents.rows[0] == ("a", "A", 0.5, 2.0, 0.25, "lognormal", 4, 3.0)
    assert agents.rows[1][-1] is None
    assert policies is POLICIES


def test_prices_and_what_they_are_asked_for() -> None:
    dear = Agent(id="a", name="A", price_input=2.5, price_output=10.0, latency=2.0,
                 price_source="openai/gpt-4o: a list of 2025-11-01", failed_cost="input",
                 timeout=9.0, cut_off_cost="nothing", limit_source="a page of 2025")  # fmt: skip
    pool = AgentPool((dear, Agent(id="b", name="B", cost=0.1, latency=1.0)))
    facts, agents, _ = run_section(None, pool, [], "x", POLICIES).blocks
    assert isinstance(facts, Facts)
    assert isinstance(agents, Table)
    assert facts.items[1:5] == (
        ("Prices", "a: openai/gpt-4o: a list of 2025-11-01"),
        ("Limits", "a: a page of 2025"),
        ("A call that fails costs", "a: its prompt; b: as much as any"),
        ("A call that is cut off costs", "a: nothing; b: as much as any"),
    )
    pairs = zip(agents.columns, agents.rows[0], strict=True)
    shown = [(column.name, cell) for column, cell in pairs]
    assert [each for each in shown if "price" in each[0]] == [
        ("price", 0.004375), ("input price", 2.5), ("output price", 10.0),
    ]  # fmt: skip


def test_every_field_that_differs_from_its_default_is_said() -> None:
    given: dict[str, Any] = {
        "ttft": 0.25, "prefill_tokens_per_second": 2500.0, "tokens_per_second": 80.0,
        "output_tokens": 123.0, "concurrency": 9, "queue_limit": 0, "patience": 11.0,
        "patience_law": "exponential", "error_rate": 0.0625, "failures": "drawn",
        "requests_per_minute": 600, "tokens_per_minute": 99_000, "requests_per_day": 90_000,
        "over_limit": "reject", "limit_window": "bucket", "account": "team",
        "context_window": 7777, "timeout": 31.0, "first_token_timeout": 8.0,
        "cut_off": "holds", "sharing": 0.125, "fallback": "b", "discipline": "fair",
        "price_per_slot_hour": 1.5, "outcome": "llama", "latency_cv": 0.75,
        "service": "tokens", "price_cache_read": 1.25, "price_cache_write": 3.75,
        "price_input": 2.25, "price_output": 10.5,
    }  # fmt: skip
    facts: dict[str, Any] = {"cut_off_cost": "served", "failed_cost": "input"}
    facts |= {"limit_source": "a page", "price_source": "a list"}
    facts["strengths"] = ("code",)  # of no consequence, and said nowhere
    plain: dict[str, Any] = {"id": "a", "name": "A", "cost": 0.5, "latency": 2.0}
    assert {*given, *facts, *plain, "prices"} == {*Agent.__struct_fields__}
    pool = AgentPool((Agent(**plain, **given, **facts), Agent(id="b", name="B", cost=1, latency=1)))
    agents = run_section(None, pool, [], "x", POLICIES).blocks[1]
    assert isinstance(agents, Table)
    assert sorted(map(str, agents.rows[0])) == sorted(map(str, [*plain.values(), *given.values()]))


def test_no_corpus() -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=0.5, latency=2.0),))
    facts = run_section(None, pool, [], "x", POLICIES).blocks[0]
    assert isinstance(facts, Facts)
    assert facts.items[0] == ("Corpus", "none: queueing alone")


def test_how_a_corpus_is_loaded(corpus: Corpus) -> None:
    assert corpus_call(None) == "None"
    assert corpus_call(corpus) == f"load_corpus({corpus.source!r})"
