"""Replays and studies of a log with one answer a task, whose truth is known here."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim import evaluation as ev
from routingsim.errors import CorpusError
from routingsim.evaluation import partial
from routingsim.simulation.recorded import basis

pytestmark = pytest.mark.slow  # text components take a second

HARD = "Prove that the sequence converges and give its rate"
EASY = "hi, say hello"
TRUTH = {"small": 0.6 * 0.95 + 0.4 * 0.05, "big": 0.6 * 0.95 + 0.4 * 0.85}
POOL = rs.load_agents(
    [
        rs.Agent(id="small", name="Small", cost=0.001, latency=0.5, concurrency=50),
        rs.Agent(id="big", name="Big", cost=0.03, latency=1.5, concurrency=50),
    ]
)


def logged(explore: float, *, propensities: bool = True, tasks: int = 2_000) -> rs.Corpus:
    """Hard tasks went to big and easy ones to small, but for a share drawn at random."""
    rng = np.random.default_rng(11)
    hard = rng.random(tasks) < 0.4
    big = np.where(rng.random(tasks) < explore, rng.random(tasks) < 0.5, hard)
    chance = np.where(hard, np.where(big, 0.85, 0.05), 0.95)
    right = (rng.random(tasks) < chance).astype(float)
    frame = pd.DataFrame(
        {
            "id": [f"t{k}" for k in range(tasks)],
            "text": np.where(hard, HARD, EASY),
            "outcomes.small.quality": np.where(big, np.nan, right),
            "outcomes.big.quality": np.where(big, right, np.nan),
        }
    )
    if propensities:
        frame["propensity"] = np.where(big == hard, 1 - explore / 2, explore / 2)
    return rs.Corpus.from_frame(frame, "log")


def test_raw_means_reverse_the_truth_and_estimates_do_not() -> None:
    corpus = logged(0.1)
    small, big = (rs.replay(corpus, POOL, f"static:{a}", arrivals="poisson:9") for a in TRUTH)
    assert small.overall["quality"] > big.overall["quality"]
    found = ev.replay_estimates([small, big])
    assert found is not None
    for agent, truth in TRUTH.items():
        each = found.policies[f"static:{agent}"]
        assert each.verdict == "answered"
        assert each.interval.low < truth < each.interval.high
    apart = found.differences["static:small", "static:big"]
    assert (apart.comparison, apart.verdict) == ("worse", "answered")
    for shown in (repr(small), small.to_markdown(), small.to_html()):
        assert f"{small.overall['quality']:.3f}" not in shown
    assert "routingsim.evaluation.replay_estimates(result) estimates" in repr(small)


def test_without_recorded_propensities_an_answer_is_weak() -> None:
    corpus = logged(0.1, propensities=False)
    found = ev.replay_estimates(rs.replay(corpus, POOL, "static:big", arrivals="poisson:9"))
    assert found is not None
    assert partial.verdict_of(found) == "weak"
    assert partial.said(found, "static:big").endswith("(estimated, weak)")


def test_a_certain_log_answers_for_no_policy_but_its_own() -> None:
    corpus = logged(0.0)
    big = rs.replay(corpus, POOL, "static:big", arrivals="poisson:9")
    found = ev.replay_estimates(big)
    assert found is not None
    assert partial.said(found, "static:big") == "not known: the log cannot answer this"
    assert math.isnan(found.policies["static:big"].value)


def test_a_study_ranks_by_estimates_and_compares_no_raw_means() -> None:
    corpus = logged(0.1)
    study = rs.compare(
        corpus, POOL, ["static:small", "static:big", "random"], loads=0.3, replications=2
    )
    assert (study.basis.kind, study.ranked_by) == ("log", "quality")
    table = study.table().set_index("policy")
    assert table["rank"].to_dict() == {
        "static:big": 1,
        "random": 2,
        "static:small": 3,  # the control cheapest does the same, and has no row of its own
    }
    assert table["verdict"].to_dict()["static:big"] == "better"
    assert set(table["estimate"]) == {"answered"}
    assert table["recorded"].to_dict()["static:big"] == pytest.approx(
        np.isfinite(corpus.outcome("quality", ["big"])).mean()
    )
    found = study.interval("static:big", 0.3, "quality")
    assert found.low < TRUTH["big"] < found.high
    assert table["quality"].to_dict()["static:big"] == found.mean
    for metric in ("goodput", "quality_in_time", "cost_per_right"):
        assert math.isnan(study.interval("static:big", 0.3, metric).mean)
        apart = study.differences(metric, 0.3)["static:big"]
        assert apart.verdict == "not comparable"
        assert math.isnan(apart.interval.mean)
    with pytest.raises(CorpusError, match="rest on different tasks"):
        study.aiq(0.3)
    assert study.to_dict()["recorded"] == "log"
    assert any("log with one answer a task" in note for note in study.notes)


def test_a_study_of_a_certain_log_ranks_nobody() -> None:
    corpus = logged(0.0)
    study = rs.compare(corpus, POOL, ["static:small", "static:big"], loads=0.3, replications=2)
    table = study.table()
    ranks, estimates, verdicts = (table[k].tolist() for k in ("rank", "estimate", "verdict"))
    assert all(rank is pd.NA for rank in ranks)
    assert estimates == ["cannot"] * 3  # two policies and random; small is the cheapest
    assert np.isnan(table["quality"].to_numpy()).all()
    assert verdicts == ["baseline", *["not comparable"] * 2]


def test_agents_judged_on_different_tasks_are_compared_on_the_same() -> None:
    """Two equal agents, one judged on a third of its answers."""
    rng = np.random.default_rng(3)
    right = (rng.random(900) < 0.7).astype(float)
    frame = pd.DataFrame(
        {
            "id": [f"t{k}" for k in range(900)],
            "text": [f"w{a} w{b} w{c} w{d}" for a, b, c, d in rng.integers(0, 9_999, (900, 4))],
            "outcomes.small.quality": np.where(np.arange(900) % 3, np.nan, right),
            "outcomes.big.quality": right,
        }
    )
    same = rs.load_agents(
        [
            rs.Agent(id=name, name=name, cost=0.01, latency=1.0, concurrency=4)
            for name in ("small", "big")
        ]
    )
    study = rs.compare(
        frame, same, ["static:small", "static:big"], loads=0.5, replications=4, controls=False
    )
    table = study.table().set_index("policy")
    assert table["recorded"].tolist() == pytest.approx([1 / 3, 1 / 3])
    for metric in ("quality", "goodput"):
        assert table.loc["static:small", metric] == pytest.approx(table.loc["static:big", metric])
    assert table.loc["static:big", "verdict"] == "not distinguishable"


def test_an_agent_of_which_nothing_is_recorded_is_compared_with_nobody() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"id": [f"t{k}" for k in range(300)], "text": "hello"})
    frame["outcomes.small.quality"] = (rng.random(300) < 0.7).astype(float)
    study = rs.compare(
        frame,
        POOL,
        ["static:small", "static:big", "random"],
        loads=0.3,
        replications=2,
        controls=False,
    )
    table = study.table().set_index("policy")
    assert table.loc["static:small", "rank"] == 1
    assert table.loc[["static:big", "random"], "rank"].isna().all()
    assert set(table.loc[["static:big", "random"], "verdict"]) == {"not comparable"}
    assert table.loc["static:big", "recorded"] == 0


def test_tasks_with_several_answers_are_left_out_and_counted() -> None:
    corpus = logged(0.1)
    frame = corpus.to_frame()
    frame.loc[:9, ["outcomes.small.quality", "outcomes.big.quality"]] = 1.0
    both = rs.Corpus.from_frame(frame, "both")
    assert basis(both, POOL).kind == "log"
    assert partial.served_log(both).several == 10
    found = ev.replay_estimates(rs.replay(both, POOL, "static:big", arrivals="poisson:9"))
    assert found is not None
    assert (found.tasks, found.unserved) == (1_990, 10)


def test_a_recorded_cost_of_the_served_agent_alone_is_estimated(tmp_path: Path) -> None:
    frame = logged(0.2).to_frame()
    for agent, price in (("small", 1.0), ("big", 4.0)):
        known = frame[f"outcomes.{agent}.quality"].notna()
        frame[f"outcomes.{agent}.cost"] = np.where(known, price, np.nan)
    frame.to_csv(tmp_path / "log.csv", index=False)
    corpus = rs.load_corpus(tmp_path / "log.csv")
    study = rs.compare(corpus, POOL, ["static:small", "static:big"], loads=0.3, replications=2)
    assert study.interval("static:big", 0.3, "cost").mean == pytest.approx(4.0, abs=0.01)
    costs, table = study.estimates(0.3, "cost"), study.table()
    assert costs is not None
    verdicts = [costs.policies[name].verdict for name in table["policy"]]
    assert table["cost_estimate"].tolist() == verdicts
    assert "USD est." in repr(study)
    found = costs.policies["static:big"]
    assert partial.said(costs, "static:big", "cost") == (
        f"USD {found.interval.scaled(1000.0)} per 1,000 tasks (estimated, {found.verdict})"
    )
    assert "estimated cost" in study.to_html()
    assert "estimated quality" in study.to_html()
    apart = study.differences("cost", 0.3)["static:big"]
    assert (apart.verdict, apart.interval.mean) == ("worse", pytest.approx(3.0, abs=0.01))


def test_a_table_with_estimates_that_is_too_wide_becomes_two() -> None:
    rng = np.random.default_rng(1)
    big, right = rng.random(200) < 0.5, (rng.random(200) < 0.98).astype(float)
    frame = pd.DataFrame({"id": np.arange(200).astype(str), "text": "task", "propensity": 0.5})
    for agent, served in (("small", ~big), ("big", big)):
        frame[f"outcomes.{agent}.quality"] = np.where(served, right, np.nan)
        frame[f"outcomes.{agent}.cost"] = np.where(served, rng.lognormal(-3, 2, 200), np.nan)
    study = rs.compare(
        rs.Corpus.from_frame(frame, "log"), POOL, ["static:small", "static:big"],
        loads=0.3, replications=2,
    )  # fmt: skip
    lines = repr(study).splitlines()
    assert max(map(len, lines)) <= 79
    heads = [line.split() for line in lines if line.split()[:1] == ["policy"]]
    assert heads == [
        ["policy", "quality", "estimate", "known", "verdict"],
        ["policy", "USD", "est.", "p95", "s", "stability"],
    ]


def test_probabilities_recorded_in_part_are_counted() -> None:
    frame = logged(0.1).to_frame()
    frame.loc[: len(frame) // 4 - 1, "propensity"] = np.nan
    found = ev.replay_estimates(
        rs.replay(rs.Corpus.from_frame(frame, "log"), POOL, "static:big", arrivals="poisson:9")
    )
    assert found is not None
    assert found.policies["static:big"].support.reasons[0] == (
        "the log does not record with which probability it chose on 25.0% of its tasks; that is "
        "estimated from the texts, and no check can see what else the router knew"
    )


def test_advice_goes_by_what_is_lacking() -> None:
    frame = logged(0.1).to_frame()
    for agent in TRUTH:  # every fifth outcome
        frame.loc[::5, f"outcomes.{agent}.quality"] = np.nan
        frame.loc[::5, f"outcomes.{agent}.cost"] = 0.01
    frame["outcomes.big.cost"] = frame["outcomes.big.cost"].where(frame.index % 2 == 0)
    frame["outcomes.small.cost"] = frame["outcomes.small.cost"].where(frame.index % 2 == 1)
    corpus = rs.Corpus.from_frame(frame, "log")
    found = ev.replay_estimates(rs.replay(corpus, POOL, "static:big", arrivals="poisson:9"))
    assert found is not None
    assert partial.verdict_of(found) == "weak"
    assert partial.advice(found) == (
        "To have a log that answers, record how good every answer was, and mark the calls that "
        "failed (outcomes.AGENT.failed)."
    )
    silent = logged(0.1, propensities=False)
    other = ev.replay_estimates(rs.replay(silent, POOL, "static:big", arrivals="poisson:9"))
    assert other is not None
    assert partial.advice(other).endswith(
        "1,000 tasks of 2 agents are enough (routingsim log-size --agents 2 --explore 0.1)."
    )
    assert "how good every answer was" not in partial.advice(other)
