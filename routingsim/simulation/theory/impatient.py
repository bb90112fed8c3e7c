"""Poisson arrivals, exponential service, tasks that leave the queue: M/M/c+D and Erlang-A."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from scipy.special import exprel, hyp1f1, logsumexp

from routingsim.errors import SimulationError
from routingsim.simulation.theory.inputs import check_number, check_positive, check_queue
from routingsim.simulation.theory.markovian import erlang_b
from routingsim.simulation.theory.results import Floats, Times, Waits, quantile, tail

_LONGEST_QUEUE = 1 << 23


@dataclass(frozen=True, repr=False)
class ImpatientWaits(Waits):
    """Figures of both models; ``wait`` is the time in queue of all tasks, served or not."""

    rate: float
    service: float
    servers: int
    patience: float
    utilisation: float
    throughput: float
    p_wait: float
    wait_mean: float
    served_wait_mean: float
    served_latency_mean: float
    queue_mean: float

    def _served_tail(self, t: Floats) -> Floats:
        """P(wait > t) of the served, at a 1-D array of ``t >= 0``."""
        raise NotImplementedError

    def served_wait_sf(self, t: Times) -> Times:
        """P(wait > t) of those that are served, at one time or an array of times (s)."""
        return tail(self._served_tail, t)

    def served_wait_cdf(self, t: Times) -> Times:
        """P(wait <= t) of those that are served, at one time or an array of times (s)."""
        return 1 - self.served_wait_sf(t)

    def served_wait_quantile(self, q: Times) -> Times:
        """The smallest t (s) with P(wait <= t) >= q among the served, as ``wait_quantile``."""
        return quantile(self._served_tail, q)

    @classmethod
    def of(cls, rate: float, service: float, servers: int, lost: float, **own: Any) -> Self:
        """The result for the share of tasks that leave the queue, and the model's own figures."""
        throughput = rate * (1 - lost)
        return cls(
            rate=rate,
            service=service,
            servers=servers,
            utilisation=throughput * service / servers,
            throughput=throughput,
            served_latency_mean=own["served_wait_mean"] + service,
            queue_mean=rate * own["wait_mean"],
            **own,
        )


@dataclass(frozen=True, repr=False)
class MMcTimeout(ImpatientWaits):
    """M/M/c with a queue timeout in steady state; see :func:`mmc_timeout`."""

    p_timed_out: float
    density: float = field(repr=False, compare=False)
    """Density of the offered wait (1/s) at its largest: at 0, or at the timeout in overload."""

    def _offered_tail(self, t: Floats) -> Floats:
        """P(t < offered wait <= patience)."""
        drift = self.servers / self.service - self.rate
        left = np.maximum(self.patience - t, 0.0)
        return self.density * left * exprel(-abs(drift) * left) * np.exp(-max(drift, 0.0) * t)

    def _wait_tail(self, t: Floats) -> Floats:
        return np.where(t < self.patience, self._offered_tail(t) + self.p_timed_out, 0.0)

    def _served_tail(self, t: Floats) -> Floats:
        return self._offered_tail(t) / (1 - self.p_timed_out)


def mmc_timeout(rate: float, service: float, servers: int, patience: float) -> MMcTimeout:
    """M/M/c+D: as M/M/c, but a task leaves after ``patience`` seconds in the queue.

    The offered wait V, the time that a task of infinite patience would queue, has the density
    ``rate p[c - 1] exp(-d x)`` up to the timeout and ``rate p[c - 1] exp(rate patience -
    c x / service)`` beyond, with ``d = c / service - rate`` and ``p[c - 1] = 1 / (1 / B(c - 1) +
    rate J)``, J the integral of the exponentials. A task times out if ``V > patience``, and its
    time in queue is ``min(V, patience)``. Source: Barrer 1957; Gnedenko & Kovalenko,
    Introduction to Queueing Theory, sec. 1.5; Baccelli & Hebuterne 1981; Zeltyn & Mandelbaum
    2005, Call centers with impatient customers, Queueing Systems 51.

    Parameters
    ----------
    rate, service, servers
        As in :func:`mmc`; a steady state exists for every rate.
    patience
        Queue timeout (s), at least 0; 0 is the loss system :func:`mmcc`.

    Returns
    -------
    MMcTimeout
        ``p_timed_out``, ``throughput`` (served, 1/s), ``utilisation``, ``queue_mean``; of all
        arrivals ``p_wait`` (they find all servers busy), ``wait_mean``, ``wait_sf``,
        ``wait_cdf``, ``wait_quantile``; of the served ``served_wait_mean``,
        ``served_latency_mean``, ``served_wait_sf``, ``served_wait_cdf``,
        ``served_wait_quantile``.
    """
    rate, service, servers = check_queue("mmc_timeout", rate, service, servers)
    patience = check_number("mmc_timeout", "patience", patience)
    drift = (servers / service - rate) * patience
    # Relative to the largest density, exp(-drift) in overload: nothing overflows.
    scale = math.exp(min(drift, 0.0))
    end = math.exp(-max(drift, 0.0))
    before = patience * float(exprel(-abs(drift)))
    beyond = end * service / servers
    first, second = (2, -drift) if drift >= 0 else (1, drift)
    moment = patience**2 * float(hyp1f1(first, 3, second)) / 2
    blocked = erlang_b(rate * service, servers - 1)
    density = rate * blocked / (scale + rate * blocked * (before + beyond))
    lost = density * beyond
    return MMcTimeout.of(
        *(rate, service, servers, lost),
        patience=patience,
        p_wait=density * (before + beyond),
        wait_mean=density * moment + patience * lost,
        served_wait_mean=density * moment / (1 - lost),
        p_timed_out=lost,
        density=density,
    )


@dataclass(frozen=True, repr=False)
class ErlangA(ImpatientWaits):
    """M/M/c with exponential patience in steady state; see :func:`erlang_a`."""

    p_abandon: float
    found: Floats = field(repr=False, compare=False)
    """P(all servers are busy and j tasks are queued), j = 0, 1, …"""

    def _offered_tail(self, t: Floats, found: Floats, completions: float) -> Floats:
        decay = t / self.patience
        exponent = -self.rate * self.patience * np.expm1(-decay) - completions * t
        queued = np.arange(found.size)
        with np.errstate(divide="ignore"):  # log 0 of an unreachable state
            weights = np.log(found)
        pairs = zip(exponent, decay, strict=True)
        return np.exp([logsumexp(weights + e - d * queued) for e, d in pairs])

    def _wait_tail(self, t: Floats) -> Floats:
        offered = self._offered_tail(t, self.found, self.servers / self.service)
        return offered * np.exp(-t / self.patience)

    def _served_tail(self, t: Floats) -> Floats:
        completions = self.servers / self.service
        served = completions / self.throughput * self.found[1:]
        return self._offered_tail(t, served, completions + 1 / self.patience)


def erlang_a(rate: float, service: float, servers: int, patience: float) -> ErlangA:
    """Erlang-A, M/M/c+M: as M/M/c, but each task leaves the queue after an exponential patience.

    A birth and death process: with j tasks queued, one leaves the system at rate ``c / service +
    j / patience``. Summed over its states, ``p_abandon = queue_mean / (rate patience)``; a task
    that finds j queued waits for j + 1 exponentials of the rates ``c / service + k / patience``,
    k = 0..j, unless its own patience ends before. The tail of that offered wait V is
    ``P(V > t) = sum found[j] exp(-j t / patience) exp(rate patience (1 - exp(-t / patience)) -
    c t / service)``, an incomplete gamma function written as a series. Source: Palm 1957;
    Zeltyn & Mandelbaum 2005, Queueing Systems 51; Mandelbaum & Zeltyn 2007.

    Parameters
    ----------
    rate, service, servers
        As in :func:`mmc`; a steady state exists for every rate.
    patience
        Mean patience (s), above 0.

    Returns
    -------
    ErlangA
        ``p_abandon``, and the other figures and distributions of :func:`mmc_timeout`.

    Raises
    ------
    SimulationError
        If an overloaded queue would hold millions of tasks.
    """
    rate, service, servers = check_queue("erlang_a", rate, service, servers)
    (patience,) = check_positive("erlang_a", patience=patience)
    completions = servers / service
    growth = _growth(rate, completions, patience)
    scale = growth.max()
    blocked = erlang_b(rate * service, servers)
    full = blocked * np.exp(growth - scale)
    found = full / ((1 - blocked) * math.exp(-scale) + full.sum())
    queued = np.arange(found.size)
    wait = float(queued @ found) / rate
    lost = wait / patience
    # Of tasks that find j queued, the share whose patience exceeds the wait is served.
    faster = completions + (queued + 1) / patience
    outlasting = found * completions / faster
    return ErlangA.of(
        *(rate, service, servers, lost),
        patience=patience,
        p_wait=float(found.sum()),
        wait_mean=wait,
        served_wait_mean=float(outlasting @ np.cumsum(1 / faster)) / (1 - lost),
        p_abandon=lost,
        found=found,
    )


def _growth(rate: float, completions: float, patience: float) -> Floats:
    """log(p[c + j] / p[c]) for j = 0, 1, … until it is negligible."""
    size = 64
    while size <= _LONGEST_QUEUE:
        departures = completions + np.arange(1, size) / patience
        growth = np.concatenate([[0.0], np.cumsum(np.log(rate / departures))])
        if growth[-1] < growth.max() - 50:
            return growth
        size *= 2
    raise SimulationError(
        f"erlang_a: rate {rate:g}/s against {completions:g} completions/s with a patience of "
        f"{patience:g} s queues more than {_LONGEST_QUEUE:,} tasks; lower the rate or the patience"
    )
