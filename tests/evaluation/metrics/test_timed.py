"""Goodput by hand and on a replay."""

import math

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError
from routingsim.evaluation import (
    timed_quality,
    timed_replay,
)
from routingsim.simulation.replay import replay


def test_timed_quality_by_hand() -> None:
    found = timed_quality(
        latency=[1, 3, 1, 1, 9, 1],
        quality=[1, 1, 0.2, math.nan, math.nan, 0.5],
        cost=[1, 1, 1, 5, 1, 2],
        answered=[True, True, True, True, False, True],
        objective=2,
        seconds=4,
    )
    assert found.goodput == 0.5  # tasks 0 and 5 in four seconds
    assert (found.within.value, found.within.tasks, found.within.left_out) == (0.6, 5, 1)
    assert found.quality.value == pytest.approx((1 + 0.2 + 0.5) / 5)
    assert found.cost_per_right == 3


def test_no_right_answer_has_no_price() -> None:
    found = timed_quality([1.0], [0.0], [1.0], [True], objective=2, seconds=1)
    assert found.cost_per_right == math.inf
    assert found.goodput == 0
    with pytest.raises(CorpusError, match="above 0"):
        timed_quality([1.0], [0.0], [1.0], [True], objective=0, seconds=1)
    with pytest.raises(CorpusError, match="answered"):
        timed_quality([1.0], [0.0], [1.0], [True, False], objective=1, seconds=1)


def test_goodput_of_a_replay(tasks_corpus: Corpus) -> None:
    pool = load_agents()
    result = replay(tasks_corpus, pool, "random", arrivals="poisson:6", seed=3)
    found = timed_replay(result, 4.0)
    frame = result.to_frame()
    late = frame[frame["arrived_at"] >= result.window[0]]
    known = late[(late["status"] != "ok") | pd.notna(late["quality"])]
    prompt = known[(known["status"] == "ok") & (known["latency"] <= 4.0)]
    right = prompt[prompt["quality"] >= 0.5]
    seconds = result.window[1] - result.window[0]
    assert len(right) > 50
    assert found.goodput == pytest.approx(len(right) / seconds)
    assert found.quality.value == pytest.approx(prompt["quality"].sum() / len(known))
    assert found.within.value == pytest.approx(len(prompt) / len(known))
    assert found.cost_per_right == pytest.approx(known["cost"].sum() / len(right))
    assert found.within.left_out == len(late) - len(known)


@pytest.fixture(scope="module")
def tasks_corpus() -> Corpus:
    """The five default agents on made-up outcomes, a few of them unknown."""
    rng = np.random.default_rng(5)
    pool = load_agents()
    frame = pd.DataFrame({"id": [f"t{i}" for i in range(400)], "text": ["hello"] * 400})
    for a, agent in enumerate(pool):
        right = (rng.random(400) < 0.5 + a / 10).astype(float)
        frame[f"outcomes.{agent.id}.quality"] = np.where(rng.random(400) < 0.05, np.nan, right)
    return Corpus.from_frame(frame)
