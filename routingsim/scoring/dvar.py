"""D_var, the complexity score of a text: one text, or a column of a million.

Of a text with L characters (code points), P punctuation characters (Unicode categories P
and S) and U unique tokens (case-folded as ``str.casefold`` does, split on white space as
``str.split`` does)::

    d_var = 0.5 * L / (L + 25)  +  0.2 * P / (P + 2)  +  0.3 * U / (U + 15)

The score lies in [0, 1) and rises in each factor. A factor reaches half its weight at its
half-saturation point (25 characters, 2 marks, 15 tokens). Weights and points are
parameters: :class:`DvarWeights`.
"""

import math
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar
from unicodedata import category

from routingsim.errors import CorpusError, PolicyError, type_of
from routingsim.messages import ComplexityFactors, ComplexityScore
from routingsim.threads import mapped

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DvarWeights:
    """Weights and half-saturation points of the three factors of D_var.

    Parameters
    ----------
    length, punctuation, unique_tokens : float
        Weight of each factor: 0 or more, together 1.
    half_length, half_punctuation, half_unique_tokens : float
        The count at which a factor reaches half its weight: more than 0.

    Raises
    ------
    PolicyError
        If a number is out of its range or the weights do not add up to 1.
    """

    length: float = 0.5
    punctuation: float = 0.2
    unique_tokens: float = 0.3
    half_length: float = 25.0
    half_punctuation: float = 2.0
    half_unique_tokens: float = 15.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            half = field.name.startswith("half_")
            if not (value > 0 if half else value >= 0) or not math.isfinite(value):
                allowed = "more than 0" if half else "0 or more"
                raise PolicyError(
                    f"DvarWeights.{field.name} is {value!r}: it must be finite and {allowed}"
                )
        total = self.length + self.punctuation + self.unique_tokens
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise PolicyError(
                f"the weights of DvarWeights add up to {total:g} (length={self.length!r}, "
                f"punctuation={self.punctuation!r}, unique_tokens={self.unique_tokens!r}): "
                f"they must add up to 1, or divide each by {total:g}"
            )


DEFAULT_WEIGHTS = DvarWeights()
"""The weights and half-saturation points that D_var is defined with."""


_Counts = TypeVar("_Counts", float, "NDArray[Any]")


def d_var(
    length: _Counts,
    punctuation: _Counts,
    unique_tokens: _Counts,
    weights: DvarWeights = DEFAULT_WEIGHTS,
) -> _Counts:
    """D_var of given counts: numbers, or arrays or Series of one shape.

    Parameters
    ----------
    length, punctuation, unique_tokens : int or array of int
        Counts of characters, punctuation characters and unique tokens.
    weights : DvarWeights, optional

    Returns
    -------
    float or array of float64
        The score in [0, 1).
    """
    return (
        weights.length * (length / (length + weights.half_length))
        + weights.punctuation * (punctuation / (punctuation + weights.half_punctuation))
        + weights.unique_tokens * (unique_tokens / (unique_tokens + weights.half_unique_tokens))
    )


_PART = 4 << 20  # bytes of texts that one thread scores at a time
_ASCII_MARKS = string.punctuation.encode()
_WORDS_AND_SPACES = re.compile(r"[^\W_]+|\s+")  # letters, numbers, white space: never P or S


def score(text: str, weights: DvarWeights = DEFAULT_WEIGHTS) -> ComplexityScore:
    """D_var of one text, by its definition.

    Parameters
    ----------
    text : str
    weights : DvarWeights, optional

    Returns
    -------
    ComplexityScore
        The score and the three counts behind it.

    Raises
    ------
    TypeError
        If ``text`` is not a str.

    Examples
    --------
    >>> score("Implement a binary search in Python with type hints").factors
    ComplexityFactors(length=51, punctuation=0, unique_tokens=9)
    """
    if not isinstance(text, str):
        raise TypeError(f"score() takes a str, not {type(text).__name__}: {text!r:.60}")
    length = len(text)
    if text.isascii():
        punctuation = length - len(text.encode().translate(None, _ASCII_MARKS))
    else:
        rest = _WORDS_AND_SPACES.sub("", text)
        punctuation = sum(category(char)[0] in "PS" for char in rest)
    unique_tokens = len(set(text.casefold().split()))
    return ComplexityScore(
        d_var(length, punctuation, unique_tokens, weights),
        ComplexityFactors(length, punctuation, unique_tokens),
    )


def score_column(
    texts: "Iterable[str] | pa.Array | pa.ChunkedArray", weights: DvarWeights = DEFAULT_WEIGHTS
) -> "pd.DataFrame":
    """D_var of every text of a column: the same numbers as :func:`score`, faster.

    A compiled kernel reads Arrow's buffers in place (``benchmarks/scoring.py`` compares it
    with the plain definition). Columns of more than 4 MB are shared among threads, one a
    core; the kernel releases the GIL.
    The first call in a process loads the compiler, and the first ever compiles the kernel.

    Parameters
    ----------
    texts : pandas Series, pyarrow string Array or ChunkedArray, or iterable of str
        No nulls. A Series or array in Arrow's string layout is not copied.
    weights : DvarWeights, optional

    Returns
    -------
    pandas.DataFrame
        One row a text with ``d_var`` (float64), ``length``, ``punctuation`` and
        ``unique_tokens`` (int64); on a Series' own index.

    Raises
    ------
    CorpusError
        If a row is null, not a text or not valid Unicode, or the column is not of texts.
    TypeError
        If ``texts`` is a single text or a DataFrame.
    """
    import numpy as np
    import pandas as pd

    from routingsim.scoring.kernel import count_texts

    column = _large_strings(texts)
    parts: list[tuple[Any, Any]] = []  # some bytes, and where texts begin and end in them
    for chunk in column.chunks:
        if len(chunk):
            _, offsets, data = chunk.buffers()
            ends = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
            split = np.searchsorted(ends, np.arange(ends[0] + _PART, ends[-1], _PART))
            edges = [0, *split.tolist(), len(chunk)]
            bytes_ = np.frombuffer(data or b"", np.uint8)
            parts += [(bytes_, ends[a : b + 1]) for a, b in pairwise(edges) if a < b]
    found = mapped(lambda part: count_texts(*part), parts)
    counts = np.concatenate([np.empty((3, 0), np.int64), *found], axis=1)
    columns = dict(zip(ComplexityFactors.__struct_fields__, counts, strict=True))
    return pd.DataFrame(
        {"d_var": d_var(**columns, weights=weights), **columns},
        index=texts.index if isinstance(texts, pd.Series) else None,
    )


def _large_strings(texts: Any) -> "pa.ChunkedArray":
    """The column in Arrow's ``large_string`` layout, without nulls, checked as UTF-8."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(texts, str | bytes | pd.DataFrame) or not hasattr(texts, "__iter__"):
        raise TypeError(
            f"score_column() takes a column of texts, not {type_of(texts)}: "
            "for one text call score(), of a DataFrame pass one column"
        )
    if isinstance(texts, pd.Series) and isinstance(texts.dtype, pd.StringDtype | pd.ArrowDtype):
        texts = pa.array(texts)
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        return pa.chunked_array([_from_list(list(texts))])
    column = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts])
    if column.type not in (pa.string(), pa.large_string(), pa.string_view()):
        raise CorpusError(
            f"the column to score is of type {column.type}: it must be string, large_string "
            "or string_view; if it holds texts, cast it"
        )
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise CorpusError(
            f"row {row} (from 0) of the column to score is null, as are {column.null_count} in "
            "all: every row must be a text; drop them, or fill them with ''"
        )
    try:
        column.validate(full=True)  # readers of Arrow and Parquet files do not check UTF-8
    except pa.ArrowInvalid as error:
        raise CorpusError(f"the column to score is not valid UTF-8: {error}") from error
    return column.cast(pa.large_string())


def _from_list(texts: list[Any]) -> "pa.Array":
    import pyarrow as pa

    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise CorpusError(
                f"row {row} (from 0) of the column to score is {type(text).__name__} "
                f"{text!r:.60}: every row must be a str"
            )
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        row = next(row for row, text in enumerate(texts) if text == error.object)
        raise CorpusError(
            f"row {row} (from 0) of the column to score holds a lone surrogate, "
            f"{error.object[error.start]!r} at character {error.start}, which no UTF-8 text "
            "can: repair it with text.encode('utf-8', 'replace').decode()"
        ) from error
