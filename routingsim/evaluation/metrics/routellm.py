"""RouteLLM's metrics of a score that routes between two agents: PGR, APGR and CPT.

Source: Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data" (ICLR 2025;
arXiv:2406.18665), "Metrics". The authors' code reads the curve at quantiles of the score
and fails if scores tie; here the curve has a point for every task.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.outcomes import column

_NOISE = 1.96
"""Standard errors of a gap within which chance explains it."""


@dataclass(frozen=True)
class RoutingCurve:
    """Quality against the share of tasks sent to the strong agent.

    :func:`routing_curve` makes one from recorded outcomes. One made from a sweep of
    thresholds in the simulator gives APGR as a function of load.

    Attributes
    ----------
    share : ndarray, shape (points,)
        Share of tasks sent to the strong agent, rising from 0 to 1.
    quality : ndarray, shape (points,)
        Mean quality at that share; linear in between.
    left_out : int
        Tasks that are not in the curve because an agent's outcome is missing.
    error : float
        Standard error of the gap between the two agents over the tasks; 0 where unknown.

    Raises
    ------
    CorpusError
        If the shares do not rise from 0 to 1, or a quality is missing.
    """

    share: NDArray[np.float64]
    quality: NDArray[np.float64]
    left_out: int = 0
    error: float = 0.0

    def __post_init__(self) -> None:
        share = column("shares", self.share)
        quality = column("qualities", self.quality, share.size)
        if share[0] != 0 or share[-1] != 1 or (np.diff(share) < 0).any():
            raise CorpusError("a routing curve's shares must rise from 0 to 1, both included")
        if np.isnan(quality).any():
            raise CorpusError("a routing curve needs a quality at every share, and one is NaN")
        object.__setattr__(self, "share", share)
        object.__setattr__(self, "quality", quality)


def routing_curve(
    scores: ArrayLike,
    weak: ArrayLike,
    strong: ArrayLike,
    *,
    ties: Literal["order", "average"] = "order",
) -> RoutingCurve:
    """The curve of a score: tasks go to the strong agent in descending order of score.

    Parameters
    ----------
    scores : array_like, shape (tasks,)
        How much a task needs the strong agent; only the order of scores matters.
    weak, strong : array_like, shape (tasks,)
        Recorded quality of the two agents. Tasks with a NaN are left out and
        counted in ``left_out``.
    ties : {"order", "average"}
        How tasks with equal scores are sent: in the order given, as in published
        results; or all at once, which is the mean over all orders.

    Raises
    ------
    CorpusError
        If the lengths differ, a score is NaN, or no task has both outcomes.
    """
    score = column("scores", scores)
    low = column("weak agent's qualities", weak, score.size)
    high = column("strong agent's qualities", strong, score.size)
    if np.isnan(score).any():
        where = int(np.flatnonzero(np.isnan(score))[0])
        raise CorpusError(f"scores: NaN at task {where}; every task needs a score")
    known = ~(np.isnan(low) | np.isnan(high))
    if not known.any():
        raise CorpusError("no task has a recorded quality of both agents")
    score, low, high = score[known], low[known], high[known]
    order = np.argsort(-score, kind="stable")
    gained = np.concatenate([[0.0], np.cumsum((high - low)[order])])
    share = np.arange(score.size + 1) / score.size
    quality = (low.sum() + gained) / score.size
    if ties == "average":
        ends = np.concatenate([[True], np.diff(score[order]) != 0, [True]])
        share, quality = share[ends], quality[ends]
    gaps = high - low
    error = float(gaps.std(ddof=1)) / math.sqrt(gaps.size) if gaps.size > 1 else 0.0
    return RoutingCurve(share, quality, int((~known).sum()), error)


def pgr(curve: RoutingCurve) -> NDArray[np.float64]:
    """Performance gap recovered at each point of the curve, shape (points,).

    PGR = (quality - weak's) / (strong's - weak's) (Ong et al., "Metrics"): 0 for the
    weak agent alone, 1 for the strong alone, above 1 if both together beat the strong.
    NaN if chance can explain the gap: if it is within 1.96 of its standard errors.

    Raises
    ------
    CorpusError
        If the agent called strong is the weaker one: a good score would recover less than
        nothing, and its opposite more than all.
    """
    weak, strong = curve.quality[0], curve.quality[-1]
    equal = np.isclose(weak, strong, rtol=1e-12, atol=0)
    if equal or abs(strong - weak) <= _NOISE * curve.error:
        return np.full(curve.quality.size, np.nan)
    if strong < weak:
        raise CorpusError(
            f"the agent called strong is the weaker one (quality {strong:.4f}, and {weak:.4f} of "
            "the weak): swap the two, and turn the sign of the scores"
        )
    return (curve.quality - weak) / (strong - weak)


def apgr(curve: RoutingCurve) -> float:
    """Average performance gap recovered: the area under PGR over the share of calls.

    Ong et al., "Metrics": the exact area by the trapezoidal rule through every point, not
    only ten. 0.5 for routing at random; NaN if PGR is NaN.
    """
    return float(np.trapezoid(pgr(curve), curve.share))


def cpt(curve: RoutingCurve, recovered: float) -> float:
    """Call-performance threshold: the least share of strong calls with PGR >= ``recovered``.

    Ong et al., "Metrics": CPT(50 %) is ``cpt(curve, 0.5)``. If the curve is not monotone
    it is the first crossing, on the straight line between two points. NaN if the level is
    never reached or PGR is NaN.
    """
    values = pgr(curve)
    reached = np.flatnonzero(values >= recovered)
    if reached.size == 0:
        return float("nan")
    last = int(reached[0])
    if last == 0:
        return 0.0
    first = last - 1
    part = (recovered - values[first]) / (values[last] - values[first])
    return float(curve.share[first] + part * (curve.share[last] - curve.share[first]))
