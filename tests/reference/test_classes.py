"""Priorities, tenants and hedging against exact results, at fixed seeds."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import routingsim as rs
from routingsim import theory

pytestmark = [pytest.mark.reference, pytest.mark.slow]


def pool(count: int = 1, **given: Any) -> rs.AgentPool:
    plain = {"cost": 0.01, "latency": 1.0, "service": "exponential", "concurrency": 1}
    return rs.AgentPool(
        tuple(rs.Agent(id=f"a{k}", name="A", **(plain | given)) for k in range(count))
    )


def z(values: NDArray[np.float64], exact: float) -> float:
    """Standard errors between a mean and the exact value, by 40 batches."""
    batches = values[: values.size // 40 * 40].reshape(40, -1).mean(axis=1)
    return abs(values.mean() - exact) / (batches.std(ddof=1) / 40**0.5)


@pytest.mark.parametrize(
    ("servers", "rate", "shares", "law"),
    [
        (1, 0.8, (0.5, 0.5), {"service": "exponential"}),
        (1, 0.7, (0.2, 0.3, 0.5), {"service": "lognormal", "latency_cv": 1.5}),
        (5, 4.2, (0.2, 0.3, 0.5), {"service": "exponential"}),
    ],
)
def test_cobhams_classes(
    servers: int, rate: float, shares: tuple[float, ...], law: dict[str, Any]
) -> None:
    tenants = [rs.Tenant(f"t{k}", priority=k, share=share) for k, share in enumerate(shares)]
    result = rs.replay(
        *(None, pool(concurrency=servers, discipline="priority", **law), "static:a0"),
        arrivals=f"poisson:{rate}", tasks=1_000_000, seed=11, tenants=tenants,
    )  # fmt: skip
    rates = [rate * share for share in shares]
    scv = law.get("latency_cv", 1.0) ** 2
    exact = (
        theory.mmc_priority(rates, 1.0, servers)
        if servers > 1
        else theory.mg1_priority(rates, [1.0] * len(rates), [scv] * len(rates))
    )
    for k, wait in enumerate(exact.wait_means):
        assert z(result.log.wait[result.work.priority == k], wait) <= 4.5


def test_tenants_with_impatience_share_by_weight() -> None:
    """Overload, and callers who leave: shares 1 : 2 : 4 of the answers."""
    tenants = [rs.Tenant(n, weight=w, share=1 / 3) for n, w in (("x", 1), ("y", 2), ("z", 4))]
    result = rs.replay(
        *(None, pool(concurrency=10, patience=2.0, patience_law="exponential"), "static:a0"),
        arrivals="poisson:100", tasks=500_000, seed=5, tenants=tenants, discipline="fair",
    )  # fmt: skip
    answers = result.by_tenant()["ok"].to_numpy()
    assert answers / answers.sum() == pytest.approx([1 / 7, 2 / 7, 4 / 7], abs=0.002)
    assert result.fairness > 0.999


@pytest.mark.parametrize(("servers", "load"), [(2, 0.7), (10, 0.5), (10, 0.8)])
def test_redundancy_two_with_cancelling(servers: int, load: float) -> None:
    rate = load * servers
    result = rs.replay(None, pool(servers), "random", arrivals=f"poisson:{rate}", tasks=400_000,
                       seed=4, hedge=rs.Hedge(after=0))  # fmt: skip
    exact = theory.redundancy(rate, 1.0, servers, 2)
    assert z(result.latency, exact.latency_mean) <= 4.5
    assert result.overall["hedged"] == 1.0
