"""A bounded queue of frames for one client, in front of its transport.

Batches go straight to the transport while it has room. While it is full they wait
here, where slow clients share the same bytes and messages can still be dropped.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from routingsim.live.bridge.protocol import Limits, dropped

SlowPolicy = Literal["disconnect", "drop"]
"""What to do with a client over its limit: close it with 4008, or drop messages."""

SLICE = 128
"""Messages of a replay per write."""


class FrameBatch(msgspec.Struct, frozen=True):
    """Frames written together, with message counts by channel (empty for control frames)."""

    payload: bytes | Sequence[bytes]
    size: int
    counts: Mapping[str, int]
    messages: int


def text_frame(text: bytes) -> bytes:
    """A server's WebSocket text frame: final, not masked (RFC 6455, section 5.2)."""
    return _head(len(text)) + text


@lru_cache(maxsize=4096)
def _head(size: int) -> bytes:
    if size < 126:
        return b"\x81%c" % size
    if size < 65_536:
        return b"\x81\x7e%b" % size.to_bytes(2, "big")
    return b"\x81\x7f%b" % size.to_bytes(8, "big")


class SendQueue:
    """The frames that wait for one client.

    ``queue_messages`` and ``queue_bytes`` of ``limits`` bound the queue. A replay that the client
    asked for is allowed on top, until the queue is empty again.
    """

    def __init__(self, transport: asyncio.WriteTransport, limits: Limits, slow: SlowPolicy) -> None:
        self.channels: frozenset[str] = frozenset()
        self.delivered = 0
        self.dropped = 0
        self._transport = transport
        self._limits = limits
        self._slow = slow
        self._paused = False
        self._closed = False
        self._queue: deque[FrameBatch] = deque()
        self._messages = self._bytes = 0
        self._in_transport = 0
        self._extra_messages = self._extra_bytes = 0
        self._unreported: Counter[str] = Counter()  # dropped messages by channel

    @property
    def lag_messages(self) -> int:
        """Messages that the client has not read yet."""
        return self._messages + self._in_transport

    @property
    def lag_bytes(self) -> int:
        """Bytes that the client has not read yet."""
        return self._bytes + self._transport.get_write_buffer_size()

    @property
    def overdue(self) -> bool:
        """Whether the queue is over its limit."""
        return (
            self.lag_messages > self._limits.queue_messages + self._extra_messages
            or self.lag_bytes > self._limits.queue_bytes + self._extra_bytes
        )

    def send(self, batch: FrameBatch) -> bool:
        """Write or queue a batch. False: the client is too slow and must be closed."""
        if self._put(batch) or not self.overdue:
            return True
        if self._slow == "drop":
            self._drop_oldest()
        return not self.overdue

    def control(self, text: bytes) -> bool:
        """Write or queue a control frame, in order with the messages."""
        frame = text_frame(text)
        return self.send(FrameBatch(frame, len(frame), {}, 0))

    def replay(self, channel: str, frames: Sequence[bytes]) -> None:
        """Queue a replay; the limit is raised by its size until the queue is empty."""
        for start in range(0, len(frames), SLICE):
            some = frames[start : start + SLICE]
            batch = FrameBatch(some, sum(map(len, some)), {channel: len(some)}, len(some))
            if not self._put(batch):
                self._extra_messages += batch.messages
                self._extra_bytes += batch.size

    def pause(self) -> None:
        """Stop writing: the transport is full."""
        self._paused = True

    def resume(self) -> None:
        """Write on: the transport has room again."""
        self._paused = False
        self._in_transport = 0
        while self._queue and not self._paused:
            for channel, count in self._unreported.items():
                self._transport.write(text_frame(dropped(channel, count)))
            self._unreported.clear()
            batch = self._queue.popleft()
            self._messages -= batch.messages
            self._bytes -= batch.size
            self._write(batch)
        if not self._queue and not self._paused:
            self._extra_messages = self._extra_bytes = 0

    def close(self) -> None:
        """Discard the queue, and ignore all further frames."""
        self._closed = True
        self._queue.clear()
        self._messages = self._bytes = 0

    def _put(self, batch: FrameBatch) -> bool:
        """Write now if possible, else queue. False if it was queued."""
        if self._closed:
            return True
        if not self._paused and not self._queue:
            self._write(batch)
            return True
        self._queue.append(batch)
        self._messages += batch.messages
        self._bytes += batch.size
        return False

    def _write(self, batch: FrameBatch) -> None:
        payload = batch.payload
        self._in_transport = batch.messages
        self._transport.write(payload if isinstance(payload, bytes) else b"".join(payload))
        self.delivered += batch.messages
        if not self._paused:
            self._in_transport = 0

    def _drop_oldest(self) -> None:
        """Drop messages down to half the limit, so that notices of drops are few."""
        kept: list[FrameBatch] = []
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
            self._unreported.update(batch.counts)
            self.dropped += batch.messages
        self._queue.extendleft(reversed(kept))
