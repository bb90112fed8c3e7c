"""The exact results against published values, other exact methods, and brute force."""

import csv
import doctest
import heapq
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve
from scipy.special import gammaincc, gammaln
from scipy.stats import poisson

from routingsim.errors import SimulationError
from routingsim.simulation import theory
from routingsim.simulation.theory import markovian, renewal
from routingsim.simulation.theory.results import Latencies, Result, Waits

Floats = NDArray[np.float64]

# --- Reference values -------------------------------------------------------------------------

MM1 = theory.mmc(0.8, 1, 1)
MM5 = theory.mmc(4, 1, 5)
MM100 = theory.mmc(95, 1, 100)
MM3_10 = theory.mmck(3, 1, 3, capacity=10)
TIMEOUT = theory.mmc_timeout(4, 1, 5, patience=1)
LOOP = theory.finite_source(users=20, think=10, service=1, servers=1)
RETRY = theory.mmc_retry(3.6, 1, 5, p_retry=0.1)
FIRST, SECOND = theory.mmc(3.6, 1, 5), theory.mmc(2.4, 1, 3)

REFERENCE: dict[tuple[str, str], tuple[float, float]] = {
    ("1", "mean wait"): (MM1.wait_mean, 4.0),
    ("1", "P(wait>5)"): (MM1.wait_sf(5), 0.2943035529),
    ("1", "wait p95"): (MM1.wait_quantile(0.95), 13.8629436112),
    ("1", "sojourn p99"): (MM1.latency_quantile(0.99), 23.0258509299),
    ("2", "P(wait>0)"): (MM5.p_wait, 0.5541125541),
    ("2", "mean wait"): (MM5.wait_mean, 0.5541125541),
    ("2", "mean queue length"): (MM5.queue_mean, 2.2164502165),
    ("2", "P(wait>1)"): (MM5.wait_sf(1), 0.2038466168),
    ("2", "wait p95"): (MM5.wait_quantile(0.95), 2.4053448270),
    ("2", "sojourn p99"): (MM5.latency_quantile(0.99), 6.0796625245),
    ("3", "mean wait"): (MM100.wait_mean, 0.1012913708),
    ("3", "P(wait>0)"): (MM100.p_wait, 0.5064568539),
    ("4", "P(rejected)"): (theory.mmcc(4, 1, 5).p_rejected, 0.1990668740),
    ("5", "P(rejected)"): (MM3_10.p_rejected, 0.1011235955),
    ("5", "mean wait of the accepted"): (MM3_10.wait_mean, 1.05),
    ("6", "mean wait"): (theory.md1(0.8, 1).wait_mean, 2.0),
    ("7", "mean wait"): (theory.mg1(0.8, 1, scv=1.5).wait_mean, 5.0),
    ("8", "mean wait"): (theory.gim1(0.8, 1, theory.gamma_lst(cv=2)).wait_mean, 10.9552275581),
    ("9", "P(timed out)"): (TIMEOUT.p_timed_out, 0.0487133675),
    ("9", "mean time in queue of all"): (TIMEOUT.wait_mean, 0.2236630008),
    ("9", "utilisation"): (TIMEOUT.utilisation, 0.7610293060),
    ("10", "throughput"): (LOOP.throughput, 0.9981309501),
    ("10", "mean response"): (LOOP.latency_mean, 10.0374509948),
    ("11", "attempts per task"): (RETRY.attempts_mean, 1.1111111111),
    ("11", "total time per task"): (RETRY.latency_mean, 1.7267917268),
    ("12", "mean wait first agent"): (FIRST.wait_mean, 0.2931384339),
    ("12", "mean wait second agent"): (SECOND.wait_mean, 1.0786516854),
    ("12", "mean wait overall"): (
        0.6 * FIRST.wait_mean + 0.4 * SECOND.wait_mean,
        0.6073437345,
    ),
}


@pytest.mark.reference
@pytest.mark.parametrize("key", REFERENCE, ids=" ".join)
def test_reference_value(key: tuple[str, str]) -> None:
    computed, published = REFERENCE[key]
    assert computed == pytest.approx(published, rel=1e-9, abs=6e-11)


@pytest.mark.reference
def test_every_row_of_the_reference_file(shared_reference: Path) -> None:
    with (shared_reference / "queueing_reference.csv").open(encoding="utf-8") as file:
        rows = {(row["case"], row["quantity"]): float(row["value"]) for row in csv.DictReader(file)}
    assert rows == {key: published for key, (_, published) in REFERENCE.items()}


# --- Erlang's formulas ------------------------------------------------------------------------


@given(load=st.fractions(Fraction(1, 50), 60, max_denominator=50), servers=st.integers(1, 60))
def test_erlang_formulas_equal_their_sums(load: Fraction, servers: int) -> None:
    terms = [load**n / math.factorial(n) for n in range(servers + 1)]
    assert theory.erlang_b(float(load), servers) == pytest.approx(
        float(terms[-1] / sum(terms)), rel=1e-13
    )
    if load < servers:
        waiting = terms[-1] * servers / (servers - load)
        assert theory.erlang_c(float(load), servers) == pytest.approx(
            float(waiting / (sum(terms[:-1]) + waiting)), rel=1e-11
        )


@pytest.mark.parametrize(("load", "servers"), [(9_900.0, 10_000), (5_000.0, 4_000), (10.0, 3_000)])
def test_erlang_b_with_thousands_of_servers(load: float, servers: int) -> None:
    pmf = math.exp(servers * math.log(load) - load - gammaln(servers + 1))
    assert theory.erlang_b(load, servers) == pytest.approx(
        pmf / gammaincc(servers + 1, load), rel=1e-8
    )


def test_a_server_more_than_needed_by_far_leaves_no_wait() -> None:
    queue = theory.mmc(1, 1, 5_000)
    assert queue.p_wait == queue.wait_mean == queue.wait_quantile(0.999) == 0


# --- Birth and death processes, solved as linear equations ------------------------------------


def stationary(birth: list[float], death: list[float]) -> Floats:
    """Distribution over 0..n of a birth and death process, from its generator."""
    generator = np.diag(birth, 1) + np.diag(death, -1)
    generator -= np.diag(generator.sum(axis=1))
    equations = np.vstack([generator.T[:-1], np.ones(len(birth) + 1)])
    return np.linalg.solve(equations, np.eye(len(birth) + 1)[-1])


@pytest.mark.parametrize("rate", [1.0, 3.0, 7.5])
@pytest.mark.parametrize(("servers", "capacity"), [(1, 1), (1, 6), (3, 3), (3, 10), (4, 40)])
def test_mmck_is_its_birth_and_death_process(rate: float, servers: int, capacity: int) -> None:
    service = 0.8
    p = stationary([rate] * capacity, [min(n, servers) / service for n in range(1, capacity + 1)])
    queue = theory.mmck(rate, service, servers, capacity)
    n = np.arange(capacity + 1)
    queued = np.maximum(n - servers, 0) @ p
    assert queue.p_rejected == pytest.approx(p[-1], rel=1e-9)
    assert queue.queue_mean == pytest.approx(queued, rel=1e-9, abs=1e-15)
    assert queue.utilisation == pytest.approx(np.minimum(n, servers) @ p / servers, rel=1e-9)
    assert queue.wait_mean == pytest.approx(queued / (rate * (1 - p[-1])), rel=1e-9, abs=1e-15)
    assert queue.p_wait == pytest.approx(p[servers:-1].sum() / (1 - p[-1]), rel=1e-9, abs=1e-15)


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


def test_retries_without_end_are_a_slower_server() -> None:
    rate, p_retry, servers, top = 3.0, 0.3, 5, 400
    p = stationary([rate] * top, [min(n, servers) * (1 - p_retry) for n in range(1, top + 1)])
    retry = theory.mmc_retry(rate, 1, servers, p_retry)
    assert retry.latency_mean == pytest.approx(np.arange(top + 1) @ p / rate, rel=1e-9)
    assert retry.p_failed == 0


def test_retries_with_an_end_against_the_whole_queue_written_out() -> None:
    """One server, two attempts: a state is the queue's attempts in order, up to 12 tasks."""
    rate, p_retry, top = 0.15, 0.5, 12
    states = [s for n in range(top + 1) for s in itertools.product((1, 2), repeat=n)]
    number: dict[tuple[int, ...], int] = {state: i for i, state in enumerate(states)}
    flows: list[tuple[tuple[int, ...], tuple[int, ...], float]] = []
    for state in states:
        if len(state) < top:
            flows.append((state, (*state, 1), rate))
        if state:
            again = p_retry if state[0] == 1 else 0.0
            flows += [
                (state, state[1:], 1 - again),
                (state, (*state[1:], 2), again),
            ]
    source, target, flow = zip(*((number[a], number[b], f) for a, b, f in flows), strict=True)
    size = len(states)
    into = coo_array((flow, (target, source)), shape=(size, size)).tolil()
    into.setdiag(into.diagonal() - np.bincount(source, flow, minlength=size))
    into[0, :] = 1.0
    p = spsolve(into.tocsc(), np.eye(1, size)[0])
    retry = theory.mmc_retry(rate, 1, 1, p_retry, max_attempts=2)
    lengths = np.array([len(state) for state in states])
    assert retry.latency_mean == pytest.approx(lengths @ p / rate, rel=1e-6)
    assert (retry.attempts_mean, retry.p_failed) == pytest.approx((1.5, 0.25))


# --- M/D/c ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.001, 0.1, 0.8, 0.99, 0.9999])
def test_md1_is_pollaczek_khinchine(rho: float) -> None:
    exact, queue = theory.mg1(rho / 3, 3, scv=0), theory.md1(rho / 3, 3)
    assert queue.wait_mean == pytest.approx(exact.wait_mean, rel=1e-10)
    assert queue.p_wait == pytest.approx(exact.p_wait, rel=1e-12)


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


# --- GI/M/c -----------------------------------------------------------------------------------


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


# --- Limits -----------------------------------------------------------------------------------

stable = st.tuples(st.integers(1, 40), st.floats(0.05, 0.9))


@given(stable)
def test_models_without_their_bound_are_mmc(system: tuple[int, float]) -> None:
    servers, rho = system
    rate = rho * servers
    exact = theory.mmc(rate, 1, servers)
    for bounded in (
        theory.mmck(rate, 1, servers, capacity=servers + 500),
        theory.mmc_timeout(rate, 1, servers, patience=5_000 / servers),
        theory.mmc_retry(rate, 1, servers, p_retry=0),
    ):
        assert bounded.wait_mean == pytest.approx(exact.wait_mean, rel=1e-9)
    patient = theory.erlang_a(rate, 1, servers, patience=1e8)
    assert patient.wait_mean == pytest.approx(exact.wait_mean, rel=1e-4)
    assert patient.wait_sf(0.5) == pytest.approx(exact.wait_sf(0.5), rel=1e-4)
    assert patient.served_wait_sf(0.5) == pytest.approx(exact.wait_sf(0.5), rel=1e-4)


@given(servers=st.integers(1, 40), rate=st.floats(0.1, 100))
def test_no_patience_is_no_queue(servers: int, rate: float) -> None:
    lost = theory.erlang_b(rate, servers)
    assert theory.mmc_timeout(rate, 1, servers, patience=0).p_timed_out == pytest.approx(lost)
    assert theory.mmcc(rate, 1, servers).p_rejected == pytest.approx(lost)


@given(rho=st.floats(0.01, 0.99))
def test_mg1_with_exponential_service_is_mm1(rho: float) -> None:
    assert theory.mg1(rho, 1, scv=1).wait_mean == pytest.approx(theory.mmc(rho, 1, 1).wait_mean)


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


def test_figures_survive_extremes() -> None:
    for queue in (
        theory.mmck(1e4, 1, 3, capacity=5_000),
        theory.mmc_timeout(1e4, 1, 3, patience=1e4),
        theory.erlang_a(1e3, 1, 3, patience=100),
    ):
        assert queue.utilisation == pytest.approx(1)
        assert queue.throughput == pytest.approx(3)
    assert theory.mmc_timeout(1, 1, 2_000, patience=3).p_timed_out == 0
    assert theory.erlang_a(1, 1, 2_000, patience=3).wait_sf(1.0) == 0


# --- Distributions ----------------------------------------------------------------------------

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


@pytest.mark.parametrize("result", DISTRIBUTIONS, ids=repr)
def test_tails_integrate_to_means_and_quantiles_invert_them(result: Any) -> None:
    scale = result.service
    figures = ["wait"]
    figures += ["latency"] * isinstance(result, Latencies)
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


@given(stable, st.floats(0.01, 100))
def test_units_of_time_do_not_matter(system: tuple[int, float], unit: float) -> None:
    servers, rho = system
    rate = rho * servers
    law = theory.gamma_lst(cv=1.7)
    pairs: list[tuple[Any, Any]] = [
        (model(rate, 1, servers), model(rate / unit, unit, servers))
        for model in (theory.mmc, theory.mdc)
    ]
    pairs += [
        (theory.mmck(rate, 1, servers, 50), theory.mmck(rate / unit, unit, servers, 50)),
        (theory.gimc(rate, 1, servers, law), theory.gimc(rate / unit, unit, servers, law)),
        (
            theory.erlang_a(rate, 1, servers, 3),
            theory.erlang_a(rate / unit, unit, servers, 3 * unit),
        ),
        (
            theory.mmc_timeout(rate, 1, servers, 3),
            theory.mmc_timeout(rate / unit, unit, servers, 3 * unit),
        ),
        (
            theory.finite_source(50, 3, 1, servers),
            theory.finite_source(50, 3 * unit, unit, servers),
        ),
    ]
    for plain, scaled in pairs:
        assert scaled.wait_mean == pytest.approx(plain.wait_mean * unit, rel=1e-8)
        assert scaled.utilisation == pytest.approx(plain.utilisation, rel=1e-9)
        assert scaled.wait_quantile(0.99) == pytest.approx(
            plain.wait_quantile(0.99) * unit, rel=1e-8, abs=1e-12
        )


@given(st.integers(1, 30), st.floats(0.05, 0.95))
def test_less_variable_systems_wait_less(servers: int, rho: float) -> None:
    rate = rho * servers
    regular = theory.gimc(rate, 1, servers, theory.deterministic_lst()).wait_mean
    poissonian = theory.mmc(rate, 1, servers).wait_mean
    bursty = theory.gimc(rate, 1, servers, theory.hyperexponential_lst(cv=2)).wait_mean
    assert regular <= poissonian <= bursty
    assert theory.mdc(rate, 1, servers).wait_mean <= poissonian
    assert theory.mmc(rate, 1, servers + 1).wait_mean <= poissonian


# --- Brute force ------------------------------------------------------------------------------

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


def assert_close(checks: dict[str, tuple[Floats, float]]) -> None:
    scores = {name: z_score(values, expected) for name, (values, expected) in checks.items()}
    assert all(abs(z) <= 4.5 for z in scores.values()), scores


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


@pytest.mark.reference
def test_finite_queue_wait_against_simulation() -> None:
    """Accepted waits of M/M/2/5: departures are looked up, as a full system turns tasks away."""
    rng = np.random.default_rng(20_263)
    rate, servers, capacity = 2.5, 2, 5
    free, inside = [0.0] * servers, [0.0] * 0
    waits, accepted = np.zeros(SIZE), np.zeros(SIZE, dtype=bool)
    arrivals = np.cumsum(rng.exponential(1 / rate, SIZE)).tolist()
    for i, (now, service) in enumerate(
        zip(arrivals, rng.exponential(1.0, SIZE).tolist(), strict=True)
    ):
        while inside and inside[0] <= now:
            heapq.heappop(inside)
        if len(inside) < capacity:
            accepted[i], waits[i] = True, max(free[0] - now, 0.0)
            heapq.heapreplace(free, now + waits[i] + service)
            heapq.heappush(inside, now + waits[i] + service)
    queue = theory.mmck(rate, 1, servers, capacity)
    share = 1 - queue.p_rejected
    assert_close(
        {
            "rejected": ((~accepted).astype(float), queue.p_rejected),
            "P(wait > 1)": ((accepted & (waits > 1)).astype(float), queue.wait_sf(1) * share),
            "wait_mean": (waits, queue.wait_mean * share),
        }
    )


# --- Results and errors -----------------------------------------------------------------------


def test_results_read_well_and_stack() -> None:
    assert repr(MM5) == (
        "MMc(rate=4, service=1, servers=5, utilisation=0.8, p_wait=0.554113, wait_mean=0.554113, "
        "queue_mean=2.21645, latency_mean=1.55411, decay=1)"
    )
    frame = TIMEOUT.to_frame()
    assert frame["p_timed_out"].tolist() == [TIMEOUT.p_timed_out]
    assert "density" not in frame.columns
    assert theory.mdc(4, 1, 5) == theory.mdc(4, 1, 5)


def test_examples_in_the_docstrings() -> None:
    for module in (markovian, renewal):
        outcome = doctest.testmod(module)
        assert outcome.attempted > 0
        assert outcome.failed == 0


UNSTABLE: list[Callable[[], Result]] = [
    lambda: theory.mmc(rate=6, service=1, servers=5),
    lambda: theory.mmc(rate=5, service=1, servers=5),
    lambda: theory.mdc(rate=6, service=1, servers=5),
    lambda: theory.mg1(rate=6, service=1, scv=1),
    lambda: theory.gimc(6, 1, 5, theory.gamma_lst(cv=2)),
    lambda: theory.mmc_retry(rate=4.6, service=1, servers=5, p_retry=0.1),
]


@pytest.mark.parametrize("call", UNSTABLE)
def test_no_steady_state(call: Callable[[], Result]) -> None:
    with pytest.raises(SimulationError, match=r"no steady state: rate .* service .* servers"):
        call()


def test_no_steady_state_says_what_would_be_stable() -> None:
    with pytest.raises(SimulationError) as caught:
        theory.mmc(rate=6, service=1.5, servers=5)
    assert str(caught.value) == (
        "mmc: no steady state: rate 6/s times service 1.5 s offers a load of 9 to 5 servers, so "
        "the queue grows for ever; it is stable with 10 servers or more, with a rate below "
        "3.33333/s, or with a service below 0.833333 s"
    )
    theory.mmc(rate=6, service=1.5, servers=10)


BAD: list[tuple[str, Callable[[Any], object], tuple[Any, ...]]] = [
    ("rate", lambda x: theory.mmc(x, 1, 5), (-1, 0, math.nan, math.inf, "4", None)),
    ("service", lambda x: theory.mmc(1, x, 5), (-1, 0, math.nan, math.inf)),
    ("servers", lambda x: theory.mmc(1, 1, x), (0, -2, 2.5, 5.0, True, math.nan, "5")),
    ("capacity", lambda x: theory.mmck(1, 1, 3, x), (2, 10.5)),
    ("p_retry", lambda x: theory.mmc_retry(1, 1, 3, x), (-0.1, 1.0, math.nan)),
    ("max_attempts", lambda x: theory.mmc_retry(1, 1, 3, 0.1, x), (0, 1.5)),
    ("scv", lambda x: theory.mg1(0.5, 1, x), (-0.1, math.nan, math.inf)),
    ("patience", lambda x: theory.mmc_timeout(1, 1, 3, x), (-1, math.inf, math.nan)),
    ("patience", lambda x: theory.erlang_a(1, 1, 3, x), (-1, 0, math.inf)),
    ("users", lambda x: theory.finite_source(x, 1, 1, 1), (0, 2.5)),
    ("think", lambda x: theory.finite_source(2, x, 1, 1), (-1, math.inf)),
    ("cv", theory.gamma_lst, (0, -1, math.nan)),
    ("cv", theory.weibull_lst, (0, 1e3)),
    ("cv", theory.hyperexponential_lst, (0.9, math.nan)),
    ("load", lambda x: theory.erlang_b(x, 3), (0, math.nan)),
    ("q", MM5.wait_quantile, (1.0, -0.1, math.nan, 95.0)),
    ("q", MM5.latency_quantile, (1.0,)),
]


@pytest.mark.parametrize(
    ("name", "call", "value"),
    [(name, call, value) for name, call, values in BAD for value in values],
)
def test_bad_input_is_named(name: str, call: Callable[[Any], object], value: object) -> None:
    with pytest.raises(SimulationError, match=f": {name} is {value!r}; it must be"):
        call(value)


@pytest.mark.parametrize(
    "law", [lambda s: math.exp(-2 * s), lambda s: 0.5 * math.exp(-s), lambda s: 1.0]
)
def test_a_transform_of_another_mean_is_refused(law: theory.Transform) -> None:
    with pytest.raises(SimulationError, match="not the transform of a law with mean 1"):
        theory.gim1(0.5, 1, law)


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(SimulationError, match="too close to 1"):
        theory.md1(1 - 1e-7, 1)
    with pytest.raises(SimulationError, match="too close to 1"):
        theory.gim1(1 - 1e-12, 1, theory.gamma_lst(cv=2))
    with pytest.raises(SimulationError, match="lower the rate or the patience"):
        theory.erlang_a(100, 1, 3, patience=1e7)
