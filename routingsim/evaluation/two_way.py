"""A mean that varies from task to task and from run to run: the variance of both.

Quality and cost are known of every task in every run, so their variance needs no resampling.
With R runs of N tasks and the mean squares of the two-way table, the variance of the mean is

    (MS_tasks + MS_runs - MS_residual) / (N · R)

(two-way random effects: Searle, Casella & McCulloch, *Variance Components*, 1992, ch. 4).
What belongs to a task in one run alone, the residual, is in both mean squares and counts
once. It is estimated from the means over the first and over the second half of the runs:
their difference has no part that belongs to the task in all runs, and the table of all tasks
in all runs need not be kept. Tasks with the same prompt are one: their deviations are added
before they are squared, as in cluster sampling.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from routingsim.evaluation.intervals import combined, exact_difference
from routingsim.simulation.statistics import Interval


@dataclass(frozen=True, eq=False)
class TwoWay:
    """A metric by task and by run.

    Attributes
    ----------
    tasks : ndarray, shape (records,)
        Mean over runs; NaN where unknown.
    halves : ndarray, shape (2, records)
        Mean over the first and over the second half of the runs; NaN where unknown.
    met : ndarray of int, shape (2, records)
        How often each record was met in each half.
    runs : ndarray, shape (runs,)
        Mean over tasks; NaN where unknown.
    group : ndarray of int, shape (records,)
        The same number for records with the same prompt.
    """

    tasks: NDArray[np.float64]
    halves: NDArray[np.float64]
    met: NDArray[np.int64]
    runs: NDArray[np.float64]
    group: NDArray[np.intp]
    method = "two-way variance over tasks and replications"

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which tasks have a value."""
        return ~np.isnan(self.tasks)

    def less(self, other: "TwoWay") -> "TwoWay":
        """The differences from another policy, task by task and run by run."""
        return replace(
            self,
            tasks=exact_difference(self.tasks, other.tasks),
            halves=exact_difference(self.halves, other.halves),
            runs=exact_difference(self.runs, other.runs),
        )

    def interval(self, level: float = 0.95) -> tuple[Interval, float]:
        """The interval of the mean over tasks like these, and the p-value of a mean of 0.

        Student's t with Satterthwaite's degrees of freedom; none with fewer than two tasks
        or runs.
        """
        values, group = self.tasks[self.known], self.group[self.known]
        runs = self.runs[~np.isnan(self.runs)]
        mean = float(values.mean()) if values.size else math.nan
        between, prompts = _between(values, group)
        if runs.size < 2 or prompts < 2:
            return Interval(mean, math.nan, level), math.nan
        of_runs = float(runs.var(ddof=1)) / runs.size
        of_tasks = max(between - self._residual(), 0.0)
        parts = (of_tasks, prompts - 1), (of_runs, runs.size - 1)
        return combined(mean, parts, level=level)

    def interval_of_one_run(self, level: float = 0.95) -> Interval:
        """The same where a single run is long enough to stand for others."""
        values = self.tasks[self.known]
        between, prompts = _between(values, self.group[self.known])
        return combined(float(values.mean()), [(between, prompts - 1)], level=level)[0]

    def _residual(self) -> float:
        """The part of the variance between tasks that is theirs in single runs only."""
        apart = self.halves[0] - self.halves[1]
        known = ~np.isnan(apart)
        between, prompts = _between(apart[known], self.group[known])
        if prompts < 2:
            return 0.0
        first, second = self.met[:, known]
        ours = (1 / self.met[:, self.known].sum(axis=0)).sum() / self.known.sum() ** 2
        theirs = (1 / first + 1 / second).sum() / known.sum() ** 2
        return float(ours / theirs) * between


def _between(values: NDArray[np.float64], group: NDArray[np.intp]) -> tuple[float, int]:
    """Variance of the mean of values that come in groups, and the number of groups."""
    if not values.size:
        return math.nan, 0
    sums = np.bincount(np.unique(group, return_inverse=True)[1], values - values.mean())
    if sums.size < 2:
        return math.nan, sums.size
    return float(sums.size / (sums.size - 1) * (sums @ sums) / values.size**2), sums.size
