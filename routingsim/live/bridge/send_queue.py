"""What waits for one client: a bounded queue between the fanout and a transport.

While the transport has room, batches go straight to it. While it is full they
wait here, where the slow clients share them, and where they can be dropped.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, Protocol

import msgspec

from routingsim.live.bridge.protocol import Limits, dropped

__all__ = ["FrameBatch", "FrameWriter", "SendQueue", "SlowPolicy", "text_frame"]

SlowPolicy = Literal["disconnect", "drop"]
"""What becomes of a client over its bound: closed with 4008, or spared messages."""

SLICE = 128
"""Messages of a replay that are joined into one write."""


class FrameWriter(Protocol):
    """The part of :class:`asyncio.WriteTransport` that an queue needs."""

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int: ...


class FrameBatch(msgspec.Struct, frozen=True):
    """Frames that are written together. ``counts`` by channel; empty for control frames."""

    payload: bytes | Sequence[bytes]
    size: int
    counts: Mapping[str, int]
    messages: int


def text_frame(text: bytes) -> bytes:
    """A WebSocket text frame from a server: final, not masked (RFC 6455, section 5.2)."""
    return _head(len(text)) + text


@lru_cache(maxsize=4096)
def _head(size: int) -> bytes:
    if size < 126:
        return b"\x81%c" % size
    if size < 65_536:
        return b"\x81\x7e%b" % size.to_bytes(2, "big")
    return b"\x81\x7f%b" % size.to_bytes(8, "big")


class SendQueue:
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

    def __init__(self, transport: FrameWriter, limits: Limits, slow: SlowPolicy) -> None:
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

    def send(self, batch: FrameBatch) -> bool:
        """Write or queue a batch. False: the client is too slow and must go."""
        if self._put(batch) or not self.overdue:
            return True
        if self._slow == "drop":
            self._drop_oldest()
        return not self.overdue

    def control(self, text: bytes) -> bool:
        """Write or queue one control frame, in its place between the messages."""
        frame = text_frame(text)
        return self.send(FrameBatch(frame, len(frame), {}, 0))

    def replay(self, channel: str, frames: Sequence[bytes]) -> None:
        """Queue what the client asked for; its bound grows by that until it is taken."""
        for start in range(0, len(frames), SLICE):
            part = frames[start : start + SLICE]
            batch = FrameBatch(part, sum(map(len, part)), {channel: len(part)}, len(part))
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

    def _put(self, batch: FrameBatch) -> bool:
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

    def _write(self, batch: FrameBatch) -> None:
        payload = batch.payload
        self._in_transport = batch.messages
        self._transport.write(payload if isinstance(payload, bytes) else b"".join(payload))
        self.delivered += batch.messages
        if not self._paused:
            self._in_transport = 0

    def _drop_oldest(self) -> None:
        """Make room: half the bound, so that the client is told of gaps seldom."""
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
            self._untold.update(batch.counts)
            self.dropped += batch.messages
        self._queue.extendleft(reversed(kept))
