"""The fan-out: who gets what, in which order, and how much may wait."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from routingsim.live.bridge.fanout import Fanout
from routingsim.live.bridge.protocol import Limits, MessageId, Subscribe, format_id, parse_id
from routingsim.live.bridge.replay_buffer import START, Message
from routingsim.live.bridge.send_queue import SendQueue, text_frame
from routingsim.messages import DECISIONS, STATUSES

HISTORY = 6
LIMITS = Limits(history_messages=HISTORY)
SUBSCRIBED = b'{"type":"subscribed"}'


class Client(asyncio.WriteTransport):
    """A transport that a test can fill up, and what came through it."""

    def __init__(self) -> None:
        self.data = b""
        self.room = True
        self.waiting = 0
        self.queue: SendQueue

    def write(self, data: Any) -> None:
        self.data += data
        if not self.room:
            self.waiting += len(data)
            self.queue.pause()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def drain(self) -> None:
        self.waiting = 0
        self.room = True
        self.queue.resume()

    @property
    def received(self) -> list[dict[str, Any]]:
        """The messages in the frames, which must be whole."""
        messages, rest = [], self.data
        while rest:
            assert rest[0] == 0x81
            size, start = rest[1], 2
            if size == 126:
                size, start = int.from_bytes(rest[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(rest[2:10], "big"), 10
            messages.append(json.loads(rest[start : start + size]))
            rest = rest[start + size :]
        return messages

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["type"] == kind]


def client(limits: Limits = LIMITS, slow: Any = "disconnect") -> Client:
    result = Client()
    result.queue = SendQueue(result, limits, slow)
    return result


def body(place: MessageId, kind: str = "m", **payload: Any) -> bytes:
    return json.dumps({"type": kind, "payload": payload, "id": format_id(place)}).encode()


@dataclass
class Server:
    """A Redis channel of a model: what it stores, and the order in which things arrive."""

    name: str
    fanout: Fanout
    stored: list[MessageId] = field(default_factory=list)
    trimmed: bool = False
    subscribed: bool = False
    in_transit: deque[Callable[[], None]] = field(default_factory=deque)
    asked: list[MessageId] = field(default_factory=list)

    def publish(self, place: MessageId) -> None:
        self.stored.append(place)
        if len(self.stored) > HISTORY:
            del self.stored[0]
            self.trimmed = True
        if self.subscribed:
            self.in_transit.append(lambda: self.fanout.messages(self.name, [body(place)]))

    def ask(self) -> None:
        """The bridge sends its question; see Subscriber._sync."""
        self.asked.append(self.fanout.begin_sync(self.name))

    def answer(self) -> None:
        """The server answers, of this moment, behind what it sent before."""
        since = self.asked.pop()
        found = [place for place in self.stored if place >= since]
        if since != START and found[:1] != [since]:
            found = list(self.stored)
        messages = [Message(place, text_frame(body(place))) for place in found]
        complete = not self.trimmed
        self.in_transit.append(lambda: self.fanout.end_sync(self.name, messages, complete, []))

    def break_down(self) -> None:
        self.subscribed = False
        self.in_transit.clear()
        self.asked.clear()
        self.fanout.status(False, "gone")


class Seam(RuleBasedStateMachine):
    """Clients come and go with ``since`` while Redis comes and goes: exactly once, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduled: list[Callable[[], None]] = []
        self.resyncs = 0
        self.fanout = Fanout(
            LIMITS,
            schedule=self.scheduled.append,
            resync=self.resync,
            evict=lambda queue: pytest.fail("nobody is slow here"),
        )
        self.server = Server(DECISIONS, self.fanout)
        self.published: list[MessageId] = []
        self.readers: list[Reader] = []

    def resync(self, name: str) -> None:
        self.resyncs += 1

    @rule(same=st.booleans())
    def publish(self, same: bool) -> None:
        last = self.published[-1] if self.published else (5, 0)
        place = (last[0], last[1] + 1) if same else (last[0] + 1, 0)
        self.published.append(place)
        self.server.publish(place)

    @precondition(lambda self: not self.server.subscribed)
    @rule()
    def connect(self) -> None:
        self.server.subscribed = True
        self.server.ask()

    @precondition(lambda self: self.server.subscribed)
    @rule()
    def lose(self) -> None:
        self.server.break_down()

    @precondition(lambda self: self.server.asked)
    @rule()
    def answer(self) -> None:
        self.server.answer()

    @precondition(lambda self: self.server.in_transit)
    @rule(count=st.integers(1, 5))
    def arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.server.in_transit))):
            self.server.in_transit.popleft()()
            if self.fanout.channels[DECISIONS].synced:
                self.fanout.status(True, "back")

    @precondition(lambda self: self.resyncs and self.server.subscribed)
    @precondition(lambda self: self.fanout.channels[DECISIONS].synced)
    @rule()
    def ask_again(self) -> None:
        self.resyncs = 0
        self.server.ask()

    @rule()
    def turn(self) -> None:
        for flush in self.scheduled:
            flush()
        self.scheduled.clear()

    @rule(history=st.integers(0, HISTORY + 2) | st.none())
    def come(self, history: int | None) -> None:
        self.readers.append(Reader(self.fanout, history, len(self.published)))

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), ahead=st.booleans())
    def come_back(self, data: st.DataObject, ahead: bool) -> None:
        """With the last message seen, here or at another bridge that was quicker."""
        reader = data.draw(st.sampled_from(self.readers))
        newer = [place for place in self.published if place > (reader.last or START)]
        elsewhere = data.draw(st.sampled_from(newer)) if ahead and newer else None
        reader.come_back(elsewhere)

    @invariant()
    def in_order_once(self) -> None:
        for reader in self.readers:
            places = reader.places
            assert places == sorted(set(places))

    def teardown(self) -> None:
        if not self.server.subscribed:
            self.connect()
        while self.server.in_transit or self.server.asked or self.resyncs:
            if self.server.asked:
                self.answer()
            elif self.server.in_transit:
                self.arrive(1)
            else:
                self.ask_again()
        self.turn()
        for reader in self.readers:
            reader.check(self.published)
        super().teardown()


class Reader:
    """A client of the model over all its connections."""

    def __init__(self, fanout: Fanout, history: int | None, published: int) -> None:
        self.fanout = fanout
        self.start = published
        self.before: list[MessageId] = []
        self.elsewhere: set[MessageId] = set()
        self.gaps: list[tuple[MessageId, MessageId | None]] = []
        self._connect(None, history)

    def _connect(self, since: MessageId | None, history: int | None) -> None:
        self.client = client()
        self.fanout.add(self.client.queue)
        self.fanout.subscribe(self.client.queue, Subscribe(DECISIONS, since, history, SUBSCRIBED))

    def come_back(self, elsewhere: MessageId | None) -> None:
        if self.last is None and elsewhere is None:
            return
        self._remember()
        since = max(self.last or START, elsewhere or START)
        self.fanout.remove(self.client.queue)
        if elsewhere is not None:
            self.elsewhere.add(elsewhere)
            self.before.append(elsewhere)
        self._connect(since, None)

    def _remember(self) -> None:
        self.before = self.places
        for notice in self.client.of("gap"):
            oldest = notice["oldest"]
            self.gaps.append(
                (parse_id(notice["since"]), None if oldest is None else parse_id(oldest))
            )
        self.client.data = b""

    @property
    def places(self) -> list[MessageId]:
        return self.before + [parse_id(message["id"]) for message in self.client.of("m")]

    @property
    def last(self) -> MessageId | None:
        return self.places[-1] if self.places else None

    def check(self, published: list[MessageId]) -> None:
        """All since the first message seen, but for what a gap or another bridge covers."""
        self._remember()
        got = set(self.places)
        if not got:
            return
        for place in published:
            if place < self.places[0] or place in got:
                continue
            other = any(place < seen for seen in self.elsewhere)
            lost = any(
                since < place and (oldest is None or place < oldest) for since, oldest in self.gaps
            )
            assert other or lost, f"{place} is missing without a word"


TestSeam = Seam.TestCase
TestSeam.settings = settings(max_examples=100, stateful_step_count=50)


def fanout_of(*clients: Client, channel: str = DECISIONS) -> tuple[Fanout, list[SendQueue]]:
    """A synced fanout whose clients are subscribed, and whom it has evicted."""
    evicted: list[SendQueue] = []
    fanout = Fanout(
        LIMITS, schedule=lambda flush: None, resync=lambda name: None, evict=evicted.append
    )
    for name in fanout.channels:
        fanout.begin_sync(name)
        fanout.end_sync(name, [], True, [])
    fanout.status(True, "")
    for one in clients:
        fanout.add(one.queue)
        fanout.subscribe(one.queue, Subscribe(channel, None, None, SUBSCRIBED))
    return fanout, evicted


def test_one_write_a_turn_keeps_the_order_across_channels() -> None:
    both, one = client(), client()
    fanout, _ = fanout_of(both, one)
    fanout.subscribe(both.queue, Subscribe(STATUSES, None, None, SUBSCRIBED))
    writes: list[bytes] = []
    both.write = writes.append  # type: ignore[method-assign]
    for number in range(4):
        fanout.messages(STATUSES if number % 2 else DECISIONS, [body((number, 0))])
    fanout.flush()
    assert len(writes) == 1
    both.data = writes[0]
    assert [message["id"] for message in both.received] == ["0-0", "1-0", "2-0", "3-0"]
    assert [message["id"] for message in one.of("m")] == ["0-0", "2-0"]
    assert fanout.delivered == 6


def test_messages_pass_byte_for_byte() -> None:
    one = client()
    fanout, _ = fanout_of(one)
    data = '{ "type" :"x","é":"\\u00e9\\n", "id": 5 }'.encode()
    fanout.messages(DECISIONS, [data])
    fanout.flush()
    assert one.data.endswith(text_frame(data))


@pytest.mark.parametrize("data", [b"", b"\xff", b'{"type":"\xff"}', b"[1]", b"{", b"[" * 9_999])
def test_what_would_break_a_browser_goes_to_nobody(data: bytes) -> None:
    one = client()
    fanout, _ = fanout_of(one)
    fanout.messages(DECISIONS, [data])
    fanout.flush()
    assert one.of("m") == []
    assert fanout.malformed == 1


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_frames_are_as_websockets_makes_them(size: int) -> None:
    from websockets.frames import Frame, Opcode

    text = b"x" * size
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)


def test_newcomers_see_the_latest_status_of_each_agent() -> None:
    fanout, _ = fanout_of()
    for place, agent in enumerate(["a", "b", "a", "c"], start=1):
        fanout.messages(STATUSES, [body((place, 0), "agent_status", agentId=agent)])
    for history, expected in ((None, ["2-0", "3-0", "4-0"]), (2, ["2-0", "3-0", "4-0"])):
        one = client()
        fanout.add(one.queue)
        fanout.subscribe(one.queue, Subscribe(STATUSES, None, history, SUBSCRIBED))
        assert [message["id"] for message in one.of("agent_status")] == expected
    back = client()
    fanout.add(back.queue)
    fanout.subscribe(back.queue, Subscribe(STATUSES, (2, 0), None, SUBSCRIBED))
    assert [message["id"] for message in back.of("agent_status")] == ["3-0", "4-0"]


def test_since_before_the_history_gets_a_gap_notice() -> None:
    fanout, _ = fanout_of()
    for place in range(1, HISTORY + 4):
        fanout.messages(DECISIONS, [body((place, 0))])
    one = client()
    fanout.add(one.queue)
    fanout.subscribe(one.queue, Subscribe(DECISIONS, (1, 0), None, SUBSCRIBED))
    [notice] = one.of("gap")
    assert (notice["since"], notice["oldest"]) == ("1-0", "4-0")
    assert len(one.of("m")) == HISTORY


def test_a_restarted_server_without_history_is_a_gap() -> None:
    one = client()
    fanout, _ = fanout_of(one)
    fanout.messages(DECISIONS, [body((10, 0))])
    fanout.status(False, "gone")
    fanout.begin_sync(DECISIONS)
    fanout.end_sync(DECISIONS, [Message((20, 0), text_frame(body((20, 0))))], True, [])
    fanout.flush()
    kinds = [(message["type"], message.get("id")) for message in one.received]
    assert kinds == [
        ("subscribed", None),
        ("m", "10-0"),
        ("status", None),
        ("gap", None),
        ("m", "20-0"),
    ]


def test_a_server_whose_clock_went_back_is_followed() -> None:
    one = client()
    fanout, _ = fanout_of(one)
    fanout.messages(DECISIONS, [body((10, 0))])
    fanout.status(False, "gone")
    fanout.begin_sync(DECISIONS)
    fanout.end_sync(DECISIONS, [], True, [])
    fanout.messages(DECISIONS, [body((3, 0))])
    fanout.flush()
    assert [message["id"] for message in one.of("m")] == ["10-0", "3-0"]
    assert len(one.of("gap")) == 1


SMALL = Limits(queue_messages=10, queue_bytes=10_000)


def test_a_stalled_client_is_evicted_at_its_bound_and_nobody_else() -> None:
    stalled, healthy = client(SMALL), client(SMALL)
    fanout, evicted = fanout_of(stalled, healthy)
    stalled.room = False
    for place in range(1, 14):
        fanout.messages(DECISIONS, [body((place, 0))])
        fanout.flush()
        assert bool(evicted) == (place > 10)
    assert set(evicted) == {stalled.queue}
    assert len(healthy.of("m")) == 13


def test_bytes_are_bounded_too() -> None:
    stalled = client(SMALL)
    fanout, evicted = fanout_of(stalled)
    stalled.room = False
    fanout.messages(DECISIONS, [body((1, 0), text="x" * 6_000)])
    fanout.flush()
    assert not evicted
    fanout.messages(DECISIONS, [body((2, 0), text="x" * 6_000)])
    fanout.flush()
    assert evicted == [stalled.queue]


def test_a_slow_client_may_be_spared_messages_instead() -> None:
    slow = client(SMALL, "drop")
    fanout, evicted = fanout_of(slow)
    slow.room = False
    for place in range(1, 31):
        fanout.messages(DECISIONS, [body((place, 0))])
        fanout.flush()
        if place == 15:
            slow.queue.control(b'{"type":"pong"}')
    assert not evicted
    assert slow.queue.lag_messages <= SMALL.queue_messages
    slow.drain()
    numbers = [parse_id(message["id"])[0] for message in slow.of("m")]
    notices = slow.of("dropped")
    assert numbers == sorted(numbers)
    assert numbers[-1] == 30
    assert sum(notice["count"] for notice in notices) == 30 - len(numbers) == slow.queue.dropped
    assert len(slow.of("pong")) == 1
    # What was left out is told before what comes after it.
    order = [message["type"] for message in slow.received]
    assert order.index("dropped") < len(order) - 1


def test_a_replay_does_not_count_against_its_reader() -> None:
    fanout, evicted = fanout_of()
    for place in range(1, HISTORY + 1):
        fanout.messages(DECISIONS, [body((place, 0), text="x" * 4_000)])
    fanout.flush()
    reader = client(SMALL)
    fanout.add(reader.queue)
    reader.room = False
    fanout.subscribe(reader.queue, Subscribe(DECISIONS, START, None, SUBSCRIBED))
    fanout.messages(DECISIONS, [body((9, 0))])
    fanout.flush()
    assert not evicted
    reader.drain()
    assert len(reader.of("m")) == HISTORY + 1
    assert reader.queue.lag_messages == 0
