"""A bridge's own figures: ``/health`` for balancers, ``/metrics`` for Prometheus."""

from collections.abc import Iterable

import msgspec

__all__ = ["BridgeStats", "ClientLag", "health", "prometheus"]


class ClientLag(msgspec.Struct, frozen=True):
    """How far one client is behind: messages and bytes that wait for it."""

    client: int
    address: str
    messages: int
    bytes: int


class BridgeStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a bridge has done since it started, and its state.

    Attributes
    ----------
    upstream, reason
        Whether Redis is there, and what it said last.
    clients, lagging
        Clients connected, and those for whom something waits.
    received
        Messages from Redis.
    malformed
        Messages from Redis that were no JSON objects and went to nobody.
    delivered, dropped
        Messages handed to clients' connections, and left out for slow ones.
    accepted, refused
        Connections let in, and turned away (limits, origin, token).
    evicted
        Clients closed for being slow (4008).
    abusive
        Clients closed for sending too much or no token (1008).
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


_HELP = {
    "upstream": ("gauge", "upstream_up", "Whether Redis is connected."),
    "clients": ("gauge", "clients", "Clients connected."),
    "lagging": ("gauge", "clients_lagging", "Clients for whom something waits."),
    "received": ("counter", "received_total", "Messages from Redis."),
    "malformed": ("counter", "malformed_total", "Messages from Redis that were not JSON objects."),
    "delivered": ("counter", "delivered_total", "Messages handed to clients."),
    "dropped": ("counter", "dropped_total", "Messages left out for slow clients."),
    "accepted": ("counter", "connections_accepted_total", "Connections let in."),
    "refused": ("counter", "connections_refused_total", "Connections turned away."),
    "evicted": ("counter", "clients_evicted_total", "Clients closed for being slow."),
    "abusive": ("counter", "clients_abusive_total", "Clients closed for breaking the rules."),
}


def health(stats: BridgeStats) -> bytes:
    """JSON for ``/health``: is the bridge there, and does it have Redis."""
    return msgspec.json.encode(
        {
            "status": "ok" if stats.upstream else "degraded",
            "upstream": "up" if stats.upstream else "down",
            "clients": stats.clients,
        }
    )


def prometheus(stats: BridgeStats) -> bytes:
    """The text format of Prometheus, version 0.0.4."""
    lines: list[str] = []
    for field, (kind, name, text) in _HELP.items():
        lines += _metric(
            f"routingsim_bridge_{name}", kind, text, [("", int(getattr(stats, field)))]
        )
    for unit in ("messages", "bytes"):
        samples = [
            (f'{{client="{lag.client}",address="{lag.address}"}}', getattr(lag, unit))
            for lag in stats.lag
        ]
        name = f"routingsim_bridge_client_lag_{unit}"
        lines += _metric(name, "gauge", f"{unit.capitalize()} that wait for a client.", samples)
    return "".join(f"{line}\n" for line in lines).encode()


def _metric(name: str, kind: str, text: str, samples: Iterable[tuple[str, int]]) -> list[str]:
    return [
        f"# HELP {name} {text}",
        f"# TYPE {name} {kind}",
        *(f"{name}{labels} {value}" for labels, value in samples),
    ]
