"""All models: published values, limits and relations among them."""

import csv
import doctest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import SimulationError
from routingsim.simulation import theory
from routingsim.simulation.theory import markovian, renewal
from tests.simulation.theory.queues import (
    FIRST,
    LOOP,
    MM1,
    MM3_10,
    MM5,
    MM100,
    RETRY,
    SECOND,
    TIMEOUT,
    stable,
)

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@given(st.integers(1, 30), st.floats(0.05, 0.95))
def test_less_variable_systems_wait_less(servers: int, rho: float) -> None:
    rate = rho * servers
    regular = theory.gimc(rate, 1, servers, theory.deterministic_lst()).wait_mean
    poissonian = theory.mmc(rate, 1, servers).wait_mean
    bursty = theory.gimc(rate, 1, servers, theory.hyperexponential_lst(cv=2)).wait_mean
    assert regular <= poissonian <= bursty
    assert theory.mdc(rate, 1, servers).wait_mean <= poissonian
    assert theory.mmc(rate, 1, servers + 1).wait_mean <= poissonian


def test_examples_in_the_docstrings() -> None:
    for module in (markovian, renewal):
        outcome = doctest.testmod(module)
        assert outcome.attempted > 0
        assert outcome.failed == 0


@pytest.mark.slow
def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(SimulationError, match="too close to 1"):
        theory.md1(1 - 1e-7, 1)
    with pytest.raises(SimulationError, match="too close to 1"):
        theory.gim1(1 - 1e-12, 1, theory.gamma_lst(cv=2))
    with pytest.raises(SimulationError, match="lower the rate or the patience"):
        theory.erlang_a(100, 1, 3, patience=1e7)
