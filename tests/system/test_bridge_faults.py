"""The bridge when things go wrong: what was published is what each healthy client gets.

Short forms; each is one fault on a real server with real sockets.
"""

import asyncio
import contextlib
import gc
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_client
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker, connect
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.settings import Settings
from routingsim.messages import (
    DECISIONS,
    AgentInfo,
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)

pytestmark = pytest.mark.system

AGENT = AgentInfo("GPT-4", "gpt-4", ("code", "reasoning"), 0.03, 2.5)
SCORE = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))
LIMITS = Limits(close_seconds=0.3)


def decisions(numbers: Iterable[int]) -> Iterable[RoutingDecision]:
    return (RoutingDecision(str(n), AGENT, SCORE, "Routed to GPT-4", 0) for n in numbers)


class Reader:
    """A healthy client: reads all, and comes back with ``since`` when its bridge is gone."""

    def __init__(self, url: Callable[[], str]) -> None:
        self.got: list[int] = []
        self.notices: list[dict[str, Any]] = []
        self._url = url
        self._last: str | None = None
        self.task = asyncio.create_task(self._run())
        self.subscribed = asyncio.Event()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(ConnectionClosed, OSError):
                async with open_client(
                    self._url(), compression=None, max_queue=1_000, max_size=None
                ) as ws:
                    await self._read(ws)
            await asyncio.sleep(0.05)

    async def _read(self, ws: ClientConnection) -> None:
        frame = {"type": "subscribe", "channel": DECISIONS, "since": self._last}
        await ws.send(json.dumps(frame))
        async for text in ws:
            message = json.loads(text)
            if message["type"] == "routing_decision":
                self._last = message["id"]
                self.got.append(int(message["payload"]["taskId"]))
            elif message["type"] == "subscribed":
                self.subscribed.set()
            else:
                self.notices.append(message)

    @property
    def statuses(self) -> list[str]:
        return [notice["upstream"] for notice in self.notices if notice["type"] == "status"]


@contextlib.asynccontextmanager
async def reading(url: Callable[[], str], count: int = 1) -> AsyncIterator[list[Reader]]:
    readers = [Reader(url) for _ in range(count)]
    await asyncio.gather(*(reader.subscribed.wait() for reader in readers))
    try:
        yield readers
    finally:
        for reader in readers:
            reader.task.cancel()
        await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)


async def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.01)


def sockets(bridge: Bridge) -> int:
    """Open sockets on the bridge's side, those in a handshake too."""
    found = psutil.Process().net_connections("tcp")
    return sum(s.laddr.port == bridge.port and s.status != psutil.CONN_LISTEN for s in found)


def run(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 50))


def test_a_server_killed_and_restarted_loses_nothing(tmp_path: Path, port: int) -> None:
    keep: dict[str, str | int] = {
        "appendonly": "yes",
        "appendfsync": "always",
        "dir": str(tmp_path),
    }

    async def main() -> None:
        broker = Broker(Settings(redis_port=port, redis_password="pass"), config=keep).start()
        async with Bridge(broker.url, port=0, limits=LIMITS) as bridge:
            with RedisPublisher(broker.url) as publisher:
                async with reading(lambda: bridge.url, 3) as readers:
                    publisher.publish_routing_decisions(decisions(range(500)))
                    assert publisher.flush(10)
                    assert broker.pid is not None
                    os.kill(broker.pid, signal.SIGKILL)
                    await until(lambda: not bridge.stats.upstream)
                    publisher.publish_routing_decisions(decisions(range(500, 1_000)))
                    broker.stop()
                    broker = Broker(
                        Settings(redis_port=port, redis_password="pass"), config=keep
                    ).start()
                    await until(lambda: all(len(reader.got) >= 1_000 for reader in readers))
                    publisher.publish_routing_decisions(decisions(range(1_000, 1_100)))
                    await until(lambda: all(len(reader.got) >= 1_100 for reader in readers))
                    for reader in readers:
                        assert reader.got == list(range(1_100))
                        assert reader.statuses == ["down", "up"]
                        assert len(reader.notices) == 2
        broker.stop()

    run(main)


def test_a_server_that_forgot_everything_is_a_gap(port: int) -> None:

    async def main() -> None:
        broker = Broker(Settings(redis_port=port, redis_password="pass")).start()
        async with (
            Bridge(broker.url, port=0, limits=LIMITS) as bridge,
            reading(lambda: bridge.url) as [reader],
        ):
            with RedisPublisher(broker.url) as publisher:
                publisher.publish_routing_decisions(decisions(range(10)))
                assert publisher.flush(10)
            await until(lambda: len(reader.got) >= 10)
            broker.stop()
            await until(lambda: not bridge.stats.upstream)
            broker = Broker(Settings(redis_port=port, redis_password="pass")).start()
            with RedisPublisher(broker.url) as publisher:
                publisher.publish_routing_decisions(decisions(range(10, 20)))
                assert publisher.flush(10)
                await until(lambda: len(reader.got) >= 20)
                await until(lambda: "up" in reader.statuses)  # comes after what was missed
            assert reader.got == list(range(20))
            kinds = [notice["type"] for notice in reader.notices]
            assert sorted(kinds) == ["gap", "status", "status"]
        broker.stop()

    run(main)


def test_a_paused_server_only_delays() -> None:
    async def main() -> None:
        with Broker(Settings(redis_port=0)) as broker:
            async with Bridge(broker.url, port=0, limits=LIMITS) as bridge:
                with RedisPublisher(broker.url) as publisher:
                    async with reading(lambda: bridge.url, 2) as readers:
                        publisher.publish_routing_decisions(decisions(range(100)))
                        assert publisher.flush(10)
                        assert broker.pid is not None
                        os.kill(broker.pid, signal.SIGSTOP)
                        publisher.publish_routing_decisions(decisions(range(100, 200)))
                        await until(lambda: not bridge.stats.upstream)
                        os.kill(broker.pid, signal.SIGCONT)
                        await until(lambda: all(len(reader.got) >= 200 for reader in readers))
                        for reader in readers:
                            assert reader.got == list(range(200))

    run(main)


def test_a_server_that_now_wants_another_password_is_named(port: int) -> None:

    async def main() -> None:
        broker = Broker(Settings(redis_port=port, redis_password="pass")).start()
        async with Bridge(broker.url, port=0, limits=LIMITS) as bridge:
            broker.stop()
            broker = Broker(Settings(redis_port=port, redis_password="hush")).start()
            await until(lambda: "WRONGPASS" in bridge.stats.reason)
            assert not bridge.stats.upstream
        async with Bridge(broker.url, port=0, limits=LIMITS) as bridge:
            assert bridge.stats.upstream
        wrong = broker.url.replace("hush", "guess")
        async with Bridge(wrong, port=0, limits=LIMITS) as bridge:
            assert "WRONGPASS" in bridge.stats.reason
            assert "guess" not in bridge.stats.reason
        broker.stop()

    run(main)


def test_a_server_with_full_memory_goes_on_when_it_has_room() -> None:
    async def main() -> None:
        with Broker(Settings(redis_port=0)) as broker:
            async with Bridge(broker.url, port=0, limits=LIMITS) as bridge:
                with (
                    RedisPublisher(broker.url) as publisher,
                    contextlib.closing(connect(broker.url)) as redis,
                ):
                    async with reading(lambda: bridge.url) as [reader]:
                        publisher.publish_routing_decisions(decisions(range(50)))
                        assert publisher.flush(10)
                        redis.config_set("maxmemory", 1)
                        publisher.publish_routing_decisions(decisions(range(50, 100)))
                        assert not publisher.flush(0.5)
                        redis.config_set("maxmemory", 0)
                        await until(lambda: len(reader.got) >= 100)
                        assert reader.got == list(range(100))
                        assert reader.notices == []

    run(main)


SERVE = """\
import asyncio, sys
from routingsim.live.bridge.server import Bridge
async def main():
    async with Bridge(sys.argv[1], port=int(sys.argv[2])):
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_bridge_killed_and_started_again(port: int) -> None:

    async def main() -> None:
        with Broker(Settings(redis_port=0)) as broker, RedisPublisher(broker.url) as publisher:

            async def start() -> asyncio.subprocess.Process:
                arguments = ("-c", SERVE, broker.url, str(port))
                return await asyncio.create_subprocess_exec(sys.executable, *arguments)

            process = await start()
            async with reading(lambda: f"ws://127.0.0.1:{port}", 2) as readers:
                publisher.publish_routing_decisions(decisions(range(200)))
                await until(lambda: all(len(reader.got) >= 200 for reader in readers))
                process.kill()
                await process.wait()
                publisher.publish_routing_decisions(decisions(range(200, 400)))
                assert publisher.flush(10)
                process = await start()
                await until(lambda: all(len(reader.got) >= 400 for reader in readers))
                for reader in readers:
                    assert reader.got == list(range(400))
            process.kill()
            await process.wait()

    run(main)


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SUBSCRIBE = Frame(
    Opcode.TEXT, json.dumps({"type": "subscribe", "channel": DECISIONS}).encode()
).serialize(mask=True)


async def villain(port: int, kind: str, dice: random.Random) -> None:
    """A client that stalls, sends garbage or floods, again and again."""
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, HANDSHAKE)
            await loop.sock_recv(sock, 4096)
            await loop.sock_sendall(sock, SUBSCRIBE)
            for _ in range(50):
                if kind == "garbage":
                    junk = dice.randbytes(dice.randrange(1, 200))
                    frame = Frame(Opcode.TEXT, junk).serialize(mask=True)
                    await loop.sock_sendall(sock, dice.choice([junk, frame]))
                elif kind == "flood":
                    ping = Frame(Opcode.PING, b"x" * 100).serialize(mask=True)
                    await loop.sock_sendall(sock, ping * 200)
                await asyncio.sleep(0.05)


def test_two_hundred_clients_of_which_some_are_villains(seed: int) -> None:
    """185 healthy ones on two bridges get everything, in order, once."""
    total = 400

    async def main() -> None:
        dice = random.Random(seed)
        limits = Limits(close_seconds=0.3, queue_messages=100, queue_bytes=2**20)
        with Broker(Settings(redis_port=0)) as broker, RedisPublisher(broker.url) as publisher:
            async with (
                Bridge(broker.url, port=0, limits=limits) as one,
                Bridge(broker.url, port=0, limits=limits) as two,
                reading(lambda: one.url, 93) as some,
                reading(lambda: two.url, 92) as others,
            ):
                kinds = ["stall", "garbage", "flood"] * 5
                villains = [
                    asyncio.create_task(villain(dice.choice([one, two]).port, kind, dice))
                    for kind in kinds
                ]
                for start in range(0, total, 20):
                    publisher.publish_routing_decisions(decisions(range(start, start + 20)))
                    await asyncio.sleep(0.02)
                healthy = some + others
                await until(lambda: all(len(reader.got) >= total for reader in healthy), 40)
                for reader in healthy:
                    assert reader.got == list(range(total))
                assert one.stats.abusive + two.stats.abusive > 0
                for task in villains:
                    task.cancel()
                await asyncio.gather(*villains, return_exceptions=True)
                # None of the villains' connections is left, nor one in a handshake.
                await until(lambda: [sockets(b) for b in (one, two)] == [93, 92])
                await until(lambda: [b.stats.clients for b in (one, two)] == [93, 92])

    run(main)


class Stalled:
    """A client that subscribes and reads no more."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(HANDSHAKE + SUBSCRIBE)


def test_beside_a_stalled_client_at_ten_thousand_a_second() -> None:
    """It holds no more than its bound and is cut off; the others get all, in order, once."""
    total, turn = 20_000, 100
    limits = Limits(queue_messages=2_000, queue_bytes=2**20, close_seconds=0.3)

    async def main() -> None:
        with Broker(Settings(redis_port=0)) as broker, RedisPublisher(broker.url) as publisher:
            async with (
                Bridge(broker.url, port=0, limits=limits) as bridge,
                reading(lambda: bridge.url, 2) as readers,
            ):
                stalled = await asyncio.to_thread(Stalled, bridge.port)
                await until(lambda: bridge.stats.clients == 3)
                worst = 0
                for start in range(0, total, turn):
                    publisher.publish_routing_decisions(decisions(range(start, start + turn)))
                    await asyncio.sleep(turn / 10_000)
                    worst = max([worst, *(lag.bytes for lag in bridge.stats.lag)])
                await until(lambda: all(len(reader.got) >= total for reader in readers))
                assert all(reader.got == list(range(total)) for reader in readers)
                assert bridge.stats.evicted == 1
                # One write more than the bound: what came in one turn of the loop.
                assert worst < limits.queue_bytes + 2**20
                await until(lambda: bridge.stats.clients == 2)
                stalled.socket.close()

    run(main)


def test_handshakes_that_dawdle_are_cut_off_while_others_go_on() -> None:
    limits = Limits(close_seconds=0.3, handshake_seconds=0.5)

    async def dawdle(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        def is_cut_off() -> bool:  # with what was sent unread it is a reset, not an end
            return reader.at_eof() or reader.exception() is not None

        with contextlib.suppress(ConnectionError):
            for byte in HANDSHAKE[:-4] * 10:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
                if is_cut_off():
                    break
        await until(is_cut_off)
        writer.close()

    async def main() -> None:
        with Broker(Settings(redis_port=0)) as broker, RedisPublisher(broker.url) as publisher:
            async with (
                Bridge(broker.url, port=0, limits=limits) as bridge,
                reading(lambda: bridge.url) as [reader],
            ):
                dawdlers = [asyncio.create_task(dawdle(bridge.port)) for _ in range(50)]
                for number in range(100):
                    publisher.publish_routing_decisions(decisions([number]))
                    await asyncio.sleep(0.005)
                await until(lambda: len(reader.got) >= 100)
                assert reader.got == list(range(100))
                await asyncio.gather(*dawdlers)
                await until(lambda: sockets(bridge) == 1)

    run(main)


def test_clients_that_subscribe_and_vanish_leave_nothing_behind() -> None:
    async def vanish(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE + SUBSCRIBE)
        await reader.readuntil(b"task:routing")
        writer.transport.abort()

    async def main() -> None:
        with Broker(Settings(redis_port=0)) as broker, RedisPublisher(broker.url) as publisher:
            async with Bridge(broker.url, port=0, limits=LIMITS) as bridge:
                counts = []
                for _ in range(2):
                    for _ in range(50):
                        await asyncio.gather(*(vanish(bridge.port) for _ in range(10)))
                    await until(lambda: bridge.stats.clients == 0)
                    await asyncio.sleep(2 * LIMITS.close_seconds)
                    gc.collect()
                    handles = psutil.Process().num_fds()
                    tasks = len(asyncio.all_tasks())
                    counts.append((handles, tasks, sockets(bridge)))
                assert counts[0] == counts[1]
                assert counts[1][2] == 0
                delivered = bridge.stats.delivered
                publisher.publish_routing_decisions(decisions(range(10)))
                await until(lambda: bridge.stats.received == 10)
                await asyncio.sleep(0.1)
                assert bridge.stats.delivered == delivered  # nobody is subscribed

    run(main)


@pytest.fixture(scope="session")
def node_modules(request: pytest.FixtureRequest) -> Path:
    """A folder with Node's ``ws``: that of ``NODE_PATH``, or one kept in pytest's cache."""
    if shutil.which("node") is None:
        if "CI" in os.environ:
            pytest.fail("node is not installed; CI must try a client of another language")
        pytest.skip("node is not installed")
    for folder in os.environ.get("NODE_PATH", "").split(os.pathsep):
        if folder and Path(folder, "ws").is_dir():
            return Path(folder)
    assert request.config.cache is not None
    cached = request.config.cache.mkdir("node-ws")
    if not (cached / "node_modules" / "ws").is_dir():
        command = ["npm", "install", "--no-save", "--silent", "--prefix", str(cached), "ws@8"]
        subprocess.run(command, check=True, timeout=50)
    return cached / "node_modules"


def test_a_client_in_another_language(node_modules: Path) -> None:
    async def main() -> None:
        with Broker(Settings(redis_port=0)) as broker, RedisPublisher(broker.url) as publisher:
            publisher.publish_routing_decisions(decisions(range(30)))
            publisher.publish_agent_status(AgentStatus("gpt-4", "GPT-4", "busy", 0.65, 0))
            assert publisher.flush(10)
            async with Bridge(broker.url, port=0, limits=LIMITS) as bridge:
                script = Path(__file__).with_name("node_client.cjs")
                node = await asyncio.create_subprocess_exec(
                    *("node", str(script), bridge.url, "50"),
                    env={**os.environ, "NODE_PATH": str(node_modules)},
                    stdout=subprocess.PIPE,
                )
                assert node.stdout is not None
                lines = [await node.stdout.readline() for _ in range(33)]
                publisher.publish_routing_decisions(decisions(range(30, 50)))
                rest, _ = await node.communicate()
                messages = [json.loads(line) for line in [*lines, *rest.splitlines()]]
                assert node.returncode == 0
                numbers = [
                    int(message["payload"]["taskId"])
                    for message in messages
                    if message["type"] == "routing_decision"
                ]
                assert numbers == list(range(50))
                assert [m["type"] for m in messages].count("agent_status") == 1

    run(main)
