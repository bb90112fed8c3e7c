"""Intervals of what varies from task to task and from run to run.

Quality and cost differ by the task, of which the corpus is a sample, and by the run:
a bandit that settles on the wrong agent does so for all tasks of that run. A
bootstrap over tasks alone misses the second, a t-interval over runs the first. Here
the variances of both are added, with the degrees of freedom of Satterthwaite
(Biometrics Bulletin 2, 1946). What is of neither alone counts in both, so the
intervals are rather too wide than too narrow.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from routingsim.evaluation.intervals import (
    Difference,
    bootstrap_mean,
    paired_bootstrap,
    paired_t,
    t_interval,
    verdict,
)
from routingsim.simulation.statistics import Interval

__all__ = ["paired_two_way", "two_way_interval"]

_NOISE = 1e-9  # share of the tasks' half-width below which runs do not differ


def two_way_interval(tasks: ArrayLike, runs: ArrayLike, *, level: float = 0.95) -> Interval:
    """Interval of a mean over tasks that runs may move.

    Parameters
    ----------
    tasks : array_like, shape (tasks,)
        Means over runs, a task each; NaN where unknown.
    runs : array_like, shape (runs,)
        Means over tasks, a run each. Where they do not vary, or are fewer than two,
        the bootstrap over tasks stands alone.
    level : float
    """
    sizes = [int((~np.isnan(np.asarray(each, dtype=np.float64))).sum()) for each in (tasks, runs)]
    over_tasks = bootstrap_mean(tasks, level=level)
    return _added(over_tasks, sizes[0], t_interval(runs, level), sizes[1])[0]


def paired_two_way(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    *,
    level: float = 0.95,
    higher_is_better: bool = True,
) -> Difference:
    """Compare two policies task by task and run by run.

    Parameters
    ----------
    first, second : tuple of array_like
        A figure's means over runs, shape (tasks,), and over tasks, shape (runs,).
        Where the runs all differ alike, or are fewer than two, the paired bootstrap
        over tasks stands alone.
    level : float
    higher_is_better : bool
    """
    options = {"level": level, "higher_is_better": higher_is_better}
    tasks = paired_bootstrap(first[0], second[0], **options)
    runs = paired_t(first[1], second[1], **options)
    interval, p = _added(tasks.interval, tasks.pairs, runs.interval, runs.pairs)
    if p is None:
        return tasks
    return replace(
        tasks,
        interval=interval,
        p_value=p,
        verdict=verdict(interval, higher_is_better=higher_is_better),
        method=f"{tasks.method}, {runs.method}",
    )


def _added(
    tasks: Interval, count: int, runs: Interval, times: int
) -> tuple[Interval, float | None]:
    """The interval of both and its p-value; None where the runs add nothing."""
    if not runs.half_width > _NOISE * tasks.half_width:
        return tasks, None
    upper = 0.5 + tasks.level / 2
    of_tasks = (tasks.half_width / stats.t.ppf(upper, count - 1)) ** 2
    of_runs = (runs.half_width / stats.t.ppf(upper, times - 1)) ** 2
    both = of_tasks + of_runs
    freedom = both**2 / (of_tasks**2 / (count - 1) + of_runs**2 / (times - 1))
    error = math.sqrt(both)
    half_width = float(stats.t.ppf(upper, freedom) * error)
    p = float(2 * stats.t.sf(abs(tasks.mean) / error, freedom))
    return Interval(tasks.mean, half_width, tasks.level), p
