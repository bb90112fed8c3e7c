"""Service times and limits of agents, as the engine takes them.

The service time of a call is a table with a row for each corpus record and
a column for each agent. Figures that a corpus records are used as they are;
others are modelled from ``agents.toml``, and the result says so.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import LIMITS, PRICES, Agent, AgentPool, Billed, Discipline
from routingsim.corpora.answer_tokens import output_token_table
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.errors import AgentError, SimulationError
from routingsim.policies.costs import expected_costs
from routingsim.simulation.changes import Change, change_arrays
from routingsim.simulation.faults import Outage
from routingsim.simulation.state import DETERMINISTIC, EXPONENTIAL, LOGNORMAL, System

NO_LIMIT = np.iinfo(np.int64).max
_RANGES = (
    ("latency", 1e-9, 1e12),
    ("latency_cv", 0.0, 1e6),
    *((name, 0.0, 1e12) for name in ("cost", "price_per_slot_hour", *PRICES)),
)  # beyond them, sums and squares of them are infinite
_MOST_AGENTS = np.iinfo(np.int16).max
_MOST_SLOTS = 10**9
_MOST_CALLS = 10**7
_WINDOWS = ("sliding", "fixed", "bucket")  # by their codes


def service_table(corpus: Corpus, pool: AgentPool) -> NDArray[np.float64]:
    """Mean service time of a call in seconds, shape (tasks, agents).

    Raises
    ------
    SimulationError
        If an agent's ``service`` is ``recorded`` and the corpus lacks a latency.
    """
    table = np.broadcast_to(pool.column("latency"), (len(corpus), len(pool))).copy()
    for a, agent in enumerate(pool):
        if agent.service == "tokens" and agent.tokens_per_second is not None:
            tokens = output_token_table(corpus, pool)[:, a]
            first = np.nan_to_num(_first_token(corpus, AgentPool((agent,)))[:, 0])
            table[:, a] = first + tokens / agent.tokens_per_second
        elif agent.service == "recorded":
            table[:, a] = _recorded_latency(corpus, agent)
    return table


def first_token_table(corpus: Corpus, pool: AgentPool) -> NDArray[np.float64]:
    """Mean seconds in service before the first token, shape (tasks, agents).

    Without ``ttft`` an answer comes whole, at its end. Shape (0, 0) if all come so.
    """
    if np.isnan(pool.column("ttft")).all():
        return np.zeros((0, 0))
    service = service_table(corpus, pool)
    return np.fmin(_first_token(corpus, pool), service)


def _first_token(corpus: Corpus, pool: AgentPool) -> NDArray[np.float64]:
    """``ttft`` and what the prompt adds to it, shape (tasks, agents); NaN without ``ttft``."""
    prefill = 1.0 / pool.column("prefill_tokens_per_second")
    return pool.column("ttft") + np.nan_to_num(prompt_tokens(corpus)[:, np.newaxis] * prefill)


def token_table(corpus: Corpus, pool: AgentPool) -> NDArray[np.float64]:
    """Tokens of a call, prompt and answer, rounded up, shape (tasks, agents).

    Shape (0, 0) if no limit counts them.
    """
    if not any(agent.tokens_per_minute for agent in pool):
        return np.zeros((0, 0))
    return np.ceil(prompt_tokens(corpus)[:, np.newaxis] + output_token_table(corpus, pool))


def _recorded_latency(corpus: Corpus, agent: Agent) -> NDArray[np.float64]:
    latency = corpus.outcome("latency", [agent.recorded_as])[:, 0]
    missing = np.flatnonzero(np.isnan(latency))
    if missing.size:
        raise SimulationError(
            f'{corpus.name}: agent {agent.id} has service = "recorded", and no latency is '
            f"recorded under {agent.recorded_as!r} for {missing.size:,} of {len(corpus):,} tasks "
            f"(the first: {corpus.tasks['id'].iloc[missing[0]]}); choose another service model"
        )
    return latency


def system(
    pool: AgentPool,
    outages: Iterable[Outage] = (),
    expected_service: NDArray[np.float64] | None = None,
    expected_first: NDArray[np.float64] | None = None,
    changes: Sequence[Change] = (),
    costs: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> System:
    """The agents as the engine takes them.

    Parameters
    ----------
    pool : AgentPool
        The agents.
    outages : iterable of Outage
        When which agent is down; outages of one agent must not overlap.
    expected_service : ndarray, shape (agents,), optional
        Mean service times over the corpus, which policies see for agents whose service
        depends on the task; by default the pool's own.
    expected_first : ndarray, shape (agents,), optional
        Mean seconds to the first token over the corpus, which policies see; by default ``ttft``.
    changes : sequence of Change
        What changes in the run.
    costs : pair of ndarray, shape (agents,), optional
        What a call and a token of its prompt are expected to cost
        (:func:`routingsim.policies.costs.expected_costs`); by default without a corpus.

    Raises
    ------
    SimulationError
        If outages overlap, or a number is too large for the engine.
    """
    _check_size(pool)
    noise, sigma = zip(*(_noise(agent) for agent in pool), strict=True)
    first, down, up = _outage_arrays(pool, list(outages))
    mean = pool.column("mean_service")
    call, token = expected_costs(pool) if costs is None else costs
    if expected_service is not None:  # the others keep the exact mean of the pool
        by_task = [agent.service in ("tokens", "recorded") for agent in pool]
        mean = np.where(by_task, expected_service, mean)
    ttft = pool.column("ttft")
    first_token = ttft if expected_first is None else expected_first
    return System(
        slots=pool.column("concurrency").astype(np.int64),
        noise=np.array(noise, dtype=np.int64),
        sigma=np.array(sigma, dtype=np.float64),
        queue_limit=np.array(
            [NO_LIMIT if a.queue_limit is None else min(a.queue_limit, NO_LIMIT) for a in pool],
            dtype=np.int64,
        ),
        patience=np.nan_to_num(pool.column("patience"), nan=math.inf, posinf=math.inf),
        error_rate=pool.column("error_rate"),
        first_outage=first,
        down=down,
        up=up,
        price=pool.column("cost"),
        mean_service=mean,
        impatient=np.array([a.patience_law == "exponential" for a in pool], dtype=np.int64),
        timeout=np.nan_to_num(pool.column("timeout"), nan=math.inf),
        first_token_timeout=np.nan_to_num(pool.column("first_token_timeout"), nan=math.inf),
        holds=np.array([a.cut_off == "holds" for a in pool], dtype=np.int64),
        billed=np.array([get_args(Billed).index(a.cut_off_cost) for a in pool], dtype=np.int64),
        fallback=_fallback(pool),
        context=np.nan_to_num(pool.column("context_window"), nan=math.inf),
        order=np.array([get_args(Discipline).index(a.discipline) for a in pool], dtype=np.int64),
        sharing=pool.column("sharing"),
        mean_first=np.where(np.isnan(ttft), mean, first_token),
        **_accounts(pool),
        **change_arrays(pool, changes),
        call_cost=call,
        token_cost=token,
    )


def undisturbed(agents: System) -> System:
    """The same agents without outages and changes; one that joins later never does."""
    names = ("down", "up", "change_at", "change_agent", "change_what", "change_value")
    none = {name: getattr(agents, name)[:0] for name in names}
    return agents._replace(first_outage=np.zeros_like(agents.first_outage), **none)


def _accounts(pool: AgentPool) -> dict[str, Any]:
    """The accounts that have limits; an agent that names none has one of its own."""
    named = [[pool.index(agent)] for agent in pool if agent.account is None]
    account = np.full(len(pool), -1, np.int64)
    limits: list[float] = []
    window, rejects = [], []
    for positions in sorted([*named, *map(list, pool.accounts.values())]):
        agent = pool[positions[0]]
        given = [getattr(agent, name) for name in LIMITS]
        if any(given):
            account[positions] = len(window)
            limits += [float(limit or 0) for limit in given]
            window.append(_WINDOWS.index(agent.limit_window))
            rejects.append(int(agent.over_limit == "reject"))
    return {
        "account": account,
        "limits": np.array(limits, dtype=np.float64),
        "window": np.array(window, dtype=np.int64),
        "rejects": np.array(rejects, dtype=np.int64),
    }


def _fallback(pool: AgentPool) -> NDArray[np.int64]:
    """The agent that each names for tasks that fail there, -1 for none; chains have no cycle."""
    named = []
    for agent in pool:
        try:
            named.append(-1 if agent.fallback is None else pool.index(agent.fallback))
        except AgentError as error:
            raise SimulationError(f"agent {agent.id}, field fallback: {error}") from None
    for first in range(len(named)):
        chain, at = [first], named[first]
        while at >= 0:
            if at in chain:
                ring = " -> ".join(pool.ids[k] for k in [*chain[chain.index(at) :], at])
                raise SimulationError(
                    f"agent {pool.ids[at]}, field fallback: the chain is a ring ({ring}); "
                    "leave fallback out at its last agent"
                )
            chain.append(at)
            at = named[at]
    return np.array(named, dtype=np.int64)


def _check_size(pool: AgentPool) -> None:
    """Check that the pool fits the engine's integer types and memory."""
    if len(pool) > _MOST_AGENTS:
        raise SimulationError(
            f"a pool of {len(pool):,} agents; the simulator takes up to {_MOST_AGENTS:,}: "
            "simulate a part of it, or merge equal agents into one with more slots"
        )
    for agent in pool:
        for name, least, most in _RANGES:
            value = getattr(agent, name)
            if value is not None and not least <= value <= most:
                raise SimulationError(
                    f"agent {agent.id}, field {name}: {value:g}; the simulator takes {least:g} to "
                    f"{most:g}"
                )
        if agent.concurrency > _MOST_SLOTS:
            raise SimulationError(
                f"agent {agent.id}: concurrency is {agent.concurrency}; the simulator takes up to "
                f"{_MOST_SLOTS:,}; with one slot per task nothing ever waits"
            )
        if (agent.requests_per_minute or 0) > _MOST_CALLS:  # so many starts are kept in memory
            raise SimulationError(
                f"agent {agent.id}: requests_per_minute is {agent.requests_per_minute}; the "
                f"simulator takes up to {_MOST_CALLS:,}: leave it out if it never delays a call"
            )


def _noise(agent: Agent) -> tuple[int, float]:
    """The engine's noise and sigma for an agent's service model."""
    if agent.service == "exponential":
        return EXPONENTIAL, 0.0
    if agent.service in ("deterministic", "recorded") or agent.latency_cv == 0:
        return DETERMINISTIC, 0.0
    return LOGNORMAL, math.sqrt(math.log1p(agent.latency_cv * agent.latency_cv))


def _outage_arrays(
    pool: AgentPool, outages: Sequence[Outage]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    per_agent: list[list[Outage]] = [[] for _ in pool]
    for outage in outages:
        per_agent[pool.index(outage.agent)].append(outage)
    for mine in per_agent:
        mine.sort(key=lambda outage: outage.down)
        for one, other in pairwise(mine):
            if other.down < one.up:
                raise SimulationError(
                    f"outages of {one.agent} overlap: {one.down:g}-{one.up:g} s and "
                    f"{other.down:g}-{other.up:g} s; make them one"
                )
    flat = [outage for mine in per_agent for outage in mine]
    first = np.cumsum([0, *(len(mine) for mine in per_agent)], dtype=np.int64)
    down, up = ([getattr(outage, end) for outage in flat] for end in ("down", "up"))
    return first, np.array(down, dtype=np.float64), np.array(up, dtype=np.float64)
