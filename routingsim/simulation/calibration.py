"""Fit the agents of a log, and its arrivals: a pool to replay with, from calls alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from routingsim import display
from routingsim.agents import PRICES, Agent, AgentPool
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.rows import counted
from routingsim.errors import AgentError, CorpusError
from routingsim.simulation.arrival_fit import ArrivalFit, fit_arrivals
from routingsim.simulation.limit_fit import fit_limits
from routingsim.simulation.price_fit import failed_cost, fit_prices
from routingsim.simulation.service_fit import ServiceFit, calls_of, fit_calls
from routingsim.simulation.wait_fit import without_waits
from routingsim.synonyms import argument_hints


@dataclass(frozen=True, repr=False)
class Calibration:
    """What a log says of its agents and of its arrivals.

    Attributes
    ----------
    pool : AgentPool
        The agents; each fitted field has a comment that says on what it rests.
    fits : dict of str to ServiceFit
        The fit of each agent, by id.
    arrivals : ArrivalFit or None
        None where the log has no times.
    """

    pool: AgentPool
    fits: dict[str, ServiceFit]
    arrivals: ArrivalFit | None

    def without_waits(self, log: CallLog) -> CallLog:
        """The log with the waits that were found in latencies taken off them."""
        waits = {
            agent.recorded_as: fit.limits.waits.slots
            for agent, fit in zip(self.pool, self.fits.values(), strict=True)
            if fit.limits is not None and fit.limits.waits is not None
        }
        return without_waits(log, waits)

    def save(self, path: str | Path) -> Path:
        """Write the pool as an agents file, as :meth:`routingsim.AgentPool.save` does."""
        return self.pool.save(path)

    @property
    def _arrivals(self) -> str:
        return "arrivals: " + ("no times" if self.arrivals is None else str(self.arrivals))

    def __repr__(self) -> str:
        fits = [f"{agent}: {fit}" for agent, fit in self.fits.items()]
        return "\n".join([display.wrapped(self._arrivals), *fits])

    def _repr_html_(self) -> str:
        return display.card(
            self._arrivals, "".join(f._repr_html_() for f in self.fits.values()), []
        )


def calibrate(
    log: CallLog | pd.DataFrame,
    *,
    cost: float | Mapping[Any, float] | None = None,
    **fields: Any,
) -> Calibration:
    """Fit every agent of a log, and its arrivals.

    Parameters and errors are those of :func:`fit_pool`.
    """
    calls, notes = calls_of(log)
    if not calls.agents:
        raise CorpusError(f"{calls.name}: no call names its agent; {_NAME_IT}")
    names = calls.names("agent")
    if unnamed := int((names == "").sum()):
        notes = (*notes, f"{counted(unnamed, 'call')} of no named agent: in no fit")
    priced = cost is not None or any(name in fields for name in ("prices", *PRICES))
    fits: dict[str, ServiceFit] = {}
    agents: list[Agent] = []
    comments: dict[str, dict[str, str]] = {}
    for name in calls.agents:
        mine = calls.select(names == name)
        given_slots = "concurrency" in fields
        limits = fit_limits(mine, queue=not given_slots) if calls.has_arrivals else None
        if limits is not None and limits.waits is not None:
            mine = without_waits(mine, {name: limits.waits.slots})
        if limits is not None and given_slots and not limits.a_minute:
            limits = None  # nothing that is not given
        fit = fit_calls(mine, notes, f"agent {name!r}")
        found, said = (None, []) if priced else fit_prices(mine)
        said += limits.notes if limits is not None else []
        fit = replace(fit, prices=found, limits=limits, notes=(*fit.notes, *said))
        given = {field: _of_agent(value, name, field) for field, value in fields.items()}
        if cost is not None:
            given["cost"] = _of_agent(cost, name, "cost")
        elif not priced:
            given["cost"] = _recorded_price(mine, name)
        free = None if priced else failed_cost(mine, found)
        if free is not None:
            given.setdefault("failed_cost", free[0])
        id = re.sub(r"[^A-Za-z0-9._/-]+", "-", name).strip("-._/") or "agent"
        fits[id] = fit
        given.setdefault("name", name)
        if id != name:
            given.setdefault("outcome", name)
        agents.append(fit.agent(id=id, **given))
        said_of = dict(fit.comments)
        if not priced:
            said_of["cost"] = "recorded costs over the tokens of the same calls"
        if free is not None:
            said_of["failed_cost"] = free[1]
        comments[id] = {field: what for field, what in said_of.items() if field not in fields}
    arrivals = fit_arrivals(calls)
    if arrivals is not None:
        comments[""] = {"": f"arrivals inferred: {arrivals}; --arrivals {arrivals.process}"}
    return Calibration(AgentPool(tuple(agents), comments), fits, arrivals)


@argument_hints
def fit_pool(
    log: CallLog | pd.DataFrame,
    *,
    cost: float | Mapping[Any, float] | None = None,
    **fields: Any,
) -> tuple[AgentPool, dict[str, ServiceFit]]:
    """Fit every agent of a log, and make a pool of these agents.

    Parameters
    ----------
    log : CallLog or DataFrame
        As in :func:`fit_service`, with the agent of each call. Agents are in the order in
        which they were first called. Characters that an id must not contain become hyphens
        (``"GPT 4o"`` gets the id ``GPT-4o``, and ``outcome`` keeps the name, under which a
        corpus of that log records it).
    cost : float or mapping, optional
        USD per 1,000 tokens, of all agents or by agent. Default: what the log records of
        each agent's costs, over its tokens, and the prices of prompts, cached prompts and
        answers that explain these costs.
    **fields
        Other fields of the agents, such as ``concurrency=8`` or
        ``concurrency={"gpt-4": 8, "llama": 16}``; or ``prices={"gpt-4": "openai/gpt-4", ...}``
        to look prices up. What is given is not inferred. Without ``concurrency`` it is what
        the log shows, and the comments of the pool say how sure that is.

    Returns
    -------
    pool : AgentPool
        The agents. ``pool.save(path)`` writes them, each fitted field with its calls.
    fits : dict of str to ServiceFit
        The fit of each agent, by id.

    Raises
    ------
    CorpusError
        As in :func:`fit_service`, or if no call names its agent.
    AgentError
        If a field is out of its range or not given for every agent.
    """
    found = calibrate(log, cost=cost, **fields)
    return found.pool, found.fits


_NAME_IT = "say which column does, as in read_log(log, columns={'agent': 'model'})"


def _recorded_price(calls: CallLog, name: str) -> float:
    """USD per 1,000 tokens: recorded costs over the tokens of the same calls."""
    cost = calls.numbers("cost")
    tokens = calls.numbers("prompt_tokens") + calls.numbers("output_tokens")
    known = np.isfinite(cost) & np.isfinite(tokens)
    total = float(tokens[known].sum())
    if not total:
        raise AgentError(
            f"cost: the log records no costs and tokens of agent {name!r}; give cost=, in USD per "
            "1,000 tokens, or prices=, to look them up"
        )
    return 1000.0 * float(cost[known].sum()) / total


def _of_agent(value: Any, agent: str, field: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    by_name = {str(name): each for name, each in value.items()}
    if agent not in by_name:
        has = ", ".join(by_name) or "none"
        raise AgentError(f"{field}: nothing for agent {agent!r}; there is one for {has}")
    return by_name[agent]
