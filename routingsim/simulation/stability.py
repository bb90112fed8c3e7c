"""Whether a run was stable, so that its waits and latencies do not depend on its length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.policies.kernel import OK
from routingsim.policies.policy import Judge
from routingsim.simulation.faults import Outage
from routingsim.simulation.state import REJECTED, Log, Workload
from routingsim.simulation.statistics import slope_t

_EDGE = 0.95  # offered load from which waits are called unreliable
_GRID = 256  # points in time at which the backlog is measured
_STEEP = 4.0  # t statistic above which the backlog is said to grow

Verdict = Literal["stable", "at the edge", "overloaded", "no rate"]


@dataclass(frozen=True)
class Stability:
    """Whether waits and latencies of a run mean anything; read it before any percentile.

    Attributes
    ----------
    verdict : {"stable", "at the edge", "overloaded", "no rate"}
        A closed loop is always stable, as its users wait for answers. Where the arrivals
        are a batch, no rate can be told.
    offered : dict of str to float
        Offered load of each agent after routing: the work sent to it over what its slots
        can do while it is up, or the calls over what its limit per minute allows,
        whichever is higher. NaN where no rate can be told.
    backlog_slope_t : float
        t statistic of the slope of the number of tasks in the system, over the second
        half of the arrivals; NaN where no rate can be told.
    reason : str
        Why no rate can be told; "" where one can.
    """

    verdict: Verdict
    offered: dict[str, float]
    backlog_slope_t: float
    reason: str = ""

    def __str__(self) -> str:
        if self.verdict == "no rate":
            return (
                f"no rate can be told: {self.reason}; waits depend on how many come together, read "
                "percentiles with care"
            )
        worst = max(self.offered, key=lambda agent: self.offered[agent])
        load = self.offered[worst]
        shown = f"{load:.2f}" if load < 1000 else f"{load:.3g}"
        said = f"{self.verdict}: highest offered load {shown} ({worst})"
        if self.verdict == "stable":
            return said
        if self.verdict == "at the edge":
            return f"{said}; waits depend on the length of the run, read percentiles with care"
        return f"{said}; queues grow or tasks are lost, percentiles say how long the run was"


def stability(
    work: Workload,
    log: Log,
    pool: AgentPool,
    outages: Sequence[Outage] = (),
    judge: Judge | None = None,
    *,
    closed: bool = False,
) -> Stability:
    """The verdict on a run.

    A run is overloaded if an agent's offered load is 1 or more. It is at the edge if one
    is 0.95 or more, or if the backlog grew steadily (t above 4) over the second half of
    the arrivals, by more than 10 tasks and by more than the number of slots.

    No rate can be told, unless the run is overloaded, if fewer than three different times
    of arrival are there, if more than half of the tasks arrive at one time, or if all
    arrive within the mean service time of a call: the work of a batch over the time in which
    it came is no load.

    Parameters
    ----------
    work, log
        Input and output of the engine.
    pool, outages, judge
        The agents, when they were down, and the judge of a cascade, if any.
    closed : bool
        Whether the arrivals came from a closed loop.
    """
    begin, end, agents = float(work.arrived[0]), float(work.arrived[-1]), len(pool)
    if end == begin:
        return _no_rate(pool, _batch(work.arrived, 0.0))
    again = slice(log.retries[0])
    agent = np.concatenate([log.agent, log.retried_agent[again]])
    row = np.concatenate([work.row, work.row[log.retried[again]]])
    calls = np.bincount(agent, minlength=agents)
    load = np.bincount(agent, weights=work.service[row, agent], minlength=agents)
    if judge is not None:
        rejected = log.retried_status[again] == REJECTED
        recorded = ~np.isnan(work.quality[work.row, log.agent])
        passed = (log.status == OK) & (log.attempts < judge.levels) & recorded
        judged = np.concatenate([log.retried_agent[again][rejected], log.agent[passed]])
        load += judge.seconds * np.bincount(judged, minlength=agents)
    batch = "" if closed else _batch(work.arrived, load.sum() / calls.sum())
    up = np.full(agents, end - begin)
    for outage in outages:
        lost = min(outage.up, end) - max(outage.down, begin)
        up[pool.index(outage.agent)] -= max(lost, 0.0)
    slots, limit = pool.column("concurrency"), pool.column("requests_per_minute")
    with np.errstate(divide="ignore", invalid="ignore"):  # always down: inf, or 0 if nothing sent
        shares = np.fmax(load / (slots * up), calls * 60 / (limit * up))
    offered = np.nan_to_num(shares, posinf=np.inf)

    edges = np.linspace(begin, end, _GRID + 1)
    came, went = (np.histogram(x, edges)[0].cumsum() for x in (work.arrived, log.finished))
    backlog = (came - went)[_GRID // 2 :]
    t = slope_t(backlog)
    grew = backlog[-1] - backlog[0] > max(10.0, slots.sum())
    worst = float(offered.max())
    verdict: Verdict = "stable"
    if not closed:
        if worst >= 1.0:
            verdict = "overloaded"
        elif batch:
            return _no_rate(pool, batch)
        elif worst >= _EDGE or (t > _STEEP and grew):
            verdict = "at the edge"
    return Stability(verdict, dict(zip(pool.ids, offered.tolist(), strict=True)), t)


def _no_rate(pool: AgentPool, reason: str) -> Stability:
    return Stability("no rate", dict.fromkeys(pool.ids, math.nan), math.nan, reason)


def _batch(arrived: NDArray[np.float64], service: float) -> str:
    """Why no rate can be told from these times of arrival, in order; "" if one can."""
    tasks, span = arrived.size, float(arrived[-1] - arrived[0])
    if tasks == 1:
        return "there is one task"
    if span == 0:
        return f"all {tasks:,} tasks arrive at the same time"
    times, together = np.unique(arrived, return_counts=True)
    if times.size == 2:
        return f"the {tasks:,} tasks arrive at two times"
    most = int(together.max())
    if most > tasks / 2:
        return f"{most:,} of {tasks:,} tasks arrive at the same time"
    if span < service:
        return (
            f"all {tasks:,} tasks arrive within {span:.3g} s, and a call takes {service:.3g} s on "
            "average"
        )
    return ""
