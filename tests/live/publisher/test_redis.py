"""The publisher against real servers: order, exactly once, without blocking, no secrets.

The publisher in memory (``publisher/memory.py``), and what both inherit from
``publisher/base.py``, are tested beside it. A decision's task id is its number.
"""

import contextlib
import itertools
import logging
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from routingsim.errors import BrokerError
from routingsim.live import Broker, MemoryPublisher, RedisPublisher, Settings
from routingsim.live.publisher import transport
from routingsim.live.redis_schema import FIELD, history_key, latest_key, with_id
from routingsim.messages import (
    DECISIONS,
    STATUSES,
    AgentInfo,
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
    decode,
    encode,
)

pytestmark = pytest.mark.system

# A Redis or Valkey of the system is tried as well.
SERVERS = ["embedded", *filter(shutil.which, ("redis-server", "valkey-server"))]

AGENT = AgentInfo("GPT-4", "gpt-4", ("code", "reasoning"), 0.03, 2.5)

PASSWORD = "pass"
"""Of all servers here, so that one that is started again lets the same clients in."""


def decision(number: int, reason: str = "High complexity (D_var=0.652): …") -> RoutingDecision:
    score = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))
    return RoutingDecision(str(number), AGENT, score, reason, 1699564800000 + number)


def status(agent: str, load: float) -> AgentStatus:
    return AgentStatus(agent, agent.upper(), "busy", load, 1699564800000)


def number(message: bytes) -> int:
    payload = decode(message).payload
    assert isinstance(payload, RoutingDecision)
    return int(payload.task_id)


def stored(client: Redis, channel: str = DECISIONS) -> list[bytes]:
    """What a reader of the history gets: messages with their ids."""
    entries: Any = client.xrange(history_key(channel))
    return [with_id(fields[FIELD], id) for id, fields in entries]


def numbers(client: Redis) -> list[int]:
    return [number(message) for message in stored(client)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(true: Callable[[], object], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(params=SERVERS)
def broker(request: pytest.FixtureRequest, servers: Any, port: int) -> Iterator[Broker]:
    with servers[request.param](Settings(redis_port=port, redis_password=PASSWORD)) as broker:
        yield broker


@pytest.fixture
def client(broker: Broker) -> Iterator[Redis]:
    with Redis.from_url(broker.url) as client:
        yield client


@contextlib.contextmanager
def listening(url: str, *channels: str) -> Iterator[list[bytes]]:
    """Messages that a subscriber gets, collected until the block or the connection ends."""
    received: list[bytes] = []
    with Redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(*channels)
        pubsub.get_message(timeout=5)

        def collect() -> None:
            with contextlib.suppress(ConnectionError, OSError, ValueError):
                for message in pubsub.listen():
                    if message["data"] == b"end":
                        return
                    received.append(message["data"])

        thread = threading.Thread(target=_quietly(collect))
        thread.start()
        try:
            yield received
        finally:
            with contextlib.suppress(Exception), Redis.from_url(url) as other:
                other.publish(channels[0], "end")
            thread.join(10)


def _quietly(function: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with contextlib.suppress(Exception):  # the server was killed: the collecting ends
            function()

    return run


class Proxy:
    """Stands between publisher and server: may lose replies, cut connections, speak TLS."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target, self._tls = port, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lose_replies = False
        self.lost = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._tls:
                    near = self._tls.wrap_socket(near, server_side=True)
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            for source, sink, back in ((near, far, False), (far, near, True)):
                self._threads.append(threading.Thread(target=self._pump, args=(source, sink, back)))
                self._threads[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if back and self.lose_replies:
                    self.lost.set()
                    break
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()


# The contract that both publishers keep.


@pytest.fixture(params=["memory", *SERVERS])
def publisher(
    request: pytest.FixtureRequest, servers: Any
) -> Iterator[RedisPublisher | MemoryPublisher]:
    if request.param == "memory":
        yield MemoryPublisher()
        return
    with (
        servers[request.param](Settings(redis_port=free_port())) as broker,
        RedisPublisher(broker.url) as publisher,
    ):
        yield publisher


def published(publisher: RedisPublisher | MemoryPublisher, channel: str) -> list[bytes]:
    """Messages published on a channel, without ids."""
    if isinstance(publisher, MemoryPublisher):
        return [message for where, message in publisher.messages if where == channel]
    with Redis.from_url(publisher._url) as client:
        entries: Any = client.xrange(history_key(channel))
        return [fields[FIELD] for _, fields in entries]


def test_messages_arrive_encoded_and_in_order(publisher: RedisPublisher | MemoryPublisher) -> None:
    decisions = [decision(n) for n in range(1300)]
    statuses = [status("gpt-4", n / 10) for n in range(10)]
    assert not publisher.is_connected
    for one in decisions[:300]:
        publisher.publish_routing_decision(one)
        if one.timestamp % 30 == 0:
            publisher.publish_agent_status(statuses[int(one.task_id) // 30])
    publisher.publish_routing_decisions(decisions[300:])
    assert publisher.flush(20)
    assert publisher.is_connected
    assert published(publisher, DECISIONS) == list(map(encode, decisions))
    assert published(publisher, STATUSES) == list(map(encode, statuses))
    assert publisher.stats().published == 1310


def test_after_disconnect_messages_count_as_undelivered(
    publisher: RedisPublisher | MemoryPublisher,
) -> None:
    with publisher as entered:
        assert entered is publisher
        publisher.publish_routing_decision(decision(0))
    assert publisher.disconnect()  # again: harmless
    assert not publisher.is_connected
    publisher.publish_routing_decision(decision(1))
    publisher.publish_routing_decisions([decision(2), decision(3)])
    publisher.publish_agent_status(status("a", 0.5))
    stats = publisher.stats()
    assert (stats.published, stats.undelivered, stats.buffered) == (1, 4, 0)
    assert publisher.flush(0)


def test_what_cannot_be_encoded_is_dropped_and_holds_nothing_up(
    publisher: RedisPublisher | MemoryPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: Any = {"taskId": "not a decision"}
    publisher.publish_routing_decision(decision(0))
    publisher.publish_routing_decision(decision(1, reason="a lone surrogate \ud800"))
    publisher.publish_agent_status(wrong)
    publisher.publish_routing_decision(decision(2))
    assert publisher.flush(20)
    assert list(map(number, published(publisher, DECISIONS))) == [0, 2]
    assert (publisher.stats().published, publisher.stats().dropped) == (2, 2)
    assert len([r for r in caplog.records if "cannot publish" in r.message]) == 2


# History.


def test_subscribers_and_history_hold_the_same_bytes(broker: Broker, client: Redis) -> None:
    with listening(broker.url, DECISIONS) as received, RedisPublisher(broker.url) as publisher:
        for n in range(700):
            publisher.publish_routing_decision(decision(n))
        assert publisher.flush(20)
        assert wait_until(lambda: len(received) == 700)
    assert received == stored(client)
    ids = [tuple(map(int, str(decode(message).id).split("-"))) for message in received]
    assert ids == sorted(set(ids))


def test_many_publishers_have_one_order(broker: Broker, client: Redis) -> None:
    """Publish and history agree on it, and each thread's messages keep theirs."""
    with (
        listening(broker.url, DECISIONS) as received,
        RedisPublisher(broker.url) as one,
        RedisPublisher(broker.url) as two,
    ):

        def publish(publisher: RedisPublisher, start: int) -> None:
            for n in range(start, start + 1000):
                publisher.publish_routing_decision(decision(n))

        threads = [
            threading.Thread(target=publish, args=(publisher, 1000 * i))
            for i, publisher in enumerate([one, one, one, two, two, two])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.flush(20)
        assert two.flush(20)
        assert wait_until(lambda: len(received) == 6000)
    assert received == stored(client)
    order = list(map(number, received))
    assert sorted(order) == list(range(6000))
    for i in range(6):
        own = [n for n in order if n // 1000 == i]
        assert own == sorted(own)


def test_history_keeps_exactly_the_last(broker: Broker, client: Redis) -> None:
    with RedisPublisher(broker.url, history=1234) as publisher:
        publisher.publish_routing_decisions(map(decision, range(5000)))
    assert numbers(client) == list(range(5000 - 1234, 5000))
    with RedisPublisher(Settings(redis_url=broker.url, history=10)) as publisher:
        publisher.publish_routing_decision(decision(5000))
    assert numbers(client) == list(range(4991, 5001))


def test_the_latest_status_of_each_agent_is_kept(broker: Broker, client: Redis) -> None:
    with RedisPublisher(broker.url) as publisher:
        for n in range(600):
            publisher.publish_agent_status(status(f"agent-{n % 3}", n / 1000))
    history = stored(client, STATUSES)
    latest: Any = client.hgetall(latest_key(STATUSES))
    assert latest == {b"agent-%d" % (n % 3): history[n] for n in (597, 598, 599)}


@pytest.mark.parametrize("name", [history_key(STATUSES), latest_key(STATUSES)])
def test_a_key_that_is_something_else_stores_nothing_and_doubles_nothing(
    broker: Broker, client: Redis, name: str
) -> None:
    client.set(name, "another program's")
    with listening(broker.url, STATUSES) as received, RedisPublisher(broker.url) as publisher:
        for n in range(10):
            publisher.publish_agent_status(status(f"agent-{n}", n / 10))
        assert wait_until(lambda: publisher.stats().reconnects > 3)
        assert received == []
        client.delete(name)
        assert publisher.flush(20)
        assert wait_until(lambda: len(received) >= 10)
    assert received == stored(client, STATUSES)
    assert len(received) == 10


# Never in the way.


def senders() -> list[str]:
    """Threads of publishers. Others may run: of progress bars, of other libraries."""
    return [t.name for t in threading.enumerate() if t.name == "routingsim-publisher"]


def test_nothing_connects_before_the_first_message(broker: Broker, client: Redis) -> None:
    before = client.info("stats")["total_connections_received"]
    with RedisPublisher(broker.url) as publisher:
        assert client.info("stats")["total_connections_received"] == before
        assert senders() == []
        for n in range(1000):
            publisher.publish_routing_decision(decision(n))
        assert publisher.flush(20)
        assert client.info("stats")["total_connections_received"] == before + 1


def test_the_oldest_are_dropped_and_counted_while_the_server_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    with RedisPublisher(f"redis://:{PASSWORD}@127.0.0.1:{port}", buffer=1000) as publisher:
        for n in range(1500):
            publisher.publish_routing_decision(decision(n))
        publisher.publish_routing_decisions(map(decision, range(1500, 5000)))
        stats = publisher.stats()
        assert (stats.buffered, stats.dropped, stats.published) == (1000, 4000, 0)
        assert not publisher.is_connected
        assert not publisher.flush(0.05)
        with (
            Broker(Settings(redis_port=port, redis_password=PASSWORD)) as broker,
            Redis.from_url(broker.url) as client,
        ):
            assert publisher.flush(20)
            assert numbers(client) == list(range(4000, 5000))
            publisher.disconnect()
    assert publisher.stats().published == 1000
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert len([w for w in warnings if "dropping the oldest" in w]) == 1
    assert len([w for w in warnings if "cannot publish" in w]) == 1


def test_block_waits_for_room_and_drops_nothing() -> None:
    port = free_port()
    publisher = RedisPublisher(
        f"redis://:{PASSWORD}@127.0.0.1:{port}", buffer=100, overflow="block"
    )
    handed_over = []

    def publish() -> None:
        for n in range(3000):
            publisher.publish_routing_decision(decision(n))
            handed_over.append(n)

    thread = threading.Thread(target=publish)
    thread.start()
    assert wait_until(lambda: len(handed_over) == 100)
    assert publisher.stats().buffered == 101  # the one that waits included
    with (
        Broker(Settings(redis_port=port, redis_password=PASSWORD)) as broker,
        Redis.from_url(broker.url) as client,
    ):
        thread.join()
        assert publisher.disconnect()
        assert numbers(client) == list(range(3000))
    assert publisher.stats().dropped == 0


def test_a_batch_waits_for_room_and_single_messages_do_not_drop_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routingsim.live.publisher.redis.WAIT_SECONDS", 0.05)
    port = free_port()
    publisher = RedisPublisher(f"redis://:{PASSWORD}@127.0.0.1:{port}", buffer=1_000)
    batch = threading.Thread(
        target=publisher.publish_batch, args=(list(map(decision, range(3_000))),)
    )
    batch.start()
    assert wait_until(lambda: "event=batch_waits buffered=500" in caplog.text)
    # The other half is for single messages: those that find no room are dropped, and told.
    dropped = [publisher.publish_routing_decision(decision(n)) for n in range(5_000, 5_600)]
    assert dropped == [0] * 500 + [1] * 100
    assert batch.is_alive()
    settings = Settings(redis_port=port, redis_password=PASSWORD)
    with Broker(settings) as broker, Redis.from_url(broker.url) as client:
        batch.join()
        assert publisher.disconnect()
        assert sorted(numbers(client)) == [*range(3_000), *range(5_000, 5_500)]
    assert publisher.stats().dropped == 100


def test_disconnect_releases_who_waits_for_room() -> None:
    publisher = RedisPublisher(f"redis://127.0.0.1:{free_port()}", buffer=10, overflow="block")
    thread = threading.Thread(
        target=publisher.publish_routing_decisions, args=(list(map(decision, range(50))),)
    )
    thread.start()
    assert wait_until(lambda: publisher.stats().buffered)
    assert not publisher.disconnect(0.1)
    thread.join()
    stats = publisher.stats()
    assert (stats.undelivered, stats.buffered, stats.published) == (50, 0, 0)


def test_disconnect_counts_what_a_missing_server_did_not_get() -> None:
    publisher = RedisPublisher(f"redis://127.0.0.1:{free_port()}")
    publisher.publish_routing_decisions(map(decision, range(1234)))
    assert not publisher.disconnect(0.1)
    assert publisher.stats().undelivered == 1234
    assert senders() == []


# Faults.


def restart(broker: Broker, **changes: Any) -> Broker:
    """Kill a server and start another in its place."""
    assert broker.pid
    port = int(broker.url.split(":")[-1].split("/")[0])
    os.kill(broker.pid, signal.SIGKILL)
    broker.stop()
    again = type(broker)(
        Settings(**{"redis_port": port, "redis_password": PASSWORD} | changes)
    ).start()
    assert f":{port}/" in again.url
    return again


def test_a_killed_server_without_a_disk_gets_its_memory_back(broker: Broker) -> None:
    """What had arrived is stored again, and all the rest follows, in order."""
    total = itertools.count()
    stop = threading.Event()
    with RedisPublisher(broker.url, history=1_000_000) as publisher:

        def publish() -> None:
            while not stop.wait(0.005):  # 4,000 a second: what is held bears a slow start
                for _ in range(20):
                    publisher.publish_routing_decision(decision(next(total)))

        thread = threading.Thread(target=publish)
        with listening(broker.url, DECISIONS) as received:
            thread.start()
            assert wait_until(lambda: len(received) > 2000)
            confirmed = publisher.stats().published
            again = restart(broker)
        try:
            with Redis.from_url(again.url) as client:
                assert wait_until(lambda: client.xlen(history_key(DECISIONS)) > 2000)
                stop.set()
                thread.join()
                assert publisher.flush(20)
                after = numbers(client)
                handed_over = next(total)
                assert after == list(range(after[0], handed_over))
            before = list(map(number, received))
            assert before == list(range(len(before)))
            stats = publisher.stats()
            assert stats.restored >= confirmed
            assert stats.lost == 0
            assert (stats.published, stats.dropped, stats.buffered) == (handed_over, 0, 0)
            assert stats.reconnects == 1
            assert publisher.is_connected
        finally:
            stop.set()
            publisher.disconnect()
            again.stop()


def test_a_server_lost_while_idle_is_noticed_and_found_again(broker: Broker) -> None:
    with RedisPublisher(broker.url) as publisher:
        publisher.publish_routing_decision(decision(0))
        assert publisher.flush(20)
        assert publisher.is_connected
        assert broker.pid
        os.kill(broker.pid, signal.SIGKILL)
        assert wait_until(lambda: not publisher.is_connected)
        again = restart_stopped(broker)
        try:
            assert wait_until(lambda: publisher.is_connected)
        finally:
            publisher.disconnect()
            again.stop()


def restart_stopped(broker: Broker) -> Broker:
    port = int(broker.url.split(":")[-1].split("/")[0])
    broker.stop()
    return Broker(Settings(redis_port=port, redis_password=PASSWORD)).start()


@pytest.mark.parametrize("patience", [5.0, 0.5])
def test_a_paused_server_gets_everything_once(
    broker: Broker, client: Redis, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """Whether the publisher waits until the server goes on, or gives it up and comes again."""
    monkeypatch.setattr(transport, "TIMEOUT", patience)
    assert broker.pid
    with RedisPublisher(broker.url) as publisher:
        publisher.publish_routing_decisions(map(decision, range(1000)))
        assert publisher.flush(20)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            for n in range(1000, 4000):
                publisher.publish_routing_decision(decision(n))
            time.sleep(2)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert publisher.flush(20)
        assert numbers(client) == list(range(4000))
        assert (publisher.stats().reconnects > 0) == (patience < 2)
        assert publisher.stats().published == 4000


def test_lost_replies_and_cut_connections_neither_lose_nor_double(
    broker: Broker, client: Redis, seed: int
) -> None:
    chance = random.Random(seed)
    port = int(broker.url.split(":")[-1].split("/")[0])
    total = 0
    with (
        listening(broker.url, DECISIONS) as received,
        Proxy(port) as proxy,
        RedisPublisher(f"redis://:{PASSWORD}@127.0.0.1:{proxy.port}") as publisher,
    ):
        for lose in chance.choices([True, False], k=12):
            if lose:  # a batch's reply, not one to the greetings of a new connection
                assert publisher.flush(20)
            proxy.lose_replies = lose
            burst = chance.randrange(1, 1500)
            publisher.publish_routing_decisions(map(decision, range(total, total + burst)))
            total += burst
            if lose:
                assert wait_until(proxy.lost.is_set)
                proxy.lose_replies = False
                proxy.lost.clear()
            else:
                time.sleep(chance.uniform(0, 0.03))
                proxy.cut()
        assert publisher.flush(20)
        assert wait_until(lambda: len(received) >= total)
        assert publisher.stats().published == total
    assert list(map(number, received)) == list(range(total))
    assert stored(client) == received[-10_000:]


def test_commands_of_others_do_not_break_the_order(broker: Broker, seed: int) -> None:
    """Killed connections, forgotten scripts, a full memory."""
    chance = random.Random(seed)
    total = 0
    with (
        listening(broker.url, DECISIONS) as received,
        RedisPublisher(broker.url) as publisher,
        Redis.from_url(broker.url) as client,
    ):
        faults: list[Callable[[], object]] = [
            lambda: client.client_kill_filter(_type="normal", skipme=True),
            lambda: client.script_flush(),
            lambda: client.config_set("maxmemory", 1),
        ]
        for fault in chance.choices(faults, k=20):
            burst = chance.randrange(1, 1500)
            publisher.publish_routing_decisions(map(decision, range(total, total + burst)))
            total += burst
            fault()
            time.sleep(chance.uniform(0, 0.03))
            client.config_set("maxmemory", 0)
        assert publisher.flush(20)
        assert wait_until(lambda: len(received) >= total)
    assert list(map(number, received)) == list(range(total))
    assert publisher.stats().published == total


def test_an_emptied_database_does_not_break_the_order(broker: Broker, client: Redis) -> None:
    """FLUSHALL takes the batch numbers along; as long as replies arrive that is harmless."""
    with listening(broker.url, DECISIONS) as received, RedisPublisher(broker.url) as publisher:
        for start in range(0, 40_000, 2000):
            publisher.publish_routing_decisions(map(decision, range(start, start + 2000)))
            client.flushall()
        assert publisher.flush(20)
        assert wait_until(lambda: len(received) >= 40_000)
    assert list(map(number, received)) == list(range(40_000))


@pytest.mark.parametrize("trouble", ["memory", "read-only"])
def test_a_server_that_refuses_writes_is_waited_for(
    broker: Broker, client: Redis, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    caplog.set_level(logging.INFO, "routingsim.live")
    with RedisPublisher(broker.url) as publisher:
        publisher.publish_routing_decisions(map(decision, range(100)))
        assert publisher.flush(20)
        if trouble == "memory":
            client.config_set("maxmemory", 1)
        else:
            client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        publisher.publish_routing_decisions(map(decision, range(100, 1500)))
        assert wait_until(lambda: publisher.stats().reconnects > 3)
        assert publisher.stats().published == 100
        if trouble == "memory":
            client.config_set("maxmemory", 0)
        else:
            client.execute_command("REPLICAOF", "NO", "ONE")
        assert publisher.flush(20)
    assert numbers(client) == list(range(1500))
    said = [(r.levelname, r.message) for r in caplog.records if r.name == "routingsim.live"]
    assert [level for level, _ in said] == ["WARNING", "INFO"]  # not once an attempt
    assert ("OutOfMemory" if trouble == "memory" else "ReadOnly") in said[0][1]


def test_a_server_restarted_with_a_password(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place = broker.url.rpartition("@")[2]
    with (
        restart(broker, redis_password="swordfish") as again,
        Redis.from_url(again.url) as client,
        RedisPublisher(f"redis://:hunter2@{place}") as wrong,
        RedisPublisher(f"redis://{place}") as without,
        RedisPublisher(again.url) as right,
    ):
        for publisher, start in ((right, 0), (wrong, 100), (without, 200)):
            publisher.publish_routing_decisions(map(decision, range(start, start + 100)))
        assert right.flush(20)
        refusals = [f"cannot publish to redis://{login}{place}: Auth" for login in (":***@", "")]
        assert wait_until(lambda: all(refusal in caplog.text for refusal in refusals))
        for publisher in (wrong, without):
            assert publisher.stats().buffered == 100
            assert not publisher.is_connected
        assert numbers(client) == list(range(100))
        client.config_set("requirepass", "hunter2")  # now the other one is right
        assert wrong.flush(20)
        assert numbers(client) == list(range(200))
        assert not without.disconnect(0)
        assert without.stats().undelivered == 100
        shown = caplog.text + repr((wrong, without, right, again))
    assert "hunter2" not in shown
    assert "swordfish" not in shown
    for refusal in refusals:
        assert shown.count(refusal) == 1  # not once an attempt


# Processes.


def run(body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    helper = f"""
        import os, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_redis import decision
        from routingsim.live import RedisPublisher
        publisher = RedisPublisher(sys.argv[1])
    """
    script = textwrap.dedent(helper) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60
    )


def test_what_is_buffered_at_exit_still_goes_out(broker: Broker, client: Redis) -> None:
    done = run("publisher.publish_routing_decisions(map(decision, range(5000)))", broker.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(client) == list(range(5000))


def test_publishing_while_the_interpreter_ends_raises_nothing(broker: Broker) -> None:
    """Newer Pythons start no threads then."""
    done = run(
        """
        import atexit
        atexit.register(lambda: print(publisher.publish_routing_decision(decision(0))))
        """,
        broker.url,
    )
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert "Traceback" not in done.stderr


def test_exit_does_not_hang_without_a_server() -> None:
    done = run(
        "publisher.publish_routing_decision(decision(0))", f"redis://127.0.0.1:{free_port()}"
    )
    assert done.returncode == 0
    assert "cannot publish" in done.stderr


def test_after_a_fork_parent_and_child_publish_for_themselves(
    broker: Broker, client: Redis
) -> None:
    script = """
        import warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of forking with threads
        publisher.publish_routing_decisions(map(decision, range(3000)))
        child = os.fork()
        start = 3000 if child else 6000
        publisher.publish_routing_decisions(map(decision, range(start, start + 3000)))
        assert publisher.disconnect()
        assert publisher.stats().published == (6000 if child else 3000), publisher.stats()
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    done = run(script, broker.url)
    assert (done.returncode, done.stderr) == (0, "")
    order = numbers(client)
    assert sorted(order) == list(range(9000))
    assert [n for n in order if n < 6000] == list(range(6000))
    assert [n for n in order if n >= 6000] == list(range(6000, 9000))


# Ways to connect.


def test_unix_socket(broker: Broker, client: Redis) -> None:
    path = client.config_get("unixsocket")["unixsocket"]
    with RedisPublisher(f"unix://:{PASSWORD}@{path}") as publisher:
        publisher.publish_routing_decision(decision(0))
    assert numbers(client) == [0]


def test_a_user_of_the_acl_with_just_the_rights_needed(broker: Broker, client: Redis) -> None:
    rights = (
        "on >p@ss ~{task:routing}:* ~{agent:status}:* &task:routing &agent:status -@all "
        "&{task:routing}:restored &{agent:status}:restored "
        "+ping +hello +client +eval +get +set +del +exists +expire +info +time +pubsub|numsub "
        "+xadd +xtrim +xrevrange +publish +hset +hsetnx +hget +hgetall +hincrby +sadd +scard"
    )
    client.execute_command("ACL", "SETUSER", "router", *rights.split())
    host = broker.url.rpartition("@")[2]
    settings = Settings(redis_url=f"redis://{host}", redis_username="router", redis_password="p@ss")
    with Broker(settings) as configured, RedisPublisher(settings) as publisher:
        assert configured.describe().startswith("configured Valkey")
        publisher.publish_routing_decision(decision(0))
        publisher.publish_agent_status(status("a", 1))
        assert publisher.flush(20)
        client.delete(*client.keys("{task:routing}:*"))
        assert wait_until(lambda: publisher.stats().restored)
    assert numbers(client) == [0]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_tls_with_a_ca_file(
    broker: Broker,
    client: Redis,
    certificate: tuple[Path, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    port = int(broker.url.split(":")[-1].split("/")[0])
    with Proxy(port, context) as proxy:
        trusting = Settings(
            redis_host="127.0.0.1",
            redis_port=proxy.port,
            redis_password=PASSWORD,
            redis_ca_file=str(certificate[0]),
        )
        with RedisPublisher(trusting) as publisher:
            publisher.publish_routing_decisions(map(decision, range(2000)))
            assert publisher.flush(20)
        assert numbers(client) == list(range(2000))
        wary = RedisPublisher(f"rediss://127.0.0.1:{proxy.port}")
        wary.publish_routing_decision(decision(2000))
        assert wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
        assert not wary.disconnect(0)
    assert len(numbers(client)) == 2000


@pytest.mark.parametrize("server", SERVERS)
def test_cluster_through_sharded_pubsub(server: str, servers: Any) -> None:
    """Two nodes: the channels live on different ones, which the publisher finds by itself."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for _ in range(2):
            port, bus = free_port(), free_port()
            config = {"cluster-enabled": "yes", "cluster-port": bus, "cluster-announce-port": port}
            node = servers[server](
                Settings(redis_port=port, redis_password=PASSWORD), config=config
            )
            stack.enter_context(node)
            assert f":{port}/" in node.url
            nodes.append((stack.enter_context(Redis.from_url(node.url)), port, bus))
        (first, port, bus), (second, _, _) = nodes
        slots = [first.cluster("KEYSLOT", channel) for channel in (DECISIONS, STATUSES)]
        middle = sum(slots) // 2
        low, high = (first, second)
        low.execute_command("CLUSTER ADDSLOTSRANGE", 0, middle)
        high.execute_command("CLUSTER ADDSLOTSRANGE", middle + 1, 16383)
        second.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        assert wait_until(
            lambda: all(n.cluster("INFO")["cluster_state"] == "ok" for n in (first, second))
        )
        homes = {
            channel: low if slot <= middle else high
            for channel, slot in zip((DECISIONS, STATUSES), slots, strict=True)
        }
        assert homes[DECISIONS] is not homes[STATUSES]
        pubsub = stack.enter_context(homes[DECISIONS].pubsub(ignore_subscribe_messages=True))
        pubsub.ssubscribe(DECISIONS)
        with RedisPublisher(f"redis://:{PASSWORD}@127.0.0.1:{port}?cluster=true") as publisher:
            publisher.publish_routing_decisions(map(decision, range(1200)))
            publisher.publish_agent_status(status("a", 0.5))
            assert publisher.flush(20)
            assert publisher.stats().published == 1201
        assert numbers(homes[DECISIONS]) == list(range(1200))
        assert homes[STATUSES].hlen(latest_key(STATUSES)) == 1
        received = []
        while len(received) < 1200:
            if message := pubsub.get_message(timeout=5):
                received.append(message["data"])
        assert received == stored(homes[DECISIONS])


# Arguments.


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="at least 2 messages, not 1"):
        RedisPublisher("redis://localhost", buffer=1)
    wrong: Any = "drop_newest"
    with pytest.raises(ValueError, match="not 'drop_newest'"):
        RedisPublisher("redis://localhost", overflow=wrong)
    with pytest.raises(BrokerError, match="is not a Redis URL") as caught:
        RedisPublisher("redis://:hunter2@localhost:x")
    assert "hunter2" not in str(caught.value)
