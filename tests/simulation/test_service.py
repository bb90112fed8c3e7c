"""Agents and a corpus as the tables the engine runs on."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.errors import AgentError, SimulationError
from routingsim.simulation import service as model
from routingsim.simulation.faults import Outage
from routingsim.simulation.state import DETERMINISTIC, EXPONENTIAL, LOGNORMAL


def agent(name: str, **fields) -> Agent:
    given: dict[str, Any] = {"cost": 2.0, "latency": 3.0} | fields
    return Agent(id=name, name=name, **given)


@pytest.fixture
def corpus() -> Corpus:
    return Corpus.from_frame(
        pd.DataFrame(
            {
                "id": ["t0", "t1", "t2"],
                "text": ["12345", "1234", ""],
                "prompt_tokens": [None, 7, None],
                "output_tokens": [100, None, None],
                "outcomes.a.output_tokens": [None, None, 50],
                "outcomes.a.latency": [1.5, 2.5, 0.5],
                "outcomes.a.cost": [0.1, None, 0.3],
                "outcomes.b.latency": [1.0, None, 1.0],
            }
        )
    )


def test_prompt_tokens_are_recorded_or_a_quarter_of_the_characters(corpus: Corpus) -> None:
    np.testing.assert_array_equal(prompt_tokens(corpus), [2, 7, 0])


def test_output_tokens_are_the_agents_the_tasks_or_the_mean(corpus: Corpus) -> None:
    pool = AgentPool((agent("a", output_tokens=200.0), agent("c", output_tokens=300.0)))
    expected = [[100, 100], [200, 300], [50, 300]]
    np.testing.assert_array_equal(model.output_token_table(corpus, pool), expected)


def test_service_times_of_each_model(corpus: Corpus) -> None:
    pool = AgentPool(
        (
            agent("a", service="recorded"),
            agent("b", service="exponential"),
            agent("c", service="tokens", ttft=0.5, tokens_per_second=100.0),
        )
    )
    expected = [[1.5, 3, 1.5], [2.5, 3, 3.5], [0.5, 3, 3.5]]
    np.testing.assert_array_equal(model.service_table(corpus, pool), expected)


def test_recorded_service_needs_a_record_of_every_task(corpus: Corpus) -> None:
    with pytest.raises(SimulationError, match=r"agent b .*'b' for 1 of 3 tasks .*first: t1"):
        model.service_table(corpus, AgentPool((agent("b", service="recorded"),)))


def test_noise_of_each_model() -> None:
    pool = AgentPool(
        (
            agent("a", latency_cv=0.5),
            agent("b", latency_cv=0.0),
            agent("c", service="exponential"),
            agent("d", service="deterministic"),
            agent("e", service="recorded"),
            agent("f", service="tokens", tokens_per_second=10.0, latency_cv=0.2),
        )
    )
    found = model.system(pool)
    expected = [LOGNORMAL, DETERMINISTIC, EXPONENTIAL, DETERMINISTIC, DETERMINISTIC, LOGNORMAL]
    np.testing.assert_array_equal(found.noise, expected)
    assert found.sigma[0] == pytest.approx(math.sqrt(math.log(1.25)))
    assert found.mean_service.tolist() == [3, 3, 3, 3, 3, 30]


@pytest.mark.parametrize("cv", [0.1, 0.5, 2.0])
def test_lognormal_noise_has_mean_1_and_its_cv(cv: float) -> None:
    pool = AgentPool((agent("a", latency=1.0, latency_cv=cv, concurrency=1000),))
    result = rs.replay(None, pool, "static:a", arrivals="deterministic:1", tasks=200_000, seed=1)
    took = result.log.finished - result.log.left
    assert took.mean() == pytest.approx(1, abs=5 * cv / math.sqrt(200_000))
    assert took.std() == pytest.approx(cv, rel=0.1)


def test_outages_as_arrays() -> None:
    pool = AgentPool((agent("a"), agent("b"), agent("c")))
    outages = [Outage("c", 5, 9), Outage("a", 7.5, 1e6), Outage("c", 1, 2)]
    found = model.system(pool, outages)
    assert found.first_outage.tolist() == [0, 1, 1, 3]
    assert found.down.tolist() == [7.5, 1, 5]
    assert found.up.tolist() == [1e6, 2, 9]
    assert found.down.dtype == found.up.dtype == np.float64


def test_outages_must_suit_the_pool() -> None:
    pool = AgentPool((agent("a"),))
    with pytest.raises(SimulationError, match="overlap: 1-3 s and 2-4 s"):
        model.system(pool, [Outage("a", 2, 4), Outage("a", 1, 3)])
    with pytest.raises(AgentError, match="no agent 'z'"):
        model.system(pool, [Outage("z", 2, 4)])


def test_whole_numbers_are_numbers() -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=1, latency=2, concurrency=3),))
    assert model.system(pool).mean_service.dtype == np.float64
