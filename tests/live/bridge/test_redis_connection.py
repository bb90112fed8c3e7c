"""The connection to Redis: what comes over it, in whatever pieces."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import hiredis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routingsim.live.bridge.redis_connection import SLICE, RedisConnection

Reply = Any

TEXTS = st.binary(max_size=30) | st.just(b">3\r\n$7\r\nmessage\r\n")
BIG = st.builds(lambda size: b"x" * size, st.sampled_from([SLICE - 20, SLICE, 3 * SLICE, 300_000]))
VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


class Failed(str):
    """A reply that is an error."""


def written(value: Reply) -> bytes:
    """A reply as RESP3 writes it."""
    match value:
        case None:
            return b"_\r\n"
        case bool():
            return b"#t\r\n" if value else b"#f\r\n"
        case int():
            return b":%d\r\n" % value
        case Failed():
            return b"-%b\r\n" % value.encode()
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case _:
            return b"*%d\r\n%b" % (len(value), b"".join(map(written, value)))


def push(*values: Reply) -> bytes:
    return b">" + written(list(values))[1:]


class Line(asyncio.Transport):
    """A transport that keeps what is written, and whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = False

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        self.cut = True


class Heard:
    """A connection, and what came over it."""

    def __init__(self) -> None:
        self.pushes: list[list[Any]] = []
        self.lost = 0
        self.line = Line()
        self.connection = RedisConnection(self.take, self.lose)
        self.connection.connection_made(self.line)

    def take(self, pushes: Sequence[list[Any]]) -> None:
        self.pushes += pushes

    def lose(self) -> None:
        self.lost += 1


ERRORS = st.sampled_from([Failed("ERR no"), Failed("MOVED 1 h:2")])


@pytest.mark.slow
@given(
    said=st.lists(
        st.tuples(st.just("push"), TEXTS | BIG)
        | st.tuples(st.just("reply"), VALUES | BIG | ERRORS),
        max_size=8,
    ),
    cuts=st.lists(st.floats(0, 1), max_size=12),
    each_byte=st.booleans(),
)
@example(
    said=[("push", b"x" * SLICE), ("reply", [None, [1, [b"", True]]])], cuts=[], each_byte=False
)
def test_what_comes_is_the_same_in_whatever_pieces(
    said: list[tuple[str, Reply]], cuts: list[float], each_byte: bool
) -> None:
    """Pushes in order, replies to who asked, errors as errors."""
    stream = b"".join(
        push(b"message", b"c", what) if kind == "push" else written(what) for kind, what in said
    )
    ends = sorted({round(cut * len(stream)) for cut in cuts} | {0, len(stream)})
    if each_byte and len(stream) < 2_000:
        ends = list(range(len(stream) + 1))

    async def main() -> None:
        heard = Heard()
        asked = [
            asyncio.ensure_future(heard.connection.call("PING"))
            for kind, _ in said
            if kind == "reply"
        ]
        await asyncio.sleep(0)
        for start, end in pairwise(ends):
            heard.connection.data_received(stream[start:end])
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert heard.pushes == [[b"message", b"c", what] for kind, what in said if kind == "push"]
        for answer, what in zip(answers, (w for kind, w in said if kind == "reply"), strict=True):
            if isinstance(what, Failed):
                assert isinstance(answer, hiredis.ReplyError)
                assert str(answer) == what
            else:
                assert answer == what
        assert (heard.lost, heard.line.cut) == (0, False)

    asyncio.run(main())


@pytest.mark.parametrize("rubbish", [b"HTTP/1.1 400 Bad Request\r\n", b"!", b"\x00\x01"])
def test_what_came_before_rubbish_is_heard_and_then_the_wire_is_cut(rubbish: bytes) -> None:
    async def main() -> None:
        heard = Heard()
        asked = asyncio.ensure_future(heard.connection.call("PING"))
        await asyncio.sleep(0)
        heard.connection.data_received(push(b"message", b"c", b"one") + rubbish)
        with pytest.raises(hiredis.ProtocolError):
            await asked
        assert heard.pushes == [[b"message", b"c", b"one"]]
        assert heard.line.cut
        assert heard.lost
        with pytest.raises(hiredis.ProtocolError):
            await heard.connection.call("PING")

    asyncio.run(main())


def test_a_confirmation_is_an_answer() -> None:
    async def main() -> None:
        heard = Heard()
        asked = asyncio.ensure_future(heard.connection.call("SUBSCRIBE", "c"))
        await asyncio.sleep(0)
        heard.connection.data_received(push(b"subscribe", b"c", 1) + push(b"message", b"c", b"one"))
        assert await asked == [b"subscribe", b"c", 1]
        assert heard.pushes == [[b"message", b"c", b"one"]]

    asyncio.run(main())
