"""The engine's input, of two records and of none."""

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.policies.kernel import choose_kernel
from routingsim.policies.policy import Policy
from routingsim.scoring.dvar import score
from routingsim.simulation.workload import records

POOL = AgentPool(
    (
        Agent(id="a", name="A", cost=2.0, latency=1.5, output_tokens=100.0),
        Agent(id="b", name="B", cost=4.0, latency=3.0, output_tokens=50.0),
    )
)


@choose_kernel
def first(task, pool, memory):
    return 0


def lengths(texts, categories) -> np.ndarray:
    pairs = zip(texts, categories, strict=True)
    return np.array([[len(text), len(category)] for text, category in pairs], float)


PLAIN = Policy("first", first)
READING = Policy("first", first, featurize=lengths)
PREDICTING = Policy("first", first, predict=lengths)


def test_records_of_a_corpus() -> None:
    columns = {
        "id": ["t0", "t1"],
        "text": ["12345678", ""],
        "category": ["code", ""],
        "output_tokens": [8, None],
        "outcomes.a.quality": [0.5, None],
        "outcomes.b.cost": [0.25, None],
    }
    found = records(Corpus.from_frame(pd.DataFrame(columns)), POOL, READING)
    work = found.work
    np.testing.assert_array_equal(work.features, [[8, 4], [0, 0]])
    np.testing.assert_array_equal(work.prompt_tokens, [2, 0])
    np.testing.assert_array_equal(work.category, [0, -1])
    np.testing.assert_array_equal(work.service, [[1.5, 3.0]] * 2)
    np.testing.assert_array_equal(work.cost, [[2.0 * 10 / 1000, 0.25], [0.2, 0.2]])
    np.testing.assert_array_equal(work.quality, [[0.5, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(work.d_var, [score("12345678").d_var, score("").d_var])
    assert found.modelled == 3 / 4
    assert (work.predicted.shape, work.arrived.size, work.row.size) == ((2, 0), 0, 0)

    tasks = found.tasks(np.array([0.0, 1.0, 2.0]), np.array([1, 0, 1]))
    assert tasks.row.dtype == np.int32
    assert tasks.arrived.tolist() == [0.0, 1.0, 2.0]
    assert tasks.service is work.service


def test_without_a_corpus_there_is_one_record_without_text() -> None:
    found = records(None, POOL, PLAIN)
    np.testing.assert_array_equal(found.work.cost, [[0.2, 0.2]])
    np.testing.assert_array_equal(found.work.service, [[1.5, 3.0]])
    assert np.isnan(found.work.quality).all()
    assert (found.modelled, found.work.category.tolist()) == (1.0, [-1])


@pytest.mark.parametrize("policy", [READING, PREDICTING])
def test_a_policy_that_reads_texts_needs_a_corpus(policy: Policy) -> None:
    with pytest.raises(SimulationError, match="policy first reads texts: give a corpus"):
        records(None, POOL, policy)
