"""Publishing decisions, statuses and replays' progress without making the caller wait.

The caller appends to a buffer and goes on. A thread in the background takes what has
gathered, encodes it, and sends it in batches, each published and stored by one run of
the script in :mod:`routingsim.live.redis_schema`.

Each message goes out exactly once as long as the server keeps its memory: batches are
numbered, one whose reply was lost is sent again, and the script knows it by its number.
Only if a reply is lost and the server then loses its memory too (a restart, FLUSHALL)
may subscribers see a batch twice.
"""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Literal, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import msgspec
from redis.backoff import FullJitterBackoff
from redis.exceptions import AuthenticationError

from routingsim.live.publisher.transport import Batch, Transport, transport_to
from routingsim.live.settings import Settings, load_settings, redacted
from routingsim.messages import (
    AgentStatus,
    Body,
    ReplayProgress,
    RoutingDecision,
    channel_of,
    encode,
    encode_all,
)

__all__ = ["PublisherStats", "RedisPublisher", "encoded"]

BATCH = 500
"""Messages a batch: for the 2 ms or so that one takes, the server does nothing else."""

BACKOFF = FullJitterBackoff(cap=1.0, base=0.05)
"""Seconds between attempts to reach the server: at random up to 0.05, 0.1, 0.2, … 1."""

TURN = 1e-4
"""Seconds that a caller with full batches rests after each, so that the sender has a turn:
the interpreter would let it wait for 5 ms whenever it comes back from the server."""

HEARTBEAT = 1.0
"""Seconds without messages after which the connection is tried with a PING."""

EXIT_TIMEOUT = 2.0
"""Seconds that a program's end waits for the last messages to go out."""

log = logging.getLogger("routingsim.live")

_publishers: "weakref.WeakSet[RedisPublisher]" = weakref.WeakSet()


def _start_afresh_in_child() -> None:
    for publisher in list(_publishers):
        publisher._reset()


os.register_at_fork(after_in_child=_start_afresh_in_child)


class PublisherStats(msgspec.Struct, frozen=True):
    """What became of the messages handed over; the first four add up to their number.

    Attributes
    ----------
    published
        Messages that the server has confirmed.
    buffered
        Messages waiting, or on their way.
    dropped
        Oldest messages given up for want of room, and any that could not be encoded.
    undelivered
        Messages left over at ``disconnect``, or handed over after it.
    reconnects
        Times the connection was lost and made anew.
    """

    published: int
    buffered: int
    dropped: int
    undelivered: int
    reconnects: int


def encoded(body: Body) -> bytes | None:
    """The message, or None if there is something in it that cannot be encoded; logs that."""
    try:
        return encode(body)
    except Exception as error:  # one bad message must not hold up the others
        log.error("cannot publish %.200r: %s", body, error)
        return None


class RedisPublisher:
    """Publishes decisions and statuses on Redis, in the background.

    Connects at the first message, with one connection, and again whenever it is lost.
    Publishing never raises, and never waits unless ``overflow`` says so. Messages of one
    channel keep their order; between the two channels there is none. After a fork the
    child's publisher starts empty, with a connection of its own.

    Parameters
    ----------
    server
        URL of the server, or settings; by default the settings of the environment and
        ``.env.local``.
    buffer
        Messages to keep while the server is slow or away.
    overflow
        When the buffer is full: drop the oldest and count it, or block the caller until
        there is room.
    history
        Messages to keep in each channel's history; by default what the settings say.

    Raises
    ------
    BrokerError
        If ``server`` is not a URL of a Redis server. One that cannot be reached is no
        error: the publisher logs that, and keeps trying.

    Examples
    --------
    >>> with RedisPublisher(broker.url) as publisher:  # doctest: +SKIP
    ...     publisher.publish_routing_decision(decision)
    """

    def __init__(
        self,
        server: str | Settings | None = None,
        *,
        buffer: int = 100_000,
        overflow: Literal["drop_oldest", "block"] = "drop_oldest",
        history: int | None = None,
    ) -> None:
        if buffer < 2:
            raise ValueError(f"buffer must be at least 2 messages, not {buffer}")
        if overflow not in ("drop_oldest", "block"):
            raise ValueError(f"overflow must be 'drop_oldest' or 'block', not {overflow!r}")
        settings = load_settings() if server is None else server
        if isinstance(settings, str):
            settings = Settings(redis_url=settings)
        self._url = settings.url
        self._password = unquote(urlsplit(self._url).password or "")
        self._history = settings.history if history is None else history
        self._buffer = buffer
        self._overflow = overflow
        self._closed = False
        self._reset()
        _publishers.add(self)

    def _reset(self) -> None:
        self._transport: Transport = transport_to(self._url, self._history)
        self._name = uuid4().hex
        self._waiting: deque[Body] = deque()
        # Guards what follows. Handing over takes it only when someone must be woken,
        # started or waited for, or something dropped.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = True
        self._room = self._buffer
        self._in_flight = self._published = self._dropped = self._undelivered = 0
        self._connections = 0
        self._connected = False
        self._overflowing = False
        # The sender's own.
        self._sent: deque[Batch] = deque()
        self._numbers: Counter[str] = Counter()
        self._arrived: Counter[str] = Counter()
        self._trouble: str | None = None

    # Handing over: in the caller's thread.

    def publish_routing_decision(self, decision: RoutingDecision) -> None:
        """Hand one decision over to the background sender."""
        self._publish(decision)

    def publish_routing_decisions(self, decisions: Iterable[RoutingDecision]) -> None:
        """Hand many decisions over at once."""
        decisions = list(decisions)
        for start in range(0, len(decisions), BATCH):
            self._waiting.extend(decisions[start : start + BATCH])
            if self._idle or len(self._waiting) > self._room:
                self._attend()
            if start + BATCH <= len(decisions):
                time.sleep(TURN)

    def publish_agent_status(self, status: AgentStatus) -> None:
        """Hand one agent's status over to the background sender."""
        self._publish(status)

    def publish_replay_progress(self, progress: ReplayProgress) -> None:
        """Hand over how far a replay is, for pages to say that they show one."""
        self._publish(progress)

    def _publish(self, body: Body) -> None:
        self._waiting.append(body)
        if self._idle or len(self._waiting) > self._room:
            self._attend()

    def _attend(self) -> None:
        """Wake the sender, or make room."""
        with self._changed:
            if self._closed:
                self._undelivered += len(self._waiting)
                self._waiting.clear()
                return
            if self._thread is None:
                self._begin()
            elif self._idle:
                self._idle = False
                self._changed.notify_all()
            if self._overflow == "block" and self._thread is not None:
                self._changed.wait_for(lambda: len(self._waiting) <= self._room or self._closed)
                return
            excess = len(self._waiting) - self._room
            for _ in range(excess):
                self._waiting.popleft()
            self._dropped += max(excess, 0)
            warn = excess > 0 and not self._overflowing
            self._overflowing |= warn
        if warn:
            log.warning(
                "publisher's buffer of %d messages is full: dropping the oldest", self._buffer
            )

    def _begin(self) -> None:
        """Start the sender; where that is not possible, the next message tries again."""
        thread = threading.Thread(target=self._run, name="routingsim-publisher", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is ending
            self._report(error)
            return
        self._thread = thread
        self._idle = False
        atexit.register(self.disconnect, EXIT_TIMEOUT)

    # Looking after it.

    @property
    def is_connected(self) -> bool:
        """Whether the server answered when last spoken to, at most a second ago."""
        return self._connected

    def stats(self) -> PublisherStats:
        """Counts of what became of the messages handed over so far."""
        with self._changed:
            return PublisherStats(
                published=self._published,
                buffered=len(self._waiting) + self._in_flight,
                dropped=self._dropped,
                undelivered=self._undelivered,
                reconnects=max(self._connections - 1, 0),
            )

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the buffer is empty, at most ``timeout`` seconds; whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._in_flight, timeout
            )

    def disconnect(self, timeout: float = 5.0) -> bool:
        """Send what is left, for at most ``timeout`` seconds, and end the background sender.

        Whatever could not be sent is counted as undelivered, and so is what is handed
        over later. Called at the interpreter's exit too, with two seconds' time.

        Returns
        -------
        bool
            Whether everything was sent.
        """
        delivered = self.flush(timeout)
        with self._changed:
            self._closed = self._idle = True  # idle: so that latecomers are attended to
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(1.0)
            atexit.unregister(self.disconnect)
        with self._changed:
            self._undelivered += len(self._waiting) + self._in_flight
            self._waiting.clear()
            self._in_flight = 0
        return delivered

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    def __repr__(self) -> str:
        state = "connected" if self._connected else "closed" if self._closed else "not connected"
        return f"<RedisPublisher: {redacted(self._url)}, {state}>"

    # Sending: in the background.

    def _run(self) -> None:
        failures = 0
        while not self._closed:
            try:
                self._transport.open()
                self._connected = True
                self._connections += 1
                for batch in self._sent:
                    self._transport.send(batch, self._arrived[batch.channel])
                for _ in self._exchanges():
                    failures = 0
                    self._report(None)
            except Exception as error:  # whatever it is, the sender must not end by it
                self._report(error)
            finally:
                self._connected = False
                self._transport.close()
            with self._changed:
                self._changed.wait_for(lambda: self._closed, BACKOFF.compute(failures))
            failures += 1

    def _exchanges(self) -> Iterator[None]:
        """Send and receive until closed; yields whenever the server has answered well."""
        while not self._closed:
            # A further batch goes out before the last one's reply only if it is full:
            # few messages gain nothing from being sent as many small batches.
            ready = len(self._waiting) >= BATCH and len(self._sent) < self._transport.depth
            if ready or (self._waiting and not self._sent):
                batches = self._encode(self._take())
                self._sent.extend(batches)  # all, before any sending can fail
                for batch in batches:
                    self._transport.send(batch, self._arrived[batch.channel])
            elif self._sent:
                self._transport.receive(abandoned=lambda: self._closed)
                batch = self._sent.popleft()
                self._arrived[batch.channel] = batch.number
                self._settle(published=len(batch.messages))
                yield
            elif not self._rest():
                self._transport.ping()
                yield

    def _rest(self) -> bool:
        """Wait for messages, for a heartbeat at most; whether there is something to do."""
        with self._changed:
            self._idle = True  # before the look at the buffer: who appends later, wakes us
            found = self._changed.wait_for(lambda: self._waiting or self._closed, HEARTBEAT)
            self._idle = self._closed
            return bool(found)

    def _take(self) -> list[Body]:
        """The oldest messages, from the buffer to their way."""
        with self._changed:
            # At most half of the buffer is on its way, so that the newest find room.
            count = min(len(self._waiting), BATCH, max(1, self._buffer // 2 - self._in_flight))
            self._in_flight += count
            self._room = self._buffer - self._in_flight
            return [self._waiting.popleft() for _ in range(count)]

    def _settle(self, *, published: int = 0, dropped: int = 0) -> None:
        """Account for messages that are no longer on their way."""
        with self._changed:
            if self._closed:  # they have been counted as undelivered
                return
            self._published += published
            self._dropped += dropped
            self._in_flight -= published + dropped
            self._room = self._buffer - self._in_flight
            self._overflowing &= len(self._waiting) > self._room // 2
            self._changed.notify_all()

    def _encode(self, bodies: list[Body]) -> list[Batch]:
        """A batch a channel; what cannot be encoded is dropped."""
        kinds: defaultdict[type, list[Body]] = defaultdict(list)
        for body in bodies:
            kinds[type(body)].append(body)
        batches: list[Batch] = []
        for alike in kinds.values():
            try:
                messages = encode_all(alike)
            except Exception:  # whatever it is: without those at fault, which are logged
                good = [body for body in alike if encoded(body) is not None]
                self._settle(dropped=len(alike) - len(good))
                if not good:
                    continue
                alike, messages = good, encode_all(good)
            channel = channel_of(alike[0])
            agents = [body.agent_id for body in alike if isinstance(body, AgentStatus)]
            self._numbers[channel] += 1
            batches.append(Batch(channel, self._name, self._numbers[channel], messages, agents))
        return batches

    def _report(self, error: Exception | None) -> None:
        """Log when publishing stops working, for another reason, or works again."""
        trouble = None if error is None else type(error).__name__
        if trouble != self._trouble and not self._closed:
            place = redacted(self._url)
            if error is not None:
                said = " ".join(str(error).split()).replace(self._password or place, "***")
                if isinstance(error, AuthenticationError):
                    said += " (check REDIS_USERNAME and REDIS_PASSWORD)"
                log.warning("cannot publish to %s: %s: %s; trying again", place, trouble, said)
            else:
                log.info("publishing to %s again, %d messages wait", place, len(self._waiting))
        self._trouble = trouble
