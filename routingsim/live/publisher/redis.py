"""A publisher on Redis that does not make its caller wait.

The caller appends to a buffer. A background thread, the sender, encodes the buffered
messages and sends them in batches; a script in :mod:`routingsim.live.redis_schema`
publishes and stores each batch.

Each message is published exactly once: batches are numbered, a batch whose reply was lost is
sent again, and the script recognizes its number. A server that comes back without its last
data (from a snapshot, a replica that was behind) knows fewer batches than had arrived. The
publisher, which holds as many messages as the history, then sends the lost ones again, and a
notice of a gap for those it no longer holds.
"""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Literal
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from redis.backoff import FullJitterBackoff
from redis.exceptions import AuthenticationError

from routingsim.live.prometheus import histogram
from routingsim.live.publisher.base import BasePublisher, PublisherStats, encoded
from routingsim.live.publisher.transport import Batch, Transport, transport_to
from routingsim.live.settings import Settings, load_settings, redacted
from routingsim.messages import AgentStatus, Body, RoutingDecision, channel_of, encode_all

BATCH = 500
"""Messages per batch; the server does nothing else while it runs one, for about 2 ms."""

BACKOFF = FullJitterBackoff(cap=1.0, base=0.05)
"""Seconds between attempts to connect: random, up to 0.05, 0.1, 0.2, … 1."""

TURN = 1e-4
"""Seconds that a caller sleeps after each full batch, to hand the interpreter's lock to the
sender, which would otherwise wait 5 ms for it after each reply."""

HEARTBEAT = 1.0
"""Seconds without messages after which a PING checks the connection."""

WAIT_SECONDS = 5.0
"""Seconds between lines in the log that a batch waits for room."""

HELD_BYTES = 64 * 2**20
"""Bytes of arrived messages of a channel to hold, in case that the server loses them."""

EXIT_TIMEOUT = 2.0
"""Seconds that the interpreter's exit waits for the last messages."""

log = logging.getLogger("routingsim.live")

_publishers: "weakref.WeakSet[RedisPublisher]" = weakref.WeakSet()

os.register_at_fork(after_in_child=lambda: [each._reset() for each in list(_publishers)])


def _log_messages(batch: Batch, first: str) -> None:
    """A line for each message that was published."""
    when, _, count = first.partition("-")
    for number, message in enumerate(batch.messages):
        place = f"{when}-{int(count) + number}" if first else "?"
        log.debug(
            "event=published channel=%s id=%s body=%s", batch.channel, place, message.decode()
        )


class _Held:
    """The last batches of a channel that arrived: at least one, then within both bounds."""

    def __init__(self, messages: int) -> None:
        self.batches: deque[Batch] = deque()
        self._room = messages
        self._bytes = 0

    def add(self, batch: Batch) -> None:
        self.batches.append(batch)
        self._room -= len(batch.messages)
        self._bytes += sum(map(len, batch.messages))
        while len(self.batches) > 1 and (
            self._room + len(self.batches[0].messages) <= 0 or self._bytes > HELD_BYTES
        ):
            oldest = self.batches.popleft()
            self._room += len(oldest.messages)
            self._bytes -= sum(map(len, oldest.messages))


class RedisPublisher(BasePublisher):
    """Publishes messages on Redis, in the background.

    Connects at the first message and reconnects whenever the connection is lost.
    Publishing never raises, and blocks only with ``overflow="block"``. The order of
    messages is kept within a channel, not between channels. After a fork the child's
    publisher starts empty, with a connection of its own.

    Parameters
    ----------
    server
        URL of the server, or settings; by default the settings of the environment and
        ``.env.local``.
    buffer
        Messages to keep while the server is slow or away.
    overflow
        When the buffer is full: drop the oldest message and count it, or block the caller
        until there is room.
    history
        Messages to keep in each channel's history; by default as in the settings.

    Raises
    ------
    BrokerError
        If ``server`` is not the URL of a Redis server. A server that cannot be reached is
        no error: the publisher logs it and tries again.

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
        self.seconds = histogram("publisher_seconds", "From sending a batch to its arrival.")
        self._reset()
        _publishers.add(self)

    def _reset(self) -> None:
        self._transport: Transport = transport_to(self._url, self._history)
        self._name = uuid4().hex
        self._waiting: deque[Body] = deque()
        # Guards the fields below. Publishing takes it only to wake, start or wait for the
        # sender, or to drop messages.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = True
        self._room = self._buffer
        self._in_flight = self._published = self._dropped = self._undelivered = 0
        self._restored = self._lost = self._batches = 0
        self._connections = 0
        self._connected = False
        self._overflowing = False
        # Used by the sender only.
        self._sent: deque[Batch] = deque()
        self._sent_at: dict[tuple[str, int], float] = {}
        self._numbers: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._arrived: Counter[str] = Counter()  # last batch that the server has
        self._confirmed: Counter[str] = Counter()  # last batch that it has had
        self._missing: dict[tuple[str, int], int] = {}
        self._met: set[str] = set()  # channels on which this connection has sent a batch
        self._held: defaultdict[str, _Held] = defaultdict(lambda: _Held(self._history))
        self._trouble: str | None = None

    # In the caller's thread

    def publish_routing_decisions(self, decisions: Iterable[RoutingDecision]) -> int:
        decisions, dropped = list(decisions), 0
        for start in range(0, len(decisions), BATCH):
            dropped += self._append(decisions[start : start + BATCH])
            if start + BATCH <= len(decisions):
                time.sleep(TURN)
        return dropped

    def publish_batch(self, decisions: Iterable[RoutingDecision]) -> None:
        """Publish many decisions and drop none: wait while half of the buffer is full.

        Single messages, which have the other half, are themselves dropped meanwhile where they
        find no room. Logs every few seconds that it waits.
        """
        decisions, size = list(decisions), min(BATCH, max(1, self._buffer // 4))
        with self._changed:
            self._batches += 1
        try:
            for start in range(0, len(decisions), size):
                part = decisions[start : start + size]
                self._wait_for_room(len(part))
                self._append(part)
                time.sleep(TURN)
        finally:
            with self._changed:
                self._batches -= 1

    def _wait_for_room(self, count: int) -> None:
        def there_is() -> bool:
            return self._closed or len(self._waiting) + count <= max(count, self._room // 2)

        if there_is():
            return
        self._wake()  # a sender that could not be started before
        with self._changed:
            while not self._changed.wait_for(there_is, WAIT_SECONDS):
                log.warning("event=batch_waits buffered=%d redis=%r", len(self._waiting), self.link)

    def publish(self, body: Body) -> int:
        """Hand a message over to the sender."""
        self._waiting.append(body)
        return self._wake() if self._idle or len(self._waiting) > self._room else 0

    def _append(self, bodies: list[RoutingDecision]) -> int:
        self._waiting.extend(bodies)
        return self._wake() if self._idle or len(self._waiting) > self._room else 0

    def _wake(self) -> int:
        """Wake the sender, or make room; returns how many messages were dropped."""
        with self._changed:
            if self._closed:
                self._undelivered += len(self._waiting)
                self._waiting.clear()
                return 0
            if self._thread is None:
                self._start()
            elif self._idle:
                self._idle = False
                self._changed.notify_all()
            if self._overflow == "block" and self._thread is not None:
                self._changed.wait_for(lambda: len(self._waiting) <= self._room or self._closed)
                return 0
            excess = max(0, len(self._waiting) - self._room)
            for _ in range(excess):  # a batch is not dropped for what comes after it
                self._waiting.pop() if self._batches else self._waiting.popleft()
            self._dropped += excess
            warn = excess > 0 and not self._overflowing
            self._overflowing |= warn
        if warn:
            log.warning(
                "publisher's buffer of %d messages is full: dropping the oldest", self._buffer
            )
        return excess

    def _start(self) -> None:
        """Start the sender; if that fails, the next message tries again."""
        thread = threading.Thread(target=self._run, name="routingsim-publisher", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is ending
            self._report(error)
            return
        self._thread = thread
        self._idle = False
        atexit.register(self.disconnect, EXIT_TIMEOUT)

    def connect(self) -> None:
        """Connect now, in the background, and not only at the first message."""
        with self._changed:
            if self._thread is None and not self._closed:
                self._start()

    @property
    def is_connected(self) -> bool:
        """Whether the server answered the last command, at most about a second ago."""
        return self._connected

    @property
    def link(self) -> Literal["up", "down", "not yet connected"]:
        """State of the connection to the server."""
        return "up" if self._connected else "down" if self._connections else "not yet connected"

    def stats(self) -> PublisherStats:
        with self._changed:
            return PublisherStats(
                published=self._published,
                buffered=len(self._waiting) + self._in_flight,
                dropped=self._dropped,
                undelivered=self._undelivered,
                reconnects=max(self._connections - 1, 0),
                restored=self._restored,
                lost=self._lost,
            )

    def flush(self, timeout: float | None = None) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._in_flight, timeout
            )

    def disconnect(self, timeout: float = 5.0) -> bool:
        """Send what is buffered, for at most ``timeout`` seconds, and end the sender.

        Messages that could not be sent count as undelivered, as do those handed over
        later. Also called at the interpreter's exit, with two seconds' time.

        Returns
        -------
        bool
            Whether everything was sent.
        """
        delivered = self.flush(timeout)
        with self._changed:
            self._closed = self._idle = True  # idle: so that later messages are counted
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

    def __repr__(self) -> str:
        state = "connected" if self._connected else "closed" if self._closed else "not connected"
        return f"<RedisPublisher: {redacted(self._url)}, {state}>"

    # In the sender's thread

    def _run(self) -> None:
        failures, restoring = 0, False
        while not self._closed:
            try:
                self._transport.open()
                self._connections += not restoring
                restoring = False
                self._met.clear()
                self._send_again()
                self._connected = True
                for _ in self._exchanges():
                    failures = 0
                    self._report(None)
            except Exception as error:  # no error may end the sender
                restoring = str(error).startswith("RESTORING")
                if not restoring:
                    self._report(error)
            finally:
                self._connected = False
                self._transport.close()
            failures = 0 if restoring else failures
            with self._changed:
                self._changed.wait_for(lambda: self._closed, BACKOFF.compute(failures))
            failures += 1

    def _exchanges(self) -> Iterator[None]:
        """Send batches and receive replies until closed; yields after each good reply."""
        while not self._closed:
            # Only a full batch is sent before the reply to the last one, so that few
            # messages do not become many small batches.
            ready = len(self._waiting) >= BATCH and len(self._sent) < self._transport.depth
            if ready or (self._waiting and not self._sent):
                batches = self._encode(self._take())
                self._sent.extend(batches)  # all of them, before any send can fail
                for batch in batches:
                    self._sent_at[batch.channel, batch.number] = time.perf_counter()
                    state = int(batch.channel not in self._met)
                    self._transport.send(batch, self._arrived[batch.channel], 0, state)
            elif self._sent:
                first = self._transport.receive(abandoned=lambda: self._closed)
                batch = self._sent.popleft()
                self._take_reply(batch, first)
                yield
            elif not self._rest():
                self._transport.ping()
                self._send_again()
                yield

    def _take_reply(self, batch: Batch, first: str) -> None:
        """Count a batch that has arrived, for the first time or again."""
        key = batch.channel, batch.number
        self._met.add(batch.channel)
        self._arrived[batch.channel] = batch.number
        if batch.number <= self._confirmed[batch.channel]:
            with self._changed:
                self._restored += len(batch.messages)
                self._lost += self._missing.pop(key, 0)
            return
        self._confirmed[batch.channel] = batch.number
        self._held[batch.channel].add(batch)
        self.seconds.observe(time.perf_counter() - self._sent_at.pop(key))
        if log.isEnabledFor(logging.DEBUG):
            _log_messages(batch, first)
        self._count(published=len(batch.messages))

    def _send_again(self) -> None:
        """Send what had arrived and the server does not have, then what it may not have."""
        places: dict[str, tuple[int, int]] = {}
        for channel, held in self._held.items():
            number, _ = places[channel] = self._transport.place(channel, self._name)
            if number >= self._arrived[channel]:
                continue
            waiting = {batch.number for batch in self._sent if batch.channel == channel}
            lost = [b for b in held.batches if b.number > number and b.number not in waiting]
            self._sent.extendleft(reversed(lost))
            self._arrived[channel] = number
            log.warning(
                "event=restored channel=%s messages=%d reason='the server had lost them'",
                channel,
                sum(len(batch.messages) for batch in lost),
            )
        for batch in self._sent:
            number, total = places.get(batch.channel, (batch.number, 0))
            if batch.number > number + 1:
                missing = batch.total - len(batch.messages) - total
                self._missing[batch.channel, batch.number] = missing
            places[batch.channel] = max(
                places.get(batch.channel, (0, 0)), (batch.number, batch.total)
            )
            missing = self._missing.get((batch.channel, batch.number), 0)
            state = 2 + (batch.number <= self._confirmed[batch.channel])
            self._transport.send(batch, self._arrived[batch.channel], missing, state)

    def _rest(self) -> bool:
        """Wait for messages, for at most ``HEARTBEAT`` seconds; whether there are any."""
        with self._changed:
            self._idle = True  # before looking at the buffer: a later append wakes the sender
            found = self._changed.wait_for(lambda: self._waiting or self._closed, HEARTBEAT)
            self._idle = self._closed
            return bool(found)

    def _take(self) -> list[Body]:
        """Take the oldest messages out of the buffer."""
        with self._changed:
            # At most half of the buffer is in flight, so that there is room for new messages.
            count = min(len(self._waiting), BATCH, max(1, self._buffer // 2 - self._in_flight))
            self._in_flight += count
            self._room = self._buffer - self._in_flight
            return [self._waiting.popleft() for _ in range(count)]

    def _count(self, *, published: int = 0, dropped: int = 0) -> None:
        """Count messages that are no longer in flight."""
        with self._changed:
            if self._closed:  # already counted as undelivered
                return
            self._published += published
            self._dropped += dropped
            self._in_flight -= published + dropped
            self._room = self._buffer - self._in_flight
            self._overflowing &= len(self._waiting) > self._room // 2
            self._changed.notify_all()

    def _encode(self, bodies: list[Body]) -> list[Batch]:
        """Batches by channel; messages that cannot be encoded are dropped."""
        kinds: defaultdict[type, list[Body]] = defaultdict(list)
        for body in bodies:
            kinds[type(body)].append(body)
        batches: list[Batch] = []
        for given in kinds.values():
            try:
                messages = encode_all(given)
            except Exception:  # any error: leave out the messages that cause one
                good = [body for body in given if encoded(body) is not None]
                self._count(dropped=len(given) - len(good))
                if not good:
                    continue
                given, messages = good, encode_all(good)
            channel = channel_of(given[0])
            agents = [body.agent_id for body in given if isinstance(body, AgentStatus)]
            self._numbers[channel] += 1
            self._totals[channel] += len(messages)
            number, total = self._numbers[channel], self._totals[channel]
            batches.append(Batch(channel, self._name, number, total, messages, agents))
        return batches

    def _report(self, error: Exception | None) -> None:
        """Log when publishing fails, fails for another reason, or works again."""
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
