"""A cascade with other judges: at which error of its judge does the answer turn?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from routingsim.agents import PoolLike, load_agents
from routingsim.corpora.corpus import CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.errors import PolicyError, SimulationError
from routingsim.evaluation.compare import Wanted, compare
from routingsim.evaluation.tabular import Tabular
from routingsim.policies.judged import ERRORS, turning
from routingsim.policies.policy import Judge, Policy, make_policy
from routingsim.simulation.arrivals.checks import is_finite


@dataclass(frozen=True, eq=False, repr=False)
class JudgeErrors(Tabular):
    """A cascade less a baseline, by how often the cascade's judge errs.

    Attributes
    ----------
    policy, baseline : str
    judge : Judge
        The judge of the cascade, but for its error.
    frame : DataFrame
        A row an error. Columns: error; quality and cost of the cascade; its advantage in
        each over the baseline (quality gained, USD a task saved) with half-width and
        verdict, in columns quality_gain, quality_gain_hw, quality_verdict, and the same
        for cost_gain.
    quality_turns, cost_turns : float
        The error at which the advantage is gone: infinite where it is still there at the
        largest error tried, NaN where it is not there at the smallest.
    """

    policy: str
    baseline: str
    judge: Judge
    frame: pd.DataFrame
    quality_turns: float
    cost_turns: float

    def to_frame(self) -> pd.DataFrame:
        """``frame``."""
        return self.frame.copy()

    def __str__(self) -> str:
        largest = float(self.frame["error"].to_numpy(dtype=np.float64).max())
        quality = _said("quality", self.quality_turns, largest)
        cost = _said("cost", self.cost_turns, largest)
        return (
            f"{self.policy} against {self.baseline}, with a judge of USD {self.judge.cost:g} and "
            f"{self.judge.seconds:g} s a verdict: {quality}; {cost}"
        )

    __repr__ = __str__


def _said(what: str, turns: float, largest: float) -> str:
    if math.isnan(turns):
        return f"no advantage in {what}"
    if math.isinf(turns):
        return f"its advantage in {what} is still there at an error of {largest:g}"
    return f"its advantage in {what} is gone at an error of {turns:.2f}"


def judge_errors(
    corpus: CorpusLike,
    pool: PoolLike | None = None,
    policy: str | Policy = "cascade",
    baseline: Wanted = "threshold",
    *,
    errors: Sequence[float] = ERRORS,
    **settings: Any,
) -> JudgeErrors:
    """Run a cascade with judges that err more and more, and say where its advantage ends.

    Parameters
    ----------
    corpus, pool
        As for :func:`routingsim.compare`.
    policy : str or Policy
        A cascade; its judge's bar, price and time are kept.
    baseline
        What it is compared with, as :func:`routingsim.policies.make_policy` takes it.
    errors : sequence of float
        Rising shares of wrong verdicts, in [0, 1).
    **settings
        As for :func:`routingsim.compare`: ``replications``, ``seed``, ``tasks``, … and one
        of ``loads`` or ``rates``, by default a load of 0.3.

    Raises
    ------
    PolicyError
        If the policy is not a cascade.
    SimulationError
        If errors do not rise, no quality is recorded, or another argument is not allowed.
    """
    corpus, pool = as_corpus(corpus), load_agents(pool)
    made = make_policy(pool, policy, corpus)
    judge = made.judge
    if judge is None:
        raise PolicyError(f"{made.name} has no judge: judge_errors() is for cascades")
    given = list(errors)
    rising = all(is_finite(e) for e in given) and (np.diff(given) > 0).all()
    if not (given and rising and given[0] >= 0 and given[-1] < 1):
        raise SimulationError(f"errors={errors!r}: rising shares in [0, 1) are needed")
    names = {f"{made.name} [judge error {error:g}]": error for error in given}
    cascades = [
        replace(made, name=name, judge=replace(judge, error=float(error)))
        for name, error in names.items()
    ]
    if "rates" not in settings:
        settings.setdefault("loads", 0.3)
    settings.setdefault("controls", False)
    study = compare(corpus, pool, [baseline, *cascades], **settings)
    [load] = study.loads if len(study.loads) == 1 else [math.nan]
    if math.isnan(load):
        raise SimulationError(f"judge_errors takes one load, and got {len(study.loads)}")
    if not study.recorded:
        raise SimulationError(
            f"{corpus.name} records no quality of these agents: a judge accepts every answer"
        )
    better, saved = (study.differences(metric, load) for metric in ("quality_all", "cost"))
    rows = []
    for name, error in names.items():
        row: dict[str, Any] = {"error": error}
        for what, found, sign in (("quality", better[name], 1), ("cost", saved[name], -1)):
            row[what] = study.interval(name, load, "quality_all" if sign > 0 else "cost").mean
            row[f"{what}_gain"] = sign * found.interval.mean
            row[f"{what}_gain_hw"] = found.interval.half_width
            row[f"{what}_verdict"] = found.verdict
        rows.append(row)
    frame = pd.DataFrame(rows)
    at = frame["error"].to_numpy(dtype=np.float64)
    turns = [turning(at, frame[f"{what}_gain"].to_numpy()) for what in ("quality", "cost")]
    return JudgeErrors(made.name, study.baseline, judge, frame, *turns)
