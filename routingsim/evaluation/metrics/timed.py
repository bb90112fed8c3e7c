"""Quality in time: goodput, quality within a latency objective, cost per right answer.

The latencies of a replay are simulated, and so are these metrics of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from routingsim.errors import CorpusError
from routingsim.evaluation.outcomes import Mean, column
from routingsim.simulation.in_time import Answers, InTime, Objective, answers
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stream_result import StreamedReplay


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
        USD, over all attempts; the mean of the others is taken where it is NaN.
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
    goal = Objective(objective, None if first_token is None else first_token_objective, right)
    first = took if first_token is None else column("first tokens", first_token, took.size)
    return timed(objective, Answers(took, first, good, paid, done).counted(goal, seconds))


def timed(objective: float, found: InTime) -> Timed:
    """The metrics from what was counted within an objective (s)."""
    return Timed(
        objective=objective,
        goodput=found.goodput,
        within=Mean(found.within, found.tasks),
        quality=Mean(found.mean_quality, found.known, found.tasks - found.known),
        cost_per_right=found.cost_per_right,
    )


def timed_replay(
    result: ReplayResult | StreamedReplay,
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
    result : ReplayResult or StreamedReplay
        A streamed replay has counted within the objectives that it was given.
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
    SimulationError
        If a streamed replay was given other objectives, or none.
    """
    goal = Objective(objective, first_token_objective, right)
    return timed(objective, counted(result, goal))


def counted(result: ReplayResult | StreamedReplay, goal: Objective) -> InTime:
    """The tasks of a replay within an objective, counted as :func:`timed_replay` does."""
    if isinstance(result, StreamedReplay):
        return result.in_time(goal)
    begin, end = result.window
    return answers(result).counted(goal, end - begin)
