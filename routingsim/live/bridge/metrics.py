"""The bridge's own figures: ``/health`` and ``/ready`` for probes, ``/metrics`` for Prometheus."""

from collections.abc import Iterator
from typing import Literal

import msgspec
from prometheus_client import Histogram
from prometheus_client.core import Metric

from routingsim.live.prometheus import metric, process_metrics


class ClientLag(msgspec.Struct, frozen=True):
    """How far one client is behind: messages and bytes that wait for it."""

    client: int
    address: str
    messages: int
    bytes: int


Link = Literal["up", "down", "not yet connected"]
"""State of a connection to Redis."""


class BridgeStats(msgspec.Struct, frozen=True, kw_only=True):
    """State of a bridge, and its counts since it started; ``_METRICS`` describes them.

    ``reason`` is the last message about Redis; ``lag`` has one entry for each lagging client.
    """

    upstream: bool
    reason: str
    clients: int
    lagging: int
    received: int
    malformed: int
    delivered: int
    dropped: int
    accepted: int
    refused: int
    evicted: int
    abusive: int
    was_up: bool = True
    redis_restarts: int = 0
    lag: tuple[ClientLag, ...] = ()

    @property
    def link(self) -> Link:
        """State of the connection to Redis."""
        return "up" if self.upstream else "down" if self.was_up else "not yet connected"


_METRICS = {
    "upstream": ("upstream_up", "Whether Redis is connected."),
    "clients": ("clients", "Clients connected."),
    "lagging": ("clients_lagging", "Clients with messages waiting."),
    "received": ("received_total", "Messages from Redis."),
    "malformed": ("malformed_total", "Messages from Redis that were not JSON objects."),
    "delivered": ("delivered_total", "Messages handed to clients."),
    "dropped": ("dropped_total", "Messages dropped for slow clients."),
    "accepted": ("connections_accepted_total", "Connections accepted."),
    "refused": ("connections_refused_total", "Connections refused."),
    "evicted": ("clients_evicted_total", "Clients closed for being slow."),
    "abusive": ("clients_abusive_total", "Clients closed for breaking the rules."),
    "redis_restarts": ("redis_restarts_total", "Times an embedded Redis server died."),
}
"""Name and help of the metric of each figure."""


def health(stats: BridgeStats) -> bytes:
    """JSON for ``/health`` and ``/ready``: whether the bridge has Redis."""
    return msgspec.json.encode(
        {
            "status": "ok" if stats.upstream else "degraded",
            "upstream": stats.link,
            "redis_restarts": stats.redis_restarts,
            "clients": stats.clients,
        }
    )


def metrics(stats: BridgeStats, delays: Histogram) -> Iterator[Metric]:
    """The figures for Prometheus; ``delays`` are those of messages within the bridge."""
    yield from process_metrics()
    yield from delays.collect()
    for figure, (name, text) in _METRICS.items():
        yield metric(f"bridge_{name}", text, [((), getattr(stats, figure))])
    for unit in ("messages", "bytes"):
        lags = [((str(lag.client), lag.address), getattr(lag, unit)) for lag in stats.lag]
        text = f"{unit.capitalize()} that wait for a client."
        yield metric(f"bridge_client_lag_{unit}", text, lags, ("client", "address"))
