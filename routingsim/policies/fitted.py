"""What a policy was fitted on: the texts, as hashes, so that figures on them are marked.

The texts are compared, and not their file: a file that was saved again, has a row less or a
column more has the texts that a policy knows, and a part of it that was held out has not.
Texts are the same where they differ only in case, white space or Unicode form; which are
nearly the same :func:`routingsim.evaluation.find_leaks` says.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.corpus import Corpus
from routingsim.policies.folds import plain


class FittedTexts(msgspec.Struct, frozen=True):
    """The texts of a corpus that something was fitted on.

    Attributes
    ----------
    corpus : str
        Name of the corpus.
    sha256 : str
        Its digest.
    hashes : bytes
        The 64-bit hashes of its different texts, rising, each in eight bytes, little-endian.
        The texts cannot be read from them.
    """

    corpus: str
    sha256: str
    hashes: bytes

    @classmethod
    def of(cls, corpus: Corpus, rows: NDArray[np.bool_] | None = None) -> Self:
        """The texts of a corpus, or of those of its tasks where a mask is true."""
        known = text_hashes(corpus)
        known = np.unique(known if rows is None else known[rows])
        return cls(corpus.name, corpus.sha256, known.tobytes())

    def __repr__(self) -> str:
        return f"FittedTexts({self.corpus!r}, {self.sha256[:12]}, {len(self.hashes) // 8:,} texts)"


@lru_cache(maxsize=4)
def text_hashes(corpus: Corpus) -> NDArray[np.uint64]:
    """A hash of each task's text, shape (tasks,).

    A task without a text, as in a trace, is identified by its id, its time and its lengths.
    """
    columns = ["id", "arrived_at", "prompt_tokens", "output_tokens"]
    table = corpus.tasks
    about = zip(*(table[name].tolist() for name in columns), strict=True)
    said = [
        plain(text) or "\0" + repr(each)
        for text, each in zip(table["text"].tolist(), about, strict=True)
    ]
    found = b"".join(
        hashlib.blake2b(each.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for each in said
    )
    return np.frombuffer(found, dtype="<u8")


def in_sample(
    corpus: Corpus | None,
    fitted_on: Iterable[FittedTexts],
    rows: NDArray[np.integer] | None = None,
) -> float:
    """The share of tasks whose texts are among those fitted on, from 0 to 1.

    Parameters
    ----------
    corpus : Corpus, optional
        The tasks; 0 for none.
    fitted_on : iterable of FittedTexts
        Of a policy.
    rows : ndarray of int, optional
        The corpus record of each task, where not each is a task once.
    """
    hashes = [np.frombuffer(each.hashes, dtype="<u8") for each in fitted_on]
    if corpus is None or not hashes or not len(corpus):
        return 0.0
    known = np.isin(text_hashes(corpus), np.concatenate(hashes))
    return float((known if rows is None else known[rows]).mean())
