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
from routingsim.live.bridge.send_queue import Batch, Outbox

__all__ = ["Hub"]

log = logging.getLogger(__name__)


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
        self.on_report: Callable[[], None] = lambda: None
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
        self._batch: list[tuple[str, Sequence[Message]]] = []
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

    def messages(self, name: str, data: Sequence[bytes]) -> None:
        """Messages were published."""
        self.received[name] += len(data)
        messages, problems = read_messages(name, data)
        for problem in problems:
            self.malformed += 1
            log.warning("event=malformed channel=%s problem=%r", name, str(problem))
        if self.channels[name].receive(messages):
            self._enqueue(name, messages)

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
        self._enqueue(name, settled.messages)
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
        self.on_report()
        if up == self.up:
            return
        self.up = up
        self.flush()
        if not up:
            for name in self.channels:
                self.hold(name)
        for outbox in list(self._members):
            self._control(outbox, upstream_status(up))

    # Inside

    def flush(self) -> None:
        """Write what has gathered."""
        self._scheduled = False
        batch, self._batch = self._batch, []
        if not batch:
            return
        late: list[Outbox] = []
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
            joined = Batch(payload, len(payload), counts, len(frames))
            late += [outbox for outbox in members if not outbox.send(joined)]
            self.delivered += len(frames) * len(members)
        for outbox in late:
            self._evict(outbox)

    def _enqueue(self, name: str, messages: Sequence[Message]) -> None:
        if messages:
            self._batch.append((name, messages))
        if self._batch and not self._scheduled:
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
