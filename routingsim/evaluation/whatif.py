"""``log.whatif()``: other policies, loads, prices and pools on the traffic of a log."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.rows import counted
from routingsim.errors import (
    AgentError,
    SimulationError,
    UnlearnableError,
    did_you_mean,
    wrong_type,
)
from routingsim.evaluation.backtest import REPLICATIONS, backtest
from routingsim.evaluation.loads import Wanted, several
from routingsim.evaluation.log_fit import fitted, usable
from routingsim.evaluation.whatif_result import WhatIf
from routingsim.policies.assignment import assign
from routingsim.policies.policy import Policy, make_policy, sentence
from routingsim.progress import Progress
from routingsim.simulation.arrivals import CorpusTimes
from routingsim.simulation.arrivals.checks import is_finite
from routingsim.simulation.billing import cost_table
from routingsim.simulation.replay import replay
from routingsim.synonyms import argument_hints

DEFAULT = ("cheapest", "least-loaded")
"""Policies to try where none is named."""

Prices = Mapping[str, float | Mapping[str, float]]
"""By agent: USD per 1,000 tokens, or fields of its price by name, such as ``{"input": 2}``."""


@argument_hints
def whatif(
    log: CallLog,
    policies: Wanted | Sequence[Wanted] = DEFAULT,
    *,
    shift: float | str = 1.0,
    without: str | Collection[str] = (),
    prices: Prices | None = None,
    at: float | str | pd.Timestamp = 0.7,
    replications: int = REPLICATIONS,
    seed: int = 0,
    progress: Progress = True,
    **fields: Any,
) -> WhatIf:
    """Replay a log's traffic under other policies, beside what the log did.

    The agents are fitted to the log, a backtest says how far that can be believed, and the
    tasks are replayed at their own times under the policy ``logged`` and each other one.

    Parameters
    ----------
    log : CallLog
        With the time, the agent and the latency of each call.
    policies
        One or several of what :func:`routingsim.replay` takes.
    shift : float or str
        How many times as fast tasks arrive: 2, or "2x".
    without : str or collection of str
        Agents that are no longer there; ``logged`` sends their tasks to the least loaded.
    prices : mapping, optional
        New prices: ``{"gpt-4": 0.02}`` or ``{"gpt-4": {"input": 2}}``. Recorded costs of such
        an agent become those of its recorded tokens at the new price.
    at, replications, seed, progress
        As for :func:`~routingsim.evaluation.backtest.backtest`.
    **fields
        As for :meth:`.CallLog.fit_pool`.

    Raises
    ------
    CorpusError, AgentError, PolicyError, SimulationError
        If the log lacks what a backtest needs, or a setting does not suit it.
    """
    if not isinstance(prices, Mapping | None):
        raise SimulationError(wrong_type("prices", prices, "write {'gpt-4': 0.02}"))
    gone = several(without, str)
    calls, notes = usable(log)
    speed = _speed(shift)
    pool, said, _ = fitted(calls, **fields)
    changed = priced(_left(pool, gone), prices or {})
    corpus, others = _tasks(calls, pool)
    asked = _repriced(corpus, pool, changed)
    made, unlearnable = _policies(several(policies), changed, asked)
    notes += [*said, *others, *unlearnable]
    found = backtest(log, at=at, replications=replications, seed=seed, progress=progress, **fields)

    today = None
    if (speed, changed) != (1.0, pool):
        logged = _as_logged(corpus, pool)
        today = replay(corpus, pool, logged, arrivals=CorpusTimes(), seed=seed)
    arrivals = CorpusTimes(speed=speed)
    results = [
        replay(asked, changed, each, arrivals=arrivals, seed=seed)
        for each in (_as_logged(asked, changed), *made)
    ]
    question = _question(speed, gone, prices or {})
    return WhatIf(log.name, question, found, today, tuple(results), tuple(notes))


def _policies(
    policies: Sequence[Any], pool: AgentPool, corpus: Corpus
) -> tuple[list[Policy], list[str]]:
    """The policies, and notes on those that learn from what the log does not record."""
    made, notes, refused = [], [], None
    for each in policies:
        try:
            made.append(make_policy(pool, each, corpus))
        except UnlearnableError as error:
            refused = error
            notes.append(f"{each} is left out, for it learns from what is not recorded: {error}")
    if refused is not None and not made:
        raise refused
    return made, notes


def priced(pool: AgentPool, prices: Prices) -> AgentPool:
    """The pool with other prices.

    Raises
    ------
    AgentError
        If there is no such agent or price, or a value is out of its range.
    """
    agents = {agent.id: agent for agent in pool}
    for name, price in prices.items():
        agent = agents[_named(pool, name).id]
        given = price if isinstance(price, Mapping) else {"cost": price}
        changes: dict[str, Any] = {_price_field(name, each): v for each, v in given.items()}
        if "cost" in changes:  # one price for all tokens
            changes = dict.fromkeys(_prices()) | changes
        try:
            agents[agent.id] = msgspec.convert(msgspec.structs.asdict(agent) | changes, Agent)
        except msgspec.ValidationError as error:
            raise AgentError(f"price of {name}: {error}") from None
    return AgentPool(tuple(agents.values()), pool.comments)


def _price_field(agent: str, name: str) -> str:
    prices = _prices()
    if name in ("cost", *prices):
        return name
    if f"price_{name}" in prices:
        return f"price_{name}"
    allowed = ["cost", *(each.removeprefix("price_") for each in prices)]
    raise AgentError(
        f"price of {agent}: {name!r} is no price of an agent; allowed: {', '.join(allowed)}"
        f"{did_you_mean(name, allowed)}"
    )


def _prices() -> list[str]:
    """The fields of an agent that are prices of tokens, beside ``cost``."""
    known = [each.name for each in msgspec.structs.fields(Agent)]
    others = ("price_per_slot_hour", "price_source")
    return [each for each in known if each.startswith("price_") and each not in others]


def _named(pool: AgentPool, name: str) -> Agent:
    """The agent of this id, or of this name in the log."""
    for agent in pool:
        if name in (agent.id, agent.recorded_as):
            return agent
    raise AgentError(
        f"{name}: no such agent in the log; there are {', '.join(pool.ids)}"
        f"{did_you_mean(name, pool.ids)}"
    )


def _left(pool: AgentPool, without: Collection[str]) -> AgentPool:
    gone = {_named(pool, name).id for name in without}
    kept = tuple(agent for agent in pool if agent.id not in gone)
    if not kept:
        raise AgentError(f"without {', '.join(without)} no agent of the log is left")
    return AgentPool(
        kept, {name: pool.comments[name] for name in pool.comments if name not in gone}
    )


def _speed(shift: float | str) -> float:
    found = re.fullmatch(r"\s*([0-9.]+)\s*x?\s*", shift) if isinstance(shift, str) else None
    try:
        speed = float(found[1]) if found else float(shift)
    except (TypeError, ValueError):
        speed = math.nan
    if not is_finite(speed) or speed <= 0:
        raise SimulationError(f"shift {shift!r}: a number above 0 is needed, as 2 or 2x")
    return speed


def _tasks(calls: CallLog, pool: AgentPool) -> tuple[Corpus, list[str]]:
    """The tasks of a log, each with the calls of the agent that it was sent to first."""
    names = calls.names("agent")
    known = np.isin(names, [agent.recorded_as for agent in pool])
    notes = []
    if lost := int((~known).sum()):
        notes.append(f"{counted(lost, 'call')} of agents with too few answers to fit: left out")
        calls = calls.select(known)
    frame = calls.calls
    first = frame.groupby("task_id", sort=False)["agent"].transform("first")
    same = (frame["agent"].astype(object) == first.astype(object)).to_numpy()
    if elsewhere := int((~same).sum()):
        notes.append(
            f"{counted(elsewhere, 'further try', 'further tries')} of a task at another agent: "
            "left out, a task is where it was sent first"
        )
        calls = calls.select(same)
    return calls.corpus(), notes


def _as_logged(corpus: Corpus, pool: AgentPool) -> Policy:
    """The policy ``logged``; tasks of agents that are not in the pool go to the least loaded."""
    if {*corpus.agents} <= {agent.recorded_as for agent in pool}:
        return make_policy(pool, "logged", corpus)
    recorded = np.any(
        [~np.isnan(corpus.outcome(field, corpus.agents)) for field in corpus.outcomes], axis=0
    )
    place = {agent.recorded_as: k for k, agent in enumerate(pool)}
    position = np.array([place.get(name, -1) for name in corpus.agents])
    chosen = np.where(recorded.any(axis=1), position[recorded.argmax(axis=1)], -1)
    gone = [name for name in corpus.agents if name not in place]
    note = (
        f"logged: {counted(int((chosen < 0).sum()), 'task')} of {', '.join(gone)}, which is left "
    )
    return assign(
        corpus,
        chosen,
        "logged",
        reason=sentence("As in the log: Routed to {agent.name}"),
        notes=(f"{note}out, go to the least loaded",),
    )


def _repriced(corpus: Corpus, pool: AgentPool, changed: AgentPool) -> Corpus:
    """The corpus with the recorded costs of agents with another price at that price."""
    before = {agent.id: agent for agent in pool}
    others = [agent for agent in changed if agent != before[agent.id]]
    if not others or "cost" not in corpus.outcomes:
        return corpus
    cost = corpus.outcomes["cost"].copy()
    columns = [corpus.agents.index(agent.recorded_as) for agent in others]
    known = ~np.isnan(cost[:, columns])
    blank = cost.copy()
    blank[:, columns] = np.nan
    bare = replace(corpus, outcomes={**corpus.outcomes, "cost": blank})
    modelled: NDArray[np.float64] = cost_table(bare, AgentPool(tuple(others)))[0]
    cost[:, columns] = np.where(known, modelled, np.nan)
    return replace(corpus, outcomes={**corpus.outcomes, "cost": cost})


def _question(speed: float, without: Collection[str], prices: Prices) -> str:
    """What is changed, in words; "" where nothing is."""
    said = [f"{speed:g} times the traffic"] if speed != 1 else []
    if without:
        said.append(f"without {', '.join(without)}")
    for name, price in prices.items():
        each = price if isinstance(price, Mapping) else {"cost": price}
        listed = ", ".join(f"{field} {value:g}" for field, value in each.items())
        said.append(f"{name} at {listed} USD")
    return ", ".join(said)
