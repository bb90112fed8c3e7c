"""Poisson arrivals in classes of priority, without preemption: M/G/1 and M/M/c."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from routingsim.errors import SimulationError
from routingsim.simulation.theory.inputs import (
    check_number,
    check_positive,
    check_stable,
    check_whole,
)
from routingsim.simulation.theory.markovian import erlang_c
from routingsim.simulation.theory.results import Result


@dataclass(frozen=True, repr=False)
class PriorityQueue(Result):
    """A queue with classes in steady state, the most urgent first."""

    rates: tuple[float, ...]
    services: tuple[float, ...]
    servers: int
    utilisation: float
    wait_means: tuple[float, ...]
    """Mean wait of each class."""
    wait_mean: float
    """Mean wait of all."""


def mg1_priority(
    rates: Sequence[float], services: Sequence[float], scvs: Sequence[float]
) -> PriorityQueue:
    """M/G/1 with classes: the first of the most urgent class that waits is served next.

    Cobham: with ``s_k`` the load of class k and those more urgent, the mean wait of class k is
    ``w / ((1 - s_(k-1)) (1 - s_k))``, where ``w`` is half the sum of rate times second moment of
    the service. Source: Cobham 1954, Priority assignment in waiting line problems, Operations
    Research 2; Kleinrock vol. 2, sec. 3.6.

    Parameters
    ----------
    rates, services, scvs
        Of each class, the most urgent first: arrivals per second, mean service time (s) and
        squared coefficient of variation of the service time.
    """
    if not len(rates) == len(services) == len(scvs) > 0:
        raise SimulationError(
            f"mg1_priority: {len(rates)} rates, {len(services)} services and {len(scvs)} scvs; one "
            "of each is needed for every class"
        )
    rates = check_positive("mg1_priority", **{f"rates[{k}]": r for k, r in enumerate(rates)})
    services = check_positive(
        "mg1_priority", **{f"services[{k}]": s for k, s in enumerate(services)}
    )
    scvs = [check_number("mg1_priority", f"scvs[{k}]", v) for k, v in enumerate(scvs)]
    load = sum(r * s for r, s in zip(rates, services, strict=True))
    check_stable("mg1_priority", sum(rates), load / sum(rates), 1)
    each = zip(rates, services, scvs, strict=True)
    left = sum(r * s * s * (1 + v) / 2 for r, s, v in each)
    return _cobham(rates, services, 1, left)


def mmc_priority(rates: Sequence[float], service: float, servers: int) -> PriorityQueue:
    """M/M/c with classes of one service time: :func:`mg1_priority` for several servers.

    ``w`` is then the probability that all servers are busy (Erlang C) times service / servers.
    Source: Cobham 1954; Gross et al., 4th ed., sec. 3.4.2.

    Parameters
    ----------
    rates
        Of each class, the most urgent first.
    service, servers
        As in :func:`mmc`.
    """
    if not rates:
        raise SimulationError("mmc_priority: no rates; one is needed for every class")
    rates = check_positive("mmc_priority", **{f"rates[{k}]": r for k, r in enumerate(rates)})
    [service] = check_positive("mmc_priority", service=service)
    servers = check_whole("mmc_priority", "servers", servers)
    check_stable("mmc_priority", sum(rates), service, servers)
    left = erlang_c(sum(rates) * service, servers) * service / servers
    return _cobham(rates, (service,) * len(rates), servers, left)


def _cobham(
    rates: tuple[float, ...], services: tuple[float, ...], servers: int, left: float
) -> PriorityQueue:
    loads = [r * s / servers for r, s in zip(rates, services, strict=True)]
    waits = [left / ((1 - more) * (1 - all_)) for more, all_ in pairwise([0.0, *accumulate(loads)])]
    mean = sum(r * w for r, w in zip(rates, waits, strict=True)) / sum(rates)
    return PriorityQueue(rates, services, servers, sum(loads), tuple(waits), mean)
