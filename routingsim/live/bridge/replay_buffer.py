"""What a channel said lately, and the seam between that and what it says now.

A bridge keeps each channel's last messages in memory, in step with the Redis
stream behind it. A client that comes back is served from here, in one step of
the event loop, so that there is no moment between "missed" and "live" in which
a message could be lost or sent twice, and a thousand clients coming back at
once cost Redis nothing.

The one seam left is between bridge and Redis, at the start and after a lost
connection: :meth:`Channel.begin_sync` keeps what arrives meanwhile, the stream is
read from the last message known (included, as a proof that nothing between was
lost), and :meth:`Channel.end_sync` joins the two by comparing ids. Pure: no I/O,
no clock.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import lt
from typing import NamedTuple

import msgspec

from routingsim.live.bridge.protocol import MessageId

__all__ = ["START", "Channel", "Message", "Replay", "ReplayBuffer", "Synced"]

START: MessageId = (0, 0)
"""Before every message."""

BEFORE_ALL: MessageId = (-1, -1)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message ready to send: its id (None if its publisher gave none) and its frame.

    ``subject`` is the agent that a status is about; None for any other message.
    """

    id: MessageId | None
    frame: bytes
    subject: str | None = None


def _place(message: Message) -> MessageId:
    return message.id or START


class Replay(NamedTuple):
    """What a client missed, oldest first. ``gap``: some before that are lost."""

    gap: bool
    frames: list[bytes]
    oldest: MessageId | None


class Synced(NamedTuple):
    """What subscribers missed while Redis was away, oldest first.

    ``gap_since`` is the last message before those that nobody can have any
    more, None if all are here; ``oldest`` the first message after the gap.
    """

    messages: list[Message]
    gap_since: MessageId | None
    oldest: MessageId | None


class ReplayBuffer:
    """The last messages of a channel by id, bounded in number and bytes.

    ``floor`` is the id after which every message is here: ``START`` while none
    was ever left out, None if it is not known what came before the first one.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.bytes = 0
        self.floor: MessageId | None = START
        # Two lists with a moving start: binary search needs indexing, which a deque has not.
        self._ids: list[MessageId] = []
        self._frames: list[bytes] = []
        self._start = 0

    def __len__(self) -> int:
        return len(self._ids) - self._start

    @property
    def first(self) -> MessageId | None:
        """Id of the oldest message here."""
        return self._ids[self._start] if len(self) else None

    def clear(self, floor: MessageId | None) -> None:
        """Forget all; ``floor`` as in the class."""
        self._ids.clear()
        self._frames.clear()
        self._start = self.bytes = 0
        self.floor = floor

    def extend(self, places: Sequence[MessageId], added: Sequence[bytes]) -> None:
        """Add the newest messages; one that is not newer starts the buffer afresh."""
        ids, frames = self._ids, self._frames
        before = [*(ids[-1:] or [BEFORE_ALL]), *places]
        if not all(map(lt, before, places)):
            afresh = max(at for at, place in enumerate(places) if place <= before[at])
            places, added = places[afresh:], added[afresh:]
            self.clear(floor=None)
        ids += places
        frames += added
        self.bytes += sum(map(len, added))
        start, end = self._start, len(ids)
        while end - start > self.max_messages or (self.bytes > self.max_bytes and end - start > 1):
            self.floor = ids[start]
            self.bytes -= len(frames[start])
            frames[start] = b""
            start += 1
        if start > 1024 and start > end // 2:
            del ids[:start], frames[:start]
            start = 0
        self._start = start

    def reaches(self, since: MessageId) -> bool:
        """Whether every message after ``since`` is here.

        An id outside what is here may belong to a history that a restarted
        server has forgotten, so only ids within prove anything.
        """
        first = self.first
        return since == self.floor or (first is not None and first <= since <= self._ids[-1])

    def after(self, since: MessageId) -> Replay:
        """All messages after ``since``."""
        return self._from(bisect_right(self._ids, since, lo=self._start), not self.reaches(since))

    def last(self, count: int) -> Replay:
        """The last ``count`` messages, or all if there are fewer."""
        return self._from(max(self._start, len(self._ids) - count), False)

    def _from(self, index: int, gap: bool) -> Replay:
        oldest = self._ids[index] if index < len(self._ids) else None
        return Replay(gap, self._frames[index:], oldest)


class Channel:
    """One channel: its buffer, the latest status of each subject, and the seam."""

    def __init__(self, name: str, max_messages: int, max_bytes: int) -> None:
        self.name = name
        self.buffer = ReplayBuffer(max_messages, max_bytes)
        self.last: MessageId | None = None
        """Newest id known, ``START`` if there is none; None before the first synchronizing."""
        self.synced = False
        """Whether in step with Redis: nothing is being held or missed."""
        self._latest: dict[str, Message] = {}
        self._held: list[Message] = []

    def begin_sync(self) -> MessageId:
        """Keep live messages back from now on. Returns the id to read the stream from."""
        self.synced = False
        if self.last is not None:  # the stream has those, and tells who missed them
            self._held.clear()
        return self.last or START

    def receive(self, messages: Sequence[Message]) -> bool:
        """Take live messages. True: send them on now; False: they are held."""
        if not self.synced:
            self._held += messages
            return False
        self._store(messages)
        return True

    def end_sync(
        self, stored: Sequence[Message], complete: bool, latest: Iterable[Message]
    ) -> Synced:
        """Join what the stream holds to what was held.

        Parameters
        ----------
        stored
            The stream's last messages, oldest first, from the id that
            :meth:`begin_sync` returned (included, if the stream still has it).
        complete
            Whether the stream was never trimmed.
        latest
            The latest status of each subject, in any order.
        """
        since, first_time = self.last or START, self.last is None
        joined = complete if since == START else bool(stored) and stored[0].id == since
        if not joined:
            self.buffer.clear(floor=START if complete else None)
            self.last = START
        fresh = [message for message in stored if message.id is None or message.id > since]
        self._store(fresh if joined else stored)
        for message in latest:
            if message.subject is not None:
                known = self._latest.get(message.subject, message)
                self._latest[message.subject] = max(known, message, key=_place)
        seen = self.last or START
        held, self._held = self._held, []
        late = [message for message in held if message.id is None or message.id > seen]
        self._store(late)
        self.last = self.last or START
        self.synced = True
        if first_time:  # whoever waits has missed what was said since we first heard something
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
        """What to send a new subscriber before the live messages.

        Those who cannot have all they missed, or asked for no certain point,
        get the latest status of each subject first, each message only once.
        """
        if since is not None:
            replay = self.buffer.after(since)
            if not replay.gap:
                return replay
        else:
            replay = self.buffer.last(history or 0)
        bound = replay.oldest
        older = [m for m in self._latest.values() if bound is None or m.id is None or m.id < bound]
        older.sort(key=_place)
        return replay._replace(frames=[message.frame for message in older] + replay.frames)

    def _store(self, messages: Sequence[Message]) -> None:
        places = [message.id for message in messages if message.id is not None]
        if places:
            frames = [message.frame for message in messages if message.id is not None]
            self.buffer.extend(places, frames)
            self.last = places[-1]
        for message in messages:
            if message.subject is not None:
                self._latest[message.subject] = message
