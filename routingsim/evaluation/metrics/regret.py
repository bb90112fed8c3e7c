"""Distance from the best choices: gains and gaps, regret, and recovery from a drift.

Any reward can take the place of quality, for example quality less a weight times cost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.outcomes import choices, complete, matrix, taken


@dataclass(frozen=True)
class Gains:
    """A policy between random choice, the best single agent and the oracle.

    Attributes
    ----------
    quality, random, best_single, oracle : float
        Mean quality of each, on the same tasks.
    over_random, over_best : float
        Gain@R = quality / random - 1 and Gain@B = quality / best_single - 1.
    to_oracle : float
        Gap@O = 1 - quality / oracle.
    tasks, left_out : int
        Tasks with a complete record, and those without.
    """

    quality: float
    random: float
    best_single: float
    oracle: float
    over_random: float
    over_best: float
    to_oracle: float
    tasks: int
    left_out: int


def gains(quality: ArrayLike, chosen: ArrayLike) -> Gains:
    """Gain over random and over the best single agent, and the gap to the oracle.

    Li et al., "LLMRouterBench" (arXiv:2601.07206), sec. 3.2: relative to the mean
    quality of the other side; NaN if that is 0. The best single agent is
    in-sample: chosen on these very tasks.

    Parameters
    ----------
    quality : array_like, shape (tasks, agents)
        Tasks without a complete record are left out and counted.
    chosen : array_like of int, shape (tasks,)

    Raises
    ------
    CorpusError
        If the shapes do not fit or no task has a complete record.
    """
    good, mine, known = _played(quality, chosen)
    reached = float(taken(good, mine)[known].mean())
    everyone = good[known]
    random = float(everyone.mean())
    best = float(everyone.mean(axis=0).max())
    oracle = float(everyone.max(axis=1).mean())
    return Gains(
        quality=reached,
        random=random,
        best_single=best,
        oracle=oracle,
        over_random=_ratio(reached, random) - 1,
        over_best=_ratio(reached, best) - 1,
        to_oracle=1 - _ratio(reached, oracle),
        tasks=int(known.sum()),
        left_out=int((~known).sum()),
    )


@dataclass(frozen=True)
class Regret:
    """The cumulative regret of a policy, task by task.

    Attributes
    ----------
    against_oracle, against_best : ndarray, shape (tasks,)
        Cumulative regret against the best agent of each task, and against the one
        agent that is best over all tasks (this one can fall). A task without a complete
        record adds nothing.
    best : int
        The agent that is best over all tasks.
    optimal_share : float
        Share of tasks sent to an agent with the highest reward for the task.
    tasks, left_out : int
        Tasks with a complete record, and those without.
    """

    against_oracle: NDArray[np.float64]
    against_best: NDArray[np.float64]
    best: int
    optimal_share: float
    tasks: int
    left_out: int


def cumulative_regret(reward: ArrayLike, chosen: ArrayLike) -> Regret:
    """Cumulative regret of choices made in this order.

    Lattimore & Szepesvári, *Bandit Algorithms* (2020), ch. 4 and 11:
    the sum of reward[t, best] - reward[t, chosen[t]].

    Parameters
    ----------
    reward : array_like, shape (tasks, agents)
    chosen : array_like of int, shape (tasks,)

    Raises
    ------
    CorpusError
        If the shapes do not fit or no task has a complete record.
    """
    value, mine, known = _played(reward, chosen)
    got = taken(value, mine)
    top = value.max(axis=1)
    best = int(value[known].mean(axis=0).argmax())
    return Regret(
        against_oracle=np.where(known, top - got, 0.0).cumsum(),
        against_best=np.where(known, value[:, best] - got, 0.0).cumsum(),
        best=best,
        optimal_share=float((got == top)[known].mean()),
        tasks=int(known.sum()),
        left_out=int((~known).sum()),
    )


@dataclass(frozen=True)
class Recovery:
    """How many tasks after a drift a policy is as good as the new best agent.

    ``tasks`` is NaN if it never is; ``best`` is the best agent since the drift;
    ``left_out`` counts tasks since the drift without a complete record.
    """

    tasks: float
    best: int
    left_out: int


def recovery(
    reward: ArrayLike, chosen: ArrayLike, drift: int, *, window: int = 50, tolerance: float = 0.05
) -> Recovery:
    """Tasks from a drift until the policy has caught up with the new best agent.

    It has caught up at the end of the first ``window`` tasks, all after the drift, whose
    mean reward is within ``tolerance`` of that of the agent that is best since the drift
    (in-sample). The smallest possible value is ``window``.

    Parameters
    ----------
    reward : array_like, shape (tasks, agents)
    chosen : array_like of int, shape (tasks,)
    drift : int
        The first task after the drift.
    window : int
        Tasks over which rewards are averaged.
    tolerance : float
        Largest allowed distance, in units of the reward.

    Raises
    ------
    CorpusError
        If the shapes do not fit, or fewer than ``window`` tasks have a complete
        record after the drift.
    """
    value, mine, known = _played(reward, chosen)
    since = known & (np.arange(mine.size) >= drift)
    tasks = int(since.sum())
    if not (drift >= 0 and 1 <= window <= tasks):
        raise CorpusError(
            f"recovery from task {drift} over windows of {window}: "
            f"{tasks:,} tasks with a complete record follow; drift >= 0 and "
            "a window of 1 up to as many are needed"
        )
    best = int(value[since].mean(axis=0).argmax())
    behind = (value[:, best] - taken(value, mine))[since]
    sums = np.concatenate([[0.0], behind.cumsum()])
    trailing = (sums[window:] - sums[:-window]) / window
    # A mean equal to the tolerance counts, whatever the rounding of the sums.
    reached = np.flatnonzero(trailing <= tolerance + 1e-12)
    caught_up = float(reached[0] + window) if reached.size else float("nan")
    return Recovery(caught_up, best, int((~known[drift:]).sum()))


def _played(
    values: ArrayLike, chosen: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    value = matrix("rewards", values)
    mine = choices(chosen, *value.shape)
    known = complete(value)
    if not known.any():
        raise CorpusError("no task has a recorded outcome of every agent")
    return value, mine, known


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")
