"""A log with one answer a task, prepared for estimates, and policies as probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.outcome_model import Features, fold_tasks, text_features
from routingsim.evaluation.outcomes import matrix
from routingsim.evaluation.propensities import (
    Calibration,
    Propensities,
    calibration,
    estimated,
    read_propensities,
)

_SUM = 1e-6  # by which probabilities may miss 1


@dataclass(frozen=True, eq=False)
class ChoiceLog:
    """Which agent served each task, and with which probability it was chosen.

    Made by :func:`choice_log`; it serves estimates of several outcomes and policies.

    Attributes
    ----------
    agents : tuple of str
    chosen : ndarray of int, shape (tasks,)
        -1 where no agent served the task.
    propensities : Propensities
    features : Features
    fold : ndarray of int, shape (tasks,)
    calibration : Calibration or None
        Whether the choices agree with recorded propensities of all agents.
    """

    agents: tuple[str, ...]
    chosen: NDArray[np.intp]
    propensities: Propensities
    features: Features
    fold: NDArray[np.intp]
    calibration: Calibration | None


def choice_log(
    chosen: ArrayLike,
    agents: Sequence[str],
    *,
    texts: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    propensity: ArrayLike | None = None,
    features: Features | None = None,
    fold: ArrayLike | None = None,
    seed: int = 0,
) -> ChoiceLog:
    """Prepare a log for :func:`routingsim.evaluation.estimate.estimate`.

    Parameters
    ----------
    chosen : array_like of int, shape (tasks,)
        The agent that served each task, as a position in ``agents``; -1 for none.
    agents : sequence of str
        Names, for messages.
    texts, categories : sequence of str, optional
        Of the tasks, from which features and folds are made.
    propensity : array_like, shape (tasks,) or (tasks, agents), optional
        Recorded probability of the agent chosen, or of every agent. Estimated from the
        features where it is not given.
    features : Features, optional
        In place of those of the texts.
    fold : array_like of int, shape (tasks,), optional
        In place of folds that keep alike texts together.
    seed : int
        Of the folds and of the calibration check.

    Raises
    ------
    CorpusError
        If lengths differ, no task was served, or a propensity is out of its range.
    """
    mine = np.asarray(chosen)
    names = tuple(agents)
    if mine.ndim != 1 or not np.issubdtype(mine.dtype, np.integer):
        raise CorpusError(
            f"chosen agents: shape {mine.shape} of {mine.dtype}; one whole number a task is needed"
        )
    if not mine.size or mine.max() < 0:
        raise CorpusError("chosen agents: no task was served; there is nothing to estimate from")
    if mine.min() < -1 or mine.max() >= len(names):
        raise CorpusError(
            f"chosen agents: from {mine.min()} to {mine.max()}; 0 to {len(names) - 1}, or -1 for "
            "none, is needed"
        )
    mine = mine.astype(np.intp)
    given = [""] * mine.size if texts is None else list(texts)
    known = text_features(given, categories) if features is None else features
    if len(given) != mine.size or len(known.values) != mine.size:
        raise CorpusError(
            f"{len(given):,} texts and {len(known.values):,} rows of features for "
            f"{mine.size:,} tasks"
        )
    split = fold_tasks(given, seed=seed) if fold is None else np.asarray(fold, dtype=np.intp)
    if split.shape != mine.shape:
        raise CorpusError(f"folds: shape {split.shape}; one a task is needed")
    if propensity is None:
        chances = estimated(known.values, split, mine, len(names))
        checked = None
    else:
        chances = read_propensities(propensity, mine, len(names))
        checked = calibration(chances, mine, known, names, seed=seed)
    return ChoiceLog(names, mine, chances, known, split, checked)


def choice_probabilities(choices: ArrayLike, tasks: int, agents: int) -> NDArray[np.float64]:
    """A policy's choices as the probability of each agent on each task.

    Parameters
    ----------
    choices : array_like
        Whole numbers of shape (tasks,), or (runs, tasks) for several runs, of which the
        frequencies are taken (-1 in a run is no choice in that run); or probabilities,
        shape (tasks, agents).
    tasks, agents : int

    Returns
    -------
    ndarray, shape (tasks, agents)

    Raises
    ------
    CorpusError
        If they are none of these, or a task has no choice in any run.
    """
    given = np.asarray(choices)
    if np.issubdtype(given.dtype, np.integer):
        runs = np.atleast_2d(given)
        if runs.ndim != 2 or runs.shape[1] != tasks or runs.min() < -1 or runs.max() >= agents:
            raise CorpusError(
                f"choices: shape {given.shape} from {given.min()} to {given.max()}; ({tasks},) or "
                f"(runs, {tasks}) from 0 to {agents - 1} is needed"
            )
        counts = np.array([(runs == agent).sum(axis=0) for agent in range(agents)], dtype=float).T
        total = counts.sum(axis=1, keepdims=True)
        if not total.all():
            row = int(np.flatnonzero(total == 0)[0])
            raise CorpusError(f"choices: task {row} has none in any run")
        return counts / total
    target = matrix("target", given, (tasks, agents))
    if not ((target >= 0) & (target <= 1 + _SUM)).all() or not np.allclose(
        target.sum(axis=1), 1.0, rtol=0, atol=_SUM
    ):
        raise CorpusError("target: each row must be probabilities of the agents that sum to 1")
    return target
