"""The report on replays: sentences and facts by hand."""

import datetime

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.report import compose
from routingsim.report.document import Document, Facts, Points, Section, Table
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult

CAVEAT = (
    "Differences and their intervals are of 10 further runs of each policy under other seeds, the "
    "same for all: other days with the same tasks; those of quality and cost take the tasks as a "
    "sample, too. Tables and plots show this run."
)


def section(document: Document, ident: str) -> Section:
    return next(section for section in document.sections if section.id == ident)


def points(document: Document) -> tuple[str, ...]:
    (block,) = section(document, "warnings").blocks
    assert isinstance(block, Points)
    return block.items


def facts(document: Document) -> dict[str, str]:
    block = section(document, "run").blocks[0]
    assert isinstance(block, Facts)
    return dict(block.items)


@pytest.fixture(scope="module")
def small() -> ReplayResult:
    """Ten tasks, one a second, in turn to two agents that take 1 s and 2 s."""
    agents = (
        Agent(id=name, name=name, cost=0.001 * s, latency=s, service="deterministic")
        for name, s in (("a", 1.0), ("b", 2.0))
    )
    pool = AgentPool(tuple(agents))
    return replay(None, pool, "round-robin", arrivals="deterministic:1", tasks=10, seed=7)


def test_first_tokens_have_a_table() -> None:
    """Alone, each answer takes 1 s, and its first token comes after a quarter of that."""
    streams = Agent(
        id="a", name="A", cost=0.001, latency=1.0, service="deterministic", ttft=0.25, concurrency=9
    )
    whole = Agent(id="b", name="B", cost=0.001, latency=1.0, service="deterministic", concurrency=9)
    pool = AgentPool((streams, whole))
    result = replay(None, pool, "round-robin", arrivals="deterministic:1", tasks=10, seed=7)
    tables = [block for block in section(compose(result), "latency").blocks if type(block) is Table]
    assert [found.caption for found in tables] == [
        "Waits and latencies under round-robin", "First tokens under round-robin",
    ]  # fmt: skip
    assert [column.name for column in tables[1].columns][2:] == [
        *("first token mean", "first token p50", "first token p95", "first token p99"),
    ]
    assert [row[3] for row in tables[1].rows[:2]] == [0.25, 1.0]
    (figures,) = section(compose(result), "comparison").blocks
    assert isinstance(figures, Table)
    assert "first token p95" in [column.name for column in figures.columns]


def test_a_small_run_word_for_word(small: ReplayResult) -> None:
    document = compose([small], date=datetime.date(2026, 1, 2))
    assert document.title == "Routing report: queueing"
    assert document.date == "2026-01-02"
    assert document.subtitle == "10 tasks without text over 10.0 s, 2 agents, 1 policy"
    assert document.summary.verdict == (
        "The run is too short to say whether round-robin (highest offered load 28 %, at b; about "
        "30 tasks would do) is steady: the waits of a longer run may differ. Every task was "
        "answered."
    )
    assert document.summary.findings == (
        "round-robin cost USD 0.00450 in all, USD 0.450 per 1,000 tasks; half of the answers took "
        "less than 1.0 s, 95 % less than 2.0 s.",
    )
    assert points(document)[1:3] == (
        "Under round-robin fewer than 30 timed answers are behind the percentiles of a (5) and b "
        "(5): their p95 and p99 are little more than the largest values.",
        "Costs are modelled (price x tokens) where none is recorded: 100% of calls.",
    )
    known = facts(document)
    assert known["Corpus"] == "none: queueing alone"
    assert known["Tasks"] == "10"
    assert known["Arrivals asked for"] == "deterministic:1 (1.00 tasks/s, cv of gaps 0.00)"
    assert known["Arrivals met"] == "1.00 tasks/s, cv of gaps 0.00, over 10.0 s"
    assert known["Seed"] == "7"
    assert known["Warm-up"] == ("first 10 % of the arrivals’ time left out of timing figures")
    assert known["To repeat"] == (
        "replay(None, pool, 'round-robin', arrivals='deterministic:1', tasks=10, seed=7)"
    )
    (card,) = document.cards
    assert card.figures == (
        ("Quality", "not recorded"),
        ("USD per 1,000 tasks", "0.450"),
        ("Latency p50", "1.0 s"),
        ("Latency p95", "2.0 s"),
    )
    assert card.said == (
        "too short to say (highest offered load 28 %, at b; about 30 tasks would do): the waits "
        "of a longer run may differ"
    )


def test_tables_of_a_small_run(small: ReplayResult) -> None:
    document = compose([small])
    (stability,) = section(document, "stability").blocks
    assert isinstance(stability, Table)
    assert stability.rows == (("round-robin", "too short to say", pytest.approx(10 / 9 / 4), "b"),)
    (_, usage) = section(document, "usage").blocks
    assert isinstance(usage, Table)
    assert [row[:3] for row in usage.rows] == [("a", 5, 0.5), ("b", 5, 0.5)]
    latency = section(document, "latency").blocks[-1]
    assert isinstance(latency, Table)
    assert [row[:2] for row in latency.rows] == [("a", 5), ("b", 5), ("all", 10)]
    assert section(document, "queue").text == ("No task ever waited for a slot.",)


def test_two_policies(small: ReplayResult) -> None:
    other = replay(None, small.pool, "cheapest", arrivals="deterministic:1", tasks=10, seed=7)
    document = compose([small, other])
    assert document.subtitle.endswith("2 agents, 2 policies")
    # Five calls of 0.3 and five of 0.6 mUSD, in all ten further runs, against ten of 0.3.
    assert document.summary.findings == (
        "cheapest costs 33 % less than round-robin (95 % CI 33–33 %); p95 1.0 s lower (95 % CI "
        "1.0–1.0 s).",
    )
    assert document.summary.caveats == (
        "Quality: not recorded, so nothing is said about how good the answers are.",
        "Differences and their intervals are of 10 further runs of each policy under other seeds, "
        "the same for all: other days with the same tasks. Tables and plots show this run.",
    )
    assert facts(document)["To repeat"] == (
        "[replay(None, pool, policy, arrivals='deterministic:1', tasks=10, seed=7) for policy in "
        "['round-robin', 'cheapest']]"
    )


def test_a_fit_is_said_to_be_taken_as_it_is() -> None:
    frame = pd.DataFrame({"id": [str(k) for k in range(60)]})
    frame["text"] = [f"task {k} of many words" for k in range(60)]
    for agent in ("a", "b"):
        frame[f"outcomes.{agent}.quality"] = np.tile([0.0, 1.0], 30)
    corpus = Corpus.from_frame(frame, "sixty")
    pool = AgentPool(tuple(Agent(id=a, name=a, cost=0.001, latency=1.0) for a in ("a", "b")))
    runs = [
        replay(corpus, pool, each, arrivals="poisson:2", seed=7) for each in ("ridge", "random")
    ]
    (said,) = compose(runs).summary.caveats
    assert said == CAVEAT.replace("too.", "too, and the fit of ridge as it is.")
    (said,) = compose([runs[1], runs[1]]).summary.caveats
    assert said == CAVEAT


def test_the_run_itself_is_in_the_facts(results: list[ReplayResult]) -> None:
    document = compose(results)
    assert document.subtitle.startswith("120 tasks of the corpus “wild <corpus>” over ")
    fitted = "too, and the fit of threshold:calibrated as it is."
    assert document.summary.caveats == (CAVEAT.replace("too.", fitted),)
    known = facts(document)
    assert known["Outage"] == "gpt-4 down from 5 s to 9 s"
    assert "outages=[Outage(" in known["To repeat"]
    policies = section(document, "run").blocks[-1]
    assert isinstance(policies, Table)
    assert [(row[0], row[-1]) for row in policies.rows] == [
        ("threshold", "–"),
        ("threshold:calibrated", "wild <corpus> (100 % of the texts shown)"),
        ("static:gpt-4", "–"),
    ]


def test_no_warm_up_is_a_fact(small: ReplayResult) -> None:
    run = replay(None, small.pool, "random", arrivals="poisson:1", tasks=50, warm_up=0.0)
    assert facts(compose([run]))["Warm-up"] == "none"


@pytest.mark.parametrize(("tasks", "said"), [(29, True), (30, False)])
def test_few_answers_are_a_warning(tasks: int, said: bool) -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=1.0, latency=0.1),))
    run = replay(None, pool, "cheapest", tasks=tasks, arrivals="deterministic:1", warm_up=0.0)
    warned = " ".join(points(compose([run])))
    assert ("percentiles of a (29): their p95 and p99" in warned) is said
