"""What a cascade gains on recorded outcomes in expectation, by how often its judge errs.

In the simulator the judge of a cascade knows the recorded quality, and errs with the
given probability. The gain of a cascade is only as reliable as that assumption.
"""

import math

import numpy as np
from numpy.typing import NDArray

from routingsim.policies.policy import Judge

ERRORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of wrong verdicts, from the perfect judge to one that tosses a coin."""


def expected_quality(
    quality: NDArray[np.float64], judge: Judge, error: float
) -> NDArray[np.float64]:
    """Expected quality of each task's answer under a cascade, shape (tasks,).

    Parameters
    ----------
    quality : ndarray, shape (tasks, levels)
        Recorded qualities in the order in which the agents are tried, none NaN.
    judge : Judge
        Its bar is used.
    error : float
        Share of its verdicts that are wrong, either way.
    """
    accepted = np.where(quality >= judge.bar, 1.0 - error, error)
    accepted[:, judge.levels - 1 :] = 1.0  # there is no further agent
    reached = np.cumprod(1.0 - accepted[:, :-1], axis=1)
    return accepted[:, 0] * quality[:, 0] + (reached * accepted[:, 1:] * quality[:, 1:]).sum(axis=1)


def turning(errors: NDArray[np.float64], gain: NDArray[np.float64]) -> float:
    """The least error at which a gain is gone, between the points on a straight line.

    Parameters
    ----------
    errors : ndarray, shape (points,)
        Rising.
    gain : ndarray, shape (points,)
        What is gained at each.

    Returns
    -------
    float
        The first error where the gain is 0 or less; infinite if there is none, and NaN if
        nothing is gained at the first point.
    """
    gone = np.flatnonzero(~(gain > 0))
    if not gone.size:
        return math.inf
    k = int(gone[0])
    if k == 0 or np.isnan(gain[k]):
        return math.nan
    part = gain[k - 1] / (gain[k - 1] - gain[k])
    return float(errors[k - 1] + part * (errors[k] - errors[k - 1]))
