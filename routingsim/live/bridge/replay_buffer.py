"""The last messages of each channel, for replay, and their synchronization with Redis.

A bridge keeps the last messages of each channel in memory, as the Redis stream of
the channel does. A returning client gets its replay from here, within one turn of
the event loop: no message can be lost or sent twice between replay and live
messages, and a thousand returning clients cause no load on Redis.

Bridge and Redis are synchronized at the start and after a lost connection.
:meth:`Channel.begin_sync` holds live messages back. The stream is then read from the
last known message on; that this message is still there proves that nothing after it
was lost. :meth:`Channel.end_sync` merges both by id. No I/O, no clock.

Where the stream lacks that message, Redis has lost data, or trimmed the stream. The bridge
hands in what the stream lacks (:meth:`Channel.lost`), under the ids that clients have seen.
Where the stream has newer messages by then, it is too late: the bridge keeps what it has, and
tells a gap: to clients that are there, and, by a notice kept among the messages, to those who
come with an id from before it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import lt
from typing import NamedTuple

import msgspec

from routingsim.live.bridge.protocol import MessageId, gap
from routingsim.live.bridge.send_queue import text_frame

START: MessageId = (0, 0)
"""Before every message."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message ready to send: its id (None if it has none) and its WebSocket frame.

    ``subject`` is the agent id of a status; None for any other message.
    """

    id: MessageId | None
    frame: bytes
    subject: str | None = None


def _text(id: MessageId, frame: bytes) -> bytes | None:
    """The message in a frame, without its id; None if that is not at its end."""
    head = {b"\x7e": 4, b"\x7f": 10}.get(frame[1:2], 2)
    end = b',"id":"%d-%d"}' % id
    return frame[head : -len(end)] + b"}" if frame.endswith(end) else None


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

        An id that is not in the buffer may be that of a message which the server has lost,
        and others with it, so it proves nothing.
        """
        index = bisect_right(self._ids, since, lo=self._start)
        inside = index > self._start and self._ids[index - 1] == since
        return self._from(index, not inside and since != self.complete_after)

    def mark(self, notice: bytes) -> None:
        """Keep a notice to all that come with an id up to the last one, but none after it."""
        if self._ids and len(self._ids[-1]) == 2:
            self._ids.append((*self._ids[-1], 1))  # pyright: ignore - after it, before the next
            self._frames.append(notice)
            self.bytes += len(notice)

    def merge(self, messages: Sequence[Message]) -> None:
        """Add messages in their places."""
        found = dict(zip(self._ids[self._start :], self._frames[self._start :], strict=True))
        found |= {message.id: message.frame for message in messages if message.id is not None}
        places = sorted(found)
        self.clear(self.complete_after)
        self.extend(places, [found[place] for place in places])

    def since(self, place: MessageId) -> dict[MessageId, bytes]:
        """The frames of the messages after an id."""
        index = bisect_right(self._ids, place, lo=self._start)
        pairs = zip(self._ids[index:], self._frames[index:], strict=True)
        return {each: frame for each, frame in pairs if len(each) == 2}

    def last(self, count: int) -> Replay:
        """The last ``count`` messages, or all if there are fewer."""
        return self._from(max(self._start, len(self._ids) - count), False)

    def _from(self, index: int, gap: bool) -> Replay:
        ids = self._ids[index:]
        return Replay(gap, self._frames[index:], ids[0] if ids else None)


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
        self._settled: set[MessageId] = set()  # lost messages that were told as a gap

    def begin_sync(self) -> MessageId:
        """Hold live messages back from now on. Returns the id to read the stream from."""
        self.synced = False
        if self.last is not None:  # they are in the stream, which is read after this
            self._held.clear()
        return self.last or START

    def receive(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Take live messages. Returns those to send now; they may be held back."""
        if not self.synced:
            self._held += messages
            return ()
        self._store(messages)
        return messages

    def end_sync(
        self, stored: Sequence[Message], complete: bool, latest: Iterable[Message]
    ) -> Synced:
        """Merge the messages in the stream with those held back.

        Parameters
        ----------
        stored
            The stream's last messages, oldest first, from the id on that
            :meth:`begin_sync` returned (included, if the stream still has it), or all.
        complete
            Whether the stream was never trimmed.
        latest
            The latest status of each agent, in any order.
        """
        since, first_time = self.last or START, self.last is None
        joined = complete if since == START else bool(stored) and stored[0].id == since
        lost_after = None
        whole = bool(stored) and _order(stored[0]) < since
        if len(self.buffer) and (whole or not joined or since == START):
            fresh, lost_after = self._rejoin(stored, complete)
        else:
            if not joined:
                self.buffer.clear(complete_after=START if complete else None)
                lost_after = None if first_time else since
            after = since if joined else START
            fresh = [m for m in stored if m.id is None or m.id > after]
            self._store(fresh)
        for message in latest:
            if message.subject is not None:
                known = self._latest.get(message.subject, message)
                self._latest[message.subject] = max(known, message, key=_order)
        seen = self.last or START
        held, self._held = self._held, []
        late = [m for m in held if m.id is None or m.id > seen]
        self._store(late)
        self.last = self.last or START
        self.synced = True
        if first_time:  # subscribers have missed all since the first message held back
            heard = next((message.id for message in held if message.id is not None), None)
            missed = [m for m in stored if heard and m.id is not None and m.id >= heard]
            missed += late
            trimmed = bool(missed) and heard is not None and missed[0].id != heard
            return Synced(missed, START if trimmed else None, missed[0].id if trimmed else None)
        missed = [*fresh, *late]
        oldest = next((message.id for message in missed if message.id is not None), None)
        return Synced(missed, lost_after, oldest if lost_after is not None else None)

    def lost(
        self, stored: Sequence[Message], complete: bool
    ) -> list[tuple[MessageId, bytes | None]]:
        """Ids and texts of messages that the stream lacks, other than by trimming.

        The text is None where it cannot be handed in, being another program's.
        """
        ids = {message.id for message in stored}
        floor = START if complete or not stored else _order(stored[0])  # trimmed before it
        return [
            (place, _text(place, frame))
            for place, frame in self.buffer.since(floor).items()
            if place not in ids and place not in self._settled
        ]

    def _rejoin(
        self, stored: Sequence[Message], complete: bool
    ) -> tuple[Sequence[Message], MessageId | None]:
        """Take a whole stream, which may lack messages that it had.

        Returns the messages that clients do not have, and the last one before those that are
        lost, None if none is.
        """
        mine, since = self.buffer.since(START), self.last
        newest, oldest = max(mine), min(mine)
        missing = self.lost(stored, complete)
        ids = {message.id for message in stored}
        fresh = [m for m in stored if m.id is not None and m.id > oldest and m.id not in mine]
        trimmed = since not in ids and not complete and bool(stored) and _order(stored[0]) > newest
        behind = bool(fresh) and _order(fresh[0]) < newest
        lost = bool(missing) or trimmed or behind
        self._settled &= mine.keys()
        self._settled.update(place for place, _ in missing)
        if behind:
            self.buffer.merge(fresh)
        if lost:
            self.buffer.mark(
                text_frame(gap(self.name, newest, _order(fresh[0]) if fresh else None))
            )
        if not behind:
            self._store(fresh)
        self.last = (stored[-1].id if stored else None) or START
        return fresh, newest if lost else None

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
