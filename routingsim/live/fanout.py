"""From one stream of messages to many clients, one write a client and loop turn.

What arrives from Redis in one turn of the event loop is joined once for all
clients with the same subscriptions and written to each in one go. Frames from a
server are not masked, so the bytes are the same for everybody. On the wire each
message is still a frame of its own.

:class:`Outbox` stands between the hub and one client's transport. While the
transport is full, batches wait here, shared between all slow clients, and their
number is bounded.
"""

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from routingsim.live.backlog import Channel, Message
from routingsim.live.protocol import (
    CHANNELS,
    Limits,
    MessageId,
    Subscribe,
    dropped,
    gap,
    parse_id,
    upstream_status,
)
from routingsim.messages import STATUSES

__all__ = ["Hub", "Outbox", "SlowPolicy", "Transport", "read_message", "text_frame"]

SlowPolicy = Literal["disconnect", "drop"]
"""What becomes of a client over its bound: closed with 4008, or spared messages."""

SLICE = 128
"""Messages of a replay that are joined into one write."""

log = logging.getLogger(__name__)


class Transport(Protocol):
    """The part of :class:`asyncio.WriteTransport` that an outbox needs."""

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int: ...


class Batch(NamedTuple):
    """Frames that are written together. ``counts`` by channel; empty for control frames."""

    payload: bytes | Sequence[bytes]
    size: int
    counts: Mapping[str, int]
    messages: int


class _Agent(msgspec.Struct):
    agent: str = msgspec.field(name="agentId")


class _Envelope(msgspec.Struct):
    id: Any = None


class _Status(msgspec.Struct):
    payload: _Agent


_envelope = msgspec.json.Decoder(_Envelope)
_status = msgspec.json.Decoder(_Status)


def text_frame(text: bytes) -> bytes:
    """A WebSocket text frame from a server: final, not masked (RFC 6455, section 5.2)."""
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)


def read_message(channel: str, data: bytes) -> Message:
    """What the bridge needs to know of a message from Redis, and its frame.

    Any JSON object will do: others may publish too, and their messages pass as
    they are. Only an ``id`` as the publisher writes it takes part in resuming.

    Raises
    ------
    ValueError
        If ``data`` is not a JSON object in UTF-8, which would break browsers.
    """
    subject = place = None
    try:
        str(data, "utf-8")
        envelope = _envelope.decode(data)
        if channel == STATUSES:
            with contextlib.suppress(msgspec.ValidationError):
                subject = _status.decode(data).payload.agent
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(f"not a JSON object: {problem}") from problem
    if isinstance(envelope.id, str):
        with contextlib.suppress(ValueError):
            place = parse_id(envelope.id)
    return Message(place, text_frame(data), subject)


class Outbox:
    """What waits for one client.

    Parameters
    ----------
    transport
        Where to write.
    limits
        ``queue_messages`` and ``queue_bytes`` bound what may wait; a replay the
        client asked for comes on top until it has been taken.
    slow
        See :data:`SlowPolicy`.
    """

    def __init__(self, transport: Transport, limits: Limits, slow: SlowPolicy) -> None:
        self.channels: frozenset[str] = frozenset()
        self.delivered = 0
        self.dropped = 0
        self._transport = transport
        self._limits = limits
        self._slow = slow
        self._paused = False
        self._closed = False
        self._queue: deque[Batch] = deque()
        self._messages = self._bytes = 0
        self._in_transport = 0
        self._extra_messages = self._extra_bytes = 0
        self._untold: Counter[str] = Counter()

    @property
    def lag_messages(self) -> int:
        """Messages that the client has not taken yet."""
        return self._messages + self._in_transport

    @property
    def lag_bytes(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._bytes + self._transport.get_write_buffer_size()

    @property
    def progress(self) -> tuple[int, int]:
        """Changes whenever a waiting client takes something."""
        return self.delivered, self._transport.get_write_buffer_size()

    @property
    def overdue(self) -> bool:
        """Whether more waits than may."""
        return (
            self.lag_messages > self._limits.queue_messages + self._extra_messages
            or self.lag_bytes > self._limits.queue_bytes + self._extra_bytes
        )

    def send(self, batch: Batch) -> bool:
        """Write or queue a batch. False: the client is too slow and must go."""
        if self._put(batch) or not self.overdue:
            return True
        if self._slow == "drop":
            self._drop_oldest()
        return not self.overdue

    def control(self, text: bytes) -> bool:
        """Write or queue one control frame, in its place between the messages."""
        frame = text_frame(text)
        return self.send(Batch(frame, len(frame), {}, 0))

    def replay(self, channel: str, frames: Sequence[bytes]) -> None:
        """Queue what the client asked for; its bound grows by that until it is taken."""
        for start in range(0, len(frames), SLICE):
            part = frames[start : start + SLICE]
            batch = Batch(part, sum(map(len, part)), {channel: len(part)}, len(part))
            if not self._put(batch):
                self._extra_messages += batch.messages
                self._extra_bytes += batch.size

    def pause(self) -> None:
        """The transport is full."""
        self._paused = True

    def resume(self) -> None:
        """The transport has room again."""
        self._paused = False
        self._in_transport = 0
        while self._queue and not self._paused:
            for channel, count in self._untold.items():
                self._transport.write(text_frame(dropped(channel, count)))
            self._untold.clear()
            batch = self._queue.popleft()
            self._messages -= batch.messages
            self._bytes -= batch.size
            self._write(batch)
        if not self._queue and not self._paused:
            self._extra_messages = self._extra_bytes = 0

    def close(self) -> None:
        """Forget what waits; nothing is sent any more."""
        self._closed = True
        self._queue.clear()
        self._messages = self._bytes = 0

    def _put(self, batch: Batch) -> bool:
        """Write now if possible, else queue. Returns whether it was written (or not wanted)."""
        if self._closed:
            return True
        if not self._paused and not self._queue:
            self._write(batch)
            return True
        self._queue.append(batch)
        self._messages += batch.messages
        self._bytes += batch.size
        return False

    def _write(self, batch: Batch) -> None:
        payload = batch.payload
        self._in_transport = batch.messages
        self._transport.write(payload if isinstance(payload, bytes) else b"".join(payload))
        self.delivered += batch.messages
        if not self._paused:
            self._in_transport = 0

    def _drop_oldest(self) -> None:
        """Make room: half the bound, so that the client is told of gaps seldom."""
        kept: list[Batch] = []
        while self._queue and (
            self._messages * 2 > self._limits.queue_messages
            or self._bytes * 2 > self._limits.queue_bytes
        ):
            batch = self._queue.popleft()
            if batch.messages == 0:
                kept.append(batch)
                continue
            self._messages -= batch.messages
            self._bytes -= batch.size
            self._untold.update(batch.counts)
            self.dropped += batch.messages
        self._queue.extendleft(reversed(kept))


@dataclass(slots=True)
class _Waiting:
    """A subscription that cannot be served before the channel is in step with Redis."""

    since: MessageId | None
    history: int | None
    turn: int


class Hub:
    """The channels and who gets what; the middle between upstream and clients.

    Parameters
    ----------
    limits
        Bounds of the backlogs.
    schedule
        Calls a function in the next turn of the event loop.
    resync
        Asks the upstream to settle a channel again.
    evict
        Called with the outbox of a client that is too slow.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        schedule: Callable[[Callable[[], None]], object],
        resync: Callable[[str], None],
        evict: Callable[[Outbox], None],
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        self.channels = {
            name: Channel(name, limits.history_messages, limits.history_bytes) for name in channels
        }
        self.up = False
        self.reason = "not connected yet"
        self.on_up: Callable[[], None] = lambda: None
        self.received: Counter[str] = Counter()
        self.malformed = 0
        self.delivered = 0
        self._schedule = schedule
        self._resync = resync
        self._evict = evict
        self._members: set[Outbox] = set()
        self._groups: dict[frozenset[str], set[Outbox]] = {}
        self._waiting: dict[str, dict[Outbox, _Waiting]] = {name: {} for name in channels}
        self._turns: Counter[str] = Counter()
        self._batch: list[tuple[str, bytes]] = []
        self._scheduled = False

    # The clients' side

    def add(self, outbox: Outbox) -> None:
        """A client has come. It is told if Redis is away."""
        self._members.add(outbox)
        if not self.up:
            outbox.control(upstream_status(False))

    def remove(self, outbox: Outbox) -> None:
        """A client has gone; harmless when it had before."""
        for waiting in self._waiting.values():
            waiting.pop(outbox, None)
        self._regroup(outbox, frozenset())
        self._members.discard(outbox)
        outbox.close()

    def subscribe(self, outbox: Outbox, request: Subscribe) -> None:
        """Confirm, send what was missed and then what comes; a second time, start anew."""
        self.flush()  # what came before the subscription is not for it
        name, channel = request.channel, self.channels[request.channel]
        self.unsubscribe(outbox, name)
        outbox.control(request.reply)
        if request.since is None and not request.history:
            self._serve(outbox, channel, None, None)
            return
        ahead = request.since is not None and request.since > (channel.last or (0, 0))
        if channel.settled and not ahead:
            self._serve(outbox, channel, request.since, request.history)
            return
        turn = self._turns[name]
        self._waiting[name][outbox] = _Waiting(request.since, request.history, turn)
        if channel.settled:
            # Another bridge was quicker with a message that is still on its way to us.
            self._resync(name)

    def unsubscribe(self, outbox: Outbox, channel: str) -> None:
        """No more of ``channel`` for this client."""
        self.flush()
        self._waiting[channel].pop(outbox, None)
        self._regroup(outbox, outbox.channels - {channel})

    # The upstream's side

    def message(self, name: str, data: bytes) -> None:
        """A message was published."""
        self.received[name] += 1
        try:
            message = read_message(name, data)
        except ValueError as problem:
            self.malformed += 1
            log.warning("event=malformed channel=%s problem=%r", name, str(problem))
            return
        if self.channels[name].receive(message):
            self._enqueue(name, message.frame)

    def hold(self, name: str) -> MessageId:
        """The upstream is about to read the stream; returns from where."""
        self._turns[name] += 1
        return self.channels[name].hold()

    def settle(
        self, name: str, stored: Sequence[Message], complete: bool, latest: Sequence[Message]
    ) -> None:
        """The upstream has read the stream: bring everybody up to date."""
        channel = self.channels[name]
        settled = channel.settle(stored, complete, latest)
        self.flush()
        if settled.gap_since is not None:
            log.warning("event=gap channel=%s since=%s", name, settled.gap_since)
            notice = gap(name, settled.gap_since, settled.oldest)
            for outbox in [outbox for outbox in self._members if name in outbox.channels]:
                self._control(outbox, notice)
        for message in settled.messages:
            self._enqueue(name, message.frame)
        self.flush()
        again = False
        for outbox, wish in list(self._waiting[name].items()):
            ahead = wish.since is not None and wish.since > (channel.last or (0, 0))
            if ahead and wish.turn == self._turns[name]:
                again = True
                continue
            del self._waiting[name][outbox]
            self._serve(outbox, channel, wish.since, wish.history)
        if again:
            self._resync(name)

    def status(self, up: bool, reason: str) -> None:
        """The upstream was lost or is back; ``reason`` is for people."""
        self.reason = reason
        if up == self.up:
            return
        self.up = up
        self.flush()
        if not up:
            for name in self.channels:
                self.hold(name)
        for outbox in list(self._members):
            self._control(outbox, upstream_status(up))
        if up:
            self.on_up()

    # Inside

    def flush(self) -> None:
        """Write what has gathered."""
        self._scheduled = False
        batch, self._batch = self._batch, []
        if not batch:
            return
        counts = Counter(name for name, _ in batch)
        late: list[Outbox] = []
        for channels, members in self._groups.items():
            mine = {name: count for name, count in counts.items() if name in channels}
            if not mine:
                continue
            payload = b"".join([frame for name, frame in batch if name in channels])
            total = sum(mine.values())
            joined = Batch(payload, len(payload), mine, total)
            late += [outbox for outbox in members if not outbox.send(joined)]
            self.delivered += total * len(members)
        for outbox in late:
            self._evict(outbox)

    def _enqueue(self, name: str, frame: bytes) -> None:
        self._batch.append((name, frame))
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self.flush)

    def _control(self, outbox: Outbox, text: bytes) -> None:
        if not outbox.control(text):
            self._evict(outbox)

    def _serve(
        self, outbox: Outbox, channel: Channel, since: MessageId | None, history: int | None
    ) -> None:
        replay = channel.replay(since, history)
        if replay.gap and since is not None:
            outbox.control(gap(channel.name, since, replay.oldest))
        outbox.replay(channel.name, replay.frames)
        self.delivered += len(replay.frames)
        self._regroup(outbox, outbox.channels | {channel.name})

    def _regroup(self, outbox: Outbox, channels: frozenset[str]) -> None:
        group = self._groups.get(outbox.channels)
        if group is not None:
            group.discard(outbox)
            if not group:
                del self._groups[outbox.channels]
        outbox.channels = channels
        if channels:
            self._groups.setdefault(channels, set()).add(outbox)
