"""The closed loop against its birth and death process."""

import numpy as np
import pytest

from routingsim.simulation import theory
from tests.simulation.theory.queues import stationary


@pytest.mark.parametrize("think", [0.5, 10.0])
@pytest.mark.parametrize(("users", "servers"), [(1, 1), (1, 3), (7, 2), (20, 1), (30, 30)])
def test_finite_source_is_its_birth_and_death_process(
    users: int, servers: int, think: float
) -> None:
    service = 1.3
    p = stationary(
        [(users - n) / think for n in range(users)],
        [min(n, servers) / service for n in range(1, users + 1)],
    )
    n = np.arange(users + 1)
    loop = theory.finite_source(users, think, service, servers)
    throughput = (users - n) @ p / think
    assert loop.throughput == pytest.approx(throughput, rel=1e-9)
    assert loop.latency_mean == pytest.approx(n @ p / throughput, rel=1e-9)
    assert loop.queue_mean == pytest.approx(np.maximum(n - servers, 0) @ p, rel=1e-9, abs=1e-15)


def test_users_who_never_think_keep_the_servers_busy() -> None:
    loop = theory.finite_source(users=7, think=0, service=2, servers=3)
    assert (loop.utilisation, loop.throughput) == pytest.approx((1.0, 1.5))
