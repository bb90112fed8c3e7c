"""Folds that keep texts together that are alike, so that none is predicted from itself.

Two texts are *exactly* the same when they differ only in case, white space or
Unicode form, and *nearly* the same when the sets of their runs of three words
(shingles) have a Jaccard similarity at or above a threshold (Broder, "On the
resemblance and containment of documents", 1997). Similarities are computed, not
estimated: sparse matrix products are quick enough for some ten thousand texts.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from routingsim.errors import CorpusError, SimulationError

__all__ = ["NEAR", "alike", "folds", "groups", "plain", "shingles"]

NEAR = 0.8
"""Jaccard similarity of shingles from which two texts count as nearly the same."""

_SHINGLE = 3  # words
_ROWS = 256  # texts compared with all others at a time
_WORDS = re.compile(r"\w+|[^\w\s]")


def folds(
    texts: Sequence[str], k: int = 5, *, seed: int = 0, threshold: float = NEAR
) -> NDArray[np.intp]:
    """Split texts at random into ``k`` folds with those that are alike in the same one.

    What is exactly or nearly the same, also by way of a third text, stays together;
    an empty text is like no other. Folds are of equal size as far as that allows.

    Parameters
    ----------
    texts : sequence of str
    k : int
        2 or more.
    seed : int
    threshold : float
        Jaccard similarity, above 0 and up to 1.

    Returns
    -------
    ndarray of int, shape (texts,)
        The fold of each text, from 0: ``fold != 2`` trains and ``fold == 2`` tests.

    Raises
    ------
    SimulationError
        If ``k`` or the threshold is out of its range.
    CorpusError
        If there are fewer texts that differ than folds.
    """
    if not 0 < threshold <= 1:
        raise SimulationError(f"threshold={threshold}: a similarity above 0 and up to 1 is needed")
    if k < 2:
        raise SimulationError(f"k={k}: two folds or more are needed")
    group = groups([plain(text) for text in texts], threshold)
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


def groups(texts: Sequence[str], threshold: float = NEAR) -> NDArray[np.intp]:
    """A number for each :func:`plain` text, the same for those that are alike."""
    first: dict[str, int] = {}
    same = np.array(
        [first.setdefault(text, row) if text else row for row, text in enumerate(texts)],
        dtype=np.intp,
    )
    rows = list(first.values())
    table = shingles([texts[row] for row in rows])
    one, other = list(range(len(texts))), same.tolist()
    for row, others, _ in alike(table, table, threshold):
        one += [rows[row]] * len(others)
        other += [rows[each] for each in others]
    size = len(texts)
    links = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(size, size))
    return sparse.csgraph.connected_components(links, directed=False)[1].astype(np.intp)


def plain(text: str) -> str:
    """The text without what makes no difference: case, white space, Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(texts: Sequence[str]) -> sparse.csr_array:
    """A row a text and a column a shingle, 1 where it occurs."""
    numbers: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    starts = [0]
    for text in texts:
        found = _WORDS.findall(text)
        runs = {tuple(found[at : at + _SHINGLE]) for at in range(max(1, len(found) - _SHINGLE + 1))}
        columns += [numbers.setdefault(run, len(numbers)) for run in runs]
        starts.append(len(columns))
    ones = np.ones(len(columns), dtype=np.float64)
    return sparse.csr_array((ones, columns, starts), shape=(len(texts), max(1, len(numbers))))


def alike(
    ask: sparse.csr_array, have: sparse.csr_array, threshold: float
) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.float64]]]:
    """Rows of ``ask`` that are like rows of ``have``: the row, which ones, how much."""
    asked, had = np.diff(ask.indptr), np.diff(have.indptr)
    if not (asked.size and had.size):
        return
    columns = have.T.tocsr()
    for first in range(0, asked.size, _ROWS):
        common = (ask[first : first + _ROWS] @ columns).tocsr()
        for row, (begin, end) in enumerate(pairwise(common.indptr.tolist())):
            others, shared = common.indices[begin:end], common.data[begin:end]
            similarity = shared / (asked[first + row] + had[others] - shared)
            enough = similarity >= threshold
            if enough.any():
                yield first + row, others[enough], similarity[enough]
