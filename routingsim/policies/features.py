"""A few numbers that describe what a text is about, without any fitting.

Words and categories are hashed to a fixed number of columns (Weinberger et al., "Feature
hashing for large scale multitask learning", ICML 2009), so that a text has the same
features in every corpus, in every process, and live.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CATEGORIES = 8
"""Columns that categories are hashed to."""


def hashed_features(
    texts: Sequence[str], categories: Sequence[str], *, words: int = 16
) -> NDArray[np.float64]:
    """The category and the words of each text, hashed.

    Parameters
    ----------
    texts, categories : sequence of str
        One category a text; "" is none.
    words : int
        Columns that words are hashed to.

    Returns
    -------
    ndarray of float64, shape (texts, CATEGORIES + words)
        First 1 in the category's column and 0 elsewhere (all 0 where there is none).
        Then the text's distinct words (case-folded, split on white space), each +1 or -1
        in one column by its hash, scaled to unit length.
    """
    features = np.zeros((len(texts), CATEGORIES + words))
    column: dict[str, tuple[int, float]] = {}  # of each word met
    for row, (text, category) in enumerate(zip(texts, categories, strict=True)):
        if category:
            features[row, zlib.crc32(category.encode()) % CATEGORIES] = 1.0
        counts = features[row, CATEGORIES:]
        for word in set(text.casefold().split()):
            place = column.get(word)
            if place is None:
                code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
                # The high bits of a cyclic code are as random as the low: one gives the sign.
                place = column[word] = (code % words, 1.0 if code >> 31 else -1.0)
            counts[place[0]] += place[1]
    length = np.sqrt((features[:, CATEGORIES:] ** 2).sum(axis=1, keepdims=True))
    features[:, CATEGORIES:] /= np.where(length > 0, length, 1.0)
    return features
