"""The check-up says what was read and what is suspicious, in Python, notebooks and JSON."""

import numpy as np
import pandas as pd

import routingsim as rs

FRAME = pd.DataFrame(
    {
        "id": range(120),
        "text": [f"question {k}" for k in range(120)],
        "outcomes.a.quality": 1.0,
        "outcomes.a.cost": 0.0,
        "outcomes.b.quality": 1.0,
        "outcomes.b.cost": 0.002,
    }
)
POOL = rs.AgentPool(
    tuple(rs.Agent(id=name, name=name, cost=0.01, latency=1.0) for name in ("a", "b"))
)
READ = "read: 120 tasks, 2 agents, quality of all, cost of all"


def test_nothing_suspicious() -> None:
    checkup = rs.load_corpus("tasks").check()
    assert not checkup
    assert repr(checkup) == (
        "read: 542 tasks, times over 3,581 s, no outcomes\nnothing suspicious was found"
    )
    assert checkup.to_dict() == {
        "read": "542 tasks, times over 3,581 s, no outcomes",
        "findings": [],
    }


def test_findings_in_every_form() -> None:
    corpus = rs.load_corpus(FRAME)
    [alone], [beside] = corpus.check().findings, corpus.check(POOL).findings
    assert (alone.severity, beside.severity) == ("suspicious", "wrong")
    assert corpus.check().lines[0] == READ
    assert f"wrong: {beside}" == corpus.check(POOL).lines[1]
    assert str(alone).endswith(
        "It touches costs, and policies and verdicts that go by cost; leave a cost that nobody "
        "recorded empty: it is then price x tokens"
    )
    assert f"suspicious: {alone}"[:60] in " ".join(repr(corpus).split())
    assert "outcomes.a.cost: 120 of 120 costs are 0" in corpus.to_html()
    assert "outcomes.a.cost: 120 of 120 costs are 0" in corpus.check()._repr_html_()
    assert corpus.to_dict()["findings"] == [alone.to_dict()]
    assert corpus.select(np.arange(60)).check().about("cost")
    assert corpus.check().about("times") == ()


def test_what_touches_a_run_stands_before_its_figures() -> None:
    corpus = rs.load_corpus(FRAME)
    result = rs.replay(corpus, POOL, "least-loaded", arrivals="poisson:1", seed=1)
    said = str(corpus.check(POOL).findings[0])
    assert result.foremost == [said]
    assert result.notes[0] == said
    assert result.to_dict()["checkup"] == corpus.check(POOL).to_dict()


def test_what_does_not_touch_a_run_stands_below() -> None:
    stamps = np.repeat(np.arange(20) * 60.0, 6)
    corpus = rs.load_corpus(FRAME.drop(columns="outcomes.a.cost").assign(arrived_at=stamps))
    [said] = map(str, corpus.check(POOL).findings)
    own = rs.replay(corpus, POOL, "least-loaded", arrivals="corpus", seed=1)
    other = rs.replay(corpus, POOL, "least-loaded", arrivals="poisson:1", seed=1)
    assert (own.foremost, other.foremost) == ([said], [])
    assert said in other.notes
