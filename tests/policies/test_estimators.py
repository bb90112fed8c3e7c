"""The estimators behind the built-in predictors: neighbours, clusters and counts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from routingsim.policies.estimators import (
    ClusterMeans,
    GuardedNeighbors,
    surface_counts,
    text_counts,
)


def test_neighbours_fall_back_to_the_best_single_agent_unless_the_advantage_is_clear() -> None:
    asked = np.eye(2)
    points = np.repeat(asked, 50, axis=0)
    quality = np.zeros((100, 2))
    quality[:50] = 0.9, 0.5  # agent 0 is best overall
    quality[50:, 0] = 0.6
    quality[50:, 1] = np.where(np.arange(50) % 2, 0.0, 1.26)  # 0.63 ± 0.09
    trusting = GuardedNeighbors(50, margin=0.0).fit(points, quality).predict(asked)
    np.testing.assert_allclose(trusting, [[0.9, 0.5], [0.6, 0.63]])
    guarded = GuardedNeighbors(50, margin=1.0).fit(points, quality).predict(asked)
    np.testing.assert_allclose(guarded[0], [0.9, 0.5])
    assert guarded[1].argmax() == 0
    assert guarded[1, 1] == pytest.approx(0.6 + (0.565 - 0.75))
    quality[50:, 1] = 0.63  # as little ahead, and no doubt about it
    clear = GuardedNeighbors(50, margin=1.0).fit(points, quality).predict(asked)
    np.testing.assert_allclose(clear[1], [0.6, 0.63])


def test_of_texts_equally_far_the_first_are_neighbours() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4, 7))
    which = rng.integers(4, size=300)
    # The same direction at many lengths: cosines are equal but for their last digits.
    points = directions[which] * rng.uniform(0.1, 10, (300, 1))
    model = GuardedNeighbors(k=20).fit(points, rng.random((300, 2)))
    found = model.nearest(directions)
    for direction, neighbours in enumerate(found):
        np.testing.assert_array_equal(neighbours, np.flatnonzero(which == direction)[:20])


def test_few_points_have_few_neighbours_and_clusters() -> None:
    points, quality = [[0.0], [1.0], [2.0]], np.array([[0.0], [0.5], [1.0]])
    nearest = GuardedNeighbors(k=70).fit(points, quality).predict([[9.0]])
    np.testing.assert_allclose(nearest, [[0.5]])
    own = ClusterMeans(clusters=40, shrink=0.0).fit(points, quality).predict(points)
    np.testing.assert_allclose(own, quality)
    shrunk = ClusterMeans(clusters=40, shrink=1.0).fit(points, quality).predict(points)
    np.testing.assert_allclose(shrunk, [[0.25], [0.5], [0.75]])


def test_surface_counts_are_what_they_say() -> None:
    text = "Buy 3 apples, 1,200 pears. How many? Buy NONE\nnow"
    counts = np.expm1(surface_counts([text, ""]))
    expected = [len(text), 10, 9, 2, 3, 2, 7, 1]
    np.testing.assert_allclose(counts, [expected, [0] * 8], atol=1e-9)


def test_characters_are_counted_as_scikit_learn_counts_them() -> None:
    texts = ["Banana bandana, a b", "", "  ", "naïve\u2003İstanbul\x1f\n日本語", "a " * 40]
    inputs = pd.DataFrame({"text": texts, "category": [""] * len(texts)}, dtype=object)
    width = 2**18
    plain: dict[str, Any] = {"n_features": width, "norm": None, "alternate_sign": False}
    slow = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), **plain)
    counts = text_counts(inputs)[:, width : 2 * width]
    assert (counts != slow.transform(texts)).nnz == 0
