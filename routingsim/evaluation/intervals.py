"""Is the difference real: intervals, paired differences and verdicts.

Two sources of chance, two tests. Replications of a simulation under common random
numbers differ by their seeds: a t-interval of the differences, seed by seed.
Recorded outcomes differ by which tasks happen to be in the corpus: a bootstrap
over tasks of the differences, task by task.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.outcomes import column
from routingsim.simulation.statistics import Interval

__all__ = [
    "RESAMPLES",
    "Difference",
    "Verdict",
    "bootstrap",
    "bootstrap_mean",
    "holm",
    "paired_bootstrap",
    "paired_t",
    "t_interval",
    "verdict",
    "versus",
]

Verdict = Literal["better", "worse", "not distinguishable"]

RESAMPLES = 1999
"""Resamples of a bootstrap: one less than a round number, so that p-values are round."""

_CELLS = 4_000_000  # values resampled at a time, 32 MB
_NOISE = 1e-12  # relative difference below which two values are the same number


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t-interval of the mean of independent values, one a replication.

    NaNs are left out. The half-width is NaN where fewer than two values are left.
    """
    _check_level(level)
    series = column("values", values)
    series = series[~np.isnan(series)]
    if series.size < 2:
        return Interval(float(series.mean()) if series.size else math.nan, math.nan, level)
    t = stats.t.ppf(0.5 + level / 2, series.size - 1)
    half_width = t * series.std(ddof=1) / math.sqrt(series.size)
    return Interval(float(series.mean()), float(half_width), level)


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    tasks: int,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of any figure over tasks, by the symmetric bootstrap.

    The half-width is the ``level`` quantile of how far the figure of a resample lies
    from that of all tasks (Hall, "On symmetric bootstrap confidence intervals",
    J. R. Stat. Soc. B 50, 1988).

    Parameters
    ----------
    statistic : callable
        From the positions of tasks, shape (tasks,), some repeated, to the figure:
        ``lambda rows: apgr(routing_curve(scores[rows], weak[rows], strong[rows]))``.
        Resamples for which it is NaN are left out.
    tasks : int
        How many there are.
    resamples : int
        How many times they are drawn with replacement.
    level : float
    seed : int
        Same seed, same resamples, whatever the statistic.

    Raises
    ------
    SimulationError
        If a setting is out of its range.
    """
    _check(resamples, level)
    if tasks < 2:
        raise SimulationError(f"a bootstrap over {tasks} tasks: two or more are needed")
    rng = np.random.default_rng(seed)
    centre = float(statistic(np.arange(tasks)))
    found = np.array([statistic(rng.integers(0, tasks, tasks)) for _ in range(resamples)])
    return Interval(centre, _half_width(np.abs(found - centre), level), level)


def bootstrap_mean(
    values: ArrayLike, *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of a mean over tasks, as :func:`bootstrap` gives it, quicker.

    NaNs are left out. The half-width is NaN where fewer than two values are left.
    """
    _check(resamples, level)
    series = column("values", values)
    series = series[~np.isnan(series)]
    if series.size < 2:
        return Interval(float(series.mean()) if series.size else math.nan, math.nan, level)
    return Interval(
        float(series.mean()), _half_width(_deviations(series, resamples, seed), level), level
    )


def _deviations(series: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """How far the means of resamples lie from the mean, shape (resamples,)."""
    rng = np.random.default_rng(seed)
    centred = series - series.mean()
    found = np.empty(resamples)
    step = max(1, _CELLS // series.size)
    for first in range(0, resamples, step):
        part = found[first : first + step]
        part[:] = centred[rng.integers(0, series.size, (part.size, series.size))].mean(axis=1)
    return np.abs(found)


def _half_width(deviations: NDArray[np.float64], level: float) -> float:
    """The ``level`` quantile, so taken that 0 is outside just where p <= 1 - level."""
    known = np.sort(deviations[~np.isnan(deviations)])
    rank = math.ceil(level * (known.size + 1))
    return float(known[rank - 1]) if 1 <= rank <= known.size else math.nan


@dataclass(frozen=True)
class Difference:
    """How much one policy is ahead of another, and whether that can be told from chance.

    Attributes
    ----------
    interval : Interval
        Of the mean of the differences, first less second.
    p_value : float
        Two-sided; adjusted where ``correction`` names a method.
    verdict : str
        "better" or "worse" (the first than the second), or "not distinguishable".
    method : str
        How interval and p-value were made.
    pairs, left_out : int
        Pairs compared, and those left out for a NaN on either side.
    correction : str
        How the p-value allows for several comparisons; "" for a single one. The
        interval is that of the single comparison.
    """

    interval: Interval
    p_value: float
    verdict: Verdict
    method: str
    pairs: int
    left_out: int = 0
    correction: str = ""

    def __str__(self) -> str:
        return f"{self.interval} ({self.verdict}, p = {self.p_value:.2g})"


def verdict(interval: Interval, *, higher_is_better: bool = True) -> Verdict:
    """What an interval of a difference says: "better" or "worse" where it excludes 0.

    "not distinguishable" where it does not, or has no width to tell by (NaN).
    """
    if interval.low > 0:
        return "better" if higher_is_better else "worse"
    if interval.high < 0:
        return "worse" if higher_is_better else "better"
    return "not distinguishable"


def paired_t(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, higher_is_better: bool = True
) -> Difference:
    """Compare two policies by replications under common random numbers.

    A t-interval of the differences (Law, *Simulation Modeling and Analysis*, 5th ed.,
    sec. 10.2.1, the paired-t approach).

    Parameters
    ----------
    first, second : array_like, shape (replications,)
        The same figure of both; equal positions had equal seeds.
    level : float
    higher_is_better : bool
        False for costs and latencies.

    Raises
    ------
    CorpusError
        If the lengths differ.
    """
    apart, left_out = _apart(first, second)
    interval = _symmetric_t(apart, level)
    p = 1.0
    if apart.size >= 2 and interval.mean != 0:
        spread = apart.std(ddof=1) / math.sqrt(apart.size)
        p = float(2 * stats.t.sf(abs(interval.mean) / spread, apart.size - 1)) if spread else 0.0
    said = verdict(interval, higher_is_better=higher_is_better)
    return Difference(interval, p, said, "paired t over replications", apart.size, left_out)


def _symmetric_t(apart: NDArray[np.float64], level: float) -> Interval:
    if not apart.size:
        _check_level(level)
        return Interval(math.nan, math.nan, level)
    return t_interval(apart, level)


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    higher_is_better: bool = True,
) -> Difference:
    """Compare two policies task by task, by :func:`bootstrap_mean` of the differences.

    Parameters
    ----------
    first, second : array_like, shape (tasks,)
        The same figure of both on the same tasks. A task with a NaN on either side
        is left out and counted.
    resamples : int
        The least p-value is 1 / (resamples + 1).
    level : float
    seed : int
    higher_is_better : bool
        False for costs and latencies.

    Raises
    ------
    CorpusError
        If the lengths differ.
    SimulationError
        If a setting is out of its range.
    """
    _check(resamples, level)
    apart, left_out = _apart(first, second)
    mean, half_width, p = (float(apart.mean()) if apart.size else math.nan), math.nan, 1.0
    if apart.size >= 2:
        deviations = _deviations(apart, resamples, seed)
        half_width = _half_width(deviations, level)
        beyond = int((deviations >= abs(mean)).sum())
        p = (1 + beyond) / (1 + resamples)
    interval = Interval(mean, half_width, level)
    said = verdict(interval, higher_is_better=higher_is_better)
    return Difference(interval, p, said, "paired bootstrap over tasks", apart.size, left_out)


def _apart(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], int]:
    """The differences that are known, rounding noise taken as none, and how many are not."""
    one = column("first", first)
    other = column("second", second, one.size)
    apart = one - other
    apart[np.abs(apart) <= _NOISE * np.maximum(np.abs(one), np.abs(other))] = 0.0
    known = ~np.isnan(apart)
    return apart[known], int((~known).sum())


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for as many comparisons (Holm, Scand. J. Stat. 6, 1979).

    All those at or below alpha may be called differences, and the chance of one
    false call or more is at most alpha, however the comparisons depend on each other.

    Raises
    ------
    CorpusError
        If one is not between 0 and 1.
    """
    p = column("p-values", p_values)
    if not ((p >= 0) & (p <= 1)).all():
        raise CorpusError(f"p-values: {p.tolist()}; from 0 to 1 is needed")
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def versus(
    baseline: ArrayLike,
    others: Mapping[str, ArrayLike],
    *,
    test: Callable[..., Difference] = paired_t,
    level: float = 0.95,
    higher_is_better: bool = True,
) -> dict[str, Difference]:
    """Compare several policies with one, the verdicts adjusted by :func:`holm`.

    Parameters
    ----------
    baseline : array_like, shape (n,)
        The figure of the policy compared with.
    others : mapping of str to array_like, shape (n,)
        The figures of the others; "better" says better than the baseline.
    test : callable
        :func:`paired_t` for replications or :func:`paired_bootstrap` for tasks.
    level : float
    higher_is_better : bool

    Returns
    -------
    dict of str to Difference
        In the order given. A verdict needs the adjusted p-value to be at most
        1 - level, so that all of them hold together with that confidence.
    """
    if not others:
        return {}
    found = {
        name: test(values, baseline, level=level, higher_is_better=higher_is_better)
        for name, values in others.items()
    }
    adjusted = holm([each.p_value for each in found.values()])
    correction = f"Holm over {len(found)}" if len(found) > 1 else ""
    return {
        name: replace(
            each,
            p_value=float(p),
            verdict=each.verdict if p <= 1 - level + _NOISE else "not distinguishable",
            correction=correction,
        )
        for (name, each), p in zip(found.items(), adjusted, strict=True)
    }


def _check(resamples: int, level: float) -> None:
    _check_level(level)
    if resamples < 1 / (1 - level) - 1:
        raise SimulationError(
            f"resamples={resamples}: an interval of level {level:g} needs at least "
            f"{math.ceil(1 / (1 - level)) - 1}"
        )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise SimulationError(f"level={level}: a confidence level between 0 and 1 is needed")
