"""Controls on recorded outcomes and in the simulator, on made-up and on real data."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import CorpusError, PolicyError, SimulationError
from routingsim.evaluation import (
    assigned,
    category_choice,
    chosen_by,
    control_policies,
    control_table,
    hull_mix,
    length_choice,
    non_decreasing_hull,
    oracle,
    recorded_controls,
    shuffled,
    text_use,
    zero_router,
)
from routingsim.simulation.faults import Outage, Retries
from routingsim.simulation.replay import replay


@pytest.fixture(scope="module")
def pareto(shared_data: Path) -> Corpus:
    return load_corpus(shared_data / "paretobandit_val_k4.jsonl")


@pytest.fixture(scope="module")
def pool(pareto: Corpus) -> AgentPool:
    prices = (0.0001, 0.002, 0.01, 0.001)
    return AgentPool(
        tuple(
            Agent(id=f"a{k}", name=name, cost=price, latency=1.0, concurrency=50, outcome=name)
            for k, (name, price) in enumerate(zip(pareto.agents, prices, strict=True))
        )
    )


def made_up(tasks: int = 60) -> Corpus:
    """Two categories, each with an agent of its own; the third agent is never right."""
    odd = np.arange(tasks) % 2 == 1
    return Corpus.from_frame(
        pd.DataFrame(
            {
                "id": [f"t{k}" for k in range(tasks)],
                "text": ["x" * (k + 1) for k in range(tasks)],
                "category": np.where(odd, "odd", "even"),
                "outcomes.a.quality": np.where(odd, 0.0, 1.0),
                "outcomes.b.quality": np.where(odd, 1.0, 0.0),
                "outcomes.c.quality": np.zeros(tasks),
                "outcomes.a.cost": np.full(tasks, 2.0),
                "outcomes.b.cost": np.full(tasks, 3.0),
                "outcomes.c.cost": np.full(tasks, 1.0),
            }
        )
    )


def small_pool(**fields) -> AgentPool:
    return AgentPool(
        tuple(
            Agent(id=name, name=name, cost=cost, latency=1.0, concurrency=100, **fields)
            for name, cost in (("a", 0.002), ("b", 0.003), ("c", 0.001))
        )
    )


# -- choices ----------------------------------------------------------------------------

choice_lists = st.lists(st.integers(0, 3), min_size=1, max_size=50)


@given(choice_lists, st.integers(0, 9))
def test_shuffle_keeps_the_mix(chosen: list[int], seed: int) -> None:
    dealt = shuffled(chosen, seed=seed)
    assert Counter(dealt.tolist()) == Counter(chosen)
    assert np.array_equal(dealt, shuffled(chosen, seed=seed))


@given(choice_lists, st.permutations([0.1, 0.2, 0.3, 0.4]))
def test_length_keeps_the_mix_and_sends_the_longest_to_the_dearest(chosen, prices) -> None:
    texts = ["y" * ((7 * k) % 13) for k in range(len(chosen))]
    mix = np.bincount(chosen, minlength=4) / len(chosen)
    found = length_choice(texts, mix, prices)
    assert Counter(found.tolist()) == Counter(chosen)
    by_length = sorted(range(len(texts)), key=lambda k: -len(texts[k]))
    paid = [prices[found[k]] for k in by_length]
    assert paid == sorted(paid, reverse=True)


def test_category_learns_on_other_folds_only() -> None:
    corpus = made_up()
    quality = corpus.outcome("quality", ["a", "b", "c"])
    labels = corpus.tasks["category"].tolist()
    assert category_choice(quality, labels).tolist() == [0, 1] * 30
    # Where each task is a category of its own there is nothing to learn it from: the
    # choice is one for a whole fold, and knows nothing of the task.
    found = category_choice(quality, [str(k) for k in range(60)], seed=1)
    fold = np.random.default_rng(1).permutation(60) % 5
    assert all(len(set(found[fold == held])) == 1 for held in range(5))
    # Noise is not learned: in the data, every category has a best agent.
    rng = np.random.default_rng(2)
    noise = (rng.random((4000, 2)) < 0.5).astype(float)
    labels = rng.integers(0, 2000, 4000).astype(str).tolist()
    gained = noise[np.arange(4000), category_choice(noise, labels)].mean()
    assert gained == pytest.approx(0.5, abs=4.5 * 0.5 / np.sqrt(4000))


@given(st.floats(0, 12))
def test_zero_router_mix_pays_and_earns_what_the_hull_says(cost: float) -> None:
    prices, qualities = np.array([1.0, 4, 9, 5]), np.array([0.2, 0.7, 0.9, 0.3])
    hull = non_decreasing_hull(prices, qualities)
    mix = hull_mix(hull, cost, 4)
    assert mix.sum() == pytest.approx(1)
    assert (mix >= 0).all()
    within = min(max(cost, 1), 9)
    assert mix @ prices == pytest.approx(within)
    assert mix @ qualities == pytest.approx(float(hull.at(within)))


# -- recorded outcomes ------------------------------------------------------------------


def test_controls_by_hand() -> None:
    corpus = made_up()
    names = ["a", "b", "c"]
    quality, cost = corpus.outcome("quality", names), corpus.outcome("cost", names)
    chosen = np.array([0, 1] * 30)
    found = {
        each.name: (each.quality.mean(), each.cost.mean(), each.in_sample)
        for each in recorded_controls(
            quality,
            cost,
            chosen,
            texts=corpus.tasks["text"].tolist(),
            categories=corpus.tasks["category"].tolist(),
        )
    }
    assert found["random"] == pytest.approx((1 / 3, 2, False))
    assert found["cheapest"] == (0, 1, False)
    assert found["best-single"] == (0.5, 2, True)
    assert found["zero-router"] == (0.5, 2, True)  # no need to pay 2.5 for it
    assert found["shuffle"] == (0.5, 2.5, False)
    assert found["length"] == (0.5, 2.5, False)
    assert found["category"] == (1, 2.5, False)
    assert found["oracle"] == (1, 2.5, True)


def test_control_table_leaves_out_and_counts_and_judges() -> None:
    corpus = made_up()
    quality = corpus.outcome("quality", ["a", "b", "c"]).copy()
    cost = corpus.outcome("cost", ["a", "b", "c"])
    quality[:4, 2] = np.nan
    table = control_table(
        quality,
        cost,
        np.array([0, 1] * 30),
        texts=corpus.tasks["text"].tolist(),
        categories=corpus.tasks["category"].tolist(),
    )
    assert set(table["tasks"]) == {56}
    assert set(table["left_out"]) == {4}
    assert table.loc["policy", "quality"] == 1
    assert table.loc["shuffle", "verdict"] == "better"
    assert table.loc["oracle", "verdict"] == "not distinguishable"
    assert table.loc["shuffle", "difference"] == pytest.approx(0.5)
    with pytest.raises(CorpusError, match="3 texts or categories for 60"):
        control_table(quality, cost, np.zeros(60, int), texts=["a", "b", "c"])
    with pytest.raises(CorpusError, match="some are NaN"):
        recorded_controls(quality, cost, np.zeros(60, int))


def test_controls_of_the_oracle_on_real_data(pareto: Corpus) -> None:
    quality, cost = pareto.outcomes["quality"], pareto.outcomes["cost"]
    best = oracle(quality, cost)
    table = control_table(
        quality,
        cost,
        best,
        texts=pareto.tasks["text"].tolist(),
        categories=pareto.tasks["category"].tolist(),
    )
    assert table.loc["policy", "quality"] == pytest.approx(0.97195, abs=5e-6)
    assert table.loc["best-single", "quality"] == pytest.approx(0.93562, abs=5e-6)
    assert table.loc["cheapest", "quality"] == pytest.approx(0.78958, abs=5e-6)
    assert table.loc["random", "cost"] == pytest.approx(cost.mean())
    assert table.loc["shuffle", "cost"] == pytest.approx(
        (np.bincount(best, minlength=4) / best.size) @ cost.mean(axis=0)
    )
    spent = table.loc["policy", "cost"]
    assert table.loc["zero-router", "cost"] == pytest.approx(spent)
    assert table.loc["zero-router", "quality"] == pytest.approx(
        float(zero_router(quality, cost).at(spent))
    )
    assert set(table["verdict"].drop(["policy", "oracle"])) == {"better"}


# -- does it use the text ---------------------------------------------------------------


def test_a_policy_that_reads_is_told_from_one_that_does_not(pareto: Corpus) -> None:
    quality = pareto.outcomes["quality"]
    reads = text_use(quality, oracle(quality, pareto.outcomes["cost"]), permutations=199)
    assert reads.uses_text
    assert str(reads).startswith("uses the text: quality 0.9719")
    blind = np.random.default_rng(3).choice(4, size=len(pareto), p=[0.1, 0.4, 0.2, 0.3])
    found = text_use(quality, blind, permutations=199)
    assert not found.uses_text
    assert str(found).startswith("does not use the text")
    mix = np.bincount(blind, minlength=4) / blind.size
    assert found.shuffled == pytest.approx(mix @ quality.mean(axis=0), abs=0.003)


def test_one_agent_for_all_does_not_use_the_text() -> None:
    found = text_use([[1.0, 0.3], [0.1, 1.0]] * 10, [0] * 20)
    assert (found.p_value, found.uses_text) == (1.0, False)


def test_blind_policies_are_seldom_said_to_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quality = rng.random((200, 3))
    said = sum(
        text_use(quality, rng.integers(0, 3, 200), permutations=99, seed=k).uses_text
        for k in range(300)
    )
    print(f"said to read: {said} of 300")
    assert said / 300 < 0.11


def test_text_use_counts_what_it_leaves_out() -> None:
    found = text_use([[1.0, 0.0], [np.nan, 1.0]] * 20, [0, 1] * 20)
    assert (found.tasks, found.left_out) == (20, 20)
    with pytest.raises(SimulationError, match="permutations"):
        text_use([[1.0, 0.0]], [0], permutations=3)


# -- in the simulator -------------------------------------------------------------------


def test_assigned_does_as_told_and_can_be_read_back() -> None:
    corpus, pool = made_up(), small_pool()
    wanted = np.random.default_rng(1).integers(0, 3, len(corpus))
    result = replay(corpus, pool, assigned(corpus, pool, wanted), arrivals="poisson:5")
    assert np.array_equal(chosen_by(result), wanted)


def test_assigned_follows_the_record_when_tasks_are_drawn_again() -> None:
    corpus, pool = made_up(), small_pool()
    wanted = np.random.default_rng(1).integers(0, 3, len(corpus))
    policy = assigned(corpus, pool, wanted)
    result = replay(corpus, pool, policy, arrivals="poisson:5", tasks=500)
    assert np.array_equal(result.log.agent, wanted[result.work.row])
    with pytest.raises(SimulationError, match="each must run once"):
        chosen_by(result)


def test_assigned_goes_elsewhere_when_it_must() -> None:
    corpus, pool = made_up(), small_pool()
    policy = assigned(corpus, pool, np.zeros(len(corpus), int))
    down = replay(corpus, pool, policy, arrivals="poisson:5", outages=[Outage("a", 0.0, 1e9)])
    assert not (down.log.agent == 0).any()
    failing = small_pool(error_rate=0.5)
    again = replay(corpus, failing, policy, arrivals="poisson:5", retries=Retries(attempts=2))
    assert (again.log.agent[again.log.attempts == 2] != 0).all()
    assert (again.log.attempts == 2).any()


def test_assigned_serves_its_own_corpus_only() -> None:
    corpus, pool = made_up(), small_pool()
    policy = assigned(corpus, pool, np.zeros(len(corpus), int), name="mine")
    with pytest.raises(PolicyError, match="policy mine has an agent for each of the 60 tasks"):
        replay(made_up(58), pool, policy, arrivals="poisson:5")
    with pytest.raises(CorpusError, match="60 whole numbers"):
        assigned(corpus, pool, [0, 1])
    with pytest.raises(CorpusError, match="columns go from 0 to 2"):
        assigned(corpus, pool, np.full(60, 3))


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


def test_control_policies_need_outcomes_and_say_so() -> None:
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
