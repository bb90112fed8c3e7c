"""Quality in time: goodput, quality within a latency objective, cost per right answer.

The latencies of a replay are simulated, and so are these metrics of it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.outcomes import Mean, column
from routingsim.policies.kernel import OK
from routingsim.simulation.result import ReplayResult


@dataclass(frozen=True)
class Timed:
    """Metrics of the answers within a latency objective.

    Attributes
    ----------
    objective : float
        Latency, in seconds, within which an answer counts.
    goodput : float
        Right answers within the objective, per second.
    within : Mean
        Share of all tasks answered within the objective, right or wrong.
    quality : Mean
        Mean quality, where a late, failed or missing answer has quality 0.
    cost_per_right : float
        USD spent on all tasks, divided by the number of right answers within the
        objective; infinite if there is none.

    ``left_out`` of the quality counts tasks answered without a recorded quality. Those in
    time are taken to be as often right, and as good, as those that are recorded.
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
    first_token: ArrayLike | None = None,
    first_token_objective: float | None = None,
) -> Timed:
    """Goodput and the other metrics of :class:`Timed`, from one value per task.

    Goodput as in Zhong et al., "DistServe" (OSDI 2024), but counting only right answers.

    Parameters
    ----------
    latency : array_like, shape (tasks,)
        Seconds from intended arrival to completion.
    quality : array_like, shape (tasks,)
        From 0 to 1; NaN where an answer's is unknown.
    cost : array_like, shape (tasks,)
        USD, over all attempts.
    answered : array_like of bool, shape (tasks,)
        False for tasks that failed, timed out or were shed; these are never right.
    objective : float
        Latency in seconds.
    seconds : float
        Length of the period in which the tasks arrived.
    right : float
        Lowest quality of a right answer.
    first_token : array_like, shape (tasks,), optional
        Seconds from intended arrival to the first token; NaN without an answer.
    first_token_objective : float, optional
        Within which, in seconds, the first token has to come for an answer to count, too.

    Raises
    ------
    CorpusError
        If the lengths differ, or an objective or ``seconds`` is not above 0.
    """
    took = column("latencies", latency)
    good = column("qualities", quality, took.size)
    paid = column("costs", cost, took.size)
    done = np.asarray(answered, dtype=bool)
    if done.shape != took.shape:
        raise CorpusError(f"answered: shape {done.shape} for {took.size:,} tasks")
    first = math.inf if first_token_objective is None else first_token_objective
    known = ~(done & np.isnan(good))
    prompt = done & in_time(took, objective, seconds)
    if first_token is not None and first < math.inf:
        prompt &= in_time(column("first tokens", first_token, took.size), first, seconds)
    judged = prompt & known
    return of_sums(
        objective,
        seconds,
        tasks=took.size,
        prompt=int(prompt.sum()),
        judged=int(judged.sum()),
        right=int((judged & (good >= right)).sum()),
        known=int(known.sum()),
        quality=float(good[judged].sum()),
        cost=float(paid.sum()),
    )


def of_sums(
    objective: float,
    seconds: float,
    *,
    tasks: int,
    prompt: int,
    judged: int,
    right: int,
    known: int,
    quality: float,
    cost: float,
) -> Timed:
    """The metrics from counts and sums.

    Parameters
    ----------
    objective, seconds : float
        As for :func:`timed_quality`.
    tasks, prompt : int
        All tasks, and those answered in time.
    judged, right : int
        Of those in time: how many have a known quality, and how many of these are right.
    known : int
        Tasks of which the quality is known, or that have no answer.
    quality : float
        Sum over the judged ones.
    cost : float
        USD, of all tasks.
    """
    # Known tasks in time stand for all tasks in time; where all are known they are all.
    scale = _share(prompt, judged) if prompt else 1.0
    correct = scale * right
    return Timed(
        objective=objective,
        goodput=correct / seconds,
        within=Mean(_share(prompt, tasks), tasks),
        quality=Mean(scale * quality / tasks if tasks else math.nan, known, tasks - known),
        cost_per_right=cost / correct if correct else math.inf,
    )


def in_time(latency: NDArray[np.float64], objective: float, seconds: float) -> NDArray[np.bool_]:
    """Which latencies are within an objective, up to the rounding of the clock.

    A latency is the difference of two times of a run, which are rounded in their last bits:
    of many tasks that take exactly the objective a share would be late.

    Parameters
    ----------
    latency : ndarray
        In seconds.
    objective : float
        In seconds; one that equals the latency holds.
    seconds : float
        Length of the run, by which times are rounded.
    """
    return latency <= latest(objective, seconds)


def latest(objective: float, seconds: float) -> float:
    """The latency (s) that is just in time, with what :func:`in_time` allows for rounding.

    Raises
    ------
    CorpusError
        If one of them is not above 0.
    """
    if not (objective > 0 and seconds > 0):
        raise CorpusError(
            f"objective={objective} s over {seconds} s of arrivals: both must be above 0"
        )
    return objective + max(1e-9 * objective, 4 * float(np.spacing(seconds)))


def timed_replay(
    result: ReplayResult,
    objective: float,
    *,
    right: float = 0.5,
    first_token_objective: float | None = None,
) -> Timed:
    """Goodput and the other metrics of :class:`Timed` for a replay, after its warm-up.

    Where costs are recorded of some agents on a part of the tasks, those tasks stand for all:
    recorded and modelled costs of other tasks would be no comparison.

    Parameters
    ----------
    result : ReplayResult
    objective : float
        Latency in seconds.
    right : float
        Lowest quality of a right answer.
    first_token_objective : float, optional
        Seconds within which the first token has to come, too.

    Raises
    ------
    CorpusError
        If an objective is not above 0, or the run has no length.
    """
    begin, end = result.window
    counted = result.work.arrived >= begin
    paid, known = result.log.cost[counted], result.cost_basis.rows[result.work.row[counted]]
    if not known.all():
        paid = np.full(paid.size, paid[known].mean() if known.any() else math.nan)
    return timed_quality(
        result.latency[counted],
        result.compared_quality[counted],
        paid,
        result.log.status[counted] == OK,
        objective=objective,
        seconds=end - begin,
        right=right,
        first_token=result.first_token[counted],
        first_token_objective=first_token_objective,
    )


def _share(part: float, whole: int) -> float:
    return float(part) / whole if whole else math.nan
