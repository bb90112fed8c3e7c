"""Which tasks run when, and the remarks on a prepared scenario."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import AgentError, SimulationError
from routingsim.policies.policy import make_policy
from routingsim.simulation.scenario import prepare


def one(**fields) -> AgentPool:
    """A pool of one agent that takes a second, to the dot."""
    given: dict[str, Any] = {"latency": 1.0, "service": "deterministic", "concurrency": 1} | fields
    return AgentPool((Agent(id="a", name="A", cost=0.0, **given),))


def timed_corpus(times: list[float]) -> Corpus:
    ids = [f"t{k}" for k in range(len(times))]
    return Corpus.from_frame(
        pd.DataFrame({"id": ids, "text": [f"text {k}" for k in ids], "arrived_at": times})
    )


@pytest.fixture(scope="module")
def tasks() -> Corpus:
    return rs.load_corpus("tasks")


def test_tasks_of_a_window_keep_their_own_times() -> None:
    corpus = timed_corpus([5, 6, 8, 20, 21, 40])
    result = rs.replay(corpus, one(), arrivals="corpus:2x,start=7,stop=30")
    assert result.task_ids().tolist() == ["t2", "t3", "t4"]
    np.testing.assert_array_equal(result.work.arrived, [0.5, 6.5, 7.0])
    assert result.notes[0] == "corpus:2x,start=7,stop=30 has 3 arrivals: 3 tasks left out"
    frame = result.to_frame()
    expected = rs.score_column(corpus.texts)["d_var"].to_numpy()[2:5]
    np.testing.assert_array_equal(frame["d_var"], expected)


def test_fewer_tasks_of_a_window_are_its_first() -> None:
    result = rs.replay(timed_corpus([0, 1, 2, 3]), one(), arrivals="corpus:start=1", tasks=2)
    assert result.task_ids().tolist() == ["t1", "t2"]
    assert not any("left out" in note for note in result.notes)


def test_more_tasks_than_a_corpus_has_are_drawn_from_it() -> None:
    corpus = timed_corpus([0, 1, 2])
    result = rs.replay(corpus, one(), arrivals="poisson:0.5", tasks=300)
    assert set(result.task_ids()) == {"t0", "t1", "t2"}
    assert "300 tasks drawn with replacement from the 3 there are" in result.notes


def test_a_trace_gives_times_only() -> None:
    result = rs.replay(timed_corpus([0, 1, 2, 3]), one(), arrivals=rs.Trace([10.0, 11.0, 15.0]))
    np.testing.assert_array_equal(result.work.arrived, [0, 1, 5])
    assert result.notes[0].endswith("has 3 arrivals: 1 tasks left out")
    assert not result.synthetic


def test_a_closed_loop_never_has_more_tasks_than_users() -> None:
    result = rs.replay(None, one(concurrency=2), "static:a", arrivals="closed:users=5,think=1",
                       tasks=500)  # fmt: skip
    backlog = np.arange(500) - np.searchsorted(np.sort(result.log.finished), result.work.arrived)
    assert backlog.max() <= 5
    assert result.stability.verdict == "saturated"  # five users on two slots
    assert result.closed


def test_answers_of_one_length_are_said_to_be_so(tasks: Corpus) -> None:
    pool = one(service="tokens", tokens_per_second=50.0)
    assert any("lengths of answers" in note for note in rs.replay(None, pool, tasks=9).notes)
    varied = tasks.tasks.assign(output_tokens=np.arange(1.0, len(tasks) + 1))
    notes = rs.replay(Corpus.from_frame(varied), pool, tasks=9).notes
    assert not any("lengths of answers" in note for note in notes)


@pytest.mark.slow
def test_what_the_engine_cannot_number_is_refused_and_no_limit_is_too_high() -> None:
    many = tuple(Agent(id=f"a{k}", name="A", cost=0, latency=1) for k in range(2**15))
    with pytest.raises(SimulationError, match=r"a pool of 32,768 agents; .* up to 32,767"):
        rs.replay(None, AgentPool(many), tasks=5)
    with pytest.raises(AgentError, match=r"field concurrency: Expected `int` <= 1000000"):
        one(concurrency=10**6 + 1)
    with pytest.raises(AgentError, match=r"field requests_per_minute: Expected `int` <= 9007"):
        one(requests_per_minute=10**30)
    with pytest.raises(SimulationError, match=r"requests_per_minute is \d+; .* leave it out"):
        rs.replay(None, one(requests_per_minute=10**15), "static:a", tasks=5)
    with pytest.raises(SimulationError, match=r"agent a .* without a corpus no latency"):
        rs.replay(None, one(service="recorded"), "static:a", tasks=5)
    free, limited = (
        rs.replay(None, one(queue_limit=limit), "static:a", tasks=50) for limit in (None, 2**53)
    )
    pd.testing.assert_frame_equal(free.to_frame(), limited.to_frame())


def served_log(**fields) -> tuple[Corpus, AgentPool]:
    """Agent a served two tasks, of which one call failed, and agent b the third."""
    nothing = np.nan
    frame = pd.DataFrame({"id": ["x", "y", "z"], "text": ["x"] * 3, "arrived_at": [0.0, 10, 20],
                          "outcomes.a.quality": [1.0, nothing, nothing],
                          "outcomes.a.cost": [0.25, 0.5, nothing],
                          "outcomes.a.failed": [0.0, 1, nothing],
                          "outcomes.b.quality": [nothing, nothing, 0.5],
                          "outcomes.b.cost": [nothing, nothing, 2.0],
                          "outcomes.b.failed": [nothing, nothing, 0.0]})  # fmt: skip
    each: dict[str, Any] = {"cost": 1.0, "latency": 1.0, "service": "deterministic"} | fields
    pool = AgentPool(tuple(Agent(id=a, name=a, **each) for a in "ab"))
    return Corpus.from_frame(frame, "log"), pool


def test_costs_of_a_log_have_no_sum_over_other_tasks() -> None:
    corpus, pool = served_log()
    result = rs.replay(corpus, pool, "static:a")
    assert np.isnan(result.overall["cost"])
    assert np.isnan(result.overall["cost_mean"])
    assert result.overall["cost_recorded"] == pytest.approx(2 / 3)
    said = "costs are not recorded for 33% of static:a's calls: estimates stand in their place"
    assert said in result.notes
    own = rs.replay(corpus, pool, "logged")
    assert (own.overall["cost"], own.overall["cost_recorded"]) == (2.75, 1.0)
    assert not [note for note in own.notes if note.startswith("cost")]


def test_calls_of_which_no_failure_is_recorded_are_counted() -> None:
    corpus, pool = served_log()
    said = (
        "whether a call fails is not recorded for 33% of static:a's calls: they are taken not to "
        "fail, so counts of failures are too low (give the agents an error_rate, as fit_pool does)"
    )
    assert said in rs.replay(corpus, pool, "static:a").notes
    assert said.split(":")[0] not in " ".join(rs.replay(corpus, pool, "logged").notes)
    rated = rs.replay(*served_log(error_rate=0.01), "static:a")
    assert "whether a call" not in " ".join(rated.notes)
    whole = timed_corpus([0, 1])
    assert "whether a call" not in " ".join(rs.replay(whole, one(), "static:a").notes)
    note = "costs are modelled (price x tokens) where none is recorded: 100% of calls"
    assert rs.replay(whole, one(), "static:a").notes == (note,)


def test_capacity_is_what_slots_serve_or_a_limit_of_requests_if_that_is_less() -> None:
    def agent(name: str, limit: int | None = None) -> Agent:
        return Agent(
            id=name, name="A", cost=0.0, latency=0.25, concurrency=4, requests_per_minute=limit
        )

    free, limited, loose = agent("free"), agent("limited", 60), agent("loose", 1200)
    assert [each.capacity for each in (free, limited, loose)] == [16.0, 1.0, 16.0]
    assert AgentPool((free, limited)).capacity == 17.0
    for each, capacity in ((free, 16.0), (limited, 1.0), (loose, 16.0)):
        pool = AgentPool((each,))
        assert prepare(None, pool, make_policy(pool, "random")).capacity == capacity
