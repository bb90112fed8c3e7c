"""Folds that keep similar texts together, so that none is predicted from itself.

Two texts are *exactly* the same when they differ only in case, white space or
Unicode form, and *nearly* the same when the sets of their runs of three words
(shingles) have a Jaccard similarity at or above a threshold (Broder, "On the
resemblance and containment of documents", 1997). Similarities are exact, not
estimated: sparse matrix products are fast enough for some ten thousand texts.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from routingsim.errors import CorpusError, SimulationError

NEAR = 0.8
"""Jaccard similarity of shingles from which two texts count as nearly the same."""

_SHINGLE = 3  # words
_ROWS = 256  # texts compared with all others at a time
_WORDS = re.compile(r"\w+|[^\w\s]")


def folds(
    texts: Sequence[str], k: int = 5, *, seed: int = 0, threshold: float = NEAR
) -> NDArray[np.intp]:
    """Split texts at random into ``k`` folds, with similar texts in the same fold.

    Texts that are exactly or nearly the same, directly or through a third text, stay
    together; an empty text is like no other. Folds are as equal in size as that allows.
    The ``threshold`` is a Jaccard similarity. Returned is the fold of each text, from 0:
    ``fold != 2`` trains and ``fold == 2`` tests. A ``k`` or a threshold out of its range
    raises a SimulationError, and fewer texts that differ than folds a CorpusError.
    """
    if not 0 < threshold <= 1:
        raise SimulationError(f"threshold={threshold}: a similarity above 0 and up to 1 is needed")
    if k < 2:
        raise SimulationError(f"k={k}: two folds or more are needed")
    group = groups(tuple(map(plain, texts)), threshold)
    sizes = np.bincount(group) if group.size else np.zeros(0, dtype=np.intp)
    if sizes.size < k:
        raise CorpusError(
            f"{len(texts):,} texts, of which {sizes.size} differ: too few for {k} folds"
        )
    order = np.random.default_rng(seed).permutation(sizes.size)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(k, dtype=np.intp)
    fold = np.empty(sizes.size, dtype=np.intp)
    for each in order.tolist():
        fold[each] = filled.argmin()
        filled[fold[each]] += sizes[each]
    return fold[group]


@lru_cache(maxsize=2)  # the predictors of a corpus share them, whatever the folds' seed
def groups(texts: tuple[str, ...], threshold: float = NEAR) -> NDArray[np.intp]:
    """A number for each :func:`plain` text, the same for those that are alike."""
    first: dict[str, int] = {}
    same = np.array(
        [first.setdefault(text, row) if text else row for row, text in enumerate(texts)],
        dtype=np.intp,
    )
    rows = np.array(list(first.values()), dtype=np.intp)
    table = shingles([texts[row] for row in rows.tolist()])
    one, other, _ = alike(table, table, threshold)
    size = len(texts)
    ends = np.concatenate([np.arange(size), rows[one]]), np.concatenate([same, rows[other]])
    links = sparse.coo_array((np.ones(ends[0].size), ends), shape=(size, size))
    found = sparse.csgraph.connected_components(links, directed=False)[1].astype(np.intp)
    found.flags.writeable = False
    return found


def plain(text: str) -> str:
    """The text with case, white space and Unicode form normalised."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(texts: Sequence[str]) -> sparse.csr_array:
    """A matrix with a row for each text and a column for each shingle, 1 where it occurs."""
    numbers: dict[str, int] = {}
    words: list[int] = []
    runs = np.empty(len(texts), dtype=np.intp)
    for row, text in enumerate(texts):
        found = [numbers.setdefault(word, len(numbers) + 1) for word in _WORDS.findall(text)]
        found += [0] * (_SHINGLE - len(found))  # a text of two words or fewer is one run
        words += found
        runs[row] = len(found) - _SHINGLE + 1
    text = np.repeat(np.arange(len(texts)), runs)
    begin = np.arange(text.size) + (_SHINGLE - 1) * text
    word = np.array(words, dtype=np.int64)
    run = np.zeros(text.size, dtype=np.int64)
    for step in range(_SHINGLE):  # numbered anew at each word, so that numbers stay small
        keys = run * (len(numbers) + 1) + word[begin + step]
        run = np.unique(keys, return_inverse=True)[1]
    shape = (len(texts), int(run.max(initial=0)) + 1)
    table = sparse.csr_array(sparse.coo_array((np.ones(run.size), (text, run)), shape=shape))
    table.data[:] = 1.0  # also where it occurs more than once
    return table


def alike(
    ask: sparse.csr_array, have: sparse.csr_array, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pairs of similar rows of ``ask`` and ``have``, in order: both rows, and the similarity."""
    asked, had = np.diff(ask.indptr), np.diff(have.indptr)
    columns = have.T.tocsr()
    found = [(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))]
    for first in range(0, asked.size, _ROWS):
        common = sparse.coo_array(ask[first : first + _ROWS] @ columns)
        row, other = first + common.row, common.col
        similarity = common.data / (asked[row] + had[other] - common.data)
        enough = similarity >= threshold
        found.append((row[enough], other[enough], similarity[enough]))
    row, other, similarity = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((other, row))
    return row[order], other[order], similarity[order]
