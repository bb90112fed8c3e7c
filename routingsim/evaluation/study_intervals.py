"""Intervals, differences and the leader of a study, with the reason where there is none."""

import math
from collections.abc import Sequence

import numpy as np

from routingsim.evaluation import partial, ranking, resampling
from routingsim.evaluation.cell import HIGHER_IS_BETTER, OF_RECORDS, SHARES
from routingsim.evaluation.evidence import Evidence, difference, evidence
from routingsim.evaluation.intervals import Difference, no_verdict, not_comparable, together
from routingsim.evaluation.study_record import StudyRecord
from routingsim.simulation.stability import ABOVE
from routingsim.simulation.statistics import Interval, either_side

ONE_RUN, TOO_FEW = "one run", "too few tasks"
DEPENDENT = "batches of the runs look dependent, or have too few values"
"""Why there is no verdict."""

_RATES = ("goodput", "cost_per_right")  # not known where a run ends before its backlog


def interval(study: StudyRecord, name: str, load: float, metric: str) -> Interval:
    """The 95 % interval of a metric, as ``Study.interval`` describes it."""
    if (estimates := study.estimates(load, metric)) is not None:
        return estimates.policies[name].interval
    values = study.values(name, load, metric)
    if study.basis.kind == "log" and metric in OF_RECORDS:
        return Interval(math.nan, math.nan)
    if metric in _RATES and study.cell(name, load).lasts:
        return Interval(math.nan, math.nan)
    if np.isinf(values).any():
        return Interval(math.inf, math.nan)
    found, _ = evidence_of(study, name, load, metric).interval()
    if withheld(study, metric, load, name):
        return Interval(found.mean, math.nan)
    found = either_side(found)
    return found.within(0.0, 1.0) if metric in SHARES else found


def evidence_of(study: StudyRecord, name: str, load: float, metric: str) -> Evidence:
    """What the runs of a policy or control at a load show of a metric."""
    study.values(name, load, metric)  # says what there is, if there is no such metric
    cell, prompts = study.cell(name, load), study.prompts(metric, load)
    return evidence(cell, metric, study.group, prompts, sampled=study.settings.sampled)


def withheld(study: StudyRecord, metric: str, load: float, *names: str) -> str:
    """Why there is no interval or verdict; "" where there is one."""
    if study.settings.replications < 2:
        return ONE_RUN
    if study.settings.sampled and study.prompts(metric, load) < resampling.LEAST:
        return TOO_FEW
    if metric == "cost_per_right":
        if any(set(ABOVE) & set(study.cell(name, load).verdicts) for name in names):
            return "runs are overloaded"
        if any(np.isinf(study.values(name, load, metric)).any() for name in names):
            return "a run has no right answer"
    return ""


def difference_of(study: StudyRecord, metric: str, load: float, one: str, other: str) -> Difference:
    """One policy less another, with the verdict of this one comparison."""
    if (found := study.estimates(load, metric)) is not None:
        return partial.difference_of(found, one, other)
    if study.rest_apart(metric, load, one, other):
        return not_comparable("rests on other tasks than the baseline")
    if study.lasts(metric, load, one, other):
        return not_comparable("runs end before their backlog")
    both = [evidence_of(study, name, load, metric) for name in (one, other)]
    found = difference(*both, higher_is_better=metric in HIGHER_IS_BETTER)
    if why := withheld(study, metric, load, one, other):
        return no_verdict(why, found.interval.mean, found.pairs, found.left_out)
    return found


def differences(
    study: StudyRecord, metric: str, load: float, *, baseline: str | None = None
) -> dict[str, Difference]:
    """Every other policy and control less the baseline, as ``Study.differences`` describes."""
    against = study.baseline if baseline is None else baseline
    study.values(against, load, metric)
    found = {
        name: difference_of(study, metric, load, name, against)
        for name in study.names
        if name != against
    }
    return found if study.estimates(load, metric) is not None else together(found)


def by_mean(study: StudyRecord, names: Sequence[str], load: float, metric: str) -> list[str]:
    """Those of the names that can be compared with the baseline, best first."""
    means = {
        name: interval(study, name, load, metric).mean
        for name in names
        if name == study.baseline or not study.rest_apart(metric, load, name, study.baseline)
        if not study.lasts(metric, load, name)
    }
    known = [name for name, mean in means.items() if not math.isnan(mean)]
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    return sorted(known, key=lambda name: sign * means[name])


def leader(
    study: StudyRecord, load: float | None = None, *, by: str | None = None
) -> ranking.Leader:
    """The policy that is first, or those that may be, as ``Study.leader`` describes."""
    at, metric = study.load_and_metric(load, by)
    if (found := study.estimates(at, metric)) is not None:
        return ranking.Leader(tuple(partial.best_of(found, study.policies)))
    ordered = by_mean(study, study.policies, at, metric)
    return ranking.find_leader(ordered, lambda *both: difference_of(study, metric, at, *both))


def not_compared(study: StudyRecord, load: float | None = None, *, by: str | None = None) -> str:
    """Which policies the leader cannot be compared with, as the end of a sentence about it."""
    at, metric = study.load_and_metric(load, by)
    if study.estimates(at, metric) is not None:
        return ""
    ordered = by_mean(study, study.policies, at, metric)
    left = [name for name in study.policies if name not in ordered]
    return f"; {', '.join(left)} cannot be compared" if left else ""


def leading(study: StudyRecord, load: float | None = None, *, by: str | None = None) -> str:
    """The leader in a sentence; "" where there is only one policy, or no leader is known."""
    at, metric = study.load_and_metric(load, by)
    found, where = leader(study, at, by=metric), f"At load {at:g}"
    called = {"latency_mean": "mean latency"}.get(metric, metric.replace("_", " "))
    called = f"estimated {called}" if study.estimates(at, metric) is not None else called
    if len(study.policies) < 2 or not found:
        return ""
    if found.first:
        left = not_compared(study, at, by=metric)
        return f"{where} {found.first} is first of the policies by {called}{left}."
    said = f"{where} the best by {called} cannot be told apart"
    if found.why == TOO_FEW:
        counted = study.prompts(metric, at)
        return f"{said}: {counted} different tasks, and {resampling.LEAST} are needed."
    return f"{said}: {found.why or ', '.join(found.names)}."
