"""GI/M/c against other exact methods and brute force."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from routingsim.errors import SimulationError
from routingsim.simulation import theory
from tests.simulation.theory.queues import (
    SIZE,
    Floats,
    assert_close,
    simulate,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "law",
    [theory.gamma_lst(cv=1), theory.weibull_lst(cv=1), theory.hyperexponential_lst(cv=1)],
    ids=["gamma", "weibull", "hyperexponential"],
)
@given(
    servers=st.integers(1, 300),
    rho=st.one_of(st.floats(0.01, 0.99), st.sampled_from([0.2, 0.25, 0.5, 0.8, 0.9])),
)
def test_gimc_with_exponential_interarrivals_is_mmc(
    law: theory.Transform, servers: int, rho: float
) -> None:
    ours, exact = theory.gimc(rho * servers, 1, servers, law), theory.mmc(rho * servers, 1, servers)
    assert ours.sigma == pytest.approx(rho, rel=1e-9)
    assert ours.p_wait == pytest.approx(exact.p_wait, rel=1e-7)
    assert ours.wait_mean == pytest.approx(exact.wait_mean, rel=1e-7)


def test_gimc_where_takacs_formula_divides_by_nothing() -> None:
    for gap in (0.0, 1e-15, 1e-9, 1e-7, 1e-6, 1e-5, 3e-5, 1e-4):
        queue = theory.gimc(4 + gap, 1, 5, theory.gamma_lst(cv=1))
        assert queue.p_wait == pytest.approx(theory.erlang_c(4 + gap, 5), rel=1e-9)


def test_dm1_root() -> None:
    queue = theory.gim1(0.5, 1, theory.deterministic_lst())
    assert queue.sigma == pytest.approx(0.2031878699799799, rel=1e-12)  # -W(-2 exp(-2)) / 2


def test_regular_arrivals_that_all_but_fit_never_wait() -> None:
    queue = theory.gimc(1, 1, 2_000, theory.deterministic_lst())
    assert queue.p_wait == queue.wait_mean == 0


@pytest.mark.parametrize(
    ("family", "cvs"),
    [
        (theory.gamma_lst, (0.1, 0.5, 1.0, 3.0)),
        (theory.weibull_lst, (0.1, 0.5, 1.0, 3.0)),
        (theory.hyperexponential_lst, (1.0, 1.5, 3.0)),
    ],
)
def test_transforms_have_mean_one_and_their_cv(
    family: Callable[[float], theory.Transform], cvs: tuple[float, ...]
) -> None:
    h = 1e-5
    for cv in cvs:
        law = family(cv)
        assert law(0.0) == pytest.approx(1, abs=1e-14)
        second = 2 * (law(h) - 1 + h) / h**2
        assert second == pytest.approx(1 + cv**2, rel=5e-3)


@pytest.mark.parametrize("shape", [0.5, 0.8, 2.0, 5.0])
def test_weibull_transform_is_its_integral(shape: float) -> None:
    scale = 1 / math.gamma(1 + 1 / shape)
    cv = math.sqrt(math.gamma(1 + 2 / shape) * scale**2 - 1)
    law = theory.weibull_lst(cv)
    for s in (0.1, 1.0, 7.0):
        integral, _ = quad(
            lambda u, s=s: math.exp(-s * scale * u ** (1 / shape) - u),
            0,
            60,
            epsabs=1e-13,
            limit=400,
        )
        assert law(s) == pytest.approx(integral, rel=1e-8)


def gaps_of(law: str, rng: np.random.Generator) -> Floats:
    """Interarrival times of mean 1."""
    if law == "gamma cv=2":
        return rng.gamma(0.25, 4.0, SIZE)
    if law == "gamma cv=0.5":
        return rng.gamma(4.0, 0.25, SIZE)
    if law == "weibull cv=2.236":
        return rng.weibull(0.5, SIZE) / 2
    if law == "hyperexponential cv=3":
        p = (1 + math.sqrt(0.8)) / 2
        return rng.exponential(np.where(rng.random(SIZE) < p, 0.5 / p, 0.5 / (1 - p)))
    assert law == "deterministic"
    return np.ones(SIZE)


LAWS = {
    "gamma cv=2": theory.gamma_lst(cv=2),
    "gamma cv=0.5": theory.gamma_lst(cv=0.5),
    "weibull cv=2.236": theory.weibull_lst(cv=math.sqrt(5)),
    "hyperexponential cv=3": theory.hyperexponential_lst(cv=3),
    "deterministic": theory.deterministic_lst(),
}


@pytest.mark.reference
@pytest.mark.parametrize("law", LAWS)
def test_gimc_against_simulation(law: str) -> None:
    rng = np.random.default_rng(20_260)
    rate, servers = 2.1, 3
    services = rng.exponential(1.0, SIZE)
    waits, _ = simulate(gaps_of(law, rng) / rate, services, servers, np.full(SIZE, np.inf))
    queue = theory.gimc(rate, 1, servers, LAWS[law])
    assert_close(
        {
            "p_wait": ((waits > 0).astype(float), queue.p_wait),
            "wait_mean": (waits, queue.wait_mean),
            "P(wait > 1)": ((waits > 1).astype(float), queue.wait_sf(1)),
            "P(latency > 2)": ((waits + services > 2).astype(float), queue.latency_sf(2)),
        }
    )


@pytest.mark.parametrize(
    "law", [lambda s: math.exp(-2 * s), lambda s: 0.5 * math.exp(-s), lambda s: 1.0]
)
def test_a_transform_of_another_mean_is_refused(law: theory.Transform) -> None:
    with pytest.raises(SimulationError, match="not the transform of a law with mean 1"):
        theory.gim1(0.5, 1, law)
