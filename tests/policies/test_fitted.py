"""What was fitted on is told by its texts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.corpora.corpus import Corpus
from routingsim.policies.fitted import FittedTexts, in_sample, text_hashes


def corpus(texts: list[str], **columns: list[object]) -> Corpus:
    frame = {"id": [str(k) for k in range(len(texts))], "text": texts, **columns}
    return Corpus.from_frame(pd.DataFrame(frame))


def test_texts_are_told_and_not_files() -> None:
    whole = corpus(["one", "two", "three", "four", "five", "six"])
    known = FittedTexts.of(whole)
    assert in_sample(whole, [known]) == 1.0
    more = corpus(["ONE ", "two", "three", "four", "five"], category=["a"] * 5)
    assert more.sha256 != whole.sha256
    assert in_sample(more, [known]) == 1.0
    assert in_sample(corpus(["one", "two", "new", "newer"]), [known]) == 0.5
    assert in_sample(corpus(["new", "newer"]), [known]) == 0.0
    assert in_sample(whole, []) == in_sample(None, [known]) == 0.0
    assert repr(known) == f"FittedTexts('frame', {whole.sha256[:12]}, 6 texts)"


def test_a_part_that_was_held_out_is_not_in_sample() -> None:
    whole = corpus(["one", "two", "three", "four", "five", "two"])
    train, test = whole.select([0, 1, 2, 3]), whole.select([4])
    assert train.sha256 == test.sha256  # a part keeps the digest of the whole
    known = FittedTexts.of(train)
    assert (in_sample(train, [known]), in_sample(test, [known])) == (1.0, 0.0)
    assert in_sample(whole, [known]) == pytest.approx(5 / 6)  # "two" comes again
    assert in_sample(whole, [known, FittedTexts.of(test)]) == 1.0


def test_only_tasks_that_are_learned_from_count_and_rows_that_are_run() -> None:
    whole = corpus(["one", "two", "three", "four"])
    known = FittedTexts.of(whole, np.array([True, False, False, False]))
    assert in_sample(whole, [known]) == 0.25
    assert in_sample(whole, [known], np.array([0, 0, 0, 1])) == 0.75


def test_tasks_without_a_text_are_told_by_what_else_is_known_of_them() -> None:
    trace = corpus(["", "", ""], arrived_at=[0.0, 1.0, 2.0], prompt_tokens=[5, 6, 7])
    assert np.unique(text_hashes(trace)).size == 3
    known = FittedTexts.of(trace.select([0, 1]))
    assert in_sample(trace, [known]) == pytest.approx(2 / 3)
    other = corpus(["", "", ""], arrived_at=[0.0, 1.0, 2.0], prompt_tokens=[8, 8, 8])
    assert in_sample(other, [known]) == 0.0


@pytest.mark.slow
def test_a_policy_that_was_trained_keeps_it_through_a_file(tmp_path: Path) -> None:
    shipped, pool = rs.load_corpus("tasks"), rs.load_agents()
    learned = shipped.select(np.arange(100))
    rest = shipped.select(np.arange(100, 300))
    from routingsim.policies.storage import load_policy, save_policy
    from routingsim.simulation.training import train

    trained = train(learned, pool, "ucb1", episodes=1)
    save_policy(pool, trained, tmp_path / "ucb1.npz")
    again = load_policy(pool, tmp_path / "ucb1.npz")
    assert again.fitted_on == trained.fitted_on == (FittedTexts.of(learned),)
    assert in_sample(rest, again.fitted_on) == 0.0
    learned.to_frame().iloc[1:].assign(category="x").to_csv(tmp_path / "saved.csv", index=False)
    assert in_sample(rs.load_corpus(tmp_path / "saved.csv"), again.fitted_on) == 1.0
