"""RouterBench's metrics in the cost-quality plane: hull, AIQ, zero router and oracle.

Source: Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System"
(arXiv:2403.12031), section on the mathematical framework.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.outcomes import column, complete, matrix


@dataclass(frozen=True)
class Hull:
    """The best quality at each cost that random mixes of the given points reach.

    Attributes
    ----------
    cost, quality : ndarray, shape (corners,)
        Corners, in increasing order of both: from the cheapest point (the better of
        equals) to the best (the cheaper of equals).
    index : ndarray, shape (corners,)
        Positions of the corners among the given points.
    left_out : int
        Tasks left out because their record is incomplete.
    """

    cost: NDArray[np.float64]
    quality: NDArray[np.float64]
    index: NDArray[np.intp]
    left_out: int = 0

    def at(self, cost: ArrayLike) -> NDArray[np.float64]:
        """Quality at these costs, in the shape given.

        Above the last corner quality is constant; below the first one the mix is with the
        null router, which answers nothing at no cost (Hu et al., "Extrapolation").
        """
        at = np.asarray(cost, dtype=np.float64)
        if self.cost[0] == 0:
            return np.interp(at, self.cost, self.quality)
        with_null = np.concatenate([[0.0], self.cost]), np.concatenate([[0.0], self.quality])
        return np.interp(at, *with_null)


def non_decreasing_hull(cost: ArrayLike, quality: ArrayLike) -> Hull:
    """The non-decreasing convex hull of points in the cost-quality plane.

    Hu et al., "Non-decreasing convex hull": a router that chooses one of two routers at
    random reaches every point on the line between them.

    Parameters
    ----------
    cost, quality : array_like, shape (points,)
        Mean cost (0 or more, any unit) and mean quality of each router or agent.

    Raises
    ------
    CorpusError
        If the lengths differ, a value is NaN or a cost is negative.
    """
    x = column("costs", cost)
    y = column("qualities", quality, x.size)
    if np.isnan(x).any() or np.isnan(y).any() or (x < 0).any():
        raise CorpusError("a hull needs points with a cost of 0 or more and a quality, no NaN")
    corners: list[int] = []
    for point in np.lexsort((-y, x)).tolist():
        if corners and y[point] <= y[corners[-1]]:
            continue
        while len(corners) > 1:
            first, middle = corners[-2:]
            chord = (y[point] - y[first]) * (x[middle] - x[first])
            if (y[middle] - y[first]) * (x[point] - x[first]) > chord:
                break
            corners.pop()
        corners.append(point)
    index = np.array(corners, dtype=np.intp)
    return Hull(x[index], y[index], index)


def aiq(
    cost: ArrayLike, quality: ArrayLike, *, c_min: float | None = None, c_max: float | None = None
) -> float:
    """Average improvement in quality of a router's points.

    AIQ = integral of the hull's quality from c_min to c_max, over c_max - c_min
    (Hu et al., "Average improvement in quality"): the mean quality of the hull over a
    range of costs.

    Parameters
    ----------
    cost, quality : array_like, shape (points,)
        Mean cost and quality of the router at each of its settings.
    c_min, c_max : float, optional
        The range. By default that of these points; use the same range for all routers
        that are compared. If both ends are equal the AIQ is the hull's quality there.

    Raises
    ------
    CorpusError
        As for :func:`non_decreasing_hull`; or if the range is empty or negative.
    """
    hull = non_decreasing_hull(cost, quality)
    low = float(np.min(cost)) if c_min is None else float(c_min)
    high = float(np.max(cost)) if c_max is None else float(c_max)
    if not 0 <= low <= high < np.inf:
        raise CorpusError(f"AIQ from cost {low:g} to {high:g}: 0 <= c_min <= c_max is needed")
    if low == high:
        return float(hull.at(low))
    inside = hull.cost[(hull.cost > low) & (hull.cost < high)]
    at = np.concatenate([[low], inside, [high]])
    return float(np.trapezoid(hull.at(at), at) / (high - low))


def zero_router(quality: ArrayLike, cost: ArrayLike) -> Hull:
    """The zero router, which reads no text: the hull of the single agents.

    Hu et al., "Zero router": a router is useful where it lies above this hull at its own
    mean cost.

    Parameters
    ----------
    quality, cost : array_like, shape (tasks, agents)
        Recorded outcomes. Tasks without a complete record are left out and counted.

    Raises
    ------
    CorpusError
        If the shapes differ or no task has a complete record.
    """
    good = matrix("qualities", quality)
    paid = matrix("costs", cost, good.shape)
    known = complete(good, paid)
    if not known.any():
        raise CorpusError("no task has a recorded quality and cost of every agent")
    hull = non_decreasing_hull(paid[known].mean(axis=0), good[known].mean(axis=0))
    return Hull(hull.cost, hull.quality, hull.index, int((~known).sum()))


def oracle(quality: ArrayLike, cost: ArrayLike, *, seed: int = 0) -> NDArray[np.intp]:
    """The best agent of each task (in-sample), the cheapest among equals, shape (tasks,).

    Hu et al., "Oracle router". Of equals in quality and cost each has the same chance. An agent
    without a recorded quality is not chosen; a task without any goes to the cheapest
    agent. A cost that is not recorded counts as the highest.

    Parameters
    ----------
    quality, cost : array_like, shape (tasks, agents)
    seed : int
        Chooses among equals.
    """
    good = matrix("qualities", quality)
    paid = matrix("costs", cost, good.shape)
    good = np.where(np.isnan(good), -np.inf, good)
    paid = np.where(np.isnan(paid), np.finfo(np.float64).max, paid)
    paid = np.where(good == good.max(axis=1, keepdims=True), paid, np.inf)
    equals = paid == paid.min(axis=1, keepdims=True)
    return np.where(equals, np.random.default_rng(seed).random(paid.shape), np.inf).argmin(axis=1)
