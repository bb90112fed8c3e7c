"""Figures for balancers and Prometheus."""

import json
import re

from routingsim.live.bridge.metrics import BridgeStats, ClientLag, health, prometheus

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
    evicted=1,
    abusive=0,
    lag=(ClientLag(7, "::1", 12, 3_400),),
)


def test_health_says_what_is_missing() -> None:
    assert json.loads(health(STATS)) == {"status": "degraded", "upstream": "down", "clients": 3}


def test_every_line_is_prometheus_text() -> None:
    lines = prometheus(STATS).decode().splitlines()
    names = set()
    for line in lines:
        help_or_type = re.fullmatch(r"# (?:HELP (\w+) \S.*|TYPE (\w+) (?:gauge|counter))", line)
        sample = re.fullmatch(r'(\w+)(?:\{(?:\w+="[^"\\]*",?)+\})? \d+', line)
        assert help_or_type or sample, line
        if sample:
            assert f"# TYPE {sample[1]} " in "\n".join(lines)
            names.add(sample[1])
    assert "routingsim_bridge_upstream_up 0" in lines
    assert 'routingsim_bridge_client_lag_bytes{client="7",address="::1"} 3400' in lines
    assert len(names) == 13
