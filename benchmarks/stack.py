"""Delay of messages while the notebook is busy.

Another process publishes 500 messages a second and receives them again through the
bridge, while this one, which has started the LiveStack, is idle, runs a pure Python loop,
or sorts lists and encodes JSON. Prints the median, 99th and 99.9th percentile of the time
from publishing to receiving.

Run as ``python benchmarks/stack.py``; takes half a minute.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from routingsim.live import LiveStack, Settings
from routingsim.messages import DECISIONS

RATE = 500
"""Messages a second."""

SETTLE = 100
"""Messages at the beginning that are left out."""

GOAL_MS = 5.0


def measure(redis_url: str, url: str, messages: int, answer: Connection) -> None:
    """Publish and receive, in a process of its own; sends back the delays in seconds."""
    answer.send(asyncio.run(_measure(redis_url, url, messages)))


async def _measure(redis_url: str, url: str, messages: int) -> list[float]:
    delays: list[float] = []
    async with Redis.from_url(redis_url) as redis, connect(url, compression=None) as client:
        await client.send(json.dumps({"type": "subscribe", "channel": DECISIONS}))
        await client.recv()

        async def receive() -> None:
            for _ in range(messages):
                sent = json.loads(await client.recv())["payload"]["sent"]
                delays.append(time.perf_counter() - sent)

        receiving = asyncio.create_task(receive())
        began = time.perf_counter()
        for number in range(messages):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            payload = {"sent": time.perf_counter(), "pad": "x" * 400}
            body = json.dumps({"type": "routing_decision", "payload": payload})
            await redis.publish(DECISIONS, body)
        await receiving
    return delays[SETTLE:]


def idle() -> None:
    """Wait."""
    time.sleep(0.01)


def loop() -> None:
    """A pure Python loop."""
    total = 0
    for number in range(100_000):
        total += number * number % 7


def sort_and_encode() -> None:
    """Long calls into C that hold the interpreter's lock."""
    numbers = [random.random() for _ in range(100_000)]
    json.dumps(sorted(numbers))


WORK: dict[str, Callable[[], None]] = {
    "idle": idle,
    "pure Python loop": loop,
    "sorting and JSON": sort_and_encode,
}


def delays(work: Callable[[], None], seconds: float) -> np.ndarray:
    """Delays (ms) of the messages while this process does ``work``."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with LiveStack(Settings(), http=False, port=0) as live:
        count = SETTLE + round(RATE * seconds)
        peer = spawn.Process(target=measure, args=(live.redis_url, live.url, count, theirs))
        peer.start()
        theirs.close()
        while not ours.poll():
            work()
        found = ours.recv()
        peer.join()
    return 1e3 * np.array(found)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=8.0, help="duration of each measurement")
    seconds = options.parse_args().seconds
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{RATE} messages/s, {seconds:g} s each; ms from publishing to receiving")
    print(f"{'busy with':<18} {'p50':>8} {'p99':>8} {'p99.9':>8}")
    for name, work in WORK.items():
        p50, p99, p999 = np.quantile(delays(work, seconds), [0.5, 0.99, 0.999])
        goal = f"  goal < {GOAL_MS:g}"
        print(f"{name:<18} {p50:8.2f} {p99:8.2f} {p999:8.2f}{goal}", flush=True)


if __name__ == "__main__":
    main()
