"""Texts that are in both halves: found, reported, and kept together when splitting.

A figure measured on texts that a policy was fitted on flatters it. Two texts are
*exactly* the same when they differ only in case, white space or Unicode form, and
*nearly* the same when the sets of their runs of three words (shingles) have a
Jaccard similarity at or above a threshold (Broder, "On the resemblance and
containment of documents", 1997). Similarities are computed, not estimated: sparse
matrix products are quick enough for some ten thousand texts on each side.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from routingsim.errors import CorpusError, SimulationError

__all__ = ["NEAR", "Leak", "LeakReport", "find_leaks", "folds"]

NEAR = 0.8
"""Jaccard similarity of shingles from which two texts count as nearly the same."""

_SHINGLE = 3  # words
_ROWS = 256  # texts compared with all others at a time
_WORDS = re.compile(r"\w+|[^\w\s]")


class Leak(NamedTuple):
    """A test text that training has seen: positions, likeness, and which kind."""

    test: int
    train: int
    similarity: float
    kind: Literal["exact", "near"]


@dataclass(frozen=True)
class LeakReport:
    """Test texts that are also in training.

    Attributes
    ----------
    leaks : tuple of Leak
        One a test text that leaked, with the training text most like it, in order
        of the test texts.
    train, test : int
        How many texts were compared.
    threshold : float
        Similarity from which a text counts.
    """

    leaks: tuple[Leak, ...]
    train: int
    test: int
    threshold: float

    def __len__(self) -> int:
        return len(self.leaks)

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def __str__(self) -> str:
        if not self:
            return (
                f"no leak: none of {self.test:,} test texts is among {self.train:,} training texts"
            )
        exact = sum(leak.kind == "exact" for leak in self.leaks)
        return (
            f"leak: {len(self):,} of {self.test:,} test texts are among {self.train:,} training "
            f"texts ({exact:,} exactly, {len(self) - exact:,} nearly, similarity >= "
            f"{self.threshold:g}); figures on them flatter what was fitted: leave them out "
            "(LeakReport.clean) or split with folds()"
        )

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which test texts did not leak, shape (test,)."""
        keep = np.ones(self.test, dtype=bool)
        keep[[leak.test for leak in self.leaks]] = False
        return keep

    def to_frame(self) -> pd.DataFrame:
        """A row a leak: test, train, similarity, kind."""
        return pd.DataFrame(list(self.leaks), columns=list(Leak._fields))


def find_leaks(train: Sequence[str], test: Sequence[str], *, threshold: float = NEAR) -> LeakReport:
    """Look for test texts in the training texts.

    Empty texts are no leak. Texts shorter than three words are compared whole, and
    text without spaces between words (Chinese, Japanese) sentence by sentence.

    Parameters
    ----------
    train, test : sequence of str
    threshold : float
        Jaccard similarity, above 0 and up to 1.

    Raises
    ------
    SimulationError
        If the threshold is out of its range.
    """
    _check(threshold)
    seen: dict[str, int] = {}
    plain_train = [_plain(text) for text in train]
    plain_test = [_plain(text) for text in test]
    for row, text in enumerate(plain_train):
        if text:
            seen.setdefault(text, row)
    leaks = [
        Leak(row, seen[text], 1.0, "exact") for row, text in enumerate(plain_test) if text in seen
    ]
    rest = [row for row, text in enumerate(plain_test) if text and text not in seen]
    known = list(seen.values())
    texts = [plain_train[row] for row in known] + [plain_test[row] for row in rest]
    table = _shingles(texts)
    for row, others, alike in _similar(table[len(known) :], table[: len(known)], threshold):
        best = int(alike.argmax())
        leaks.append(Leak(rest[row], known[others[best]], float(alike[best]), "near"))
    return LeakReport(tuple(sorted(leaks)), len(train), len(test), threshold)


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
    _check(threshold)
    if k < 2:
        raise SimulationError(f"k={k}: two folds or more are needed")
    group = _groups([_plain(text) for text in texts], threshold)
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


def _groups(plain: list[str], threshold: float) -> NDArray[np.intp]:
    """A number for each text, the same for those that are alike."""
    first: dict[str, int] = {}
    same = np.array(
        [first.setdefault(text, row) if text else row for row, text in enumerate(plain)],
        dtype=np.intp,
    )
    rows = list(first.values())
    table = _shingles([plain[row] for row in rows])
    one, other = list(range(len(plain))), same.tolist()
    for row, others, _ in _similar(table, table, threshold):
        one += [rows[row]] * len(others)
        other += [rows[each] for each in others]
    size = len(plain)
    links = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(size, size))
    return sparse.csgraph.connected_components(links, directed=False)[1].astype(np.intp)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _shingles(texts: list[str]) -> sparse.csr_array:
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


def _similar(
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
            alike = shared / (asked[first + row] + had[others] - shared)
            enough = alike >= threshold
            if enough.any():
                yield first + row, others[enough], alike[enough]


def _check(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise SimulationError(f"threshold={threshold}: a similarity above 0 and up to 1 is needed")
