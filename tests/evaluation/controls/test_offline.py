"""Controls on recorded outcomes, by hand and on real data."""

from collections.abc import Callable

import numpy as np
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError
from routingsim.evaluation import (
    control_table,
    oracle,
    recorded_controls,
    zero_router,
)


def test_controls_by_hand(made_up: Callable[..., Corpus]) -> None:
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


def test_control_table_leaves_out_and_counts_and_judges(made_up: Callable[..., Corpus]) -> None:
    corpus = made_up()
    quality = corpus.outcome("quality", ["a", "b", "c"]).copy()
    cost = corpus.outcome("cost", ["a", "b", "c"])
    quality[:4, 2] = np.nan
    found = control_table(
        quality,
        cost,
        np.array([0, 1] * 30),
        texts=corpus.tasks["text"].tolist(),
        categories=corpus.tasks["category"].tolist(),
    )
    assert (found.tasks, found.left_out) == (56, 4)
    assert (found.prompts, found.frame.loc["best-single", "same"]) == (56, "zero-router")
    assert str(found) == "ControlTable: a policy and 7 controls on 56 tasks, 4 left out"
    assert found.to_frame()["name"].tolist()[:2] == ["policy", "random"]
    assert found.to_markdown().splitlines()[0].startswith("| name | quality | cost | difference |")
    assert found.to_dict()["rows"][0]["name"] == "policy"
    table = found.frame
    assert table.loc["policy", "quality"] == 1
    assert table.loc["shuffle", "verdict"] == "better"
    assert table.loc["oracle", "verdict"] == "not distinguishable"
    assert table.loc["shuffle", "difference"] == pytest.approx(0.5)
    with pytest.raises(CorpusError, match="3 texts or categories for 60"):
        control_table(quality, cost, np.zeros(60, int), texts=["a", "b", "c"])
    with pytest.raises(CorpusError, match="some are NaN"):
        recorded_controls(quality, cost, np.zeros(60, int))


@pytest.mark.slow
def test_controls_of_the_oracle_on_real_data(pareto: Corpus) -> None:
    quality, cost = pareto.outcomes["quality"], pareto.outcomes["cost"]
    best = oracle(quality, cost)
    table = control_table(
        quality,
        cost,
        best,
        texts=pareto.tasks["text"].tolist(),
        categories=pareto.tasks["category"].tolist(),
    ).frame
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


def test_controls_that_do_the_same_have_one_row_that_names_them() -> None:
    # The cheapest is chosen for every task: what has its mix, or its cost, is the cheapest.
    quality = np.tile([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], (20, 1))
    cost = np.tile([1.0, 2.0], (60, 1))
    texts = [f"a{k} b{k} c{k}" for k in range(60)]
    table = control_table(quality, cost, np.zeros(60, int), texts=texts).frame
    assert table.index.tolist() == ["policy", "random", "cheapest", "best-single", "oracle"]
    assert table["same"].tolist() == ["", "", "zero-router, shuffle, length", "", ""]


def test_a_control_table_counts_prompts() -> None:
    quality = np.tile([[1.0, 0.0], [0.0, 1.0]], (40, 1))
    cost, chosen = np.ones((80, 2)), np.tile([0, 1], 40)
    texts = ["the first prompt", "another one"] * 40
    found = control_table(quality, cost, chosen, texts=texts)
    assert (found.tasks, found.prompts) == (80, 2)
    assert str(found).endswith("controls on 80 tasks of 2 prompts, 0 left out")
    assert found.frame.loc["random", "verdict"] == "not distinguishable" or (
        found.frame.loc["random", "half_width"] == 0  # every prompt leads by the same
    )
    apart = control_table(quality, cost, chosen, texts=[f"{k}" for k in range(80)])
    assert apart.prompts == 80
