"""What calls cost in the engine: recorded or by prices, whole, failed or cut off."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.simulation import billing

# At 2.5 and 10 USD per million: .00825, of which .00025 the prompt; and .0505, of which .05.
TASKS = pd.DataFrame(
    {
        "id": ["chat", "retrieval"],
        "text": ["", ""],
        "prompt_tokens": [100.0, 20_000.0],
        "output_tokens": [800.0, 50.0],
    }
)


def agent(**fields) -> Agent:
    plain: dict[str, Any] = {"price_input": 2.5, "price_output": 10.0, "latency": 1.0}
    plain |= {"service": "deterministic", **fields}
    return Agent(id="a", name="A", **plain)


def tables(corpus: Corpus, one: Agent) -> tuple[list[float], list[float], list[float], int]:
    pool = AgentPool((one,))
    cost, modelled = billing.cost_table(corpus, pool)
    prompt = billing.prompt_cost_table(corpus, pool, cost)
    failed = billing.failed_cost_table(corpus, pool, cost, prompt)
    return cost[:, 0].tolist(), prompt.ravel().tolist(), failed.ravel().tolist(), modelled


def test_calls_cost_prompts_and_answers() -> None:
    corpus = Corpus.from_frame(TASKS)
    assert tables(corpus, agent()) == ([0.00825, 0.0505], [], [], 2)
    assert tables(corpus, agent(failed_cost="input"))[1:3] == ([0.00025, 0.05], [0.00025, 0.05])
    assert tables(corpus, agent(failed_cost="nothing"))[1:3] == ([], [0.0, 0.0])
    assert tables(corpus, agent(cut_off_cost="input"))[1:3] == ([0.00025, 0.05], [])


def test_tokens_from_the_cache_have_their_price(tmp_path: Path) -> None:
    """10,000 of 20,000 tokens at 0.5: .0255 + .005; more than the prompt has are the prompt."""
    path = tmp_path / "tasks.jsonl"
    Corpus.from_frame(TASKS.assign(cached_tokens=[101.0, 10_000.0])).write(path)
    corpus = rs.load_corpus(path)
    cost, prompt, _, _ = tables(corpus, agent(price_cache_read=0.5, failed_cost="input"))
    assert cost == pytest.approx([0.008 + 0.00005, 0.0255 + 0.005])
    assert prompt == pytest.approx([0.00005, 0.03])
    assert tables(corpus, agent())[0] == [0.00825, 0.0505]


def test_tokens_written_to_the_cache_have_their_price(tmp_path: Path) -> None:
    """10,000 tokens read at .5, 8,000 written at 3.125, 2,000 at 2.5: .005 + .025 + .005."""
    path = tmp_path / "tasks.csv"
    both = {"cached_tokens": [0.0, 10_000.0], "cache_write_tokens": [60.0, 8_000.0]}
    Corpus.from_frame(TASKS.assign(**both)).write(path)
    corpus = rs.load_corpus(path)
    one = agent(price_cache_read=0.5, price_cache_write=3.125, failed_cost="input")
    cost, prompt, _, _ = tables(corpus, one)
    assert prompt == pytest.approx([0.0001 + 0.0001875, 0.035])
    assert cost == pytest.approx([0.0082875, 0.0355])
    assert tables(corpus, agent())[0] == [0.00825, 0.0505]


def test_recorded_costs_are_used_and_shared_out_by_prices() -> None:
    """A recorded .0165 is twice what prices say, and so is its prompt, .0005."""
    recorded = TASKS.assign(**{"outcomes.a.cost": [0.0165, None], "outcomes.a.failed": [None, 1]})
    corpus = Corpus.from_frame(recorded)
    cost, prompt, failed, modelled = tables(corpus, agent(failed_cost="input"))
    assert (cost, modelled) == ([0.0165, 0.0505], 1)
    assert prompt == failed == pytest.approx([0.0005, 0.05])


def test_a_call_that_is_recorded_as_failed_costs_what_is_recorded() -> None:
    recorded = TASKS.assign(**{"outcomes.a.cost": [0.0165, 0.02], "outcomes.a.failed": [1, 0]})
    assert tables(Corpus.from_frame(recorded), agent(failed_cost="nothing"))[2] == [0.0165, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "bill"),
    [
        ({}, 0.00825 + 0.0505),
        ({"error_rate": 0.999999}, 0.00825 + 0.0505),
        ({"error_rate": 0.999999, "failed_cost": "input"}, 0.05025),
        ({"error_rate": 0.999999, "failed_cost": "nothing"}, 0.0),
        ({"timeout": 0.5}, 0.00825 + 0.0505),
        ({"timeout": 0.5, "cut_off_cost": "served"}, (0.00825 + 0.0505) / 2),
        ({"timeout": 0.5, "cut_off_cost": "input"}, 0.05025),
        ({"timeout": 0.5, "cut_off_cost": "nothing"}, 0.0),
    ],
)
def test_bills_of_a_run(fields: dict, bill: float) -> None:
    one = AgentPool((agent(concurrency=2, **fields),))
    corpus = Corpus.from_frame(TASKS)
    result = rs.replay(corpus, one, policy="static:a", arrivals=rs.Poisson(1.0), seed=3)
    assert result.overall["cost"] == pytest.approx(bill)
