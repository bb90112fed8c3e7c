"""The predictors that come with routingsim: ridge, neighbours, k-means, logistic, and a blend.

Each function makes a :class:`QualityPredictor` that is not fitted. scikit-learn is imported
when one is called. A function's own parameters are those of the policy of that name
(:mod:`routingsim.policies.predictive`). All take ``categories``, to learn from a task's
category too (not for corpora whose categories were made from outcomes, or are unknown before
the answer), and ``embedding``, a transformer from a list of texts to vectors, in place of all
features.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routingsim.errors import PolicyError
from routingsim.policies.predictors import QualityPredictor


def tfidf_ridge(*, alpha: float = 10.0, **features: Any) -> QualityPredictor:
    """Ridge regression on words, characters, surface and category."""
    from sklearn.linear_model import Ridge

    return _predictor([Ridge(alpha=alpha)], **features)


def tfidf_logistic(*, C: float = 0.5, **features: Any) -> QualityPredictor:
    """Logistic regression, one an agent, of whether its answer is right (quality >= 0.5).

    ``C`` is the inverse of the penalty.
    """
    from sklearn.linear_model import LogisticRegression

    return _predictor([LogisticRegression(C=C, max_iter=1000)], **features)


def tfidf_knn(*, k: int = 50, margin: float = 1.0, **features: Any) -> QualityPredictor:
    """Nearest neighbours by the cosine of TF-IDF of words, surface and category."""
    from routingsim.policies.estimators import GuardedNeighbors

    return _predictor([GuardedNeighbors(k, margin)], characters=False, **features)


def tfidf_kmeans(*, clusters: int = 40, **features: Any) -> QualityPredictor:
    """Mean quality in the text's k-means cluster, shrunk to the overall mean.

    Clustered are points of unit length in an SVD of the features of :func:`tfidf_knn`.
    """
    from routingsim.policies.estimators import ClusterMeans, UnitSVD

    steps = [UnitSVD()] if features.get("embedding") is None else []
    return _predictor([*steps, ClusterMeans(clusters)], characters=False, **features)


def tfidf_blend(*, alpha: float = 10.0, k: int = 50, **features: Any) -> QualityPredictor:
    """The mean of :func:`tfidf_ridge` and :func:`tfidf_knn` without its margin.

    On the corpora of ``docs/findings.md`` it orders tasks (APGR) at least as well as
    ridge, and chooses agents no better.
    """
    from sklearn.pipeline import make_pipeline

    from routingsim.policies.estimators import MeanOf

    one, other = tfidf_ridge(alpha=alpha, **features), tfidf_knn(k=k, margin=0.0, **features)
    model = MeanOf([one.estimator[1:], other.estimator[1:]])
    return QualityPredictor(make_pipeline(one.estimator[0], model), categories=one.categories)


def predictor_of(estimator: Any, *, categories: bool = True) -> QualityPredictor:
    """A predictor from any scikit-learn estimator.

    A pipeline gets the list of texts. Any other regressor or classifier gets the features
    of :func:`tfidf_ridge`: sparse, or their first 100 dimensions (SVD) where it takes
    dense input only. The estimator is cloned, not changed; a QualityPredictor is returned as
    it is, and what cannot be fitted and asked is refused (PolicyError).
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
    steps = [estimator] if sparse else [UnitSVD(), estimator]
    return _predictor(steps, categories=categories)


def _predictor(
    steps: Sequence[Any], *, embedding: Any = None, characters: bool = True, categories: bool = True
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
