"""Training in the simulator."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError, SimulationError
from routingsim.policies import make_policy
from routingsim.policies.bandit_base import DONE, EXPLORE, FLOOR, HEAD, REWARD
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import choose_kernel, learn_kernel
from routingsim.policies.policy import Policy
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.training import train

POOL = AgentPool(
    (
        Agent(id="quick", name="Quick", cost=0.1, latency=1.0, concurrency=2),
        Agent(id="good", name="Good", cost=1.0, latency=4.0, concurrency=2),
    )
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Short texts anyone answers; long ones only the good agent."""
    long = np.random.default_rng(1).random(300) < 0.3
    quality = np.where(long, 0.1, 0.9)
    columns = {
        "id": [f"t{k}" for k in range(300)],
        "text": np.where(long, "Prove, step by step, that it terminates; when? why?", "Hi"),
        "outcomes.quick.quality": quality,
        "outcomes.good.quality": np.full(300, 0.95),
    }
    return Corpus.from_frame(pd.DataFrame(columns))


def worth(result: ReplayResult) -> float:
    return float(result.quality.mean() - 0.02 * result.latency.mean())


def log_of(corpus: Corpus) -> Corpus:
    """The good agent served nine tasks in ten."""
    frame = corpus.to_frame()
    frame.loc[::10, "outcomes.good.quality"] = np.nan
    frame.loc[frame["outcomes.good.quality"].notna(), "outcomes.quick.quality"] = np.nan
    return Corpus.from_frame(frame, "log")


@pytest.mark.parametrize("name", ["epsilon-greedy", "ucb1", "linucb", "thompson", "fs-qmix"])
def test_a_log_is_trained_on_with_predictions_of_what_it_does_not_record(
    corpus: Corpus, name: str
) -> None:
    log = log_of(corpus)
    note = (
        f"{name}: it learns from recorded qualities, and an answer without one counts as 0 "
        "(recorded of 300 tasks: quick 30, good 270); train() learns from predictions instead"
    )
    assert make_policy(POOL, name, log).notes == (note,)
    assert make_policy(POOL, name, corpus).notes == ()
    trained = train(log, POOL, name, episodes=1, load=0.5, progress=False)
    assert trained.notes == (
        f"{name}: trained on qualities of which those that are not recorded were predicted by "
        "ridge regression (of 300 tasks: quick 270, good 30)",
    )
    assert trained.fitted_on == (FittedTexts.of(log),)
    costly = name + ":w_quality=0,w_cost=1"
    assert train(log, POOL, costly, episodes=1, load=0.5, progress=False).notes == ()


def test_rewards_of_a_log_are_not_zeros(corpus: Corpus) -> None:
    log, wanted = log_of(corpus), "epsilon-greedy:decay=inf"  # draws all along

    def mean_rewards(memory: np.ndarray) -> np.ndarray:
        return memory[HEAD + REWARD * 2 :][:2] / memory[HEAD + DONE * 2 :][:2]

    trained = train(log, POOL, wanted, episodes=3, load=0.5, progress=False)
    whole = corpus.outcome("quality", POOL.ids).mean(axis=0)
    np.testing.assert_allclose(mean_rewards(trained.memory), whole, atol=0.1)
    replayed = rs.replay(log, POOL, wanted, arrivals="poisson:1")
    assert (mean_rewards(replayed.memory) < [0.15, 0.95]).all()  # as its note says
    assert make_policy(POOL, wanted, log).notes[0] in replayed.notes


def test_what_cannot_be_predicted_is_not_trained_on(corpus: Corpus) -> None:
    frame = log_of(corpus).to_frame()
    frame.loc[20:, "outcomes.quick.quality"] = np.nan
    with pytest.raises(PolicyError, match="the quality of quick is recorded on 2 tasks, too few"):
        train(Corpus.from_frame(frame), POOL, "ucb1", episodes=1, progress=False)


def test_training_pays(corpus: Corpus) -> None:
    wanted = "fs-qmix:own=true,rate=0.05,w_latency=0.02"
    trained = train(corpus, POOL, wanted, episodes=20, load=0.8, seed=3, progress=False)
    arrivals = f"poisson:{0.8 * 2.5}"
    runs = {
        name: np.mean([worth(rs.replay(corpus, POOL, policy, arrivals=arrivals, seed=seed))
                       for seed in range(5)])
        for name, policy in {"trained": trained, "untrained": wanted, "random": "random"}.items()
    }  # fmt: skip
    assert runs["trained"] > runs["untrained"] + 0.05
    assert runs["trained"] > runs["random"] + 0.05
    assert trained.fitted_on == (FittedTexts.of(corpus),)
    assert trained.memory[EXPLORE] == trained.memory[FLOOR] == 0.0


def test_memory_is_carried_over_and_the_policy_given_stays_as_it_was(corpus: Corpus) -> None:
    policy = make_policy(POOL, "ucb1")
    before, results = policy.memory.copy(), []
    trained = train(corpus, POOL, policy, episodes=3, explore=0.25, progress=False,
                    on_episode=results.append)  # fmt: skip
    np.testing.assert_array_equal(policy.memory, before)
    one, two = results[1], results[2]
    np.testing.assert_array_equal(two.policy.memory, one.memory)
    learned = trained.memory.copy()
    assert learned[EXPLORE] == learned[FLOOR] == 0.25
    np.testing.assert_array_equal(learned[FLOOR + 2 :], two.memory[FLOOR + 2 :])
    tries = trained.memory[HEAD + DONE * len(POOL) :][: len(POOL)]
    np.testing.assert_array_equal(
        tries, sum(np.bincount(each.log.agent, minlength=2) for each in results)
    )
    assert len({result.seed for result in results}) == 3
    assert min(result.seed for result in results) > 10**6
    assert [len(result) for result in results] == [300] * 3


def test_training_is_repeated_by_its_seed(corpus: Corpus) -> None:
    def memory(seed: int) -> np.ndarray:
        return train(corpus, POOL, "fs-qmix", episodes=2, seed=seed, progress=False).memory

    np.testing.assert_array_equal(memory(1), memory(1))
    assert not np.array_equal(memory(1), memory(2))


@pytest.mark.slow
def test_a_policy_of_your_own_is_trained_and_left_alone(corpus: Corpus) -> None:
    @choose_kernel
    def first(task, pool, memory):
        return 0

    @learn_kernel
    def count(task, agent, outcome, pool, memory):
        memory[0] += 1

    own = Policy("own", first, count, interpreted=True)
    trained = train(corpus, POOL, own, episodes=2, load=0.1, progress=False)
    assert trained.memory.tolist() == [600.0]
    again = train(
        corpus, POOL, trained, arrivals="closed:users=5,think=1", episodes=1, progress=False
    )
    assert again.memory.tolist() == [900.0]
    assert again.fitted_on == (FittedTexts.of(corpus),)


def test_progress_is_shown_if_asked_for(corpus: Corpus, terminal: io.StringIO) -> None:
    train(corpus, POOL, "fs-qmix", episodes=2, progress=False)
    assert terminal.getvalue() == ""
    train(corpus, POOL, "fs-qmix", episodes=2)
    said = terminal.getvalue()
    assert "fs-qmix" in said
    assert "1/2" in said
    assert "quality 0." in said


def test_what_cannot_be_trained_is_refused(corpus: Corpus) -> None:
    with pytest.raises(PolicyError, match="cheapest does not learn: there is nothing to train"):
        train(corpus, POOL, "cheapest")
    wrong: list[Any] = [(0, 0.9, 0.0), (1, 0.0, 0.0), (1, 0.9, -1.0), (2.5, 0.9, 0), (1, "1", 0)]
    for episodes, load, explore in wrong:
        with pytest.raises(SimulationError, match="one episode or more, a load above 0"):
            train(corpus, POOL, "fs-qmix", episodes=episodes, load=load, explore=explore)


def test_what_is_of_another_kind_is_named(corpus: Corpus) -> None:
    wrong: list[tuple[Any, str]] = [
        ({"corpus": "fs-qmix", "pool": corpus, "policy": POOL}, "fs-qmix: no such file"),
        ({"corpus": None}, "found nothing"),
        ({"pool": 5}, "agents: expected .*, found int"),
        ({"retries": 3}, "retries: 3 is an int; write rs.Retries"),
        ({"seed": 1.5}, "seed is 1.5, needs a whole number"),
        ({"arrivals": 4.0}, r"arrivals is a float: give .* rs\.Poisson\(4\)"),
    ]
    for given, said in wrong:
        with pytest.raises(rs.RoutingSimError, match=said):
            train(**({"corpus": corpus, "pool": POOL, "policy": "fs-qmix"} | given))


def test_a_trained_policy_that_was_read_from_a_file_can_go_on(corpus: Corpus, tmp_path) -> None:
    path = tmp_path / "p.npz"
    once = train(corpus, POOL, "fs-qmix", episodes=1, explore=0.1, progress=False)
    rs.policies.save_policy(POOL, once, path)
    direct = train(corpus, POOL, once, episodes=1, seed=5, progress=False)
    by_file = train(corpus, POOL, f"file:{path}", episodes=1, seed=5, progress=False)
    np.testing.assert_array_equal(by_file.memory, direct.memory)
    assert by_file.fitted_on == (FittedTexts.of(corpus),)


def test_every_episode_meets_the_conditions_that_a_replay_takes() -> None:
    corpus, met = rs.load_corpus("tasks"), []
    down = rs.Outage("gpt-4", 0.0, 1e9)
    dear = rs.Change("gemini", 0.0, price=3.0)
    rs.train(
        *(corpus, None, "thompson"),
        episodes=2,
        progress=False,
        outages=down,
        changes=dear,
        signal_delay=1.0,
        routers=3,
        hedge="p95",
        tenants=["gold:share=0.5", "free:share=0.5"],
        discipline="fair",
        service="deterministic",
        on_episode=met.append,
    )
    for episode in met:
        assert (episode.outages, episode.changes) == ((down,), (dear,))
        assert (episode.signals.routers, episode.signals.delay) == (3, 1.0)
        assert episode.hedge == rs.Hedge(quantile=0.95)
        assert episode.tenant_names == ("free", "gold")
        assert {agent.discipline for agent in episode.pool} == {"fair"}
        assert {agent.service for agent in episode.pool} == {"deterministic"}
        assert not (episode.log.agent == episode.pool.index("gpt-4")).any()
