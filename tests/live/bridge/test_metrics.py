"""Figures for load balancers and Prometheus."""

import json

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from routingsim.live.bridge.metrics import BridgeStats, ClientLag, health, metrics
from routingsim.live.prometheus import as_text, histogram

STATS = BridgeStats(
    upstream=False,
    reason="Connection refused",
    clients=3,
    lagging=1,
    received=10,
    malformed=1,
    delivered=20,
    dropped=2,
    accepted=5,
    refused=4,
    evicted=6,
    abusive=0,
    lag=(ClientLag(7, "::1", 12, 3_400), ClientLag(8, 'an "odd\\" one', 1, 2)),
)


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        (False, {"status": "degraded", "upstream": "down", "redis_restarts": 0, "clients": 3}),
        (True, {"status": "ok", "upstream": "up", "redis_restarts": 0, "clients": 3}),
    ],
)
def test_health_tells_whether_redis_is_connected(
    upstream: bool, expected: dict[str, object]
) -> None:
    assert json.loads(health(msgspec.structs.replace(STATS, upstream=upstream))) == expected
    if not upstream:
        never = msgspec.structs.replace(STATS, upstream=False, was_up=False)
        assert json.loads(health(never))["upstream"] == "not yet connected"


def test_each_figure_is_a_metric_of_its_name_and_type() -> None:
    text = as_text(metrics(STATS, histogram("bridge_delay_seconds", "Delay."))).decode()
    assert "routingsim_build_info{" in text
    text = text[text.index("# HELP routingsim_bridge_upstream_up") :]
    types = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    samples = {
        (sample.name, sample.labels.get("client"), sample.labels.get("address")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    plain = {
        "upstream_up": ("gauge", 0),
        "clients": ("gauge", 3),
        "clients_lagging": ("gauge", 1),
        "received_total": ("counter", 10),
        "malformed_total": ("counter", 1),
        "delivered_total": ("counter", 20),
        "dropped_total": ("counter", 2),
        "connections_accepted_total": ("counter", 5),
        "connections_refused_total": ("counter", 4),
        "clients_evicted_total": ("counter", 6),
        "clients_abusive_total": ("counter", 0),
        "redis_restarts_total": ("counter", 0),
    }
    lags = {"client_lag_messages": (12, 1), "client_lag_bytes": (3_400, 2)}
    prefix = "routingsim_bridge_"
    assert types == {prefix + name: kind for name, (kind, _) in plain.items()} | {
        prefix + name: "gauge" for name in lags
    }
    assert samples == {(prefix + name, None, None): n for name, (_, n) in plain.items()} | {
        (prefix + name, *who): n
        for name, both in lags.items()
        for who, n in zip([("7", "::1"), ("8", 'an "odd\\" one')], both, strict=True)
    }
