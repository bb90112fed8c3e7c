"""Leaks: test texts that also occur in the training texts, exactly or nearly.

Metrics on texts that a policy was fitted on are too favourable. Two texts are *exactly*
the same when they differ only in case, white space or Unicode form, and *nearly* the same
when the sets of their runs of three words (shingles) have a Jaccard similarity at or above
a threshold (Broder, "On the resemblance and containment of documents", 1997). Similarities
are computed, not estimated: sparse matrix products are fast enough for about ten thousand
texts on each side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.evaluation.tabular import Tabular
from routingsim.policies.folds import NEAR, alike, plain, shingles, texts_of
from routingsim.policies.folds import folds as folds  # offered beside find_leaks


class Leak(NamedTuple):
    """A test text that occurs in training: both positions, their similarity, and the kind."""

    test: int
    train: int
    similarity: float
    kind: Literal["exact", "near"]


@dataclass(frozen=True, eq=False)
class LeakReport(Tabular):
    """Test texts that also occur in the training texts.

    Attributes
    ----------
    leaks : tuple of Leak
        One for each test text that leaked, with the most similar training text, in order
        of the test texts.
    train, test : int
        Numbers of texts compared.
    threshold : float
        Lowest similarity of a near leak.
    """

    leaks: tuple[Leak, ...]
    train: int
    test: int
    threshold: float

    def __len__(self) -> int:
        return len(self.leaks)

    def __str__(self) -> str:
        if not self:
            return (
                f"no leak: none of {self.test:,} test texts is among {self.train:,} training texts"
            )
        exact = sum(leak.kind == "exact" for leak in self.leaks)
        return (
            f"leak: {len(self):,} of {self.test:,} test texts are among {self.train:,} training "
            f"texts ({exact:,} exactly, {len(self) - exact:,} nearly, similarity >= "
            f"{self.threshold:g}); metrics on them are too favourable: leave them out "
            "(LeakReport.clean) or split with folds()"
        )

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which test texts did not leak, shape (test,)."""
        keep = np.ones(self.test, dtype=bool)
        keep[[leak.test for leak in self.leaks]] = False
        return keep

    def to_frame(self) -> pd.DataFrame:
        """A row per leak: test, train, similarity, kind."""
        return pd.DataFrame(list(self.leaks), columns=list(Leak._fields))


def find_leaks(
    train: Corpus | Sequence[str], test: Corpus | Sequence[str], *, threshold: float = NEAR
) -> LeakReport:
    """Find test texts that occur in the training texts.

    Empty texts do not leak. Texts shorter than three words are compared whole, and text
    without spaces between words (Chinese, Japanese) sentence by sentence.

    Parameters
    ----------
    train, test : Corpus or sequence of str
    threshold : float
        Jaccard similarity from which two texts are nearly the same, above 0 and up to 1.

    Raises
    ------
    SimulationError
        If the threshold is out of its range, or what is given is no texts.
    """
    if not 0 < threshold <= 1:
        raise SimulationError(f"threshold={threshold}: a similarity above 0 and up to 1 is needed")
    seen: dict[str, int] = {}
    plain_train = [plain(text) for text in texts_of("train", train)]
    plain_test = [plain(text) for text in texts_of("test", test)]
    for row, text in enumerate(plain_train):
        if text:
            seen.setdefault(text, row)
    leaks = [
        Leak(row, seen[text], 1.0, "exact") for row, text in enumerate(plain_test) if text in seen
    ]
    rest = [row for row, text in enumerate(plain_test) if text and text not in seen]
    known = list(seen.values())
    texts = [plain_train[row] for row in known] + [plain_test[row] for row in rest]
    table = shingles(texts)
    asked, other, likeness = alike(table[len(known) :], table[: len(known)], threshold)
    order = np.lexsort((other, -likeness, asked))  # for each, the most similar first
    for pair in order[np.unique(asked[order], return_index=True)[1]].tolist():
        train_row, similarity = known[other[pair]], float(likeness[pair])
        leaks.append(Leak(rest[asked[pair]], train_row, similarity, "near"))
    return LeakReport(tuple(sorted(leaks)), len(plain_train), len(plain_test), threshold)
