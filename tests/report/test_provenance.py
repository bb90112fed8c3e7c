"""What was run, as a section."""

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
    assert facts.items[-2][0] == "Versions"
    assert facts.items[-1] == ("To repeat", "do it")
    assert isinstance(agents, Table)
    assert [column.name for column in agents.columns] == [
        "agent", "name", "price", "mean service", "cv", "service model", "slots", "patience",
    ]  # fmt: skip
    assert agents.rows[0] == ("a", "A", 0.5, 2.0, 0.25, "lognormal", 4, 3.0)
    assert agents.rows[1][-1] is None
    assert policies is POLICIES


def test_no_corpus() -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=0.5, latency=2.0),))
    facts = run_section(None, pool, [], "x", POLICIES).blocks[0]
    assert isinstance(facts, Facts)
    assert facts.items[0] == ("Corpus", "none: queueing alone")


def test_how_a_corpus_is_loaded(corpus: Corpus) -> None:
    assert corpus_call(None) == "None"
    assert corpus_call(corpus) == f"load_corpus({corpus.source!r})"
