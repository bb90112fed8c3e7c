"""Poisson arrivals to many servers, each task to the shortest of a few queues drawn at random."""

from dataclasses import dataclass

from routingsim.simulation.theory.inputs import check_queue, check_whole
from routingsim.simulation.theory.results import Result


@dataclass(frozen=True, repr=False)
class Supermarket(Result):
    """The supermarket model in steady state; see :func:`supermarket`."""

    rate: float
    service: float
    choices: int
    utilisation: float
    wait_mean: float
    queue_mean: float
    latency_mean: float

    def tasks_sf(self, tasks: int) -> float:
        """P(a server has at least so many tasks, waiting or in service)."""
        return self.utilisation ** _power(self.choices, check_whole("tasks_sf", "tasks", tasks, 0))


def supermarket(rate: float, service: float, choices: int = 2) -> Supermarket:
    """The supermarket model: a task joins the shortest of ``choices`` queues drawn at random.

    Servers are single, service is exponential, and the figures are the limit for infinitely
    many servers. At a share ``rho**((d**k - 1) / (d - 1))`` of them there are k tasks or more;
    the mean latency is ``service * sum_k rho**((d**k - d) / (d - 1))``, k = 1, 2, …. Source:
    Mitzenmacher, "The power of two choices in randomized load balancing", IEEE Transactions on
    Parallel and Distributed Systems 12, 2001.

    Parameters
    ----------
    rate : float
        Tasks per second **and server**.
    service : float
        Mean service time (s).
    choices : int
        Servers that are drawn for a task, 1 or more; with 1 it is M/M/1.
    """
    rate, service, _ = check_queue("supermarket", rate, service, 1, stable=True)
    choices = check_whole("supermarket", "choices", choices)
    rho, mean, k = rate * service, 0.0, 1
    while True:  # tasks at a server
        share = rho ** _power(choices, k)
        mean += share
        if share <= 1e-18 * mean:
            break
        k += 1
    latency = mean / rate
    return Supermarket(
        rate=rate,
        service=service,
        choices=choices,
        utilisation=rho,
        wait_mean=latency - service,
        queue_mean=mean - rho,
        latency_mean=latency,
    )


def _power(choices: int, tasks: int) -> float:
    """1 + d + … + d**(k - 1), as a float."""
    return float(sum(float(choices) ** j for j in range(tasks))) if choices > 1 else float(tasks)
