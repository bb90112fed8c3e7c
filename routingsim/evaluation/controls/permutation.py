"""Whether a policy uses the text: a permutation test against its own choices shuffled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.outcomes import choices, complete, matrix


@dataclass(frozen=True)
class TextUse:
    """Whether a policy is better than its own choices assigned to the tasks at random.

    Attributes
    ----------
    quality, shuffled : float
        Mean quality of the policy, and of its shuffled choices.
    p_value : float
        Share of permutations at least as good (one-sided permutation test).
    uses_text : bool
        Whether ``p_value`` is at most 1 - level.
    tasks, left_out : int
        Tasks with a complete record, and those without.
    prompts : int
        Groups of these tasks, which are shuffled whole; as many as tasks where none
        are given.
    """

    quality: float
    shuffled: float
    p_value: float
    uses_text: bool
    tasks: int
    left_out: int
    prompts: int

    def __str__(self) -> str:
        said = "uses the text" if self.uses_text else "does not use the text"
        prompts = f" of {self.prompts:,} prompts" if self.prompts < self.tasks else ""
        return (
            f"{said}: quality {self.quality:.4f} against {self.shuffled:.4f} for the same mix of "
            f"agents at random (p = {self.p_value:.2g}, {self.tasks:,} tasks{prompts})"
        )


def text_use(
    quality: ArrayLike,
    chosen: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    permutations: int = 1999,
    seed: int = 0,
) -> TextUse:
    """Test whether a policy's choices fit their tasks better than the same choices shuffled.

    Under the null hypothesis that choices are independent of the tasks, every permutation
    of them is equally likely (Fisher 1935; Ernst, Stat. Sci. 19, 2004). The text, its
    category or any other knowledge of the task can make the difference. With several runs
    of the same tasks, each permutation moves all choices of a task together to another
    task, so that what the runs have in common is no evidence. With groups, the choices of
    a group of tasks move together, by their mean, to another group: what a policy does
    with a prompt again and again is one piece of evidence.

    Parameters
    ----------
    quality : array_like, shape (tasks, agents)
        Tasks without a complete record are left out and counted.
    chosen : array_like of int, shape (tasks,) or (tasks, agents)
        The agent of each task; or how often the task went to each agent, over several
        runs. Tasks that were in no run are left out and counted.
    groups : array_like of int, shape (tasks,), optional
        The number of each task's group, such as its prompt
        (:func:`routingsim.policies.folds.prompts`).
    level : float
        Confidence level of ``uses_text``.
    permutations : int
    seed : int

    Raises
    ------
    CorpusError
        If shapes do not fit or no task has a complete record.
    SimulationError
        If ``level`` needs more permutations.
    """
    good = matrix("qualities", quality)
    times = np.asarray(chosen)
    if times.ndim != 2:
        times = np.eye(good.shape[1])[choices(chosen, *good.shape)]
    share = matrix("choices", times, good.shape)
    if not (share >= 0).all():
        raise CorpusError("choices: negative; how often a task went to each agent is 0 or more")
    known = complete(good) & (share.sum(axis=1) > 0)
    if not known.any():
        raise CorpusError("no task has a recorded quality of every agent")
    if not 0 < level < 1 or permutations < 1 / (1 - level) - 1:
        raise SimulationError(f"level={level} cannot be reached with {permutations} permutations")
    group = np.arange(len(good)) if groups is None else np.asarray(groups)
    if group.shape != known.shape:
        raise CorpusError(f"groups: shape {group.shape} for {len(good):,} tasks; one a task")
    good, share, group = good[known], share[known], group[known]
    tasks = len(share)
    share = share / share.sum(axis=1, keepdims=True)
    reached = float((good * share).sum(axis=1).mean())
    # A group is one row: the sum of its qualities, and its mean share of choices.
    _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    # Rows are together in memory: permutations of them then take a twentieth of the time.
    good, share = (
        np.stack([np.bincount(group, c) for c in each.T], axis=1) for each in (good, share)
    )
    share /= sizes[:, np.newaxis]
    rng = np.random.default_rng(seed)

    def reached_by(row: slice | NDArray[np.intp]) -> float:
        # Not a product of vectors, which linear algebra shares among threads that wait busily.
        return np.einsum("ta,ta->", good, share[row]) / tasks

    own = reached_by(slice(None))
    reshuffled = [reached_by(rng.permutation(sizes.size)) for _ in range(permutations)]
    # Sums in another order differ in the last bits, which must not count as a difference.
    p = (1 + sum(each >= own - 1e-12 for each in reshuffled)) / (1 + permutations)
    return TextUse(
        quality=reached,
        shuffled=float(np.mean(reshuffled)),
        p_value=p,
        uses_text=p <= 1 - level,
        tasks=tasks,
        left_out=int((~known).sum()),
        prompts=sizes.size,
    )
