"""Figures published with, or recomputed from, the public corpora: every one met to its digits."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.evaluation import (
    aiq,
    apgr,
    arena_score,
    cost_ratio,
    cpt,
    cumulative_regret,
    gains,
    optimal_selection,
    oracle,
    routing_curve,
    timed_replay,
    zero_router,
)

pytestmark = pytest.mark.reference

PARETO = {
    "meta-llama/llama-3.1-8b-instruct": (0.78958, 2.92e-5),
    "mistralai/mistral-large-2512": (0.92561, 4.94e-4),
    "google/gemini-2.5-pro": (0.93562, 1.497e-2),
    "google/gemini-2.5-flash": (0.92881, 8.99e-4),
}


@pytest.fixture(scope="module")
def gsm8k(shared_data: Path) -> Corpus:
    return load_corpus(shared_data / "gsm8k_responses.csv")


@pytest.fixture(scope="module")
def pareto(shared_data: Path) -> Corpus:
    return load_corpus(shared_data / "paretobandit_val_k4.jsonl")


def weak_and_strong(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    names = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
    weak, strong = corpus.outcome("quality", names).T
    return weak, strong


def test_gsm8k_counts(gsm8k: Corpus) -> None:
    weak, strong = weak_and_strong(gsm8k)
    assert len(gsm8k) == 1319
    assert (weak.sum(), strong.sum()) == (842, 1130)
    assert ((strong > weak).sum(), (weak > strong).sum()) == (383, 95)
    assert f"{weak.mean():.2%} {strong.mean():.2%}" == "63.84% 85.67%"


def test_gsm8k_length_alone_has_apgr_0_6008(gsm8k: Corpus) -> None:
    weak, strong = weak_and_strong(gsm8k)
    lengths = [len(text) for text in gsm8k.tasks["text"].tolist()]
    curve = routing_curve(lengths, weak, strong)
    assert curve.left_out == 0
    assert curve.share.size == 1320
    assert round(apgr(curve), 4) == 0.6008


def test_gsm8k_random_router_has_apgr_one_half(gsm8k: Corpus) -> None:
    weak, strong = weak_and_strong(gsm8k)
    found = np.array(
        [
            apgr(routing_curve(np.random.default_rng(seed).random(1319), weak, strong))
            for seed in range(500)
        ]
    )
    # One draw is 0.50 +- 0.02; the mean of 500 has a standard error of 0.0009.
    assert found.mean() == pytest.approx(0.5, abs=0.004)
    assert found.std() == pytest.approx(0.02, abs=0.003)
    # Taken all at once, the tie of all tasks is the expectation itself.
    flat = routing_curve(np.zeros(1319), weak, strong, ties="average")
    assert apgr(flat) == pytest.approx(0.5, abs=1e-12)
    assert cpt(flat, 0.8) == pytest.approx(0.8, abs=1e-12)


def test_gsm8k_oracle_score_reaches_the_strong_agent_with_few_calls(gsm8k: Corpus) -> None:
    weak, strong = weak_and_strong(gsm8k)
    curve = routing_curve(strong - weak, weak, strong)
    # 288 of the 383 tasks that only the strong one gets make good its lead of 1130 - 842.
    assert cpt(curve, 1.0) == pytest.approx(288 / 1319, abs=1e-12)
    assert cpt(curve, 0.5) == pytest.approx(144 / 1319, abs=1e-12)


@pytest.mark.parametrize(
    ("accuracy", "cost", "score"), [(0.7396, 10.02, 0.6432), (0.6688, 0.15, 0.6690)]
)
def test_arena_leaderboard(accuracy: float, cost: float, score: float) -> None:
    assert round(arena_score(accuracy, cost), 4) == score


def test_pareto_rewards_and_costs(pareto: Corpus) -> None:
    assert len(pareto) == 1766
    quality = pareto.outcome("quality", list(PARETO))
    cost = pareto.outcome("cost", list(PARETO))
    assert quality.mean(axis=0).round(5).tolist() == [reward for reward, _ in PARETO.values()]
    shown = [
        float(f"{mean:.{digits}e}")
        for mean, digits in zip(cost.mean(axis=0), (2, 2, 3, 2), strict=True)
    ]
    assert shown == [price for _, price in PARETO.values()]


def test_pareto_oracle(pareto: Corpus) -> None:
    quality = pareto.outcome("quality", list(PARETO))
    cost = pareto.outcome("cost", list(PARETO))
    best = oracle(quality, cost)
    rows = np.arange(len(pareto))
    assert round(float(quality[rows, best].mean()), 5) == 0.97195
    found = gains(quality, best)
    assert round(found.oracle, 5) == 0.97195
    assert found.to_oracle == 0
    assert found.over_best == pytest.approx(0.97195 / 0.93562 - 1, abs=2e-5)
    # The cheapest among equals, by the slow way.
    for row in range(0, len(pareto), 7):
        top = max(quality[row])
        assert cost[row, best[row]] == min(
            c for q, c in zip(quality[row], cost[row], strict=True) if q == top
        )


def test_pareto_zero_router(pareto: Corpus) -> None:
    quality = pareto.outcome("quality", list(PARETO))
    cost = pareto.outcome("cost", list(PARETO))
    hull = zero_router(quality, cost)
    # All four agents are corners: each dearer one is better, with falling returns.
    assert hull.index.tolist() == [0, 1, 3, 2]
    x, y = hull.cost, hull.quality
    area = sum((x[k + 1] - x[k]) * (y[k + 1] + y[k]) / 2 for k in range(3))
    found = aiq(cost.mean(axis=0), quality.mean(axis=0))
    assert found == pytest.approx(area / (x[-1] - x[0]), abs=1e-12)


# -- recomputed from the files, by plain Python ---------------------------------------------


@pytest.fixture(scope="module")
def records(shared_data: Path) -> list[dict[str, Any]]:
    lines = (shared_data / "paretobandit_val_k4.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["arms"] for line in lines]


def test_figures_of_choices_from_the_file(pareto: Corpus, records: list[dict[str, Any]]) -> None:
    names = list(PARETO)
    chosen = np.random.default_rng(3).integers(0, 4, len(records))
    got = [record[names[a]] for record, a in zip(records, chosen, strict=True)]
    ideal = [
        max(record.values(), key=lambda arm: (arm["reward"], -arm["cost"])) for record in records
    ]
    reward = [arm["reward"] for arm in got]
    mean, top = fmean(reward), fmean(arm["reward"] for arm in ideal)
    each = {name: fmean(record[name]["reward"] for record in records) for name in names}
    best = max(each, key=lambda name: each[name])

    quality, cost = (pareto.outcome(kind, names) for kind in ("quality", "cost"))
    found = gains(quality, chosen)
    assert found.over_random == pytest.approx(mean / fmean(each.values()) - 1, abs=1e-12)
    assert found.over_best == pytest.approx(mean / each[best] - 1, abs=1e-12)
    assert found.to_oracle == pytest.approx(1 - mean / top, abs=1e-12)
    lost = cumulative_regret(quality, chosen)
    assert lost.against_oracle[-1] == pytest.approx((top - mean) * len(got), abs=1e-9)
    assert lost.against_best[-1] == pytest.approx((each[best] - mean) * len(got), abs=1e-9)
    level = [
        (mine, good)
        for mine, good in zip(got, ideal, strict=True)
        if mine["reward"] == good["reward"]
    ]
    assert lost.optimal_share == pytest.approx(len(level) / len(got), abs=1e-12)
    spent, least = (sum(arms[side]["cost"] for arms in level) for side in (0, 1))
    assert cost_ratio(quality, cost, chosen).value == pytest.approx(least / spent, abs=1e-12)
    answered = [(mine, good) for mine, good in zip(got, ideal, strict=True) if good["reward"] > 0]
    right = sum(mine == good for mine, good in answered)
    assert optimal_selection(quality, cost, chosen).value == pytest.approx(right / len(answered))


@pytest.mark.parametrize("policy", ["threshold", "thompson"])
def test_figures_in_time_from_the_file(
    pareto: Corpus, records: list[dict[str, Any]], policy: str
) -> None:
    pool, objective = rs.load_agents("paretobandit"), 10.0
    result = rs.replay(pareto, pool, policy, arrivals="poisson:13", tasks=3000, seed=3)
    begin, end = result.window
    tasks = result.to_frame().query("arrived_at >= @begin")
    number = {task: row for row, task in enumerate(pareto.tasks["id"])}
    arms = [
        records[number[task]][pool.agents[pool.index(agent)].recorded_as]
        for task, agent in zip(tasks["task_id"], tasks["agent"], strict=True)
    ]
    prompt = (tasks["latency"] <= objective).tolist()
    right = sum(soon and arm["reward"] >= 0.5 for soon, arm in zip(prompt, arms, strict=True))
    found = timed_replay(result, objective)
    assert found.goodput == pytest.approx(right / (end - begin), rel=1e-12)
    reached = sum(arm["reward"] for soon, arm in zip(prompt, arms, strict=True) if soon)
    assert found.quality.value == pytest.approx(reached / len(arms), rel=1e-12)
    assert found.cost_per_right == pytest.approx(sum(arm["cost"] for arm in arms) / right)
