"""What waits for one client."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.send_queue import FrameBatch, SendQueue, text_frame


class Transport(asyncio.WriteTransport):
    """Takes so many bytes before it is full, like a socket whose peer stands still."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.written = b""
        self.queue: SendQueue

    def write(self, data: Any) -> None:
        self.written += data
        if self.get_write_buffer_size():
            self.queue.pause()

    def get_write_buffer_size(self) -> int:
        return max(0, len(self.written) - self.room)


def queue(room: int, limits: Limits) -> tuple[SendQueue, Transport]:
    transport = Transport(room)
    transport.queue = SendQueue(transport, limits, "disconnect")
    return transport.queue, transport


def batch(number: int) -> FrameBatch:
    frame = text_frame(b"%05d" % number)
    return FrameBatch(frame, len(frame), {"c": 1}, 1)


@given(rooms=st.lists(st.integers(0, 200), max_size=20))
def test_what_waits_goes_out_in_order_when_there_is_room(rooms: list[int]) -> None:
    box, transport = queue(0, Limits())
    for number, room in enumerate(rooms):
        assert box.send(batch(number))
        transport.room += room
        if transport.get_write_buffer_size() == 0:
            box.resume()
    transport.room = 10**6
    box.resume()
    assert transport.written == b"".join(bytes(batch(n).payload) for n in range(len(rooms)))  # type: ignore[arg-type]
    assert box.lag_messages == box.lag_bytes == 0
    assert box.delivered == len(rooms)


def test_beyond_its_bound_a_client_must_go() -> None:
    box, _ = queue(0, Limits(queue_messages=10))
    assert [box.send(batch(number)) for number in range(11)] == [True] * 10 + [False]
    assert box.overdue
    assert box.lag_messages == 11


def test_nothing_is_sent_once_it_is_closed() -> None:
    box, transport = queue(0, Limits())
    box.send(batch(0))
    box.send(batch(1))
    box.close()
    box.resume()
    box.send(batch(2))
    assert transport.written == batch(0).payload
