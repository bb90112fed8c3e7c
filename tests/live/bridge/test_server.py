"""The bridge on a real Valkey and real sockets."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from routingsim.errors import BrokerError
from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker, connect
from routingsim.live.publisher.redis import RedisPublisher
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

pytestmark = pytest.mark.system

LIMITS = Limits(close_seconds=0.3)
AGENT = AgentInfo("GPT-4", "gpt-4", ("code", "reasoning"), 0.03, 2.5)
SCORE = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))


def decision(number: int) -> RoutingDecision:
    return RoutingDecision(str(number), AGENT, SCORE, "Routed to GPT-4", 1_699_564_800_000)


def publish(publisher: RedisPublisher, numbers: range) -> None:
    publisher.publish_routing_decisions(decision(number) for number in numbers)
    assert publisher.flush(10)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(Settings(redis_port=0)) as broker:
        yield broker


@pytest.fixture
def url(broker: Broker) -> str:
    """A server with nothing in it."""
    with contextlib.closing(connect(broker.url)) as client:
        client.flushall()
    return broker.url


def live(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test."""

    def run(url: str) -> None:
        asyncio.run(asyncio.wait_for(test(url), 30))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@contextlib.asynccontextmanager
async def bridge(url: str, **options: Any) -> AsyncIterator[Bridge]:
    options = {"port": 0, "limits": LIMITS} | options
    async with Bridge(url, **options) as bridge:
        yield bridge


def client(bridge: Bridge, **options: Any) -> open_client:
    return open_client(bridge.url, compression=None, **options)


async def subscribe(ws: ClientConnection, channel: str = DECISIONS, **options: Any) -> None:
    await ws.send(json.dumps({"type": "subscribe", "channel": channel, **options}))
    assert await told(ws) == {"type": "subscribed", "channel": channel}


async def told(ws: ClientConnection) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(ws.recv(), 10))


async def decisions(ws: ClientConnection, count: int) -> list[int]:
    """Numbers of the next ``count`` decisions; nothing else may come between."""
    messages = [await told(ws) for _ in range(count)]
    assert {message["type"] for message in messages} <= {"routing_decision"}
    return [int(message["payload"]["taskId"]) for message in messages]


async def close_code(ws: ClientConnection) -> int | None:
    """Read until the server closes."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(ws.recv(), 10)
    return ws.close_code


async def until(true: Callable[[], object]) -> None:
    """Wait for something that is bound to come true."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.01)


async def get(bridge: Bridge, path: str, **headers: str) -> tuple[int, str]:
    def fetch() -> tuple[int, str]:
        place = bridge.url.replace("ws", "http", 1) + path
        try:
            with urllib.request.urlopen(urllib.request.Request(place, headers=headers)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


@live
async def test_messages_pass_byte_for_byte(url: str) -> None:
    async with bridge(url) as b, client(b) as ws:
        await subscribe(ws)
        redis = connect(url)
        odd = '{"type":"other", "payload":{"é":1e400}, "id":7}'
        redis.publish(DECISIONS, odd)
        assert await ws.recv() == odd
        redis.publish(DECISIONS, "not JSON")
        redis.publish(DECISIONS, b'{"type":"\xff"}')
        redis.publish(DECISIONS, odd)
        assert await ws.recv() == odd
        assert b.stats.malformed == 2
        redis.close()


@live
async def test_since_and_history(url: str) -> None:
    with RedisPublisher(url) as publisher:
        publish(publisher, range(5))
        async with bridge(url) as b:
            async with client(b) as ws:
                await subscribe(ws, history=3)
                first = await told(ws)
                assert await decisions(ws, 2) == [3, 4]
            publish(publisher, range(5, 8))
            async with client(b) as ws:
                await subscribe(ws, since=first["id"])
                publish(publisher, range(8, 10))
                assert await decisions(ws, 7) == [3, 4, 5, 6, 7, 8, 9]


@live
async def test_since_survives_the_bridge(url: str) -> None:
    with RedisPublisher(url) as publisher:
        async with bridge(url) as b, client(b) as ws:
            await subscribe(ws)
            publish(publisher, range(3))
            seen = [await told(ws) for _ in range(3)]
        publish(publisher, range(3, 6))
        async with bridge(url) as b, client(b) as ws:
            await subscribe(ws, since=seen[0]["id"])
            assert await decisions(ws, 5) == [1, 2, 3, 4, 5]


@live
async def test_resuming_under_fire_misses_nothing(url: str) -> None:
    """Clients come and go with ``since`` while the publisher never stops."""
    total = 3_000

    async def restless(b: Bridge) -> list[int]:
        got: list[int] = []
        last = "0-0"
        while len(got) < total:
            async with client(b) as ws:
                await subscribe(ws, since=last)
                for _ in range(min(157, total - len(got))):
                    message = await told(ws)
                    got.append(int(message["payload"]["taskId"]))
                    last = message["id"]
                ws.transport.abort()  # vanish, with messages on the way
        return got

    async with bridge(url) as first, bridge(url) as second:
        readers = [asyncio.create_task(restless(b)) for b in (first, second, first, second)]
        with RedisPublisher(url) as publisher:
            for start in range(0, total, 10):
                publisher.publish_routing_decisions(map(decision, range(start, start + 10)))
                await asyncio.sleep(0.001)
            for got in await asyncio.gather(*readers):
                assert got == list(range(total))


@contextlib.asynccontextmanager
async def gate(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Another way to the server, where what it sends waits while the event is not set."""
    parts = urlsplit(url)
    is_open = asyncio.Event()
    is_open.set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: bool) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65_536):
                if held:
                    await is_open.wait()
                writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(pump(reader, there_writer, False), pump(there_reader, writer, True))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    login = parts.netloc.rpartition("@")[0]
    yield f"redis://{login}@127.0.0.1:{server.sockets[0].getsockname()[1]}", is_open
    server.close()
    await server.wait_closed()


@live
async def test_a_client_may_move_to_a_bridge_that_is_behind(url: str) -> None:
    async with gate(url) as (slow_url, is_open), bridge(url) as quick, bridge(slow_url) as slow:
        with RedisPublisher(url) as publisher:
            is_open.clear()
            async with client(quick) as ws:
                await subscribe(ws)
                publish(publisher, range(3))
                last = [await told(ws) for _ in range(3)][-1]
            async with client(slow) as ws:
                await subscribe(ws, since=last["id"])
                assert slow.stats.received == 0
                is_open.set()
                publish(publisher, range(3, 5))
                assert await decisions(ws, 2) == [3, 4]
                # An id that no bridge ever gave does not wait for ever.
                await subscribe(ws, since="9999999999999-0")
                notice = await told(ws)
                assert (notice["type"], notice["oldest"]) == ("gap", None)


@live
async def test_history_that_does_not_reach_back_is_a_gap(url: str) -> None:
    with RedisPublisher(url, history=5) as publisher:
        async with bridge(url) as b, client(b) as ws:
            await subscribe(ws)
            publish(publisher, range(1))
            first = await told(ws)
        publish(publisher, range(1, 20))
        async with bridge(url) as b, client(b) as ws:
            await subscribe(ws, since=first["id"])
            notice = await told(ws)
            assert (notice["type"], notice["since"]) == ("gap", first["id"])
            message = await told(ws)
            assert (message["id"], message["payload"]["taskId"]) == (notice["oldest"], "15")
            assert await decisions(ws, 4) == [16, 17, 18, 19]


@live
async def test_newcomers_see_the_pool(url: str) -> None:
    def status(agent: str, load: float) -> AgentStatus:
        return AgentStatus(agent, agent.title(), "busy", load, 1_699_564_800_000)

    with RedisPublisher(url) as publisher:
        for agent, load in (("llama", 0.1), ("gemini", 0.2), ("llama", 0.3)):
            publisher.publish_agent_status(status(agent, load))
        assert publisher.flush(10)
        async with bridge(url) as b, client(b) as ws:
            await subscribe(ws, STATUSES)
            pool = [(await told(ws))["payload"] for _ in range(2)]
            assert [(one["agentId"], one["load"]) for one in pool] == [
                ("gemini", 0.2),
                ("llama", 0.3),
            ]


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
).map(json.dumps)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.text() | st.binary() | json_texts, min_size=1, max_size=20))
def test_whatever_frames_come_the_client_stays(broker: Broker, frames: list[str | bytes]) -> None:
    async def main() -> None:
        async with bridge(broker.url) as b, client(b) as ws:
            for frame in frames:
                await ws.send(frame)
                assert (await told(ws))["type"] in {"error", "pong", "authenticated"}
            await ws.send(["{", '"type"', ':"ping"}'])  # fragmented
            assert await told(ws) == {"type": "pong"}

    asyncio.run(main())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=10))
def test_whatever_bytes_come_the_others_do_not_notice(broker: Broker, garbage: list[bytes]) -> None:
    async def main() -> None:
        async with bridge(broker.url) as b, client(b) as ws:
            _, before = await asyncio.open_connection("127.0.0.1", b.port)
            answer, after = await asyncio.open_connection("127.0.0.1", b.port)
            after.write(HANDSHAKE)
            assert b" 101 " in await answer.readuntil(b"\r\n\r\n")
            for stream in (before, after):
                with contextlib.suppress(ConnectionError):
                    stream.writelines(garbage)
                    await stream.drain()
            await ws.send('{"type":"ping"}')
            assert await told(ws) == {"type": "pong"}
            for stream in (before, after):
                stream.close()
                with contextlib.suppress(ConnectionError):
                    await stream.wait_closed()

    asyncio.run(main())


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.TEXT, b"\xff\xfe"), 1007),
        (Frame(Opcode.TEXT, b"x" * 65_537), 1009),
        (Frame(Opcode.CONT, b"x"), 1002),
    ],
)
def test_frames_that_are_no_websocket_close_the_connection(
    url: str, frame: Frame, code: int
) -> None:
    async def main() -> None:
        async with bridge(url) as b, client(b) as ws:
            ws.transport.write(frame.serialize(mask=True))
            assert await close_code(ws) == code

    asyncio.run(main())


@pytest.mark.parametrize("frame", [Frame(Opcode.TEXT, b'{"type":"ping"}'), Frame(Opcode.PING, b"")])
def test_a_flood_is_closed_with_1008(url: str, frame: Frame) -> None:
    async def main() -> None:
        async with bridge(url, limits=replace(LIMITS, frame_burst=50)) as b, client(b) as ws:
            ws.transport.write(frame.serialize(mask=True) * 500)
            assert await close_code(ws) == 1008
            assert b.stats.abusive == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("origin", "origins", "allowed"),
    [
        (None, None, True),
        ("http://localhost:8888", None, True),
        ("https://evil.example", None, False),
        ("null", None, False),
        ("https://hub.example", ["https://hub.example"], True),
        ("https://evil.example", ["https://hub.example"], False),
        ("https://evil.example", ["*"], True),
    ],
)
def test_a_page_of_another_site_cannot_connect(
    url: str, origin: Any, origins: list[str] | None, allowed: bool
) -> None:
    async def main() -> None:
        async with bridge(url, origins=origins) as b:
            if allowed:
                async with client(b, origin=origin) as ws:
                    await subscribe(ws)
                return
            with pytest.raises(InvalidStatus) as refused:
                await client(b, origin=origin)
            assert refused.value.response.status_code == 403
            assert b.stats.refused == 1

    asyncio.run(main())


@live
async def test_a_name_made_to_point_here_is_not_the_same_origin(url: str) -> None:
    async with bridge(url) as b:
        reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
        host = f"evil.example:{b.port}".encode()
        request = HANDSHAKE.replace(
            b"Host: localhost", b"Host: %b\r\nOrigin: http://%b" % (host, host)
        )
        writer.write(request)
        assert b" 403 " in await reader.readline()
        writer.close()


@live
async def test_behind_a_hub_its_own_pages_are_known_by_their_host(url: str) -> None:
    for origin, status in ((b"https://hub.example", b" 101 "), (b"https://evil.example", b" 403 ")):
        async with bridge(url, by_host=True) as b:
            reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
            host = b"Host: hub.example\r\nOrigin: " + origin
            writer.write(HANDSHAKE.replace(b"Host: localhost", host))
            assert status in await reader.readline()
            writer.close()


@live
async def test_the_token_in_a_header_or_a_first_frame(url: str) -> None:
    limits = replace(LIMITS, auth_seconds=0.2)
    async with bridge(url, token="sesame", limits=limits) as b:
        async with client(b, additional_headers={"Authorization": "Bearer sesame"}) as ws:
            await subscribe(ws)
        async with client(b) as ws:
            await ws.send('{"type":"auth","token":"sesame"}')
            assert await told(ws) == {"type": "authenticated"}
            await asyncio.sleep(0.4)
            await subscribe(ws)
        for bad in ("Bearer wrong", "Basic sesame", "sesame", "Bearer"):
            with pytest.raises(InvalidStatus) as refused:
                await client(b, additional_headers={"Authorization": bad})
            assert refused.value.response.status_code == 401
        for first in ('{"type":"auth","token":"wrong"}', '{"type":"ping"}', "nonsense", b"\0"):
            async with client(b) as ws:
                await ws.send(first)
                assert (await told(ws))["code"] == "unauthorized"
                assert await close_code(ws) == 1008
        async with client(b) as ws:
            assert await close_code(ws) == 1008  # said nothing in time
        assert (await get(b, "/metrics"))[0] == 401
        assert (await get(b, "/metrics", Authorization="Bearer sesame"))[0] == 200
        assert (await get(b, "/health"))[0] == 200


@live
async def test_connections_are_limited(url: str) -> None:
    limits = replace(LIMITS, connections=3, connections_per_address=2)
    async with bridge(url, limits=limits) as b:
        async with client(b), client(b):
            with pytest.raises(InvalidStatus) as refused:
                await client(b)
            assert refused.value.response.status_code == 429
        async with client(b):  # those who left make room
            pass


@live
async def test_half_handshakes_keep_no_client_out(url: str) -> None:
    """The one that has taken longest makes room where there are too many connections."""
    limits = replace(LIMITS, connections=2)
    async with bridge(url, limits=limits) as b, contextlib.AsyncExitStack() as stack:
        half = []
        for _ in range(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
            stack.callback(writer.close)
            half.append(reader)
        async with client(b), client(b):
            for reader in half[:4]:
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 5) == b""
            assert not half[5].at_eof()
            with pytest.raises(InvalidStatus) as refused:
                await client(b)
            assert refused.value.response.status_code == 503


@live
async def test_a_handshake_that_dawdles_is_cut_off(url: str) -> None:
    async with bridge(url, limits=replace(LIMITS, handshake_seconds=0.3)) as b:
        reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: local")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def stalled_client(b: Bridge) -> tuple[socket.socket, asyncio.StreamWriter]:
    """A client that subscribes and reads no more."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", b.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2048)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    text = json.dumps({"type": "subscribe", "channel": DECISIONS}).encode()
    writer.write(Frame(Opcode.TEXT, text).serialize(mask=True))
    await reader.readexactly(len('{"type":"subscribed","channel":"task:routing"}') + 2)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return sock, writer


BIG = json.dumps({"type": "big", "payload": "x" * 50_000})


@live
async def test_a_stalled_client_is_evicted_while_the_others_go_on(url: str) -> None:
    limits = replace(LIMITS, queue_messages=200, queue_bytes=2**20)
    async with bridge(url, limits=limits) as b, client(b, max_size=None) as ws:
        await subscribe(ws)
        _, writer = await stalled_client(b)
        redis = connect(url)
        for _ in range(400):
            redis.publish(DECISIONS, BIG)
            assert await ws.recv() == BIG
            worst = max((lag.bytes for lag in b.stats.lag), default=0)
            assert worst < limits.queue_bytes + 2 * len(BIG)
        assert b.stats.evicted == 1
        await asyncio.sleep(2 * limits.close_seconds)
        assert b.stats.clients == 1  # cut off, though it never answered the close frame
        writer.transport.abort()
        redis.close()


@live
async def test_a_client_that_stands_still_is_found_without_traffic(url: str) -> None:
    async with bridge(url, limits=replace(LIMITS, stall_seconds=0.5), slow="drop") as b:
        _, writer = await stalled_client(b)
        redis = connect(url)
        for _ in range(200):
            redis.publish(DECISIONS, BIG)
        redis.close()
        await until(lambda: b.stats.evicted)
        writer.transport.abort()


@live
async def test_a_slow_client_reads_its_close_code(url: str) -> None:
    limits = Limits(queue_messages=20, close_seconds=5.0)
    async with bridge(url, limits=limits) as b, client(b, max_size=None, max_queue=1) as ws:
        await subscribe(ws)
        redis = connect(url)
        async with asyncio.timeout(20):
            while b.stats.evicted == 0:
                redis.publish(DECISIONS, BIG)
                await asyncio.sleep(0)
        redis.close()
        assert await close_code(ws) == 4008


@live
async def test_a_slow_client_may_be_told_what_it_is_spared(url: str) -> None:
    limits = replace(LIMITS, queue_messages=20, close_seconds=5.0)
    async with (
        bridge(url, limits=limits, slow="drop") as b,
        client(b, max_size=None, max_queue=1) as ws,
    ):
        await subscribe(ws)
        redis = connect(url)
        sent = 0
        while b.stats.dropped == 0:
            redis.publish(DECISIONS, BIG)
            sent += 1
            await asyncio.sleep(0)
        redis.publish(DECISIONS, '{"type":"end"}')
        redis.close()
        got = spared = 0
        while (message := await told(ws))["type"] != "end":
            got += message["type"] == "big"
            spared += message.get("count", 0)
        assert got + spared == sent
        assert spared == b.stats.dropped


@live
async def test_shutdown_says_1001_and_does_not_wait_for_the_dead(url: str) -> None:
    async with bridge(url) as b:
        ws = await client(b)
        await subscribe(ws)
        _, writer = await stalled_client(b)
        half, half_writer = await asyncio.open_connection("127.0.0.1", b.port)
        half_writer.write(b"GET /")
        redis = connect(url)
        for _ in range(200):
            redis.publish(DECISIONS, BIG)
        redis.close()
        closing = asyncio.create_task(close_code(ws))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            await b.stop()
        assert await closing == 1001
        left = [task for task in asyncio.all_tasks() if task.get_name().startswith("bridge")]
        assert not left
        writer.transport.abort()
        half_writer.close()
        del half


@live
async def test_a_taken_port_names_its_holder(url: str) -> None:
    async with bridge(url) as b:
        with pytest.raises(
            BrokerError, match=rf"port {b.port}: it is taken by .+ \(pid {os.getpid()}\)"
        ):
            await Bridge(url, port=b.port).start()


def test_a_bad_url_is_refused_at_once() -> None:
    with pytest.raises(BrokerError) as refused:
        Bridge("http://user:secret@localhost")
    assert "secret" not in str(refused.value)


@live
async def test_health_and_metrics(url: str) -> None:
    async with bridge(url) as b, client(b) as ws:
        await subscribe(ws)
        with RedisPublisher(url) as publisher:
            publish(publisher, range(3))
        await decisions(ws, 3)
        status, text = await get(b, "/health")
        assert (status, json.loads(text)) == (
            200,
            {"status": "ok", "upstream": "up", "redis_restarts": 0, "clients": 1},
        )
        status, text = await get(b, "/metrics?x=1")
        assert status == 200
        for line in ("delivered_total 3.0", "clients 1.0", "upstream_up 1.0"):
            assert f"\nroutingsim_bridge_{line}\n" in text
        assert (await get(b, "/"))[0] == 426
        # A page of another site whose DNS name was made to point here.
        for path in ("/health", "/metrics"):
            assert (await get(b, path, Host="rebound.example:3001"))[0] == 403


@live
async def test_without_redis_the_bridge_waits(url: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"redis://:secret@127.0.0.1:{probe.getsockname()[1]}"
        async with bridge(nowhere) as b, client(b) as ws:
            assert await told(ws) == {"type": "status", "upstream": "down"}
            await subscribe(ws)
            assert (await get(b, "/health"))[0] == 200
            status, text = await get(b, "/ready")
            assert (status, json.loads(text)["upstream"]) == (503, "not yet connected")


@live
async def test_a_start_that_is_broken_off_leaves_nothing_behind(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a server that never answers
        b = Bridge(f"redis://127.0.0.1:{silent.getsockname()[1]}", port=0, limits=LIMITS)
        starting = asyncio.create_task(b.start())
        await until(lambda: b.port)
        port = b.port
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, with its key, made here."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_tls(url: str, certificate: Path) -> None:
    async def main() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        trust = ssl.create_default_context(cafile=str(certificate))
        async with bridge(url, ssl=context) as b:
            place = f"wss://localhost:{b.port}"
            async with open_client(place, ssl=trust, compression=None) as ws:
                await subscribe(ws)
                with RedisPublisher(url) as publisher:
                    publish(publisher, range(1_000))
                assert await decisions(ws, 1_000) == list(range(1_000))

    asyncio.run(main())
