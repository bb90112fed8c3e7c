"""Texts on both sides are found, and stay on one side."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation import find_leaks, folds


@pytest.fixture(scope="module")
def questions(shared_data: Path) -> list[str]:
    return load_corpus(shared_data / "gsm8k_responses.csv").tasks["text"].tolist()


def naive_similarity(one: str, other: str) -> float:
    """Jaccard of runs of three words, for texts without punctuation."""

    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[k : k + 3]) for k in range(max(1, len(words) - 2))}

    a, b = runs(one), runs(other)
    return len(a & b) / len(a | b)


def test_planted_leaks_are_caught(questions: list[str]) -> None:
    train, test = questions[:900], questions[900:]
    assert not find_leaks(train, test)
    planted = list(test)
    planted[5] = train[17]
    planted[50] = "  " + train[18].upper().replace(" ", "\n ") + " "
    planted[200] = train[19] + " Think step by step."
    report = find_leaks(train, planted)
    assert [(leak.test, leak.train, leak.kind) for leak in report.leaks] == [
        (5, 17, "exact"),
        (50, 18, "exact"),
        (200, 19, "near"),
    ]
    assert 0.8 <= report.leaks[2].similarity < 1
    assert np.flatnonzero(~report.clean).tolist() == [5, 50, 200]
    assert str(report).startswith("leak: 3 of 419 test texts are among 900 training texts (2 exac")
    assert report.to_frame()["train"].tolist() == [17, 18, 19]
    found = report.to_dict()
    assert (found["train"], found["test"], len(found["rows"])) == (900, 419, 3)
    assert found["rows"][0] == {"test": 5, "train": 17, "similarity": 1.0, "kind": "exact"}
    lines = report.to_markdown().splitlines()
    assert lines[0] == "| test | train | similarity | kind |"
    assert lines[2] == "| 5 | 17 | 1.00 | exact |"
    assert "3 of 419 test texts" in report.to_html()


def test_symbols_count_and_other_questions_are_no_leak() -> None:
    assert not find_leaks(["2 + 2", "a short one"], ["2 - 2", "another one", "", "  "])
    assert not find_leaks(["", " "], ["", "x"])
    assert str(find_leaks(["a"], ["b"])) == (
        "no leak: none of 1 test texts is among 1 training texts"
    )


def test_other_unicode_forms_are_the_same_text() -> None:
    report = find_leaks(["ﬁnd the CAFÉ"], ["find the cafe\u0301"])
    assert [leak.kind for leak in report.leaks] == ["exact"]


def naive_alike(one: str, other: str) -> bool:
    """By shingles or, where one is shared, word by word."""
    similarity = naive_similarity(one, other)
    a, b = one.split(), other.split()
    if similarity >= 0.5 or not similarity or len(a) != len(b) or len(a) < 9:
        return similarity >= 0.5
    differ = sum(x != y for x, y in zip(a, b, strict=True))
    return differ <= 4 and 3 * differ <= len(a)


words = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12).map(" ".join)


@given(st.lists(words, min_size=1, max_size=8), st.lists(words, min_size=1, max_size=8))
def test_leaks_by_the_slow_way(train: list[str], test: list[str]) -> None:
    found = {leak.test: leak for leak in find_leaks(train, test, threshold=0.5).leaks}
    for row, text in enumerate(test):
        best = max(naive_similarity(text, other) for other in train)
        assert (row in found) == (best >= 0.5)
        if row in found:
            assert found[row].similarity == pytest.approx(best)
            assert naive_similarity(text, train[found[row].train]) == pytest.approx(best)
            assert (found[row].kind == "exact") == (text in train)


@given(st.lists(words, min_size=2, max_size=20), st.integers(0, 3))
def test_folds_keep_what_is_alike_together(texts: list[str], seed: int) -> None:
    try:
        fold = folds(texts, 2, seed=seed, threshold=0.5)
    except CorpusError:  # all alike: proven by a chain over every text
        reached, edge = {0}, [0]
        while edge:
            at = edge.pop()
            near = {k for k, t in enumerate(texts) if naive_alike(texts[at], t)}
            edge += near - reached
            reached |= near
        assert len(reached) == len(texts)
        return
    assert set(fold) == {0, 1}
    for a, one in enumerate(texts):
        for b, other in enumerate(texts):
            if naive_alike(one, other):
                assert fold[a] == fold[b]


def test_folds_are_even_random_and_repeatable(questions: list[str]) -> None:
    fold = folds(questions, 5, seed=1)
    assert np.ptp(np.bincount(fold)) <= 1
    assert np.array_equal(folds(questions, 5, seed=1), fold)
    assert not np.array_equal(folds(questions, 5, seed=2), fold)
    # Where every fold trains on the others, no text leaks, planted or not.
    planted = questions + questions[:40] + [text + " Please." for text in questions[40:80]]
    fold = folds(planted, 5, seed=1)
    for held in range(5):
        train = [text for text, at in zip(planted, fold, strict=True) if at != held]
        test = [text for text, at in zip(planted, fold, strict=True) if at == held]
        assert not find_leaks(train, test)


def test_empty_texts_are_not_alike() -> None:
    assert np.bincount(folds([""] * 10, 5)).tolist() == [2] * 5


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SimulationError, match="threshold=0"):
        find_leaks(["a"], ["b"], threshold=0)
    with pytest.raises(SimulationError, match="two folds"):
        folds(["a", "b"], 1)
    with pytest.raises(CorpusError, match="3 texts, of which 1 differ"):
        folds(["a", "A", " a"], 2)


def test_corpora_are_taken_and_what_is_no_text_is_refused() -> None:
    def corpus(*texts: str) -> Corpus:
        return Corpus.from_frame(pd.DataFrame({"id": list("abc"[: len(texts)]), "text": texts}))

    train, test = corpus("one text", "two", "three"), corpus("four", "ONE  text")
    assert find_leaks(train, test).leaks == find_leaks(["one text"], ["four", "one text"]).leaks
    assert (len(find_leaks(train, ["two"])), find_leaks(train, test).train) == (1, 3)
    assert sorted(folds(train, 3).tolist()) == [0, 1, 2]
    for wrong, said in (
        ("one text", "train: 'one text' is a str; a corpus or a list of texts is needed"),
        (3, "train: 3 is an int;"),
        (["one", None], "train: None is a NoneType;"),
    ):
        with pytest.raises(SimulationError, match=said):
            find_leaks(wrong, test)  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match="texts: 7 is an int"):
        folds([7])  # type: ignore[list-item]
