"""The last messages of each channel, for replay, and their synchronization with Redis.

A bridge keeps the last messages of each channel in memory, as the Redis stream of
the channel does. A returning client gets its replay from here, within one turn of
the event loop: no message can be lost or sent twice between replay and live
messages, and a thousand returning clients cause no load on Redis.

Bridge and Redis are synchronized at the start and after a lost connection.
:meth:`Channel.begin_sync` holds live messages back. The stream is then read from the
last known message on; that this message is still there proves that nothing after it
was lost. :meth:`Channel.end_sync` merges both by id. No I/O, no clock.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import lt
from typing import NamedTuple

import msgspec

from routingsim.live.bridge.protocol import MessageId

START: MessageId = (0, 0)
"""Before every message."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message ready to send: its id (None if it has none) and its WebSocket frame.

    ``subject`` is the agent id of a status; None for any other message.
    """

    id: MessageId | None
    frame: bytes
    subject: str | None = None


def _order(message: Message) -> MessageId:
    return message.id or START


class Replay(NamedTuple):
    """Frames that a client missed, oldest first. ``gap``: some before them are lost."""

    gap: bool
    frames: list[bytes]
    oldest: MessageId | None


class Synced(NamedTuple):
    """Messages that subscribers missed while Redis was away, oldest first.

    ``gap_since`` is the last message before the lost ones, None if none is lost;
    ``oldest`` the first message after the gap.
    """

    messages: list[Message]
    gap_since: MessageId | None
    oldest: MessageId | None


class ReplayBuffer:
    """The last messages of a channel by id, bounded in number and bytes.

    ``complete_after`` is the id after which every message is here: ``START`` while none
    was ever removed, None if it is not known what came before the first one.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.bytes = 0
        self.complete_after: MessageId | None = START
        # Lists with a moving start, since binary search in a deque would be slow.
        self._ids: list[MessageId] = []
        self._frames: list[bytes] = []
        self._start = 0

    def __len__(self) -> int:
        return len(self._ids) - self._start

    def clear(self, complete_after: MessageId | None) -> None:
        """Remove all messages."""
        self._ids.clear()
        self._frames.clear()
        self._start = self.bytes = 0
        self.complete_after = complete_after

    def extend(self, new_ids: Sequence[MessageId], added: Sequence[bytes]) -> None:
        """Append messages; an id that does not rise clears the buffer before it."""
        ids, frames = self._ids, self._frames
        before = [*(ids[-1:] or [(-1, -1)]), *new_ids]
        if not all(map(lt, before, new_ids)):
            reset = max(i for i, new_id in enumerate(new_ids) if new_id <= before[i])
            new_ids, added = new_ids[reset:], added[reset:]
            self.clear(complete_after=None)
        ids += new_ids
        frames += added
        self.bytes += sum(map(len, added))
        start, end = self._start, len(ids)
        while end - start > self.max_messages or (self.bytes > self.max_bytes and end - start > 1):
            self.complete_after = ids[start]
            self.bytes -= len(frames[start])
            frames[start] = b""
            start += 1
        if start > 1024 and start > end // 2:
            del ids[:start], frames[:start]
            start = 0
        self._start = start

    def after(self, since: MessageId) -> Replay:
        """All messages after ``since``.

        An id outside the buffer may be from before a restart in which the server lost
        its history, so it proves nothing.
        """
        ids, start = self._ids, self._start
        inside = start < len(ids) and ids[start] <= since <= ids[-1]
        gap = not inside and since != self.complete_after
        return self._from(bisect_right(ids, since, lo=start), gap)

    def last(self, count: int) -> Replay:
        """The last ``count`` messages, or all if there are fewer."""
        return self._from(max(self._start, len(self._ids) - count), False)

    def _from(self, index: int, gap: bool) -> Replay:
        oldest = self._ids[index] if index < len(self._ids) else None
        return Replay(gap, self._frames[index:], oldest)


class Channel:
    """A channel: replay buffer, latest status of each agent, synchronization with Redis."""

    def __init__(self, name: str, max_messages: int, max_bytes: int) -> None:
        self.name = name
        self.buffer = ReplayBuffer(max_messages, max_bytes)
        self.last: MessageId | None = None
        """Newest id known, ``START`` if there is none; None before the first synchronization."""
        self.synced = False
        """Whether synchronized with Redis: no message is held back or missing."""
        self._latest: dict[str, Message] = {}
        self._held: list[Message] = []

    def begin_sync(self) -> MessageId:
        """Hold live messages back from now on. Returns the id to read the stream from."""
        self.synced = False
        if self.last is not None:  # they are in the stream, which is read after this
            self._held.clear()
        return self.last or START

    def receive(self, messages: Sequence[Message]) -> bool:
        """Take live messages. True: send them now; False: they are held back."""
        if not self.synced:
            self._held += messages
            return False
        self._store(messages)
        return True

    def end_sync(
        self, stored: Sequence[Message], complete: bool, latest: Iterable[Message]
    ) -> Synced:
        """Merge the messages in the stream with those held back.

        Parameters
        ----------
        stored
            The stream's last messages, oldest first, from the id on that
            :meth:`begin_sync` returned (included, if the stream still has it).
        complete
            Whether the stream was never trimmed.
        latest
            The latest status of each agent, in any order.
        """
        since, first_time = self.last or START, self.last is None
        joined = complete if since == START else bool(stored) and stored[0].id == since
        if not joined:
            self.buffer.clear(complete_after=START if complete else None)
            self.last = START
        fresh = [message for message in stored if message.id is None or message.id > since]
        self._store(fresh if joined else stored)
        for message in latest:
            if message.subject is not None:
                known = self._latest.get(message.subject, message)
                self._latest[message.subject] = max(known, message, key=_order)
        seen = self.last or START
        held, self._held = self._held, []
        late = [message for message in held if message.id is None or message.id > seen]
        self._store(late)
        self.last = self.last or START
        self.synced = True
        if first_time:  # subscribers have missed all since the first message held back
            heard = next((message.id for message in held if message.id is not None), None)
            missed = [m for m in stored if heard and m.id is not None and m.id >= heard] + late
            trimmed = bool(missed) and heard is not None and missed[0].id != heard
            return Synced(missed, START if trimmed else None, missed[0].id if trimmed else None)
        if joined:
            return Synced(fresh + late, None, None)
        missed = fresh + late
        oldest = next((message.id for message in missed if message.id is not None), None)
        return Synced(missed, since, oldest)

    def replay(self, since: MessageId | None, history: int | None) -> Replay:
        """Frames to send a new subscriber before the live messages.

        Without ``since``, or if not all messages after it are here, the latest status of
        each agent comes first. No message comes twice.
        """
        if since is not None:
            replay = self.buffer.after(since)
            if not replay.gap:
                return replay
        else:
            replay = self.buffer.last(history or 0)
        bound = replay.oldest
        older = [m for m in self._latest.values() if bound is None or m.id is None or m.id < bound]
        older.sort(key=_order)
        return replay._replace(frames=[message.frame for message in older] + replay.frames)

    def _store(self, messages: Sequence[Message]) -> None:
        ids = [message.id for message in messages if message.id is not None]
        if ids:
            frames = [message.frame for message in messages if message.id is not None]
            self.buffer.extend(ids, frames)
            self.last = ids[-1]
        for message in messages:
            if message.subject is not None:
                self._latest[message.subject] = message
