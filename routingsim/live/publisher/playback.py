"""Publishes recorded or simulated messages at their scheduled times."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from routingsim.errors import RoutingSimError
from routingsim.live.publisher.base import BasePublisher, PublisherStats
from routingsim.messages import AgentStatus, Body, ReplayProgress

SLICE = 1_000
"""Overdue messages to publish before waiting for the publisher to send them."""

FLUSH_SECONDS = 5.0
"""Seconds to wait at the end for the last messages to be sent."""

GLANCE = 0.1
"""Seconds between reports of progress while nothing is due."""


def check_pace(speed: float, start: float) -> None:
    """Raise RoutingSimError if ``speed`` is not above 0, or one of them is not finite."""
    if not (math.isfinite(speed) and speed > 0):
        raise RoutingSimError(f"speed={speed!r}: must be a finite number above 0")
    if not math.isfinite(start):
        raise RoutingSimError(f"start={start!r}: must be a finite number of seconds")


@dataclass(frozen=True, slots=True)
class Played:
    """Figures of a playback.

    Attributes
    ----------
    messages
        Messages handed to the publisher, progress messages included.
    seconds
        Wall-clock seconds.
    lag_mean, lag_max
        Seconds by which messages were handed over after their scheduled times.
    undelivered
        Messages that the server has not confirmed: dropped, or still waiting at the end.
    finished
        Whether all messages were played; False if it was stopped before.
    """

    messages: int
    seconds: float
    lag_mean: float
    lag_max: float
    undelivered: int
    finished: bool


def play(
    timed: Iterable[tuple[float, Body]],
    publisher: BasePublisher,
    *,
    speed: float = 1.0,
    start: float = 0.0,
    title: str = "",
    end: float | None = None,
    progress: Callable[[float, int], object] | None = None,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Played:
    """Publish each message at its scheduled time.

    All times count from the start, so that delays do not add up. Overdue messages are
    published at once. Each message gets its scheduled wall-clock time as ``timestamp``.

    Parameters
    ----------
    timed
        Pairs of a time in seconds and a message, in order of time; may be a generator.
    publisher
        Publishes the messages.
    speed
        Seconds of ``timed`` to play in one second.
    start
        Time in ``timed`` to start at, in seconds. Earlier messages are left out, except for
        the latest status of each agent.
    title
        A name to show. With one, progress and lag are published once a second on the
        channel ``replay:progress``, and pages show them.
    end
        Length of ``timed`` in seconds, if known, to be published with the progress.
    progress
        Called about ten times a second, with the time reached in ``timed`` and the number
        of messages handed over.
    stop
        A :class:`threading.Event`; playing ends soon after it is set.
    clock
        Returns seconds since any fixed time.

    Raises
    ------
    RoutingSimError
        If the times are not in order, or ``speed`` or ``start`` is invalid.

    Examples
    --------
    >>> from routingsim.live import MemoryPublisher
    >>> play([], MemoryPublisher()).messages
    0
    """
    check_pace(speed, start)
    timed = _from(start, timed)
    if title:
        timed = _with_progress(timed, ReplayProgress(title, start, end, speed, 0.0, False, 0))
    stop = threading.Event() if stop is None else stop
    lost_before = _lost(publisher.stats())
    rest = iter(timed)
    first = list(itertools.islice(rest, 1))  # making it may take long: before the clock starts
    run = _Playback(publisher, speed, start, progress, stop, clock)
    finished = all(run.hand_over(at, body) for at, body in itertools.chain(first, rest))
    if progress is not None:
        progress(run.reached, run.sent)
    if run.sent:
        publisher.flush(FLUSH_SECONDS)
    stats = publisher.stats()
    return Played(
        messages=run.sent,
        seconds=clock() - run.began,
        lag_mean=run.lags / run.sent if run.sent else 0.0,
        lag_max=run.lag_max,
        # Messages that an earlier playback left in the buffer are not counted again.
        undelivered=max(0, _lost(stats) - lost_before),
        finished=finished,
    )


class _Playback:
    """A playback on its way: its clock, and what it has handed over."""

    def __init__(
        self,
        publisher: BasePublisher,
        speed: float,
        start: float,
        progress: Callable[[float, int], object] | None,
        stop: threading.Event,
        clock: Callable[[], float],
    ) -> None:
        self._publisher, self._speed, self._start = publisher, speed, start
        self._progress, self._stop, self._clock = progress, stop, clock
        self.began, self._epoch = clock(), time.time()
        self.sent, self.lags, self.lag_max, self._overdue = 0, 0.0, 0.0, 0
        self.reached, self._reported = start, -math.inf

    def hand_over(self, at: float, body: Body) -> bool:
        """Publish a message when it is due; False where the playback was stopped before."""
        due = (at - self._start) / self._speed
        lag = self._wait(due)
        if self._stop.is_set():
            return False
        changes: dict[str, float] = {"timestamp": round((self._epoch + due) * 1000)}
        if isinstance(body, ReplayProgress):
            changes["lag"] = lag
        self._publisher.publish(msgspec.structs.replace(body, **changes))
        self.sent, self.reached = self.sent + 1, at
        self.lags += lag
        self.lag_max = max(self.lag_max, lag)
        self._overdue += 1
        if self._overdue % SLICE == 0:
            self._report(at)
            # The server is too slow: a late message is better than a dropped one.
            if self._publisher.is_connected:
                self._publisher.flush(1.0)
        return True

    def _wait(self, due: float) -> float:
        """Wait until a message is due or the playback is stopped; the seconds it is late."""
        while (left := self.began + due - self._clock()) > 0 and not self._stop.is_set():
            self._overdue = 0
            self._report(self._start + (self._clock() - self.began) * self._speed)
            self._stop.wait(min(left, GLANCE))
        return -left

    def _report(self, at: float) -> None:
        self.reached = at
        if self._progress is not None and (now := self._clock()) - self._reported >= GLANCE:
            self._reported = now
            self._progress(at, self.sent)


def _from(start: float, timed: Iterable[tuple[float, Body]]) -> Iterable[tuple[float, Body]]:
    """The messages from ``start`` on, preceded by the agents' statuses at that time."""
    states: dict[str, AgentStatus] = {}
    last = -math.inf
    for number, (at, body) in enumerate(timed, start=1):
        if not last <= at < math.inf:
            raise RoutingSimError(
                f"message {number} is scheduled at {at!r} s, the one before at {last!r} s: "
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


def _with_progress(
    timed: Iterable[tuple[float, Body]], progress: ReplayProgress
) -> Iterable[tuple[float, Body]]:
    """``timed`` with progress messages at the start, once a second, and at the end."""
    due = at = progress.at
    for at, body in timed:
        while due <= at:
            yield due, msgspec.structs.replace(progress, at=due)
            due += progress.speed
        yield at, body
    yield at, msgspec.structs.replace(progress, at=at, over=True)


def _lost(stats: PublisherStats) -> int:
    return stats.dropped + stats.undelivered + stats.buffered
