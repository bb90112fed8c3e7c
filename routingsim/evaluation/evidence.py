"""What a study has seen of a metric, and which differences it shows.

Three kinds: a metric of each run, where the question is about these tasks alone; one of each
run and of resampled corpora; and one of each task and run.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routingsim.evaluation.cell import METRICS, PER_TASK, Cell
from routingsim.evaluation.intervals import (
    Difference,
    exact_difference,
    no_verdict,
    verdict,
)
from routingsim.evaluation.resampling import Sampled
from routingsim.evaluation.two_way import TwoWay
from routingsim.simulation.statistics import Interval


@dataclass(frozen=True, eq=False)
class Runs:
    """A metric of each run of these very tasks, shape (runs,); NaN where unknown."""

    runs: NDArray[np.float64]
    method = "Hall's t over replications"

    def less(self, other: "Runs") -> "Runs":
        """The differences from another policy, run by run."""
        return Runs(exact_difference(self.runs, other.runs))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which runs have a value."""
        return ~np.isnan(self.runs)

    def interval(self, level: float = 0.95) -> tuple[Interval, float]:
        """Of the mean over runs of these tasks, and the p-value of a mean of 0.

        :func:`hall_t` of the known values.
        """
        return hall_t(self.runs[self.known], level)


def hall_t(values: NDArray[np.float64], level: float = 0.95) -> tuple[Interval, float]:
    """Interval of the mean of skewed values, and the p-value of a mean of 0.

    Few runs of a loaded queue are skewed, and Student's t then misses on the side of the long
    tail. Hall ("On the removal of skewness by transformation", J. R. Stat. Soc. B 54, 1992)
    transforms t by a cubic that removes the skewness g of n values:

        q = t + g t² / (3 √n) + g² t³ / (27 n) + g / (6 √n)

    An interval has one half-width, so it is that of the wider side, of the long tail.
    """
    n = values.size
    mean = float(values.mean()) if n else math.nan
    if n < 2:
        return Interval(mean, math.nan, level), math.nan
    spread = float(values.std(ddof=1))
    if spread == 0:
        return Interval(mean, 0.0, level), 1.0 if mean == 0 else 0.0
    error = spread / math.sqrt(n)
    skew = abs(float((((values - mean) / values.std()) ** 3).mean())) / math.sqrt(n)
    quantile = float(stats.t.ppf(0.5 + level / 2, n - 1))
    t = abs(mean) / error
    # The wider side: -t of values whose long tail is on the right.
    q = t - skew * t**2 / 3 + skew**2 * t**3 / 27 - skew / 6
    wide = quantile if skew < 1e-6 else 3 / skew * (1 - np.cbrt(1 - skew * (quantile + skew / 6)))
    return Interval(mean, float(wide) * error, level), min(1.0, float(2 * stats.t.sf(q, n - 1)))


Evidence = Runs | Sampled | TwoWay


def evidence(
    cell: Cell, metric: str, group: NDArray[np.intp], prompts: int, *, sampled: bool
) -> Evidence:
    """What a cell has seen of a metric.

    Parameters
    ----------
    cell : Cell
    metric : str
        One of ``METRICS``. Infinite values count as unknown.
    group : ndarray of int, shape (records,)
        The same number for records with the same prompt.
    prompts : int
        How many there are.
    sampled : bool
        Whether the question is about other tasks like these.
    """
    at = list(METRICS).index(metric)
    runs = _finite(cell.figures[:, at])
    if not sampled:
        return Runs(runs)
    if metric in PER_TASK:
        halves = cell.halves[:, PER_TASK.index(metric)]
        return TwoWay(getattr(cell, metric), halves, cell.met, runs, group)
    return Sampled(runs, _finite(cell.resampled[..., at]), cell.scale, prompts)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isinf(values), np.nan, values)


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
