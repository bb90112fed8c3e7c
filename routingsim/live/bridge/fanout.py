"""Distributes one stream of messages to many clients, with one write per client and turn.

Messages that arrive from Redis in one turn of the event loop are joined once for all
clients with the same subscriptions, and written to each of these with one call. A
server does not mask its frames, so all clients get the same bytes. Each message
remains a WebSocket frame of its own.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from routingsim.live.bridge.decoding import read_messages
from routingsim.live.bridge.protocol import (
    CHANNELS,
    Limits,
    MessageId,
    Subscribe,
    gap,
    upstream_status,
)
from routingsim.live.bridge.replay_buffer import START, Channel, Message
from routingsim.live.bridge.send_queue import FrameBatch, SendQueue

log = logging.getLogger(__name__)


class Fanout:
    """Channels and their subscribers, between the Redis subscriber and the clients.

    ``limits`` bound the replay buffers. ``schedule`` calls a function in the next turn of the event
    loop, ``resync`` asks the Redis subscriber to synchronize a channel again, and ``evict`` is
    called with the send queue of a client that is too slow.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        schedule: Callable[[Callable[[], None]], object],
        resync: Callable[[str], None],
        evict: Callable[[SendQueue], None],
    ) -> None:
        self.channels = {
            name: Channel(name, limits.history_messages, limits.history_bytes) for name in CHANNELS
        }
        self.up = self.was_up = False
        self.reason = "not connected yet"
        self.reported = asyncio.Event()
        self.received = self.malformed = self.delivered = 0
        self._schedule = schedule
        self._resync = resync
        self._evict = evict
        self._members: set[SendQueue] = set()
        self._groups: dict[frozenset[str], set[SendQueue]] = {}
        # Subscriptions to serve once the channel is synchronized, with the number of
        # synchronizations begun before.
        self._pending: dict[str, dict[SendQueue, tuple[Subscribe, int]]] = {
            name: {} for name in CHANNELS
        }
        self._syncs: Counter[str] = Counter()
        self._unsent: list[tuple[str, Sequence[Message]]] = []
        self._scheduled = False

    # Called for clients

    def add(self, queue: SendQueue) -> None:
        """Add a client, and tell it if Redis is away."""
        self._members.add(queue)
        if not self.up:
            queue.control(upstream_status(False))

    def remove(self, queue: SendQueue) -> None:
        """Remove a client; without effect on one that was removed before."""
        for pending in self._pending.values():
            pending.pop(queue, None)
        self._regroup(queue, frozenset())
        self._members.discard(queue)
        queue.close()

    def subscribe(self, queue: SendQueue, request: Subscribe) -> None:
        """Confirm, send the replay, then live messages. A second subscription starts over."""
        self.flush()  # earlier messages are not for this subscription
        channel = self.channels[request.channel]
        self.unsubscribe(queue, channel.name)
        queue.control(request.reply)
        ahead = _is_ahead(request, channel)
        if (request.since is None and not request.history) or (channel.synced and not ahead):
            self._serve(queue, channel, request)
            return
        self._pending[channel.name][queue] = request, self._syncs[channel.name]
        if channel.synced:
            # The client got a message from another bridge that has not arrived here yet.
            self._resync(channel.name)

    def unsubscribe(self, queue: SendQueue, channel: str) -> None:
        """Send this client no more messages of ``channel``."""
        self.flush()
        self._pending[channel].pop(queue, None)
        self._regroup(queue, queue.channels - {channel})

    # Called by the Redis subscriber

    def messages(self, name: str, data: Sequence[bytes]) -> None:
        """Take messages published on channel ``name``."""
        self.received += len(data)
        messages, problems = read_messages(name, data)
        for problem in problems:
            self.malformed += 1
            log.warning("event=malformed channel=%s problem=%r", name, str(problem))
        self._enqueue(name, self.channels[name].receive(messages))

    def begin_sync(self, name: str) -> MessageId:
        """Prepare for reading the channel's stream; returns the id to read from."""
        self._syncs[name] += 1
        return self.channels[name].begin_sync()

    def lost(
        self, name: str, stored: Sequence[Message], complete: bool
    ) -> list[tuple[MessageId, bytes]]:
        """Ids and texts of messages to hand in, since the stream has lost them."""
        lost = self.channels[name].lost(stored, complete)
        return [(place, text) for place, text in lost if text is not None]

    def end_sync(
        self, name: str, stored: Sequence[Message], complete: bool, latest: Sequence[Message]
    ) -> None:
        """Take what was read, and send every subscriber the messages it missed."""
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
        for queue, (request, syncs) in list(self._pending[name].items()):
            if _is_ahead(request, channel) and syncs == self._syncs[name]:
                again = True
                continue
            del self._pending[name][queue]
            self._serve(queue, channel, request)
        if again:
            self._resync(name)

    def status(self, up: bool, reason: str) -> None:
        """Note whether Redis is connected; ``reason`` is a text for people."""
        self.reason = reason
        self.reported.set()
        if up == self.up:
            return
        self.up = up
        self.was_up |= up
        self.flush()
        if not up:
            for name in self.channels:
                self.begin_sync(name)
        for queue in list(self._members):
            self._control(queue, upstream_status(up))

    # Sending

    def flush(self) -> None:
        """Write the messages that have gathered."""
        self._scheduled = False
        unsent, self._unsent = self._unsent, []
        if not unsent:
            return
        slow: list[SendQueue] = []
        for channels, members in self._groups.items():
            frames: list[bytes] = []
            counts: dict[str, int] = {}
            for name, messages in unsent:
                if name in channels:
                    frames += [message.frame for message in messages]
                    counts[name] = counts.get(name, 0) + len(messages)
            if not frames:
                continue
            payload = b"".join(frames)
            batch = FrameBatch(payload, len(payload), counts, len(frames))
            slow += [queue for queue in members if not queue.send(batch)]
            self.delivered += len(frames) * len(members)
        for queue in slow:
            self._evict(queue)

    def _enqueue(self, name: str, messages: Sequence[Message]) -> None:
        if messages:
            self._unsent.append((name, messages))
        if self._unsent and not self._scheduled:
            self._scheduled = True
            self._schedule(self.flush)

    def _control(self, queue: SendQueue, text: bytes) -> None:
        if not queue.control(text):
            self._evict(queue)

    def _serve(self, queue: SendQueue, channel: Channel, request: Subscribe) -> None:
        replay = channel.replay(request.since, request.history)
        if replay.gap and request.since is not None:
            queue.control(gap(channel.name, request.since, replay.oldest))
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


def _is_ahead(request: Subscribe, channel: Channel) -> bool:
    """Whether the client knows a newer message than this bridge."""
    return request.since is not None and request.since > (channel.last or START)
