"""Predicted quality against cost and latency: the utility policy and its quality-only kin.

A predictor looks better on the corpus that it was fitted on than it is. So a policy made
here predicts *the texts of its own corpus* by cross-validation, each from folds that hold
neither it nor its likes, and any other text by a fit on the whole corpus: a replay of the
corpus that the policy was made with is an honest one.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.errors import PolicyError
from routingsim.policies.builtin_predictors import PREDICTORS
from routingsim.policies.crossfit import FOLDS, Fits, shipped_fits
from routingsim.policies.kernel import choose_kernel
from routingsim.policies.policy import Policy, TextTable, own_parameters, recipe, recipes
from routingsim.policies.predictors import QualityPredictor

__all__ = ["blend", "kmeans", "knn", "logistic", "ridge", "utility"]

_NOT_FITTED = ("w_cost", "cost_share", "cross_fitted", "seed")  # no business of the predictor


# Memory: the weights of quality, cost and latency; then, a block of one value an agent
# each: mean quality, cost of a call (USD), and what each token of the prompt adds (USD).
@choose_kernel
def _by_utility(task, pool, memory):
    agents = pool.busy.size
    best, highest = 0, -np.inf
    for a in range(agents):
        quality = memory[3 + a]
        if task.predicted.size == agents:
            quality = task.predicted[a]
        cost = memory[3 + agents + a] + memory[3 + 2 * agents + a] * task.prompt_tokens
        latency = pool.wait[a] + pool.service[a]
        worth = memory[0] * quality - memory[1] * cost - memory[2] * latency
        if pool.up[a] and worth > highest:
            best, highest = a, worth
    return best


@recipe("utility")
def utility(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    predictor: str | QualityPredictor = "ridge",
    w_quality: float = 1.0,
    w_cost: float = 1.0,
    w_latency: float = 0.03,
    categories: bool = True,
    cross_fitted: bool = True,
    seed: int = 0,
) -> Policy:
    """Highest worth: predicted quality less cost less expected latency, each by its weight.

    Expected latency is the agent's expected wait, as its queue stands, plus its mean
    service time. Expected cost is the agent's mean over the corpus or, where none is
    recorded, its price times the prompt's tokens and its mean answer's.

    Parameters
    ----------
    predictor : str or QualityPredictor
        ``ridge``, ``knn``, ``kmeans``, ``logistic`` or ``blend``; or one of your own. One that is
        fitted already predicts as it is, and ``corpus`` is read for costs only.
    w_quality, w_cost, w_latency : float
        Worth of an answer of quality 1, of a US dollar, and of a second.
    categories : bool
        Let a shipped predictor learn from the tasks' categories.
    cross_fitted : bool
        Predict the corpus's own texts from folds that they are not in, and any other
        text by a fit on the whole corpus. If not, all by that fit: the corpus is then
        in ``fitted_on``, and figures on it are marked.
    seed : int
        Of the five folds.

    Raises
    ------
    PolicyError
        If there is no corpus to fit on, nothing is recorded of an agent, or a weight is
        not a number of 0 or more.
    """
    given = own_parameters(locals())
    del given["predictor"]

    def reason(agent: Agent, d_var: float, load: float) -> str:
        return f"Best of predicted quality, cost and latency: Routed to {agent.name}"

    options = () if isinstance(predictor, QualityPredictor) else (("categories", categories),)
    return _policy("utility", pool, corpus, predictor, options, given, reason)


@recipe("ridge")
def ridge(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    w_cost: float = 0.0,
    cost_share: float = math.inf,
    alpha: float = 10.0,
    categories: bool = True,
    cross_fitted: bool = True,
    seed: int = 0,
) -> Policy:
    """Highest quality predicted by ridge regression on words, characters and category.

    Parameters
    ----------
    w_cost : float
        Quality that a US dollar is worth; 0 asks for quality only.
    cost_share : float
        In place of ``w_cost``: what a task may cost, as a share of the best single agent's
        cost. ``w_cost`` is then the weight from which the choices for the corpus, by
        cross-validated predictions, cost no more.
    alpha : float
        Penalty.
    categories, cross_fitted, seed
        As :func:`utility`.
    """
    return _best("ridge", **locals())


@recipe("knn")
def knn(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    w_cost: float = 0.0,
    cost_share: float = math.inf,
    k: int = 50,
    margin: float = 1.0,
    categories: bool = True,
    cross_fitted: bool = True,
    seed: int = 0,
) -> Policy:
    """Highest mean quality among similar texts; the best single agent unless that is clear.

    Parameters
    ----------
    w_cost : float
        Quality that a US dollar is worth; 0 asks for quality only.
    cost_share
        As :func:`ridge`.
    k : int
        Neighbours.
    margin : float
        Standard errors from which an advantage over the best single agent is clear.
    categories, cross_fitted, seed
        As :func:`utility`.
    """
    return _best("knn", **locals())


@recipe("kmeans")
def kmeans(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    w_cost: float = 0.0,
    cost_share: float = math.inf,
    clusters: int = 40,
    categories: bool = True,
    cross_fitted: bool = True,
    seed: int = 0,
) -> Policy:
    """Highest mean quality in the text's k-means cluster.

    Parameters
    ----------
    w_cost : float
        Quality that a US dollar is worth; 0 asks for quality only.
    cost_share
        As :func:`ridge`.
    clusters : int
        Clusters.
    categories, cross_fitted, seed
        As :func:`utility`.
    """
    return _best("kmeans", **locals())


@recipe("logistic")
def logistic(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    w_cost: float = 0.0,
    cost_share: float = math.inf,
    categories: bool = True,
    cross_fitted: bool = True,
    seed: int = 0,
) -> Policy:
    """Highest chance of being right (quality >= 0.5) by logistic regression.

    Parameters
    ----------
    w_cost : float
        Chance of being right that a US dollar is worth; 0 asks for quality only.
    cost_share
        As :func:`ridge`.
    categories, cross_fitted, seed
        As :func:`utility`.
    """
    return _best("logistic", **locals())


@recipe("blend")
def blend(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    w_cost: float = 0.0,
    cost_share: float = math.inf,
    alpha: float = 10.0,
    k: int = 50,
    categories: bool = True,
    cross_fitted: bool = True,
    seed: int = 0,
) -> Policy:
    """Highest quality predicted by the mean of ridge regression and nearest neighbours.

    Parameters
    ----------
    w_cost : float
        Quality that a US dollar is worth; 0 asks for quality only.
    cost_share
        As :func:`ridge`.
    alpha : float
        Penalty of the regression.
    k : int
        Neighbours.
    categories, cross_fitted, seed
        As :func:`utility`.
    """
    return _best("blend", **locals())


def _best(kind: str, pool: AgentPool, corpus: Corpus | None, **given: Any) -> Policy:
    """A policy that looks at quality, and at cost if asked, but not at the queues."""

    def reason(agent: Agent, d_var: float, load: float) -> str:
        return f"Highest predicted quality ({kind}): Routed to {agent.name}"

    options = tuple((key, value) for key, value in given.items() if key not in _NOT_FITTED)
    return _policy(kind, pool, corpus, kind, options, given, reason)


def _policy(
    name: str,
    pool: AgentPool,
    corpus: Corpus | None,
    predictor: str | QualityPredictor,
    options: tuple[tuple[str, Any], ...],
    given: dict[str, Any],
    reason: Any,
) -> Policy:
    weights = [given.get("w_quality", 1.0), given["w_cost"], given.get("w_latency", 0.0)]
    if not all(0 <= weight < np.inf for weight in weights):
        shown = {key: value for key, value in given.items() if key.startswith("w_")}
        raise PolicyError(f"{name}: {shown}; weights of 0 or more are needed")
    share = given.get("cost_share", math.inf)
    if not share > 0:
        raise PolicyError(f"{name}: cost_share={share:g}; a share above 0 is needed")
    names = tuple(agent.recorded_as for agent in pool)
    predict, mean, fitted_on = _predictions(name, predictor, options, corpus, names, given)
    costs = _costs(corpus, pool, names)
    parameters = {"predictor": predictor, **given, "folds": FOLDS}
    if corpus is not None and share < math.inf:
        if given["w_cost"]:
            raise PolicyError(f"{name}: w_cost and cost_share: give one of them")
        fits = shipped_fits(name, options, corpus, names, given["seed"])
        call, token = costs
        expected = call + token * prompt_tokens(corpus)[:, np.newaxis]
        recorded = corpus.outcome("cost", names)
        paid = np.where(np.isnan(recorded), expected, recorded)
        allowed = share * paid[:, mean.argmax()].mean()
        weights[1] = _weight_to_pay(name, allowed, fits.crossed, expected, paid)
        parameters["w_cost"] = weights[1]
    return Policy(
        _spelled(name, predictor, given),
        _by_utility,
        memory=np.concatenate([weights, mean, *costs]),
        reason=reason,
        predict=predict,
        fitted_on=fitted_on,
        parameters=parameters,
    )


def _weight_to_pay(
    name: str,
    allowed: float,
    predicted: NDArray[np.float64],
    expected: NDArray[np.float64],
    paid: NDArray[np.float64],
) -> float:
    """The weight of cost from which the choices cost no more than allowed, by bisection.

    Choices are by expected costs and pay what was recorded: dearer texts may go to the
    dearer agents, so that the two means differ.
    """
    every = np.arange(len(paid))

    def mean(chosen: NDArray[np.intp]) -> float:
        return float(paid[every, chosen].mean())

    def spent(weight: float) -> float:
        return mean((predicted - weight * expected).argmax(axis=1))

    least = mean(expected.argmin(axis=1))
    if not least <= allowed:
        raise PolicyError(
            f"{name}: cost_share allows {allowed:.3g} USD a task, and the cheapest agents take "
            f"{least:.3g}; give a higher share"
        )
    low, high = 0.0, 0.0
    while spent(high) > allowed * (1 + 1e-12):  # but for the last digits of a mean
        low, high = high, 2 * high or 1e-3 / allowed
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > allowed else (low, middle)
    return high


def _predictions(
    name: str,
    predictor: str | QualityPredictor,
    options: tuple[tuple[str, Any], ...],
    corpus: Corpus | None,
    names: tuple[str, ...],
    given: dict[str, Any],
) -> tuple[TextTable, NDArray[np.float64], tuple[str, ...]]:
    """How to predict, mean qualities, and the corpora whose outcomes the predictions know."""
    if isinstance(predictor, QualityPredictor) and predictor.agents:
        absent = [agent for agent in names if agent not in predictor.agents]
        if absent:
            raise PolicyError(
                f"{name}: {predictor!r} knows {', '.join(predictor.agents)}, and not {absent[0]!r}"
            )
        columns = [predictor.agents.index(agent) for agent in names]

        def as_fitted(texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
            return predictor.predict(texts, labels)[:, columns]

        return as_fitted, np.zeros(len(names)), (predictor.fitted_on,)
    if corpus is None:
        raise PolicyError(f"{name} is fitted on recorded qualities: give a corpus that has them")
    if isinstance(predictor, QualityPredictor):
        fits = Fits(predictor, corpus, names, given["seed"])
    elif predictor in PREDICTORS:
        fits = shipped_fits(predictor, options, corpus, names, given["seed"])
    else:
        raise PolicyError(
            f"{name}: no predictor {predictor!r}: there are {', '.join(PREDICTORS)}, or give a "
            "QualityPredictor"
        )
    quality, known = fits.predictor.check(corpus, names)
    mean = quality[known].mean(axis=0)
    if given["cross_fitted"]:
        return fits.honestly, mean, ()
    return fits.as_fitted, mean, (corpus.sha256,)


def _costs(
    corpus: Corpus | None, pool: AgentPool, names: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """USD of a call, and USD that each token of its prompt adds, shape (agents,) each."""
    answer = pool.column("output_tokens")
    price = pool.column("cost") / 1000.0
    call, token = price * answer, price.copy()
    if corpus is None:
        return call, token
    recorded = corpus.outcome("cost", names)
    tokens = corpus.outcome("output_tokens", names)
    for a in range(len(pool)):
        paid, answers = (each[~np.isnan(each)] for each in (recorded[:, a], tokens[:, a]))
        if paid.size:
            call[a], token[a] = paid.mean(), 0.0
        elif answers.size:
            call[a] = price[a] * answers.mean()
    return call, token


def _spelled(name: str, predictor: str | QualityPredictor, given: dict[str, Any]) -> str:
    """The policy's name with the parameters that are not the default."""
    defaults = recipes()[name].parameters
    parts = [f"{key}={_text(value)}" for key, value in given.items() if value != defaults[key]]
    if name == "utility" and predictor != "ridge":
        parts.insert(0, predictor if isinstance(predictor, str) else "own")
    return f"{name}:{','.join(parts)}" if parts else name


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
