"""The shipped figures are those of the public corpus, as ``data/README.md`` says."""

import csv
from pathlib import Path

import numpy as np
import pytest

import routingsim as rs
from routingsim.corpora.corpus import prompt_tokens
from routingsim.scoring import d_var, score_column

FILE = Path(__file__).parents[2] / "data" / "paretobandit.csv"
SPELLS = np.array([(100, 1), (60, 3), (120, 1), (60, 3), (80, 1), (30, 0.2), (50, 3), (100, 1)])
"""Length (s) and relative rate of each spell of arrivals."""


def arrivals(size: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted times of a Poisson stream with the rates of SPELLS, given their number."""
    ends = np.concatenate([[0], np.cumsum(SPELLS[:, 0])])
    share = np.concatenate([[0], np.cumsum(SPELLS.prod(axis=1))])
    return np.round(np.interp(np.sort(rng.random(size)), share / share[-1], ends), 3)


def test_the_file_holds_figures_and_no_text() -> None:
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1766
    assert {row["text"] for row in rows} == {""}
    assert len({row["id"] for row in rows}) == 1766
    counts = np.array(
        [[float(row[n]) for n in ("length", "punctuation", "unique_tokens")] for row in rows]
    )
    scores = np.array([float(row["d_var"]) for row in rows])
    assert np.array_equal(scores, d_var(*counts.T))


def test_times_are_drawn_as_the_readme_says() -> None:
    tasks = rs.load_corpus("paretobandit").tasks
    rng = np.random.default_rng(2026)
    rng.permutation(1766)
    assert np.array_equal(tasks["arrived_at"], arrivals(1766, rng))


def test_every_figure_is_that_of_the_public_corpus(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTINGSIM_DATA", str(shared_data))
    public = rs.load_corpus("paretobandit-val")
    order = np.random.default_rng(2026).permutation(len(public))
    shipped = rs.load_corpus("paretobandit")
    for field in ("quality", "cost"):
        expected = public.outcome(field, public.agents)[order]
        assert np.array_equal(shipped.outcome(field, public.agents), expected)
        assert not np.isnan(expected).any()
    mine, theirs = shipped.tasks, public.tasks.iloc[order].reset_index(drop=True)
    for name in ("id", "category"):
        assert mine[name].tolist() == theirs[name].tolist()
    assert np.array_equal(mine["prompt_tokens"], prompt_tokens(public)[order])
    scores = score_column(public.texts).iloc[order].reset_index(drop=True)
    for name in scores:
        assert np.array_equal(mine[name], scores[name])
