"""The bridge's own figures: ``/health`` for load balancers, ``/metrics`` for Prometheus."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["BridgeStats", "ClientLag", "health", "metrics_registry"]


class ClientLag(msgspec.Struct, frozen=True):
    """How far one client is behind: messages and bytes that wait for it."""

    client: int
    address: str
    messages: int
    bytes: int


class BridgeStats(msgspec.Struct, frozen=True, kw_only=True):
    """State of a bridge, and its counts since it started.

    Attributes
    ----------
    upstream, reason
        Whether Redis is connected, and the last message about that.
    clients, lagging
        Clients connected, and those with messages waiting.
    received
        Messages from Redis.
    malformed
        Messages from Redis that were not JSON objects and went to nobody.
    delivered, dropped
        Messages handed to clients' connections, and skipped for slow clients.
    accepted, refused
        Connections accepted, and refused (limits, origin, token).
    evicted
        Clients closed because they were slow (4008).
    abusive
        Clients closed because they sent too many frames or no token (1008).
    lag
        One entry for each lagging client.
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
    lag: tuple[ClientLag, ...] = ()


_METRICS: tuple[tuple[str, type[Any], str, str], ...] = (
    ("upstream", GaugeMetricFamily, "upstream_up", "Whether Redis is connected."),
    ("clients", GaugeMetricFamily, "clients", "Clients connected."),
    ("lagging", GaugeMetricFamily, "clients_lagging", "Clients with messages waiting."),
    ("received", CounterMetricFamily, "received", "Messages from Redis."),
    ("malformed", CounterMetricFamily, "malformed", "Messages that were not JSON objects."),
    ("delivered", CounterMetricFamily, "delivered", "Messages handed to clients."),
    ("dropped", CounterMetricFamily, "dropped", "Messages skipped for slow clients."),
    ("accepted", CounterMetricFamily, "connections_accepted", "Connections accepted."),
    ("refused", CounterMetricFamily, "connections_refused", "Connections refused."),
    ("evicted", CounterMetricFamily, "clients_evicted", "Slow clients closed."),
    ("abusive", CounterMetricFamily, "clients_abusive", "Clients closed for breaking the rules."),
)
"""Field of :class:`BridgeStats`, type, name and help of each metric without labels."""


def health(stats: BridgeStats) -> bytes:
    """JSON for ``/health``: whether the bridge has Redis."""
    return msgspec.json.encode(
        {
            "status": "ok" if stats.upstream else "degraded",
            "upstream": "up" if stats.upstream else "down",
            "clients": stats.clients,
        }
    )


def metrics_registry(stats: Callable[[], BridgeStats]) -> CollectorRegistry:
    """A registry of one bridge's metrics, which reads ``stats`` at each scrape."""
    registry = CollectorRegistry()
    registry.register(_BridgeCollector(stats))
    return registry


class _BridgeCollector(Collector):
    def __init__(self, stats: Callable[[], BridgeStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        for field, family, name, text in _METRICS:
            yield family(f"routingsim_bridge_{name}", text, value=getattr(stats, field))
        for unit in ("messages", "bytes"):
            name, text = f"routingsim_bridge_client_lag_{unit}", f"{unit.capitalize()} waiting."
            lags = GaugeMetricFamily(name, text, labels=["client", "address"])
            for lag in stats.lag:
                lags.add_metric([str(lag.client), lag.address], getattr(lag, unit))
            yield lags
