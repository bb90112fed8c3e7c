"""Policies that know the agent of each task: ``logged``, on logs small enough to count."""

import pickle

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import make_policy
from routingsim.policies.assignment import assign
from routingsim.simulation.faults import Outage, Retries

NAN = np.nan


def pool_of(**fields) -> AgentPool:
    return AgentPool(
        (
            Agent(id="small", name="Small", cost=0.001, latency=1.0, concurrency=50, **fields),
            Agent(id="big", name="Big", cost=0.03, latency=2.0, concurrency=50, outcome="large"),
        )
    )


def log_of(small: list[float], large: list[float], **columns: list[float]) -> Corpus:
    frame = {
        "id": [f"t{k}" for k in range(len(small))],
        "text": ["the same text" if k % 2 else f"text {k}" for k in range(len(small))],
        "outcomes.small.quality": small,
        "outcomes.large.quality": large,
    }
    return Corpus.from_frame(pd.DataFrame(frame | columns), "log")


LOG = log_of([1, NAN, 0, NAN, 1, NAN], [NAN, 1, NAN, 0, NAN, 1])
SERVED = ["small", "big"] * 3


def test_each_task_goes_where_the_log_sent_it() -> None:
    result = rs.replay(LOG, pool_of(), "logged", arrivals="poisson:1")
    assert result.to_frame()["agent"].tolist() == SERVED
    assert result.overall["quality"] == pytest.approx(4 / 6)
    assert result.overall["recorded"] == 1.0
    assert not [note for note in result.notes if note.startswith("logged")]
    policy = make_policy(pool_of(), "logged", LOG)
    assert (policy.name, policy.notes, policy.fitted_on) == ("logged", (), ())
    assert policy.reason(pool_of().agents[1], 0.5, 0.5) == "As in the log: Routed to Big"


def test_tasks_that_are_drawn_again_or_shuffled_keep_their_agent() -> None:
    result = rs.replay(LOG, pool_of(), "logged", arrivals="poisson:1", tasks=100, seed=1)
    frame = result.to_frame()
    assert frame["agent"].tolist() == [SERVED[row] for row in result.work.row]
    assert set(result.work.row) == set(range(6))
    study = rs.compare(LOG, pool_of(), "logged", loads=0.3, replications=2, controls=False)
    assert study.runs["quality"].tolist() == pytest.approx([4 / 6] * 2)


def test_who_is_down_or_has_failed_is_replaced_by_the_least_loaded() -> None:
    down = rs.replay(LOG, pool_of(), "logged", arrivals="poisson:1", outages=Outage("big", 0, 1e6))
    assert set(down.to_frame()["agent"]) == {"small"}
    failing = log_of([NAN] * 6, [1] * 6, **{"outcomes.large.failed": [1.0, 0.0] * 3})
    again = rs.replay(failing, pool_of(), "logged", arrivals="poisson:1", retries=Retries(2))
    assert again.to_frame()["agent"].tolist() == ["small", "big"] * 3
    assert again.to_frame()["attempts"].tolist() == [2, 1] * 3


def test_any_outcome_says_who_served() -> None:
    costs = {"outcomes.small.latency": [2.0, NAN, NAN], "outcomes.large.failed": [NAN, 1.0, NAN]}
    log = log_of([NAN, NAN, 1], [NAN] * 3, **costs)
    policy = make_policy(pool_of(), "logged", log)
    assert policy.featurize is not None
    found = policy.featurize(log.tasks["text"].tolist(), [""] * 3)
    assert found.tolist() == [[0], [1], [0]]


def test_a_few_that_nobody_served_are_counted_and_go_to_the_least_loaded() -> None:
    log = log_of([NAN, *[1.0] * 99], [NAN] * 100)
    policy = make_policy(pool_of(), "logged", log)
    said = "logged: 1 of 100 tasks of log have no outcome of any agent: they go to the least loaded"
    assert policy.notes == (said,)
    result = rs.replay(log, pool_of(), policy, arrivals="poisson:0.01")
    assert said in result.notes
    sent = result.to_frame()["agent"].tolist()
    assert set(sent[1:]) == {"small"}  # as recorded; the first task goes to either, both idle
    both_down = rs.replay(
        log.head(1), pool_of(), assign(log.head(1), np.array([-1]), "nobody"),
        arrivals="poisson:1", outages=[Outage("small", 0, 100)],
    )  # fmt: skip
    assert both_down.to_frame()["agent"].tolist() == ["big"]


def refused(log: Corpus | None, pool: AgentPool | None = None) -> str:
    with pytest.raises(PolicyError) as caught:
        make_policy(pool_of() if pool is None else pool, "logged", log)
    return str(caught.value)


def test_what_is_no_log_is_refused_with_counts() -> None:
    assert refused(log_of([1, 1, NAN], [1, NAN, 1])) == (
        "logged: 1 of 3 tasks of log have outcomes of several agents, so that the corpus does not "
        "say where the log sent them; keep the outcome of the agent that each was sent to first, "
        "or compare policies that choose if all agents answered every task"
    )
    assert refused(log_of([1, NAN, NAN], [NAN, NAN, NAN])) == (
        "logged: 2 of 3 tasks of log have no outcome of small, big; add the agents that served "
        "them (an agent's `outcome` names its record), record that the calls failed "
        "(outcomes.<agent>.failed), or leave the tasks out"
    )
    assert "2 of 3 tasks of log have no outcome of small (1 have one of another agent)" in refused(
        log_of([1, NAN, NAN], [NAN, 1, NAN]), AgentPool(pool_of().agents[:1])
    )
    twin = Agent(id="twin", name="Twin", cost=1.0, latency=1.0, outcome="small")
    twins = AgentPool((pool_of().agents[0], twin))
    assert refused(LOG, twins).startswith("logged: several agents are recorded as small, so that")


def test_a_live_router_refuses_it_in_a_sentence() -> None:
    assert refused(None) == (
        "logged sends each task of a corpus where its log sent it: give that corpus to a replay; a "
        "live router cannot use it"
    )
    for policy in ("logged", make_policy(pool_of(), "logged", LOG)):
        with pytest.raises(PolicyError) as caught:
            rs.TaskRouter(pool_of(), policy, corpus=LOG)
        assert str(caught.value) == (
            "policy logged knows the tasks of one corpus only: replay that corpus with it, and "
            "give a live router another policy"
        )


def test_it_pickles() -> None:
    again = pickle.loads(pickle.dumps(make_policy(pool_of(), "logged", LOG)))
    assert rs.replay(LOG, pool_of(), again, arrivals="poisson:1").to_frame()["agent"].tolist() == (
        SERVED
    )
