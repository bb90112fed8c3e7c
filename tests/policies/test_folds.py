"""Folds keep texts together that are alike."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError, SimulationError
from routingsim.policies.folds import folds, groups, plain, prompts

LONG = "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May"
TEXTS = [
    LONG,
    "Weng earns $12 an hour for babysitting",
    LONG.upper() + "  ",
    LONG.replace("May", "June"),
    "Betty is saving money for a new wallet",
    "",
    "",
]


def test_alike_are_those_that_differ_in_case_space_or_a_word() -> None:
    group = groups(tuple(map(plain, TEXTS)))
    assert group[0] == group[2] == group[3]
    assert len(set(group.tolist())) == 5


TEMPLATE = "please write a short and friendly reply about {} to the customer in {}"


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        # 13 words each; two, then four and five differ in place
        (TEMPLATE.format("prices", "rome"), TEMPLATE.format("delays", "oslo"), True),
        (
            TEMPLATE.format("prices", "rome"),
            TEMPLATE.format("delays", "oslo").replace("short", "long").replace("reply", "note"),
            True,
        ),
        (
            TEMPLATE.format("prices", "rome"),
            TEMPLATE.format("delays", "oslo")
            .replace("short", "long")
            .replace("reply", "note")
            .replace("customer", "owner"),
            False,
        ),
        # nine words, of which three and four differ; eight, of which two do
        ("a b c d e f g h i", "a b c d e f x y z", True),
        ("a b c d e f g h i", "a b c d e w x y z", False),
        ("a b c d e f g h", "a b x d e f y h", False),
        # Of 12 shingles 10 are in common, then of 7 one.
        ("a b c d e f g h i j k l m", "b c d e f g h i j k l m n", True),
        ("a b c d e f", "d e f g h i", False),
    ],
)
def test_texts_of_one_template_are_alike(one: str, other: str, together: bool) -> None:
    group = groups((one.casefold(), other.casefold()))
    assert (group[0] == group[1]) == together


def test_an_instruction_before_every_text_does_not_make_them_alike() -> None:
    said = "you are a kind assistant and answer each question with one letter only : "
    texts = [f"{said}{word} {word}s {word}ing {word}ed" for word in map(str, range(100))]
    assert np.unique(groups(tuple(texts))).size == 100
    assert np.unique(groups(tuple(texts[:99]))).size == 1  # of so few it may be a template


def test_prompts_are_numbered_in_their_order() -> None:
    frame = pd.DataFrame({"id": list("abcdef"), "text": ["one", "two", "ONE ", "", "", "two"]})
    assert prompts(Corpus.from_frame(frame)).tolist() == [0, 1, 0, 2, 3, 1]


def test_variants_of_a_template_share_a_fold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = [f"word{i}" for i in range(500)]
    texts, group = [], []
    for template in range(12):
        body = rng.choice(words, 14).tolist()
        for _ in range(10):
            mine = list(body)
            for place in rng.choice(14, 2, replace=False):
                mine[place] = str(rng.choice(words))
            texts.append(" ".join(mine))
            group.append(template)
    fold = folds(texts, 3, seed=1)
    for template in range(12):
        assert np.unique(fold[np.array(group) == template]).size == 1


@pytest.mark.slow
@given(
    rows=st.lists(st.sampled_from(TEXTS), min_size=12, max_size=40),
    k=st.integers(2, 3),
    seed=st.integers(0, 99),
)
def test_folds_are_all_there_and_never_split_what_is_alike(
    rows: list[str], k: int, seed: int
) -> None:
    texts = [*rows, "one more text of its own", "another one that is like no other"]
    fold = folds(texts, k, seed=seed)
    assert set(fold.tolist()) == set(range(k))
    for text in set(texts) - {""}:
        assert len({f for f, each in zip(fold.tolist(), texts, strict=True) if each == text}) == 1
    np.testing.assert_array_equal(fold, folds(texts, k, seed=seed))


def test_folds_that_cannot_be_are_refused() -> None:
    with pytest.raises(SimulationError, match="k=1: two folds or more"):
        folds(TEXTS, 1)
    with pytest.raises(SimulationError, match=r"threshold=1\.5"):
        folds(TEXTS, 2, threshold=1.5)
    with pytest.raises(CorpusError, match="3 texts, of which 1 differ: too few for 2 folds"):
        folds(["a b c d"] * 3, 2)
