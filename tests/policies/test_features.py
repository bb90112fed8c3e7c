"""Hashed features: the same everywhere, and of unit length."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from routingsim.policies.features import CATEGORIES, hashed_features


@given(st.lists(st.tuples(st.text(), st.text()), max_size=8), st.integers(1, 20))
def test_a_text_has_its_features_whatever_stands_beside_it(
    tasks: list[tuple[str, str]], words: int
) -> None:
    texts, categories = [text for text, _ in tasks], [category for _, category in tasks]
    features = hashed_features(texts, categories, words=words)
    assert features.shape == (len(tasks), CATEGORIES + words)
    for row, (text, category) in enumerate(tasks):
        np.testing.assert_array_equal(
            hashed_features([text], [category], words=words)[0], features[row]
        )
        assert features[row, :CATEGORIES].sum() == bool(category)
        length = np.linalg.norm(features[row, CATEGORIES:])
        assert np.isclose(length, 1.0) or length == 0.0


def test_words_count_once_and_whatever_their_case() -> None:
    one, two, other = hashed_features(["Sort the LIST", "list sort the sort", "Haiku"], [""] * 3)
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_what_is_not_there_is_zero() -> None:
    np.testing.assert_array_equal(hashed_features(["", " \n"], ["", ""]), 0.0)
    assert hashed_features([], []).shape == (0, CATEGORIES + 16)


def test_signs_are_balanced() -> None:
    features = hashed_features([f"word{k}" for k in range(4000)], [""] * 4000)
    counts = np.stack([(features > 0).sum(axis=0), (features < 0).sum(axis=0)])[:, CATEGORIES:]
    assert counts.sum() == 4000
    assert counts.min() > 80  # 125 each by chance


def test_features_are_the_same_in_every_process() -> None:
    (found,) = hashed_features(["Prove that π is irrational"], ["maths"])
    expected = np.zeros(CATEGORIES + 16)
    expected[2] = 1.0
    expected[[10, 15, 20, 22, 23]] = np.array([1, -1, 1, 1, 1]) / np.sqrt(5)
    np.testing.assert_array_equal(found, expected)
