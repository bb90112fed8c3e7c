"""Which tasks figures rest on, and failures that are counted once."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.simulation.recorded import basis, basis_notes, recorded_costs

NAN = math.nan


def corpus_of(**columns: list[float]) -> rs.Corpus:
    """Tasks with the columns ``AGENT_FIELD``."""
    named = {f"outcomes.{name.replace('_', '.')}": values for name, values in columns.items()}
    rows = len(next(iter(columns.values())))
    frame = pd.DataFrame({"id": [f"t{k}" for k in range(rows)], "text": "hello"} | named)
    return rs.Corpus.from_frame(frame, "mine")


def pool_of(*ids: str, **fields: Any) -> rs.AgentPool:
    return rs.load_agents(
        [rs.Agent(id=id, name=id, cost=1.0, latency=1.0, concurrency=9, **fields) for id in ids]
    )


def test_a_complete_record_counts_whole_and_says_nothing() -> None:
    corpus = corpus_of(a_quality=[1, 0, 1], b_quality=[0, 0, 1])
    found = basis(corpus, pool_of("a", "b"))
    assert (found.kind, found.rows.tolist()) == ("complete", [True, True, True])
    assert basis_notes(corpus, pool_of("a", "b")) == []


def test_runs_do_not_compare_corpora_that_were_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run of a study asks: to compare two corpora took a third of a small one."""
    pool = pool_of("a", "b")
    first, again = (corpus_of(a_quality=[1, 0], b_cost=[0.5, NAN]) for _ in range(2))
    known = recorded_costs(first, pool)
    assert basis(first, pool, "cost").kind == "common"
    monkeypatch.setattr(rs.Corpus, "__eq__", lambda one, other: pytest.fail("compared"))
    assert recorded_costs(first, pool) is known
    assert recorded_costs(again, pool).tolist() == [[False, True], [False, False]]
    assert basis(again, pool, "cost").kind == "common"


def test_tasks_recorded_for_all_are_compared() -> None:
    corpus = corpus_of(a_quality=[1, 0, 1, 0], b_quality=[0.5, NAN, 1, NAN])
    pool = pool_of("a", "b", "c")
    found = basis(corpus, pool)
    assert (found.kind, found.rows.tolist()) == ("common", [True, False, True, False])
    assert basis_notes(corpus, pool) == [
        "no quality is recorded of c: nothing is known of theirs",
        "quality is recorded on a part of the tasks only (b 50.0%): figures of quality rest on the "
        "2 of 4 tasks recorded for every agent of which anything is; a call that failed is "
        "recorded by outcomes.AGENT.failed",
    ]
    result = rs.replay(corpus, pool, "static:a", arrivals="poisson:1")
    assert result.overall["quality"] == 1.0  # of the two tasks; over all four it is 0.5
    assert result.overall["recorded"] == 0.5


def test_an_agent_is_not_alone_in_a_log_of_two() -> None:
    """A pool of one agent does not make the tasks that it served a record of its own."""
    corpus = corpus_of(a_quality=[1, NAN, 1, NAN], b_quality=[NAN, 0, NAN, 1])
    for pool in (pool_of("a"), pool_of("a", "b")):
        assert basis(corpus, pool).kind == "log"
    assert basis(corpus, pool_of("c")).kind == "none"
    assert basis_notes(corpus, pool_of("a", "b")) == [
        "mine is a log with one answer a task (a 50.0%, b 50.0%): of the agents that did not serve "
        "a task nothing is recorded, so means of recorded qualities are of other tasks for each "
        "policy; estimates stand in their place"
    ]


def test_a_few_tasks_with_several_answers_leave_a_log_a_log() -> None:
    a = [1.0 if k % 2 else NAN for k in range(40)]
    b = [NAN if k % 2 else 1.0 for k in range(40)]
    a[0] = 1.0
    assert basis(corpus_of(a_quality=a, b_quality=b), pool_of("a", "b")).kind == "log"
    a[2] = a[4] = 1.0
    assert basis(corpus_of(a_quality=a, b_quality=b), pool_of("a", "b")).kind == "common"


def test_a_failed_call_is_a_record_and_has_no_quality() -> None:
    """Failures left blank flatter: 80 % of the answers are right, 60 % of all tasks."""
    quality = [NAN, 1, 1, 1, 0] * 20
    marked = corpus_of(a_quality=quality, a_failed=[1, 0, 0, 0, 0] * 20)
    result = rs.replay(marked, pool_of("a"), "static:a", arrivals="poisson:1")
    assert result.basis.kind == "complete"
    assert result.overall["failed"] == 20
    assert result.overall["quality"] == pytest.approx(0.75)
    assert result.overall["quality_all"] == pytest.approx(0.6)
    assert result.overall["recorded"] == 1
    blank = rs.replay(corpus_of(a_quality=quality), pool_of("a"), "static:a", arrivals="poisson:1")
    assert blank.overall["recorded"] == pytest.approx(0.8)
    assert blank.overall["quality_all"] == pytest.approx(0.75)  # nothing says that they failed


def test_retries_of_a_recorded_failure_are_drawn() -> None:
    corpus = corpus_of(a_quality=[NAN] * 50, a_failed=[1.0] * 50)
    again = rs.Retries(attempts=2, fallback=False)
    result = rs.replay(corpus, pool_of("a"), "static:a", arrivals="poisson:1", retries=again)
    assert result.overall["ok"] == 50
    assert (result.log.attempts == 2).all()
    assert result.overall["recorded"] == 0  # of the second try nothing is recorded


def test_zeros_that_may_be_the_failures_are_not_counted_twice() -> None:
    zeros = corpus_of(a_quality=[0, 1, 1, 1, 0.5] * 40)
    with pytest.raises(SimulationError) as caught:
        rs.replay(zeros, pool_of("a", error_rate=0.2), "static:a", arrivals="poisson:1")
    assert str(caught.value) == (
        "agent a fails 20.0% of its calls (error_rate), and mine records quality 0 on 20.0% of its "
        "tasks: if these are the failed calls, they count twice (quality 0.560 of all tasks "
        "instead of 0.700). Mark the failed calls in outcomes.a.failed, or say in the agents' "
        'file, for a, failures = "recorded" (the zeros are the failures, no other call fails) or '
        'failures = "drawn" (the zeros are wrong answers, further calls fail)'
    )

    def quality_of(corpus: rs.Corpus, **fields: Any) -> float:
        pool = pool_of("a", error_rate=0.2, **fields)
        return rs.replay(corpus, pool, "static:a", arrivals="poisson:1").overall["quality_all"]

    assert quality_of(zeros, failures="recorded") == pytest.approx(0.7)
    assert quality_of(zeros, failures="drawn") == pytest.approx(0.56, abs=0.06)
    marked = corpus_of(a_quality=[NAN, 1, 1, 1, 0.5] * 40, a_failed=[1, 0, 0, 0, 0] * 40)
    assert quality_of(marked) == pytest.approx(0.7)  # once, whatever the error rate
    assert quality_of(corpus_of(a_quality=[0.5, 1] * 100)) == pytest.approx(0.6, abs=0.06)


def test_costs_that_are_recorded_for_some_tasks_only() -> None:
    corpus = corpus_of(a_quality=[1, 1], b_quality=[1, 1], a_cost=[2, 4], b_cost=[3, NAN])
    result = rs.replay(corpus, pool_of("a", "b"), "static:b", arrivals="poisson:1")
    assert result.overall["cost_recorded"] == 0.5
    assert (result.cost_basis.kind, result.cost_basis.rows.tolist()) == ("common", [True, False])
    assert np.array_equal(result.cost_recorded, [True, False])
