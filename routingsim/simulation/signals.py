"""What several routers of one pool know of its load: their own calls, and late those of others.

Each task comes to one of the routers, drawn with the same chance for each, and all its tries
are sent by that one. A router counts its own calls that it has sent and that have not ended; it
sees those of the others ``signal_delay`` seconds late. It cannot tell which calls wait, so
of all that it knows of at an agent as many are in service as there are slots.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from routingsim import rng
from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.compiling import called, inlined, lesser
from routingsim.simulation.events import NEWS, NEWS_FIRST

_MOST_ROUTERS = 10_000


@dataclass(frozen=True)
class Signals:
    """How many routers share a pool, and how late they see each other's calls.

    Parameters
    ----------
    delay : float
        Seconds until a router sees a call of another, and its end.
    routers : int
        Routers, 1 to 10,000.

    Raises
    ------
    SimulationError
        If a number is out of its range.
    """

    delay: float = 0.0
    routers: int = 1

    def __post_init__(self) -> None:
        if not (is_finite(self.delay) and self.delay >= 0):
            raise SimulationError(
                f"signal_delay={self.delay!r}: seconds are needed, 0 or more and finite"
            )
        if not (is_whole(self.routers) and 1 <= self.routers <= _MOST_ROUTERS):
            raise SimulationError(
                f"routers={self.routers!r}: a whole number from 1 to {_MOST_ROUTERS:,} is needed"
            )

    def arguments(self) -> dict[str, Any]:
        """What differs from the defaults, as arguments of :func:`routingsim.replay`."""
        given = {"signal_delay": self.delay, "routers": self.routers}
        return {name: value for name, value in given.items() if value != _PLAIN[name]}


_PLAIN = {"signal_delay": 0.0, "routers": 1}

AT_ONCE = Signals()
"""One router, which sees every call at once."""


@inlined
def are_stale(rules):
    """Whether routers see any call late."""
    return rules.routers > 1 and rules.signal_delay > 0.0


@inlined
def router_of(rules, keys, i):
    """The router to which task ``i`` comes."""
    return np.int64(rng.uniform(keys.router, i, 0) * rules.routers)


@called
def send_news(s, rules, keys, i, a, change, now):
    """Count one call of task ``i`` at agent ``a`` more or less; other routers see it later."""
    who = router_of(rules, keys, i) * s.late.size + a
    s.own[who] += change
    k = (s.counters[NEWS_FIRST] + s.counters[NEWS]) % s.news_at.size
    s.news_at[k], s.news[k] = now + rules.signal_delay, 2 * who + (change > 0)
    s.counters[NEWS] += 1


@called
def show_signals(s, rules, keys, i, now):
    """Show policies what the router of task ``i`` knows."""
    m = s.late.size
    first, count = s.counters[NEWS_FIRST], s.counters[NEWS]
    while count and s.news_at[first] <= now:
        who, change = s.news[first] >> 1, 2 * (s.news[first] & 1) - 1
        s.late[who % m] += change
        s.late_own[who] += change
        first, count = (first + 1) % s.news_at.size, count - 1
    s.counters[NEWS_FIRST], s.counters[NEWS] = first, count
    mine = router_of(rules, keys, i) * m
    for a in range(m):
        agent = s.agents[a]
        known = s.own[mine + a] + s.late[a] - s.late_own[mine + a]
        s.busy[a] = lesser(known, agent.slots)
        s.queued[a] = known - s.busy[a]
        s.wait[a] = 0.0
        if known >= agent.slots:
            s.wait[a] = (s.queued[a] + 1) * agent.mean_service / agent.slots
        if agent.sharing > 0.0:
            s.speed[a] = 1.0 / (1.0 + agent.sharing * lesser(s.busy[a], agent.slots - 1))
