"""Queues, a solver and a simulator, for the tests of this folder."""

import heapq
import math

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from routingsim.simulation import theory

Floats = NDArray[np.float64]

MM1 = theory.mmc(0.8, 1, 1)

MM5 = theory.mmc(4, 1, 5)

MM100 = theory.mmc(95, 1, 100)

MM3_10 = theory.mmck(3, 1, 3, capacity=10)

TIMEOUT = theory.mmc_timeout(4, 1, 5, patience=1)

LOOP = theory.finite_source(users=20, think=10, service=1, servers=1)

RETRY = theory.mmc_retry(3.6, 1, 5, p_retry=0.1)

FIRST, SECOND = theory.mmc(3.6, 1, 5), theory.mmc(2.4, 1, 3)


def stationary(birth: list[float], death: list[float]) -> Floats:
    """Distribution over 0..n of a birth and death process, from its generator."""
    generator = np.diag(birth, 1) + np.diag(death, -1)
    generator -= np.diag(generator.sum(axis=1))
    equations = np.vstack([generator.T[:-1], np.ones(len(birth) + 1)])
    return np.linalg.solve(equations, np.eye(len(birth) + 1)[-1])


stable = st.tuples(st.integers(1, 40), st.floats(0.05, 0.9))

BATCHES, BATCH = 60, 5_000

SIZE = (BATCHES + 2) * BATCH


def simulate(
    gaps: Floats, services: Floats, servers: int, patience: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Time in queue and whether served, of each arrival at a FIFO queue in turn."""
    free = [0.0] * servers
    waits, served = [], []
    for now, service, limit in zip(
        np.cumsum(gaps).tolist(), services.tolist(), patience.tolist(), strict=True
    ):
        wait = max(free[0] - now, 0.0)
        served.append(wait <= limit)
        waits.append(min(wait, limit))
        if wait <= limit:
            heapq.heapreplace(free, now + wait + service)
    return np.array(waits), np.array(served)


def z_score(values: Floats, expected: float) -> float:
    """How many standard errors the batch means' mean is from ``expected``, warm-up left out."""
    means = values.reshape(-1, BATCH)[2:].mean(axis=1)
    return (means.mean() - expected) / (means.std(ddof=1) / math.sqrt(means.size))


def assert_close(checks: dict[str, tuple[Floats, float]]) -> None:
    scores = {name: z_score(values, expected) for name, (values, expected) in checks.items()}
    assert all(abs(z) <= 4.5 for z in scores.values()), scores
