"""The evidence of a study on a metric: intervals and differences.

Three kinds: a metric of each run, where the question is about these tasks alone; one of each
run and of resampled corpora; and one of each task and run.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routingsim.evaluation.cell import METRICS, PER_TASK, Cell
from routingsim.evaluation.intervals import (
    Difference,
    exact_difference,
    no_verdict,
    verdict,
)
from routingsim.evaluation.resampling import Sampled
from routingsim.evaluation.two_way import TwoWay
from routingsim.simulation.statistics import Interval, hall_intervals

_STEPS = 50  # bisections for a p-value, to 1e-15


@dataclass(frozen=True, eq=False)
class Runs:
    """A metric of each run of these very tasks, shape (runs,); NaN where unknown."""

    runs: NDArray[np.float64]
    method = "paired Hall's t over replications"

    def less(self, other: "Runs") -> "Runs":
        """The differences from another policy, run by run."""
        return Runs(exact_difference(self.runs, other.runs))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which runs have a value."""
        return ~np.isnan(self.runs)

    def interval(self, level: float = 0.95) -> tuple[Interval, float]:
        """The interval of the mean over runs of these tasks, and the p-value of a mean of 0.

        Hall's transformed t (:func:`routingsim.simulation.statistics.hall_interval`), for
        runs are skewed: long waits are rare, and a p95 is one of the latencies of its run,
        the same under two policies that differ in few choices but for a rare jump. The
        p-value is 1 less the highest level of an interval without 0.
        """
        interval_at = hall_intervals(self.runs)
        found = interval_at(level)
        if math.isnan(found.half_width):
            return found, math.nan
        if found.half_width == 0:
            return found, 1.0 if found.mean == 0 else 0.0
        inside, outside = 1.0, 0.0
        for _ in range(_STEPS):
            at = (inside + outside) / 2
            tried = interval_at(at)
            inside, outside = (at, outside) if tried.low <= 0 <= tried.high else (inside, at)
        return found, 1.0 - outside


Evidence = Runs | Sampled | TwoWay


def evidence(
    cell: Cell, metric: str, group: NDArray[np.intp], prompts: int, *, sampled: bool
) -> Evidence:
    """The evidence of a cell on a metric.

    Parameters
    ----------
    cell : Cell
    metric : str
        One of ``METRICS``. Infinite values count as unknown.
    group : ndarray of int, shape (records,)
        The same number for records with the same prompt.
    prompts : int
        The number of different prompts.
    sampled : bool
        Whether the question is about other tasks like these.
    """
    at = list(METRICS).index(metric)
    runs, resampled = (
        np.where(np.isinf(values), np.nan, values)
        for values in (cell.figures[:, at], cell.resampled[..., at])
    )
    if not sampled:
        return Runs(runs)
    if metric in PER_TASK:
        halves = cell.halves[:, PER_TASK.index(metric)]
        return TwoWay(getattr(cell, metric), halves, cell.met, runs, group)
    return Sampled(runs, resampled, cell.scale, prompts)


def difference(one: Evidence, other: Evidence, *, higher_is_better: bool) -> Difference:
    """The first less the second, of the same kind, with the verdict of this one comparison."""
    apart = one.less(other)  # pyright: ignore[reportArgumentType]
    known = apart.known
    pairs, left_out = int(known.sum()), int((~known).sum())
    interval, p = apart.interval()
    if math.isnan(p):
        return no_verdict("too little is known", interval.mean, pairs, left_out)
    said = verdict(interval, higher_is_better=higher_is_better)
    return Difference(interval, p, said, apart.method, pairs, left_out)
