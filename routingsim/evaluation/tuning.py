"""Tuning a policy's parameters, and anything else a sweep can vary, with Optuna."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.corpus import Corpus, CorpusLike
from routingsim.errors import RoutingSimError, SimulationError
from routingsim.evaluation.cell import HIGHER_IS_BETTER
from routingsim.evaluation.loads import Wanted
from routingsim.evaluation.sweeps.cells import run_cell
from routingsim.evaluation.sweeps.design import Axis
from routingsim.evaluation.sweeps.plan import Fixed
from routingsim.evaluation.sweeps.result import check_metric
from routingsim.evaluation.sweeps.sweep import planned
from routingsim.evaluation.tabular import Tabular
from routingsim.formatting import short
from routingsim.policies.folds import prompts
from routingsim.simulation.arrivals.checks import is_finite, is_whole

Objective = str | Callable[[Mapping[str, Any]], float]
"""A metric, or a function of a cell's row."""


@dataclass(frozen=True, eq=False, repr=False)
class Tuned(Tabular):
    """The best setting of a search; made by :func:`tune`.

    Attributes
    ----------
    best : dict
        The value of each parameter.
    tuned, held_out : dict
        The cell's row on the tasks and seeds of the search, by which it was chosen, and on
        others: the figure to rely on is that of ``held_out``.
    objective : str
        The metric, or the name of the function.
    bounds : mapping of str to tuple
        By metric, ">=" or "<=" and the bound.
    study : optuna.Study
        All trials.
    """

    best: Mapping[str, Any]
    tuned: Mapping[str, Any]
    held_out: Mapping[str, Any]
    objective: str
    bounds: Mapping[str, tuple[str, float]]
    study: Any = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """A row for the tasks of the search and one for those held out: objective and bounds.

        ``low`` and ``high`` are the ends of 95 % intervals over the runs.
        """
        rows = []
        for name in dict.fromkeys((self.objective, *self.bounds)):
            for tasks, row in (("searched", self.tuned), ("held out", self.held_out)):
                mean, half = row[name], row.get(f"{name}_hw", np.nan)
                sign, bound = self.bounds.get(name, ("", np.nan))
                met = "" if not sign else "yes" if _excess(row, name, sign, bound) <= 0 else "no"
                rows.append((name, tasks, mean, mean - half, mean + half, sign, bound, met))
        names = ["metric", "tasks", "mean", "low", "high", "sign", "bound", "met"]
        return pd.DataFrame(rows, columns=names)

    def __repr__(self) -> str:
        at = ", ".join(f"{name} {value}" for name, value in self.best.items())
        lines = [f"Tuned by {self.objective} in {len(self.study.trials):,} trials: {at}"]
        for row in self.to_frame().to_dict("records"):
            bound = f", {row['sign']} {row['bound']:g}: {row['met']}" if row["sign"] else ""
            lines.append(
                f"  {row['metric']} on tasks and seeds {row['tasks']}: {short(row['mean'])} "
                f"({short(row['low'])} to {short(row['high'])}){bound}"
            )
        return "\n".join(lines)


def tune(
    corpus: CorpusLike,
    pool: Any = None,
    policy: Wanted = "threshold",
    *,
    space: Mapping[str, Any],
    objective: Objective = "goodput",
    maximise: bool | None = None,
    at_least: Mapping[str, float] | None = None,
    at_most: Mapping[str, float] | None = None,
    trials: int = 50,
    held_out: float = 0.3,
    seed: int = 0,
    replications: int = 5,
    storage: str | None = None,
    name: str = "routingsim",
    sampler: Any = None,
    **given: Any,
) -> Tuned:
    """Search the best setting, and run it on tasks and seeds that the search has not seen.

    Parameters
    ----------
    corpus, pool, policy, seed, replications
        As for :func:`routingsim.sweep`; further arguments of it (load, rate, arrivals,
        tasks, right, and the conditions of a replay) too; ``latency_objective`` is what it calls
        ``objective``.
    space : mapping of str to list or range
        As ``vary`` of :func:`routingsim.sweep`; ranges need no steps.
    objective : str or callable
        A metric, or ``objective(row)`` of a cell's row: each metric's mean by its name.
    maximise : bool, optional
        By default whether more of the metric is better; a function is maximised.
    at_least, at_most : mapping of str to float, optional
        Bounds by metric, which whole 95 % intervals over the runs are to meet.
    trials : int
        Settings to try.
    held_out : float
        Share of the prompts that the search does not see, with other seeds for their runs.
    storage, name : str
        A database of Optuna (``"sqlite:///tune.db"``) and the study in it, so that a search can be
        resumed, and for optuna-dashboard.
    sampler : optuna.samplers.BaseSampler, optional
        TPE under the seed by default.

    Raises
    ------
    SimulationError
        If Optuna is not installed, a parameter is out of its range, or no trial meets the
        bounds.
    """
    optuna = _optuna()
    if not is_whole(trials) or trials < 1:
        raise SimulationError(f"trials={trials!r}: a whole number, 1 or more, is needed")
    if not (is_finite(held_out) and 0 < held_out < 1):
        raise SimulationError(f"held_out={held_out!r}: a share between 0 and 1 is needed")
    bounds = {key: (">=", float(bound)) for key, bound in (at_least or {}).items()}
    bounds |= {key: ("<=", float(bound)) for key, bound in (at_most or {}).items()}
    for metric in (*bounds, *([objective] if isinstance(objective, str) else [])):
        check_metric(metric)
    latency = given.pop("latency_objective", None)
    known = dict.fromkeys(("arrivals", "load", "rate", "tasks"))
    known |= {"right": 0.5, "common": True}
    plan = planned(
        *(corpus, pool, policy, space, "latin-hypercube", 1),
        **{**known, **given, "seed": seed, "replications": replications, "objective": latency},
    )
    searched, other = _halves(plan.fixed, held_out)

    def value(row: Mapping[str, Any]) -> float:
        return float(row[objective] if isinstance(objective, str) else objective(row))

    def trial(one: Any) -> float:
        setting = {axis.name: _suggested(one, axis) for axis in plan.axes}
        try:
            row = run_cell(searched, _item(setting))
        except RoutingSimError as error:  # parameters that do not go together
            one.set_user_attr("error", str(error))
            raise optuna.TrialPruned(str(error)) from None
        for key, bound in bounds.items():
            one.set_constraint(key, _excess(row, key, *bound))
        found = value(row)
        if not np.isfinite(found):
            raise optuna.TrialPruned("no figure: its queues grow")
        return found

    higher = objective in HIGHER_IS_BETTER if isinstance(objective, str) else True
    higher = higher if maximise is None else maximise
    law = optuna.samplers.TPESampler(seed=seed & (2**32 - 1))
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        direction="maximize" if higher else "minimize",
        sampler=sampler or law,
    )
    study.optimize(trial, n_trials=int(trials))
    good = [
        each
        for each in study.trials
        if each.state == optuna.trial.TrialState.COMPLETE
        and all(each.constraints[key] <= 0 for key in bounds)
    ]
    if not good:
        asked = ", ".join(f"{key} {sign} {bound:g}" for key, (sign, bound) in bounds.items())
        raise SimulationError(
            f"none of {len(study.trials):,} trials is shown to meet {asked or 'anything'}: widen "
            "the space, relax a bound, or give more trials or replications"
        )
    best = (max if higher else min)(good, key=lambda each: each.value)
    rows = [run_cell(fixed, _item(best.params)) for fixed in (searched, other)]
    shown = objective if isinstance(objective, str) else getattr(objective, "__name__", "objective")
    if not isinstance(objective, str):
        rows = [row | {shown: value(row)} for row in rows]
    return Tuned(dict(best.params), rows[0], rows[1], shown, bounds, study)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SimulationError(
            "Optuna is not installed: install routingsim[optuna], or optuna"
        ) from None
    return optuna


def _item(setting: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return hashlib.sha256(repr(sorted(setting.items())).encode()).hexdigest(), dict(setting)


def _excess(row: Mapping[str, Any], metric: str, sign: str, bound: float) -> float:
    """By how much a metric's interval is beyond a bound; 0 or less where it meets it."""
    mean, half = row[metric], row[f"{metric}_hw"]
    found = bound - (mean - half) if sign == ">=" else mean + half - bound
    return float(found) if np.isfinite(found) else 1e9


def _halves(fixed: Fixed, share: float) -> tuple[Fixed, Fixed]:
    """The tasks to search by and those held out, prompts that are alike together."""
    corpus: Corpus = fixed.corpus
    group: NDArray[np.intp] = np.unique(prompts(corpus), return_inverse=True)[1]
    count = int(group.max()) + 1
    out = round(share * count)
    if not 0 < out < count:
        raise SimulationError(f"held_out={share}: {count:,} different prompts are too few to part")
    dice = np.random.default_rng(fixed.seed & (2**63 - 1))
    hidden = np.isin(group, dice.permutation(count)[:out])
    return (
        replace(fixed, corpus=corpus.select(~hidden)),
        replace(fixed, corpus=corpus.select(hidden), seed=fixed.seed + 1),
    )


def _suggested(trial: Any, axis: Axis) -> Any:
    if np.isnan(axis.low):
        return trial.suggest_categorical(axis.name, list(axis.values))
    if axis.whole:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)
