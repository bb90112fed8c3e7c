"""D_var of a corpus: from its texts, or recorded."""

import numpy as np
import pandas as pd

from routingsim.corpora.corpus import Corpus
from routingsim.scoring import score_column
from routingsim.scoring.corpora import corpus_scores

RECORDED = {"d_var": [0.25, 0.75], "length": [3, 9], "punctuation": [0, 1], "unique_tokens": [1, 2]}


def corpus(texts: list[str], **columns: list[float]) -> Corpus:
    return Corpus.from_frame(pd.DataFrame({"id": ["a", "b"], "text": texts, **columns}))


def scored(corpus: Corpus) -> pd.DataFrame:
    found = corpus_scores(corpus)
    assert found is not None
    return found


def test_texts_are_scored() -> None:
    found = scored(corpus(["One.", ""]))
    pd.testing.assert_frame_equal(found, score_column(["One.", ""]))


def test_recorded_scores_are_taken_where_there_are_no_texts() -> None:
    silent = corpus(["", ""], **RECORDED)
    assert silent.has_scores
    assert not silent.has_texts
    assert scored(silent).to_dict("list") == RECORDED
    again = Corpus.from_frame(silent.to_frame())
    assert scored(again.select([1])).to_dict("list") == {
        "d_var": [0.75], "length": [9], "punctuation": [1], "unique_tokens": [2]
    }  # fmt: skip


def test_missing_counts_are_zero_and_without_d_var_there_is_no_score() -> None:
    silent = corpus(["", ""], d_var=[0.25, np.nan])
    assert scored(silent).to_dict("list") == {
        "d_var": [0.25, 0.0], "length": [0, 0], "punctuation": [0, 0], "unique_tokens": [0, 0]
    }  # fmt: skip
    assert corpus_scores(corpus(["", ""])) is None
    assert not corpus(["", ""]).has_scores


def test_recorded_scores_are_left_where_a_text_is_there() -> None:
    spoken = corpus(["One.", ""], **RECORDED)
    assert "d_var" not in spoken.tasks
    assert "4 columns were left: d_var, length, punctuation, unique_tokens" in spoken.notes[0]
    pd.testing.assert_frame_equal(scored(spoken), score_column(["One.", ""]))
