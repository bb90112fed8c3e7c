"""Confidence intervals, paired differences between policies, and verdicts on them.

Two sources of chance need two tests. Replications of a simulation under common random
numbers differ by their seeds: a t-interval of the differences, seed by seed. Recorded
outcomes differ by which tasks happen to be in the corpus: a bootstrap of the
differences, task by task. Quality and cost depend on both (a bandit that settles on the
wrong agent does so for all tasks of that run), as do figures of time: their variances are
added (:mod:`routingsim.evaluation.two_way`, :mod:`routingsim.evaluation.resampling`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes half a second to import

from routingsim.equality import ByValue
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.outcomes import column
from routingsim.simulation.statistics import Interval

Verdict = Literal["better", "worse", "not distinguishable", "not comparable", "no verdict"]

K = TypeVar("K")

RESAMPLES = 1999
"""Resamples of a bootstrap: one less than a round number, so that p-values are round."""

_CELLS = 4_000_000  # values resampled at a time, 32 MB
_NOISE = 1e-12  # relative difference below which two values are the same number


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t-interval of the mean of independent values, one per replication.

    NaNs are left out. The half-width is NaN where fewer than two values are left.
    """
    _check(level)
    known = _known("values", values)
    mean = float(known.mean()) if known.size else math.nan
    if known.size < 2:
        return Interval(mean, math.nan, level)
    t = special.stdtrit(known.size - 1, 0.5 + level / 2)
    return Interval(mean, float(t * known.std(ddof=1) / math.sqrt(known.size)), level)


def t_intervals(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and half-width of :func:`t_interval` of each row of values, none of them NaN."""
    runs = rows.shape[1]
    mean = rows.mean(axis=1)
    if runs < 2:
        return mean, np.full(mean.size, math.nan)
    t = special.stdtrit(runs - 1, 0.975)
    return mean, t * rows.std(axis=1, ddof=1) / math.sqrt(runs)


def _known(what: str, values: ArrayLike) -> NDArray[np.float64]:
    array = column(what, values)
    return array[~np.isnan(array)]


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    tasks: int,
    *,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Confidence interval of any statistic over tasks, by the symmetric bootstrap.

    The half-width is the ``level`` quantile of the distance between the statistic of a
    resample and that of all tasks (Hall, "On symmetric bootstrap confidence intervals",
    J. R. Stat. Soc. B 50, 1988).

    Parameters
    ----------
    statistic : callable
        Takes positions of tasks, shape (tasks,), some repeated, and returns a number:
        ``lambda rows: apgr(routing_curve(scores[rows], weak[rows], strong[rows]))``.
        Resamples for which it is NaN are left out.
    tasks : int
        Number of tasks.
    groups : array_like of int, shape (tasks,), optional
        The number of each task's group, such as its prompt
        (:func:`routingsim.policies.folds.prompts`). Groups are then drawn whole, as many
        as there are: tasks of one group are no independent evidence.
    resamples : int
        How often the tasks, or groups, are drawn with replacement.
    level : float
        Confidence level.
    seed : int
        The same seed gives the same resamples, whatever the statistic.

    Raises
    ------
    SimulationError
        If a setting is out of its range.
    CorpusError
        If there is not a group for each task.
    """
    _check(level, resamples)
    if tasks < 2:
        raise SimulationError(f"a bootstrap over {tasks} tasks: two or more are needed")
    group = _grouped(groups, tasks)
    members = np.split(np.argsort(group, kind="stable"), np.bincount(group).cumsum()[:-1])
    if len(members) < 2:
        raise SimulationError(f"{tasks:,} tasks of one group: a bootstrap needs two or more")
    rng = np.random.default_rng(seed)
    centre = float(statistic(np.arange(tasks)))

    def drawn() -> NDArray[np.intp]:
        picked = rng.integers(0, len(members), len(members))
        return picked if groups is None else np.concatenate([members[k] for k in picked.tolist()])

    found = np.array([statistic(drawn()) for _ in range(resamples)])
    return Interval(centre, _half_width(np.abs(found - centre), level), level)


def bootstrap_mean(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of a mean over tasks: what :func:`bootstrap` gives for the mean, but faster.

    NaNs are left out. The half-width is NaN where fewer than two values, or groups, are left.
    """
    array = column("values", values)
    known = ~np.isnan(array)
    group = _grouped(groups, array.size)[known]
    return _resampled(array[known], group, resamples, level, seed)[0]


def _grouped(groups: ArrayLike | None, tasks: int) -> NDArray[np.intp]:
    """A number from 0 for each task's group; each task is one where none are given."""
    if groups is None:
        return np.arange(tasks)
    given = np.asarray(groups)
    if given.shape != (tasks,):
        raise CorpusError(f"groups: shape {given.shape} for {tasks:,} tasks; one a task is needed")
    return np.unique(given, return_inverse=True)[1].astype(np.intp)


def _resampled(
    known: NDArray[np.float64],
    group: NDArray[np.intp],
    resamples: int,
    level: float,
    seed: int,
) -> tuple[Interval, float]:
    """Bootstrap interval of a mean, and the p-value of the hypothesis that it is 0.

    Of a resample of groups the mean is that of the tasks in it.
    """
    _check(level, resamples)
    mean = float(known.mean()) if known.size else math.nan
    _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    if sizes.size < 2:
        return Interval(mean, math.nan, level), 1.0
    apart, alone = np.bincount(group, known - mean), bool((sizes == 1).all())
    rng = np.random.default_rng(seed)
    found = np.empty(resamples)
    step = max(1, _CELLS // sizes.size)
    for first in range(0, resamples, step):
        part = found[first : first + step]
        drawn = rng.integers(0, sizes.size, (part.size, sizes.size))
        sums, tasks = apart[drawn].mean(axis=1), 1.0 if alone else sizes[drawn].mean(axis=1)
        part[:] = sums / tasks
    deviations = np.abs(found)
    p = (1 + int((deviations >= abs(mean)).sum())) / (1 + resamples)
    return Interval(mean, _half_width(deviations, level), level), p


def _half_width(deviations: NDArray[np.float64], level: float) -> float:
    """The ``level`` quantile, at the rank where the interval excludes 0 iff p <= 1 - level."""
    known = np.sort(deviations[~np.isnan(deviations)])
    rank = math.ceil(level * (known.size + 1))
    return float(known[rank - 1]) if 1 <= rank <= known.size else math.nan


@dataclass(frozen=True, eq=False)
class Difference(ByValue):
    """The mean difference between two policies, and whether chance can explain it.

    Attributes
    ----------
    interval : Interval
        Of the mean of the differences, first less second.
    p_value : float
        Two-sided; adjusted where ``correction`` names a method.
    verdict : str
        Whether the first is "better" or "worse" than the second, or the two are
        "not distinguishable"; "not comparable" where their figures rest on different
        tasks, and "no verdict" where there is too little to tell by: both without interval.
    method : str
        The test behind interval and p-value, or why there is none.
    pairs, left_out : int
        Pairs compared, and pairs left out because a side is NaN.
    correction : str
        The correction of the p-value for several comparisons; "" for a single one. The
        interval is not corrected.
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


def not_comparable(why: str, level: float = 0.95) -> Difference:
    """No difference, for a reason."""
    return Difference(Interval(math.nan, math.nan, level), math.nan, "not comparable", why, 0)


def no_verdict(why: str, mean: float, pairs: int = 0, left_out: int = 0) -> Difference:
    """A difference of which nothing can be said, for a reason."""
    interval = Interval(mean, math.nan)
    return Difference(interval, math.nan, "no verdict", why, pairs, left_out)


def verdict(interval: Interval, *, higher_is_better: bool = True) -> Verdict:
    """The verdict on the interval of a difference: "better" or "worse" where it excludes 0.

    "not distinguishable" where it includes 0 or its half-width is NaN.
    """
    if interval.low > 0 or interval.high < 0:
        return "better" if (interval.low > 0) == higher_is_better else "worse"
    return "not distinguishable"


def paired_t(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, higher_is_better: bool = True
) -> Difference:
    """Compare two policies replication by replication, under common random numbers.

    A t-interval of the differences (Law, *Simulation Modeling and Analysis*, 5th ed.,
    sec. 10.2.1, the paired-t approach).

    Parameters
    ----------
    first, second : array_like, shape (replications,)
        The same metric of both policies; equal positions have equal seeds.
    level : float
        Confidence level.
    higher_is_better : bool
        False for costs and latencies.

    Raises
    ------
    CorpusError
        If the lengths differ.
    """
    apart, left_out = _apart(first, second)
    interval = t_interval(apart, level) if apart.size else Interval(math.nan, math.nan, level)
    p = 1.0
    if apart.size >= 2 and interval.mean != 0:
        error = apart.std(ddof=1) / math.sqrt(apart.size)
        p = float(2 * special.stdtr(apart.size - 1, -abs(interval.mean) / error)) if error else 0.0
    said = verdict(interval, higher_is_better=higher_is_better)
    return Difference(interval, p, said, "paired t over replications", apart.size, left_out)


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    higher_is_better: bool = True,
) -> Difference:
    """Compare two policies task by task, by :func:`bootstrap_mean` of the differences.

    Parameters
    ----------
    first, second : array_like, shape (tasks,)
        The same metric of both policies on the same tasks. A task with a NaN on either
        side is left out and counted.
    groups : array_like of int, shape (tasks,), optional
        As for :func:`bootstrap`: tasks of one group are drawn together.
    resamples : int
        The smallest possible p-value is 1 / (resamples + 1).
    level, higher_is_better
        As for :func:`paired_t`.
    seed : int

    Raises
    ------
    CorpusError
        If the lengths differ.
    SimulationError
        If a setting is out of its range.
    """
    apart = _differences(first, second)
    known = ~np.isnan(apart)
    group = _grouped(groups, apart.size)[known]
    interval, p = _resampled(apart[known], group, resamples, level, seed)
    said = verdict(interval, higher_is_better=higher_is_better)
    by = "tasks" if groups is None else f"{np.unique(group).size:,} groups of tasks"
    pairs = int(known.sum())
    return Difference(interval, p, said, f"paired bootstrap over {by}", pairs, apart.size - pairs)


def _apart(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], int]:
    """The known differences, and the number of unknown ones."""
    apart = _differences(first, second)
    known = ~np.isnan(apart)
    return apart[known], int((~known).sum())


def _differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """The differences, rounding noise set to 0, NaN where one is unknown."""
    one = column("first", first)
    other = column("second", second, one.size)
    return exact_difference(one, other)


def exact_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first less the second, element by element, rounding noise set to 0."""
    apart = one - other
    apart[np.abs(apart) <= _NOISE * np.maximum(np.abs(one), np.abs(other))] = 0.0
    return apart


def combined(
    mean: float, parts: Sequence[tuple[float, float]], *, level: float = 0.95
) -> tuple[Interval, float]:
    """Interval of a mean whose variance is a sum, and the p-value of a mean of 0.

    Student's t with the degrees of freedom of Satterthwaite (Biometrics Bulletin 2, 1946).

    Parameters
    ----------
    mean : float
    parts : sequence of (float, float)
        Each variance of the mean, and its degrees of freedom. A sum below 0 counts as 0.
    level : float
        Confidence level.
    """
    _check(level)
    variance = max(sum(part for part, _ in parts), 0.0)
    if math.isnan(mean) or math.isnan(variance) or any(freedom < 1 for _, freedom in parts):
        return Interval(mean, math.nan, level), math.nan
    if variance <= (_NOISE * mean) ** 2:  # equal values, but for rounding
        return Interval(mean, 0.0, level), 1.0 if mean == 0 else 0.0
    error = math.sqrt(variance)
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    half_width = float(special.stdtrit(freedom, 0.5 + level / 2) * error)
    return Interval(mean, half_width, level), float(2 * special.stdtr(freedom, -abs(mean) / error))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for the number of comparisons (Holm, Scand. J. Stat. 6, 1979).

    If every comparison with an adjusted p-value of at most alpha is called a difference,
    one or more calls are false with a probability of at most alpha, however the
    comparisons depend on each other.

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
    """Compare several policies with a baseline, the verdicts adjusted by :func:`holm`.

    Parameters
    ----------
    baseline : array_like, shape (n,)
        The baseline's values of a metric.
    others : mapping of str to array_like, shape (n,)
        The values of the other policies; "better" means better than the baseline.
    test : callable
        :func:`paired_t` for replications or :func:`paired_bootstrap` for tasks.
    level : float
        Confidence level of all verdicts together.
    higher_is_better : bool
        False for costs and latencies.

    Returns
    -------
    dict of str to Difference
        In the order given. "better" and "worse" need an adjusted p-value of at most
        1 - level.
    """
    if not others:
        return {}
    found = {
        name: test(values, baseline, level=level, higher_is_better=higher_is_better)
        for name, values in others.items()
    }
    return together(found, level)


def together(found: Mapping[K, Difference], level: float = 0.95) -> dict[K, Difference]:
    """Differences whose verdicts hold together, their p-values adjusted by :func:`holm`.

    Those without a p-value stay as they are, and do not count.
    """
    tested = {key: each for key, each in found.items() if not math.isnan(each.p_value)}
    if not tested:
        return dict(found)
    adjusted = holm([each.p_value for each in tested.values()])
    correction = f"Holm over {len(tested)}" if len(tested) > 1 else ""
    held = {
        key: replace(
            each,
            p_value=float(p),
            verdict=each.verdict if p <= 1 - level + _NOISE else "not distinguishable",
            correction=correction,
        )
        for (key, each), p in zip(tested.items(), adjusted, strict=True)
    }
    return {key: held.get(key, each) for key, each in found.items()}


def _check(level: float, resamples: int | None = None) -> None:
    if not 0 < level < 1:
        raise SimulationError(f"level={level}: a confidence level between 0 and 1 is needed")
    least = math.ceil(1 / (1 - level)) - 1
    if resamples is not None and resamples < 1 / (1 - level) - 1:
        raise SimulationError(
            f"resamples={resamples}: an interval of level {level:g} needs at least {least}"
        )
