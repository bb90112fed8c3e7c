"""Quality that comes in time: goodput, quality within the objective, cost per right answer.

The latencies of a replay are simulated, and what is computed from them is too.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from routingsim.errors import CorpusError
from routingsim.evaluation.outcomes import Mean, column
from routingsim.policies.kernel import OK
from routingsim.simulation.result import ReplayResult

__all__ = ["Timed", "timed_quality", "timed_replay"]


@dataclass(frozen=True)
class Timed:
    """How good answers were that came within a latency objective.

    Attributes
    ----------
    objective : float
        Latency, in seconds, within which an answer counts.
    goodput : float
        Right answers within the objective, per second.
    within : Mean
        Share of all tasks answered within the objective, right or wrong.
    quality : Mean
        Mean quality where what is late, failed or not answered has quality 0.
    cost_per_right : float
        USD spent on all tasks, over the answers that were right within the
        objective; infinite where there was none.

    ``left_out`` of each mean counts tasks answered without a recorded quality.
    """

    objective: float
    goodput: float
    within: Mean
    quality: Mean
    cost_per_right: float


def timed_quality(
    latency: ArrayLike,
    quality: ArrayLike,
    cost: ArrayLike,
    answered: ArrayLike,
    *,
    objective: float,
    seconds: float,
    right: float = 0.5,
) -> Timed:
    """Goodput and its relatives, from a value a task.

    Goodput as in Zhong et al., "DistServe" (OSDI 2024), with a right answer in place
    of any answer.

    Parameters
    ----------
    latency : array_like, shape (tasks,)
        Seconds from intended arrival to the end.
    quality : array_like, shape (tasks,)
        From 0 to 1. A task that was answered, but of unknown quality (NaN), is left
        out and counted; its cost is too, its latency is not looked at.
    cost : array_like, shape (tasks,)
        USD, over all tries.
    answered : array_like of bool, shape (tasks,)
        False for what failed, timed out or was shed: not right, whatever the rest.
    objective : float
        Seconds.
    seconds : float
        How long tasks arrived.
    right : float
        Least quality of a right answer.

    Raises
    ------
    CorpusError
        If the lengths differ, or ``objective`` or ``seconds`` is not above 0.
    """
    took = column("latencies", latency)
    good = column("qualities", quality, took.size)
    paid = column("costs", cost, took.size)
    done = np.asarray(answered, dtype=bool)
    if done.shape != took.shape:
        raise CorpusError(f"answered: shape {done.shape} for {took.size:,} tasks")
    if not (objective > 0 and seconds > 0):
        raise CorpusError(
            f"objective={objective} s over {seconds} s of arrivals: both must be above 0"
        )
    known = ~(done & np.isnan(good))
    tasks, left_out = int(known.sum()), int((~known).sum())
    prompt = done & (took <= objective)
    correct = int((prompt & (good >= right))[known].sum())
    spent = float(paid[known].sum())
    return Timed(
        objective=objective,
        goodput=correct / seconds,
        within=Mean(_share(prompt[known].sum(), tasks), tasks, left_out),
        quality=Mean(_share(good[known & prompt].sum(), tasks), tasks, left_out),
        cost_per_right=spent / correct if correct else math.inf,
    )


def timed_replay(result: ReplayResult, objective: float, *, right: float = 0.5) -> Timed:
    """Goodput and its relatives of a replay, over the tasks that arrived after its warm-up.

    Parameters
    ----------
    result : ReplayResult
    objective : float
        Seconds.
    right : float
        Least quality of a right answer.

    Raises
    ------
    CorpusError
        If ``objective`` is not above 0, or the run has no length.
    """
    begin, end = result.window
    counted = result.work.arrived >= begin
    return timed_quality(
        result.latency[counted],
        result.quality[counted],
        result.log.cost[counted],
        result.log.status[counted] == OK,
        objective=objective,
        seconds=end - begin,
        right=right,
    )


def _share(part: float, whole: int) -> float:
    return float(part) / whole if whole else math.nan
