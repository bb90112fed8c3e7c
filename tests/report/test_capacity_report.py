"""The report on a question of capacity: its answer, margins, frontier and what breaks first."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.report.capacity_plot import frontier, plot_capacity
from routingsim.report.capacity_report import compose_capacity
from routingsim.report.html import render

AGENT = rs.Agent(
    id="a", name="a", service="exponential", cost=0.01, latency=1.0, output_tokens=100.0,
    price_per_slot_hour=1.0,
)  # fmt: skip


def question(**changed: object) -> rs.Capacity:
    asked = {"arrivals": "poisson:4", "slots": {"a": range(12)}, "slo": {"p95": 3.6}, "tasks": 500}
    return rs.capacity(None, [AGENT], "static:a", **(asked | changed))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_report_leads_with_the_answer_and_has_its_margins(tmp_path: Path) -> None:
    found = question()
    text = render(compose_capacity(found, date="2026-01-01"), "md")
    assert text.splitlines()[:3] == [
        "# Capacity: queueing alone",
        "",
        "11 pools and policies at poisson:4, 500 tasks a run. 2026-01-01",
    ]
    assert "**Use static:a with a × 6: USD 20.40 an hour, 14,892 a month, the cheapest" in text
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == [
        *("Answer", "Summary", "Targets and margins", "What latency and quality cost"),
        *("What breaks first", "Pools and policies", "What was run", "Glossary"),
    ]
    assert "| mean | 20.4 | 14,892 |" in text
    assert "**How sure.** Latency p95 ≤ 3.6 s: 3.24 (exact), met. " in text
    assert "Waits and latencies are those of queueing theory (Erlang C)." in text
    assert "**What to do next.** Keep the pool (`--agents-to pool.toml`), and replay" in text
    # Erlang C: the p95 of 5 slots is 4.20 s, of 6 3.24 s.
    assert "4.20 for 19.4 USD an hour, 3.24 for 20.4 USD an hour, " in text
    call = r"capacity(None, pool, \['static:a'\], arrivals='poisson:4', slots=\{'a': \[1, 2, "
    assert f"To repeat: {call}" in text
    page = found.report(tmp_path / "page.html").read_text()
    assert page.count("<svg") == 1  # no quality is recorded, so that there is no other picture


def test_a_question_that_nobody_can_meet_has_no_margins_and_says_why() -> None:
    text = render(compose_capacity(question(slots={"a": [1, 2]})), "md")
    assert "No pool of these can meet latency p95 ≤ 3.6 s" in text
    assert "4 tasks/s, and it serves 1/s at most" in text
    assert "## Targets and margins" not in text


@pytest.mark.slow
def test_the_line_is_the_best_figure_for_the_money() -> None:
    size = 200
    frame = pd.DataFrame({"id": np.arange(size).astype(str), "text": "what is it"})
    frame["outcomes.a.quality"] = 1.0
    found = rs.capacity(
        *(rs.Corpus.from_frame(frame), [AGENT], ["static:a", "least-loaded"]),
        arrivals="poisson:4",
        slots={"a": [6, 7, 8]},
        quality=0.9,
        runs=3,
    )
    cost, quality = frontier(found, "quality_all")
    assert quality.tolist() == [1.0]  # the dearer ones are no better
    assert cost[0] == found.frame["usd_per_hour"].min()
    ax = plot_capacity(found, metric="latency_p95")  # not aimed at: no line of a target
    labels = [str(line.get_label()) for line in ax.get_lines()]
    assert "frontier" in labels
    assert "target" not in labels
    keys = [text.get_text() for text in ax.figure.findobj(Text)]
    assert {"all met", "not all met"} <= set(keys)
    plt.close("all")
    with pytest.raises(SimulationError, match="choose one of quality_all, answered, latency_p95"):
        plot_capacity(found, metric="cost")
