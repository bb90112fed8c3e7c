"""The report on a log with one answer a task, whose truth is known: .59 and .91."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.report import compose, render
from routingsim.report.estimates import draw_sensitivity
from routingsim.report.figures import of_replays
from routingsim.report.frontier import plot_frontier

pytestmark = pytest.mark.slow  # text components take a second

POOL = rs.load_agents(
    [
        rs.Agent(id="small", name="Small", cost=0.001, latency=0.5, concurrency=50),
        rs.Agent(id="big", name="Big", cost=0.03, latency=1.5, concurrency=50),
    ]
)


def replays(explore: float, *policies: str) -> list[rs.ReplayResult]:
    """Hard tasks went to big and easy ones to small, but for a share drawn at random."""
    rng = np.random.default_rng(5)
    hard = rng.random(1_500) < 0.4
    big = np.where(rng.random(1_500) < explore, rng.random(1_500) < 0.5, hard)
    right = rng.random(1_500) < np.where(hard, np.where(big, 0.85, 0.05), 0.95)
    frame = pd.DataFrame({"id": np.arange(1_500).astype(str)})
    frame["text"] = np.where(hard, "Prove that the sequence converges", "hi, say hello")
    frame["category"] = np.where(hard, "hard", "easy")
    frame["outcomes.small.quality"] = np.where(big, np.nan, right)
    frame["outcomes.big.quality"] = np.where(big, right, np.nan)
    corpus = rs.Corpus.from_frame(frame, "log")
    return [rs.replay(corpus, POOL, policy, arrivals="poisson:9") for policy in policies]


def test_a_weak_answer_is_said_first_and_advice_comes_last() -> None:
    results = replays(0.2, "static:small", "static:big")
    said = render(compose(results), "md")
    assert "log with one answer a task, so qualities are estimates from its 1,500 tasks" in said
    assert said.index("weak ones for static:small and static:big") < said.index("Every policy")
    assert "## What the log can say of quality" in said
    turn = re.search(r"static:big against static:small: the answer turns at Γ = (\d+\.\d+)", said)
    assert turn is not None
    assert float(turn[1]) > 1.5
    last = said.partition("\n\n## Glossary")[0]
    assert last.endswith("(routingsim log-size --agents 2 --explore 0.1).")
    assert "Mean quality (0–1) by category" not in said
    assert "; those of quality are estimates from the log. Tables and plots show this run." in said
    assert "Fewer than 50 different tasks" not in said
    for result in results:
        assert f"{result.overall['quality']:.3f}" not in said


def test_where_the_log_cannot_answer_no_quality_stands() -> None:
    said = render(compose(replays(0.0, "static:small", "static:big")), "md")
    assert "for static:small and static:big the log cannot answer" in said
    assert "their qualities cannot be compared: the log cannot answer" in said
    assert "static:small: the log is worth 8." in said
    assert not re.search(r"0\.\d\d\d ± 0\.\d\d\d", said.replace("weights average 0", ""))


def test_a_frontier_of_estimates_has_intervals_and_no_line() -> None:
    results = replays(0.2, "static:small", "static:big", "random")
    ax = plot_frontier(results)
    assert ax.get_ylabel() == "estimated quality (0–1)"
    assert [line.get_label() for line in ax.get_lines() if line.get_label() == "hull"] == []
    assert len(ax.containers) == 3
    plt.close("all")


def test_bands_of_hidden_confounding_begin_at_the_estimate() -> None:
    at = of_replays(replays(0.2, "static:small", "static:big"))
    ax = draw_sensitivity(at)
    (line,) = [each for each in ax.get_lines() if each.get_label() == "static:big"]
    apart = at.difference("quality_all", at.entries[1])
    assert apart is not None
    assert np.asarray(line.get_ydata())[0] == pytest.approx(apart.mean)
    plt.close("all")
