"""The latency objective of a study to which none is given."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from routingsim.simulation.result import ReplayResult

TIMES = 3.0
"""The objective, in mean service times of the slowest agent that is used."""

USED = 0.01
"""Share of a policy's tasks from which an agent counts as used."""


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
