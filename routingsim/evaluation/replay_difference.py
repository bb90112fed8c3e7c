"""Figures of replays with intervals, and differences between two, from further runs.

Each policy is run again under the same ten further seeds
(:mod:`routingsim.simulation.replications`), so that run by run both meet the same arrivals,
service times and failures. A difference in latency is that of other such days; differences in
quality and cost take the tasks as a sample, too. Replays that are long enough for batches of
their own (:mod:`routingsim.simulation.batches`) need no further runs.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from routingsim.evaluation.cell import by_task
from routingsim.evaluation.metrics.timed import counted
from routingsim.evaluation.resampling import LEAST, independent
from routingsim.evaluation.study_record import MISSING
from routingsim.evaluation.two_way import TwoWay
from routingsim.policies.folds import prompts
from routingsim.simulation.batches import batch_interval
from routingsim.simulation.in_time import Objective
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.run_summary import QUANTILES
from routingsim.simulation.statistics import Interval, hall_interval


@dataclass(frozen=True)
class Goodput:
    """Right answers a second within an objective, of a run and of its further runs.

    Attributes
    ----------
    goal : Objective
    """

    goal: Objective

    def __call__(self, run: ReplayResult) -> float:
        """That of a run; NaN where the run says only how long it was."""
        if run.stability.lasts:
            return math.nan
        return counted(run, self.goal).goodput

    def further(self, result: ReplayResult) -> list[float]:
        """Those of its further runs."""
        return [] if result.replications is None else result.replications.measured(self)


_COLUMN = {"quality": 0, "quality_all": 1, "cost": 2}  # of what `by_task` returns


def replay_difference(
    metric: str, first: ReplayResult, second: ReplayResult, goodput: Goodput | None = None
) -> Interval | None:
    """A figure of one replay less that of another, with a 95 % interval.

    Parameters
    ----------
    metric : str
        "quality", "quality_all" or "cost" (USD per task), "goodput", or a wait, latency or
        first_token with ``_mean``, ``_p50``, ``_p90``, ``_p95`` or ``_p99``.
    first, second : ReplayResult
        Of the same corpus, agents, arrivals and seed.
    goodput : Goodput, optional
        What is meant by it; needed for that metric alone.

    Returns
    -------
    Interval or None
        None where no valid interval can be made: of quality and cost with too few different
        tasks, of times where a replay is overloaded, and of replays that cannot be run again
        by themselves. NaN where the two rest on different tasks.
    """
    if metric in _COLUMN:
        return _of_tasks(_COLUMN[metric], first, second)
    if first.stability.lasts or second.stability.lasts:
        return None
    if metric == "goodput" and goodput is not None:
        pairs = zip(goodput.further(first), goodput.further(second), strict=True)
        found = hall_interval([one - other for one, other in pairs])
        return None if math.isnan(found.half_width) else found
    if first.long and second.long and np.array_equal(first.timed, second.timed):
        series = (run.times(metric)[run.timed] for run in (first, second))
        found = batch_interval(*series, quantile=QUANTILES.get(metric.rpartition("_")[2]))
        if found is not None:
            return found
    runs = _further(first), _further(second)
    found = hall_interval(
        [one.whole[metric] - other.whole[metric] for one, other in zip(*runs, strict=True)]
    )
    return None if math.isnan(found.half_width) else found


def replay_figure(metric: str, result: ReplayResult, goodput: Goodput | None = None) -> Interval:
    """A figure of one replay, with an interval on the same grounds as those of differences.

    Parameters
    ----------
    metric : str
        As for :func:`replay_difference`, or "answered", the share of the tasks.
    result : ReplayResult
    goodput : Goodput, optional
        What is meant by it; needed for that metric alone.

    Returns
    -------
    Interval
        Without a half-width (NaN) where no valid one can be made.
    """
    if metric == "answered":
        share = result.whole["ok"] / len(result)
        found = hall_interval([run.whole["ok"] / len(result) for run in _further(result)])
        return Interval(share, math.nan) if math.isnan(found.half_width) else found
    if metric == "goodput" and goodput is not None:
        found = hall_interval(goodput.further(result))
        return Interval(goodput(result), math.nan) if math.isnan(found.half_width) else found
    if metric not in _COLUMN:
        return result.interval(metric)
    values = by_task(result)[_COLUMN[metric]]
    alone = Interval(float(np.nanmean(values)) if (~np.isnan(values)).any() else math.nan, math.nan)
    runs = [_run(result)] if result.long else _further(result)
    if result.corpus is None or different_tasks(result) < LEAST or not runs:
        return alone
    whole = _two_way(runs, _COLUMN[metric], prompts(result.corpus))
    return whole.interval_of_one_run() if len(runs) == 1 else whole.interval()[0]


def different_tasks(result: ReplayResult) -> int:
    """The independent prompts that a replay ran; all tasks where there is no corpus."""
    if result.corpus is None:
        return len(result)
    return independent(prompts(result.corpus)[np.unique(result.work.row)])


def _of_tasks(column: int, first: ReplayResult, second: ReplayResult) -> Interval | None:
    values = [by_task(run)[column] for run in (first, second)]
    if (np.isnan(values[0]) ^ np.isnan(values[1])).mean() > MISSING:
        return Interval(math.nan, math.nan)
    if first.corpus is not None and different_tasks(first) < LEAST:
        return None
    if first.long and second.long:
        if first.corpus is None:
            return batch_interval(*values)
        runs = [[_run(first)], [_run(second)]]
    else:
        runs = [_further(first), _further(second)]
    if not all(runs):
        return None
    corpus = first.corpus
    group = np.arange(len(first.work.service)) if corpus is None else prompts(corpus)
    one, other = (_two_way(each, column, group) for each in runs)
    apart = one.less(other)
    if corpus is None:  # all tasks are alike
        return hall_interval(apart.runs)
    if len(runs[0]) == 1:
        return apart.interval_of_one_run()
    return apart.interval()[0]


def _two_way(runs: "list[_Run]", column: int, group: NDArray[np.intp]) -> TwoWay:
    """A column of `by_task` by record and by run."""
    sums, counts = (np.array([run.by_record[column][k] for run in runs]) for k in (0, 1))
    half = len(runs) // 2
    halves = [slice(None, half), slice(half, None)]
    with np.errstate(invalid="ignore"):
        return TwoWay(
            tasks=sums.sum(axis=0) / counts.sum(axis=0),
            halves=np.array([sums[h].sum(axis=0) / counts[h].sum(axis=0) for h in halves]),
            met=np.array([counts[h].sum(axis=0) for h in halves]).astype(np.int64),
            runs=sums.sum(axis=1) / counts.sum(axis=1),
            group=group,
        )


class _Run(NamedTuple):
    """What is kept of a run."""

    whole: dict[str, Any]
    by_record: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
    """For each column of `by_task` the sum and number of values of each record."""


def _further(result: ReplayResult) -> list[_Run]:
    """The further runs of a replay, none if it cannot be run again by itself."""
    return [] if result.replications is None else result.replications.measured(_run)


def _run(result: ReplayResult) -> _Run:
    row, records, found = result.work.row, len(result.work.service), []
    for values in by_task(result)[: len(_COLUMN)]:
        known = ~np.isnan(values)
        sums = np.bincount(row[known], values[known], records)
        found.append((sums, np.bincount(row[known], minlength=records).astype(np.float64)))
    return _Run(result.whole, found)
