"""Folds that keep similar texts together, so that none is predicted from itself.

Two texts are *exactly* the same when they differ only in case, white space or
Unicode form, and *nearly* the same when the sets of their runs of three words
(shingles) have a Jaccard similarity at or above a threshold (Broder, "On the
resemblance and containment of documents", 1997). Texts of one template, each with two
words changed, have few runs of words in common where they are short: texts are *alike* when
half of their shingles are the same, or when they have equally many words, nine or more, of
which at most four and at most a third differ in place. Similarities are exact, not
estimated: sparse matrix products are fast enough for some ten thousand texts.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from routingsim.caching import once
from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError, SimulationError, wrong_type

NEAR = 0.8
"""Jaccard similarity of shingles from which two texts count as nearly the same."""

ALIKE = 0.5
"""Similarity from which two texts are kept in one fold, and count as one prompt."""

CHANGED = 4
"""Words in which two texts of one template may differ: two that were changed in each."""

_TEMPLATE = 9  # words of a template, of which so many must be the same:
_KEPT = 2 / 3
_SHORT, _LETTERS = 64, 1_000  # words and characters from which a text is long
_PAIRS = 100_000  # pairs of texts compared word by word at a time
_COMMON = 100  # texts from which a shingle that most of them have is one of an instruction
_SHINGLE = 3  # words
_ROWS = 256  # texts compared with all others at a time
_WORDS = re.compile(r"\w+|[^\w\s]")


def texts_of(what: str, given: Corpus | Sequence[str]) -> list[str]:
    """Texts, or those of a corpus; a SimulationError for anything else."""
    if isinstance(given, Corpus):
        return given.tasks["text"].tolist()
    texts = None if isinstance(given, str | bytes) or not isinstance(given, Iterable) else [*given]
    if texts is None or not all(isinstance(text, str) for text in texts):
        wrong = next((each for each in texts or () if not isinstance(each, str)), given)
        raise SimulationError(wrong_type(what, wrong, "a corpus or a list of texts is needed"))
    return texts


def folds(
    texts: Corpus | Sequence[str], k: int = 5, *, seed: int = 0, threshold: float = ALIKE
) -> NDArray[np.intp]:
    """Split texts at random into ``k`` folds, with similar texts in the same fold.

    Texts that are the same or alike (:func:`groups`), directly or through a third text,
    stay together; an empty text is like no other. A corpus stands for its texts. Folds are
    as equal in size as that allows. Returned is the fold of each text, from 0: ``fold !=
    2`` trains and ``fold == 2`` tests. A ``k`` or a threshold out of its range raises a
    SimulationError, and fewer texts that differ than folds a CorpusError.
    """
    if not 0 < threshold <= 1:
        raise SimulationError(f"threshold={threshold}: a similarity above 0 and up to 1 is needed")
    if k < 2:
        raise SimulationError(f"k={k}: two folds or more are needed")
    given = texts_of("texts", texts)
    group = groups(tuple(map(plain, given)), threshold)
    sizes = np.bincount(group) if group.size else np.zeros(0, dtype=np.intp)
    if sizes.size < k:
        raise CorpusError(
            f"{len(given):,} texts, of which {sizes.size} differ: too few for {k} folds"
        )
    order = np.random.default_rng(seed).permutation(sizes.size)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(k, dtype=np.intp)
    fold = np.empty(sizes.size, dtype=np.intp)
    for each in order.tolist():
        fold[each] = filled.argmin()
        filled[fold[each]] += sizes[each]
    return fold[group]


@lru_cache(maxsize=4)
def prompts(corpus: Corpus) -> NDArray[np.intp]:
    """The number of each task's prompt, from 0, shape (tasks,): the same for texts alike.

    A task without a text is a prompt of its own.
    """
    return groups(tuple(map(plain, corpus.tasks["text"].tolist())))


@once(2)  # the predictors of a corpus share them, whatever the folds' seed
def groups(texts: tuple[str, ...], threshold: float = ALIKE) -> NDArray[np.intp]:
    """A number from 0 for each :func:`plain` text, the same for those that are alike.

    The similarity of two texts is the Jaccard similarity of their shingles or, if they
    have nine words or more and as many, of which at most four and at most a third differ,
    the share of words that are the same. Of 100 texts or more, shingles that more than
    half of them have are left out: they are of an instruction that says nothing about
    which texts are alike.
    """
    first: dict[str, int] = {}
    same = np.array(
        [first.setdefault(text, row) if text else row for row, text in enumerate(texts)],
        dtype=np.intp,
    )
    rows = np.array(list(first.values()), dtype=np.intp)
    name = np.arange(len(texts))
    name[rows] = rows[_linked([texts[row] for row in rows.tolist()], threshold)]
    found = np.unique(name[same], return_inverse=True)[1].astype(np.intp)
    found.flags.writeable = False
    return found


def _linked(texts: list[str], threshold: float) -> NDArray[np.intp]:
    """For each of some texts that differ, the first of those that it is linked with."""
    table, size = shingles(texts), len(texts)
    if size >= _COMMON:
        table = table[:, np.flatnonzero(2 * table.sum(axis=0) <= size)]
    had, columns = np.diff(table.indptr), table.T.tocsr()
    short, words = _short(texts)
    kept = max(threshold, _KEPT) - 1e-12
    every = head = np.arange(size)
    for begin in range(0, size, _ROWS):
        common = sparse.coo_array(table[begin : begin + _ROWS] @ columns)
        row, other = begin + common.row, common.col
        near = common.data >= threshold * (had[row] + had[other] - common.data)
        of_one = ~near & (row < other) & (words[row] == words[other]) & (words[row] >= _TEMPLATE)
        row, other = row[near | of_one], other[near | of_one]
        keep, maybe = near[near | of_one], np.flatnonzero(of_one[near | of_one])
        for at in np.array_split(maybe, 1 + maybe.size // _PAIRS):
            differ = (short[row[at]] != short[other[at]]).sum(axis=1)
            whole = words[row[at]]
            keep[at] = (differ <= CHANGED) & (whole - differ >= kept * whole)
        ends = np.concatenate([every, row[keep]]), np.concatenate([head, other[keep]])
        links = sparse.coo_array((np.ones(ends[0].size), ends), shape=(size, size))
        part = sparse.csgraph.connected_components(links, directed=False)[1]
        head = np.unique(part, return_index=True)[1][part]
    return head


def _short(texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The words of texts in numbers, padded with 0, and how many; of long texts 0 and none.

    A long text that differs from another in two words has most of its shingles.
    """
    numbers: dict[str, int] = {}
    table = np.zeros((len(texts), _SHORT), dtype=np.int32)
    words = np.zeros(len(texts), dtype=np.intp)
    for row, text in enumerate(texts):
        found = _WORDS.findall(text) if len(text) < _LETTERS else []
        if len(found) <= _SHORT:
            words[row] = len(found)
            table[row, : len(found)] = [numbers.setdefault(w, len(numbers) + 1) for w in found]
    return table, words


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
