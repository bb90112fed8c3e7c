"""What a channel said lately."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.bridge.protocol import MessageId
from routingsim.live.bridge.replay_buffer import START, Channel, Message, ReplayBuffer


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
    assert together.floor == one_by_one.floor


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
