"""With which probability the log chose each agent, and whether that can be believed.

Recorded propensities are those that the router wrote down when it drew an agent at
random. Where none are recorded they are estimated from the texts, which says nothing of
what else the router knew: an estimate that stands on them is weak.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from routingsim.errors import CorpusError
from routingsim.evaluation.outcome_model import COMPONENTS, Features
from routingsim.evaluation.outcomes import taken

ALPHA = 0.01
"""Chance that the calibration check rejects propensities that are right."""

_DRAWS = 399  # logs drawn from the propensities; their least p-value is below ALPHA
_ENOUGH = 10  # larger discrepancies among them after which no more are drawn
_FREQUENT = 50  # choices of an agent, at the least, for its weights to be looked at alone
_COMPONENTS = 8  # text components that the check looks at


@dataclass(frozen=True, eq=False)
class Propensities:
    """The probabilities of the choices in a log.

    Attributes
    ----------
    chosen : ndarray, shape (tasks,)
        Of the agent that served the task; NaN where none did.
    full : ndarray, shape (tasks, agents), or None
        Of every agent, where that is known.
    recorded : bool
        Whether the log has them. They are estimated otherwise.
    known : float
        Share of the tasks for which the log has one, where they are estimated.
    """

    chosen: NDArray[np.float64]
    full: NDArray[np.float64] | None
    recorded: bool
    known: float = 0.0

    @cached_property
    def deterministic(self) -> bool:
        """Whether every recorded choice was certain."""
        known = self.chosen[~np.isnan(self.chosen)]
        return self.recorded and bool((known >= 1 - 1e-9).all())


def read_propensities(propensity: ArrayLike, chosen: NDArray[np.intp], agents: int) -> Propensities:
    """Check recorded propensities.

    Parameters
    ----------
    propensity : array_like, shape (tasks,) or (tasks, agents)
        Of the agent chosen, or of every agent. Rows without a chosen agent are not read.
    chosen : ndarray of int, shape (tasks,)
        -1 where no agent served the task.
    agents : int

    Raises
    ------
    CorpusError
        If a propensity is not above 0 and up to 1, or a row of them does not sum to 1.
    """
    given = np.array(propensity, dtype=np.float64)
    tasks, served = chosen.size, chosen >= 0
    if given.shape not in ((tasks,), (tasks, agents)):
        raise CorpusError(
            f"propensities: shape {given.shape}; ({tasks},), of the agent chosen, or "
            f"({tasks}, {agents}), of every agent, is needed"
        )
    full = None
    if given.ndim == 2:
        full = np.where(served[:, np.newaxis], given, np.nan)
        off = served & ~(np.abs(full.sum(axis=1) - 1) <= 1e-3)
        off |= ((full < 0) | (full > 1)).any(axis=1)
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise CorpusError(
                f"propensities: {full[row].tolist()} at task {row}; one an agent, from 0 to 1, "
                "that sum to 1, is needed"
            )
        full /= full.sum(axis=1, keepdims=True)
        mine = np.where(served, taken(full, np.maximum(chosen, 0)), np.nan)
    else:
        mine = np.where(served, given, np.nan)
    wrong = np.flatnonzero(served & ~((mine > 0) & (mine <= 1)))
    if wrong.size:
        raise CorpusError(
            f"propensities: {mine[wrong[0]]} at task {wrong[0]}; what was chosen had a "
            "probability above 0 and up to 1"
        )
    if full is None:
        full = _completed(mine, chosen, agents)
    return Propensities(mine, full, recorded=True)


def _completed(
    mine: NDArray[np.float64], chosen: NDArray[np.intp], agents: int
) -> NDArray[np.float64] | None:
    """The propensities of all agents, where those of the chosen ones determine them: with two
    agents, or certain choices."""
    if agents > 2 and (mine[chosen >= 0] < 1).any():
        return None
    others = (1 - mine[:, np.newaxis]) / max(agents - 1, 1)
    full = np.repeat(others, agents, axis=1)
    rows = np.flatnonzero(chosen >= 0)
    full[rows, chosen[rows]] = mine[rows]
    return full


def estimated(
    features: NDArray[np.float64], fold: NDArray[np.intp], chosen: NDArray[np.intp], agents: int
) -> Propensities:
    """Estimate propensities by a cross-fitted multinomial logistic regression.

    Parameters
    ----------
    features : ndarray, shape (tasks, features)
    fold : ndarray of int, shape (tasks,)
    chosen : ndarray of int, shape (tasks,)
        -1 where no agent served the task.
    agents : int

    Returns
    -------
    Propensities
        0 for an agent that the other folds never chose.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    full = np.full((chosen.size, agents), np.nan)
    served = chosen >= 0
    for held in np.unique(fold).tolist():
        train, test = served & (fold != held), served & (fold == held)
        if not test.any():
            continue
        full[test] = 0.0
        seen = np.unique(chosen[train])
        if seen.size == 1 or not features.shape[1]:
            share = np.bincount(chosen[train], minlength=agents) / max(int(train.sum()), 1)
            full[test] = share
        elif seen.size:
            model = LogisticRegression(C=1.0, max_iter=500)
            with threadpool_limits(1):
                model.fit(features[train], chosen[train])
                rows = np.flatnonzero(test)
                full[rows[:, np.newaxis], seen] = model.predict_proba(features[test])
    mine = np.where(served, taken(full, np.maximum(chosen, 0)), np.nan)
    return Propensities(mine, full, recorded=False)


@dataclass(frozen=True)
class Calibration:
    """Whether choices came out as the propensities say.

    Attributes
    ----------
    passed : bool
    p_value : float
        Of the largest discrepancy, all that were looked at allowed for.
    largest : str
        Where that discrepancy is.
    """

    passed: bool
    p_value: float
    largest: str

    def __str__(self) -> str:
        said = "agree with the choices" if self.passed else "do not agree with the choices"
        return f"the propensities {said} (p = {self.p_value:.2g}; largest: {self.largest})"


def calibration(
    propensities: Propensities,
    chosen: NDArray[np.intp],
    features: Features,
    agents: Sequence[str],
    *,
    seed: int = 0,
) -> Calibration | None:
    """Compare how often each agent was chosen with the propensities, overall and by feature.

    The score test of a shift of an agent's log odds by a constant, by a feature, or by its
    own log propensity (which finds a wrong temperature). The largest standardised score is
    compared with those of logs drawn from the propensities themselves, so that the test
    is exact; drawing ends early where the p-value is clearly large (Besag & Clifford,
    Biometrika 78, 1991).

    Returns
    -------
    Calibration or None
        None where the propensities of all agents are not known.
    """
    if propensities.full is None:
        return None
    rows = np.flatnonzero(chosen >= 0)
    p, mine = propensities.full[rows], chosen[rows]
    spread = p * (1 - p)
    tested = np.flatnonzero(spread.sum(axis=0) >= 1)
    if not tested.size:
        return Calibration(True, 1.0, "no choice left to chance")
    names, columns = _tested_features(features, rows)
    squares = np.sqrt(columns.T**2 @ spread[:, tested])  # (features, tested)
    odds = np.log(np.clip(p, 1e-6, 1))
    odds -= (odds * spread).sum(axis=0) / np.maximum(spread.sum(axis=0), 1e-12)
    slope = np.sqrt((odds**2 * spread).sum(axis=0))[tested]
    slope = np.where(slope > 1e-6 * math.sqrt(rows.size), slope, np.inf)

    squares = np.where(squares > 1e-9, squares, np.inf)
    # What is expected, from which each drawn log is apart.
    by_feature, by_odds = columns.T @ p, (odds * p).sum(axis=0)

    def scores(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        hit = np.zeros_like(p)
        hit[np.arange(drawn.size), drawn] = 1.0
        along = np.bincount(drawn, taken(odds, drawn), len(agents))
        feature = (columns.T @ hit - by_feature)[:, tested] / squares
        return np.abs(np.vstack([feature, (along - by_odds)[tested] / slope]))

    found = scores(mine)
    edges = np.ascontiguousarray(p.cumsum(axis=1)[:, :-1].T)
    rng = np.random.default_rng(seed)
    p_value, larger = 1.0, 0
    for draws in range(1, _DRAWS + 1):
        larger += bool(scores((rng.random(mine.size) > edges).sum(axis=0)).max() >= found.max())
        p_value = (1 + larger) / (1 + draws) if larger < _ENOUGH else larger / draws
        if larger == _ENOUGH:
            break
    row, agent = np.unravel_index(int(found.argmax()), found.shape)
    where = [*names, "its own propensity"][row]
    return Calibration(p_value > ALPHA, p_value, f"agent {agents[tested[agent]]}, {where}")


def _tested_features(
    features: Features, rows: NDArray[np.intp]
) -> tuple[list[str], NDArray[np.float64]]:
    """The number of choices, and features but for the later text components."""
    late = {f"text component {each + 1}" for each in range(_COMPONENTS, COMPONENTS)}
    kept = [number for number, name in enumerate(features.names) if name not in late]
    names = ["number of choices", *(features.names[number] for number in kept)]
    return names, np.column_stack([np.ones(rows.size), features.values[rows][:, kept]])


@dataclass(frozen=True, eq=False)
class Balance:
    """The features beside which weights are to average 1; those of few tasks are left out.

    Attributes
    ----------
    names : tuple of str
    columns : ndarray, shape (tasks, names)
    """

    names: tuple[str, ...]
    columns: NDArray[np.float64]


def balance(features: Features) -> Balance:
    """Prepare features for :func:`weights_balanced`, which asks for each policy."""
    names, columns = _tested_features(features, np.arange(len(features.values)))
    smooth = [n for n, name in enumerate(names) if not name.startswith(("category", "length g"))]
    return Balance(tuple(names[n] for n in smooth), columns[:, smooth])


def weights_balanced(
    weight: NDArray[np.float64],
    target: NDArray[np.float64],
    chosen: NDArray[np.intp],
    least: float,
    beside: Balance,
) -> Calibration:
    """Whether weights average 1, and those of each agent what the policy gives it.

    The check that is left where only the propensity of the agent chosen is recorded, overall
    and beside each feature. How much an agent's weights vary is not known without the
    propensities of agents that were not chosen; it is at most what the least propensity in the
    log allows, which is exact where a log was recorded as uniform.

    Parameters
    ----------
    weight : ndarray, shape (tasks,)
    target : ndarray, shape (tasks, agents)
    chosen : ndarray of int, shape (tasks,)
    least : float
        The least propensity in the log.
    beside : Balance
    """
    squares = beside.columns**2
    error = max(float((weight**2).mean()) - 1, 1e-12) * squares.sum(axis=0)
    z = np.abs((weight - 1) @ beside.columns) / np.sqrt(np.maximum(error, 1e-12))
    if _FREQUENT / weight.size <= least < 1:
        apart = -target
        apart[np.arange(chosen.size), chosen] += weight
        error = (1 / least - 1) * (target**2).T @ squares
        of_agents = np.abs(apart.T @ beside.columns) / np.sqrt(np.maximum(error, 1e-12))
        z = np.vstack([z, of_agents[target.any(axis=0)]])
    p_value = min(1.0, float(2 * special.ndtr(-z.max())) * z.size)
    largest = beside.names[int(np.atleast_2d(z).max(axis=0).argmax())]
    return Calibration(p_value > ALPHA / 10, p_value, largest)
