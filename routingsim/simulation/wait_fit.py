"""Waits for slots that recorded latencies include: a queue at the provider.

If an agent serves c calls at once, first come, first served, call k begins when it has come and
fewer than c of the calls before it are left. All ends are recorded, so that for each c the starts
follow, and with them the service times; and since a service time does not depend on what came
before, the likelihood of the log under c is the product of their densities: lognormal, about a
mean for each length of answers. The likeliest c is claimed where it is much likelier than no
queue, with speeds that may drift; hardly a call ends before it could have begun; and service times
no longer grow with the calls under way.
"""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.statuses import CACHED, OK

CROWDED = 0.3
"""Rank correlation of latency and calls under way from which waits are likely."""
LOOKED = 0.1
"""Rank correlation from which slots are looked for, and which is to be gone without the waits."""
GAIN = 20.0
"""Logarithms by which a queue must be likelier than none."""
GAIN_A_CALL = 0.1  # by which it must be likelier for each call that waits
FEWEST = 100  # calls
MOST = 20_000  # calls that are looked at
EARLY = 0.002  # share of calls that may end before they could have begun
WAITED = 0.01  # share of calls that must have waited
NEARBY = (3, 10)  # calls to either side by which speeds may drift without a queue
BY_LENGTH = 30  # groups of like answers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WaitFit:
    """Slots for which the calls of an agent waited, by their latencies.

    Attributes
    ----------
    slots : int
        The likeliest number.
    low, high : int
        Those that are hardly less likely, by two logarithms.
    gain : float
        Logarithms by which the log is likelier than without waits.
    waited : float
        Share of calls that waited.
    wait : float
        Mean seconds of a wait, of those that waited.
    """

    slots: int
    low: int
    high: int
    gain: float
    waited: float
    wait: float

    def __str__(self) -> str:
        span = f"{self.low} to {self.high}" if self.high > self.low else "no other number"
        return (
            f"{self.waited:.0%} of the calls waited {self.wait:.3g} s on average in their "
            f"latencies, first come, first served ({span} as likely; without a queue the log is "
            f"less likely by a factor of e^{self.gain:,.0f})"
        )


def crowding(begun: Floats, latency: Floats) -> float:
    """Rank correlation of latency with the calls under way at the start; NaN if not known."""
    ended = np.searchsorted(np.sort(begun + latency), begun, side="right")
    others = np.arange(begun.size) - ended
    if np.ptp(others) == 0 or np.ptp(latency) == 0:
        return math.nan
    return float(np.corrcoef(stats.rankdata(others), stats.rankdata(latency))[0, 1])


def fit_waits(
    arrived: Floats, latency: Floats, tokens: Floats, answered: NDArray[np.bool_]
) -> WaitFit | None:
    """The slots for which calls waited; None where the log does not show any.

    Parameters
    ----------
    arrived, latency : ndarray, shape (calls,)
        Seconds, in the order of arrival.
    tokens : ndarray, shape (calls,)
        Of the answers; NaN where not known.
    answered : ndarray of bool, shape (calls,)
    """
    size = arrived.size
    whole = crowding(arrived, latency)
    if size < FEWEST or not whole > LOOKED:
        return None
    part = _busiest(arrived, latency)
    arrived, latency, tokens = arrived[part], latency[part], tokens[part]
    answered = answered[part]
    busy = np.arange(arrived.size) - np.searchsorted(np.sort(arrived + latency), arrived, "right")
    group = _groups(tokens)
    times, groups = latency[answered], group[answered]
    none = max(_likelihood(times, groups, nearby) for nearby in (0, *NEARBY))
    found: dict[int, float] = {}
    for slots in _candidates(int(busy.max())):
        wait, early = waits(arrived, latency, answered, slots)
        if early <= EARLY * arrived.size:
            found[slots] = _likelihood((latency - wait)[answered], group[answered])
    if not found:
        return None
    slots = max(found, key=found.__getitem__)
    for each in {*range(slots - slots // 12, slots + slots // 12 + 1)} - found.keys():
        wait, early = waits(arrived, latency, answered, each)
        if early <= EARLY * arrived.size:
            found[each] = _likelihood((latency - wait)[answered], group[answered])
    slots = max(found, key=found.__getitem__)
    wait, _ = waits(arrived, latency, answered, slots)
    waited, gain = wait > 0, found[slots] - none
    left = crowding(arrived, latency - wait)
    if (
        gain < max(GAIN, GAIN_A_CALL * waited.sum())
        or waited.mean() < WAITED
        or left > max(LOOKED, whole / 3)
    ):
        return None
    alike = [each for each, value in found.items() if value > found[slots] - 2.0]
    return WaitFit(
        slots, min(alike), max(alike), gain, float(waited.mean()), float(wait[waited].mean())
    )


def waits(
    arrived: Floats, latency: Floats, answered: NDArray[np.bool_], slots: int
) -> tuple[Floats, int]:
    """Seconds that calls waited for one of ``slots``, and how many ended before they could begin.

    Calls are in the order of arrival. One that failed before it could have begun held no slot.
    """
    free = [-math.inf] * slots
    found = np.zeros(arrived.size)
    early = 0
    columns = (arrived.tolist(), (arrived + latency).tolist(), answered.tolist())
    for k, (came, ended, good) in enumerate(zip(*columns, strict=True)):
        if free[0] <= came:
            heapq.heapreplace(free, ended)
        elif free[0] < ended:
            found[k] = free[0] - came
            heapq.heapreplace(free, ended)
        else:
            early += good
    return found, early


def without_waits(log: CallLog, slots: Mapping[str, int]) -> CallLog:
    """The log with the waits for these agents' slots taken off latencies and first tokens."""
    if not slots:
        return log
    calls = log.calls
    latency, ttft = log.numbers("latency").copy(), log.numbers("ttft").copy()
    names, arrived = log.names("agent"), log.numbers("arrived_at")
    held = (latency > 0) & (log.statuses != CACHED)
    for name, count in slots.items():
        mine = np.flatnonzero((names == name) & held)
        wait, _ = waits(arrived[mine], latency[mine], log.statuses[mine] == OK, count)
        latency[mine] -= wait
        ttft[mine] -= wait
    ttft = np.where(ttft > 0, ttft, np.nan)
    return replace(log, _calls=calls.assign(latency=latency, ttft=ttft))


_EVERY = 24  # slots up to which every number is tried


def _candidates(most: int) -> list[int]:
    """Numbers of slots to try: all small ones, then each a twelfth larger than the last."""
    found = list(range(1, min(most, _EVERY) + 1))
    while found[-1] < most:
        found.append(math.ceil(found[-1] * 13 / 12))
    return found


def _busiest(arrived: Floats, latency: Floats) -> slice:
    """Where the calls in a row are that have the most under way, if there are many."""
    if arrived.size <= MOST:
        return slice(None)
    busy = np.arange(arrived.size) - np.searchsorted(np.sort(arrived + latency), arrived, "right")
    sums = np.append(0, np.cumsum(busy))
    first = int(np.argmax(sums[MOST:] - sums[:-MOST]))
    return slice(first, first + MOST)


def _groups(tokens: Floats) -> NDArray[np.intp]:
    """Groups of calls with answers of like lengths; those of unknown length are one."""
    known = np.isfinite(tokens)
    found = np.zeros(tokens.size, np.intp)
    if known.any():
        edges = np.unique(np.quantile(tokens[known], np.linspace(0, 1, BY_LENGTH + 1)[1:-1]))
        found[known] = 1 + np.searchsorted(edges, tokens[known], side="right")
    return found


def _likelihood(service: Floats, group: NDArray[np.intp], nearby: int = 0) -> float:
    """Logarithm of the likelihood of lognormal times about a mean for each group.

    With ``nearby``, the mean moves with those of so many calls before and after each.
    """
    logs = np.log(np.maximum(service, 1e-4))
    counts = np.maximum(np.bincount(group), 1)
    rest = logs - (np.bincount(group, logs) / counts)[group]
    if nearby:
        others = np.ones(2 * nearby + 1)
        others[nearby] = 0.0
        number = np.convolve(np.ones(rest.size), others, "same")
        rest = rest - np.convolve(rest, others, "same") / number
    variance = max(float(np.square(rest).mean()), 1e-6)
    return -0.5 * logs.size * math.log(variance) - float(logs.sum())
