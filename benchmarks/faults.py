"""The bridge with a stalled client, and without Redis.

* One of six clients reads nothing while 10,000 messages of 500 bytes per second are
  published: growth of the bridge's memory, time until the client is cut off because its
  queue is over the limit, and the latency of the others before and meanwhile.
* Redis is killed and restarted after 0.5, 6 and 60 seconds with its data on disk, while
  decisions are published: time until the bridge is subscribed again, and what a client
  missed.

Run as ``python benchmarks/faults.py``; takes two minutes, with ``--away 0.5 --seconds 4``
15 seconds. All processes share the machine.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import socket
import tempfile
import time
from multiprocessing.connection import Connection
from typing import cast

import msgspec
import numpy as np
import psutil
import redis
from bridge import SUBSCRIBE, command, latencies, open_client, spawn
from websockets.asyncio.client import connect as open_websocket

from routingsim.live.bridge.metrics import BridgeStats
from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker, connect
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.settings import Settings
from routingsim.messages import (
    DECISIONS,
    AgentInfo,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)

RATE = 10_000
BOUND = 8 * 2**20
"""Bytes that may wait for a client."""
READERS = 5
TURN = 100
"""Messages published together, once every 10 ms."""
FRAME = 504
AGENT = AgentInfo("GPT-4", "gpt-4", ("code",), 0.03, 2.5)
SCORE = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))


def run_bridge(url: str, pipe: Connection) -> None:
    """Run the bridge in this process; answers each message on the pipe with its figures."""

    async def main() -> None:
        limits = Limits(queue_messages=1_000_000, queue_bytes=BOUND)
        async with Bridge(url, port=0, limits=limits) as bridge:
            pipe.send(bridge.port)
            while await asyncio.to_thread(pipe.recv) != "stop":
                pipe.send(msgspec.json.encode(bridge.stats))

    asyncio.run(main())


def publish(url: str, seconds: float) -> None:
    """Publish ``RATE`` messages per second."""
    line = cast(redis.Redis, connect(url)).connection_pool.get_connection()
    began = time.perf_counter()
    for number in range(0, round(RATE * seconds), TURN):
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        line.send_packed_command([b"".join(command(number + k) for k in range(TURN))])
        for _ in range(TURN):
            line.read_response()


def listen(port: int, seconds: float, pipe: Connection) -> None:
    """Read as five clients; sends back the time of each message and its latency (ms)."""

    async def client(at: list[np.ndarray]) -> None:
        loop = asyncio.get_running_loop()
        rest = b""
        with await asyncio.to_thread(open_client, port) as sock:
            await asyncio.sleep(0.0)
            while True:
                data = rest + await loop.sock_recv(sock, 2**20)
                now = time.time_ns()
                whole = len(data) // FRAME * FRAME
                late = latencies(data[:whole], now)
                at.append(np.column_stack([np.full(late.size, now / 1e9), late]))
                rest = data[whole:]

    async def main() -> None:
        at: list[np.ndarray] = []
        tasks = [asyncio.create_task(client(at)) for _ in range(READERS)]
        await asyncio.sleep(1.0)
        pipe.send("ready")
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        pipe.send(np.concatenate(at))

    asyncio.run(main())


def stalled_client(seconds: float) -> None:
    """Measure half of the time without, and half with a client that reads nothing."""
    unbounded = {"client-output-buffer-limit": "pubsub 0 0 0", "maxmemory-clients": 0}
    with Broker(Settings(redis_port=0), config=unbounded) as broker:
        here, there = spawn.Pipe()
        process = spawn.Process(target=run_bridge, args=(broker.url, there))
        process.start()
        port = here.recv()
        ours, theirs = spawn.Pipe()
        reader = spawn.Process(target=listen, args=(port, seconds + 1.0, theirs))
        reader.start()
        ours.recv()
        publisher = spawn.Process(target=publish, args=(broker.url, seconds))
        publisher.start()
        time.sleep(seconds / 2)
        watched = psutil.Process(process.pid)
        memory = [watched.memory_info().rss]
        stalls = time.time()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        key = "A" * 22
        sock.sendall(
            f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            + bytes([0x81, 0x80 | len(SUBSCRIBE), 0, 0, 0, 0])
            + SUBSCRIBE
        )
        evicted = None
        while time.time() < stalls + seconds / 2:
            here.send("figures")
            stats = msgspec.json.decode(here.recv(), type=BridgeStats)
            memory.append(watched.memory_info().rss)
            if evicted is None and stats.evicted:
                evicted = time.time() - stalls
            time.sleep(0.05)
        found = ours.recv()
        sock.close()
        here.send("stop")
        for each in (publisher, reader, process):
            each.join(20)
    fills = BOUND / (RATE * FRAME)
    print(f"a stalled client at {RATE:,} messages/s, bound {BOUND / 2**20:g} MiB")
    print(f"  bridge's memory grows by at most {(max(memory) - memory[0]) / 2**20:.1f} MiB")
    at = "never" if evicted is None else f"{evicted:.2f} s"
    print(f"  cut off after {at}; at this rate its bound is reached after {fills:.2f} s")
    for name, part in (
        ("before", found[found[:, 0] < stalls]),
        ("meanwhile", found[found[:, 0] >= stalls]),
    ):
        p50, p99 = np.percentile(part[:, 1], [50, 99])
        print(f"  the others {name:10} p50 {p50:6.2f} ms, p99 {p99:6.2f} ms")


async def away(length: float) -> None:
    """Kill the server, and restart it after ``length`` seconds."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(redis_port=probe.getsockname()[1], redis_password="bench")
        probe.close()
        kept = {"appendonly": "yes", "appendfsync": "always", "dir": folder}
        broker = Broker(settings, config=kept).start()
        got: list[int] = []
        async with Bridge(broker.url, port=0) as bridge:
            with RedisPublisher(broker.url) as publisher:

                async def read() -> None:
                    async with open_websocket(bridge.url) as client:
                        frame = {"type": "subscribe", "channel": DECISIONS}
                        await client.send(json.dumps(frame))
                        async for text in client:
                            message = json.loads(text)
                            if message["type"] == "routing_decision":
                                got.append(int(message["payload"]["taskId"]))

                reading = asyncio.create_task(read())
                sent = 0

                async def decide(seconds: float) -> None:
                    nonlocal sent
                    until = time.monotonic() + seconds
                    while time.monotonic() < until:
                        body = RoutingDecision(str(sent), AGENT, SCORE, "Routed to GPT-4", 0)
                        publisher.publish_routing_decision(body)
                        sent += 1
                        await asyncio.sleep(0.01)

                await decide(0.5)
                assert broker.pid is not None
                os.kill(broker.pid, signal.SIGKILL)
                await decide(length)
                await asyncio.to_thread(broker.stop)
                broker = await asyncio.to_thread(Broker(settings, config=kept).start)
                back = time.monotonic()
                deciding = asyncio.create_task(decide(2.0))
                while not bridge.stats.upstream:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.01)
                again = time.monotonic() - back
                await deciding
                await asyncio.to_thread(publisher.flush, 10)
                await asyncio.sleep(0.5)
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
        broker.stop()
    right = got == list(range(sent))
    print(
        f"  {length:4g} s: subscribed again {again:.2f} s after it was back; client has "
        f"{len(got):,} of {sent:,} decisions, {'in order, each once' if right else 'NOT in order'}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure a stalled client and a lost Redis.")
    parser.add_argument("--seconds", type=float, default=16.0, help="both halves together")
    parser.add_argument("--away", type=float, nargs="*", default=[0.5, 6.0, 60.0])
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    stalled_client(options.seconds)
    print("Redis away for")
    for length in options.away:
        asyncio.run(away(length))


if __name__ == "__main__":
    main()
