"""Which calls are further tries of one task."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.logs.statuses import FAILED, TIMED_OUT

SOON = 60.0
"""Seconds after a failed call in which the session's next call is a try of the same task."""


def tasks_of(
    session: NDArray[np.int64],
    arrived: NDArray[np.float64],
    latency: NDArray[np.float64],
    status: NDArray[np.int8],
) -> NDArray[np.int64]:
    """The first call of each call's task, as a position.

    A call is a further try if the session's call before it failed, was over when it began,
    and that was no longer than :data:`SOON` before.

    Parameters
    ----------
    session : ndarray of int64, shape (calls,)
        -1 for a call without one.
    arrived, latency : ndarray of float64, shape (calls,)
        Seconds; calls are in the order of their arrival.
    status : ndarray of int8, shape (calls,)

    Returns
    -------
    ndarray of int64, shape (calls,)
    """
    first = np.arange(session.size)
    order = np.lexsort((first, session))
    same = (session[order][1:] == session[order][:-1]) & (session[order][1:] >= 0)
    before, after = order[:-1][same], order[1:][same]
    lost = np.isin(status[before], (FAILED, TIMED_OUT))
    ended = arrived[before] + np.nan_to_num(latency[before])
    with np.errstate(invalid="ignore"):
        gap = arrived[after] - ended
        again = lost & (gap >= -1e-3) & (gap <= SOON)
    for early, late in zip(before[again].tolist(), after[again].tolist(), strict=True):
        first[late] = first[early]
    return first


def codes_of(names: NDArray[np.object_]) -> NDArray[np.int64]:
    """A number for each name, -1 for ""."""
    codes, values = pd.factorize(names)
    blank = np.flatnonzero(np.asarray(values, dtype=object) == "")
    codes = codes.astype(np.int64)
    if blank.size:
        codes[codes == blank[0]] = -1
    return codes
