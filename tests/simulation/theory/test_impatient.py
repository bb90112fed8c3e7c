"""Queues with patience against other exact methods and brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import poisson

from routingsim.simulation import theory
from tests.simulation.theory.queues import (
    SIZE,
    assert_close,
    simulate,
    stationary,
)


@pytest.mark.parametrize(("rate", "patience"), [(4.0, 1.0), (4.0, 0.05), (9.0, 2.0), (5.0, 6.0)])
def test_erlang_a_is_its_birth_and_death_process(rate: float, patience: float) -> None:
    servers, top = 5, 150
    death = [min(n, servers) + max(n - servers, 0) / patience for n in range(1, top + 1)]
    p = stationary([rate] * top, death)
    n = np.arange(top + 1)
    queued = np.maximum(n - servers, 0) @ p
    queue = theory.erlang_a(rate, 1, servers, patience)
    assert queue.p_wait == pytest.approx(p[servers:].sum(), rel=1e-9)
    assert queue.queue_mean == pytest.approx(queued, rel=1e-9)
    assert queue.p_abandon == pytest.approx(queued / patience / rate, rel=1e-9)
    assert queue.utilisation == pytest.approx(np.minimum(n, servers) @ p / servers, rel=1e-9)


def test_erlang_a_as_patient_as_it_is_served_is_poisson() -> None:
    queue = theory.erlang_a(rate=30, service=2, servers=70, patience=2)
    assert queue.p_wait == pytest.approx(poisson.sf(69, 60), rel=1e-11)


@given(servers=st.integers(1, 40), rate=st.floats(0.1, 100))
def test_no_patience_is_no_queue(servers: int, rate: float) -> None:
    lost = theory.erlang_b(rate, servers)
    assert theory.mmc_timeout(rate, 1, servers, patience=0).p_timed_out == pytest.approx(lost)
    assert theory.mmcc(rate, 1, servers).p_rejected == pytest.approx(lost)


@given(st.integers(1, 20), st.floats(0.05, 3.0), st.floats(0.01, 20))
def test_patience_in_and_out_of_overload(servers: int, rho: float, patience: float) -> None:
    """The timeout's closed form against quadrature of the density it comes from."""
    rate = rho * servers
    drift = servers - rate

    def weight(x: float) -> float:
        return math.exp(-drift * x - max(0.0, -drift * patience))

    before, _ = quad(weight, 0, patience, epsabs=0, epsrel=1e-11, limit=200)
    moment, _ = quad(lambda x: x * weight(x), 0, patience, epsabs=0, epsrel=1e-11, limit=200)
    beyond = weight(patience) / servers
    below = math.exp(-max(0.0, -drift * patience)) / theory.erlang_b(rate, servers - 1)
    norm = below + rate * (before + beyond)
    queue = theory.mmc_timeout(rate, 1, servers, patience)
    assert queue.p_timed_out == pytest.approx(rate * beyond / norm, rel=1e-8)
    assert queue.wait_mean == pytest.approx(rate * (moment + patience * beyond) / norm, rel=1e-8)
    assert queue.wait_mean == pytest.approx(
        queue.served_wait_mean * (1 - queue.p_timed_out) + patience * queue.p_timed_out, rel=1e-9
    )


@pytest.mark.reference
@pytest.mark.parametrize("rate", [4.0, 5.0, 8.0])
@pytest.mark.parametrize("model", ["timeout", "erlang_a"])
def test_impatience_against_simulation(model: str, rate: float) -> None:
    rng = np.random.default_rng(20_262)
    servers, mean_patience = 5, 0.8
    if model == "timeout":
        patience = np.full(SIZE, mean_patience)
        queue = theory.mmc_timeout(rate, 1, servers, mean_patience)
        p_lost = queue.p_timed_out
    else:
        patience = rng.exponential(mean_patience, SIZE)
        queue = theory.erlang_a(rate, 1, servers, mean_patience)
        p_lost = queue.p_abandon
    waits, served = simulate(
        rng.exponential(1 / rate, SIZE), rng.exponential(1.0, SIZE), servers, patience
    )
    p_served = 1 - p_lost
    late = (served & (waits > 0.3)).astype(float)
    assert_close(
        {
            "lost": ((~served).astype(float), p_lost),
            "p_wait": ((waits > 0).astype(float), queue.p_wait),
            "wait_mean": (waits, queue.wait_mean),
            "served_wait_mean": (waits * served, queue.served_wait_mean * p_served),
            "P(wait > 0.3)": ((waits > 0.3).astype(float), queue.wait_sf(0.3)),
            "P(wait > 0.3, served)": (late, queue.served_wait_sf(0.3) * p_served),
        }
    )
