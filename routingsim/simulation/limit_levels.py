"""The most that there ever was of what a limit bounds, and whether it was a limit.

Let U(t) be what the calls hold of a limit at t: slots, or the requests or tokens of a minute, and
M the most that it ever was after a start. A call that needs n of it could not have begun while
U > M - n, or M would be larger. Calls that would have begun then are missing: b T of them, where b
is the rate of starts near M and T the seconds at M, each weighed by the share of calls that need
too much. Without a limit none is missing with a probability of exp(-b T). So a limit is claimed
where :data:`MISSING` are or more, after :data:`VISITS` visits or more.

Calls may also have stopped coming, as those of a batch do. Where they are kept waiting, one begins
as soon as it has room; where they are sent away, calls fail at M, and not elsewhere. One of the two
must be seen, too.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MISSING = 10.0
"""Starts that are missing at the least, for a limit to be claimed."""
VISITS = 10
"""Times that the most has been reached, for a limit to be claimed."""
GRAIN = 0.002
"""Seconds by which recorded times overlap through rounding."""
_SOON = 0.1  # of the mean gap near the most: a start that soon has waited for room
_CHANCE = 1e-4  # with which as many starts would be that soon, or as many calls fail
_EXACT = 3 * GRAIN  # seconds after which a start surely did not wait for room

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Most:
    """The most that there was of something, and whether it was a limit.

    Attributes
    ----------
    level : int
        The most.
    seconds : float
        For how long a typical call would not have had room.
    visits : int
        How often that began, or how many calls began as soon as they had room, if these are more.
    missing : float
        Starts that would have been in that time without a limit.
    wanted : bool
        Whether calls were kept waiting meanwhile, or failed.
    short_of : float
        The least that was more than the limit: what a call that had to wait would have made it.
    """

    level: int
    seconds: float
    visits: int
    missing: float
    wanted: bool = True
    short_of: float = math.inf

    @property
    def binds(self) -> bool:
        """Whether it was a limit."""
        return self.missing >= MISSING and self.visits >= VISITS and self.wanted

    @property
    def roundest(self) -> int:
        """The number of the fewest digits from ``level`` to below ``short_of``."""
        for digits in range(len(str(self.level)) - 1, -1, -1):
            rounded = -(-self.level // 10**digits) * 10**digits
            if rounded < self.short_of < math.inf:
                return rounded
        return self.level

    def __str__(self) -> str:
        chance = math.exp(-self.missing)
        said = "below 1e-9" if chance < 1e-9 else f"{chance:.1g}"
        return (
            f"reached {self.visits:,} times, for {self.seconds:,.0f} s without a further start "
            f"(chance without a limit {said})"
        )


class Levels:
    """Starts and ends of the calls of one agent, on one grid of times.

    Parameters
    ----------
    begun : ndarray, shape (calls,)
        When calls began (s), sorted.
    refused : ndarray
        When calls began that failed (s), sorted.
    leaves : sequence of ndarray, shape (calls,) each
        When calls leave what :meth:`most` is asked for.
    """

    def __init__(self, begun: Floats, refused: Floats, *leaves: Floats) -> None:
        self.begun, self.refused = begun, refused
        self.times = np.unique(np.concatenate([begun, *leaves]))
        self.spent = np.append(np.diff(self.times), 0.0)
        started = _count(begun, self.times)
        self._started = np.diff(started, prepend=0)
        self._done = started

    def level(self, leave: Floats, need: Floats) -> Floats:
        """What the calls hold at each time of the grid, and until the next."""
        order = np.argsort(leave, kind="stable")
        gone = _sums(need[order])[_count(leave[order], self.times)]
        return _sums(need)[self._done] - gone

    def no_room(self, level: Floats, need: Floats) -> Floats:
        """The share of calls that had no room at each time, if the most was a limit."""
        return 1.0 - np.searchsorted(np.sort(need), level.max() - level, "right") / need.size

    def most(self, leave: Floats, need: Floats, counts: Mask | bool = True) -> Most:
        """The most of a level, and the starts that are missing there in the time that counts."""
        level = self.level(leave, need)
        most, full = level.max(), self.no_room(level, need)
        near = level + 2 * np.median(need) > most
        before = np.append(False, near[:-1])
        starts = int(self._started[before].sum())
        open_for = float((self.spent * (1.0 - full))[near].sum())
        closed_for = float((self.spent * full)[near & counts].sum())
        rate = starts / open_for if open_for > 0 else math.inf
        missing = rate * closed_for if starts and closed_for else 0.0
        at = full >= 0.5
        wanted, waited, short_of = self._waited(leave, need, float(most), rate)
        return Most(
            level=int(most),
            seconds=float(self.spent[at].sum()),
            visits=max(int((at & ~np.append(False, at[:-1])).sum()), waited),
            missing=float(missing),
            wanted=wanted or self._refused(full),
            short_of=short_of,
        )

    def _waited(
        self, leave: Floats, need: Floats, most: float, rate: float
    ) -> tuple[bool, int, float]:
        """Whether calls begin as soon as they have room; how many; the least that would be more.

        A call had no room after the start before it until enough had left.
        """
        order = np.argsort(leave, kind="stable")
        gone = _sums(need[order])
        lacking = np.cumsum(need)[:-1] + need[1:] - most
        place = np.searchsorted(gone, lacking)  # that many have left
        leave = leave[order]
        opened = np.where(lacking > 0, leave[np.maximum(place, 1) - 1], -np.inf)
        blocked = opened > self.begun[:-1]
        if not blocked.any() or not rate:
            return False, 0, math.inf
        late = (self.begun[1:] - opened)[blocked]
        soon = int((late <= max(_SOON / rate, _EXACT)).sum())
        sure = stats.binom.sf(soon - 1, late.size, _SOON) < _CHANCE
        exact = late <= _EXACT
        if not sure or not exact.any():
            return bool(sure), 0, math.inf
        before = gone[np.searchsorted(leave, opened[blocked])]
        short_of = float((lacking[blocked] + most - before)[exact].min())
        return True, int(exact.sum()), short_of

    def _refused(self, full: Floats) -> bool:
        """Whether calls fail where there is no room, and hardly elsewhere."""
        at = np.searchsorted(self.times, self.refused, side="right") - 1
        share = np.where(at >= 0, full[np.maximum(at, 0)], 0.0)
        lost, others = int((share >= 0.9).sum()), int((share < 0.5).sum())
        before = np.append(0.0, full[:-1])
        tried = lost + int(self._started[before >= 0.9].sum())
        base = (others + 1) / (others + int(self._started[before < 0.5].sum()) + 2)
        return lost >= VISITS and bool(stats.binom.sf(lost - 1, tried, base) < _CHANCE)


def _count(moments: Floats, times: Floats) -> NDArray[np.intp]:
    """How many of the moments, in order, are past at each time."""
    return np.searchsorted(moments, times, side="right")


def _sums(values: Floats) -> Floats:
    """Sums of the first 0, 1, 2, … values."""
    return np.append(0.0, np.cumsum(values))
