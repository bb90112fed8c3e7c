"""From one stream of messages to many clients, one write a client and loop turn.

What arrives from Redis in one turn of the event loop is joined once for all
clients with the same subscriptions and written to each in one go. Frames from a
server are not masked, so the bytes are the same for everybody. On the wire each
message is still a frame of its own.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from routingsim.live.bridge.decoding import read_messages
from routingsim.live.bridge.protocol import (
    CHANNELS,
    Limits,
    MessageId,
    Subscribe,
    gap,
    upstream_status,
)
from routingsim.live.bridge.replay_buffer import Channel, Message
from routingsim.live.bridge.send_queue import FrameBatch, SendQueue

__all__ = ["Fanout"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    """A subscription that cannot be served before the channel is in step with Redis."""

    since: MessageId | None
    history: int | None
    turn: int


class Fanout:
    """The channels and who gets what; the middle between upstream and clients.

    Parameters
    ----------
    limits
        Bounds of the replay buffers.
    schedule
        Calls a function in the next turn of the event loop.
    resync
        Asks the upstream to end_sync a channel again.
    evict
        Called with the queue of a client that is too slow.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        schedule: Callable[[Callable[[], None]], object],
        resync: Callable[[str], None],
        evict: Callable[[SendQueue], None],
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        self.channels = {
            name: Channel(name, limits.history_messages, limits.history_bytes) for name in channels
        }
        self.up = False
        self.reason = "not connected yet"
        self.on_report: Callable[[], None] = lambda: None
        self.received: Counter[str] = Counter()
        self.malformed = 0
        self.delivered = 0
        self._schedule = schedule
        self._resync = resync
        self._evict = evict
        self._members: set[SendQueue] = set()
        self._groups: dict[frozenset[str], set[SendQueue]] = {}
        self._waiting: dict[str, dict[SendQueue, _Waiting]] = {name: {} for name in channels}
        self._turns: Counter[str] = Counter()
        self._batch: list[tuple[str, Sequence[Message]]] = []
        self._scheduled = False

    # The clients' side

    def add(self, queue: SendQueue) -> None:
        """A client has come. It is told if Redis is away."""
        self._members.add(queue)
        if not self.up:
            queue.control(upstream_status(False))

    def remove(self, queue: SendQueue) -> None:
        """A client has gone; harmless when it had before."""
        for waiting in self._waiting.values():
            waiting.pop(queue, None)
        self._regroup(queue, frozenset())
        self._members.discard(queue)
        queue.close()

    def subscribe(self, queue: SendQueue, request: Subscribe) -> None:
        """Confirm, send what was missed and then what comes; a second time, start anew."""
        self.flush()  # what came before the subscription is not for it
        name, channel = request.channel, self.channels[request.channel]
        self.unsubscribe(queue, name)
        queue.control(request.reply)
        if request.since is None and not request.history:
            self._serve(queue, channel, None, None)
            return
        ahead = request.since is not None and request.since > (channel.last or (0, 0))
        if channel.synced and not ahead:
            self._serve(queue, channel, request.since, request.history)
            return
        turn = self._turns[name]
        self._waiting[name][queue] = _Waiting(request.since, request.history, turn)
        if channel.synced:
            # Another bridge was quicker with a message that is still on its way to us.
            self._resync(name)

    def unsubscribe(self, queue: SendQueue, channel: str) -> None:
        """No more of ``channel`` for this client."""
        self.flush()
        self._waiting[channel].pop(queue, None)
        self._regroup(queue, queue.channels - {channel})

    # The upstream's side

    def messages(self, name: str, data: Sequence[bytes]) -> None:
        """Messages were published."""
        self.received[name] += len(data)
        messages, problems = read_messages(name, data)
        for problem in problems:
            self.malformed += 1
            log.warning("event=malformed channel=%s problem=%r", name, str(problem))
        if self.channels[name].receive(messages):
            self._enqueue(name, messages)

    def begin_sync(self, name: str) -> MessageId:
        """The upstream is about to read the stream; returns from where."""
        self._turns[name] += 1
        return self.channels[name].begin_sync()

    def end_sync(
        self, name: str, stored: Sequence[Message], complete: bool, latest: Sequence[Message]
    ) -> None:
        """The upstream has read the stream: bring everybody up to date."""
        channel = self.channels[name]
        synced = channel.end_sync(stored, complete, latest)
        self.flush()
        if synced.gap_since is not None:
            log.warning("event=gap channel=%s since=%s", name, synced.gap_since)
            notice = gap(name, synced.gap_since, synced.oldest)
            for queue in [queue for queue in self._members if name in queue.channels]:
                self._control(queue, notice)
        self._enqueue(name, synced.messages)
        self.flush()
        again = False
        for queue, wish in list(self._waiting[name].items()):
            ahead = wish.since is not None and wish.since > (channel.last or (0, 0))
            if ahead and wish.turn == self._turns[name]:
                again = True
                continue
            del self._waiting[name][queue]
            self._serve(queue, channel, wish.since, wish.history)
        if again:
            self._resync(name)

    def status(self, up: bool, reason: str) -> None:
        """The upstream was lost or is back; ``reason`` is for people."""
        self.reason = reason
        self.on_report()
        if up == self.up:
            return
        self.up = up
        self.flush()
        if not up:
            for name in self.channels:
                self.begin_sync(name)
        for queue in list(self._members):
            self._control(queue, upstream_status(up))

    # Inside

    def flush(self) -> None:
        """Write what has gathered."""
        self._scheduled = False
        batch, self._batch = self._batch, []
        if not batch:
            return
        late: list[SendQueue] = []
        for channels, members in self._groups.items():
            frames: list[bytes] = []
            counts: dict[str, int] = {}
            for name, messages in batch:
                if name in channels:
                    frames += [message.frame for message in messages]
                    counts[name] = counts.get(name, 0) + len(messages)
            if not frames:
                continue
            payload = b"".join(frames)
            joined = FrameBatch(payload, len(payload), counts, len(frames))
            late += [queue for queue in members if not queue.send(joined)]
            self.delivered += len(frames) * len(members)
        for queue in late:
            self._evict(queue)

    def _enqueue(self, name: str, messages: Sequence[Message]) -> None:
        if messages:
            self._batch.append((name, messages))
        if self._batch and not self._scheduled:
            self._scheduled = True
            self._schedule(self.flush)

    def _control(self, queue: SendQueue, text: bytes) -> None:
        if not queue.control(text):
            self._evict(queue)

    def _serve(
        self, queue: SendQueue, channel: Channel, since: MessageId | None, history: int | None
    ) -> None:
        replay = channel.replay(since, history)
        if replay.gap and since is not None:
            queue.control(gap(channel.name, since, replay.oldest))
        queue.replay(channel.name, replay.frames)
        self.delivered += len(replay.frames)
        self._regroup(queue, queue.channels | {channel.name})

    def _regroup(self, queue: SendQueue, channels: frozenset[str]) -> None:
        group = self._groups.get(queue.channels)
        if group is not None:
            group.discard(queue)
            if not group:
                del self._groups[queue.channels]
        queue.channels = channels
        if channels:
            self._groups.setdefault(channels, set()).add(queue)
