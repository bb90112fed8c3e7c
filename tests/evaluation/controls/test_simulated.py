"""Controls in the simulator do as they were computed."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError, PolicyError, SimulationError
from routingsim.evaluation import (
    assigned,
    chosen_by,
    control_policies,
    oracle,
    recorded_controls,
)
from routingsim.simulation.faults import Outage, Retries
from routingsim.simulation.replay import replay


@pytest.fixture(scope="module")
def pool(pareto: Corpus) -> AgentPool:
    prices = (0.0001, 0.002, 0.01, 0.001)
    return AgentPool(
        tuple(
            Agent(id=f"a{k}", name=name, cost=price, latency=1.0, concurrency=50, outcome=name)
            for k, (name, price) in enumerate(zip(pareto.agents, prices, strict=True))
        )
    )


def test_assigned_does_as_told_and_can_be_read_back(
    made_up: Callable[..., Corpus], small_pool: Callable[..., AgentPool]
) -> None:
    corpus, pool = made_up(), small_pool()
    wanted = np.random.default_rng(1).integers(0, 3, len(corpus))
    result = replay(corpus, pool, assigned(corpus, pool, wanted), arrivals="poisson:5")
    assert np.array_equal(chosen_by(result), wanted)


def test_assigned_follows_the_record_when_tasks_are_drawn_again(
    made_up: Callable[..., Corpus], small_pool: Callable[..., AgentPool]
) -> None:
    corpus, pool = made_up(), small_pool()
    wanted = np.random.default_rng(1).integers(0, 3, len(corpus))
    policy = assigned(corpus, pool, wanted)
    result = replay(corpus, pool, policy, arrivals="poisson:5", tasks=500)
    assert np.array_equal(result.log.agent, wanted[result.work.row])
    with pytest.raises(SimulationError, match="each must run once"):
        chosen_by(result)


def test_assigned_goes_elsewhere_when_it_must(
    made_up: Callable[..., Corpus], small_pool: Callable[..., AgentPool]
) -> None:
    corpus, pool = made_up(), small_pool()
    policy = assigned(corpus, pool, np.zeros(len(corpus), int))
    down = replay(corpus, pool, policy, arrivals="poisson:5", outages=[Outage("a", 0.0, 1e9)])
    assert not (down.log.agent == 0).any()
    failing = small_pool(error_rate=0.5, failures="drawn")
    again = replay(corpus, failing, policy, arrivals="poisson:5", retries=Retries(attempts=2))
    assert (again.log.agent[again.log.attempts == 2] != 0).all()
    assert (again.log.attempts == 2).any()


def test_assigned_serves_its_own_corpus_only(
    made_up: Callable[..., Corpus], small_pool: Callable[..., AgentPool]
) -> None:
    corpus, pool = made_up(), small_pool()
    policy = assigned(corpus, pool, np.zeros(len(corpus), int), name="mine")
    with pytest.raises(PolicyError, match="policy mine has an agent for each of the 60 tasks"):
        replay(made_up(58), pool, policy, arrivals="poisson:5")
    with pytest.raises(CorpusError, match="60 whole numbers"):
        assigned(corpus, pool, [0, 1])
    with pytest.raises(CorpusError, match="columns go from 0 to 2"):
        assigned(corpus, pool, np.full(60, 3))


@pytest.mark.slow
def test_control_policies_replay_as_they_were_computed(pareto: Corpus, pool: AgentPool) -> None:
    quality, cost = pareto.outcomes["quality"], pareto.outcomes["cost"]
    rng = np.random.default_rng(8)
    chosen = np.where(rng.random(len(pareto)) < 0.5, oracle(quality, cost), 2)
    found = control_policies(pareto, pool, chosen, seed=4)
    offline = {
        each.name: each
        for each in recorded_controls(
            quality,
            cost,
            chosen,
            texts=pareto.tasks["text"].tolist(),
            categories=pareto.tasks["category"].tolist(),
            seed=4,
        )
    }
    assert set(found) == set(offline)
    for name, policy in found.items():
        assert policy.name == name
        # Hindsight is marked; only random choice and shuffles may differ by their draws.
        assert bool(policy.fitted_on) == offline[name].in_sample
        overall = replay(pareto, pool, policy, arrivals="poisson:20", seed=1).overall
        spread = 0.03 if name in {"random", "zero-router", "shuffle"} else 1e-9
        assert overall["quality"] == pytest.approx(offline[name].quality.mean(), abs=spread)
        assert overall["cost_mean"] == pytest.approx(
            offline[name].cost.mean(), rel=max(5 * spread, 1e-9)
        )


def test_no_control_goes_by_the_order_of_the_agents(made_up: Callable[..., Corpus]) -> None:
    dice = np.random.default_rng(5)
    quality = (dice.random(120) < 0.6).astype(float)
    frame = pd.DataFrame({"id": np.arange(120).astype(str), "category": ["x", "y", "z"] * 40})
    frame["text"] = [f"task {k} " + "on " * (k % 7) for k in range(120)]
    for name in "abc":  # all equally good, and equally dear
        frame[f"outcomes.{name}.quality"], frame[f"outcomes.{name}.cost"] = quality, 0.01
    corpus = Corpus.from_frame(frame)
    agents = [Agent(id=name, name=name, cost=0.01, latency=1.0) for name in "abc"]
    chosen = dice.integers(0, 3, 120)
    sent = {}
    for listed in (agents, agents[::-1]):
        pool = AgentPool(tuple(listed))
        mine = np.array([pool.index("abc"[k]) for k in chosen])
        for name, policy in control_policies(corpus, pool, mine, seed=3).items():
            run = replay(corpus, pool, policy, arrivals="poisson:0.5", seed=1)
            sent.setdefault(name, []).append(np.array(pool.ids)[run.log.agent].tolist())
    drawn = {"random", "cheapest", "zero-router"}  # by the task's own draw
    assert {name for name, (one, other) in sent.items() if one != other} <= drawn
    assert len(set(sent["oracle"][0])) == 3


def test_control_policies_need_outcomes_and_say_so(
    made_up: Callable[..., Corpus], small_pool: Callable[..., AgentPool]
) -> None:
    corpus, pool = made_up(), small_pool()
    assert set(control_policies(corpus, pool)) == {
        "random",
        "cheapest",
        "best-single",
        "category",
        "oracle",
    }
    other = AgentPool((Agent(id="z", name="Z", cost=1.0, latency=1.0), *pool))
    with pytest.raises(CorpusError, match="no task has a recorded quality of all of z, a, b, c"):
        control_policies(corpus, other)
