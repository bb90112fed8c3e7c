"""Policies by predicted quality: ``utility`` weighs it against cost and latency.

A predictor looks better on the corpus that it was fitted on than it is. So a policy made
here predicts *the texts of its own corpus* by cross-validation, each from folds that hold
neither it nor a similar text, and any other text by a fit on the whole corpus. A replay of
the corpus that the policy was made with is therefore out-of-sample.
"""

import inspect
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.errors import PolicyError
from routingsim.policies.builtin_predictors import PREDICTORS, predictor_of
from routingsim.policies.costs import expected_costs
from routingsim.policies.crossfit import FOLDS, Fits, builtin_fits
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import choose_kernel, probability_kernel
from routingsim.policies.policy import Policy, own_parameters, recipe, sentence, spelled
from routingsim.policies.predictors import QualityPredictor
from routingsim.policies.ties import choose_lowest, put_lowest

# Parameters of a policy that its predictor does not have.
_OF_POLICY = frozenset(
    ["predictor", "w_quality", "w_cost", "w_latency", "cost_share", "cross_fitted", "seed"]
)


# Memory: the weights of quality, cost and latency; then, a block of one value an agent
# each: mean quality, cost of a call (USD), and what each token of the prompt adds (USD).
@register_jitable
def _burden(task, pool, memory, a):
    """What agent ``a`` costs and takes, less its quality, each by its weight."""
    agents = pool.up.size
    quality = memory[3 + a]
    if task.predicted.size == agents:
        quality = task.predicted[a]
    cost = memory[3 + agents + a] + memory[3 + 2 * agents + a] * task.prompt_tokens
    latency = pool.wait[a] + pool.service[a]
    return memory[1] * cost + memory[2] * latency - memory[0] * quality


@choose_kernel
def _by_utility(task, pool, memory):
    return choose_lowest(_burden, task, pool, memory)


@probability_kernel
def _utility_probabilities(task, pool, memory, out):
    put_lowest(_burden, task, pool, memory, out)


@recipe("utility")
def utility(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    predictor: Any = "ridge",
    w_quality: float = 1.0,
    w_cost: float = 1.0,
    w_latency: float = 0.03,
    categories: bool = True,
    cross_fitted: bool = True,
    seed: int = 0,
) -> Policy:
    """Highest worth: predicted quality less cost less expected latency, each by its weight.

    Expected latency is the agent's expected wait, as its queue stands, plus its mean
    service time. Expected cost is what the agent's prices say of the prompt and of an answer
    of mean length; for an agent that has ``cost`` only, its mean over the corpus where any is
    recorded (:mod:`routingsim.policies.costs`).

    Parameters
    ----------
    predictor : str, scikit-learn estimator or QualityPredictor
        ``ridge``, ``knn``, ``kmeans``, ``logistic`` or ``blend``; or a regressor or classifier
        of your own, which learns from the built-in features of the text, or a pipeline,
        which gets the texts; or a QualityPredictor. A QualityPredictor that is fitted
        predicts as it is, and ``corpus`` is read for costs only.
    w_quality, w_cost, w_latency : float
        Worth of an answer of quality 1, of a US dollar, and of a second.
    categories : bool
        Let the built-in features include the tasks' categories.
    cross_fitted : bool
        Predict the corpus's own texts from folds that they are not in, and any other
        text by a fit on the whole corpus. If not, predict all by that fit: its texts are
        then in ``fitted_on``, and figures on them are marked as in-sample.
    seed : int
        Seed of the five folds.

    Raises
    ------
    PolicyError
        If there is no corpus to fit on, nothing is recorded of an agent, or a weight is
        not a number of 0 or more.
    """
    given = own_parameters(locals())
    if not isinstance(predictor, str):
        given["predictor"] = predictor_of(predictor, categories=categories)
    reason = "Best of predicted quality, cost and latency: Routed to {agent.name}"
    return _policy("utility", pool, corpus, given, reason)


_DOCSTRING = """{summary}

Parameters
----------
w_cost : float
    Predicted quality that a US dollar is worth; 0 asks for quality only.
cost_share : float
    In place of ``w_cost``: what a task may cost, as a share of the best single agent's
    cost. ``w_cost`` is then the lowest weight with which the choices for the corpus, by
    cross-validated predictions, cost no more.
{own}categories, cross_fitted, seed
    As :func:`utility`.
"""


def _by_quality(kind: str, summary: str, **own: tuple[float, str]):
    """The recipe named as the predictor ``kind``; ``own`` has defaults and meanings."""

    def make(
        pool: AgentPool,
        corpus: Corpus | None = None,
        *,
        w_cost: float = 0.0,
        cost_share: float = math.inf,
        categories: bool = True,
        cross_fitted: bool = True,
        seed: int = 0,
        **mine: float,
    ) -> Policy:
        named = {**locals(), **mine}
        given = {key: named.get(key, default) for key, default in defaults.items()}
        reason = f"Highest predicted quality ({kind}): Routed to {{agent.name}}"
        return _policy(kind, pool, corpus, given, reason)

    signature = inspect.signature(make)
    *first, categories, cross_fitted, seed, _ = signature.parameters.values()
    numbers = [
        inspect.Parameter(name, seed.kind, default=default, annotation=type(default))
        for name, (default, _) in own.items()
    ]
    parameters = [*first, *numbers, categories, cross_fitted, seed]
    defaults = {each.name: each.default for each in parameters[2:]}
    make.__name__ = make.__qualname__ = kind
    make.__doc__ = _DOCSTRING.format(
        summary=summary,
        own="".join(
            f"{name} : {type(default).__name__}\n    {meaning}\n"
            for name, (default, meaning) in own.items()
        ),
    )
    signature = signature.replace(parameters=parameters)
    make.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return recipe(kind)(make)


ridge = _by_quality(
    "ridge",
    "Highest quality predicted by ridge regression on words, characters and category.",
    alpha=(10.0, "Penalty."),
)
knn = _by_quality(
    "knn",
    "Highest mean quality among similar texts; the best single agent unless that is clear.",
    k=(50, "Neighbours."),
    margin=(1.0, "Standard errors from which an advantage over the best single agent is clear."),
)
kmeans = _by_quality(
    "kmeans",
    "Highest mean quality in the text's k-means cluster.",
    clusters=(40, "Clusters."),
)
logistic = _by_quality(
    "logistic", "Highest chance of being right (quality >= 0.5) by logistic regression."
)
blend = _by_quality(
    "blend",
    "Highest quality predicted by the mean of ridge regression and nearest neighbours.",
    alpha=(10.0, "Penalty of the regression."),
    k=(50, "Neighbours."),
)


def _policy(
    name: str, pool: AgentPool, corpus: Corpus | None, given: dict[str, Any], reason: str
) -> Policy:
    weights = [given.get("w_quality", 1.0), given["w_cost"], given.get("w_latency", 0.0)]
    if not all(0 <= weight < np.inf for weight in weights):
        shown = {key: value for key, value in given.items() if key.startswith("w_")}
        raise PolicyError(f"{name}: {shown}; weights of 0 or more are needed")
    share = given.get("cost_share", math.inf)
    if not share > 0:
        raise PolicyError(f"{name}: cost_share={share:g}; a share above 0 is needed")
    predictor = given.get("predictor", name)
    names = tuple(agent.recorded_as for agent in pool)
    parameters = {"predictor": predictor, **given, "folds": FOLDS}
    fitted_on: tuple[FittedTexts, ...] = ()
    notes: tuple[str, ...] = ()
    fits = None
    if isinstance(predictor, QualityPredictor) and predictor.agents:
        absent = [agent for agent in names if agent not in predictor.agents]
        if absent:
            raise PolicyError(
                f"{name}: {predictor!r} knows {', '.join(predictor.agents)}, and not {absent[0]!r}"
            )
        columns = [predictor.agents.index(agent) for agent in names]
        predict = partial(_predict_for, predictor, columns)
        mean = np.zeros(len(names))
        fitted_on = (predictor.fitted_on,) if predictor.fitted_on else ()
    else:
        fits = _fits(name, predictor, corpus, names, given)
        mean, notes = fits.mean(), fits.notes(name)
        predict = fits.cross_fitted
        if not given["cross_fitted"] or fits.uncrossed:
            learned_from = np.asarray(fits.known[1].any(axis=1))
            predict, fitted_on = fits.in_sample, (FittedTexts.of(fits.corpus, learned_from),)
    costs = expected_costs(pool, corpus)
    if fits is not None and share < math.inf:
        if given["w_cost"]:
            raise PolicyError(f"{name}: w_cost and cost_share: give one of them")
        # Means over different tasks do not say who is best; predictions for all tasks do.
        means = fits.crossed.mean(axis=0) if fits.apart else mean
        weights[1] = parameters["w_cost"] = _weight_to_pay(name, share, fits, means, costs)
    shown = {"predictor": "own"} if isinstance(predictor, QualityPredictor) else {}
    return Policy(
        spelled(name, {**given, **shown}, bare="predictor"),
        _by_utility,
        memory=np.concatenate([weights, mean, *costs]),
        reason=sentence(reason),
        predict=predict,
        fitted_on=fitted_on,
        parameters=parameters,
        probabilities=_utility_probabilities,
        notes=notes,
    )


def _fits(
    name: str,
    predictor: str | QualityPredictor,
    corpus: Corpus | None,
    agents: tuple[str, ...],
    given: dict[str, Any],
) -> Fits:
    """The fits of a predictor that is not fitted yet."""
    if isinstance(predictor, str) and predictor not in PREDICTORS:
        raise PolicyError(
            f"{name}: no predictor {predictor!r}: there are {', '.join(PREDICTORS)}, or give a "
            "scikit-learn estimator or a QualityPredictor"
        )
    if corpus is None:
        raise PolicyError(f"{name} is fitted on recorded qualities: give a corpus that has them")
    if isinstance(predictor, QualityPredictor):
        return Fits(predictor, corpus, agents, given["seed"])
    options = tuple((key, value) for key, value in given.items() if key not in _OF_POLICY)
    return builtin_fits(predictor, options, corpus, agents, given["seed"])


def _predict_for(
    predictor: QualityPredictor, columns: list[int], texts: Sequence[str], labels: Sequence[str]
) -> NDArray[np.float64]:
    return predictor.predict(texts, labels)[:, columns]


def _weight_to_pay(
    name: str,
    share: float,
    fits: Fits,
    quality: NDArray[np.float64],
    costs: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> float:
    """The lowest weight of cost with which the choices keep to a share of the cost.

    The share is of what the best single agent costs, by its mean ``quality``. Choices go by
    expected costs and pay what was recorded: longer texts may go to the more expensive agents, so
    the two means differ. Found by bisection.
    """
    call, token = costs
    expected = call + token * prompt_tokens(fits.corpus)[:, np.newaxis]
    recorded = fits.corpus.outcome("cost", fits.agents)
    paid = np.where(np.isnan(recorded), expected, recorded)
    allowed = share * paid[:, quality.argmax()].mean()
    every = np.arange(len(paid))

    def spent(weight: float) -> float:
        return paid[every, (fits.crossed - weight * expected).argmax(axis=1)].mean()

    least = paid[every, expected.argmin(axis=1)].mean()
    if not least <= allowed:
        raise PolicyError(
            f"{name}: cost_share allows {allowed:.3g} USD a task, and the cheapest agents take "
            f"{least:.3g}; give a higher share"
        )
    low, high = 0.0, 0.0
    while spent(high) > allowed * (1 + 1e-12):  # up to rounding
        low, high = high, 2 * high or 1e-3 / allowed
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > allowed else (low, middle)
    return high
