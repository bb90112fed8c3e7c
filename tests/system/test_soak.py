"""Ten minutes under load: 200 clients of whom 15 misbehave, and a server that comes and goes.

``make soak`` runs it and prints figures; ``ROUTINGSIM_SOAK_SECONDS=30 make soak`` is shorter.
"""

import asyncio
import base64
import contextlib
import json
import logging
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_client
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from routingsim.live.bridge.metrics import BridgeStats
from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.settings import Settings
from routingsim.messages import (
    DECISIONS,
    AgentInfo,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)

pytestmark = [pytest.mark.soak, pytest.mark.system]

SECONDS = float(os.environ.get("ROUTINGSIM_SOAK_SECONDS", "600"))
RATE = 50
"""Decisions a second; each goes to 185 healthy clients."""
HEALTHY, EACH_KIND = 185, 5
AGENT = AgentInfo("GPT-4", "gpt-4", ("code", "reasoning"), 0.03, 2.5)
SCORE = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))
LIMITS = Limits(queue_messages=5_000, queue_bytes=4 * 2**20)
SUBSCRIBE = json.dumps({"type": "subscribe", "channel": DECISIONS}).encode()


class Ups(logging.Handler):
    """When the bridge had subscribed, in seconds of the machine's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "event=upstream_up" in record.getMessage():
            self.times.append(time.monotonic())


def run_bridge(url: str) -> None:
    """The bridge in a process of its own, so that its memory is its own too."""
    ups, log = Ups(), logging.getLogger("routingsim.live.bridge.subscriber")
    log.addHandler(ups)
    log.setLevel(logging.INFO)

    async def main() -> None:
        async with Bridge(url, port=0, limits=LIMITS) as bridge:
            print(bridge.port, flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            print(msgspec.json.encode(bridge.stats).decode(), flush=True)
            print(json.dumps(ups.times), flush=True)

    asyncio.run(main())


def misbehave(port: str, seed: str) -> None:
    """Stall, send garbage and flood, in a process of its own, until killed."""
    asyncio.run(_misbehave(int(port), int(seed)))


async def _misbehave(port: int, seed: int) -> None:
    kinds = ["stall", "garbage", "flood"] * EACH_KIND
    await asyncio.gather(
        *(_villain(port, kind, random.Random(seed + k)) for k, kind in enumerate(kinds))
    )


async def _villain(port: int, kind: str, dice: random.Random) -> None:
    key = base64.b64encode(dice.randbytes(16))
    handshake = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n\r\n" % key
    )
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, handshake)
            await loop.sock_recv(sock, 4096)
            await loop.sock_sendall(sock, Frame(Opcode.TEXT, SUBSCRIBE).serialize(mask=True))
            for _ in range(2_000 if kind == "stall" else 200):
                if kind == "garbage":
                    junk = dice.randbytes(dice.randrange(1, 200))
                    frame = Frame(Opcode.TEXT, junk).serialize(mask=True)
                    await loop.sock_sendall(sock, dice.choice([junk, frame]))
                elif kind == "flood":
                    ping = Frame(Opcode.PING, b"x" * 100).serialize(mask=True)
                    await loop.sock_sendall(sock, ping * 50)
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)


class Reader:
    """A healthy client that knows what must come next."""

    def __init__(self, port: int) -> None:
        self.next = 0
        self.wrong: list[str] = []
        self.connections = 0
        """When Redis was said to be back."""
        self._port = port
        self._last: str | None = None

    async def run(self) -> None:
        while True:
            with contextlib.suppress(ConnectionClosed, OSError):
                place = f"ws://127.0.0.1:{self._port}"
                async with open_client(place, compression=None, max_queue=1_000) as ws:
                    self.connections += 1
                    await self._read(ws)
            await asyncio.sleep(0.05)

    async def _read(self, ws: ClientConnection) -> None:
        frame = {"type": "subscribe", "channel": DECISIONS, "since": self._last or "0"}
        await ws.send(json.dumps(frame))
        async for text in ws:
            message: dict[str, Any] = json.loads(text)
            if message["type"] == "routing_decision":
                number = int(message["payload"]["taskId"])
                if number != self.next:
                    self.wrong.append(f"{number} for {self.next}")
                self.next = number + 1
                self._last = message["id"]
            elif message["type"] in ("gap", "dropped", "error"):
                self.wrong.append(str(text))


@contextlib.contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """This file as a program of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    assert running.stdout
    return running.stdout.readline()


def test_ten_minutes_of_everything_at_once(seed: int, tmp_path: Path, port: int) -> None:
    dice = random.Random(seed)
    durable: dict[str, str | int] = {
        "appendonly": "yes",
        "appendfsync": "always",
        "dir": str(tmp_path),
    }
    settings = Settings(redis_port=port, redis_password="pass")
    absences: list[tuple[str, float]] = []
    spans: list[tuple[float, float]] = []
    """When the server went and when it was back."""
    end = time.monotonic() + SECONDS
    memory: list[int] = []

    def start() -> tuple[Broker, float]:
        return Broker(settings, config=durable).start(), time.monotonic()

    async def trouble(broker: list[Broker]) -> None:
        """Kill the server or pause it, now and then; 0.5, 6 and, in a long run, 60 seconds."""
        lengths = [0.5, 6.0] + ([60.0] if SECONDS >= 300 else [])
        number = 0
        while time.monotonic() < end:
            await asyncio.sleep(min(SECONDS / 8, 20.0))
            away, kill = lengths[number % len(lengths)], dice.random() < 0.7
            pid = broker[0].pid
            assert pid is not None
            gone = time.monotonic()
            os.kill(pid, signal.SIGKILL if kill else signal.SIGSTOP)
            await asyncio.sleep(away)
            if kill:
                await asyncio.to_thread(broker[0].stop)
                broker[0], back = await asyncio.to_thread(start)
            else:
                os.kill(pid, signal.SIGCONT)
                back = time.monotonic()
            spans.append((gone, back))
            number += 1
            absences.append(("killed" if kill else "paused", away))

    async def sample(bridge: subprocess.Popen[str]) -> None:
        while True:
            memory.append(psutil.Process(bridge.pid).memory_info().rss)
            await asyncio.sleep(1.0)

    async def main() -> None:
        broker = [await asyncio.to_thread(Broker(settings, config=durable).start)]
        published = 0
        with (
            process("bridge", broker[0].url) as bridge,
            RedisPublisher(broker[0].url) as publisher,
        ):
            bridge_port = int(await asyncio.to_thread(line, bridge))
            readers = [Reader(bridge_port) for _ in range(HEALTHY)]
            reading = [asyncio.create_task(reader.run()) for reader in readers]
            with process("misbehave", bridge_port, seed):
                others = [asyncio.create_task(trouble(broker)), asyncio.create_task(sample(bridge))]
                while time.monotonic() < end:
                    decisions = [
                        RoutingDecision(str(published + k), AGENT, SCORE, "Routed to GPT-4", 0)
                        for k in range(RATE // 10)
                    ]
                    publisher.publish_routing_decisions(decisions)
                    published += len(decisions)
                    await asyncio.sleep(0.1)
                await others[0]
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and any(r.next < published for r in readers):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            others[1].cancel()
            assert bridge.stdin
            bridge.stdin.write("stop\n")
            bridge.stdin.flush()
            stats = msgspec.json.decode(await asyncio.to_thread(line, bridge), type=BridgeStats)
            ups: list[float] = json.loads(await asyncio.to_thread(line, bridge))
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, others[1], return_exceptions=True)
            sent = publisher.stats()
        broker[0].stop()
        # The first "up" after the server went; a pause that the bridge did not notice has none.
        # Asked of the bridge: clients hear of it after what they missed, which takes those 185 in
        # one process long.
        delays = [
            found[0] - back
            for k, (gone, back) in enumerate(spans)
            if (found := [up for up in ups if gone < up < [*spans[k + 1 :], (math.inf,)][0][0]])
        ]
        assert len(delays) >= sum(how == "killed" for how, _ in absences)
        half = memory[len(memory) // 2 :]
        print(
            f"\n{SECONDS:g} s, {published:,} decisions, {HEALTHY} healthy clients"
            f"\n  server away        {len(absences)} times: "
            + ", ".join(f"{how} {away:g} s" for how, away in absences)
            + "\n  subscribed again   "
            + ", ".join(f"{delay:.2f}" for delay in delays)
            + " s after it was back"
            + f"\n  delivered          {stats.delivered:,}"
            f"\n  evicted / abusive  {stats.evicted:,} / {stats.abusive:,}"
            f"\n  reconnections      {sum(r.connections - 1 for r in readers)} of healthy clients, "
            f"{sent.reconnects} of the publisher"
            f"\n  bridge's memory    {memory[0] / 2**20:.0f} MiB at first, "
            f"{max(memory) / 2**20:.0f} at most, {half[0] / 2**20:.0f} at half-time, "
            f"{memory[-1] / 2**20:.0f} at the end"
        )
        assert sent.dropped == sent.undelivered == 0
        for reader in readers:
            assert reader.wrong == []
            assert reader.next == published
        assert stats.abusive > 0
        bound = 3 * EACH_KIND * LIMITS.queue_bytes + LIMITS.history_bytes
        assert max(memory) - memory[0] < bound

    asyncio.run(main())


if __name__ == "__main__":
    {"bridge": run_bridge, "misbehave": misbehave}[sys.argv[1]](*sys.argv[2:])
