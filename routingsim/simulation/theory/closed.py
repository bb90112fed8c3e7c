"""The closed loop: users who think, send a task, wait for the answer, and think again."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaln, xlogy

from routingsim.simulation.theory.inputs import check_number, check_positive, check_whole
from routingsim.simulation.theory.results import Floats, Waits, erlang_tail

__all__ = ["FiniteSource", "finite_source"]


@dataclass(frozen=True, repr=False)
class FiniteSource(Waits):
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

    def _wait_tail(self, t: Floats) -> Floats:
        return erlang_tail(t, self.found, self.servers / self.service)


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
    service
        Mean of the exponential service time (s), above 0.
    servers
        Number of servers, at least 1.

    Returns
    -------
    FiniteSource
        ``throughput`` (1/s), ``utilisation``, ``p_wait``, ``wait_mean``, ``queue_mean``,
        ``latency_mean`` (the response time), ``wait_sf``, ``wait_cdf``, ``wait_quantile``.

    Raises
    ------
    SimulationError
        If a parameter is outside its domain.
    """
    users = check_whole("finite_source", "users", users)
    think = check_number("finite_source", "think", think)
    (service,) = check_positive("finite_source", service=service)
    servers = check_whole("finite_source", "servers", servers)
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
