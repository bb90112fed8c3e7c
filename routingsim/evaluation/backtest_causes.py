"""Why recorded latencies are not as predicted: slow times, queues, another law, a drift.

The residual of a call is the logarithm of its recorded latency over the geometric mean of its
predicted ones. If the fit is right, residuals are independent of time and load, and as wide as
those of one replication against the others.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.evaluation.backtest_figures import (
    FEWEST,
    IN_WINDOW,
    MOST,
    Calls,
    Coverage,
    Prediction,
)

APART = 0.05  # of logarithms: smaller differences are not worth a sentence
SURE = 4.0  # standard errors from which a difference is not chance
_REPLAYS = 3  # that show what a queue that the fit knows does
SHAPE = math.log(1.1)  # by which quantiles' errors differ if the law is another one

Floats = NDArray[np.float64]


def causes(calls: Calls, figures: Sequence[Prediction], covered: Sequence[Coverage]) -> list[str]:
    """What the latencies of a backtest show that the fit does not know, in sentences.

    Parameters
    ----------
    calls : Calls
    figures : sequence of Prediction
    covered : sequence of Coverage
    """
    table = calls.measured["latency"]
    known = ~np.isnan(table[-1]) & (~np.isnan(table[:-1])).any(axis=0) & (table[-1] > 0)
    if known.sum() < FEWEST * IN_WINDOW:
        return []
    logs = np.log(table[:-1, known])
    residual = np.log(table[-1, known]) - np.nanmean(logs, axis=0)
    others = np.nan_to_num(logs - np.nanmean(logs, axis=0))
    agent, arrived = calls.agent[known], calls.arrived[known]
    count = min(MOST, residual.size // IN_WINDOW)
    window = np.minimum(
        ((arrived - arrived[0]) / max(float(np.ptp(arrived)), 1e-9) * count).astype(int), count - 1
    )
    said = [
        _drift(residual, others),
        _slow_times(
            _less_mean(residual, agent),
            np.array([_less_mean(each, agent) for each in others]),
            window,
            float(np.ptp(arrived)) / count,
        ),
        _queue(residual, others, calls, known, agent * count + window),
        _shape(figures),
    ]
    return [*filter(None, said)]


def _drift(residual: Floats, others: Floats) -> str:
    """The held-out calls as a whole are slower or faster than the fitted ones.

    Where calls wait for each other, means of replays vary by more than their calls show.
    """
    mean, error = float(residual.mean()), float(residual.std()) / math.sqrt(residual.size)
    error = max(error, float(others.mean(axis=1).std()))
    if abs(mean) < max(APART, SURE * error):
        return ""
    times = f"{math.exp(mean):.2f} times as long as"
    return f"the held-out calls take {times} the fitted ones of the same lengths would"


def _slow_times(
    residual: Floats, others: Floats, window: NDArray[np.integer], seconds: float
) -> str:
    """Some windows are slower than others by more than chance, and than in other replays."""
    sizes = np.bincount(window)
    enough = sizes >= IN_WINDOW // 4
    if enough.sum() < FEWEST:
        return ""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (np.bincount(window, residual) / sizes)[enough]
    within = _less_mean(residual, window)
    replayed = np.array([np.bincount(window, each) for each in others])[:, enough] / sizes[enough]
    if means.var() <= replayed.var(axis=1).max():
        return ""
    chance = np.maximum(float(within.var()) / sizes[enough], np.square(replayed).mean(axis=0))
    beyond = float((means**2 - chance).mean() - means.mean() ** 2)
    error = math.sqrt(2 / enough.sum()) * float(chance.mean())
    if beyond < max(APART**2, SURE * error):
        return ""
    low, high = math.exp(means.min()), math.exp(means.max())
    return (
        f"calls are slower at some times than at others: windows of {_span(seconds)} take "
        f"{low:.2f} to {high:.2f} times as long as predicted, and the fit knows one speed for all"
    )


def _queue(
    residual: Floats,
    others: Floats,
    calls: Calls,
    known: NDArray[np.bool_],
    group: NDArray[np.integer],
) -> str:
    """Within a window, calls that begin while more are under way take longer, as in no replay."""
    latency = calls.measured["latency"]
    found = _crowding(residual, calls, latency[-1], known, group)
    replayed = [_crowding(others[k], calls, latency[k], known, group) for k in range(_REPLAYS)]
    if found - max(0.0, *replayed) < max(0.1, SURE / math.sqrt(residual.size)):
        return ""
    return (
        f"calls take longer while more are under way (rank correlation {found:.2f} at like times): "
        "a queue or a limit at the provider, which the fit takes for service; more load makes it "
        "longer than the simulator says"
    )


def _crowding(
    residual: Floats,
    calls: Calls,
    latency: Floats,
    known: NDArray[np.bool_],
    group: NDArray[np.integer],
) -> float:
    """Rank correlation of residuals with the agent's calls under way, within groups."""
    under_way = np.zeros(calls.agent.size)
    ends = calls.arrived + np.nan_to_num(latency)
    for position in range(len(calls.agents)):
        mine = np.flatnonzero(calls.agent == position)
        done = np.searchsorted(np.sort(ends[mine]), calls.arrived[mine], side="right")
        under_way[mine] = np.arange(mine.size) - done
    pair = pd.DataFrame({"residual": residual, "under way": under_way[known]})
    ranks = pair.groupby(group).rank()
    ranks = (ranks - ranks.groupby(group).transform("mean")).to_numpy()
    spread = np.sqrt((ranks**2).sum(axis=0).prod())
    return float(ranks.prod(axis=1).sum() / spread) if spread else 0.0


def _shape(figures: Sequence[Prediction]) -> str:
    """The quantiles of all latencies are off by different shares."""
    names = ("latency p50", "latency p95", "latency p99")
    found = [f for f in figures if f.agent == "all" and f.figure in names]
    found = [f for f in found if not math.isnan(f.predicted) and f.recorded > 0]
    if all(f.held for f in found):
        return ""
    errors = [math.log1p(f.off) for f in found]
    if max(errors) - min(errors) < SHAPE:
        return ""
    each = ", ".join(f"{f.figure.split()[1]} {f.off:+.0%}" for f in found)
    return f"times do not follow the fitted law: predicted less recorded is {each}"


def _less_mean(values: Floats, group: NDArray[np.integer]) -> Floats:
    """Values less the mean of their group."""
    size = np.maximum(np.bincount(group), 1)
    return values - (np.bincount(group, values) / size)[group]


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"
