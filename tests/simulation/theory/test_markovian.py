"""M/M/c, its finite queues, retries and the closed loop against other exact methods."""

import heapq
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve
from scipy.special import gammaincc, gammaln

from routingsim.simulation import theory
from tests.simulation.theory.queues import (
    SIZE,
    assert_close,
    stationary,
)


@pytest.mark.slow
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


def test_retries_without_end_are_a_slower_server() -> None:
    rate, p_retry, servers, top = 3.0, 0.3, 5, 400
    p = stationary([rate] * top, [min(n, servers) * (1 - p_retry) for n in range(1, top + 1)])
    retry = theory.mmc_retry(rate, 1, servers, p_retry)
    assert retry.latency_mean == pytest.approx(np.arange(top + 1) @ p / rate, rel=1e-9)
    assert retry.p_failed == 0


@pytest.mark.slow
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
