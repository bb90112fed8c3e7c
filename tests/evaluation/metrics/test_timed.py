"""Goodput by hand and on a replay."""

import math

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import Agent, AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError
from routingsim.evaluation import timed_quality, timed_replay
from routingsim.evaluation.outcomes import complete
from routingsim.policies.kernel import OK
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
    # Four of six are in time, three of them are judged, two of these are right.
    assert found.goodput == pytest.approx(4 * (2 / 3) / 4)
    assert (found.within.value, found.within.tasks, found.within.left_out) == (4 / 6, 6, 0)
    assert found.quality.value == pytest.approx(4 / 6 * (1 + 0.2 + 0.5) / 3)
    assert (found.quality.tasks, found.quality.left_out) == (5, 1)
    assert found.cost_per_right == pytest.approx(11 / (4 * 2 / 3))


def test_an_agent_judged_on_a_third_of_its_answers_is_as_good_as_its_equal() -> None:
    """An answer that nobody judged is neither right nor wrong, and a lost task is wrong."""
    quality = np.array([1.0, 1.0, 0.0] * 30)
    judged = np.where(np.arange(90) % 9 < 3, quality, math.nan)
    done = np.arange(90) >= 18  # a fifth is never answered
    ones = np.ones(90)
    whole, third = (
        timed_quality(ones, q, ones, done, objective=2, seconds=9) for q in (quality, judged)
    )
    assert whole.goodput == pytest.approx(72 * (2 / 3) / 9)
    assert third.goodput == pytest.approx(whole.goodput)
    assert third.quality.value == pytest.approx(whole.quality.value)
    assert third.cost_per_right == pytest.approx(whole.cost_per_right)


def test_costs_recorded_on_a_part_stand_for_all() -> None:
    """Agents of which each call cost USD 0.01; b's record of a half is missing, not dear."""
    frame = pd.DataFrame({"id": range(40), "text": [f"task {k}" for k in range(40)]})
    for agent in ("a", "b"):
        frame[f"outcomes.{agent}.quality"] = 1.0
        frame[f"outcomes.{agent}.cost"] = 0.01
    frame.loc[20:, "outcomes.b.cost"] = math.nan
    agents = (Agent(id=each, name=each, cost=5.0, latency=1.0) for each in ("a", "b"))
    corpus, pool = Corpus.from_frame(frame), AgentPool(tuple(agents))
    for agent in ("a", "b"):
        run = replay(corpus, pool, f"static:{agent}", arrivals="deterministic:0.01", seed=1)
        assert timed_replay(run, 100.0).cost_per_right == pytest.approx(0.01)


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
    begin, end = result.window
    late = result.work.arrived >= begin
    answered = late & (result.log.status == OK)
    prompt = answered & (result.latency <= 4.0)
    whole = complete(tasks_corpus.outcome("quality", pool.ids))
    judged = result.quality[prompt & whole[result.work.row]]  # recorded for all five agents
    right = prompt.sum() * (judged >= 0.5).mean()
    assert right > 50
    assert 0.7 * prompt.sum() < judged.size < 0.9 * prompt.sum()
    assert found.goodput == pytest.approx(right / (end - begin))
    assert found.quality.value == pytest.approx(prompt.sum() / late.sum() * judged.mean())
    assert found.within.value == pytest.approx(prompt.sum() / late.sum())
    assert found.cost_per_right == pytest.approx(result.log.cost[late].sum() / right)
    assert found.quality.left_out == (answered & ~whole[result.work.row]).sum()


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


@pytest.mark.slow
def test_an_objective_that_equals_the_service_time_is_kept() -> None:
    frame = pd.DataFrame(
        {"id": range(2_000), "text": "x", "arrived_at": 3.7 * np.arange(2_000)}
    ).astype({"id": str})
    pool = AgentPool((Agent(id="a", name="A", cost=1, latency=0.7085, service="deterministic"),))
    result = replay(Corpus.from_frame(frame), pool, "static:a", arrivals="corpus", seed=1)
    assert (result.latency > 0.7085).any()  # in the last bits, by the rounding of the clock
    assert timed_replay(result, 0.7085).within.value == 1.0
    assert timed_replay(result, 0.7084).within.value == 0.0


def test_an_answer_counts_whose_first_token_is_in_time_too() -> None:
    times = {"latency": [1.0, 1.0, 3.0], "quality": [1.0] * 3, "cost": [1.0] * 3}
    given = {"answered": [True] * 3, "objective": 2.0, "seconds": 1.0}
    found = timed_quality(**times, **given, first_token=[0.2, 0.6, 0.1], first_token_objective=0.5)
    assert (found.goodput, found.within.value) == (1.0, pytest.approx(1 / 3))
    assert timed_quality(**times, **given, first_token=[0.2, 0.6, 0.1]).goodput == 2.0
    with pytest.raises(CorpusError, match="must be above 0"):
        timed_quality(**times, **given, first_token=[0.2] * 3, first_token_objective=0.0)
