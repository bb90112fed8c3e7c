"""Exponential service: M/M/c, its finite queues, retries, and the closed loop."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaln, xlogy

from routingsim.simulation.theory import inputs
from routingsim.simulation.theory.results import (
    ExponentialWaits,
    Floats,
    Result,
    Waits,
    erlang_tail,
)


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
    """
    inputs.check_positive("erlang_b", load=load)
    blocked = 1.0
    for n in range(1, inputs.check_whole("erlang_b", "servers", servers, low=0) + 1):
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
    """
    (load,) = inputs.check_positive("erlang_c", load=load)
    servers = inputs.check_whole("erlang_c", "servers", servers)
    inputs.check_stable("erlang_c", load, 1.0, servers)
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
    rate, service, servers = inputs.check_queue("mmc", rate, service, servers, stable=True)
    p_wait = erlang_c(rate * service, servers)
    decay = servers / service - rate
    return MMc.of(rate, service, servers, p_wait, p_wait / decay, decay=decay)


class _QueuedWaits(Waits):
    """Waits of tasks that find all servers busy, for an Erlang number of completions."""

    service: float
    servers: int
    found: Floats

    def _wait_tail(self, t: Floats) -> Floats:
        return erlang_tail(t, self.found, self.servers / self.service)


@dataclass(frozen=True, repr=False)
class MMcK(_QueuedWaits):
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


def mmck(rate: float, service: float, servers: int, capacity: int) -> MMcK:
    """M/M/c/K: as M/M/c, but an arrival that finds ``capacity`` tasks in the system is rejected.

    From state ``servers`` on, ``p[n] = p[servers] rho**(n - servers)``; what is below it is
    known from Erlang's ``B``. Accepted tasks find state n with ``p[n] / (1 - p[capacity])`` and
    wait for an Erlang number of completions. Source: Gross et al., 4th ed., sec. 2.4.

    Parameters
    ----------
    rate, service, servers
        As in :func:`mmc`; a steady state exists for every rate.
    capacity
        Most tasks in the system, in service and queued together: ``servers`` plus the queue
        limit; at least ``servers``.

    Returns
    -------
    MMcK
        ``p_rejected`` (of all arrivals), ``throughput`` (1/s), ``utilisation``, ``queue_mean``;
        and of the accepted ``p_wait``, ``wait_mean``, ``latency_mean``, ``wait_sf``,
        ``wait_cdf``, ``wait_quantile``.
    """
    rate, service, servers = inputs.check_queue("mmck", rate, service, servers)
    capacity = inputs.check_whole("mmck", "capacity", capacity, low=servers)
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
    Source: Gross et al., 4th ed., sec. 2.5. It is :func:`mmck` with ``capacity = servers``.
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
    rate, service, servers
        As in :func:`mmc`, of new tasks and of one attempt, whose service time is drawn anew each
        time; ``rate * m * service < servers``.
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
    """
    rate, service = inputs.check_positive("mmc_retry", rate=rate, service=service)
    p_retry = inputs.check_number("mmc_retry", "p_retry", p_retry, high=1.0)
    p_failed = 0.0
    if max_attempts is not None:
        p_failed = p_retry ** inputs.check_whole("mmc_retry", "max_attempts", max_attempts)
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


@dataclass(frozen=True, repr=False)
class FiniteSource(_QueuedWaits):
    """A closed loop in steady state; see :func:`finite_source`."""

    users: int
    think: float
    service: float
    servers: int
    utilisation: float
    throughput: float
    p_wait: float
    wait_mean: float
    queue_mean: float
    latency_mean: float
    found: Floats = field(repr=False, compare=False)
    """P(a task finds all servers busy and j tasks queued), j = 0, 1, …"""


def finite_source(users: int, think: float, service: float, servers: int) -> FiniteSource:
    """M/M/c with a finite source (machine repair): each user thinks, then asks one task at a time.

    A task finds the system as it is in steady state with one user less (arrival theorem):
    ``p[n]`` proportional to ``N! / (N - n)! think**(N - n) service**n / product of min(k, c)``
    with ``N = users - 1``, which gives its wait, and ``throughput = users / (think + latency)``.
    Holds for any law of the think time with that mean. Source: Gross et al., 4th ed., sec. 2.7;
    Kleinrock vol. 1, sec. 3.9; Lavenberg & Reiser 1980 (arrival theorem).

    Parameters
    ----------
    users
        Number of users, at least 1.
    think
        Mean think time (s) between an answer and the next task, at least 0.
    service, servers
        As in :func:`mmc`.

    Returns
    -------
    FiniteSource
        ``throughput`` (1/s), ``utilisation``, ``p_wait``, ``wait_mean``, ``queue_mean``,
        ``latency_mean`` (the response time), ``wait_sf``, ``wait_cdf``, ``wait_quantile``.
    """
    users = inputs.check_whole("finite_source", "users", users)
    think = inputs.check_number("finite_source", "think", think)
    (service,) = inputs.check_positive("finite_source", service=service)
    servers = inputs.check_whole("finite_source", "servers", servers)
    n = np.arange(users)
    others = users - 1
    busy = np.minimum(np.maximum(n, 1), servers)
    log_p = (
        xlogy(others - n, think)
        - gammaln(others - n + 1)
        + n * np.log(service)
        - np.cumsum(np.log(busy))
    )
    p = np.exp(log_p - log_p.max())
    found = p[servers:] / p.sum()
    wait = float(np.arange(1, found.size + 1) @ found) * service / servers
    throughput = users / (think + wait + service)
    return FiniteSource(
        users=users,
        think=think,
        service=service,
        servers=servers,
        utilisation=throughput * service / servers,
        throughput=throughput,
        p_wait=float(found.sum()),
        wait_mean=wait,
        queue_mean=throughput * wait,
        latency_mean=wait + service,
        found=found,
    )
