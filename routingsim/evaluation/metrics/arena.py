"""RouterArena's score, optimality and robustness.

Source: Lu et al., "RouterArena: An Open Platform for Comprehensive Comparison of LLM
Routers" (arXiv:2510.00202), section on metrics.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.metrics.routerbench import oracle
from routingsim.evaluation.outcomes import Mean, choices, complete, matrix, mean_of, taken

C_MAX = 200.0
"""USD per 1,000 queries at which the cost score is 0."""

C_MIN = 0.0044
"""USD per 1,000 queries at which the cost score is 1."""

_BETA = 0.1  # weight of the cost against the accuracy


def cost_score(cost: float) -> float:
    """RouterArena's normalised cost C, from 1 (cheap) to 0 (expensive).

    C = (log2 200 - log2 c) / (log2 200 - log2 0.0044). Costs outside these bounds
    count as the nearer bound, as in the authors' code; a cost of 0 gives 1.

    Parameters
    ----------
    cost : float
        USD per 1,000 queries.

    Raises
    ------
    CorpusError
        If it is negative or not a number.
    """
    if not cost >= 0:
        raise CorpusError(f"cost is {cost} USD per 1,000 queries; 0 or more is needed")
    bounded = min(max(cost, C_MIN), C_MAX)
    return math.log2(C_MAX / bounded) / math.log2(C_MAX / C_MIN)


def arena_score(accuracy: float, cost: float) -> float:
    """RouterArena's score S, a harmonic mean of accuracy A and normalised cost C.

    S = 1.1 A C / (0.1 A + C); 0 where both are 0.

    Parameters
    ----------
    accuracy : float
        Mean quality, from 0 to 1.
    cost : float
        USD per 1,000 queries; see :func:`cost_score`.

    Raises
    ------
    CorpusError
        If either is out of its range.
    """
    if not 0 <= accuracy <= 1:
        raise CorpusError(f"accuracy is {accuracy}; from 0 to 1 is needed")
    cheap = cost_score(cost)
    below = _BETA * accuracy + cheap
    return (1 + _BETA) * accuracy * cheap / below if below else 0.0


def optimal_selection(quality: ArrayLike, cost: ArrayLike, chosen: ArrayLike) -> Mean:
    """Share of tasks that went to the cheapest of the best agents.

    Only over tasks that some agent answers with a quality above 0: on the others all
    choices are equally wrong. An agent that equals the oracle's in quality and cost
    counts as optimal. Tasks without a complete record, and tasks that no agent answers,
    are left out and counted.
    """
    good, paid, mine, best = _sides(quality, cost, chosen)
    answerable = complete(good, paid) & (np.nan_to_num(taken(good, best)) > 0)
    optimal = (taken(good, mine) == taken(good, best)) & (taken(paid, mine) == taken(paid, best))
    return mean_of(np.where(answerable, optimal, np.nan))


def cost_ratio(quality: ArrayLike, cost: ArrayLike, chosen: ArrayLike) -> Mean:
    """The oracle's cost over the cost paid, for tasks answered as well as by the oracle.

    From 0 to 1; 1 if every such answer had the lowest possible cost (or all were free).
    Tasks with a worse answer, or without a complete record, are left out and counted.
    """
    good, paid, mine, best = _sides(quality, cost, chosen)
    level = complete(good, paid) & (taken(good, mine) == taken(good, best))
    tasks = int(level.sum())
    left_out = level.size - tasks
    if not tasks:
        return Mean(math.nan, 0, left_out)
    spent = float(taken(paid, mine)[level].sum())
    least = float(taken(paid, best)[level].sum())
    return Mean(least / spent if spent else 1.0, tasks, left_out)


def _sides(
    quality: ArrayLike, cost: ArrayLike, chosen: ArrayLike
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    good = matrix("qualities", quality)
    paid = matrix("costs", cost, good.shape)
    return good, paid, choices(chosen, *good.shape), oracle(good, paid)


def robustness(chosen: ArrayLike, reworded: ArrayLike) -> Mean:
    """Share of tasks that are sent to the same agent when their text is reworded.

    1 - flips / tasks.

    Parameters
    ----------
    chosen, reworded : array_like, shape (tasks,)
        The agent, by index or name, for each text and for its rewording.

    Raises
    ------
    CorpusError
        If the lengths differ or there is none.
    """
    first, second = np.asarray(chosen), np.asarray(reworded)
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise CorpusError(
            f"choices of shape {first.shape} and, reworded, {second.shape}: "
            "one per task is needed in both"
        )
    return Mean(float((first == second).mean()), first.size)
