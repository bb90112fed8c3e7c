"""Distributions, text and tables of results."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from routingsim.simulation import theory
from routingsim.simulation.theory.results import UnlimitedQueue, Waits
from tests.simulation.theory.queues import (
    LOOP,
    MM1,
    MM3_10,
    MM5,
    TIMEOUT,
    Floats,
)

DISTRIBUTIONS: list[Waits] = [
    MM1,
    MM5,
    theory.mmc(0.4, 5, 3),
    theory.mmc(0.999, 1, 2),
    MM3_10,
    theory.mmck(9, 1, 3, capacity=30),
    theory.mdc(4, 1, 5),
    theory.mdc(0.2, 3, 1),
    theory.mdc(95, 1, 100),
    theory.gimc(4, 1, 5, theory.gamma_lst(cv=2)),
    theory.gimc(4, 1, 5, theory.deterministic_lst()),
    TIMEOUT,
    theory.mmc_timeout(9, 1, 5, patience=2),
    theory.mmc_timeout(5, 1, 5, patience=2),
    theory.erlang_a(4, 1, 5, patience=1),
    theory.erlang_a(9, 1, 5, patience=2),
    LOOP,
    theory.finite_source(users=30, think=2, service=1, servers=12),
]


def area(sf: Callable[[Floats], Floats], breaks: list[float]) -> float:
    """Integral of a tail over [0, last break], by Gauss-Legendre between the breaks."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    total = np.float64(0)
    for a, b in itertools.pairwise(breaks):
        total += (b - a) / 2 * (weights @ sf((a + b) / 2 + (b - a) / 2 * nodes))
    return float(total)


@pytest.mark.slow
@pytest.mark.parametrize("result", DISTRIBUTIONS, ids=repr)
def test_tails_integrate_to_means_and_quantiles_invert_them(result: Any) -> None:
    scale = result.service
    figures = ["wait"]
    figures += ["latency"] * isinstance(result, UnlimitedQueue)
    figures += ["served_wait"] * isinstance(result, (theory.MMcTimeout, theory.ErlangA))
    for figure in figures:
        sf, cdf, quantile, mean = (
            getattr(result, f"{figure}_{part}") for part in ("sf", "cdf", "quantile", "mean")
        )
        end = 2.0 + quantile(1 - 1e-13) / scale  # breaks at whole service times, as M/D/c has kinks
        breaks = list(np.arange(0, math.ceil(end) + 0.25, 0.25) * scale)
        assert area(sf, breaks) == pytest.approx(mean, rel=1e-9)
        t = np.linspace(0, end * scale, 50)
        assert np.all(np.diff(sf(t)) <= 1e-15)
        assert np.allclose(sf(t) + cdf(t), 1, rtol=0, atol=1e-15)
        assert (sf(-1.0), cdf(-1.0)) == (1, 0)
        for q in (0.0, 0.1, 0.5, 0.9, 0.99, 0.9999):
            at = quantile(q)
            assert sf(at) <= 1 - q + 1e-12
            assert at == 0 or sf(at * (1 - 1e-9)) > 1 - q - 1e-12
    assert result.p_wait == pytest.approx(result.wait_sf(0.0), rel=1e-12)


def test_arrays_keep_their_shape_and_numbers_stay_numbers() -> None:
    times = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert MM5.wait_sf(times).shape == MM5.wait_quantile(times / 4).shape == (2, 2)
    assert MM5.wait_sf(times)[0, 1] == MM5.wait_sf(1.0)
    assert type(MM5.wait_sf(1.0)) is type(MM5.wait_quantile(0.5)) is float


@given(decay=st.floats(0.99, 1.01), t=st.floats(0, 30))
def test_latency_has_no_special_case_where_both_rates_agree(decay: float, t: float) -> None:
    """c mu - lambda near mu, against the integral over the wait; agreement at exactly mu too."""
    queue = theory.mmc(5 - decay, 1, 5)
    integral, _ = quad(
        lambda w: queue.p_wait * queue.decay * math.exp(-queue.decay * w - (t - w)), 0, t
    )
    expected = (1 - queue.p_wait) * math.exp(-t) + integral + queue.wait_sf(t)
    assert queue.latency_sf(t) == pytest.approx(expected, rel=1e-9)
    if decay == 1:
        assert queue.latency_sf(t) == pytest.approx(math.exp(-t) * (1 + queue.p_wait * t))


def test_results_read_well_and_stack() -> None:
    assert repr(MM5) == (
        "MMc(rate=4, service=1, servers=5, utilisation=0.8, p_wait=0.554113, wait_mean=0.554113, "
        "queue_mean=2.21645, latency_mean=1.55411, decay=1)"
    )
    frame = TIMEOUT.to_frame()
    assert frame["p_timed_out"].tolist() == [TIMEOUT.p_timed_out]
    assert "density" not in frame.columns
    assert theory.mdc(4, 1, 5) == theory.mdc(4, 1, 5)
