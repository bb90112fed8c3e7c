"""M/G/1 and M/D/c against other exact methods and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from routingsim.simulation import theory
from tests.simulation.theory.queues import (
    SIZE,
    assert_close,
    simulate,
)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.001, 0.1, 0.8, 0.99, 0.9999])
def test_md1_is_pollaczek_khinchine(rho: float) -> None:
    exact, queue = theory.mg1(rho / 3, 3, scv=0), theory.md1(rho / 3, 3)
    assert queue.wait_mean == pytest.approx(exact.wait_mean, rel=1e-10)
    assert queue.p_wait == pytest.approx(exact.p_wait, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "servers"), [(0.2, 2), (0.5, 10), (0.8, 5), (0.9, 3), (0.7, 60)])
def test_mdc_is_the_fixed_point_of_its_recursion(rho: float, servers: int) -> None:
    """The number in the system, one service time later, on a truncated state space."""
    load, size = rho * servers, 250
    n = np.arange(size)
    carried = np.maximum(n - servers, 0)
    step = poisson.pmf(n[:, None] - carried[None, :], load)
    step[-1] += 1 - step.sum(axis=0)
    p = np.linalg.solve(np.vstack([(step - np.eye(size))[:-1], np.ones(size)]), np.eye(size)[-1])
    queue = theory.mdc(load, 1, servers)
    assert queue.queue_mean == pytest.approx(carried @ p, rel=1e-7)
    assert queue.p_wait == pytest.approx(p[servers:].sum(), rel=1e-7)


@pytest.mark.parametrize(("rho", "servers"), [(0.3, 20), (0.9, 30), (0.5, 100), (0.6, 400)])
def test_mdc_keeps_the_digits_of_a_tiny_wait(rho: float, servers: int) -> None:
    """Spitzer's sum of E max(S_n, 0) / n, each term from its own positive series."""
    load = rho * servers
    mean = 0.0
    for n in range(1, 400):
        above = np.arange(1, 3000)
        mean += above @ poisson.pmf(n * servers + above, n * load) / n
    assert theory.mdc(load, 1, servers).queue_mean == pytest.approx(mean, rel=1e-9)


def test_mdc_wait_is_continuous_where_a_service_time_ends() -> None:
    queue = theory.mdc(4, 0.5, 3)
    for t in (0.5, 1.0, 1.5):
        assert queue.wait_sf(t - 1e-12) == pytest.approx(queue.wait_sf(t + 1e-12), rel=1e-9)


@given(rho=st.floats(0.01, 0.99))
def test_mg1_with_exponential_service_is_mm1(rho: float) -> None:
    assert theory.mg1(rho, 1, scv=1).wait_mean == pytest.approx(theory.mmc(rho, 1, 1).wait_mean)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("rate", "servers", "times"),
    [(0.7, 1, (0.3, 1.2)), (2.4, 3, (0.3, 1.2)), (17.0, 20, (0.1, 0.3))],
)
def test_mdc_against_simulation(rate: float, servers: int, times: tuple[float, ...]) -> None:
    rng = np.random.default_rng(20_261)
    waits, _ = simulate(
        rng.exponential(1 / rate, SIZE), np.ones(SIZE), servers, np.full(SIZE, np.inf)
    )
    queue = theory.mdc(rate, 1, servers)
    checks = {f"P(wait > {t})": ((waits > t).astype(float), queue.wait_sf(t)) for t in times}
    checks["p_wait"] = ((waits > 0).astype(float), queue.p_wait)
    checks["wait_mean"] = (waits, queue.wait_mean)
    assert_close(checks)
