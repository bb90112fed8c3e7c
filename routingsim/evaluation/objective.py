"""The latency objective of a study to which none is given."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.simulation.in_time import Objective, check_objectives
from routingsim.simulation.result import ReplayResult

TIMES = 3.0
"""The objective, in mean service times of the slowest agent that is used."""

USED = 0.01
"""Share of a policy's tasks from which an agent counts as used."""


def objective_of(
    results: Sequence[ReplayResult], objective: float | None, first_token: float | None = None
) -> Objective:
    """The objective that replays are given, by default :func:`default_objective`.

    Raises
    ------
    SimulationError
        If one is not a number of seconds above 0.
    """
    check_objectives(objective, first_token)
    if objective is None:
        objective = default_objective(results, results[0].work.service.mean(axis=0))
    return Objective(objective, first_token)


def asked_objective(
    results: Sequence[ReplayResult],
    *,
    slo: Mapping[str, float] | None = None,
    objective: float | None = None,
    first_token_objective: float | None = None,
    **others: Any,
) -> Objective | None:
    """The same where goodput is asked about, by an objective or a target; else None."""
    if objective is None and first_token_objective is None and "goodput" not in (slo or {}):
        return None
    return objective_of(results, objective, first_token_objective)


def default_objective(runs: Iterable[ReplayResult], mean_service: NDArray[np.float64]) -> float:
    """Three times the mean service time of the slowest agent that a policy uses, in seconds.

    An agent of the pool to which no policy sends a hundredth of its tasks does not count.

    Parameters
    ----------
    runs : iterable of ReplayResult
        A run of each policy of the study.
    mean_service : ndarray, shape (agents,)
        Mean service times (s).
    """
    used = np.zeros(mean_service.size, dtype=bool)
    for run in runs:
        sent = np.bincount(run.log.agent, minlength=mean_service.size)
        used |= sent >= USED * len(run)
    return TIMES * float(mean_service[used].max())
