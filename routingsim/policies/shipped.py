"""The predictors that come with routingsim: ridge, nearest neighbours, k-means, logistic.

Each maker gives a :class:`QualityPredictor` that is not fitted. scikit-learn is imported
when one is called.
"""

from collections.abc import Callable, Mapping
from typing import Any

from routingsim.policies.predictors import QualityPredictor

__all__ = ["PREDICTORS", "tfidf_kmeans", "tfidf_knn", "tfidf_logistic", "tfidf_ridge"]


def tfidf_ridge(
    *, alpha: float = 10.0, categories: bool = True, embedding: Any = None
) -> QualityPredictor:
    """Ridge regression on words, characters, surface and category.

    Parameters
    ----------
    alpha : float
        Penalty.
    categories : bool
        Learn from a task's category too. Not for corpora whose categories were made
        from outcomes, or that nobody knows before the answer.
    embedding : scikit-learn transformer, optional
        From a list of texts to vectors, in place of all these features.
    """
    from sklearn.linear_model import Ridge

    return _sparse(Ridge(alpha=alpha), categories, embedding)


def tfidf_logistic(
    *, C: float = 0.5, categories: bool = True, embedding: Any = None
) -> QualityPredictor:
    """Logistic regression, one an agent, of whether its answer is right (quality >= 0.5).

    Parameters
    ----------
    C : float
        Inverse of the penalty.
    categories, embedding
        As :func:`tfidf_ridge`.
    """
    from sklearn.linear_model import LogisticRegression

    return _sparse(LogisticRegression(C=C, max_iter=1000), categories, embedding)


def tfidf_knn(
    *,
    k: int = 70,
    margin: float = 1.0,
    components: int = 100,
    categories: bool = True,
    embedding: Any = None,
) -> QualityPredictor:
    """Nearest neighbours by cosine in the space of a TF-IDF's SVD, guarded.

    Parameters
    ----------
    k : int
        Neighbours.
    margin : float
        Standard errors by which an agent's neighbours must put it above the best
        single agent (:class:`routingsim.policies.estimators.GuardedNeighbors`).
    components : int
        Dimensions of the SVD of the features that :func:`tfidf_ridge` has.
    categories : bool
        As :func:`tfidf_ridge`.
    embedding : scikit-learn transformer, optional
        From a list of texts to vectors, in place of TF-IDF and SVD.
    """
    from routingsim.policies.estimators import GuardedNeighbors

    return _dense(GuardedNeighbors(k, margin), components, categories, embedding)


def tfidf_kmeans(
    *,
    clusters: int = 40,
    shrink: float = 20.0,
    components: int = 100,
    categories: bool = True,
    embedding: Any = None,
) -> QualityPredictor:
    """Mean quality in the text's k-means cluster, shrunk to the overall mean.

    Parameters
    ----------
    clusters : int
    shrink : float
        Tasks that the overall mean counts for in each cluster.
    components, categories, embedding
        As :func:`tfidf_knn`.
    """
    from routingsim.policies.estimators import ClusterMeans

    return _dense(ClusterMeans(clusters, shrink), components, categories, embedding)


def _sparse(model: Any, categories: bool, embedding: Any) -> QualityPredictor:
    from sklearn.pipeline import make_pipeline

    from routingsim.policies.estimators import sparse_features

    if embedding is not None:
        return QualityPredictor(make_pipeline(embedding, model))
    return QualityPredictor(make_pipeline(sparse_features(categories), model), categories=True)


def _dense(model: Any, components: int, categories: bool, embedding: Any) -> QualityPredictor:
    from sklearn.pipeline import make_pipeline

    from routingsim.policies.estimators import dense_features

    if embedding is not None:
        return QualityPredictor(make_pipeline(embedding, model))
    features = dense_features(components, categories)
    return QualityPredictor(make_pipeline(features, model), categories=True)


PREDICTORS: Mapping[str, Callable[..., QualityPredictor]] = {
    "ridge": tfidf_ridge,
    "knn": tfidf_knn,
    "kmeans": tfidf_kmeans,
    "logistic": tfidf_logistic,
}
"""Makers of the shipped predictors, by the names that policies know them by."""
