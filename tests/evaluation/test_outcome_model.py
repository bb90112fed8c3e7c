import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from routingsim.errors import CorpusError
from routingsim.evaluation.outcome_model import (
    _PENALTIES,
    FOLDS,
    cross_predict,
    fold_tasks,
    text_features,
)

WORDS = ["sum", "prove", "poem", "code", "list", "red", "blue", "green", "why", "how"]


def texts_of(size: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 30))) for _ in range(size)]


def test_features_of_texts() -> None:
    texts = texts_of(200)
    labels = ["maths" if row % 4 == 0 else "rare" if row < 8 else "" for row in range(200)]
    found = text_features(texts, labels)
    assert found.values.shape == (200, len(found.names))
    np.testing.assert_allclose(found.values.mean(axis=0), 0, atol=1e-9)
    length = found.values[:, found.names.index("log length")]
    assert np.corrcoef(length, np.log1p([len(text) for text in texts]))[0, 1] > 0.999
    assert length.std() == pytest.approx(1)
    assert "category maths" in found.names
    assert "category rare" not in found.names
    assert sum(name.startswith("length group") for name in found.names) == 10
    assert any(name.startswith("text component") for name in found.names)


def test_texts_all_alike_or_none_have_no_feature() -> None:
    assert text_features(["same"] * 30).values.shape == (30, 0)
    assert text_features([""] * 30).values.shape == (30, 0)
    assert len(text_features(["a b", "c d e"] * 20).names) >= 1
    with pytest.raises(CorpusError, match="1 for 2"):
        text_features(["a", "b"], ["c"])


def test_folds_keep_alike_texts_together_unless_there_are_few() -> None:
    texts = texts_of(120) * 2
    fold = fold_tasks(texts, seed=3)
    np.testing.assert_array_equal(fold[:120], fold[120:])
    few = fold_tasks(["easy", "hard"] * 100, seed=3)
    assert np.bincount(few).tolist() == [40] * FOLDS
    assert np.unique(few[::2]).size == FOLDS


def test_ridge_is_that_of_scikit_learn() -> None:
    # RidgeCV leaves one out exactly, of which generalised cross-validation is an average; where
    # the penalty hardly matters, predictions agree.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(400)
    fold = np.arange(400) % 5
    found = cross_predict(x, fold, np.zeros(400, dtype=int), y, 1)[:, 0]
    for held in range(5):
        train, test = fold != held, fold == held
        model = RidgeCV(_PENALTIES).fit(x[train], y[train])
        np.testing.assert_allclose(found[test], model.predict(x[test]), atol=1e-2)


def test_noise_is_not_learnt() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((60, 40)), rng.standard_normal(60)
    fold = np.arange(60) % 5
    found = cross_predict(x, fold, np.zeros(60, dtype=int), y, 1)[:, 0]
    assert found.std() < 0.4 * y.std()


def test_a_task_is_predicted_without_its_own_fold() -> None:
    rng = np.random.default_rng(2)
    x, chosen = rng.standard_normal((100, 2)), rng.integers(0, 2, 100)
    y = rng.random(100)
    fold = np.arange(100) % 5
    before = cross_predict(x, fold, chosen, y, 3)
    other = np.where(fold == 2, 100.0, y)
    after = cross_predict(x, fold, chosen, other, 3)
    np.testing.assert_array_equal(before[fold == 2, :2], after[fold == 2, :2])
    assert not np.allclose(before[fold == 1, :2], after[fold == 1, :2])
    assert np.allclose(before[:, 2], y.mean())  # never chosen: the mean of what there is


def test_missing_outcomes_are_not_learnt_from() -> None:
    rng = np.random.default_rng(3)
    x, chosen = rng.standard_normal((100, 2)), rng.integers(0, 2, 100)
    y = rng.random(100)
    fold = np.arange(100) % 5
    gone, unserved = y.copy(), chosen.copy()
    gone[:10] = np.nan
    unserved[:10] = -1
    np.testing.assert_array_equal(
        cross_predict(x, fold, chosen, gone, 2), cross_predict(x, fold, unserved, y, 2)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts", "components"),
    [
        ([f"hello {number}" for number in range(60)], 4),  # of 9, what is not constant
        (["?", "!"] * 30, 0),
        ([""] * 60, 0),
        (["the same words"] * 60, 0),
    ],
    ids=["few words", "no word", "no text", "one text"],
)
def test_texts_of_few_words_have_few_components(texts: list[str], components: int) -> None:
    names = text_features(texts).names
    assert sum(name.startswith("text component") for name in names) == components
