"""The scikit-learn estimators behind the built-in predictors.

Texts become features in two steps. :func:`text_counts` learns nothing, so that a
cross-validation runs it once for all folds; :func:`weights` learns the weights of the
counts from the training fold. Regressors map features, shape (tasks, columns), to qualities,
shape (tasks, agents). Importing this module imports scikit-learn;
:mod:`routingsim.policies.predictors` does so only when a predictor is made.
"""

import re
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, normalize
from sklearn.utils.extmath import safe_sparse_dot

from routingsim.caching import once

_NUMBER = re.compile(r"\d[\d.,]*")
_SENTENCE = re.compile(r"[.!?。！？]+(?:\s|$)|\n")
_SURFACE_WEIGHT = 0.1
_HASHED = 2**18  # columns of words, of characters and of categories
_TOGETHER = 256  # points compared with all others at a time

# Columns of text_counts().
_WORDS, _CHARACTERS, _CATEGORY = (slice(k * _HASHED, (k + 1) * _HASHED) for k in range(3))
_SURFACE = slice(3 * _HASHED, 3 * _HASHED + 8)


def surface_counts(texts: Sequence[str]) -> NDArray[np.float64]:
    """Surface features of texts in any language: log(1 + n) of eight counts.

    Characters, words, different words, numbers, sentences or lines, commas, capitals, and
    line breaks; shape (texts, 8).
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


def text_counts(inputs: pd.DataFrame) -> sparse.csr_array:
    """Hashed counts of the columns "text" and "category", as one sparse matrix.

    Words and pairs of them, 2 to 4 characters within words, the category, and
    :func:`surface_counts`. Nothing is fitted: a text has the same counts anywhere
    (Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009).
    """
    return _counted(tuple(inputs["text"]), tuple(inputs["category"]))


@once(2)  # predictors of one corpus need the same counts
def _counted(texts: tuple[str, ...], categories: tuple[str, ...]) -> sparse.csr_array:
    plain: dict[str, Any] = {"n_features": _HASHED, "norm": None, "alternate_sign": False}
    words = HashingVectorizer(ngram_range=(1, 2), **plain)
    labels = FeatureHasher(_HASHED, input_type="string", alternate_sign=False)
    blocks = [
        words.transform(texts),
        _character_counts(texts, **plain),
        labels.transform([[each] if each else [] for each in categories]),
        surface_counts(texts),
    ]
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))


def _character_counts(texts: Sequence[str], **plain: Any) -> sparse.csr_array:
    """Runs of 2 to 4 characters within words; each distinct word is hashed once."""
    numbers: dict[str, int] = {}
    columns: list[int] = []
    starts = [0]
    for text in texts:
        columns += [numbers.setdefault(word, len(numbers)) for word in text.lower().split()]
        starts.append(len(columns))
    # 32-bit indices, as scikit-learn's own: half the memory to read.
    place = np.array(columns, dtype=np.int32), np.array(starts, dtype=np.int32)
    words = sparse.csr_array((np.ones(len(columns)), *place), (len(texts), len(numbers)))
    runs = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), **plain)
    counts = sparse.csr_array(words @ runs.transform(numbers or [""])[: len(numbers)])
    counts.sort_indices()
    return counts


def dense(columns: Any) -> NDArray[np.float64]:
    """A sparse matrix as an array."""
    return columns.toarray()


def weights(*, characters: bool = True, categories: bool = True) -> FeatureUnion:
    """A transformer of :func:`text_counts` to features, which keeps what training has often.

    TF-IDF of words and, if ``characters``, of characters; the surface of the text,
    scaled and at a small weight; and, if ``categories``, a column a category.
    """

    def tfidf(block: slice, least: int) -> Any:
        return make_pipeline(
            Columns(block.start, block.stop),
            FrequentColumns(least),
            TfidfTransformer(sublinear_tf=True),
        )

    parts = [("words", tfidf(_WORDS, 2))]
    if characters:
        parts.append(("characters", tfidf(_CHARACTERS, 3)))
    if categories:
        label = make_pipeline(Columns(_CATEGORY.start, _CATEGORY.stop), FrequentColumns(1))
        parts.append(("category", label))
    surface = make_pipeline(
        Columns(_SURFACE.start, _SURFACE.stop), FunctionTransformer(dense), StandardScaler()
    )
    parts.append(("surface", surface))
    return FeatureUnion(parts, transformer_weights={"surface": _SURFACE_WEIGHT})


# Not a ColumnTransformer, which keeps (and saves) a list of its hundreds of thousands of columns.
class Columns(TransformerMixin, BaseEstimator):
    """The columns from ``start`` up to ``stop``."""

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop

    def fit(self, X: Any, y: object = None) -> Self:
        return self

    def transform(self, X: Any) -> Any:
        return X[:, self.start : self.stop]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.sparse = True
        return tags


class FrequentColumns(TransformerMixin, BaseEstimator):
    """The columns that at least ``least`` rows have or, if there is none, that most rows have."""

    def __init__(self, least: int = 2) -> None:
        self.least = least

    def fit(self, X: Any, y: object = None) -> Self:
        rows = np.bincount(X.tocsr().indices, minlength=X.shape[1])
        needed = max(1, min(self.least, int(rows.max())))
        self.columns_ = np.flatnonzero(rows >= needed)
        if not self.columns_.size:  # no text has a word: keep one column of zeros
            self.columns_ = np.zeros(1, dtype=np.intp)
        return self

    def transform(self, X: Any) -> Any:
        return X.tocsr()[:, self.columns_]


class UnitSVD(TransformerMixin, BaseEstimator):
    """Points of unit length in the first ``components`` dimensions of an SVD, or in all of them."""

    def __init__(self, components: int = 100) -> None:
        self.components = components

    def fit(self, X: Any, y: object = None) -> Self:
        size = min(self.components, X.shape[1])
        with np.errstate(invalid="ignore"):  # equal points have no variance to explain
            self.svd_ = TruncatedSVD(size, n_iter=2, random_state=0).fit(X)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        points: Any = normalize(self.svd_.transform(X))
        return points


class GuardedNeighbors(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Mean quality among the nearest neighbours by cosine, with a margin against chance.

    Few neighbours make some agent look better than the best single agent (that with
    the highest mean on the training data) by chance alone. The advantage of an agent
    is *clear* where its mean over the neighbours is more than ``margin`` standard
    errors (of the neighbours' differences) above 0. An advantage that is not clear
    is replaced by the agent's overall distance below the best single agent, so that
    the highest prediction falls back to the best single agent. Distances below it
    stand as the neighbours say.

    Of points equally near, to nine decimals of the cosine, the first in the training data
    are taken, so that the last digits of a product, which depend on the machine, do not
    decide. There are ``k`` of them, or as many as training points.
    """

    def __init__(self, k: int = 50, margin: float = 1.0) -> None:
        self.k = k
        self.margin = margin

    def fit(self, X: Any, y: ArrayLike) -> Self:
        self.quality_ = np.asarray(y, dtype=np.float64)
        self.mean_ = self.quality_.mean(axis=0)
        self.points_ = normalize(X)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        nearest = self.quality_[self.nearest(X)]
        best = int(self.mean_.argmax())
        ahead = nearest - nearest[:, :, [best]]
        advantage = ahead.mean(axis=1)
        error = ahead.std(axis=1) / np.sqrt(ahead.shape[1])
        unclear = (advantage > 0) & (advantage <= self.margin * error)
        guarded = np.where(unclear, self.mean_ - self.mean_[best], advantage)
        return nearest[:, :, best].mean(axis=1, keepdims=True) + guarded

    def nearest(self, X: Any) -> NDArray[np.intp]:
        """The neighbours of points, in the order of the training data, shape (tasks, k)."""
        asked: Any = normalize(X)
        points: Any = self.points_
        others = points.T
        size = others.shape[1]
        k = min(self.k, size)
        found = np.empty((asked.shape[0], k), dtype=np.intp)
        first_wins = np.arange(size, 0, -1)  # makes every key distinct
        for begin in range(0, len(found), _TOGETHER):
            cosine = safe_sparse_dot(asked[begin : begin + _TOGETHER], others, dense_output=True)
            key = np.rint(cosine * 1e9).astype(np.int64) * (size + 1) + first_wins
            found[begin : begin + _TOGETHER] = np.argpartition(key, size - k)[:, size - k :]
        return np.sort(found)


class ClusterMeans(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Mean quality of each agent in the text's k-means cluster, shrunk to the overall mean.

    A cluster of n tasks with mean m predicts (n m + shrink M) / (n + shrink) where M
    is the mean over all tasks. There are no more clusters than different training points.
    """

    def __init__(self, clusters: int = 40, shrink: float = 20.0) -> None:
        self.clusters = clusters
        self.shrink = shrink

    def fit(self, X: Any, y: ArrayLike) -> Self:
        quality = np.asarray(y, dtype=np.float64)
        clusters = min(self.clusters, len(np.unique(np.asarray(X), axis=0)))
        starts: Any = 4  # its type is documented as str alone
        self.kmeans_ = KMeans(clusters, n_init=starts, random_state=0).fit(X)
        mine = np.eye(clusters)[self.kmeans_.labels_]
        total = mine.T @ quality + self.shrink * quality.mean(axis=0)
        self.table_ = total / (mine.sum(axis=0)[:, np.newaxis] + self.shrink)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        return self.table_[self.kmeans_.predict(X)]


class MeanOf(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """The mean of the predictions of several regressors that are fitted on the same data."""

    def __init__(self, regressors: Sequence[Any] = ()) -> None:
        self.regressors = regressors

    def fit(self, X: Any, y: ArrayLike) -> Self:
        copies: list[Any] = [clone(each) for each in self.regressors]
        self.fitted_ = [each.fit(X, y) for each in copies]
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        guesses: Any = [each.predict(X).reshape(X.shape[0], -1) for each in self.fitted_]
        return np.mean(guesses, axis=0)
