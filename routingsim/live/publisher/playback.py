"""Playing recorded or simulated messages to a publisher at the times meant for them."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from routingsim.errors import RoutingSimError
from routingsim.live.publisher.redis import PublisherStats
from routingsim.messages import AgentStatus, Body, ReplayProgress, RoutingDecision

__all__ = ["Pace", "Played", "Recipient", "check_pace", "play"]

SLICE = 1_000
"""Overdue messages handed over before the publisher is given time to send them."""

FLUSH_SECONDS = 5.0
"""Seconds to wait at the end for the last messages to go out."""

GLANCE = 0.1
"""Seconds between reports of progress while nothing is due."""


class Recipient(Protocol):
    """What pacing needs of a publisher; ``RedisPublisher`` and ``MemoryPublisher`` have it."""

    def publish_routing_decision(self, decision: RoutingDecision) -> None: ...

    def publish_agent_status(self, status: AgentStatus) -> None: ...

    def publish_replay_progress(self, progress: ReplayProgress) -> None: ...

    @property
    def is_connected(self) -> bool: ...

    def flush(self, timeout: float | None = None) -> bool: ...

    def stats(self) -> PublisherStats: ...


class Pace(Protocol):
    """How to wait and when to give up: the part of :class:`threading.Event` that is used."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


def check_pace(speed: float, start: float) -> None:
    """Refuse a speed or a start at which nothing can be played.

    Raises
    ------
    RoutingSimError
        If ``speed`` is not above 0, or one of them is not finite.
    """
    if not (math.isfinite(speed) and speed > 0):
        raise RoutingSimError(f"speed={speed!r}: must be a finite number above 0")
    if not math.isfinite(start):
        raise RoutingSimError(f"start={start!r}: must be a finite number of seconds")


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a playing.

    Attributes
    ----------
    messages
        Messages handed to the publisher, those on the progress among them.
    seconds
        Wall-clock seconds it took.
    lag_mean, lag_max
        Seconds from the time meant for a message to its handing over.
    undelivered
        Messages that the server has not confirmed: dropped, or still waiting at the end.
    finished
        Whether all was played, rather than stopped before.
    """

    messages: int
    seconds: float
    lag_mean: float
    lag_max: float
    undelivered: int
    finished: bool


def play(
    timed: Iterable[tuple[float, Body]],
    publisher: Recipient,
    *,
    speed: float = 1.0,
    start: float = 0.0,
    title: str = "",
    end: float | None = None,
    progress: Callable[[float, int], object] | None = None,
    stop: Pace | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Played:
    """Publish each message when its time has come.

    Times are counted from one beginning, so that delays do not add up. What is overdue goes
    out at once. Each message gets the wall-clock time meant for it as its ``timestamp``.

    Parameters
    ----------
    timed
        Pairs of a time in seconds and a message, in order of time; may be a generator.
    publisher
        Where to.
    speed
        Seconds of ``timed`` to play in one second.
    start
        Where in ``timed`` to begin, in seconds. What comes before is left out, except for
        the latest status of each agent.
    title
        What this is, in words. Pages then say that they show it, and how far it is and
        how much it lags: they are told on the channel ``replay:progress`` once a second.
    end
        Length of ``timed`` in seconds, where it is known, to be told them as well.
    progress
        Called about ten times a second, with the time reached in ``timed`` and the number
        of messages handed over.
    stop
        A :class:`threading.Event`; playing ends soon after it is set.
    clock
        Seconds, from any beginning.

    Raises
    ------
    RoutingSimError
        If the times are not in order, or ``speed`` or ``start`` make no sense.

    Examples
    --------
    >>> from routingsim.live import MemoryPublisher
    >>> play([], MemoryPublisher()).messages
    0
    """
    check_pace(speed, start)
    timed = _from(start, timed)
    if title:
        timed = _announced(timed, ReplayProgress(title, start, end, speed, 0.0, False, 0))
    stop = threading.Event() if stop is None else stop
    lost_before = _lost(publisher.stats())
    rest = iter(timed)
    first = list(itertools.islice(rest, 1))  # it may take a while to make: not on our clock
    began, epoch = clock(), time.time()
    sent, lags, lag_max, overdue = 0, 0.0, 0.0, 0
    reached, reported = start, -math.inf
    finished = False

    def report(at: float) -> None:
        nonlocal reached, reported
        reached = at
        if progress is not None and (now := clock()) - reported >= GLANCE:
            reported = now
            progress(at, sent)

    for at, body in itertools.chain(first, rest):
        due = (at - start) / speed
        while (left := began + due - clock()) > 0 and not stop.is_set():
            overdue = 0
            report(start + (clock() - began) * speed)
            stop.wait(min(left, GLANCE))
        if stop.is_set():
            break
        lag = -left
        stamp = round((epoch + due) * 1000)
        _publish(msgspec.structs.replace(body, timestamp=stamp), publisher, lag)
        sent, reached = sent + 1, at
        lags += lag
        lag_max = max(lag_max, lag)
        overdue += 1
        if overdue % SLICE == 0:
            report(at)
            # Too fast for the server: better late than dropped. Not if there is none.
            if publisher.is_connected:
                publisher.flush(1.0)
    else:
        finished = True
    if progress is not None:
        progress(reached, sent)
    if sent:
        publisher.flush(FLUSH_SECONDS)
    stats = publisher.stats()
    return Played(
        messages=sent,
        seconds=clock() - began,
        lag_mean=lags / sent if sent else 0.0,
        lag_max=lag_max,
        # What an earlier play has left in the buffer is not counted again.
        undelivered=max(0, _lost(stats) - lost_before),
        finished=finished,
    )


def _publish(body: Body, publisher: Recipient, lag: float) -> None:
    if isinstance(body, RoutingDecision):
        publisher.publish_routing_decision(body)
    elif isinstance(body, AgentStatus):
        publisher.publish_agent_status(body)
    else:
        publisher.publish_replay_progress(msgspec.structs.replace(body, lag=lag))


def _from(start: float, timed: Iterable[tuple[float, Body]]) -> Iterable[tuple[float, Body]]:
    """What to play from ``start``, the agents' states there first."""
    states: dict[str, AgentStatus] = {}
    last = -math.inf
    for number, (at, body) in enumerate(timed, start=1):
        if not last <= at < math.inf:
            raise RoutingSimError(
                f"message {number} is meant for {at!r} s, the one before for {last!r} s: "
                "times must be finite and in order"
            )
        last = at
        if at < start:
            if isinstance(body, AgentStatus):
                states[body.agent_id] = body
            continue
        yield from ((start, state) for state in states.values())
        states.clear()
        yield at, body
    yield from ((start, state) for state in states.values())


def _announced(
    timed: Iterable[tuple[float, Body]], word: ReplayProgress
) -> Iterable[tuple[float, Body]]:
    """``timed`` with a word on how far it is at its beginning, each second, and at its end."""
    due = at = word.at
    for at, body in timed:
        while due <= at:
            yield due, msgspec.structs.replace(word, at=due)
            due += word.speed
        yield at, body
    yield at, msgspec.structs.replace(word, at=at, over=True)


def _lost(stats: PublisherStats) -> int:
    return stats.dropped + stats.undelivered + stats.buffered
