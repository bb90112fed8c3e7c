"""The fixed rules: whom they choose, what they say, and what they refuse.

Tests of ``rules``, ``threshold`` and ``load_balancing``.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from routingsim.agents import Agent, AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import PolicyError
from routingsim.policies import default_bands, make_policy, threshold
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import PoolView, TaskView
from routingsim.policies.threshold import BANDS
from routingsim.scoring.dvar import score_column

POOL = load_agents()
N = 4000


def task(d_var: float = 0.5, key: int = 1) -> TaskView:
    wide = np.uint64(key)
    return TaskView(0, 0, 0.0, wide, d_var, 0.0, -1, np.zeros(0), np.zeros(0))


def seen(
    busy: ArrayLike = 0, queued: ArrayLike = 0, up: ArrayLike = 1, wait: ArrayLike = 0.0
) -> PoolView:
    """The default pool as a policy sees it; a single number stands for all agents."""

    def column(values: ArrayLike, kind: type) -> np.ndarray:
        return np.full(len(POOL), values, kind)

    return PoolView(
        column(busy, np.int64),
        column(queued, np.int64),
        POOL.column("concurrency").astype(np.int64),
        POOL.column("cost"),
        column(wait, np.float64),
        POOL.column("latency"),
        column(up, np.int64),
    )


def choice(spec: str, view: PoolView, d_var: float = 0.5, key: int = 1) -> str:
    policy = make_policy(POOL, spec)
    return POOL.ids[policy.choose(task(d_var, key), view, policy.memory.copy())]


def without(*ids: str) -> list[int]:
    """Who is up when these are down."""
    return [int(agent not in ids) for agent in POOL.ids]


def by_id(**values: float) -> list[float]:
    return [values[agent.replace("-", "")] for agent in POOL.ids]


# -- threshold ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d_var", "expected"),
    [(0.0, "llama"), (0.2999, "llama"), (0.3, "gemini"), (0.4999, "gemini"), (0.5, "gpt-4")],
)
def test_threshold_goes_by_bands_of_complexity(d_var: float, expected: str) -> None:
    assert choice("threshold", seen(), d_var) == expected


def test_threshold_takes_the_least_loaded_of_the_band() -> None:
    view = seen(busy=by_id(claude=1, gpt4=2, gemini=0, llama=0, mistral=0))
    assert choice("threshold", view, 0.9) == "claude"


def test_threshold_leaves_the_band_only_when_all_of_it_is_down_or_spilling() -> None:
    full = seen(
        busy=by_id(claude=4, gpt4=4, gemini=1, llama=2, mistral=2),
        queued=by_id(claude=9, gpt4=8, gemini=0, llama=0, mistral=0),
    )
    assert choice("threshold", full, 0.9) == "gpt-4"
    assert choice("threshold:spill=3", full, 0.9) == "gemini"
    assert choice("threshold:spill=3.1", full, 0.9) == "gpt-4"
    assert choice("threshold", full._replace(up=seen(up=without("gpt-4")).up), 0.9) == "claude"
    down = seen(up=without("gpt-4", "claude"))
    assert choice("threshold", full._replace(up=down.up), 0.9) == "gemini"


def test_threshold_takes_bounds_and_bands() -> None:
    assert choice("threshold:low=0.6,medium=0.8", seen(), 0.55) == "llama"
    bands = {"low": ["claude"], "medium": ["gpt-4"], "high": ["mistral", "gemini"]}
    policy = threshold(POOL, bands=bands)
    chosen = [policy.choose(task(d), seen(), policy.memory) for d in (0.1, 0.4, 0.9)]
    assert [POOL.ids[a] for a in chosen] == ["claude", "gpt-4", "mistral"]


def test_default_bands_go_by_price() -> None:
    assert default_bands(POOL) == {
        "low": ("llama", "mistral"),
        "medium": ("gemini",),
        "high": ("gpt-4", "claude"),
    }


@pytest.mark.slow
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=40))
def test_default_bands_cover_any_pool_and_rise_in_price(prices: list[float]) -> None:
    pool = AgentPool(
        tuple(Agent(id=f"a{k}", name="A", cost=c, latency=1.0) for k, c in enumerate(prices))
    )
    bands = default_bands(pool)
    assert tuple(bands) == BANDS
    assert {agent for band in bands.values() for agent in band} == set(pool.ids)
    price = dict(zip(pool.ids, prices, strict=True))
    cost = {band: [price[agent] for agent in bands[band]] for band in BANDS}
    assert cost["low"] == sorted(prices)[: len(cost["low"])]
    assert cost["high"] == sorted(prices, reverse=True)[: len(cost["high"])]
    assert max(cost["low"]) <= min(cost["high"]) or len(pool) == 1
    assert min(cost["low"]) <= min(cost["medium"])
    assert max(cost["medium"]) <= max(cost["high"])


@pytest.fixture(scope="module")
def corpus(request: pytest.FixtureRequest) -> Corpus:
    """Our own tasks: real texts, nearly all of high complexity."""
    return load_corpus(str(request.config.rootpath / "data" / "tasks.jsonl"))


@pytest.mark.parametrize(
    ("spec", "shares"),
    [
        ("threshold:calibrated", (0.5, 0.3, 0.2)),
        ("threshold:calibrated,shares=1/1/2", (0.25, 0.25, 0.5)),
        ("threshold:calibrated,shares=0/1/0", (0.0, 1.0, 0.0)),
    ],
)
def test_calibrated_bounds_split_a_corpus_into_the_shares(
    corpus: Corpus, spec: str, shares: tuple[float, float, float]
) -> None:
    policy = make_policy(POOL, spec, corpus)
    scores = score_column(corpus.texts)["d_var"].to_numpy()
    bands = np.digitize(scores, policy.memory[:2])
    split = np.bincount(bands, minlength=3) / len(corpus)
    np.testing.assert_allclose(split, shares, atol=0.01)
    assert policy.name == spec
    assert policy.fitted_on == (FittedTexts.of(corpus),)
    served = {POOL.ids[policy.choose(task(d), seen(), policy.memory)] for d in scores}
    expected = zip(("llama", "gemini", "gpt-4"), shares, strict=True)
    assert served == {agent for agent, share in expected if share}


# -- the others ---------------------------------------------------------------------


def test_cheapest_and_fastest_pass_over_who_is_down() -> None:
    assert choice("cheapest", seen(queued=99)) == "llama"  # as answers are of one length
    assert choice("cheapest", seen(up=without("llama"))) == "mistral"
    assert choice("fastest", seen()) == "llama"
    assert choice("fastest", seen(up=without("llama", "mistral"))) == "gemini"


def test_static_stays_with_its_agent() -> None:
    assert choice("static:gemini", seen(up=without("gemini"))) == "gemini"


def test_round_robin_takes_turns_and_skips_who_is_down() -> None:
    policy = make_policy(POOL, "round-robin")
    memory = policy.memory.copy()
    turns = [policy.choose(task(), seen(), memory) for _ in range(7)]
    assert turns == [0, 1, 2, 3, 4, 0, 1]
    up = seen(up=without("gemini"))
    assert [policy.choose(task(), up, memory) for _ in range(4)] == [3, 4, 0, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "down", "weights"),
    [
        ("random", (), (1, 1, 1, 1, 1)),
        ("random", ("claude", "llama"), (0, 1, 1, 0, 1)),
        ("weighted:slots", (), (4, 4, 4, 4, 4)),
        ("weighted:capacity", (), (2, 1.6, 4 / 1.5, 5, 4)),
        ("weighted:5/0/1/1/3", ("mistral",), (5, 0, 1, 1, 0)),
    ],
)
def test_draws_are_shared_out_by_weight(
    spec: str, down: tuple[str, ...], weights: tuple[float, ...]
) -> None:
    view = seen(up=without(*down))
    counts = Counter(choice(spec, view, key=key) for key in range(N))
    expected = {a: N * w / sum(weights) for a, w in zip(POOL.ids, weights, strict=True) if w}
    assert set(counts) == set(expected)
    found = [counts[agent] for agent in expected]
    assert stats.chisquare(found, list(expected.values())).pvalue > 1e-4


def test_least_loaded_goes_by_share_of_slots() -> None:
    pool = AgentPool(
        (
            Agent(id="small", name="S", cost=0.0, latency=1.0, concurrency=1),
            Agent(id="large", name="L", cost=0.0, latency=1.0, concurrency=10),
        )
    )
    policy = make_policy(pool, "least-loaded")
    two = (np.array([0.0, 0.0]), np.ones(2), np.ones(2, np.int64))
    slots = np.array([1, 10])

    def chosen(busy: list[int], queued: list[int]) -> int:
        view = PoolView(np.array(busy), np.array(queued), slots, two[0], two[0], two[1], two[2])
        return policy.choose(task(), view, policy.memory)

    assert chosen([0, 0], [0, 0]) == 0
    assert chosen([1, 9], [0, 0]) == 1
    assert chosen([1, 10], [0, 1]) == 0


@pytest.mark.slow
def test_power_of_two_never_takes_the_most_loaded_of_all() -> None:
    loads = by_id(claude=4, gpt4=3, gemini=2, llama=1, mistral=0)
    counts = Counter(choice("power-of-two", seen(busy=loads), key=key) for key in range(N))
    pairs = {"mistral": 4, "llama": 3, "gemini": 2, "gpt-4": 1}  # of the ten, those it wins
    assert set(counts) == set(pairs)
    expected = [N * wins / 10 for wins in pairs.values()]
    assert stats.chisquare([counts[agent] for agent in pairs], expected).pvalue > 1e-4


def test_shortest_wait_adds_wait_and_service() -> None:
    assert choice("shortest-wait", seen()) == "llama"
    waits = by_id(claude=0, gpt4=0, gemini=0, llama=2, mistral=1)
    assert choice("shortest-wait", seen(wait=waits)) == "gemini"


# -- words --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "agent", "d_var", "expected"),
    [
        (
            *("threshold", "gpt-4", 0.652),
            "High complexity (D_var=0.652): Routed to GPT-4 for advanced reasoning",
        ),
        (
            *("threshold", "gemini", 0.3),
            "Medium complexity (D_var=0.300): Routed to Gemini for a balance of cost and quality",
        ),
        (
            *("threshold", "llama", 0.1),
            "Low complexity (D_var=0.100): Routed to Llama for a fast, low-cost answer",
        ),
        (
            *("threshold:spill=1", "llama", 0.652),
            "High complexity (D_var=0.652), its agents busy: Routed to Llama",
        ),
        ("cheapest", "llama", 0.1, "Lowest expected cost: Routed to Llama"),
        ("fastest", "llama", 0.1, "Shortest service time (0.8 s): Routed to Llama"),
        ("static:claude", "claude", 0.1, "Always the same: Routed to Claude"),
        ("round-robin", "claude", 0.1, "Next in turn: Routed to Claude"),
        ("random", "claude", 0.1, "Drawn at random: Routed to Claude"),
        ("weighted:slots", "claude", 0.1, "Drawn by weight: Routed to Claude"),
        ("least-loaded", "claude", 0.1, "Lowest load (0.25): Routed to Claude"),
        ("power-of-two", "claude", 0.1, "Less loaded of two drawn (0.25): Routed to Claude"),
        ("shortest-wait", "claude", 0.1, "Shortest expected latency: Routed to Claude"),
    ],
)
def test_reasons_are_sentences(spec: str, agent: str, d_var: float, expected: str) -> None:
    chosen = POOL.agents[POOL.index(agent)]
    assert make_policy(POOL, spec).reason(chosen, d_var, 0.25) == expected


# -- refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("threshold:calibrated", r"sets its bounds by a corpus with texts"),
        ("threshold:low=0.6", r"low=0.6 is above medium=0.5"),
        ("threshold:low=nan", r"low=nan"),
        ("static", r"static needs an agent: static:claude"),
        ("weighted:1/2", r"weights='1/2'; slots, capacity, or 5 numbers"),
        ("weighted:a/b/c/d/e", r"weights='a/b/c/d/e'"),
        ("weighted:0/0/0/0/0", r"weights='0/0/0/0/0'"),
        ("weighted:-1/1/1/1/1", r"weights='-1/1/1/1/1'"),
    ],
)
def test_parameters_that_make_no_rule_are_refused(written: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        make_policy(POOL, written)


@pytest.mark.parametrize("shares", ["1/2", "a/b/c", "-1/1/1", "0/0/0", "inf/1/1"])
def test_shares_that_are_none_are_refused(corpus: Corpus, shares: str) -> None:
    with pytest.raises(PolicyError, match=f"shares='{shares}'; three numbers of 0 or more"):
        make_policy(POOL, f"threshold:calibrated,shares={shares}", corpus)


@pytest.mark.parametrize(
    "bands", [{"low": ["llama"]}, {"low": ["llama"], "medium": [], "high": ["gpt-4"]}]
)
def test_bands_without_agents_are_refused(bands: dict[str, list[str]]) -> None:
    with pytest.raises(PolicyError, match="low, medium, high, each with an agent or more"):
        threshold(POOL, bands=bands)
