"""Predict each agent's outcome on each task from a log that has one answer a task.

The model is the regression part of a doubly robust estimator: it need not be right,
but the better it is the narrower the intervals are. A ridge regression per agent, with
the penalty chosen by generalised cross-validation (Golub, Heath & Wahba, Technometrics
21, 1979), is fitted on four folds and predicts the fifth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError
from routingsim.policies.folds import folds as grouped_folds
from routingsim.policies.folds import groups, plain

COMPONENTS = 15
"""Components of the words' TF-IDF that stand for a text."""

FOLDS = 5
"""Folds of the cross-fitting."""

_DECILES = np.arange(0.1, 1.0, 0.1)
_FREQUENT = 20  # tasks from which a category has a column of its own
_CATEGORIES = 50  # columns at most
_GROUPS = 50  # different texts from which folds keep texts together that are alike
_PENALTIES = np.concatenate([np.logspace(0, 5, 11), [1e12]])  # the last leaves the mean alone


@dataclass(frozen=True, eq=False)
class Features:
    """Numbers that say what each task is about, and what the columns are called.

    Attributes
    ----------
    values : ndarray, shape (tasks, features)
        Centred. Text components and the log length have standard deviation 1.
    names : tuple of str
        One for each column.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]


def text_features(texts: Sequence[str], categories: Sequence[str] | None = None) -> Features:
    """Text components, log length, length deciles and category.

    Components are those of a truncated SVD of the features of
    :func:`routingsim.policies.estimators.weights` (TF-IDF of words and word pairs, surface).
    They are made from texts alone, so that no outcome leaks from fold to fold.

    Parameters
    ----------
    texts : sequence of str
    categories : sequence of str, optional
        Of each text; "" is none. Categories of fewer than 20 tasks have no column.
    """
    labels = [""] * len(texts) if categories is None else [str(each) for each in categories]
    if len(labels) != len(texts):
        raise CorpusError(f"categories: {len(labels):,} for {len(texts):,} texts")
    length = np.array([len(text) for text in texts], dtype=np.float64)
    columns = {"log length": _standard(np.log1p(length))}
    edges = np.unique(np.quantile(length, _DECILES)) if length.size else np.zeros(0)
    decile = np.searchsorted(edges, length)
    if edges.size > 1:
        for each in range(edges.size + 1):
            columns[f"length group {each + 1} of {edges.size + 1}"] = decile == each
    counts = pd.Series(labels, dtype=object).value_counts()
    frequent = [name for name, tasks in counts.items() if name and tasks >= _FREQUENT]
    for name in frequent[:_CATEGORIES]:
        columns[f"category {name}"] = np.array([label == name for label in labels])
    for number, component in enumerate(_components(texts).T, 1):
        columns[f"text component {number}"] = _standard(component)
    kept = {name: np.asarray(each, dtype=np.float64) for name, each in columns.items()}
    kept = {name: each - each.mean() for name, each in kept.items() if np.ptp(each) > 0}
    values = np.column_stack(list(kept.values())) if kept else np.zeros((len(texts), 0))
    return Features(values, tuple(kept))


def _components(texts: Sequence[str]) -> NDArray[np.float64]:
    from sklearn.decomposition import TruncatedSVD
    from threadpoolctl import threadpool_limits

    from routingsim.policies.estimators import text_counts, weights

    counts = text_counts(pd.DataFrame({"text": list(texts), "category": ""}, dtype=object))
    with threadpool_limits(1), np.errstate(invalid="ignore", divide="ignore"):
        words: Any = weights(characters=False, categories=False).fit_transform(counts)
        size = min(COMPONENTS, len(set(texts)) - 1, words.shape[1])  # texts may share few words
        if size < 1:
            return np.zeros((len(texts), 0))
        return TruncatedSVD(size, random_state=0).fit_transform(words)


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = values.std()
    return (values - values.mean()) / (spread if spread > 0 else 1.0)


def fold_tasks(texts: Sequence[str], *, seed: int = 0) -> NDArray[np.intp]:
    """Folds that keep alike texts together, shape (tasks,).

    Where the log has fewer than 50 texts that differ, tasks are split whatever their
    text: a model that never saw a text of the fold could say nothing of it.
    """
    several = np.unique(groups(tuple(map(plain, texts)))).size if any(texts) else 0
    if several >= _GROUPS:
        return grouped_folds(texts, FOLDS, seed=seed)
    order = np.random.default_rng(seed).permutation(len(texts))
    return (order % FOLDS).astype(np.intp)


def cross_predict(
    features: NDArray[np.float64],
    fold: NDArray[np.intp],
    chosen: NDArray[np.intp],
    outcome: ArrayLike,
    agents: int,
) -> NDArray[np.float64]:
    """Predicted outcome of each agent on each task, from the folds that the task is not in.

    Parameters
    ----------
    features : ndarray, shape (tasks, features)
    fold : ndarray of int, shape (tasks,)
    chosen : ndarray of int, shape (tasks,)
        The agent that served each task; -1 for none.
    outcome : array_like, shape (tasks,)
        Of the agent that served it; NaN where it is not recorded.
    agents : int
        How many there are.

    Returns
    -------
    ndarray, shape (tasks, agents)
        An agent without a record in the other folds gets the mean of all that is there.
    """
    y = np.asarray(outcome, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(y) & (chosen >= 0))
    numbers, place = np.unique(fold, return_inverse=True)
    moments = _moments(features[known], y[known], chosen[known], place[known], agents, numbers.size)
    # Sums over the folds that each fold is predicted from.
    others = 1.0 - np.eye(numbers.size)
    count, centre, mean, slope = _ridge(np.einsum("fg,agij->afij", others, moments))
    overall = float(y[known].mean()) if known.size else 0.0
    predicted = np.empty((y.size, agents))
    for each in range(numbers.size):
        rows = place == each
        start = mean[:, each] - (centre[:, each] * slope[:, each]).sum(axis=1)
        line = start + features[rows] @ slope[:, each].T
        predicted[rows] = np.where(count[:, each] > 0, line, overall)
    return predicted


def _moments(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    chosen: NDArray[np.intp],
    place: NDArray[np.intp],
    agents: int,
    folds: int,
) -> NDArray[np.float64]:
    """Sums of products of (1, x, y) over the records of each agent in each fold."""
    table = np.column_stack([np.ones(y.size), x, y])
    cell = chosen * folds + place
    order = np.argsort(cell, kind="stable")
    ends = np.searchsorted(cell[order], np.arange(1, agents * folds))
    parts = [part.T @ part for part in np.split(table[order], ends)]
    return np.reshape(parts, (agents, folds, table.shape[1], table.shape[1]))


def _ridge(
    moments: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regressions from sums of products, the penalties by generalised cross-validation.

    Parameters
    ----------
    moments : ndarray, shape (..., 1 + features + 1, 1 + features + 1)

    Returns
    -------
    count : ndarray, shape (...)
    centre : ndarray, shape (..., features)
    mean : ndarray, shape (...)
    slope : ndarray, shape (..., features)
    """
    count = moments[..., 0, 0]
    least = np.maximum(count, 1.0)
    centre = moments[..., 0, 1:-1] / least[..., np.newaxis]
    mean = moments[..., 0, -1] / least
    gram = moments[..., 1:-1, 1:-1] - np.einsum("...i,...j->...ij", moments[..., 0, 1:-1], centre)
    cross = moments[..., 1:-1, -1] - moments[..., 0, 1:-1] * mean[..., np.newaxis]
    square = np.maximum(moments[..., -1, -1] - moments[..., 0, -1] * mean, 0.0)
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)[..., np.newaxis, :]
    along = (vectors.mT @ cross[..., np.newaxis]).mT  # (..., 1, features)
    shrunk = along / (values + _PENALTIES[:, np.newaxis])  # a row a penalty
    squares = square[..., np.newaxis] + ((shrunk * values - 2 * along) * shrunk).sum(axis=-1)
    used = 1 + (values / (values + _PENALTIES[:, np.newaxis])).sum(axis=-1)
    left = np.maximum(1 - used / least[..., np.newaxis], 1e-6)
    best = (squares / left**2).argmin(axis=-1)[..., np.newaxis, np.newaxis]
    slope = (vectors @ np.take_along_axis(shrunk, best, axis=-2).mT)[..., 0]
    return count, centre, mean, slope
