"""D_var of a corpus's tasks: worked out from their texts, or recorded where there are none."""

from functools import lru_cache

import pandas as pd

from routingsim.corpora.corpus import Corpus
from routingsim.messages import ComplexityFactors
from routingsim.scoring.dvar import score_column


@lru_cache(maxsize=4)  # asked for again by every scenario of a study
def _scores(corpus: Corpus) -> pd.DataFrame:
    return score_column(corpus.texts)


def corpus_scores(corpus: Corpus) -> pd.DataFrame | None:
    """The complexity score of every task and the counts behind it.

    Returns
    -------
    DataFrame or None
        A row a task, columns ``d_var`` (float64), ``length``, ``punctuation`` and
        ``unique_tokens`` (int64), by :func:`routingsim.scoring.score_column`; of a corpus
        without texts what it records, 0 where a value is missing; None where it records no
        ``d_var``.
    """
    if corpus.has_texts:
        return _scores(corpus).copy(deep=False)  # pandas copies what is written to
    tasks = corpus.tasks
    if "d_var" not in tasks:
        return None
    counts = list(ComplexityFactors.__struct_fields__)
    recorded = tasks.reindex(columns=["d_var", *counts], fill_value=0.0).fillna(0.0)
    return recorded.astype(dict.fromkeys(counts, "int64"))
