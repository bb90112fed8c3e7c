"""Exact results of queueing theory, to check a simulation or to plan without one.

Each function takes rates per second and times in seconds, and raises ``SimulationError`` if a
parameter is outside its domain or there is no steady state. It returns a frozen result with
named figures, ``to_frame()``, and, if known, the distribution of the wait::

    from routingsim.simulation import theory

    theory.mmc(rate=4, service=1, servers=5).wait_quantile(0.95)

=====================  =========================================================
:func:`mmc`            Poisson arrivals, exponential service
:func:`mmck`           the same with a finite queue
:func:`mmcc`           the same with no queue (Erlang's loss system)
:func:`mmc_retry`      the same with immediate retries
:func:`mmc_timeout`    the same with a queue timeout
:func:`erlang_a`       the same with exponential patience
:func:`finite_source`  the same with few users in a closed loop
:func:`mg1`            Poisson arrivals, any service, one server
:func:`md1`            Poisson arrivals, deterministic service, one server
:func:`mdc`            the same with several servers
:func:`gim1`           any independent interarrival times, one exponential server
:func:`gimc`           the same with several servers
:func:`mg1_priority`   Poisson arrivals, any service, one server, classes of priority
:func:`mmc_priority`   Poisson arrivals, exponential service, classes of priority
:func:`redundancy`     two or more copies of each task, the first to end cancels the others
:func:`supermarket`    many servers, the shortest of a few queues for each task
=====================  =========================================================

Poisson arrivals that a policy splits at random, or by anything independent of the queues,
stay Poisson: treat each agent separately, at its share of the rate.
"""

from routingsim.simulation.theory.choices import Supermarket, supermarket
from routingsim.simulation.theory.general import MG1, MDc, md1, mdc, mg1
from routingsim.simulation.theory.impatient import ErlangA, MMcTimeout, erlang_a, mmc_timeout
from routingsim.simulation.theory.markovian import (
    FiniteSource,
    MMc,
    MMcK,
    MMcRetry,
    erlang_b,
    erlang_c,
    finite_source,
    mmc,
    mmc_retry,
    mmcc,
    mmck,
)
from routingsim.simulation.theory.priorities import PriorityQueue, mg1_priority, mmc_priority
from routingsim.simulation.theory.redundancy import Redundancy, redundancy
from routingsim.simulation.theory.renewal import (
    GIMc,
    Transform,
    deterministic_lst,
    gamma_lst,
    gim1,
    gimc,
    hyperexponential_lst,
    weibull_lst,
)

__all__ = [
    "MG1",
    "ErlangA",
    "FiniteSource",
    "GIMc",
    "MDc",
    "MMc",
    "MMcK",
    "MMcRetry",
    "MMcTimeout",
    "PriorityQueue",
    "Redundancy",
    "Supermarket",
    "Transform",
    "deterministic_lst",
    "erlang_a",
    "erlang_b",
    "erlang_c",
    "finite_source",
    "gamma_lst",
    "gim1",
    "gimc",
    "hyperexponential_lst",
    "md1",
    "mdc",
    "mg1",
    "mg1_priority",
    "mmc",
    "mmc_priority",
    "mmc_retry",
    "mmc_timeout",
    "mmcc",
    "mmck",
    "redundancy",
    "supermarket",
    "weibull_lst",
]
