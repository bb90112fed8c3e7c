"""Controls on recorded outcomes, without simulated time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.evaluation.controls.choices import category_choice, hull_mix, length_choice
from routingsim.evaluation.intervals import paired_bootstrap
from routingsim.evaluation.metrics.routerbench import oracle, zero_router
from routingsim.evaluation.outcomes import choices, complete, matrix, taken
from routingsim.evaluation.tabular import Tabular
from routingsim.policies.folds import groups, plain


@dataclass(frozen=True, eq=False)
class Control:
    """One control on recorded outcomes.

    Attributes
    ----------
    name : str
        As in :mod:`routingsim.evaluation.controls`.
    quality, cost : ndarray, shape (tasks,)
        Of each task; in expectation if the choice is random.
    in_sample : bool
        Whether it was fitted or chosen on the very tasks it is scored on.
    """

    name: str
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    in_sample: bool = False


def recorded_controls(
    quality: ArrayLike,
    cost: ArrayLike,
    chosen: ArrayLike,
    *,
    texts: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[Control, ...]:
    """All controls for a policy's choices that the data allow.

    Parameters
    ----------
    quality, cost : array_like, shape (tasks, agents)
        Recorded outcomes without NaN (:func:`control_table` selects such tasks first).
    chosen : array_like of int, shape (tasks,)
        The policy's choices.
    texts, categories : sequence of str, shape (tasks,), optional
        Needed for the controls "length" and "category".
    seed : int
        Assigns the tasks to the folds of "category".

    Raises
    ------
    CorpusError
        If the shapes do not fit or an outcome is missing.
    """
    good = matrix("qualities", quality)
    paid = matrix("costs", cost, good.shape)
    mine = choices(chosen, *good.shape)
    if not complete(good, paid).all():
        raise CorpusError("controls need the outcome of every agent on every task; some are NaN")
    tasks, agents = good.shape
    mix = np.bincount(mine, minlength=agents) / tasks
    even = np.full(agents, 1 / agents)
    coin = hull_mix(zero_router(good, paid), float(taken(paid, mine).mean()), agents)

    def blend(name: str, shares: NDArray[np.float64], in_sample: bool = False) -> Control:
        return Control(name, good @ shares, paid @ shares, in_sample)

    def choice(name: str, agent: NDArray[np.intp], in_sample: bool = False) -> Control:
        return Control(name, taken(good, agent), taken(paid, agent), in_sample)

    found = [
        blend("random", even),
        choice("cheapest", np.full(tasks, paid.mean(axis=0).argmin())),
        choice("best-single", np.full(tasks, good.mean(axis=0).argmax()), in_sample=True),
        blend("zero-router", coin, in_sample=True),
        blend("shuffle", mix),
    ]
    if texts is not None:
        found.append(choice("length", length_choice(texts, mix, paid.mean(axis=0))))
    if categories is not None:
        found.append(choice("category", category_choice(good, categories, seed=seed)))
    found.append(choice("oracle", oracle(good, paid, seed=seed), in_sample=True))
    return tuple(found)


@dataclass(frozen=True, eq=False, repr=False)
class ControlTable(Tabular):
    """A policy beside its controls.

    Attributes
    ----------
    frame : DataFrame
        A row for the policy and one for each control, indexed by ``name``. Columns:
        quality and cost (means), difference (the policy's quality less the control's),
        half_width (by paired bootstrap over prompts), verdict (on the policy), in_sample.
        A control that is as good and costs as much as another on every task has no row:
        its name is in the column ``same`` of that one. The oracle has its own.
    tasks, left_out : int
        Tasks with a complete record, and those without.
    prompts : int
        Different prompts among them; as many as tasks where no texts are given.
    """

    frame: pd.DataFrame
    tasks: int
    left_out: int
    prompts: int

    def __repr__(self) -> str:
        prompts = f" of {self.prompts:,} prompts" if self.prompts < self.tasks else ""
        return (
            f"ControlTable: a policy and {len(self.frame) - 1} controls on {self.tasks:,} tasks"
            f"{prompts}, {self.left_out:,} left out"
        )

    def to_frame(self) -> pd.DataFrame:
        """``frame`` with the names as a column."""
        return self.frame.reset_index()


def control_table(
    quality: ArrayLike,
    cost: ArrayLike,
    chosen: ArrayLike,
    *,
    texts: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> ControlTable:
    """A policy beside its controls, on recorded outcomes.

    Parameters
    ----------
    quality, cost, chosen, texts, categories, seed
        As for :func:`recorded_controls`, but tasks without a complete record are left out.
    level : float
        Confidence level of the intervals.

    Raises
    ------
    CorpusError
        If the shapes do not fit or no task has a complete record.
    """
    good = matrix("qualities", quality)
    paid = matrix("costs", cost, good.shape)
    mine = choices(chosen, *good.shape)
    known = complete(good, paid)
    if not known.any():
        raise CorpusError("no task has a recorded quality and cost of every agent")
    found = recorded_controls(
        good[known],
        paid[known],
        mine[known],
        texts=_pick(texts, known),
        categories=_pick(categories, known),
        seed=seed,
    )
    group = np.arange(known.size)
    if texts is not None:
        group = groups(tuple(map(plain, texts)))
    group = group[known]
    reached, spent = taken(good, mine)[known], taken(paid, mine)[known]
    rows = [("policy", reached.mean(), spent.mean(), 0.0, 0.0, "", False, "")]
    while found:
        each, *others = found
        same = [o for o in others if o.name != "oracle" and _same(each, o)]
        found = [other for other in others if other not in same]
        ahead = paired_bootstrap(reached, each.quality, groups=group, level=level, seed=seed)
        apart = (ahead.interval.mean, ahead.interval.half_width, ahead.verdict)
        names = ", ".join(other.name for other in same)
        rows.append(
            (each.name, each.quality.mean(), each.cost.mean(), *apart, each.in_sample, names)
        )
    columns = [
        "name",
        "quality",
        "cost",
        "difference",
        "half_width",
        "verdict",
        "in_sample",
        "same",
    ]
    frame = pd.DataFrame(rows, columns=columns).set_index("name")
    return ControlTable(frame, int(known.sum()), int((~known).sum()), np.unique(group).size)


def _same(one: Control, other: Control) -> bool:
    """Whether two controls do the same with every task."""
    return np.allclose(one.quality, other.quality, rtol=1e-12, atol=0) and np.allclose(
        one.cost, other.cost, rtol=1e-12, atol=0
    )


def _pick(values: Sequence[str] | None, known: NDArray[np.bool_]) -> list[str] | None:
    if values is None:
        return None
    if len(values) != known.size:
        raise CorpusError(f"{len(values):,} texts or categories for {known.size:,} tasks")
    return [value for value, keep in zip(values, known, strict=True) if keep]
