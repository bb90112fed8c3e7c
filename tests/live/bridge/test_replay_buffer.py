"""Replay buffer and channel: what is kept, which gaps are found, what is merged."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.bridge.protocol import MessageId, gap
from routingsim.live.bridge.replay_buffer import START, Channel, Message, ReplayBuffer
from routingsim.live.bridge.send_queue import text_frame


@given(count=st.integers(0, 60), most=st.integers(1, 20), since=st.integers(0, 70))
def test_it_keeps_the_last_ones_and_knows_what_it_lost(count: int, most: int, since: int) -> None:
    buffer = ReplayBuffer(most, 10**6)
    for number in range(1, count + 1):
        buffer.extend([(number, 0)], [b"%d" % number])
    kept = list(range(max(1, count - most + 1), count + 1))
    assert len(buffer) == len(kept)
    assert buffer.last(10**6).frames == [b"%d" % number for number in kept]
    replay = buffer.after((since, 0))
    assert replay.frames == [b"%d" % number for number in kept if number > since]
    lost = since < count - most
    beyond = since > count
    assert replay.gap == (lost or beyond)


@pytest.mark.slow
@given(
    places=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), max_size=30),
    sizes=st.lists(st.integers(0, 9), min_size=30, max_size=30),
    cuts=st.lists(st.integers(1, 30)),
    most=st.integers(1, 12),
)
def test_many_at_once_are_as_one_after_the_other(
    places: list[MessageId], sizes: list[int], cuts: list[int], most: int
) -> None:
    """Whether or not they are in order, and however much has to go."""
    one_by_one, together = ReplayBuffer(most, 40), ReplayBuffer(most, 40)
    frames = [b"x" * size for size in sizes[: len(places)]]
    for place, frame in zip(places, frames, strict=True):
        one_by_one.extend([place], [frame])
    for start, end in pairwise([0, *sorted(set(cuts)), 30]):
        together.extend(places[start:end], frames[start:end])
    assert together.last(99) == one_by_one.last(99)
    assert together.bytes == one_by_one.bytes == sum(map(len, together.last(99).frames))
    assert together.complete_after == one_by_one.complete_after


def filled(*numbers: int, most: int = 100) -> ReplayBuffer:
    """A buffer to which messages with these ids were added one by one."""
    buffer = ReplayBuffer(most, 10**6)
    for number in numbers:
        buffer.extend([(number, 0)], [b"%d" % number])
    return buffer


@pytest.mark.parametrize(
    ("buffer", "complete_after", "gaps"),
    [
        # Nothing was ever removed: complete from the start on, but unknown beyond the end.
        (filled(), START, {0: False, 1: True}),
        # Nor is an id known that is none of a message: the server may have lost that one.
        (filled(3, 5), START, {0: False, 2: True, 3: False, 4: True, 5: False, 6: True}),
        # 1 and 3 were removed for lack of room: complete after 3, the last of these.
        (
            filled(1, 3, 5, 7, most=2),
            (3, 0),
            {0: True, 1: True, 2: True, 3: False, 4: True, 5: False, 6: True, 7: False, 8: True},
        ),
        # An id that does not rise resets the buffer: what came before is unknown.
        (filled(8, 9, 2), None, {0: True, 1: True, 2: False, 3: True, 8: True, 9: True}),
        (filled(4, 4), None, {0: True, 3: True, 4: False, 5: True}),
        # After a reset messages are removed for lack of room as before it.
        (filled(9, 2, 3, 4, most=2), (2, 0), {0: True, 1: True, 2: False, 3: False, 9: True}),
    ],
    ids=["empty", "whole", "trimmed", "reset", "repeated", "reset-and-trimmed"],
)
def test_which_ids_have_a_gap_after_them(
    buffer: ReplayBuffer, complete_after: MessageId | None, gaps: dict[int, bool]
) -> None:
    assert buffer.complete_after == complete_after
    assert {since: buffer.after((since, 0)).gap for since in gaps} == gaps


def test_a_reset_keeps_only_messages_from_the_reset_on() -> None:
    buffer = ReplayBuffer(100, 10**6)
    buffer.extend([(5, 0), (6, 0), (2, 0), (3, 0)], [b"five", b"six", b"two", b"three"])
    assert buffer.last(10) == (False, [b"two", b"three"], (2, 0))
    assert (len(buffer), buffer.bytes) == (2, 8)
    assert buffer.after(START) == (True, [b"two", b"three"], (2, 0))
    assert buffer.after((2, 0)) == (False, [b"three"], (3, 0))
    assert buffer.after((3, 0)) == (False, [], None)


def test_bytes_are_bounded_but_one_message_is_always_kept() -> None:
    buffer = ReplayBuffer(100, 10)
    for number in range(1, 6):
        buffer.extend([(number, 0)], [b"xxxx"])
    assert len(buffer) == 2
    assert buffer.bytes == 8
    buffer.extend([(6, 0)], [b"x" * 50])
    assert len(buffer) == 1


def test_what_arrives_while_the_stream_is_read_comes_once() -> None:
    channel = Channel("c", 100, 10**6)
    assert channel.begin_sync() == START
    messages = [Message((number, 0), b"%d" % number) for number in range(1, 6)]
    for message in messages[2:]:
        assert not channel.receive([message])
    channel.end_sync(messages[:4], complete=True, latest=())
    assert channel.replay((1, 0), None).frames == [b"2", b"3", b"4", b"5"]
    assert channel.receive([Message((6, 0), b"6")])


def test_who_came_before_the_first_look_gets_what_came_before_it() -> None:
    """The bridge hears a channel from its subscribing on, and looks at the stream after."""
    messages = [Message((number, 0), b"%d" % number) for number in range(1, 7)]
    channel = Channel("c", 100, 10**6)
    channel.receive([messages[2]])
    channel.begin_sync()
    channel.receive([messages[4]])
    assert channel.end_sync(messages[:4], complete=True, latest=()) == (messages[2:5], None, None)

    trimmed = Channel("c", 100, 10**6)
    trimmed.receive([messages[0]])
    trimmed.begin_sync()
    synced = trimmed.end_sync(messages[3:], complete=False, latest=())
    assert synced == (messages[3:], START, (4, 0))

    silent = Channel("c", 100, 10**6)
    silent.begin_sync()
    assert silent.end_sync(messages, complete=True, latest=()).messages == []


def messages(*numbers: int) -> list[Message]:
    return [Message((number, 0), b"%d" % number) for number in numbers]


@pytest.mark.parametrize("complete", [True, False])
def test_the_first_synchronization_knows_the_start_only_of_a_complete_stream(
    complete: bool,
) -> None:
    channel = Channel("c", 100, 10**6)
    assert channel.begin_sync() == START
    assert channel.end_sync(messages(4, 5), complete, ()) == ([], None, None)
    assert channel.replay(START, None) == (not complete, [b"4", b"5"], (4, 0))
    assert channel.replay((4, 0), None) == (False, [b"5"], (5, 0))
    assert channel.replay((3, 0), None) == (True, [b"4", b"5"], (4, 0))


@pytest.mark.parametrize("complete", [True, False])
def test_a_stream_that_still_has_the_last_message_has_no_gap(complete: bool) -> None:
    """Whether or not it was trimmed before that message."""
    channel = Channel("c", 100, 10**6)
    channel.begin_sync()
    channel.end_sync(messages(4, 5), True, ())
    assert channel.begin_sync() == (5, 0)
    assert not channel.receive(messages(7))
    assert channel.end_sync(messages(5, 6), complete, ()) == (messages(6, 7), None, None)
    assert channel.last == (7, 0)
    assert channel.replay(START, None) == (False, [b"4", b"5", b"6", b"7"], (4, 0))


def framed(*numbers: int) -> list[Message]:
    """Messages whose text is that of the number."""
    bodies = (b'{"n":%d,"id":"%d-0"}' % (n, n) for n in numbers)
    return [Message((n, 0), text_frame(b), None) for n, b in zip(numbers, bodies, strict=True)]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("stored", [(), (8, 9), (2, 3)], ids=["empty", "later", "earlier"])
def test_a_stream_without_the_last_message_has_a_gap(
    stored: tuple[int, ...], complete: bool
) -> None:
    """It was trimmed, or is that of a server that lost its history."""
    channel = Channel("c", 100, 10**6)
    channel.begin_sync()
    channel.end_sync(framed(4, 5), True, ())
    channel.begin_sync()
    missed = framed(*(number for number in stored if number > 5))
    oldest = missed[0].id if missed else None
    assert channel.end_sync(framed(*stored), complete, ()) == (missed, (5, 0), oldest)
    # Who comes later gets what the bridge had, the notice, and what is new.
    notice = text_frame(gap("c", (5, 0), oldest))
    rest = [notice, *(message.frame for message in missed)]
    assert channel.replay((4, 0), None) == (False, [framed(5)[0].frame, *rest], (5, 0))
    assert channel.replay((5, 0), None)[:2] == (False, rest)
    assert channel.replay((3, 0), None).gap
    assert channel.last == ((stored[-1], 0) if stored else START)
    # A message that Redis has again is not sent again, nor kept twice.
    channel.begin_sync()
    again = framed(*stored, 5) if stored != (8, 9) else framed(9)
    assert channel.end_sync(again, True, ()) == ([], None, None)
    assert channel.replay((5, 0), None)[:2] == (False, rest)


def test_what_the_server_lost_is_named_with_its_id_and_text() -> None:
    channel = Channel("c", 100, 10**6)
    channel.begin_sync()
    channel.end_sync(framed(4, 5, 6), True, ())
    assert channel.begin_sync() == (6, 0)
    text = [b'{"n":5}', b'{"n":6}']
    assert channel.lost(framed(4), True) == [((5, 0), text[0]), ((6, 0), text[1])]
    assert channel.lost([], True) == [((4, 0), b'{"n":4}'), *channel.lost(framed(4), True)]
    # What was trimmed is not lost: the stream begins at 5.
    assert channel.lost(framed(5), False) == [((6, 0), text[1])]
    # Handed in, they are there again, and those that came after them.
    assert channel.end_sync(framed(4, 5, 6, 7), True, ()) == (framed(7), None, None)
    assert channel.lost(framed(4, 5, 6, 7), True) == []
    assert channel.replay((5, 0), None).frames == [m.frame for m in framed(6, 7)]


def test_what_could_not_be_handed_in_is_kept_and_told_once() -> None:
    channel = Channel("c", 100, 10**6)
    channel.begin_sync()
    channel.end_sync(framed(4, 5, 6), True, ())
    channel.begin_sync()
    assert channel.end_sync(framed(4, 8), True, ()) == (framed(8), (6, 0), (8, 0))
    assert channel.lost(framed(4, 8), True) == []
    channel.begin_sync()
    assert channel.end_sync(framed(4, 8, 9), True, ()) == (framed(9), None, None)
    notice = text_frame(gap("c", (6, 0), (8, 0)))
    five, six, eight, nine = (message.frame for message in framed(5, 6, 8, 9))
    assert channel.replay((4, 0), None) == (False, [five, six, notice, eight, nine], (5, 0))
    assert channel.replay((8, 0), None) == (False, [nine], (9, 0))


def test_a_message_whose_id_is_not_at_its_end_is_not_handed_in() -> None:
    """It is another program's."""
    channel = Channel("c", 100, 10**6)
    channel.begin_sync()
    channel.end_sync([], True, ())
    channel.receive([Message((5, 0), text_frame(b'{"id":"5-0","n":5}'))])
    assert channel.lost([], True) == [((5, 0), None)]


def test_the_latest_statuses_come_first_where_the_replay_has_a_gap_and_only_there() -> None:
    channel = Channel("c", 2, 10**6)
    channel.begin_sync()
    channel.end_sync([], True, ())
    for number, agent in enumerate("abac", start=1):
        channel.receive([Message((number, 0), b"%d" % number, agent)])
    assert channel.replay((2, 0), None) == (False, [b"3", b"4"], (3, 0))
    assert channel.replay((1, 0), None) == (True, [b"2", b"3", b"4"], (3, 0))
    assert channel.replay(None, 1) == (False, [b"2", b"3", b"4"], (4, 0))
    assert channel.replay(None, None) == (False, [b"2", b"3", b"4"], None)
