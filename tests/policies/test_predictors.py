"""Predicted quality: what is learned, what never leaks, what is saved and what is refused.

The built-in predictors (builtin_predictors.py) are tested here with the class that they make.
"""

import json
import operator
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, TransformerMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.evaluation import apgr, routing_curve
from routingsim.policies.builtin_predictors import PREDICTORS, tfidf_knn, tfidf_ridge
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.folds import folds
from routingsim.policies.predictors import QualityPredictor

TOPICS = {"maths": "sum integral matrix prime proof", "poetry": "rhyme moon verse ode sonnet"}


def corpus_of(size: int = 120, *, right_wrong: bool = False, seed: int = 0) -> Corpus:
    """Agent "sage" is good at maths, "bard" at poetry; the words of a text say which it is."""
    rng = np.random.default_rng(seed)
    topic = rng.choice(list(TOPICS), size)
    texts = [" ".join(rng.choice(TOPICS[each].split(), 12)) for each in topic]
    good = np.column_stack([topic == "maths", topic == "poetry"])
    quality = np.clip(np.where(good, 0.9, 0.2) + rng.normal(0, 0.05, good.shape), 0, 1)
    if right_wrong:
        quality = (rng.random(good.shape) < quality).astype(float)
    return Corpus.from_frame(
        pd.DataFrame(
            {
                "id": [f"t{n}" for n in range(size)],
                "text": [f"{text} {n}" for n, text in enumerate(texts)],
                "category": topic,
                "outcomes.sage.quality": quality[:, 0],
                "outcomes.bard.quality": quality[:, 1],
            }
        ),
        "topics",
    )


def is_maths(corpus: Corpus) -> NDArray[np.bool_]:
    return (corpus.tasks["category"] == "maths").to_numpy(dtype=bool)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PREDICTORS)
def test_a_shipped_predictor_learns_who_is_good_at_what(kind: str) -> None:
    learned, asked = corpus_of(), corpus_of(40, seed=1)
    predictor = PREDICTORS[kind](categories=False).fit(learned, ("bard", "sage"))
    predicted = predictor.predict(asked.tasks["text"].tolist())
    assert predicted.shape == (40, 2)
    assert predicted.dtype == np.float64
    assert np.mean((predicted[:, 1] > predicted[:, 0]) == is_maths(asked)) > 0.9
    assert predictor.agents == ("bard", "sage")
    assert predictor.fitted_on == FittedTexts.of(learned)
    assert predictor.predict([]).shape == (0, 2)
    again = PREDICTORS[kind](categories=False).fit(learned, ("bard", "sage"))
    np.testing.assert_array_equal(predicted, again.predict(asked.tasks["text"].tolist()))


def test_a_category_is_learned_where_the_text_says_nothing() -> None:
    frame = corpus_of().to_frame()
    frame["text"] = [f"text number {n} of this very corpus" for n in range(len(frame))]
    blank = Corpus.from_frame(frame)
    predicted = tfidf_ridge().fit(blank).predict(["a text"] * 2, ["maths", "poetry"])
    assert predicted[0, 0] > predicted[0, 1] + 0.4
    assert predicted[1, 1] > predicted[1, 0] + 0.4
    unread = tfidf_ridge(categories=False).fit(blank).predict(["a text"] * 2, ["maths", "poetry"])
    np.testing.assert_array_equal(unread[0], unread[1])


@pytest.mark.parametrize("kind", PREDICTORS)
def test_a_category_that_was_never_seen_is_none(kind: str) -> None:
    predictor = PREDICTORS[kind]().fit(corpus_of())
    texts = corpus_of(12, seed=1).tasks["text"].tolist()
    np.testing.assert_array_equal(
        predictor.predict(texts, ["botany"] * 12), predictor.predict(texts, [""] * 12)
    )


class Remember(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Knows the answers to the texts that it has seen, and nothing else."""

    def fit(self, X: list[str], y: NDArray[np.float64]) -> "Remember":
        self.seen_ = {text.casefold(): row for text, row in zip(X, y, strict=True)}
        self.width_ = y.shape[1]
        return self

    def predict(self, X: list[str]) -> NDArray[np.float64]:
        return np.array([self.seen_.get(t.casefold(), np.full(self.width_, -1.0)) for t in X])


def test_cross_prediction_never_sees_the_text_that_it_predicts() -> None:
    corpus = corpus_of(60)
    frame = corpus.to_frame()
    twice = frame.head(20).assign(id=[f"again{n}" for n in range(20)])
    twice["text"] = twice["text"].str.upper()
    planted = Corpus.from_frame(pd.concat([frame, twice], ignore_index=True))
    predictor = QualityPredictor(Remember())
    assert (predictor.cross_predict(planted, folds=4, seed=2) == -1).all()
    assert predictor.agents == ()
    remembered = predictor.fit(planted).predict(planted.tasks["text"].tolist())
    assert (remembered >= 0).all()


@pytest.mark.slow
def test_cross_prediction_covers_tasks_without_outcomes_and_depends_on_the_seed_alone() -> None:
    corpus = corpus_of()
    frame = corpus.to_frame()
    frame.loc[:9, "outcomes.sage.quality"] = np.nan
    holed = Corpus.from_frame(frame)
    predictor = tfidf_ridge()
    one = predictor.cross_predict(holed, seed=1)
    assert not np.isnan(one).any()
    np.testing.assert_array_equal(one[:, 0] > one[:, 1], is_maths(holed))
    np.testing.assert_array_equal(one, predictor.cross_predict(holed, seed=1))
    assert (one != predictor.cross_predict(holed, seed=2)).any()


def test_any_estimator_serves_be_it_for_one_output_or_a_classifier() -> None:
    corpus = corpus_of(right_wrong=True)
    texts = corpus.tasks["text"].tolist()
    words = TfidfVectorizer
    for estimator in (
        make_pipeline(words(), Ridge()),
        make_pipeline(words(), GradientBoostingRegressor(n_estimators=5)),
        make_pipeline(words(), LogisticRegression()),
    ):
        predictor = QualityPredictor(estimator).fit(corpus)
        predicted = predictor.predict(texts)
        assert predicted.shape == (len(corpus), 2)
        assert np.mean((predicted[:, 0] > predicted[:, 1]) == is_maths(corpus)) > 0.9
        if estimator[-1].__class__ is LogisticRegression:
            assert ((predicted > 0) & (predicted < 1)).all()


class Letters(TransformerMixin, BaseEstimator):
    """An embedding of one's own: shares of some letters."""

    def fit(self, X: Any, y: Any = None) -> "Letters":
        return self

    def transform(self, X: list[str]) -> NDArray[np.float64]:
        return np.array([[text.count(c) / len(text) for c in "aemnorstx"] for text in X])


@pytest.mark.parametrize("kind", PREDICTORS)
def test_an_embedding_is_a_transformer(kind: str) -> None:
    corpus = corpus_of()
    predictor = PREDICTORS[kind](embedding=Letters()).fit(corpus)
    predicted = predictor.predict(corpus.tasks["text"].tolist())
    assert np.mean((predicted[:, 0] > predicted[:, 1]) == is_maths(corpus)) > 0.8


class Counting(Letters):
    """Counts the texts that it was asked about, over all clones; needs no fit."""

    asked: ClassVar[list[int]] = []

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def transform(self, X: list[str]) -> NDArray[np.float64]:
        self.asked.append(len(X))
        return super().transform(X)


@pytest.mark.slow
def test_an_embedding_that_needs_no_fit_is_run_once_for_all_folds() -> None:
    corpus = corpus_of(60)
    Counting.asked.clear()
    once = tfidf_ridge(embedding=Counting()).cross_predict(corpus, folds=4)
    assert Counting.asked == [60]
    np.testing.assert_array_equal(
        once, tfidf_ridge(embedding=Letters()).cross_predict(corpus, folds=4)
    )


# -- agents that are recorded on different tasks ---------------------------------------


def log_of(size: int = 120) -> Corpus:
    """Of each task the answer of one agent: sage has two in three, of both topics."""
    frame = corpus_of(size).to_frame()
    frame.loc[::3, "outcomes.sage.quality"] = np.nan
    frame.loc[frame["outcomes.sage.quality"].notna(), "outcomes.bard.quality"] = np.nan
    return Corpus.from_frame(frame, "log")


def test_each_agent_is_learned_from_the_tasks_that_record_it() -> None:
    log = log_of()
    quality = log.outcome("quality", ("sage", "bard"))
    means = np.nanmean(quality, axis=0)
    predictor = QualityPredictor(DummyRegressor()).fit(log)
    np.testing.assert_allclose(predictor.predict(["a", "b"]), [means, means], rtol=1e-12)
    crossed = QualityPredictor(DummyRegressor()).cross_predict(log, folds=4, seed=2)
    fold = folds(log.tasks["text"].tolist(), 4, seed=2)
    for held in range(4):
        others = np.nanmean(quality[fold != held], axis=0)
        np.testing.assert_allclose(crossed[fold == held], [others] * (fold == held).sum())


def test_all_agents_are_learned_from_the_same_tasks_where_nearly_all_record_all() -> None:
    frame = corpus_of(100).to_frame()
    frame.loc[:4, "outcomes.bard.quality"] = np.nan  # 95 of 100 are whole
    whole = corpus_of(100).select(np.arange(5, 100)).outcome("quality", ("sage", "bard"))
    predicted = QualityPredictor(DummyRegressor()).fit(Corpus.from_frame(frame)).predict(["a"])
    np.testing.assert_allclose(predicted[0], whole.mean(axis=0), rtol=1e-12)
    frame.loc[5, "outcomes.bard.quality"] = np.nan  # 94 of 100
    predicted = QualityPredictor(DummyRegressor()).fit(Corpus.from_frame(frame)).predict(["a"])
    every = [frame["outcomes.sage.quality"].mean(), whole[1:, 1].mean()]
    np.testing.assert_allclose(predicted[0], every, rtol=1e-12)


@pytest.mark.parametrize("kind", PREDICTORS)
def test_tasks_without_any_record_change_nothing(kind: str) -> None:
    frame = corpus_of(right_wrong=True).to_frame()
    frame.loc[::2, ["outcomes.sage.quality", "outcomes.bard.quality"]] = np.nan
    half = Corpus.from_frame(frame)
    same = half.select(np.arange(1, 120, 2))
    texts = half.tasks["text"].tolist()
    one, other = (PREDICTORS[kind]().fit(each).predict(texts) for each in (half, same))
    np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PREDICTORS)
def test_a_log_with_one_answer_a_task_teaches_who_is_good_at_what(
    kind: str, tmp_path: Path
) -> None:
    log = log_of(240)
    asked = corpus_of(40, seed=1)
    predictor = PREDICTORS[kind](categories=False).fit(log)
    texts = asked.tasks["text"].tolist()
    predicted = predictor.predict(texts)
    assert np.mean((predicted[:, 0] > predicted[:, 1]) == is_maths(asked)) > 0.8
    assert predictor.predict([]).shape == (0, 2)
    predictor.save(tmp_path / "model.skops")
    again = QualityPredictor.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict(texts), predicted)
    crossed = PREDICTORS[kind](categories=False).cross_predict(log)
    assert np.mean((crossed[:, 0] > crossed[:, 1]) == is_maths(log)) > 0.8


def test_cross_prediction_of_a_log_never_sees_the_text_that_it_predicts() -> None:
    log = log_of(60)
    assert (QualityPredictor(Remember()).cross_predict(log, folds=4, seed=2) == -1).all()
    frame = log.to_frame()
    frame.loc[::3, "text"] = "the only text that the bard ever got"
    one = Corpus.from_frame(frame, "one")
    with pytest.raises(PolicyError) as caught:
        QualityPredictor(Remember()).cross_predict(one)
    assert str(caught.value) == (
        "one: all tasks that record the quality of bard have texts that are alike, and cannot be "
        "predicted from each other; give cross_fitted=false, or a log with more texts"
    )


# -- saved and loaded -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", PREDICTORS)
def test_what_is_loaded_predicts_what_was_saved(kind: str, tmp_path: Path) -> None:
    corpus = corpus_of()
    predictor = PREDICTORS[kind]().fit(corpus)
    predictor.save(tmp_path / "model.skops")
    again = QualityPredictor.load(tmp_path / "model.skops")
    assert (again.agents, again.fitted_on) == (predictor.agents, predictor.fitted_on)
    texts, labels = corpus.tasks["text"].tolist(), corpus.tasks["category"].tolist()
    np.testing.assert_array_equal(predictor.predict(texts, labels), again.predict(texts, labels))
    assert [path.name for path in tmp_path.iterdir()] == ["model.skops"]


@pytest.mark.slow
def test_a_file_that_would_run_code_is_refused_unread(tmp_path: Path) -> None:
    import skops.io  # a second, which collecting need not take

    stranger = tmp_path / "stranger.skops"
    caller = operator.methodcaller("upper")
    evil = make_pipeline(FunctionTransformer(caller), Ridge())
    skops.io.dump({"format": 1, "estimator": evil}, stranger)
    with pytest.raises(PolicyError, match=r"stranger\.skops: holds .*methodcaller.*trusted=\["):
        QualityPredictor.load(stranger)


def test_a_transformer_of_ones_own_is_read_when_it_is_trusted(tmp_path: Path) -> None:
    corpus, path = corpus_of(), tmp_path / "own.skops"
    own = make_pipeline(FunctionTransformer(_lengths), Ridge())
    QualityPredictor(own).fit(corpus).save(path)
    named = f"{_lengths.__module__}._lengths"
    with pytest.raises(PolicyError, match=named):
        QualityPredictor.load(path)
    assert QualityPredictor.load(path, trusted=[named]).predict(["a"]).shape == (1, 2)


def _lengths(texts: list[str]) -> NDArray[np.float64]:
    return np.array([[float(len(text))] for text in texts])


def test_what_is_not_a_saved_predictor_is_said_to_be_none(tmp_path: Path) -> None:
    import skops.io

    (tmp_path / "text").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "zip", "w") as other:
        other.writestr("a.txt", "a")
    with zipfile.ZipFile(tmp_path / "odd", "w") as other:
        other.writestr("schema.json", json.dumps({"protocol": 2}))
    skops.io.dump([1, 2], tmp_path / "list")
    for name in ("text", "zip", "odd", "list", "absent"):
        with pytest.raises(PolicyError, match=rf"{name}: not a"):
            QualityPredictor.load(tmp_path / name)


# -- refused --------------------------------------------------------------------------


def test_what_cannot_be_learned_is_refused() -> None:
    corpus = corpus_of()
    frame = corpus.to_frame()
    with pytest.raises(PolicyError, match=r"no outcome of 'gpt'; it records sage, bard"):
        tfidf_knn().fit(corpus, ("sage", "gpt"))
    with pytest.raises(PolicyError, match="no outcome of 'sage'; it records nobody"):
        tfidf_knn().fit(Corpus.from_frame(frame.filter(["id", "text"])), ("sage",))
    costs = frame.filter(["id", "text"]).assign(**{"outcomes.sage.cost": 0.1})
    with pytest.raises(PolicyError, match="no task has a recorded quality of any of sage; it rec"):
        tfidf_ridge().fit(Corpus.from_frame(costs))
    few = frame.copy()
    few.loc[4:, "outcomes.bard.quality"] = np.nan
    with pytest.raises(PolicyError) as caught:
        tfidf_ridge().fit(Corpus.from_frame(few, "few"))
    assert str(caught.value) == (
        "few: the quality of bard is recorded on 4 tasks, too few to learn from; 5 or more are "
        "needed of each agent (recorded: sage 120, bard 4)"
    )
    few.loc[4, "outcomes.bard.quality"] = 0.5
    assert tfidf_ridge().fit(Corpus.from_frame(few)).agents == ("sage", "bard")
    silent = frame.assign(text="").drop(columns="category", errors="ignore")
    with pytest.raises(PolicyError, match="has no texts to predict quality from, nor categories"):
        tfidf_ridge().fit(Corpus.from_frame(silent))
    with pytest.raises(PolicyError, match=r"call fit\(corpus, agents\)"):
        tfidf_ridge().predict(["a"])
    with pytest.raises(PolicyError, match="before save"):
        tfidf_ridge().save("nowhere")


def test_a_classifier_needs_right_and_wrong_answers() -> None:
    frame = corpus_of().to_frame()
    frame["outcomes.sage.quality"] = 1.0
    with pytest.raises(PolicyError, match=r"sage is right on all 120 tasks .* use a regressor"):
        PREDICTORS["logistic"]().fit(Corpus.from_frame(frame))


def test_what_scikit_learn_refuses_is_passed_on_with_the_corpus() -> None:
    rare = QualityPredictor(make_pipeline(TfidfVectorizer(min_df=2), Ridge()))
    with pytest.raises(PolicyError, match="cannot be fitted on 1 tasks of topics"):
        rare.fit(corpus_of().head(1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(PREDICTORS) - {"logistic"}))
def test_few_tasks_are_enough_to_fit_on(kind: str) -> None:
    for size in (1, 2, 15):
        corpus = corpus_of().head(size)
        predicted = PREDICTORS[kind]().fit(corpus).predict(["?!", "", "sum matrix"])
        assert np.isfinite(predicted).all()


# -- real data ------------------------------------------------------------------------


@pytest.mark.reference
def test_predictions_on_gsm8k_are_ahead_of_length(shared_data: Path) -> None:
    from routingsim.corpora.datasets import load_corpus

    corpus = load_corpus(shared_data / "gsm8k_responses.csv")
    names = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
    weak, strong = corpus.outcome("quality", names).T
    for kind, least in (("ridge", 0.64), ("knn", 0.63), ("blend", 0.65)):
        predicted = PREDICTORS[kind]().cross_predict(corpus, names)
        assert apgr(routing_curve(predicted[:, 1] - predicted[:, 0], weak, strong)) > least
