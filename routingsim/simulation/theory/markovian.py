"""Poisson arrivals, exponential service: M/M/c, its finite queues, and retries."""

import math
from dataclasses import dataclass, field

import numpy as np

from routingsim.simulation.theory.inputs import (
    check_number,
    check_positive,
    check_stable,
    check_whole,
)
from routingsim.simulation.theory.results import (
    ExponentialWaits,
    Floats,
    Result,
    Waits,
    erlang_tail,
    queue_figures,
)

__all__ = [
    "MMc",
    "MMcK",
    "MMcRetry",
    "erlang_b",
    "erlang_c",
    "mmc",
    "mmc_retry",
    "mmcc",
    "mmck",
]


def erlang_b(load: float, servers: int) -> float:
    """Erlang's loss formula: the share of arrivals that find every server busy and are lost.

    ``B(0) = 1`` and ``B(n) = load B(n - 1) / (n + load B(n - 1))``: with positive terms only it
    is accurate for thousands of servers, where ``load**n / n!`` overflows.
    Source: Cooper, Introduction to Queueing Theory, 2nd ed., sec. 3.3; Gross, Shortle, Thompson
    & Harris, Fundamentals of Queueing Theory, 4th ed., sec. 2.5 and problem 2.53.

    Parameters
    ----------
    load
        Offered load, arrival rate times mean service time (erlangs), above 0.
    servers
        Number of servers, at least 0.

    Raises
    ------
    SimulationError
        If a parameter is outside its domain.
    """
    check_positive("erlang_b", load=load)
    blocked = 1.0
    for n in range(1, check_whole("erlang_b", "servers", servers, low=0) + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(load: float, servers: int) -> float:
    """Erlang's delay formula: the share of arrivals that wait, if none is lost.

    ``C = B / (1 - rho (1 - B))`` with ``rho = load / servers`` and Erlang's ``B``. Source: Cooper,
    2nd ed., sec. 3.4; Gross et al., 4th ed., sec. 2.3.

    Parameters
    ----------
    load
        Offered load (erlangs), above 0 and below ``servers``.
    servers
        Number of servers, at least 1.

    Raises
    ------
    SimulationError
        If a parameter is outside its domain.
    """
    (load,) = check_positive("erlang_c", load=load)
    servers = check_whole("erlang_c", "servers", servers)
    check_stable("erlang_c", load, 1.0, servers)
    blocked = erlang_b(load, servers)
    return blocked / (1 - load / servers * (1 - blocked))


@dataclass(frozen=True, repr=False)
class MMc(ExponentialWaits):
    """M/M/c in steady state; see :func:`mmc`."""


def mmc(rate: float, service: float, servers: int) -> MMc:
    """M/M/c: Poisson arrivals, exponential service, ``servers`` servers, one unlimited FIFO queue.

    With ``rho = rate service / servers``, Erlang's ``C`` and ``d = servers / service - rate``:
    ``P(wait > t) = C exp(-d t)``, mean wait ``C / d``, mean queue ``rate C / d``, and the latency
    is the wait plus an independent exponential service. Source: Gross et al., 4th ed., sec. 2.3;
    Kleinrock, Queueing Systems vol. 1, sec. 3.5.

    Parameters
    ----------
    rate
        Arrivals per second, above 0.
    service
        Mean service time (s), above 0.
    servers
        Number of servers (an agent's slots), at least 1; ``rate * service < servers``.

    Returns
    -------
    MMc
        ``utilisation``, ``p_wait``, ``wait_mean``, ``queue_mean``, ``latency_mean``, and the
        distributions ``wait_sf``, ``wait_cdf``, ``wait_quantile``, ``latency_sf``,
        ``latency_cdf``, ``latency_quantile``.

    Raises
    ------
    SimulationError
        If a parameter is outside its domain, or there is no steady state.

    Examples
    --------
    >>> queue = mmc(rate=4, service=1, servers=5)
    >>> round(queue.p_wait, 4), round(queue.wait_quantile(0.95), 4)
    (0.5541, 2.4053)
    """
    rate, service = check_positive("mmc", rate=rate, service=service)
    servers = check_whole("mmc", "servers", servers)
    check_stable("mmc", rate, service, servers)
    p_wait = erlang_c(rate * service, servers)
    decay = servers / service - rate
    return MMc(**queue_figures(rate, service, servers, p_wait, p_wait / decay), decay=decay)


@dataclass(frozen=True, repr=False)
class MMcK(Waits):
    """M/M/c/K in steady state; see :func:`mmck`. Waits are those of accepted tasks."""

    rate: float
    service: float
    servers: int
    capacity: int
    utilisation: float
    throughput: float
    p_rejected: float
    p_wait: float
    wait_mean: float
    queue_mean: float
    latency_mean: float
    found: Floats = field(repr=False, compare=False)
    """P(an accepted task finds all servers busy and j tasks queued), j = 0, 1, …"""

    def _wait_tail(self, t: Floats) -> Floats:
        return erlang_tail(t, self.found, self.servers / self.service)


def mmck(rate: float, service: float, servers: int, capacity: int) -> MMcK:
    """M/M/c/K: as M/M/c, but an arrival that finds ``capacity`` tasks in the system is rejected.

    From state ``servers`` on, ``p[n] = p[servers] rho**(n - servers)``; what is below it is
    known from Erlang's ``B``. Accepted tasks find state n with ``p[n] / (1 - p[capacity])`` and
    wait for an Erlang number of completions. Source: Gross et al., 4th ed., sec. 2.4.

    Parameters
    ----------
    rate
        Arrivals per second, above 0; a steady state exists for every rate.
    service
        Mean service time (s), above 0.
    servers
        Number of servers, at least 1.
    capacity
        Most tasks in the system, in service and queued together: ``servers`` plus the queue
        limit; at least ``servers``.

    Returns
    -------
    MMcK
        ``p_rejected`` (of all arrivals), ``throughput`` (1/s), ``utilisation``, ``queue_mean``;
        and of the accepted ``p_wait``, ``wait_mean``, ``latency_mean``, ``wait_sf``,
        ``wait_cdf``, ``wait_quantile``.

    Raises
    ------
    SimulationError
        If a parameter is outside its domain.
    """
    rate, service = check_positive("mmck", rate=rate, service=service)
    servers = check_whole("mmck", "servers", servers)
    capacity = check_whole("mmck", "capacity", capacity, low=servers)
    load = rate * service
    blocked = erlang_b(load, servers)
    queued = np.arange(capacity - servers + 1)
    growth = queued * math.log(load / servers)
    scale = growth.max()  # keeps rho**queued from overflowing when rho > 1
    full = blocked * np.exp(growth - scale)
    p = full / ((1 - blocked) * math.exp(-scale) + full.sum())
    accepted = 1 - p[-1]
    throughput = rate * accepted
    queue = float(queued @ p)
    return MMcK(
        rate=rate,
        service=service,
        servers=servers,
        capacity=capacity,
        utilisation=float(throughput * service / servers),
        throughput=float(throughput),
        p_rejected=float(p[-1]),
        p_wait=float(p[:-1].sum() / accepted),
        wait_mean=float(queue / throughput),
        queue_mean=queue,
        latency_mean=float(queue / throughput + service),
        found=p[:-1] / accepted,
    )


def mmcc(rate: float, service: float, servers: int) -> MMcK:
    """M/M/c/c, Erlang's loss system: no queue, an arrival that finds all servers busy is rejected.

    ``p_rejected`` is Erlang's ``B``, and holds for any service distribution of that mean.
    Source: Gross et al., 4th ed., sec. 2.5. Parameters, result and errors as :func:`mmck` with
    ``capacity = servers``.
    """
    return mmck(rate, service, servers, capacity=servers)


@dataclass(frozen=True, repr=False)
class MMcRetry(Result):
    """M/M/c with immediate retries; see :func:`mmc_retry`."""

    rate: float
    service: float
    servers: int
    p_retry: float
    max_attempts: int | None
    attempts_mean: float
    p_failed: float
    utilisation: float
    wait_mean: float
    latency_mean: float
    attempt: MMc = field(repr=False)
    """M/M/c at the rate of all attempts, as one attempt sees it."""


def mmc_retry(
    rate: float, service: float, servers: int, p_retry: float, max_attempts: int | None = None
) -> MMcRetry:
    """M/M/c where an attempt fails with ``p_retry`` and goes back to the end of the queue at once.

    A task makes ``m = 1 / (1 - p_retry)`` attempts on average, or ``(1 - p_retry**k) /
    (1 - p_retry)`` if it gives up after k. The network has product form: every attempt sees M/M/c
    at rate ``m rate``, though the stream of attempts is not Poisson, and means add up over the
    attempts. Source: Jackson 1957; Kelly, Reversibility and Stochastic Networks, sec. 3.1;
    Gross et al., 4th ed., sec. 4.2. Only means and the stationary distribution that an attempt
    finds are exact in this way: attempts of one task are not independent.

    Parameters
    ----------
    rate
        New tasks per second, above 0.
    service
        Mean service time (s) of an attempt, drawn anew each time, above 0.
    servers
        Number of servers, at least 1; ``rate * m * service < servers``.
    p_retry
        Probability that an attempt fails, in [0, 1).
    max_attempts
        Attempts after which a task has failed for good; without it, it never gives up.

    Returns
    -------
    MMcRetry
        ``attempts_mean``; per task, over all its attempts, ``wait_mean`` and ``latency_mean``;
        ``p_failed`` (0 without ``max_attempts``); ``utilisation``; and ``attempt``, the
        :class:`MMc` that one attempt sees.

    Raises
    ------
    SimulationError
        If a parameter is outside its domain, or there is no steady state with all attempts.
    """
    rate, service = check_positive("mmc_retry", rate=rate, service=service)
    p_retry = check_number("mmc_retry", "p_retry", p_retry, high=1.0)
    p_failed = 0.0
    if max_attempts is not None:
        p_failed = p_retry ** check_whole("mmc_retry", "max_attempts", max_attempts)
    attempts = (1 - p_failed) / (1 - p_retry)
    attempt = mmc(rate * attempts, service, servers)
    return MMcRetry(
        rate=rate,
        service=service,
        servers=attempt.servers,
        p_retry=p_retry,
        max_attempts=max_attempts,
        attempts_mean=attempts,
        p_failed=p_failed,
        utilisation=attempt.utilisation,
        wait_mean=attempts * attempt.wait_mean,
        latency_mean=attempts * attempt.latency_mean,
        attempt=attempt,
    )
