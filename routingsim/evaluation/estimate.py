"""The expected quality of policies, estimated from a log with one answer a task.

A production log knows the outcome of the agent that served a task and of no other. Raw
means over what is recorded compare agents on different tasks, and can reverse the truth.
Here each policy is estimated over all tasks by a cross-fitted doubly robust estimator
(Dudík, Langford & Li, ICML 2011; Chernozhukov et al., Econometrics Journal 21, 2018):

    mean over tasks of  sum_a target(a) m(a) + target(A) / propensity(A) * (Y - m(A))

with the agent A that the log chose, its outcome Y, and a model m that did not see the
task. Weights are not clipped. Errors are those of :mod:`routingsim.evaluation.policy_value`.
Each estimate has a verdict (:mod:`routingsim.evaluation.support`); where the log cannot
answer there is no figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.choice_log import ChoiceLog, choice_probabilities
from routingsim.evaluation.outcome_model import Features, cross_predict
from routingsim.evaluation.outcomes import column, taken
from routingsim.evaluation.policy_difference import PolicyDifference, policy_differences
from routingsim.evaluation.policy_value import (
    Bounds,
    PolicyEstimate,
    Side,
    policy_estimate,
    residuals_of,
    side_of,
    span_of,
)
from routingsim.evaluation.propensities import balance
from routingsim.evaluation.sensitivity import GAMMAS, Arm, Sensitivity, sensitivity
from routingsim.evaluation.support import ENOUGH, ENOUGH_SKEWED, Weights, judge
from routingsim.evaluation.tabular import records, table_of
from routingsim.simulation.statistics import either_side

_DIAGNOSTICS = ("planned", "realised", "rare", "mean_weight")
_SKEWED = 1.0  # skewness of residuals above which outcomes without bounds count as skewed


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates of several policies from one log, and of all their differences.

    Attributes
    ----------
    agents : tuple of str
        Of the log.
    policies : dict of str to PolicyEstimate
        In the order given: they are not ranked.
    differences : dict of (str, str) to PolicyDifference
        Of each pair, in that order.
    tasks, unserved, missing : int
        Tasks that the log served, which the estimates are about; tasks that no agent
        served, which are left out; served tasks without a recorded outcome, for which
        the others of the same agent stand.
    level : float
    """

    agents: tuple[str, ...]
    policies: dict[str, PolicyEstimate]
    differences: dict[tuple[str, str], PolicyDifference]
    tasks: int
    unserved: int
    missing: int
    level: float
    _weights: Weights
    _sides: dict[str, Side]
    _rest: NDArray[np.float64]
    _bounds: Bounds | None

    def __str__(self) -> str:
        return "\n".join(map(str, [*self.policies.values(), *self.differences.values()]))

    def to_frame(self) -> pd.DataFrame:
        """A row a policy: value, low, high, error, degrees, verdict, diagnostics, reasons."""
        found = list(self.policies.values())
        parts = (
            table_of(found, ["value"]),
            table_of([each.interval for each in found], ["low", "high"]),
            table_of(found, ["error", "degrees", "verdict"]),
            table_of([each.support for each in found], _DIAGNOSTICS),
        )
        frame = pd.concat(parts, axis=1).set_axis(list(self.policies))
        frame["reasons"] = ["; ".join(each.support.reasons) for each in found]
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Policies and differences as plain Python values, NaN as None: what ``--json`` prints."""
        pairs = [
            {
                "policy": each.first,
                "against": each.second,
                "value": each.value,
                "low": each.interval.low,
                "high": each.interval.high,
                "p_value": each.p_value,
                "comparison": "not comparable" if each.verdict == "cannot" else each.comparison,
                "verdict": each.verdict,
            }
            for each in self.differences.values()
        ]
        return {
            "tasks": self.tasks,
            "level": self.level,
            "policies": records(self.to_frame().reset_index(names="policy")),
            "differences": records(pd.DataFrame(pairs)),
        }

    def sensitivity(
        self, first: str, second: str | None = None, *, gammas: tuple[float, ...] = GAMMAS
    ) -> Sensitivity:
        """How far hidden confounding could move a policy's value or a difference.

        Parameters
        ----------
        first, second : str
            Policies; the difference first less second, or the value of ``first`` alone.
        gammas : tuple of float
            From 1 upward.

        Returns
        -------
        Sensitivity
            NaN throughout where the log cannot answer.

        Raises
        ------
        SimulationError
            If there is no such policy or difference, or a Γ is below 1.
        """
        if not gammas or min(gammas) < 1:
            raise SimulationError(f"gammas={gammas}: values from 1 upward are needed")
        if second is None:
            if first not in self.policies:
                raise SimulationError(f"no estimate of {first!r}; there are {list(self.policies)}")
            one = self.policies[first]
            arm = self._arm(self._sides[first])
            return sensitivity(one.value, one.half_width, arm, gammas=gammas, bounds=self._bounds)
        if (first, second) in self.differences:
            difference = self.differences[first, second]
            value = difference.value
        elif (second, first) in self.differences:
            difference = self.differences[second, first]
            value = -difference.value
        else:
            raise SimulationError(f"no difference of {first!r} and {second!r}")
        plus, minus = self._arms(self._sides[first], self._sides[second])
        span = span_of(self._bounds)
        return sensitivity(
            value,
            either_side(difference.interval).half_width,
            plus,
            minus,
            gammas=gammas,
            against=0.0,
            bounds=(-span, span) if span else None,
        )

    def _arm(self, side: Side) -> Arm:
        share = taken(side.target, self._weights.chosen)
        # Nothing is hidden of a policy that chose as the log did.
        return self._arm_of(np.zeros_like(share) if side.support.repeats else share, 1.0)

    def _arms(self, one: Side, other: Side) -> tuple[Arm, Arm]:
        if one.support.repeats or other.support.repeats:
            return self._arm(one), self._arm(other)
        apart = one.target - other.target
        mine = taken(apart, self._weights.chosen)
        mass = float(np.maximum(apart, 0.0).sum(axis=1).mean())
        return (
            self._arm_of(np.maximum(mine, 0.0), mass),
            self._arm_of(np.maximum(-mine, 0.0), mass),
        )

    def _arm_of(self, share: NDArray[np.float64], mass: float) -> Arm:
        known = self._weights.known
        seen = self._weights.seen[known]
        return Arm(share[known], 1 / seen - 1, self._rest[known], mass)


def estimate(
    log: ChoiceLog,
    outcome: ArrayLike,
    policies: Mapping[str, ArrayLike],
    *,
    level: float = 0.95,
    higher_is_better: bool = True,
    bounds: Bounds | None = None,
) -> Estimates:
    """Estimate the mean outcome of policies from what the log recorded.

    Parameters
    ----------
    log : ChoiceLog
    outcome : array_like, shape (tasks,)
        Quality, cost or another figure of the agent that served the task; NaN where it is
        not recorded. Rows of unserved tasks are not read.
    policies : mapping of str to array_like
        Choices of each, as :func:`routingsim.evaluation.choice_log.choice_probabilities`
        takes them.
    level : float
        Confidence level.
    higher_is_better : bool
        False for costs and latencies.
    bounds : tuple of float, optional
        The least and the largest possible outcome, (0, 1) for a quality: intervals then
        allow for failures too rare to have been seen, and are cut to the bounds; one that
        covers more than half of the range is not shown. Without a largest outcome, as for costs,
        which are (0, inf), skewed outcomes need a log twenty times as large before it answers.

    Raises
    ------
    CorpusError
        If shapes do not fit, a probability is out of its range, or no outcome is known.
    SimulationError
        If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise SimulationError(f"level={level}: a confidence level between 0 and 1 is needed")
    tasks, agents = log.chosen.size, len(log.agents)
    served = log.chosen >= 0
    outcomes = np.where(served, column("outcomes", outcome, tasks), np.nan)
    _check(outcomes, bounds)
    targets = {
        name: choice_probabilities(each, tasks, agents)[served] for name, each in policies.items()
    }
    features = log.features.values
    predicted = cross_predict(features, log.fold, log.chosen, outcomes, agents)[served]
    chosen, weights = log.chosen[served], _weights(log, outcomes)
    rest = residuals_of(outcomes[served], predicted, chosen)
    skewed = not span_of(bounds) and abs(rest.skewness) > _SKEWED
    enough = ENOUGH_SKEWED if skewed else ENOUGH
    beside = balance(Features(features[served], log.features.names))
    even = _evenly_missing(chosen, weights.known, agents)
    sides = {
        name: side_of(
            target,
            judge(target, weights, log.propensities, log.calibration, beside, even, enough),
            weights,
            predicted,
            rest,
        )
        for name, target in targets.items()
    }
    found = {name: policy_estimate(name, side, level, bounds) for name, side in sides.items()}
    sides = {name: replace(side, support=found[name].support) for name, side in sides.items()}
    return Estimates(
        agents=log.agents,
        policies=found,
        differences=policy_differences(
            sides, weights, rest, level, higher_is_better, bounds, enough
        ),
        tasks=chosen.size,
        unserved=tasks - chosen.size,
        missing=int((~weights.known).sum()),
        level=level,
        _weights=weights,
        _sides=sides,
        _rest=rest.values,
        _bounds=bounds,
    )


def _check(outcomes: NDArray[np.float64], bounds: Bounds | None) -> None:
    """Refuse outcomes of which none is known, or one is not possible."""
    if np.isnan(outcomes).all():
        raise CorpusError("outcomes: none is known; there is nothing to estimate from")
    if bounds is None:
        return
    low, high = bounds
    least, most = np.nanmin(outcomes), np.nanmax(outcomes)
    if not low <= least <= most <= high:
        raise CorpusError(
            f"outcomes: from {least:g} to {most:g}; from {low:g} to {high:g} is needed"
        )


def _weights(log: ChoiceLog, outcomes: NDArray[np.float64]) -> Weights:
    """What the served tasks of a log are weighted by."""
    served, full = log.chosen >= 0, log.propensities.full
    chosen, known = log.chosen[served], ~np.isnan(outcomes[served])
    return Weights(
        chosen=chosen,
        mine=log.propensities.chosen[served],
        full=None if full is None else full[served],
        shown=_shares(chosen, known, len(log.agents)),
        known=known,
    )


def _shares(chosen: NDArray[np.intp], known: NDArray[np.bool_], agents: int) -> NDArray[np.float64]:
    """Share of each agent's outcomes that are recorded; 1 for one that was never chosen."""
    times = np.bincount(chosen, minlength=agents)
    there = np.bincount(chosen[known], minlength=agents)
    return np.where(times > 0, there / np.maximum(times, 1), 1.0)


def _evenly_missing(chosen: NDArray[np.intp], known: NDArray[np.bool_], agents: int) -> bool:
    """Whether agents' shares of missing outcomes differ no more than by chance (chi-square)."""
    times = np.bincount(chosen, minlength=agents)
    there = np.bincount(chosen[known], minlength=agents)
    table = np.vstack([there, times - there])[:, times > 0]
    if known.all() or table.shape[1] < 2:
        return True
    from scipy import stats  # takes long to load, and is seldom needed

    found: Any = stats.chi2_contingency(table, correction=False)
    return bool(found.pvalue > 0.01)
