"""The policies by predicted quality: whom they choose, what they may know, what they refuse.

How they are fitted to a corpus (crossfit.py) is tested here too.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.errors import PolicyError
from routingsim.evaluation.compare import compare
from routingsim.policies import kmeans, knn, make_policy, ridge, utility
from routingsim.policies.builtin_predictors import PREDICTORS
from routingsim.policies.crossfit import builtin_fits
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import PoolView, TaskView
from routingsim.policies.predictors import QualityPredictor
from routingsim.simulation.arrivals import Poisson
from routingsim.simulation.replay import replay
from routingsim.simulation.stability import ABOVE

POOL = AgentPool(
    (
        Agent(id="sage", name="Sage", cost=0.02, latency=2.0, concurrency=2, output_tokens=500),
        Agent(id="bard", name="Bard", cost=0.01, latency=1.0, concurrency=2, outcome="poet"),
    )
)
WORDS = {"maths": "sum integral matrix prime proof", "poetry": "rhyme moon verse ode sonnet"}
KINDS = sorted(PREDICTORS)
POOL_NAMES = ("sage", "poet")


def frame_of(size: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    topic = rng.choice(list(WORDS), size)
    texts = [f"{' '.join(rng.choice(WORDS[each].split(), 10))} {n}" for n, each in enumerate(topic)]
    return pd.DataFrame(
        {
            "id": [f"t{n}" for n in range(size)],
            "text": texts,
            "category": topic,
            "outcomes.sage.quality": np.where(topic == "maths", 0.9, 0.6),
            "outcomes.poet.quality": np.where(topic == "poetry", 0.7, 0.1),
            "outcomes.poet.cost": np.linspace(0.001, 0.003, size),
        }
    )


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.from_frame(frame_of(), "topics")


def task(predicted: list[float], tokens: float = 100.0) -> TaskView:
    key = np.uint64(1)
    return TaskView(0, 0, 0.0, key, 0.5, tokens, -1, np.zeros(0), np.array(predicted))


def seen(wait: tuple[float, float] = (0.0, 0.0), up: tuple[int, int] = (1, 1)) -> PoolView:
    none = np.zeros(2, np.int64)
    slots = POOL.column("concurrency").astype(np.int64)
    return PoolView(
        *(none, none, slots, POOL.column("cost"), np.array(wait)),
        service=POOL.column("latency"),
        up=np.array(up, np.int64),
    )


# -- the choice ----------------------------------------------------------------------


def test_utility_weighs_quality_cost_and_latency(corpus: Corpus) -> None:
    def choice(predicted: list[float], wait: tuple[float, float] = (0.0, 0.0), **weights) -> str:
        policy = utility(POOL, corpus, **{"w_cost": 0.0, "w_latency": 0.0, **weights})
        return POOL.ids[policy.choose(task(predicted), seen(wait), policy.memory)]

    assert choice([0.6, 0.5]) == "sage"
    assert choice([0.5, 0.6]) == "bard"
    # Sage costs 0.02 x (100 + 500) / 1,000 = 0.012 USD, Bard 0.002 as recorded.
    assert choice([0.6, 0.5], w_cost=9.9) == "sage"
    assert choice([0.6, 0.5], w_cost=10.1) == "bard"
    # Sage takes a second more, and two when there is one to wait for.
    assert choice([0.6, 0.5], w_latency=0.09) == "sage"
    assert choice([0.6, 0.5], w_latency=0.11) == "bard"
    assert choice([0.6, 0.5], (1.0, 0.0), w_latency=0.051) == "bard"
    assert choice([0.6, 0.5], (0.0, 1.1), w_latency=0.11) == "sage"
    assert choice([0.6, 0.5], w_quality=2.0, w_latency=0.11) == "sage"


def test_a_modelled_cost_grows_with_the_prompt(corpus: Corpus) -> None:
    policy = ridge(POOL, corpus, w_cost=1.0)
    short, long = (task([0.5, 0.49], tokens) for tokens in (0.0, 200.0))
    assert policy.choose(short, seen(), policy.memory) == 0  # 0.010 against 0.002: by 0.002
    assert policy.choose(long, seen(), policy.memory) == 1  # 0.014 against 0.002


def test_recorded_answers_make_the_cost(corpus: Corpus) -> None:
    frame = frame_of().assign(**{"outcomes.sage.output_tokens": 50.0})
    call, token = ridge(POOL, Corpus.from_frame(frame)).memory[5:].reshape(2, 2)
    np.testing.assert_allclose(call, [0.02 * 50 / 1000, 0.002])
    np.testing.assert_allclose(token, [0.02 / 1000, 0.0])


def test_who_is_down_is_passed_over_and_no_prediction_means_the_mean(corpus: Corpus) -> None:
    for policy in (utility(POOL, corpus), knn(POOL, corpus)):
        assert policy.choose(task([0.9, 0.1]), seen(up=(0, 1)), policy.memory) == 1
    policy = knn(POOL, corpus)
    assert policy.choose(task([]), seen(), policy.memory) == 0
    np.testing.assert_allclose(
        policy.memory[3:5], corpus.outcome("quality", ["sage", "poet"]).mean(0)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_quality_alone_is_followed_into_the_longest_queue(kind: str, corpus: Corpus) -> None:
    policy = make_policy(POOL, kind, corpus)
    assert policy.choose(task([0.51, 0.5]), seen(wait=(1e6, 0.0)), policy.memory) == 0


@pytest.mark.slow
def test_under_load_utility_spreads_and_quality_alone_queues(corpus: Corpus) -> None:
    def run(policy: str):
        return replay(corpus, POOL, policy, arrivals=Poisson(2.5), tasks=3000, seed=4)

    blind, aware = run("ridge"), run("utility:w_cost=0,w_latency=0.2")
    assert blind.stability.verdict == "growing"
    assert aware.stability.verdict not in ABOVE
    share = aware.summary().loc["bard", "share"] - blind.summary().loc["bard", "share"]
    assert share > 0.05
    assert aware.overall["latency_p95"] < blind.overall["latency_p95"] / 5
    assert aware.overall["quality"] < blind.overall["quality"]


# -- what it may know -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_is_predicted_from_folds_that_do_not_hold_the_task(
    kind: str, corpus: Corpus
) -> None:
    if kind == "logistic":
        frame = frame_of()
        frame["outcomes.sage.quality"] = (np.arange(len(frame)) % 3 > 0).astype(float)
        corpus = Corpus.from_frame(frame, "right or wrong")
    policy = make_policy(POOL, kind, corpus)
    assert policy.predict is not None
    assert policy.fitted_on == ()
    texts, labels = corpus.tasks["text"].tolist(), corpus.tasks["category"].tolist()
    names = ("sage", "poet")
    crossed = PREDICTORS[kind]().cross_predict(corpus, names)
    whole = PREDICTORS[kind]().fit(corpus, names)
    np.testing.assert_array_equal(policy.predict(texts, labels), crossed)
    mixed = policy.predict([texts[7], "a new sonnet of the moon", texts[3]], ["", "", ""])
    np.testing.assert_array_equal(mixed[[0, 2]], crossed[[7, 3]])
    np.testing.assert_array_equal(mixed[1:2], whole.predict(["a new sonnet of the moon"], [""]))

    told = make_policy(POOL, f"{kind}:cross_fitted=false", corpus)
    assert told.predict is not None
    assert told.fitted_on == (FittedTexts.of(corpus),)
    np.testing.assert_array_equal(told.predict(texts, labels), whole.predict(texts, labels))


def test_one_fit_serves_all_policies_that_share_it(corpus: Corpus) -> None:
    builtin_fits.cache_clear()
    for w_cost in (0.0, 1.0, 2.0):
        ridge(POOL, corpus, w_cost=w_cost)
    assert builtin_fits.cache_info().misses == 1
    ridge(POOL, corpus, alpha=1.0)
    ridge(POOL, Corpus.from_frame(frame_of(60)))
    assert builtin_fits.cache_info().misses == 3


@pytest.mark.slow
def test_a_predictor_of_ones_own_serves_fitted_or_not(corpus: Corpus) -> None:
    own = QualityPredictor(make_pipeline(TfidfVectorizer(), Ridge()))
    policy = utility(POOL, corpus, predictor=own)
    assert policy.predict is not None
    texts = corpus.tasks["text"].tolist()
    crossed = own.cross_predict(corpus, ("sage", "poet"))
    np.testing.assert_array_equal(policy.predict(texts, [""] * len(texts)), crossed)
    assert own.agents == ()

    own.fit(corpus, ("poet", "sage"))
    fitted = utility(POOL, predictor=own)
    assert fitted.predict is not None
    assert fitted.fitted_on == (FittedTexts.of(corpus),)
    np.testing.assert_array_equal(
        fitted.predict(texts[:3], [""] * 3), own.predict(texts[:3])[:, ::-1]
    )


# -- logs with one answer a task ------------------------------------------------------


def log_of(size: int = 80) -> Corpus:
    """Sage has the even tasks, the poet the odd ones."""
    frame = frame_of(size).drop(columns="outcomes.poet.cost")
    frame.loc[1::2, "outcomes.sage.quality"] = np.nan
    frame.loc[::2, "outcomes.poet.quality"] = np.nan
    return Corpus.from_frame(frame, "log")


@pytest.mark.slow
def test_a_log_with_one_answer_a_task_is_learned_from_with_a_note() -> None:
    log = log_of()
    policy = ridge(POOL, log)
    said = "ridge: quality models of sage saw 40, poet saw 40 of 80 tasks"
    assert policy.notes == (said,)
    assert policy.fitted_on == ()
    assert policy.predict is not None
    predicted = policy.predict(log.tasks["text"].tolist(), log.tasks["category"].tolist())
    np.testing.assert_array_equal(predicted, PREDICTORS["ridge"]().cross_predict(log, POOL_NAMES))
    maths = (log.tasks["category"] == "maths").to_numpy()
    assert np.mean((predicted[:, 0] > predicted[:, 1]) == maths) > 0.8
    quality = log.outcome("quality", POOL_NAMES)
    np.testing.assert_allclose(policy.memory[3:5], np.nanmean(quality, axis=0))
    assert said in replay(log, POOL, policy, arrivals=Poisson(0.1)).notes
    study = compare(log, POOL, [policy, "random"], loads=0.3, replications=2, controls=False)
    assert said in study.notes


def test_a_complete_corpus_needs_no_note(corpus: Corpus) -> None:
    for kind in ("ridge", "knn", "utility"):
        assert make_policy(POOL, kind, corpus).notes == ()


def test_a_margin_without_common_tasks_is_said_to_have_no_effect() -> None:
    assert knn(POOL, log_of()).notes[1:] == (
        "knn: its margin compares agents on the same tasks, and these are recorded on different "
        "ones: it has no effect",
    )
    assert len(knn(POOL, log_of(), margin=0.0).notes) == 1


@pytest.mark.slow
def test_a_share_of_the_cost_is_that_of_the_agent_predicted_best() -> None:
    """Sage is better over all; the means of a log that gave it the hard ones say otherwise."""
    frame = frame_of(400)
    maths = (frame["category"] == "maths").to_numpy()
    frame["outcomes.poet.quality"] = np.where(maths, 0.85, 0.1)
    frame["outcomes.sage.quality"] = np.where(maths, 0.9, 0.2)
    served = np.where(maths, np.arange(400) % 8 == 0, np.arange(400) % 8 > 0)  # by sage
    frame.loc[~served, "outcomes.sage.quality"] = np.nan
    frame.loc[served, "outcomes.poet.quality"] = np.nan
    log = Corpus.from_frame(frame.drop(columns="outcomes.poet.cost"), "log")
    raw = np.nanmean(log.outcome("quality", POOL_NAMES), axis=0)
    assert raw[0] < raw[1]
    policy = ridge(POOL, log, cost_share=0.99, alpha=0.1)
    # 99 % of the poet's cost, a third of sage's, would be less than anybody takes.
    assert replay(log, POOL, policy, arrivals=Poisson(0.1)).summary().loc["sage", "share"] > 0.9


@pytest.mark.slow
def test_too_few_texts_for_folds_make_the_figures_in_sample() -> None:
    frame = frame_of()
    frame["text"] = np.where(frame["category"] == "maths", "prove this sum", "rhyme on the moon")
    frame.loc[1::2, "outcomes.sage.quality"] = np.nan
    frame.loc[::2, "outcomes.poet.quality"] = np.nan
    log = Corpus.from_frame(frame, "log")
    for spec in ("ridge", "ridge:cost_share=0.9"):
        policy = make_policy(POOL, spec, log)
        assert policy.fitted_on == (FittedTexts.of(log),)
        assert policy.notes[-1] == (
            "ridge: too few texts differ for 5 folds: it is fitted on the tasks that it predicts, "
            "and its figures are in-sample"
        )
        assert policy.predict is not None
        predicted = policy.predict(["prove this sum", "rhyme on the moon"], ["maths", "poetry"])
        assert (predicted.argmax(axis=1) == [0, 1]).all()


# -- the contract ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_policy_of_one_corpus_serves_another(corpus: Corpus) -> None:
    """Some texts and categories are of one alone, some texts of both."""
    frame = frame_of().head(20).assign(id=[f"new{n}" for n in range(20)])
    frame.loc[:9, "text"] = [f"of another kind {n}" for n in range(10)]
    frame.loc[5:, "category"] = "botany"
    other = Corpus.from_frame(frame, "other")
    policy = make_policy(POOL, "ridge:cost_share=0.9", corpus)
    assert policy.predict is not None
    result = replay(other, POOL, policy, arrivals=Poisson(0.1))
    assert result.overall["ok"] == 20
    told = policy.predict(other.tasks["text"].tolist(), other.tasks["category"].tolist())
    crossed = policy.predict(corpus.tasks["text"].tolist()[10:20], [""] * 10)
    np.testing.assert_array_equal(told[10:], crossed)  # seen in training: from other folds


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        *KINDS,
        "utility",
        "utility:knn,w_latency=0.5",
        "ridge:w_cost=2,alpha=1",
        "knn:k=60,margin=2",
        "blend:cost_share=0.8",
        "kmeans:clusters=10,categories=false",
        "logistic:cross_fitted=false,seed=3",
    ],
)
def test_a_policy_goes_by_its_name(spec: str, corpus: Corpus) -> None:
    policy = make_policy(POOL, spec, corpus)
    assert policy.name == spec
    again = make_policy(POOL, policy.name, corpus)
    assert (again.name, again.parameters) == (policy.name, policy.parameters)
    np.testing.assert_array_equal(policy.memory, again.memory)
    for agent in POOL:
        assert policy.reason(agent, 0.5, 0.5).endswith(f"Routed to {agent.name}")


@given(seed=st.integers(0, 2**32))
def test_compiled_and_interpreted_agree(corpus: Corpus, seed: int) -> None:
    rng = np.random.default_rng(seed)
    policy = utility(POOL, corpus, w_latency=0.1)
    up = (1, int(rng.integers(2)))
    asked = (
        task(rng.random(2).tolist(), float(rng.integers(900))),
        seen((5 * rng.random(), 5 * rng.random()), up),
    )
    assert policy.choose(*asked, policy.memory) == policy.choose.python(*asked, policy.memory)


@pytest.mark.slow
def test_replays_are_repeated_to_the_last_digit(corpus: Corpus) -> None:
    runs = []
    for _ in range(2):
        builtin_fits.cache_clear()
        runs.append(replay(corpus, POOL, "utility:kmeans", seed=2).to_frame())
    pd.testing.assert_frame_equal(*runs)


@pytest.mark.slow
@given(share=st.floats(0.4, 1.0))
def test_a_share_of_the_cost_is_kept_with_the_least_weight(corpus: Corpus, share: float) -> None:
    policy = ridge(POOL, corpus, cost_share=share)
    options = (("alpha", 10.0), ("categories", True))
    guess = builtin_fits("ridge", options, corpus, ("sage", "poet"), 0).crossed
    sage = 0.02 / 1000 * (500 + prompt_tokens(corpus))
    expected = np.column_stack([sage, np.full(len(corpus), 0.002)])
    paid = np.column_stack([sage, corpus.outcome("cost", ["poet"])[:, 0]])

    def spent(weight: float) -> float:
        chosen = (guess - weight * expected).argmax(axis=1)
        return paid[np.arange(chosen.size), chosen].mean() / sage.mean()

    weight = policy.memory[1]
    assert policy.parameters["w_cost"] == weight
    assert spent(weight) <= share + 1e-9
    assert weight == 0 or spent(weight * (1 - 1e-6)) > share


# -- refused --------------------------------------------------------------------------


def test_what_cannot_be_made_is_refused(corpus: Corpus) -> None:
    with pytest.raises(PolicyError, match="knn is fitted on recorded qualities: give a corpus"):
        make_policy(POOL, "knn")
    stranger = AgentPool((Agent(id="gpt", name="GPT", cost=0.1, latency=1.0),))
    with pytest.raises(PolicyError, match="topics records no outcome of 'gpt'"):
        make_policy(stranger, "ridge", corpus)
    with pytest.raises(PolicyError, match="no predictor 'forest': there are ridge, knn"):
        make_policy(POOL, "utility:forest", corpus)
    with pytest.raises(PolicyError, match=r"'w_latency': -1\.0.*weights of 0 or more"):
        make_policy(POOL, "utility:w_latency=-1", corpus)
    with pytest.raises(PolicyError, match=r"the cheapest agents take 0\.002; give a higher share"):
        make_policy(POOL, "knn:cost_share=0.01", corpus)
    with pytest.raises(PolicyError, match="w_cost and cost_share: give one of them"):
        make_policy(POOL, "knn:cost_share=0.5,w_cost=1", corpus)
    for share in ("nan", "0"):
        with pytest.raises(PolicyError, match=f"cost_share={share}; a share above 0"):
            make_policy(POOL, f"blend:cost_share={share}", corpus)
    bare = Corpus.from_frame(frame_of().filter(["id", "text"]), "bare")
    with pytest.raises(PolicyError, match="bare records no outcome of 'sage'; it records nobody"):
        kmeans(POOL, bare)
    own = QualityPredictor(make_pipeline(TfidfVectorizer(), Ridge())).fit(corpus, ["poet"])
    with pytest.raises(PolicyError, match="knows poet, and not 'sage'"):
        utility(POOL, corpus, predictor=own)


# -- scikit-learn estimators as they are ------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        Ridge(),
        LogisticRegression(),
        HistGradientBoostingRegressor(max_iter=5),  # takes dense input only
        make_pipeline(TfidfVectorizer(), Ridge()),
    ],
)
def test_a_scikit_learn_estimator_is_a_predictor(estimator: Any) -> None:
    frame = frame_of()
    maths = (frame["category"] == "maths").to_numpy()
    frame["outcomes.sage.quality"] = np.where(maths, 0.9, 0.4)
    corpus = Corpus.from_frame(frame, "topics")
    policy = utility(POOL, corpus, predictor=estimator, w_cost=0.0, w_latency=0.0)
    assert policy.name == "utility:own,w_cost=0,w_latency=0"
    assert policy.fitted_on == ()
    assert policy.predict is not None
    predicted = policy.predict(frame["text"].tolist(), frame["category"].tolist())
    assert predicted.shape == (len(frame), 2)
    assert np.mean((predicted[:, 0] > predicted[:, 1]) == maths) > 0.9
    assert not hasattr(estimator, "n_features_in_")  # a clone was fitted
    assert replay(corpus, POOL, policy, arrivals=Poisson(0.1)).overall["ok"] == len(frame)


@pytest.mark.slow
def test_an_estimator_learns_from_the_built_in_features(corpus: Corpus) -> None:
    own = utility(POOL, corpus, predictor=Ridge(alpha=10.0), categories=False)
    builtin = utility(POOL, corpus, predictor="ridge", categories=False)
    assert own.predict is not None
    assert builtin.predict is not None
    texts = corpus.tasks["text"].tolist()
    np.testing.assert_array_equal(
        own.predict(texts, [""] * len(texts)), builtin.predict(texts, [""] * len(texts))
    )


@pytest.mark.parametrize("wrong", [3, Ridge, TfidfVectorizer(), ["ridge"], None])
def test_what_is_no_predictor_is_refused(wrong: Any, corpus: Corpus) -> None:
    with pytest.raises(PolicyError, match=r"is not a predictor: give one of ridge, knn, .*, a sc"):
        utility(POOL, corpus, predictor=wrong)
