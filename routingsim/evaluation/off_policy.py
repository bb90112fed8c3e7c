"""Off-policy evaluation: the mean reward of another policy, estimated from a log.

For logs that hold decisions with their propensities, but no outcome of the agents that
were not chosen. The estimates rest on two conditions that the data cannot prove: the
propensities are the probabilities with which agents were really chosen, and the log
sometimes chose every agent that the new policy may choose.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.outcomes import choices, column, matrix, taken
from routingsim.simulation.statistics import Interval

SMALL_SAMPLE = 100
"""Effective sample size below which an estimate comes with a warning."""

_HEAVY = 0.1  # share of all weight on one decision above which there is a warning
_UNBALANCED = 4.0  # standard errors between the mean weight and 1 above which there is one


@dataclass(frozen=True)
class Estimate:
    """The estimated mean reward of a policy that was not run.

    Attributes
    ----------
    method : str
        "IPS", "SNIPS" or "doubly robust".
    interval : Interval
        By the normal approximation; too narrow if ``notes`` warn of a small sample.
    effective_sample_size : float
        (sum of weights)² / sum of squared weights (Kish, *Survey Sampling*, 1965): the
        number of decisions of the new policy that the log is worth.
    tasks, left_out : int
        Decisions used, and decisions left out because their reward is unknown.
    notes : tuple of str
        Warnings.
    """

    method: str
    interval: Interval
    effective_sample_size: float
    tasks: int
    left_out: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        said = "".join(f"; {note}" for note in self.notes)
        return (
            f"{self.method}: {self.interval}, worth {self.effective_sample_size:,.0f} of "
            f"{self.tasks:,} decisions{said}"
        )


def ips(
    chosen: ArrayLike,
    propensity: ArrayLike,
    reward: ArrayLike,
    target: ArrayLike,
    *,
    level: float = 0.95,
) -> Estimate:
    """Inverse propensity scoring: the mean of w r with w = target / propensity.

    Horvitz & Thompson, J. Am. Stat. Assoc. 47 (1952). Unbiased; the interval is wide if
    weights are large.

    Parameters
    ----------
    chosen : array_like of int, shape (tasks,)
        The agent that the log chose, as a column of ``target``.
    propensity : array_like, shape (tasks,)
        The probability, above 0, with which that agent was chosen.
    reward : array_like, shape (tasks,)
        The reward of the decision. Decisions with NaN are left out and counted.
    target : array_like, shape (tasks, agents)
        The probability with which the new policy chooses each agent; rows sum to 1.
    level : float
        Confidence level.

    Raises
    ------
    CorpusError
        If shapes do not fit, a probability is out of its range, or no reward is known.
    """
    weight, earned = _read(chosen, propensity, reward, target)
    return _estimate("IPS", weight * earned, weight, level)


def snips(
    chosen: ArrayLike,
    propensity: ArrayLike,
    reward: ArrayLike,
    target: ArrayLike,
    *,
    level: float = 0.95,
) -> Estimate:
    """Self-normalised IPS: the sum of w r over the sum of w.

    Swaminathan & Joachims, "The Self-Normalized Estimator for Counterfactual
    Learning" (NeurIPS 2015). Slightly biased, never outside the range of the rewards,
    usually narrower than IPS. The interval is by linearisation (delta method).

    Parameters and errors are those of :func:`ips`; also a CorpusError if all weights are
    0, because the log never chose an agent that the new policy would choose.
    """
    weight, earned = _read(chosen, propensity, reward, target)
    known = ~np.isnan(earned)
    total = weight[known].sum()
    if total == 0:
        raise CorpusError("all weights are 0: the log never chose an agent that the policy would")
    value = (weight * earned)[known].sum() / total
    spread = weight * (earned - value) / weight[known].mean()
    return _estimate("SNIPS", value + spread, weight, level)


def doubly_robust(
    chosen: ArrayLike,
    propensity: ArrayLike,
    reward: ArrayLike,
    target: ArrayLike,
    predicted: ArrayLike,
    *,
    level: float = 0.95,
) -> Estimate:
    """Doubly robust: a prediction of every reward, corrected by IPS where a reward is known.

    The mean of sum_a target(a) predicted(a) + w (r - predicted(chosen)) (Dudík,
    Langford & Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011). Unbiased
    if either the propensities or the predictions are right; narrow if the predictions are
    good.

    Parameters
    ----------
    chosen, propensity, reward, target, level
        As for :func:`ips`.
    predicted : array_like, shape (tasks, agents)
        Predicted reward of every agent, from a model that was not fitted on these rewards.

    Raises
    ------
    CorpusError
        As for :func:`ips`; or if a prediction is NaN.
    """
    weight, earned = _read(chosen, propensity, reward, target)
    guess = matrix("predicted rewards", predicted, np.shape(target))
    if np.isnan(guess).any():
        raise CorpusError("predicted rewards: NaN; a prediction of every agent is needed")
    expected = (np.asarray(target, dtype=np.float64) * guess).sum(axis=1)
    terms = expected + weight * (earned - taken(guess, np.asarray(chosen)))
    return _estimate("doubly robust", terms, weight, level)


def _read(
    chosen: ArrayLike, propensity: ArrayLike, reward: ArrayLike, target: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weight and the reward of each decision."""
    new = matrix("target", target)
    tasks, agents = new.shape
    if not (new >= 0).all() or not np.allclose(new.sum(axis=1), 1.0, rtol=0, atol=1e-6):
        raise CorpusError("target: each row must be probabilities of the agents that sum to 1")
    played = choices(chosen, tasks, agents)
    chance = column("propensities", propensity, tasks)
    wrong = np.flatnonzero(~((chance > 0) & (chance <= 1)))
    if wrong.size:
        raise CorpusError(
            f"propensities: {chance[wrong[0]]} at decision {wrong[0]}; a probability above 0 and "
            "up to 1 is needed"
        )
    earned = column("rewards", reward, tasks)
    if np.isnan(earned).all():
        raise CorpusError("rewards: none is known; one or more are needed for an estimate")
    return taken(new, played) / chance, earned


def _estimate(
    method: str, terms: NDArray[np.float64], weight: NDArray[np.float64], level: float
) -> Estimate:
    """The mean of the terms with its interval, and warnings about the weights."""
    if not 0 < level < 1:
        raise SimulationError(f"level={level}: a confidence level between 0 and 1 is needed")
    known = ~np.isnan(terms)
    terms, weight, left_out = terms[known], weight[known], int((~known).sum())
    tasks = terms.size
    z = special.ndtri(0.5 + level / 2)
    half_width = float(z * terms.std(ddof=1) / math.sqrt(tasks)) if tasks > 1 else math.nan
    total, squares = float(weight.sum()), float((weight**2).sum())
    size = total**2 / squares if squares else 0.0
    notes = []
    if size < SMALL_SAMPLE:
        notes.append(
            f"effective sample size {size:.1f} of {tasks:,}: below {SMALL_SAMPLE}, "
            "so the interval is unreliable"
        )
    if total and float(weight.max()) / total > _HEAVY:
        notes.append(f"one decision carries {weight.max() / total:.0%} of all weight")
    mean = float(weight.mean())
    error = float(weight.std(ddof=1)) / math.sqrt(tasks) if tasks > 1 else math.inf
    if abs(mean - 1) > max(_UNBALANCED * error, 1e-9):
        notes.append(
            f"weights average {mean:.3f}, not 1: propensities are wrong, or the policy would "
            "choose agents that the log never does"
        )
    interval = Interval(float(terms.mean()), half_width, level)
    return Estimate(method, interval, size, tasks, left_out, tuple(notes))
