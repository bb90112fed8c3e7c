"""A client's connection: it never waits for its client, and ends in time."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.frames import Frame, Opcode

from routingsim.live.bridge.connection import Connection
from routingsim.live.bridge.protocol import Close, Limits, Session

pytestmark = pytest.mark.system

LIMITS = Limits(close_seconds=0.2, queue_bytes=10**8, frame_burst=5, frames_per_second=0.001)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Owner:
    """A bridge without Redis that notes what it is told."""

    def __init__(self) -> None:
        self.limits = LIMITS
        self.connections: list[Connection] = []
        self.violations: list[Close] = []
        self.ended = asyncio.Event()

    def opened(self, connection: Connection) -> None:
        self.connections.append(connection)

    def closed(self, connection: Connection) -> None:
        self.ended.set()

    def violated(self, connection: Connection, close: Close) -> None:
        self.violations.append(close)
        connection.begin_close(close.code, close.reason, read=False)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Owner, int]]:
    owner, numbers = Owner(), itertools.count(1)

    def new_connection(*args: Any, **options: Any) -> Connection:
        session = Session(LIMITS, asyncio.get_running_loop().time())
        bridge = cast(Any, owner)
        return Connection(bridge, session, next(numbers), "disconnect", *args, **options)

    async def handler(connection: Any) -> None:
        await connection.wait_closed()

    async with (
        asyncio.timeout(20),
        serve(
            handler,
            "127.0.0.1",
            0,
            create_connection=cast(Any, new_connection),
            compression=None,
            ping_interval=None,
            write_limit=(1024, 0),
        ) as server,
    ):
        yield owner, server.sockets[0].getsockname()[1]


async def silent_client(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that reads nothing after its handshake until it is asked to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_a_client_that_answers_gets_its_close_code() -> None:
    async def main() -> None:
        async with serving() as (owner, port), connect(f"ws://127.0.0.1:{port}") as client:
            [connection] = owner.connections
            assert (connection.number, connection.address) == (1, "127.0.0.1")
            connection.begin_close(4008, "slow")
            connection.begin_close(1001, "a second call has no effect")
            connection.queue.control(b"nothing may follow")
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4008, "slow")
            await owner.ended.wait()

    asyncio.run(main())


def test_a_client_that_does_not_answer_is_cut_off() -> None:
    async def main() -> None:
        async with serving() as (owner, port):
            _, writer = await silent_client(port)
            owner.connections[0].begin_close(1001, "server is going away")
            assert not owner.ended.is_set()
            await owner.ended.wait()
            writer.transport.abort()

    asyncio.run(main())


@pytest.mark.parametrize("frame", [Frame(Opcode.TEXT, b"{}"), Frame(Opcode.PING, b"")])
def test_frames_are_counted_and_after_too_many_ignored(frame: Frame) -> None:
    async def main() -> None:
        async with serving() as (owner, port), connect(f"ws://127.0.0.1:{port}") as client:
            client.transport.write(frame.serialize(mask=True) * (LIMITS.frame_burst + 10))
            await client.wait_closed()
            assert client.close_code == 1008
            assert owner.violations == [Close(1008, "too many frames")]

    asyncio.run(main())


def test_stalled_seconds_count_while_data_waits_and_nothing_is_read() -> None:
    async def main() -> None:
        async with serving() as (owner, port):
            reader, writer = await silent_client(port)
            [connection] = owner.connections
            now = asyncio.get_running_loop().time()
            assert connection.stalled_seconds(now + 100) == 0  # nothing waits
            # More than the buffers of the kernel and of the client hold.
            connection.queue.control(b"x" * 50_000_000)
            connection.stalled_seconds(now + 200)  # notes the last progress
            assert connection.stalled_seconds(now + 201) == pytest.approx(1.0)
            assert connection.stalled_seconds(now + 205) == pytest.approx(5.0)
            assert connection.lag().bytes == connection.queue.lag_bytes > 0
            await reader.readexactly(50_000_000)
            assert connection.queue.lag_bytes == 0
            assert connection.stalled_seconds(now + 300) == 0
            writer.transport.abort()

    asyncio.run(main())
