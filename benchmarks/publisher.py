"""Throughput of the publisher, and its cost for the caller.

Prints, in one run against one embedded server on this machine, the medians of

* decisions per second from objects to the server, encoding included, through
  :class:`routingsim.live.RedisPublisher`: handed over one by one and in bulk, each
  published and stored in the history;
* the same for redis-py's ``publish()``, which only publishes: in a loop, with the same
  encoder and with the standard library's ``json``, and in pipelines of 1,000;
* decisions per second of ``TaskRouter.route_batch``, from texts to the server, scoring,
  choice and reason included;
* microseconds that the caller spends to hand over a decision while the sender is at work
  in the same interpreter, and in ``TaskRouter.route`` with and without publishing.

Run as ``python benchmarks/publisher.py``; ``--rounds 1 --decisions 50000`` is short. Server,
sender and caller share the machine: more cores give higher figures.
"""

import argparse
import json
import os
import platform
import statistics
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np
from redis import Redis

from routingsim.live import Broker, RedisPublisher, Settings
from routingsim.live.redis_schema import history_key
from routingsim.messages import (
    DECISIONS,
    AgentInfo,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
    encode,
)
from routingsim.routing import TaskRouter

AGENT = AgentInfo("GPT-4", "gpt-4", ("code", "reasoning"), 0.03, 2.5)
REASON = "High complexity (D_var=0.652): Routed to GPT-4 for advanced reasoning"
PEER_SHARE = 10  # the slow loops publish one in so many
TEXT = "Implement a binary search in Python with type hints"


def make_decisions(count: int) -> list[RoutingDecision]:
    """Decisions as a router makes them, each with an id and a score of its own."""
    return [
        RoutingDecision(
            str(uuid.UUID(int=n)),
            AGENT,
            ComplexityScore(n % 1000 / 1000, ComplexityFactors(118 + n % 400, 2, 13)),
            REASON,
            1699564800000 + n,
        )
        for n in range(count)
    ]


def through_publisher(url: str, decisions: list[RoutingDecision], bulk: bool) -> float:
    """Decisions a second until the server has confirmed the last."""
    with RedisPublisher(url, buffer=len(decisions)) as publisher:
        publisher.publish_routing_decision(decisions[0])
        publisher.flush()
        start = time.perf_counter()
        if bulk:
            publisher.publish_routing_decisions(decisions)
        else:
            for decision in decisions:
                publisher.publish_routing_decision(decision)
        publisher.flush()
        seconds = time.perf_counter() - start
        assert publisher.stats().published == len(decisions) + 1
    return len(decisions) / seconds


def through_publish(
    url: str, decisions: list[RoutingDecision], encoded: Callable[[RoutingDecision], bytes | str]
) -> float:
    """Decisions a second with one call of ``publish()`` each."""
    with Redis.from_url(url) as client:
        client.ping()
        start = time.perf_counter()
        for decision in decisions:
            client.publish(DECISIONS, encoded(decision))
        return len(decisions) / (time.perf_counter() - start)


def through_pipeline(url: str, decisions: list[RoutingDecision]) -> float:
    """Decisions a second with ``publish()`` in pipelines of 1,000."""
    with Redis.from_url(url) as client:
        client.ping()
        start = time.perf_counter()
        for first in range(0, len(decisions), 1000):
            pipeline = client.pipeline(transaction=False)
            for decision in decisions[first : first + 1000]:
                pipeline.publish(DECISIONS, encode(decision))
            pipeline.execute()
        return len(decisions) / (time.perf_counter() - start)


def with_json(decision: RoutingDecision) -> str:
    """The message by the standard library's encoder."""
    frame = {"type": "routing_decision", "payload": msgspec.to_builtins(decision)}
    return json.dumps(frame)


def hand_over(url: str, decisions: list[RoutingDecision]) -> np.ndarray:
    """Microseconds each call took the caller, at the pace of a busy router (20 µs apart)."""
    costs = np.empty(len(decisions))
    now = time.perf_counter_ns
    with RedisPublisher(url, buffer=len(decisions)) as publisher:
        for i, decision in enumerate(decisions):
            start = now()
            publisher.publish_routing_decision(decision)
            costs[i] = now() - start
            while now() - start < 20_000:
                pass
    return costs / 1000


def through_route_batch(url: str, texts: list[str]) -> float:
    """Decisions a second from texts until the server has confirmed the last."""
    with RedisPublisher(url, buffer=2 * len(texts)) as publisher:
        router = TaskRouter(publisher=publisher)
        router.route_batch(texts[:100])
        publisher.flush()
        start = time.perf_counter()
        router.route_batch(texts)
        publisher.flush()
        return len(texts) / (time.perf_counter() - start)


def route_calls(publisher: RedisPublisher | None, count: int) -> np.ndarray:
    """Microseconds that each ``route()`` took, in bursts of 20 with rests of 2 ms."""
    router = TaskRouter(publisher=publisher)
    router.route(TEXT)
    costs = np.empty(count)
    for i in range(count):
        start = time.perf_counter_ns()
        decision = router.route(TEXT)
        costs[i] = time.perf_counter_ns() - start
        router.complete(decision.task_id)
        if i % 20 == 0:
            time.sleep(0.002)
    return costs / 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast decisions are published.")
    parser.add_argument("--decisions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    decisions = make_decisions(options.decisions)
    few = decisions[::PEER_SHARE]
    texts = [f"{TEXT}, number {n}" for n in range(options.decisions)]
    rates: dict[str, list[float]] = {}
    calls = []
    with Broker(Settings()) as broker, Redis.from_url(broker.url) as client:
        for _ in range(options.rounds):  # in turn, so that all meet the same weather
            for name, rate in (
                ("RedisPublisher, one by one", through_publisher(broker.url, decisions, False)),
                ("RedisPublisher, in bulk", through_publisher(broker.url, decisions, True)),
                ("publish() loop, msgspec", through_publish(broker.url, few, encode)),
                ("publish() loop, json", through_publish(broker.url, few, with_json)),
                ("publish() in pipelines", through_pipeline(broker.url, decisions)),
            ):
                rates.setdefault(name, []).append(rate)
            calls.append(hand_over(broker.url, few))
        with RedisPublisher(broker.url) as publisher:
            routed = {name: route_calls(p, 2_000) for name, p in ((" ", publisher), ("out ", None))}
        history: Any = client.xinfo_stream(history_key(DECISIONS))
        handed_over = options.rounds * (2 * (len(decisions) + 1) + len(few))
        assert history["entries-added"] == handed_over + 2_001  # none lost, none twice
        server = broker.describe()
        whole = [through_route_batch(broker.url, texts) for _ in range(options.rounds)]
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"redis-py {version('redis')}, hiredis {version('hiredis')}, {server}"
    )
    print(
        f"{len(decisions):,} decisions of {len(encode(decisions[0]))} bytes, "
        f"medians of {options.rounds} rounds, history of {history['length']:,}\n"
    )
    peer = medians["publish() loop, msgspec"]
    print(f"{'decisions a second':30}{'median':>12}{'least':>12}{'most':>12}{'ratio':>8}")
    for name, median in medians.items():
        least, most = min(rates[name]), max(rates[name])
        print(f"{name:30}{median:12,.0f}{least:12,.0f}{most:12,.0f}{median / peer:8.1f}")
    costs = np.concatenate(calls)
    p50, p99, mean = np.percentile(costs, 50), np.percentile(costs, 99), costs.mean()
    print(f"\nroute_batch, from texts to the server: {statistics.median(whole):,.0f} decisions/s")
    print(f"handing one over: p50 {p50:.2f} µs, p99 {p99:.2f} µs, mean {mean:.2f} µs")
    for name, costs in routed.items():
        print(f"route() with{name}publishing: p50 {np.percentile(costs, 50):.1f} µs")


if __name__ == "__main__":
    main()
