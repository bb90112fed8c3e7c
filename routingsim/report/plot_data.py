"""The few hundred points that a plot shows, from a replay's arrays."""

import numpy as np
from numpy.typing import NDArray

from routingsim.simulation.result import ReplayResult

_CURVE = 200  # points of a distribution, besides those in its tails
_INTERVALS = 240  # of a run, in which waiting is averaged


def ecdf(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Empirical distribution function in percent, exact at every point shown.

    Of a sample, shape (n,) with n ≥ 1, its values, rising, and the percentage of the sample
    at or below each, from 0. Of a large sample about 300 points, closer together towards both
    ends.
    """
    ordered = np.sort(values)
    n = ordered.size
    tail = np.geomspace(1 / n, 0.05, 50)
    shares = np.concatenate([np.linspace(0, 1, _CURVE + 1)[1:], tail, 1 - tail])
    rank = np.arange(1, n + 1) if n <= _CURVE else np.unique(np.ceil(shares * n).astype(int))
    rank = rank[(rank >= 1) & (rank <= n)]
    return ordered[np.append(0, rank - 1)], 100 * np.append(0, rank) / n


def waiting(result: ReplayResult) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean number of tasks waiting at each agent, in equal intervals of the run.

    Bounds of the intervals in seconds, shape (intervals + 1,), from 0 to the last completion;
    and exact time averages, shape (agents, intervals): their integral is the total time waited.
    """
    calls = result.calls()
    agent = calls["agent"].to_numpy()
    sent, left = calls["sent_at"].to_numpy(), calls["left_at"].to_numpy()
    end = float(result.log.finished.max())
    edges = np.linspace(0.0, end, _INTERVALS + 1)
    means = np.zeros((len(result.pool), _INTERVALS))
    if end > 0:
        waited = left > sent
        for a in np.unique(agent[waited]):
            mine = waited & (agent == a)
            area = _elapsed(sent[mine], edges) - _elapsed(left[mine], edges)
            means[a] = np.maximum(np.diff(area), 0.0) / np.diff(edges)
    return edges, means


def _elapsed(moments: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """At each time, the sum of the seconds since each earlier moment."""
    ordered = np.sort(moments)
    before = np.searchsorted(ordered, at)
    return before * at - np.append(0.0, ordered.cumsum())[before]


def leading_agents(result: ReplayResult, most: int) -> NDArray[np.intp]:
    """Positions of the ``most`` agents with the most tasks, in the pool's order."""
    tasks = np.bincount(result.log.agent, minlength=len(result.pool))
    return np.sort(np.argsort(-tasks, kind="stable")[:most])


def time_unit(result: ReplayResult) -> tuple[float, str]:
    """The unit in which to show a run's time: its length in seconds, and its name."""
    last = float(result.work.arrived[-1])
    for seconds, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if last >= 3 * seconds:
            return seconds, unit
    return 1.0, "s"
