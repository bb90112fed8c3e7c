"""The predictors that come with routingsim: ridge, neighbours, k-means, logistic, and a blend.

Each function makes a :class:`QualityPredictor` that is not fitted. scikit-learn is imported
when one is called.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routingsim.errors import PolicyError
from routingsim.policies.predictors import QualityPredictor

__all__ = [
    "PREDICTORS",
    "predictor_of",
    "tfidf_blend",
    "tfidf_kmeans",
    "tfidf_knn",
    "tfidf_logistic",
    "tfidf_ridge",
]


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
        from outcomes, or are unknown before the answer.
    embedding : scikit-learn transformer, optional
        From a list of texts to vectors, in place of all these features.
    """
    from sklearn.linear_model import Ridge

    return _predictor([Ridge(alpha=alpha)], embedding, categories=categories)


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

    model = LogisticRegression(C=C, max_iter=1000)
    return _predictor([model], embedding, categories=categories)


def tfidf_knn(
    *, k: int = 50, margin: float = 1.0, categories: bool = True, embedding: Any = None
) -> QualityPredictor:
    """Nearest neighbours by the cosine of TF-IDF of words, surface and category.

    Parameters
    ----------
    k : int
        Neighbours.
    margin : float
        Standard errors by which an agent's neighbours must put it above the best
        single agent (:class:`routingsim.policies.estimators.GuardedNeighbors`).
    categories, embedding
        As :func:`tfidf_ridge`.
    """
    from routingsim.policies.estimators import GuardedNeighbors

    return _predictor(
        [GuardedNeighbors(k, margin)], embedding, characters=False, categories=categories
    )


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
        Number of tasks that the overall mean counts as in each cluster.
    components : int
        Dimensions of the SVD of the features of :func:`tfidf_knn`, in which points of
        unit length are clustered.
    categories, embedding
        As :func:`tfidf_ridge`.
    """
    from routingsim.policies.estimators import ClusterMeans, UnitSVD

    model = ClusterMeans(clusters, shrink)
    if embedding is not None:
        return _predictor([model], embedding)
    steps = [UnitSVD(components), model]
    return _predictor(steps, None, characters=False, categories=categories)


def tfidf_blend(
    *, alpha: float = 10.0, k: int = 50, categories: bool = True, embedding: Any = None
) -> QualityPredictor:
    """The mean of :func:`tfidf_ridge` and :func:`tfidf_knn` without its margin.

    On the corpora of ``docs/findings.md`` it orders tasks (APGR) at least as well as
    ridge, and chooses agents no better.

    Parameters
    ----------
    alpha, categories, embedding
        As :func:`tfidf_ridge`.
    k : int
        Neighbours.
    """
    from sklearn.pipeline import make_pipeline

    from routingsim.policies.estimators import MeanOf

    one = tfidf_ridge(alpha=alpha, categories=categories, embedding=embedding).estimator
    other = tfidf_knn(k=k, margin=0.0, categories=categories, embedding=embedding).estimator
    return QualityPredictor(
        make_pipeline(one[0], MeanOf([one[1:], other[1:]])), categories=embedding is None
    )


def predictor_of(estimator: Any, *, categories: bool = True) -> QualityPredictor:
    """A predictor from any scikit-learn estimator.

    A pipeline gets the list of texts. Any other regressor or classifier gets the features
    of :func:`tfidf_ridge`: sparse, or their first 100 dimensions (SVD) where it takes
    dense input only.

    Parameters
    ----------
    estimator : scikit-learn estimator or QualityPredictor
        It is cloned, not changed, and fitted anew. A QualityPredictor is returned as it is.
    categories : bool
        Let the features include the tasks' categories.

    Raises
    ------
    PolicyError
        If it is not an estimator that can be fitted and asked.
    """
    from sklearn.base import is_classifier, is_regressor
    from sklearn.pipeline import Pipeline
    from sklearn.utils import get_tags

    from routingsim.policies.estimators import UnitSVD

    if isinstance(estimator, QualityPredictor):
        return estimator
    model = not isinstance(estimator, type) and hasattr(estimator, "__sklearn_tags__")
    if not model or not (is_classifier(estimator) or is_regressor(estimator)):
        raise PolicyError(
            f"{estimator!r:.80} is not a predictor: give one of {', '.join(PREDICTORS)}, a "
            "scikit-learn regressor or classifier, or a QualityPredictor"
        )
    if isinstance(estimator, Pipeline):
        return QualityPredictor(estimator)
    sparse = get_tags(estimator).input_tags.sparse
    return _predictor(
        [estimator] if sparse else [UnitSVD(), estimator], None, categories=categories
    )


def _predictor(
    steps: Sequence[Any], embedding: Any, *, characters: bool = True, categories: bool = True
) -> QualityPredictor:
    """The steps on the built-in features, or on an embedding."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    from routingsim.policies.estimators import text_counts, weights

    if embedding is not None:
        return QualityPredictor(make_pipeline(embedding, *steps))
    features = weights(characters=characters, categories=categories)
    counts = FunctionTransformer(text_counts)
    return QualityPredictor(make_pipeline(counts, features, *steps), categories=True)


PREDICTORS: Mapping[str, Callable[..., QualityPredictor]] = {
    "ridge": tfidf_ridge,
    "knn": tfidf_knn,
    "kmeans": tfidf_kmeans,
    "logistic": tfidf_logistic,
    "blend": tfidf_blend,
}
"""What makes each predictor, by the name that policies know it by."""
