"""Concurrency and limits of an agent, as far as a log shows them.

Let N(t) be the number of calls under way, and M the most that there ever were. Calls that would
have begun while N = M did not, or M would be larger. If calls came at M as often as they came
at M - 1, then b T of them are missing, where b is the rate of starts at M - 1 and T the seconds
spent at M; without a limit none is missing with a probability of exp(-b T). So a limit is claimed
where at least :data:`MISSING` are, after :data:`VISITS` visits of M.

The same holds of the calls that began in the last 60 seconds, and a limit of requests per minute.
Time in which both are at their most is evidence of neither.

A log cannot tell an agent's limit from a client that sends no more at once.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.statuses import CACHED, OK, TIMED_OUT
from routingsim.simulation.state import MINUTE

MISSING = 10.0
"""Starts that are missing at the least, for a limit to be claimed."""
VISITS = 10
"""Times that the most has been reached, for a limit to be claimed."""
FEWEST = 30  # calls with times
ROOM = 4  # times the largest overlap: slots where no limit shows
GRAIN = 0.002  # seconds by which recorded times overlap through rounding
EVEN = 0.3  # coefficient of variation of gaps below which starts are a clock's
LIKE = 0.05  # share by which a limit a minute may differ from what the slots serve in one
CROWDED = 0.3  # rank correlation of latency and calls under way from which waits are likely

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Most:
    """The most that there was of something, and whether it was a limit.

    Attributes
    ----------
    level : int
        The most.
    seconds : float
        For how long it was so, in all.
    visits : int
        How often it was reached.
    missing : float
        Starts that would have been in that time without a limit.
    """

    level: int
    seconds: float
    visits: int
    missing: float

    @property
    def binds(self) -> bool:
        """Whether it was a limit."""
        return self.missing >= MISSING and self.visits >= VISITS

    def __str__(self) -> str:
        chance = math.exp(-self.missing)
        said = "below 1e-9" if chance < 1e-9 else f"{chance:.1g}"
        return (
            f"reached {self.visits:,} times, for {self.seconds:,.0f} s without a further start "
            f"(chance without a limit {said})"
        )


@dataclass(frozen=True)
class LimitFit:
    """What a log shows of the limits of one agent.

    Attributes
    ----------
    at_once, in_a_minute : Most
        Of calls under way, and of starts in 60 seconds.
    crowding : float
        Rank correlation of latency with the calls under way at the start; NaN if not known.
    """

    at_once: Most
    in_a_minute: Most
    crowding: float

    @property
    def fields(self) -> dict[str, int]:
        """As fields of an agent: slots, and the limit where there is one."""
        slots = self.at_once.level if self.at_once.binds else ROOM * self.at_once.level
        found = {"concurrency": slots}
        if self.in_a_minute.binds:
            found["requests_per_minute"] = self.in_a_minute.level
        return found

    @property
    def comments(self) -> dict[str, str]:
        """What an agents file says beside these fields."""
        once, minute = self.at_once, self.in_a_minute
        if once.binds:
            slots = f"inferred: the most calls at once, {once}; or a client that sends no more"
        else:
            slots = (
                f"assumed: the log shows no limit; at most {once.level:,} calls at once, and "
                f"{ROOM} times as many slots, so that few wait"
            )
        said = {"concurrency": slots}
        if minute.binds:
            said["requests_per_minute"] = f"inferred: the most starts in any 60 s, {minute}"
        return said

    @property
    def notes(self) -> list[str]:
        """What to mind: latencies that seem to include waits."""
        if not self.crowding > CROWDED:
            return []
        return [
            "latency rises with the number of calls under way (rank correlation "
            f"{self.crowding:.2f}): it seems to include waits at the provider, which the fit takes "
            "for service"
        ]


def fit_limits(log: CallLog) -> LimitFit | None:
    """What a log shows of the limits of one agent; None without times of enough calls.

    Parameters
    ----------
    log : CallLog
        Of calls of one agent. Their ``arrived_at`` is taken for their start.
    """
    served = (log.statuses == OK) | (log.statuses == TIMED_OUT)
    if "status" not in log.columns:
        served = log.statuses != CACHED
    begun, latency = log.numbers("arrived_at"), log.numbers("latency")
    known = served & np.isfinite(begun + latency)
    if known.sum() < FEWEST:
        return None
    order = np.argsort(begun[known], kind="stable")
    begun, latency = begun[known][order], latency[known][order]
    ends = np.sort(begun + np.maximum(latency - GRAIN, 0.9 * latency))
    leave = begun + MINUTE - GRAIN
    times = np.unique(np.concatenate([begun, ends, leave]))
    under_way = _count(begun, times) - _count(ends, times)
    recent = _count(begun, times) - _count(leave, times)
    spent = np.append(np.diff(times), 0.0)
    started = np.diff(_count(begun, times), prepend=0)
    busy, full = under_way == under_way.max(), recent == recent.max()
    once = _most(under_way, spent, started, ~full)
    minute = _most(recent, spent, started, ~busy)
    if not once.binds and not minute.binds:  # at their most together: what explains the other?
        both_once, both_minute = (_most(x, spent, started, True) for x in (under_way, recent))
        if both_once.binds and both_minute.binds:
            by_slots = MINUTE * both_once.level / float(latency.mean())
            if abs(both_minute.level / by_slots - 1.0) <= LIKE:
                once = both_once
            elif both_minute.level < by_slots:
                minute = both_minute
        elif both_once.binds:
            once = both_once
    gaps = np.diff(begun)
    if gaps.std() < EVEN * gaps.mean():  # a clock's: they would be so without any limit
        once, minute = (Most(each.level, each.seconds, each.visits, 0.0) for each in (once, minute))
    others = under_way[np.searchsorted(times, begun)] - 1
    varied = np.ptp(others) > 0 and np.ptp(latency) > 0
    ranks = [stats.rankdata(each) for each in (others, latency)]
    crowding = float(np.corrcoef(*ranks)[0, 1]) if varied else np.nan
    return LimitFit(once, minute, crowding)


def _count(moments: Floats, times: Floats) -> NDArray[np.int64]:
    """How many of the moments, in order, are past at each time."""
    return np.searchsorted(moments, times, side="right")


def _most(
    level: NDArray[np.int64],
    spent: Floats,
    started: NDArray[np.int64],
    counts: NDArray[np.bool_] | bool,
) -> Most:
    """The most of a level, and the starts that are missing at it in the time that counts."""
    most = int(level.max())
    at, below = level == most, level == most - 1
    visits = int((at & (started > 0)).sum())
    seconds, before = float(spent[at & counts].sum()), float(spent[below].sum())
    missing = visits * seconds / before if before > 0 else (np.inf if seconds and visits else 0.0)
    return Most(most, float(spent[at].sum()), visits, float(missing))
