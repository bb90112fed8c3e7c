"""Tables for a paper: what is bold, what is tied, what is escaped, and every difference."""

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.cell import METRICS
from routingsim.evaluation.study import Study
from routingsim.evaluation.study_paper import best_and_ties, escaped
from tests.evaluation.test_study import RUNS, TASKS, cell, corpus
from tests.evaluation.test_study import study as made


@pytest.fixture(scope="module")
def study() -> Study:
    """``low_1`` answers a third of the tasks, two others two thirds each, alike."""
    rng = np.random.default_rng(0)
    third = (np.arange(TASKS) % 3 == 0) * 1.0
    chosen = np.zeros(TASKS, dtype=np.int64)
    noise = rng.normal(scale=0.01, size=(4, RUNS))
    cells = {
        name: cell(
            np.repeat(quality[np.newaxis], RUNS, axis=0),
            chosen,
            latency_p95=2.0 + k + noise[k],
            goodput=1.0 + noise[k],
            cost=0.1,
        )
        for k, (name, quality) in enumerate(
            {"low_1": third, "high": 1 - third, "also high": 1 - third}.items()
        )
    }
    return made(corpus(np.full((TASKS, 2), 0.5)), cells)


def test_the_best_is_bold_and_what_is_not_shown_to_differ_has_a_dagger(study: Study) -> None:
    table = study.table(format="±").set_index("policy")
    assert list(table["quality"]) == [
        {"low_1": "0.340 ± 0.094", "high": "**0.660 ± 0.094**", "also high": "0.660 ± 0.094 †"}[
            name
        ]
        for name in table.index
    ]
    assert table.loc["low_1", "latency p95 (s)"] == "**1.9982 ± 0.0041**"
    assert not table["latency p95 (s)"].str.contains("†").any()
    assert best_and_ties(study, 0.5, "latency_p95") == ("low_1", ())
    assert sorted(table["USD per 1,000 tasks"]) == ["**100**", "100 †", "100 †"]
    with pytest.raises(SimulationError, match="format='latex': '±' is needed"):
        study.table(format="latex")  # pyright: ignore[reportArgumentType]


def test_latex_is_escaped_and_whole(study: Study) -> None:
    text = study.to_latex(caption="Of 50 \\%", label="tab:one")
    lines = text.splitlines()
    assert lines[:5] == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Of 50 \%}",
        r"\label{tab:one}",
        r"\begin{tabular}{lrrrrrl}",
    ]
    assert any(line.startswith(r"low\_1 & ") for line in lines)
    assert r"$\mathbf{0.660 \pm 0.094}$" in text
    assert r"$0.660 \pm 0.094^{\dagger}$" in text
    rows = [line for line in lines if " & " in line]
    assert {line.count(" & ") for line in rows} == {6}
    assert all(line.endswith(r" \\") for line in rows)
    assert study.to_latex().startswith(r"\begin{tabular}")
    assert escaped("a_b 5 % & {x} ~ \\ $1 #2 ^") == (
        r"a\_b 5 \% \& \{x\} \textasciitilde{} \textbackslash{} \$1 \#2 \textasciicircum{}"
    )


def test_every_difference_is_a_row(study: Study) -> None:
    frame = study.differences()
    assert len(frame) == len(METRICS) * 2
    row = frame[(frame["metric"] == "quality") & (frame["policy"] == "high")].iloc[0]
    by_name = study.differences("quality", 0.5)["high"]
    assert (row["difference"], row["low"]) == (by_name.interval.mean, by_name.interval.low)
    assert (row["verdict"], row["baseline"]) == ("better", "low_1")
    turned = study.differences(metric="quality", baseline="high")
    assert turned["policy"].tolist() == ["low_1", "also high"]
    assert turned["verdict"].tolist() == ["worse", "not distinguishable"]


@pytest.mark.slow
def test_the_repr_shows_all_loads_with_intervals_and_fits_a_terminal() -> None:
    found = rs.compare(
        rs.load_corpus("tasks").head(60), policies=["threshold", "cheapest"],
        loads=[0.2, 0.4], replications=3,
    )  # fmt: skip
    said = repr(found)
    assert "At load 0.2 (" in said
    assert "At load 0.4 (" in said
    assert max(map(len, said.splitlines())) <= 79
    for load in found.loads:
        mean = found.interval("cheapest", load, "latency_p95").mean
        assert any(
            line.split()[0] == "cheapest" and "±" in line and f"{mean:.1f}"[:2] in line
            for line in said.splitlines()
            if line.split()
        )
    assert isinstance(found.differences(load=0.2), pd.DataFrame)
