"""The scikit-learn estimators behind the shipped predictors.

Importing this module imports scikit-learn; :mod:`routingsim.policies.predictors`
does so only when a predictor is made.
"""

import re
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

__all__ = [
    "ClusterMeans",
    "GuardedNeighbors",
    "dense_features",
    "sparse_features",
    "surface_counts",
]

_NUMBER = re.compile(r"\d[\d.,]*")
_SENTENCE = re.compile(r"[.!?。！？]+(?:\s|$)|\n")
_SURFACE_WEIGHT = 0.1


def surface_counts(texts: Sequence[str]) -> NDArray[np.float64]:
    """What a text looks like, whatever its language: log(1 + n) of eight counts.

    Characters, words, different words, numbers, sentences or lines, commas,
    capitals, and line breaks.

    Returns
    -------
    ndarray of float64, shape (texts, 8)
    """
    counts = np.empty((len(texts), 8))
    for row, text in enumerate(texts):
        words = text.casefold().split()
        counts[row] = (
            len(text),
            len(words),
            len(set(words)),
            len(_NUMBER.findall(text)),
            len(_SENTENCE.findall(text)),
            text.count(","),
            sum(map(str.isupper, text)),
            text.count("\n"),
        )
    return np.log1p(counts)


def sparse_features(categories: bool = True) -> ColumnTransformer:
    """Columns "text" and "category" to one sparse matrix of features.

    TF-IDF of words and pairs of them, TF-IDF of 2 to 4 characters within words, the
    surface of the text (:func:`surface_counts`) at a small weight, and, if
    ``categories``, a column a category, all zero where the category is new.
    """
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    characters = TfidfVectorizer(
        sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 4), min_df=3, max_features=50_000
    )
    surface = make_pipeline(FunctionTransformer(surface_counts), StandardScaler())
    category = OneHotEncoder(handle_unknown="ignore") if categories else "drop"
    return ColumnTransformer(
        [
            ("words", words, "text"),
            ("characters", characters, "text"),
            ("surface", surface, "text"),
            ("category", category, ["category"]),
        ],
        transformer_weights={"surface": _SURFACE_WEIGHT},
        sparse_threshold=1.0,
    )


def dense_features(components: int, categories: bool = True) -> Pipeline:
    """:func:`sparse_features` to points on a sphere: SVD, then unit length."""
    reduced = TruncatedSVD(components, random_state=0)
    return make_pipeline(sparse_features(categories), reduced, Normalizer())


class GuardedNeighbors(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Mean quality among the nearest neighbours, guarded against chance.

    Few neighbours make some agent look better than the best single agent (that with
    the highest mean on the training data) by chance alone. The advantage of an agent
    is *clear* where its mean over the neighbours is more than ``margin`` standard
    errors (of the neighbours' differences) above 0. An advantage that is not clear
    is replaced by the agent's overall distance below the best single agent, so that
    the highest prediction falls back to the best single agent. Distances below it
    stand as the neighbours say.

    Parameters
    ----------
    k : int
        Neighbours, at most as many as there are training points.
    margin : float
        Standard errors; 0 trusts every advantage.
    """

    def __init__(self, k: int = 70, margin: float = 1.0) -> None:
        self.k = k
        self.margin = margin

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Remember the points ``X``, shape (tasks, features), and qualities (tasks, agents)."""
        self.quality_ = np.asarray(y, dtype=np.float64)
        self.mean_ = self.quality_.mean(axis=0)
        neighbours = min(self.k, len(self.quality_))
        self.neighbours_ = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(X)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Quality per agent, shape (tasks, agents)."""
        check_is_fitted(self)
        nearest = self.quality_[self.neighbours_.kneighbors(X, return_distance=False)]
        best = int(self.mean_.argmax())
        ahead = nearest - nearest[:, :, [best]]
        advantage = ahead.mean(axis=1)
        error = ahead.std(axis=1) / np.sqrt(ahead.shape[1])
        unclear = (advantage > 0) & (advantage <= self.margin * error)
        guarded = np.where(unclear, self.mean_ - self.mean_[best], advantage)
        return nearest[:, :, best].mean(axis=1, keepdims=True) + guarded


class ClusterMeans(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Mean quality of each agent in the text's k-means cluster, shrunk to the overall mean.

    A cluster of n tasks with mean m predicts (n m + shrink M) / (n + shrink) where M
    is the mean over all tasks.

    Parameters
    ----------
    clusters : int
        At most as many as there are training points.
    shrink : float
        Tasks that the overall mean counts for.
    """

    def __init__(self, clusters: int = 40, shrink: float = 20.0) -> None:
        self.clusters = clusters
        self.shrink = shrink

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Cluster the points ``X``, shape (tasks, features), with qualities (tasks, agents)."""
        quality = np.asarray(y, dtype=np.float64)
        clusters = min(self.clusters, len(quality))
        starts: Any = 4  # its type is documented as str alone
        self.kmeans_ = KMeans(clusters, n_init=starts, random_state=0).fit(X)
        mine = np.eye(clusters)[self.kmeans_.labels_]
        total = mine.T @ quality + self.shrink * quality.mean(axis=0)
        self.table_ = total / (mine.sum(axis=0)[:, np.newaxis] + self.shrink)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Quality per agent, shape (tasks, agents)."""
        check_is_fitted(self)
        return self.table_[self.kmeans_.predict(X)]
