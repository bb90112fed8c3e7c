"""Prices of agents: what calls cost (agents.prices), and prices looked up (agents.price_list)."""

import math
import re
import sys
from datetime import date
from importlib.metadata import version

import msgspec
import numpy as np
import pytest

from routingsim.agents import PRICES, Agent, AgentPool, builtin_pools, load_agents, usd
from routingsim.agents.price_list import looked_up
from routingsim.errors import AgentError
from routingsim.files import bundled

GPT = {"price_input": 2.5, "price_output": 10.0}


def agent(**fields) -> Agent:
    return Agent(id="a", name="A", latency=1.0, **fields)


def test_a_call_costs_its_prompt_and_its_answer() -> None:
    """At 2.5 and 10 USD per million: a chat call of 100 -> 800, a retrieval of 20,000 -> 50."""
    two = AgentPool((agent(**GPT), Agent(id="b", name="B", latency=1.0, cost=0.0028)))
    paid = usd(two, [[100.0], [20_000.0]], [[800.0], [50.0]])
    np.testing.assert_allclose(paid, [[0.00825, 0.00252], [0.0505, 0.05614]], rtol=1e-12)


def test_tokens_from_and_to_the_cache_have_their_own_prices() -> None:
    """1,000 tokens of which 600 are read and 100 written: 300 x 2.5 + 600 x 1 + 100 x 3 + 20."""
    both = agent(**GPT, price_cache_read=1.0, price_cache_write=3.0)
    [paid] = usd(AgentPool((both,)), 1000.0, 2.0, cached_tokens=600.0, cache_write_tokens=100.0)
    assert paid == pytest.approx(1670e-6)
    # Without prices of their own they cost what other tokens of the prompt do.
    [plain] = usd(AgentPool((agent(**GPT),)), 1000.0, 2.0, 600.0, 100.0)
    assert plain == pytest.approx(2520e-6)


def test_prices_that_are_not_given() -> None:
    assert agent(cost=0.002).rates == (2.0, 2.0, 2.0, 2.0)
    assert agent(cost=0.002, price_output=5.0).rates == (2.0, 5.0, 2.0, 2.0)
    assert agent(**GPT, price_cache_read=0.5).rates == (2.5, 10.0, 0.5, 2.5)


def test_the_one_cost_of_messages_follows_from_two_prices() -> None:
    """Three tokens of prompts for one of an answer: (3 x 2.5 + 10) / 4 USD per million."""
    derived, given = agent(**GPT), agent(cost=0.03, **GPT)
    assert (derived.cost, derived.info.cost) == (0.004375, 0.004375)
    assert given.info.cost == 0.03
    assert msgspec.structs.replace(derived, latency=2.0).cost == 0.004375


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, r"agent a, field cost: required, and not given \(USD per 1,000 tokens\); price_input"),
        ({"price_input": 1.0}, "field cost: required"),
        ({"price_input": -1.0, "price_output": 1.0}, r"field price_input: Expected.*>= 0.*-1\.0"),
        ({"price_input": "1", "price_output": 1.0}, r"field price_input: Expected.*found '1'"),
        ({"price_input": math.nan, "price_output": 1.0}, "field price_input: Expected.*found nan"),
        ({"cost": 1.0, "price_cache_read": math.inf}, "field price_cache_read: a finite number"),
        ({"cost": 1.0, "failed_cost": "served"}, "field failed_cost: .* one of all, nothing, inp"),
        ({"cost": 1.0, "prices": 3}, "field prices: Expected `str"),
    ],
)
def test_prices_that_are_not_allowed(fields: dict, said: str) -> None:
    with pytest.raises(AgentError, match=said):
        agent(**fields)


def test_prices_are_written_and_read_back() -> None:
    pool = AgentPool((agent(**GPT, price_cache_read=1.25, failed_cost="input"),))
    text = pool.to_toml()
    assert "price_input = 2.5\nprice_output = 10.0\nprice_cache_read = 1.25\n" in text
    assert 'failed_cost = "input"\n' in text
    assert load_agents(msgspec.toml.decode(text)) == pool
    assert "price_output=10.0, price_cache_read=1.25, failed_cost='input'" in repr(pool[0])
    assert pool[0].row[2] == "0.00438 (2.5 in, 1.25 cached, 10 out a million)"
    assert agent(cost=0.03).row[2] == "0.03"


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("input_price", "price_input"),
        ("price_outputs", "price_output"),
        ("cached_input_price", "price_cache_read"),
        ("cache_write", "price_cache_write"),
    ],
)
def test_words_of_others(word: str, ours: str) -> None:
    with pytest.raises(AgentError, match=f"no field {word!r}: .*did you mean {ours!r}"):
        load_agents([{"id": "a", "name": "A", "cost": 1, "latency": 1, word: 1}])


# -- genai-prices -------------------------------------------------------------------


@pytest.mark.slow
def test_prices_are_looked_up() -> None:
    genai_prices = pytest.importorskip("genai_prices", reason="the extra prices is not installed")
    usage = genai_prices.Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    due = genai_prices.calc_price(usage, "gpt-4o", provider_id="openai")
    found = agent(prices="openai/gpt-4o")
    assert (found.price_input, found.price_output) == (due.input_price, due.output_price)
    assert found.price_source is not None
    assert found.price_source.startswith(f"openai/gpt-4o: genai-prices {genai_prices.__version__},")
    # What is given is kept, and what is found is written: it is not looked up again.
    assert agent(prices="openai/gpt-4o", price_output=7.0).price_output == 7.0
    [again] = load_agents(AgentPool((found,)).to_dict())
    assert again == found
    assert agent(prices="openai/none-such", **GPT).price_input == 2.5
    for model in ("openai/none-such", "none-such/gpt-4o"):
        with pytest.raises(AgentError, match=rf"agent a, field prices: '{model}' is not in genai"):
            agent(prices=model)


def test_without_the_extra_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(AgentError, match=r"pip install 'routingsim\[prices\]'; or give price_inp"):
        agent(prices="openai/gpt-4o")


def test_the_pool_of_providers_has_prices_windows_and_limits_with_their_sources() -> None:
    pool = load_agents("providers")
    release = version("genai-prices")
    for agent in pool:
        model, _, source = (agent.price_source or "").partition(": ")
        assert source == "genai-prices 0.2.3, 2026-11-30"
        assert agent.context_window
        assert agent.requests_per_minute
        assert agent.over_limit == "reject"
        if release == "0.2.3":  # the list prices of another release may differ
            found = looked_up(agent.id, model)
            given = {name: getattr(agent, name) for name in PRICES if getattr(agent, name)}
            assert given == {name: value for name, value in found.items() if name in PRICES}


@pytest.mark.parametrize("name", builtin_pools())
def test_limits_that_are_shipped_have_a_page_and_a_day_or_are_called_assumptions(name: str) -> None:
    readme = (bundled("data") / "README.md").read_text(encoding="utf-8")
    for agent in load_agents(name):
        limits = (agent.requests_per_minute, agent.tokens_per_minute, agent.requests_per_day)
        if not any(limits):
            assert agent.limit_source is None
            continue
        source = agent.limit_source or ""
        dated = re.fullmatch(r"[a-z.-]+/\S+, .+, read (20\d\d-\d\d-\d\d)", source)
        assert dated or source.startswith("assumption: ")
        assert agent.id in readme.partition("## agents-providers.toml")[2]
        if dated:
            assert date.fromisoformat(dated[1]) <= date(2026, 11, 30)
