"""The decision between the policies of a study, or of replays: which one to use, how sure.

The rule is :mod:`routingsim.evaluation.decision_rule`, the sentences are
:mod:`routingsim.evaluation.decision_text`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from routingsim import display
from routingsim.corpora import backtested
from routingsim.errors import SimulationError, did_you_mean
from routingsim.evaluation import decision_text, partial
from routingsim.evaluation.cell import HIGHER_IS_BETTER, SHARES
from routingsim.evaluation.decision_record import COMPARED, Alternative, Choice, Grounds
from routingsim.evaluation.decision_rule import Pair, decide
from routingsim.evaluation.intervals import Difference, no_verdict, not_comparable, verdict
from routingsim.evaluation.objective import objective_of
from routingsim.evaluation.replay_difference import (
    Goodput,
    different_tasks,
    replay_difference,
    replay_figure,
)
from routingsim.evaluation.study_intervals import DEPENDENT, difference_of, interval
from routingsim.evaluation.study_record import ESTIMATED, StudyRecord
from routingsim.evaluation.targets import USD, Target, targets_of
from routingsim.policies.fitted import in_sample
from routingsim.simulation.in_time import Objective
from routingsim.simulation.replications import REPLICATIONS
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import Interval
from routingsim.simulation.stream_result import StreamedReplay

_WHOLE = 10_000  # characters: more than any sentence has

LOGGED = "logged"
"""The policy that repeats a log: the one in use, unless another is named."""


@dataclass(frozen=True, repr=False, eq=False)
class Decision(Choice):
    """What :meth:`routingsim.evaluation.study.Study.decision` returns; it prints as sentences.

    Attributes are those of :class:`~routingsim.evaluation.decision_record.Choice`.
    """

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON, NaN as None, with the sentences."""
        said = decision_text.sentences(self)
        return {
            "kind": self.kind,
            "chosen": self.chosen or None,
            "first": self.first,
            "baseline": self.baseline,
            "against": self.against or None,
            "load": None if math.isnan(self.load) else self.load,
            "rate": None if math.isnan(self.rate) else self.rate,
            "targets": [{"metric": t.metric, "bound": t.bound} for t in self.targets],
            "policies": [
                {
                    "policy": each.policy,
                    "standing": each.standing,
                    "stability": each.verdict,
                    "targets": dict(each.targets),
                    "figures": {name: _ends(found) for name, found in each.figures.items()},
                }
                for each in self.alternatives
            ],
            "difference": {
                metric: _ends(each.difference.interval) | {"told": each.told}
                for metric, each in self.apart.items()
            },
            "backtest": self.grounds.backtest or None,
            "asked": said.asked,
            "answer": said.answer,
            "sure": list(said.sure),
            "rests_on": list(said.rests_on),
            "next": list(said.then),
        }

    def __repr__(self) -> str:
        return decision_text.plain(self)

    def to_html(self) -> str:
        """What a notebook shows: the answer, and below it what it rests on."""
        said = decision_text.sentences(self)
        rows = [[title, " ".join(lines)] for title, lines in said.parts()]
        return display.card(said.answer, display.table((), rows, most=_WHOLE))

    _repr_html_ = to_html


def _ends(interval: Interval) -> dict[str, Any]:
    values = interval.to_dict()
    return {name: values[name] for name in ("mean", "low", "high")}


def of_study(
    study: StudyRecord,
    *,
    load: float | None,
    slo: Mapping[str, float] | None,
    quality: float | None,
    baseline: str | None,
) -> Decision:
    """The decision between a study's policies, as ``Study.decision`` describes it."""
    at, targets = study.loads[-1] if load is None else load, _targets(slo, quality)
    names = study.policies
    study.cell(names[0], at)  # says which loads there are
    metrics = dict.fromkeys([*COMPARED, *(target.metric for target in targets)])

    def alternative(name: str) -> Alternative:
        cell = study.cell(name, at)
        above = float(study.values(name, at, "above").mean())
        figures = {
            metric: _bounded(metric, interval(study, name, at, metric)) for metric in metrics
        }
        return Alternative(name, cell.verdict, above, cell.lasts, figures)

    def grounds(chosen: str) -> Grounds:
        name = chosen or names[0]
        cell, found = study.cell(name, at), study.estimates(at)
        return Grounds(
            tasks=study.settings.tasks,
            runs=study.settings.replications,
            prompts=study.prompts("cost", at),
            records=study.basis.kind,
            coverage=float(study.values(name, at, "recorded").mean()),
            estimate="" if found is None else found.policies[name].verdict,
            fitted=study.in_sample.get(name, 0.0),
            enough=round(float(study.values(name, at, "enough").mean())),
            agreed=cell.verdicts.count(cell.verdict),
            population=study.settings.population,
            backtest=backtested.said_of(study.corpus.sha256),
        )

    rate = study.rates[study.loads.index(at)]
    return _decision(
        [alternative(name) for name in names],
        lambda metric, one, other: difference_of(study, metric, at, one, other),
        grounds,
        targets,
        baseline,
        at,
        rate,
    )


def of_replays(
    results: Sequence[ReplayResult],
    *,
    slo: Mapping[str, float] | None = None,
    quality: float | None = None,
    baseline: str | None = None,
    objective: float | None = None,
    first_token_objective: float | None = None,
) -> Decision:
    """The decision between replays of the same tasks, as ``Study.decision`` has it of a study.

    Intervals are of further runs (:mod:`routingsim.simulation.replications`), which are made
    when they are first asked for. Goodput is that within ``objective`` (s), by default
    :func:`routingsim.evaluation.objective.default_objective`, and ``first_token_objective`` (s).

    Raises
    ------
    SimulationError
        If a target or the baseline is unknown, or an objective is not above 0.
    """
    targets = _targets(slo, quality)
    goodput = Goodput(objective_of(results, objective, first_token_objective))
    named = partial.named(results)
    logs = {field: partial.named_estimates(named, field) for field in ("quality", "cost")}
    first = results[0]

    def figure(name: str, metric: str) -> Interval:
        found = logs.get(ESTIMATED.get(metric, ""))
        if found is not None:
            return found.policies[name].interval
        return replay_figure(metric, named[name], goodput)

    @cache
    def pair(metric: str, one: str, other: str) -> Difference:
        found = logs.get(ESTIMATED.get(metric, ""))
        if found is not None:
            return partial.difference_of(found, one, other)
        apart = replay_difference(metric, named[one], named[other], goodput)
        return _difference(
            metric, apart, *(_mean(metric, named[name], goodput) for name in (one, other))
        )

    def grounds(chosen: str) -> Grounds:
        result = named[chosen] if chosen else first
        found = logs["quality"]
        known = result.overall.get("recorded", math.nan)
        digest = "" if first.corpus is None else first.corpus.sha256
        return Grounds(
            tasks=len(first),
            runs=1 if result.replications is None else 1 + REPLICATIONS,
            prompts=different_tasks(first),
            records=first.basis.kind,
            coverage=float(known),
            estimate="" if found is None or not chosen else found.policies[chosen].verdict,
            fitted=in_sample(result.corpus, result.policy.fitted_on, result.work.row),
            enough=result.stability.enough,
            agreed=1,
            population="tasks like these",
            backtest=backtested.said_of(digest),
        )

    return _of_runs(named, figure, pair, grounds, targets, baseline)


def of_streams(
    results: Sequence[StreamedReplay],
    *,
    slo: Mapping[str, float] | None = None,
    quality: float | None = None,
    baseline: str | None = None,
    objective: float | None = None,
    first_token_objective: float | None = None,
) -> Decision:
    """The same between replays in blocks of one stream; intervals are by batches of each run.

    Raises
    ------
    SimulationError
        If a target or the baseline is unknown, or the objective is not that of the replays.
    """
    targets = _targets(slo, quality)
    if objective is not None:
        for result in results:
            result.in_time(Objective(objective, first_token_objective))
    named = partial.named(results)
    first = results[0]

    def figure(name: str, metric: str) -> Interval:
        if metric in ESTIMATED and first.recorded == "log":
            return Interval(math.nan, math.nan)
        return named[name].interval("cost_mean" if metric == "cost" else metric)

    def pair(metric: str, one: str, other: str) -> Difference:
        if metric in ESTIMATED and first.recorded == "log":
            return not_comparable("rests on other tasks")
        column = "cost_mean" if metric == "cost" else metric
        apart = named[one].difference(named[other], column)
        return _difference(metric, apart, *(named[name].figure(column) for name in (one, other)))

    def grounds(chosen: str) -> Grounds:
        result = named[chosen] if chosen else first
        return Grounds(
            tasks=len(first),
            runs=1,
            prompts=len(first),
            records=first.recorded,
            coverage=result.figure("recorded"),
            estimate="",
            fitted=0.0,
            enough=result.stability.enough,
            agreed=1,
            population="tasks like these",
        )

    return _of_runs(named, figure, pair, grounds, targets, baseline)


def _difference(metric: str, apart: Interval | None, ours: float, theirs: float) -> Difference:
    """The verdict on an interval, or why there is none, of two runs with these means."""
    if apart is None:
        return no_verdict(DEPENDENT, ours - theirs)
    if math.isnan(apart.mean):
        return not_comparable("rests on other tasks")
    better = verdict(apart, higher_is_better=metric in HIGHER_IS_BETTER)
    return Difference(apart, math.nan, better, apart.method, apart.runs)


def _of_runs(
    named: Mapping[str, ReplayResult] | Mapping[str, StreamedReplay],
    figure: Callable[[str, str], Interval],
    pair: Pair,
    grounds: Callable[[str], Grounds],
    targets: tuple[Target, ...],
    baseline: str | None,
) -> Decision:
    """The decision between runs, with a ``figure`` of each by policy and metric."""
    metrics = dict.fromkeys([*COMPARED, *(target.metric for target in targets)])
    found = [
        Alternative(
            *(name, run.stability.verdict, run.stability.above, run.stability.lasts),
            {metric: _bounded(metric, figure(name, metric)) for metric in metrics},
        )
        for name, run in named.items()
    ]
    rate = next(iter(named.values())).realised[0]
    return _decision(found, pair, grounds, targets, baseline, math.nan, rate)


def _decision(
    alternatives: Sequence[Alternative],
    pair: Pair,
    grounds: Callable[[str], Grounds],
    targets: tuple[Target, ...],
    baseline: str | None,
    load: float,
    rate: float,
) -> Decision:
    names = [each.policy for each in alternatives]
    if baseline is not None and baseline not in names:
        hint = did_you_mean(str(baseline), names)
        raise SimulationError(
            f"no policy {baseline!r} to compare with: there are {', '.join(names)}{hint}"
        )
    used = baseline or (LOGGED if LOGGED in names else names[0])
    made = decide(alternatives, pair, grounds, targets=targets, baseline=used, load=load, rate=rate)
    return Decision(**{each.name: getattr(made, each.name) for each in fields(Choice)})


def _targets(slo: Mapping[str, float] | None, quality: float | None) -> tuple[Target, ...]:
    """The targets, of which there may be none; the cost per hour is a question of capacity."""
    if not slo and quality is None:
        return ()
    found = targets_of(slo, quality, None)
    if any(target.metric == USD for target in found):
        raise SimulationError(f"target {USD}: this asks how many slots to rent; see capacity()")
    return found


def _bounded(metric: str, found: Interval) -> Interval:
    """An interval without values that the metric cannot have."""
    return found.within(0.0, 1.0 if metric in SHARES else math.inf)


def _mean(metric: str, result: ReplayResult, goodput: Goodput) -> float:
    if metric == "goodput":
        return goodput(result)
    return float(result.whole["cost_mean" if metric == "cost" else metric])
