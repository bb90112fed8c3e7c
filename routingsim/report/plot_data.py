"""The few hundred points that a plot shows, from a replay's arrays."""

import numpy as np
from numpy.typing import NDArray

from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stream_result import StreamedReplay

Shown = ReplayResult | StreamedReplay
"""A replay in memory, or one in blocks."""

_CURVE = 200  # points of a distribution, besides those in its tails
INTERVALS = 240
"""Equal intervals of a run over which waiting is averaged."""


def ecdf(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Empirical distribution function in percent, exact at every point shown.

    Of a sample, shape (n,) with n ≥ 1, its values, rising, and the percentage of the sample
    at or below each, from 0. A large sample has about 300 points, closer together towards both
    ends.
    """
    ordered = np.sort(values)
    n = ordered.size
    shares = _shares(n)
    rank = np.arange(1, n + 1) if n <= _CURVE else np.unique(np.ceil(shares * n).astype(int))
    rank = rank[(rank >= 1) & (rank <= n)]
    return ordered[np.append(0, rank - 1)], 100 * np.append(0, rank) / n


def _shares(n: int) -> NDArray[np.float64]:
    """Shares of a sample of n at which its distribution is shown."""
    tail = np.geomspace(1 / n, 0.05, 50)
    return np.concatenate([np.linspace(0, 1, _CURVE + 1)[1:], tail, 1 - tail])


def latency_curve(
    result: Shown, agent: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The distribution of latencies (s) of an agent, or of all, as :func:`ecdf`; None of none."""
    if isinstance(result, StreamedReplay):
        answers = result.timed_answers
        n = sum(answers) if agent is None else answers[agent]
        if not n:
            return None
        shares = np.unique(np.maximum(_shares(n), 1 / n))
        found = result.totals.latencies(shares.tolist(), None if agent is None else [agent])
        return np.array([found[0], *found]), 100 * np.append(0, shares)
    chosen = result.timed if agent is None else result.timed & (result.log.agent == agent)
    values = result.latency[chosen]
    return ecdf(values) if values.size else None


def waiting(result: ReplayResult) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean number of tasks waiting at each agent, in equal intervals of the run.

    Bounds of the intervals in seconds, shape (intervals + 1,), from 0 to the last completion;
    and exact time averages, shape (agents, intervals): their integral is the total time waited.
    """
    calls = result.calls()
    agent = calls["agent"].to_numpy()
    sent, left = calls["sent_at"].to_numpy(), calls["left_at"].to_numpy()
    end = float(result.log.finished.max())
    edges = np.linspace(0.0, end, INTERVALS + 1)
    means = np.zeros((len(result.pool), INTERVALS))
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


def leading_agents(result: Shown, most: int) -> NDArray[np.intp]:
    """Positions of the ``most`` agents with the most tasks, in the pool's order."""
    tasks = result.summary()["tasks"].to_numpy()[:-1]
    return np.sort(np.argsort(-tasks, kind="stable")[:most])


def time_unit(last: float) -> tuple[float, str]:
    """The unit in which to show a run's time, by its last arrival: seconds, and its name."""
    for seconds, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if last >= 3 * seconds:
            return seconds, unit
    return 1.0, "s"
