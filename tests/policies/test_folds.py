"""Folds keep texts together that are alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import CorpusError, SimulationError
from routingsim.policies.folds import folds, groups, plain

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
