"""Copies of every task at several servers, of which the first to end cancels the others."""

import math
from dataclasses import dataclass

from routingsim.errors import SimulationError
from routingsim.simulation.theory.inputs import check_queue, check_whole
from routingsim.simulation.theory.results import Result


@dataclass(frozen=True, repr=False)
class Redundancy(Result):
    """Redundancy-d in steady state; see :func:`redundancy`."""

    rate: float
    service: float
    servers: int
    copies: int
    utilisation: float
    latency_mean: float


def redundancy(rate: float, service: float, servers: int, copies: int = 2) -> Redundancy:
    """Redundancy-d: each task at ``copies`` random servers, cancelled at the first completion.

    Poisson arrivals, a first-come queue at each server, exponential service times that are
    independent for the copies. The mean latency is ``sum 1 / (k m b - rate)`` over i from d to k,
    with k servers of rate m and ``b = C(k-1, d-1) / C(i-1, d-1)``. Source: Gardner et al. 2017,
    Redundancy-d: the power of d choices for redundancy, Operations Research 65, theorem 1.

    Parameters
    ----------
    rate, service, servers
        As in :func:`mmc`; the rate is that of all servers.
    copies
        Copies of a task, d, from 1 to ``servers``.
    """
    rate, service, servers = check_queue("redundancy", rate, service, servers, stable=True)
    copies = check_whole("redundancy", "copies", copies)
    if copies > servers:
        raise SimulationError(
            f"redundancy: {copies} copies at {servers} servers; there is one at each at most"
        )
    whole = servers / service * math.comb(servers - 1, copies - 1)
    latency = sum(
        1.0 / (whole / math.comb(i - 1, copies - 1) - rate) for i in range(copies, servers + 1)
    )
    return Redundancy(rate, service, servers, copies, rate * service / servers, latency)
