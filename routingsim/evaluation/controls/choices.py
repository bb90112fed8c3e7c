"""The choices of controls: the column of an agent for each task."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.metrics.routerbench import Hull
from routingsim.evaluation.outcomes import matrix

FOLDS = 5
"""Folds of the control "category"; with fewer tasks it is left out."""


def shuffled(chosen: ArrayLike, *, seed: int = 0) -> NDArray[np.intp]:
    """The same choices assigned to the tasks at random: the same mix, so the same mean cost."""
    return np.random.default_rng(seed).permutation(np.asarray(chosen, dtype=np.intp))


def length_choice(texts: Sequence[str], mix: ArrayLike, mean_cost: ArrayLike) -> NDArray[np.intp]:
    """Agents by length of text: the longest to the most expensive, in the shares of ``mix``.

    Parameters
    ----------
    texts : sequence of str
        Length is in characters; among equals the first counts as longer.
    mix : array_like, shape (agents,)
        Share of tasks of each agent, rounded to whole tasks.
    mean_cost : array_like, shape (agents,)

    Returns
    -------
    ndarray of int, shape (tasks,)
    """
    longest_first = np.argsort([-len(text) for text in texts], kind="stable")
    costly_first = np.argsort(-np.asarray(mean_cost, dtype=np.float64), kind="stable")
    ends = np.asarray(mix, dtype=np.float64)[costly_first].cumsum() * len(texts)
    chosen = np.empty(len(texts), dtype=np.intp)
    at = np.searchsorted(np.rint(ends), np.arange(len(texts)), side="right")
    chosen[longest_first] = costly_first[np.minimum(at, costly_first.size - 1)]
    return chosen


def category_choice(
    quality: ArrayLike, categories: Sequence[str], *, folds: int = FOLDS, seed: int = 0
) -> NDArray[np.intp]:
    """The best agent of each task's category, learned only on the other folds.

    If the other folds do not have the category, their best agent over all categories.

    Parameters
    ----------
    quality : array_like, shape (tasks, agents)
        NaN where not recorded.
    categories : sequence of str, shape (tasks,)
    folds : int
        2 or more.
    seed : int
        Assigns the tasks to folds.

    Returns
    -------
    ndarray of int, shape (tasks,)

    Raises
    ------
    CorpusError
        If the lengths differ.
    SimulationError
        If there are fewer tasks than folds.
    """
    good = matrix("qualities", quality)
    labels = np.asarray(categories, dtype=object)
    if labels.shape != (good.shape[0],):
        raise CorpusError(f"{labels.size:,} categories for {good.shape[0]:,} tasks")
    if not 2 <= folds <= labels.size:
        raise SimulationError(f"folds={folds}: from 2 up to the {labels.size:,} tasks")
    fold = np.random.default_rng(seed).permutation(labels.size) % folds
    chosen = np.empty(labels.size, dtype=np.intp)
    for held in range(folds):
        train, test = fold != held, fold == held
        fallback = _best(good[train])
        for label in set(labels[test].tolist()):
            mine = labels == label
            seen = good[train & mine]
            chosen[test & mine] = _best(seen) if len(seen) else fallback
    return chosen


def _best(quality: NDArray[np.float64]) -> int:
    """The agent with the best mean recorded quality."""
    known = ~np.isnan(quality)
    count = known.sum(axis=0)
    sums = np.where(known, quality, 0.0).sum(axis=0)
    return int(np.where(count > 0, sums / np.maximum(count, 1), -np.inf).argmax())


def hull_mix(hull: Hull, cost: float, agents: int) -> NDArray[np.float64]:
    """The probability with which the zero router chooses each agent, at a given mean cost.

    Parameters
    ----------
    hull : Hull
        The hull of the single agents: :func:`routingsim.evaluation.zero_router`.
    cost : float
        Mean cost per task. Below that of the cheapest agent, all tasks go to that agent;
        above that of the best agent, to the best.
    agents : int
        Number of agents.

    Returns
    -------
    ndarray, shape (agents,)
        Sums to 1.
    """
    shares = np.zeros(agents)
    above = int(np.searchsorted(hull.cost, cost))
    if above == 0 or above == hull.cost.size:
        shares[hull.index[max(0, above - 1)]] = 1.0
        return shares
    low, high = hull.cost[above - 1], hull.cost[above]
    shares[hull.index[above]] = (cost - low) / (high - low)
    shares[hull.index[above - 1]] += 1 - shares[hull.index[above]]
    return shares
