"""Whether waits and latencies of a run mean anything: the verdict to read before any percentile."""

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

__all__ = ["Stability", "stability"]

_EDGE = 0.95  # offered load from which waits are called unreliable
_GRID = 256  # cells in which a backlog is watched
_STEEP = 4.0  # t statistic from which a backlog is said to grow

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stability:
    """Whether waits and latencies of a run mean anything.

    ``offered`` is each agent's offered load after routing: work sent to it over what
    its slots can do in the time that it is up, or calls over what its limit per minute
    lets start, whichever is more. ``backlog_slope_t`` is the t statistic of the growth
    of tasks in the system over the second half of the arrivals. A closed loop is always
    stable: its users wait for answers.
    """

    verdict: Literal["stable", "at the edge", "overloaded"]
    offered: dict[str, float]
    backlog_slope_t: float

    def __str__(self) -> str:
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
    """The verdict on a run, from what was sent to each agent and what became of it.

    Overloaded is a run with an offered load of 1 or more; at the edge, one of 0.95 or
    more, or whose backlog has grown in the second half by more than 10 tasks and than
    there are slots, steadily (t above 4).
    """
    begin, end = float(work.arrived[0]), float(work.arrived[-1])
    offered, t, grew = np.zeros(len(pool)), 0.0, False
    if end > begin:
        offered = _offered(work, log, pool, outages, judge, begin, end)
        edges = np.linspace(begin, end, _GRID + 1)
        came, went = (np.histogram(x, edges)[0].cumsum() for x in (work.arrived, log.finished))
        backlog = (came - went)[_GRID // 2 :]
        t = slope_t(backlog)
        grew = backlog[-1] - backlog[0] > max(10.0, pool.column("concurrency").sum())
    worst = float(offered.max())
    verdict: Literal["stable", "at the edge", "overloaded"] = "stable"
    if not closed:
        if worst >= 1.0:
            verdict = "overloaded"
        elif worst >= _EDGE or (t > _STEEP and grew):
            verdict = "at the edge"
    return Stability(verdict, dict(zip(pool.ids, offered.tolist(), strict=True)), t)


def _offered(
    work: Workload,
    log: Log,
    pool: AgentPool,
    outages: Sequence[Outage],
    judge: Judge | None,
    begin: float,
    end: float,
) -> Floats:
    """Offered load of each agent, shape (agents,)."""
    again = slice(int(log.retries[0]))
    retried, retried_agent = log.retried[again], log.retried_agent[again]
    load = _seconds(work, work.row, log.agent, len(pool))
    load += _seconds(work, work.row[retried], retried_agent, len(pool))
    if judge is not None and judge.seconds:
        load += judge.seconds * _verdicts(work, log, judge, len(pool))

    up = np.full(len(pool), end - begin)
    for outage in outages:
        lost = min(outage.up, end) - max(outage.down, begin)
        up[pool.index(outage.agent)] -= max(lost, 0.0)
    slots, limit = pool.column("concurrency"), pool.column("requests_per_minute")
    calls = _count(log.agent, len(pool)) + _count(retried_agent, len(pool))
    with np.errstate(divide="ignore", invalid="ignore"):  # down all the time: inf, or nothing sent
        return np.nan_to_num(np.fmax(load / (slots * up), calls * 60 / (limit * up)), posinf=np.inf)


def _seconds(
    work: Workload, row: NDArray[np.int32], agent: NDArray[np.int16], agents: int
) -> Floats:
    """Mean seconds that these calls take, summed by agent."""
    return np.bincount(agent, weights=work.service[row, agent], minlength=agents).astype(float)


def _count(agent: NDArray[np.int16], agents: int) -> NDArray[np.intp]:
    return np.bincount(agent, minlength=agents)


def _verdicts(work: Workload, log: Log, judge: Judge, agents: int) -> NDArray[np.intp]:
    """How many answers of each agent a cascade's judge looked at, in the agent's slots."""
    again = slice(int(log.retries[0]))
    sent_on = log.retried_agent[again][log.retried_status[again] == REJECTED]
    known = ~np.isnan(work.quality[work.row, log.agent])
    passed = (log.status == OK) & (log.attempts < judge.levels) & known
    return _count(sent_on, agents) + _count(log.agent[passed], agents)
