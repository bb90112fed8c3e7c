"""The load offered to each agent: its mean, its error, and the time above capacity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.policies.kernel import FAILED, OK
from routingsim.policies.policy import Judge
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import Outage
from routingsim.simulation.state import ESCALATED, Log, Workload
from routingsim.simulation.sums import (
    by_agent,
    gap_moments,
    gathered,
    in_cells,
    rising,
    served_moments,
)

_CELLS = 4096  # most cells of time over which work is summed
_FEWEST = 16
_TASKS = 8  # of a cell, on average
RARE = 1e-3
"""Probability that a queue with a steady state shows a spell above capacity."""

_NOISE = {"exponential": 1.0, "deterministic": 0.0, "recorded": 0.0}
"""Squared coefficients of variation of the factor in service times, where it is not lognormal."""

Floats = NDArray[np.float64]


class Run(NamedTuple):
    """A run to be judged.

    Attributes
    ----------
    work, log
        Input and output of the engine.
    pool, outages, judge, changes
        The agents, when they were down, the judge of a cascade, if any, and what changed.
    """

    work: Workload
    log: Log
    pool: AgentPool
    outages: Sequence[Outage] = ()
    judge: Judge | None = None
    changes: Sequence[Change] = ()


@dataclass(frozen=True, eq=False)
class OfferedLoad:
    """What was offered to each agent between the first arrival and the last; shape (agents,).

    Attributes
    ----------
    mean : ndarray
        Work over what the slots can do while the agent is up, or calls over what its limit
        per minute allows, whichever is higher. Infinite where work came and none was done.
    error : ndarray
        Standard error of ``mean``, for the number of calls and their times being random.
    variation : ndarray
        (c_a² + c_s²) / 2, with the coefficients of variation of the gaps between the
        agent's calls and of their service times: 1 for an M/M/c queue.
    service : ndarray
        Mean seconds of a call, with all slots in use where calls share the agent's speed.
    above : ndarray
        Share of the time in which more came than could be done: see :func:`offered_load`.
    last_spell : ndarray
        Share of the time since the load rose above capacity for the last time; 0 where the
        run does not end above capacity.
    """

    mean: Floats
    error: Floats
    variation: Floats
    service: Floats
    above: Floats
    last_spell: Floats


@dataclass(frozen=True, eq=False)
class SentWork:
    """The calls of a run and the load that they are, without how it varies.

    Attributes
    ----------
    agent : ndarray of int, shape (calls,)
        Each task's last call, then those that were tried again.
    arrived, seconds : ndarray, shape (calls,)
        When each call's task arrived, and the mean service time of the call: that with all slots
        in use where an agent's calls share its speed.
    calls, service, mean : ndarray, shape (agents,)
        Calls, mean seconds of a call, and the offered load as in :class:`OfferedLoad`.
    limited : ndarray of bool, shape (agents,)
        Whether the limit per minute is what decides.
    """

    agent: NDArray[np.integer]
    arrived: Floats
    seconds: Floats
    calls: NDArray[np.intp]
    service: Floats
    mean: Floats
    limited: NDArray[np.bool_]


def sent_work(run: Run) -> SentWork:
    """What was sent to each agent."""
    work, log, pool, outages, judge, changes = run
    agents, again = len(pool), int(log.retries[0])
    agent, row, arrived = log.agent, work.row, work.arrived
    if again:
        tried = log.retried[:again]
        agent = np.concatenate([agent, log.retried_agent[:again]])
        row = np.concatenate([row, row[tried]])
        arrived = np.concatenate([arrived, arrived[tried]])
    seconds = gathered(work.service, row, agent)
    _change_speeds(seconds, agent, arrived, pool, changes)
    if judge is not None:
        recorded = ~np.isnan(work.quality[work.row, log.agent])
        passed = (log.status == OK) & (log.attempts < judge.levels) & recorded
        judged = np.concatenate([passed, log.retried_status[:again] == ESCALATED])
        seconds = seconds + judge.seconds * judged
    slowdown = pool.column("slowdown")
    if (slowdown != 1).any():
        seconds *= slowdown[agent]
    if lost := int(log.losses[0]):  # second copies, and first ones that they made needless
        task = log.lost[:lost]
        agent = np.concatenate([agent, log.lost_agent[:lost]])
        arrived = np.concatenate([arrived, arrived[task]])
        decided = task[log.lost_attempt[:lost] + 1 == log.attempts[task]]
        seconds[decided] = (log.finished - log.left)[decided]  # the shorter of two
        seconds = np.concatenate([seconds, log.lost_ended[:lost] - log.lost_left[:lost]])
    calls, load = by_agent(agent, seconds, agents)
    up = _up(work.arrived[[0, -1]], pool, outages)[:, -1]
    slots, limit = pool.column("concurrency"), _limits(pool, calls)
    with np.errstate(divide="ignore", invalid="ignore"):  # always down: inf, or 0 if nothing sent
        by_slots, by_limit = load / (slots * up), calls * 60 / (limit * up)
        service = np.nan_to_num(load / calls)
    mean = np.nan_to_num(np.fmax(by_slots, by_limit), posinf=np.inf)
    return SentWork(agent, arrived, seconds, calls, service, mean, by_limit > by_slots)


def _change_speeds(
    seconds: Floats,
    agent: NDArray[np.integer],
    arrived: Floats,
    pool: AgentPool,
    changes: Sequence[Change],
) -> None:
    """Divide service times by the speed that the agent had when the task arrived."""
    for a, name in enumerate(pool.ids):
        mine = [(each.at, each.speed) for each in changes if each.agent == name and each.speed]
        if mine:
            at, speed = zip(*sorted(mine, key=lambda each: each[0]), strict=True)
            sent = agent == a
            since = np.searchsorted(np.array(at), arrived[sent], side="right")
            seconds[sent] /= np.array([1.0, *speed])[since]


def _limits(pool: AgentPool, calls: NDArray[np.intp]) -> Floats:
    """Calls a minute for which those of each agent wait: of an account's limit, its share of the
    calls; NaN where nothing waits for a limit."""
    limit = pool.column("requests_per_minute")
    limit[[agent.over_limit == "reject" for agent in pool]] = np.nan
    for members in map(list, pool.accounts.values()):
        limit[members] *= calls[members] / max(calls[members].sum(), 1)
    return limit


def offered_load(run: Run) -> OfferedLoad:
    """The load offered to each agent of a run whose tasks do not all arrive at once.

    The relative variance of a load is (c_a² + c_s²) / n for n calls, as that of a sum of n
    independent amounts of work in n independent gaps.

    A spell above capacity is a rise of the work that has come less the work that could have
    been done, by more than chance gives: the work in a queue with a steady state is above x
    with a probability of about exp(−θ x), θ = 2 (1 − ρ) / (ρ s (c_a² + c_s²)) for a mean
    service time s (Kingman's heavy-traffic bound, Kleinrock, *Queueing Systems* vol. 2, 1976,
    sec. 2.4), so that a rise counts from (log(1 + T θ/s) + log 1000) / θ on in a run of T
    seconds of work, and from the work of ten tasks. It ends where the difference has fallen
    by as much.
    """
    work, log, pool = run.work, run.log, run.pool
    begin, end, agents = float(work.arrived[0]), float(work.arrived[-1]), len(pool)
    sent = sent_work(run)
    agent, arrived, calls = sent.agent, sent.arrived, sent.calls
    service, mean, limited = sent.service, sent.mean, sent.limited & (calls > 0)
    cells = int(np.clip(agent.size // _TASKS, _FEWEST, _CELLS))
    up = _up(np.linspace(begin, end, cells + 1), pool, run.outages)
    slots, limit = pool.column("concurrency"), _limits(pool, calls)
    gaps = _squared_variation(arrived, agent, agents)
    lengths = np.where(limited, 0.0, _squared_work(sent, log, pool))
    variation = (gaps + lengths) / 2
    relative = np.sqrt(2 * variation / np.maximum(calls, 1))
    error = np.multiply(mean, relative, out=np.zeros(agents), where=relative > 0)  # inf times 0
    above, last = np.zeros(agents), np.zeros(agents)
    starts, came = in_cells(agent, arrived, sent.seconds, (begin, end), (agents, cells))
    if limited.any():
        came[limited] = starts[limited] * 60.0 / limit[limited, None]
    for a in np.flatnonzero(calls):
        unit = 60.0 / limit[a] if limited[a] else service[a]
        rate = 1.0 if limited[a] else float(slots[a])
        excess = np.concatenate([[0.0], came[a].cumsum()]) - rate * up[a]
        rise = _unlikely_rise(mean[a], error[a], variation[a], unit, rate * (end - begin))
        above[a], last[a] = rising(excess, max(rise, unit * max(10.0, rate)))
    return OfferedLoad(mean, error, variation, service, above, last)


def _up(edges: Floats, pool: AgentPool, outages: Sequence[Outage]) -> Floats:
    """Seconds for which each agent was up until each edge, shape (agents, edges)."""
    up = np.tile(edges - edges[0], (len(pool), 1))
    for outage in outages:
        down = np.clip(edges, outage.down, outage.up) - max(outage.down, edges[0])
        up[pool.index(outage.agent)] -= np.maximum(down, 0.0)
    return up


def _squared_variation(arrived: Floats, agent: NDArray[np.integer], agents: int) -> Floats:
    """The squared coefficient of variation of the gaps between each agent's calls."""
    if (arrived[1:] < arrived[:-1]).any():  # retries are listed after the others
        order = np.argsort(arrived, kind="stable")
        arrived, agent = arrived[order], agent[order]
    gaps, mean, variance = gap_moments(arrived, agent, agents).T
    varied = (gaps > 1) & (mean > 0)
    return np.divide(variance, mean**2, out=np.ones(agents), where=varied)


def _squared_work(sent: SentWork, log: Log, pool: AgentPool) -> Floats:
    """The squared coefficient of variation of each agent's work.

    That of the service times as they were; where calls share an agent's speed, these say how busy
    it was, and it is that of their means and of the law of the factor in them.
    """
    found = _squared_service(log, len(pool))
    for a, agent in enumerate(pool):
        if agent.sharing:
            mine = sent.seconds[sent.agent == a]
            means = (mine.std() / mine.mean()) ** 2 if mine.size and mine.mean() > 0 else 0.0
            noise = _NOISE.get(agent.service, agent.latency_cv**2)
            found[a] = (1 + means) * (1 + noise) - 1
    return found


def _squared_service(log: Log, agents: int) -> Floats:
    """The squared coefficient of variation of each agent's service times, as they were."""
    mean, square = mean_services(log, agents)[1:]
    return np.divide(
        np.maximum(square - mean**2, 0.0), mean**2, out=np.zeros(agents), where=mean > 0
    )


def mean_services(log: Log, agents: int) -> tuple[Floats, Floats, Floats]:
    """For each agent its calls, 1 at least, the mean of their seconds, and of the squares."""
    calls, took, square = served_moments(log, FAILED, agents).T
    calls = np.maximum(calls, 1)
    return calls, took / calls, square / calls


def _unlikely_rise(
    mean: float, error: float, variation: float, unit: float, length: float
) -> float:
    """Work by which a queue of this load, if it has a steady state, hardly ever rises."""
    load = min(mean, 1 - error)
    if not 0 < load < 1 or not math.isfinite(mean):
        return 0.0 if math.isinf(mean) else math.inf
    if variation == 0:
        return 0.0
    decay = (1 - load) / (load * unit * variation)
    return (math.log1p(length * decay) - math.log(RARE)) / decay
