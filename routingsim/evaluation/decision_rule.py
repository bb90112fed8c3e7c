"""Which policy to use, of policies compared at one load: the rule.

Where there are targets (:mod:`routingsim.evaluation.targets`) the policies that meet all of them
are candidates, and of these the one to use is, step by step, among those that are not shown to
cost more than the cheapest, not shown to be slower (p95) than the quickest left, and not shown
to answer worse than the best left. Without targets it is the knee of the frontier: of the
policies that no other beats the one nearest to the best quality, the lowest cost and the lowest
p95 together, each scaled by its range over them (compromise programming: Zeleny, *Multiple
Criteria Decision Making*, 1982). One policy beats another where it is shown better in one of
these three, and in the others is not shown worse and has a mean that is no worse. "Shown" allows
for the number of all pairs and figures (Holm). A policy whose backlog outlasts the run is no
candidate. Where nothing is shown between the answer and the policy in use, that stays.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from routingsim.evaluation.cell import HIGHER_IS_BETTER
from routingsim.evaluation.decision_record import (
    COMPARED,
    Alternative,
    Choice,
    Compared,
    Grounds,
    Kind,
)
from routingsim.evaluation.intervals import Difference, together
from routingsim.evaluation.targets import Target

_NEAR = 1.05  # ratio of two distances from the ideal below which neither is the knee

Pair = Callable[[str, str, str], Difference]
"""From a metric and two policies to the difference, first less second, uncorrected."""


def decide(
    alternatives: Sequence[Alternative],
    pair: Pair,
    grounds: Callable[[str], Grounds],
    *,
    targets: tuple[Target, ...],
    baseline: str,
    load: float = math.nan,
    rate: float = math.nan,
) -> Choice:
    """Decide between policies, as the module describes it.

    Parameters
    ----------
    alternatives : sequence of Alternative
        The policies with their figures.
    pair : callable
        Compares two in a metric.
    grounds : callable
        From the chosen policy, or "", to what the decision rests on.
    targets : tuple of Target
        None to ask for the knee of the frontier.
    baseline : str
        The policy in use.
    load, rate : float, optional
        At which they were compared.
    """
    alternatives = [_held(each, targets) for each in alternatives]
    pairs = _Pairs([each for each in alternatives if not each.lasts], pair)
    running = list(pairs.figures)
    kind: Kind = "use"
    chosen = ""
    if not running:
        kind = "none keeps up"
    elif targets:
        chosen, kind = _by_targets(alternatives, pairs, targets, baseline)
    else:
        chosen, tied = _knee(pairs, baseline)
        if tied or (pairs.untold and len(running) > 1):
            kind = "undecided"
        elif len(alternatives) == 1:
            kind = "alone"
    if kind == "use" and chosen == baseline:
        kind = "keep"
    against = ""
    if kind in ("use", "undecided") and not (kind == "undecided" and targets):
        others = [baseline, *(each.policy for each in alternatives)]
        against = next((name for name in others if name in running and name != chosen), "")
        against = "" if chosen == baseline else against
    found = [_standing(each, chosen, pairs) for each in alternatives]
    return Choice(
        kind=kind,
        chosen=chosen,
        baseline=baseline,
        against=against,
        load=load,
        rate=rate,
        targets=targets,
        alternatives=tuple(found),
        apart={m: pairs.of(m, chosen, against) for m in COMPARED} if against else {},
        doubts={
            each.policy: tuple(
                m for m in COMPARED if pairs.of(m, chosen, each.policy).told == "in doubt"
            )
            for each in found
            if each.standing == "in doubt"
        },
        why=pairs.untold,
        grounds=grounds(chosen),
    )


def _held(each: Alternative, targets: Sequence[Target]) -> Alternative:
    """A policy with what is known of its targets; an unknown quality or cost is open."""
    found = {}
    for target in targets:
        figure = each.figures[target.metric]
        timed = target.metric.startswith(("latency", "first_token", "wait"))
        unknown = math.isnan(figure.mean) and not timed
        found[target.metric] = "open" if unknown else target.verdict(figure)
        if timed and each.lasts:
            found[target.metric] = "missed"
    return replace(each, targets=found)


class _Pairs:
    """All pairs of policies in all metrics, their verdicts holding together."""

    def __init__(self, running: Sequence[Alternative], pair: Pair) -> None:
        self.figures = {each.policy: each.figures for each in running}
        self._found = together(
            {
                (metric, *both): pair(metric, *both)
                for both in combinations(self.figures, 2)
                for metric in COMPARED
            }
        )

    @property
    def untold(self) -> str:
        """Why no pair can be compared, for lack of runs or tasks; "" where one can."""
        said = [each.method for each in self._found.values() if each.verdict == "no verdict"]
        without = ("no verdict", "not comparable")
        tested = any(each.verdict not in without for each in self._found.values())
        return said[0] if said and not tested else ""

    def of(self, metric: str, one: str, other: str) -> Compared:
        """One policy less another in a metric."""
        theirs = self.figures[other][metric].mean
        if (metric, one, other) in self._found:
            return Compared(metric, self._found[metric, one, other], theirs)
        each = self._found[metric, other, one]
        turned: dict[str, Any] = {"better": "worse", "worse": "better"}
        said = turned.get(each.verdict, each.verdict)
        turned_round = replace(each, interval=each.interval.scaled(-1.0), verdict=said)
        return Compared(metric, turned_round, theirs)

    def told(self, one: str, other: str) -> set[str]:
        """The verdicts on one policy against another in all metrics."""
        return {self.of(metric, one, other).told for metric in COMPARED}

    def beats(self, one: str, other: str) -> bool:
        """Whether one policy is shown better, and no figure of it is worse."""
        told = {metric: self.of(metric, one, other).told for metric in COMPARED}
        if "better" not in told.values() or "worse" in told.values():
            return False
        return not any(
            each == "in doubt" and self._worse(metric, one, other) for metric, each in told.items()
        )

    def _worse(self, metric: str, one: str, other: str) -> bool:
        ours, theirs = (self.figures[name][metric].mean for name in (one, other))
        return ours < theirs if metric in HIGHER_IS_BETTER else ours > theirs


def _standing(each: Alternative, chosen: str, pairs: _Pairs) -> Alternative:
    if each.lasts:
        return replace(each, standing="overloaded")
    if each.policy == chosen:
        return replace(each, standing="chosen")
    if "missed" in each.targets.values():
        return replace(each, standing="misses")
    if "open" in each.targets.values():
        return replace(each, standing="open")
    told = pairs.told(chosen, each.policy)
    if {"better", "worse"} <= told:
        return replace(each, standing="trade-off")
    behind = "better" in told and "in doubt" not in told
    return replace(each, standing="behind" if behind else "in doubt")


def _by_targets(
    alternatives: Sequence[Alternative],
    pairs: _Pairs,
    targets: Sequence[Target],
    baseline: str,
) -> tuple[str, Kind]:
    """The policy to use, or else the one that comes closest, and what that is."""
    running = [each for each in alternatives if not each.lasts]
    if left := [each.policy for each in running if set(each.targets.values()) == {"met"}]:
        return _cheapest(left, pairs, baseline), "use"
    maybe = [each for each in running if "missed" not in each.targets.values()]
    return _nearest(maybe or running, targets), "undecided" if maybe else "none meets"


def _cheapest(left: Sequence[str], pairs: _Pairs, baseline: str) -> str:
    """The policy to use, of those that meet the targets."""
    for metric in ("cost", "latency_p95", "quality_all"):
        sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
        means = {name: sign * pairs.figures[name][metric].mean for name in left}
        known = [name for name in left if not math.isnan(means[name])]
        if known:
            best = min(known, key=means.__getitem__)
            left = [
                name
                for name in left
                if name == best or pairs.of(metric, name, best).told != "worse"
            ]
    if baseline in left:
        return baseline
    return min(left, key=lambda name: pairs.figures[name]["cost"].mean)


def _nearest(candidates: Sequence[Alternative], targets: Sequence[Target]) -> str:
    """The policy whose worst target is missed by the smallest share of its bound."""

    def lacking(each: Alternative) -> float:
        short = [
            -target.margin(each.figures[target.metric].mean) / (target.bound or 1.0)
            for target in targets
        ]
        return max(math.inf if math.isnan(part) else part for part in short)

    return min(candidates, key=lacking).policy


def _knee(pairs: _Pairs, baseline: str) -> tuple[str, bool]:
    """The knee of the frontier, and whether another is as near to the ideal."""
    names = list(pairs.figures)
    front = [
        name
        for name in names
        if not any(pairs.beats(other, name) for other in names if other != name)
    ] or names
    distance = dict.fromkeys(front, 0.0)
    for metric in COMPARED:
        values = {name: pairs.figures[name][metric].mean for name in front}
        told = any(
            pairs.of(metric, *both).told in ("better", "worse") for both in combinations(front, 2)
        )
        low, high = min(values.values()), max(values.values())
        if told and low < high:
            ideal = high if metric in HIGHER_IS_BETTER else low
            for name, value in values.items():
                distance[name] += ((value - ideal) / (high - low)) ** 2
    order = sorted(distance, key=lambda name: (distance[name], name != baseline))
    knee = order[0]
    near = [name for name in order[1:] if distance[name] <= _NEAR**2 * distance[knee]]
    if any({"better", "worse"} <= pairs.told(knee, name) for name in near):
        return knee, True
    if baseline in distance and baseline != knee:
        nothing = not {"better", "worse"} & pairs.told(knee, baseline)
        return (baseline if nothing else knee), False
    return knee, False
