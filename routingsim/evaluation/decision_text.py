"""A decision in sentences: asked, answer, how sure, what it rests on, what to do next."""

import math
from typing import NamedTuple

from routingsim import display
from routingsim.evaluation.decision_record import COMPARED, Alternative, Choice, Compared
from routingsim.evaluation.study_intervals import DEPENDENT, ONE_RUN, TOO_FEW
from routingsim.evaluation.targets import Target
from routingsim.formatting import count, duration, joined, number, percent, upper_first, usd
from routingsim.simulation.stability import CONSEQUENCES
from routingsim.simulation.statistics import Interval

_SHARES = {"latency_p50": "half", "latency_p95": "95 %", "latency_p99": "99 %"}
_FIRST = {name.replace("latency", "first_token"): share for name, share in _SHARES.items()}
_NAMES = {
    "quality_all": "quality",
    "cost": "cost",
    "goodput": "goodput",
    "answered": "share answered",
    **{f"latency_{q}": q for q in ("p50", "p95", "p99")},
    "latency_mean": "mean latency",
    **{f"first_token_{q}": f"first token {q}" for q in ("p50", "p95", "p99")},
    "first_token_mean": "mean time to the first token",
    "wait_mean": "mean wait",
}
_MOST = 6  # policies that are named before "and 3 more"


class Sentences(NamedTuple):
    """The sentences on a decision; ``then`` is what to do next."""

    asked: str
    answer: str
    sure: tuple[str, ...]
    rests_on: tuple[str, ...]
    then: tuple[str, ...]

    def parts(self) -> list[tuple[str, tuple[str, ...]]]:
        """All but the answer, each with its title."""
        return [
            ("Asked", (self.asked,)),
            ("How sure", self.sure),
            ("What it rests on", self.rests_on),
            ("What to do next", self.then),
        ]


def sentences(made: Choice) -> Sentences:
    """A decision in sentences."""
    return Sentences(
        _asked(made), _answer(made), tuple(_sure(made)), tuple(_rests_on(made)), tuple(_next(made))
    )


def plain(made: Choice) -> str:
    """What a terminal shows."""
    said = sentences(made)
    asked, *parts = [f"{title}: {' '.join(lines)}" for title, lines in said.parts() if lines]
    return "\n".join(map(display.wrapped, [asked, f"Answer: {said.answer}", *parts]))


def _asked(made: Choice) -> str:
    where = ""
    if not math.isnan(made.load):
        where = f" at load {made.load:g} ({number(made.rate)} tasks/s)"
    elif not math.isnan(made.rate):
        where = f" at {number(made.rate)} tasks/s"
    alone = len(made.alternatives) == 1
    if made.targets:
        wanted = joined([_wanted(target) for target in made.targets], 9)
        if alone:
            return f"Does {made.baseline} reach {wanted}{where}?"
        return f"Which policy is the cheapest with {wanted}{where}?"
    if alone:
        return f"How does {made.baseline} do{where}? No target was given."
    figures = {"quality_all": "quality", "cost": "cost", "latency_p95": "p95 latency"}
    known = [name for metric, name in figures.items() if _known(made, metric)]
    between = f" between {joined(known)}" if len(known) > 1 else ""
    return f"Which policy is the best compromise{between}{where}? No target was given."


def _known(made: Choice, metric: str) -> bool:
    return any(not math.isnan(each.figures[metric].mean) for each in made.alternatives)


def _wanted(target: Target) -> str:
    """A target in words: ``95 % of the answers within 2 s``."""
    bound = target.bound
    if target.metric in _SHARES:
        return f"{_SHARES[target.metric]} of the answers within {duration_of(bound)}"
    if target.metric in _FIRST:
        share = _FIRST[target.metric]
        return f"the first token of {share} of the answers within {duration_of(bound)}"
    return {
        "first_token_mean": f"a mean time to the first token of at most {duration_of(bound)}",
        "latency_mean": f"a mean latency of at most {duration_of(bound)}",
        "wait_mean": f"a mean wait of at most {duration_of(bound)}",
        "quality_all": f"a mean quality of at least {bound:g}",
        "goodput": f"at least {bound:g} right answers a second",
        "answered": f"at least {100 * bound:g} % of the tasks answered",
        "cost": f"a cost of at most {usd(1000 * bound)} per 1,000 tasks",
    }[target.metric]


def duration_of(seconds: float) -> str:
    """A bound as it was given: ``2 s``."""
    return f"{seconds:g} s" if seconds < 180 else duration(seconds)


def shown(metric: str, value: float) -> str:
    """A figure with its unit."""
    if metric.startswith(("latency", "first_token", "wait")):
        return duration(value)
    if metric == "cost":
        return f"{usd(1000 * value)} per 1,000 tasks"
    if metric == "answered":
        return percent(value)
    return f"{value:.3f}" if metric == "quality_all" else f"{number(value)}/s"


def _span(metric: str, found: Interval) -> str:
    """A figure and its interval: ``1.9 s (1.7 to 2.2)``."""
    if math.isnan(found.mean):
        return "not known"
    if math.isnan(found.half_width) or not found.half_width:
        return shown(metric, found.mean)
    scale = 1000.0 if metric == "cost" else 100.0 if metric == "answered" else 1.0
    digits = 4 if metric == "answered" else 3
    ends = [number(scale * end, digits) for end in (found.low, found.high)]
    return f"{shown(metric, found.mean)} ({ends[0]} to {ends[1]})"


def _answer(made: Choice) -> str:
    kind, chosen = made.kind, made.chosen
    if kind == "none keeps up":
        which = (
            "No policy keeps" if len(made.alternatives) > 1 else f"{made.baseline} does not keep"
        )
        return f"{which} up with this load: {CONSEQUENCES['growing']}."
    best = made.alternative(chosen)
    if kind == "alone":
        return f"{chosen}: {_figures(best)}. There is no other policy to compare it with."
    if kind in ("none meets", "undecided") and made.targets:
        alone = len(made.alternatives) == 1
        if kind == "none meets":
            said = (
                f"{chosen} does not reach the targets" if alone else "No policy meets the targets"
            )
        else:
            who = f"{chosen} is not" if alone else "no policy is"
            said = f"Undecided: {who} shown to meet all targets"
        lacking = joined(
            [_lacking(t, best) for t in made.targets if best.targets[t.metric] != "met"]
        )
        return f"{said}. {'It has' if alone else f'{chosen} comes closest, with'} {lacking}."
    if kind == "undecided":
        return _undecided(made)
    if kind == "keep":
        if len(made.alternatives) == 1:
            return f"{chosen} meets the targets, with {_figures(best)}."
        other = "no other policy is shown to be better"
        if made.targets:
            other = f"it meets the targets, and {other} or cheaper among those that do"
        return f"Keep {chosen}, with {_figures(best)}: {other}."
    if not made.against:
        others = len(made.alternatives) > 1
        only = ": no other policy keeps up with the load" * others
        return f"Use {chosen}, with {_figures(best)}{only}."
    if made.against != made.baseline:
        return (
            f"Use {chosen}: {made.baseline} does not keep up with the load. Compared with "
            f"{made.against}: {_compared(made)}."
        )
    instead = f"Use {chosen} instead of {made.baseline}"
    if not made.targets:
        return f"{instead}: {_compared(made)}."
    missed = [m for m, held in made.alternative(made.baseline).targets.items() if held != "met"]
    which = ""
    if missed:
        how = "misses" if "misses" in made.alternative(made.baseline).standing else "may miss"
        which = f", which {made.baseline} {how} ({joined([_NAMES[m] for m in missed])})"
    return f"{instead}: it meets the targets{which}; {_compared(made)}."


def _undecided(made: Choice) -> str:
    if made.why == ONE_RUN:
        return "Undecided: one run cannot tell the policies apart."
    if made.why == TOO_FEW:
        tasks = count(made.grounds.prompts, "different task")
        return f"Undecided: {tasks} cannot tell the policies apart."
    if made.why:
        return f"Undecided: the policies cannot be told apart ({made.why})."
    others = [made.chosen, *made.standing("trade-off")]
    best = [f"{name}: {_figures(made.alternative(name))}" for name in others[:3]]
    return f"Undecided, a trade-off. {'; '.join(best)}."


def _figures(each: Alternative) -> str:
    """The main figures of a policy, as far as they are known."""
    said = []
    for metric in COMPARED:
        mean = each.figures[metric].mean
        if not math.isnan(mean) and not (each.lasts and metric == "latency_p95"):
            value = shown(metric, mean)
            said.append(value if metric == "cost" else f"{_NAMES[metric]} {value}")
    return joined(said) or "no figure that is known"


def _lacking(target: Target, each: Alternative) -> str:
    """A target that is not met: ``p95 2.4 s, 0.4 s more than asked for``."""
    metric, found = target.metric, each.figures[target.metric]
    if each.lasts and metric.startswith(("latency", "first_token", "wait")):
        return f"a {_NAMES[metric]} without bound"
    margin = target.margin(found.mean)
    if math.isnan(margin):
        return f"a {_NAMES[metric]} that is not known"
    said = f"{_NAMES[metric]} {_span(metric, found)}"
    if margin >= 0:
        return f"{said}, which may be beyond the bound"
    more = "less" if target.at_least else "more"
    return f"{said}, {shown(metric, -margin)} {more} than asked for"


def _compared(made: Choice) -> str:
    """The chosen policy against another: ``same cost, p95 3.2 s instead of 5.6 s``.

    First what is the same, then what differs, then how much worse what is in doubt may be.
    """
    one, other = made.alternative(made.chosen), made.alternative(made.against)
    told, same, risks = [], [], []
    for metric, each in made.apart.items():
        ours, theirs = (x.figures[metric].mean for x in (one, other))
        if each.told in ("better", "worse"):
            told.append(_instead(metric, ours, theirs))
        elif each.told == "about the same":
            found = each.difference.interval
            exact = found.mean == 0 and found.half_width == 0
            same.append(f"{'the same' if exact else 'about the same'} {_NAMES[metric]}")
        elif each.told == "no worse":
            word = "lower" if metric == "quality_all" else "higher"
            same.append(f"{_NAMES[metric]} no {word}")
        elif each.told == "in doubt":
            risks.append(_risk(each))
    first = ", ".join([*told, *same])
    return "; ".join(filter(None, [first, joined(risks)])) or "no figure of both is known"


def _risk(each: Compared) -> str:
    """How much worse a figure may be: ``quality may be up to 2.1 points lower``."""
    name, worst = _NAMES[each.metric], each.worst
    if math.isnan(worst):
        return f"{name} cannot be compared"
    if each.metric == "quality_all":
        return f"{name} may be up to {number(100 * worst, 2)} points lower"
    by = percent(worst / each.theirs) if each.theirs > 0 else shown(each.metric, worst)
    return f"{name} may be up to {by} higher"


def _instead(metric: str, ours: float, theirs: float) -> str:
    if metric == "cost" and theirs > 0:
        change = ours / theirs - 1
        if change >= 1:
            return f"{number(ours / theirs, 2)} times the cost"
        return f"{percent(abs(change))} {'higher' if change > 0 else 'lower'} cost"
    return f"{_NAMES[metric]} {shown(metric, ours)} instead of {shown(metric, theirs)}"


def _sure(made: Choice) -> list[str]:
    """Intervals, and how the other policies compare."""
    said = []
    if made.against:
        ends = [
            _apart(each)
            for each in made.apart.values()
            if not math.isnan(each.difference.interval.half_width)
        ]
        if ends:
            said.append(f"Against {made.against}, 95 % intervals: {'; '.join(ends)}.")
    if made.chosen and made.targets:
        best = made.alternative(made.chosen)
        held = [
            f"{_NAMES[target.metric]} {_span(target.metric, best.figures[target.metric])}, "
            f"{best.targets[target.metric]}"
            for target in made.targets
        ]
        said.append(f"{made.chosen} against the targets (95 % intervals): {'; '.join(held)}.")
    if made.first and made.standing("behind", "trade-off"):
        said.append(f"{made.chosen} is first: no pair of it with another policy is in doubt.")
    if made.doubts and not made.why:
        each = [
            f"{name} ({joined([_NAMES[metric] for metric in metrics])})" if metrics else name
            for name, metrics in made.doubts.items()
        ]
        said.append(f"In doubt beside {made.chosen}: {joined(each, _MOST)}.")
    for standing, words in (
        ("open", "may meet the targets or not"),
        ("trade-off", "{be} a trade-off against {}: shown better in one figure, worse in another"),
        ("behind", "{be} behind {}: shown worse in a figure, better in none"),
        ("misses", "{miss} a target"),
        ("overloaded", "{do} not keep up with the load"),
    ):
        named = made.standing(standing)  # pyright: ignore[reportArgumentType]
        if named and made.kind != "none keeps up":
            many = len(named) > 1
            verbs = {"be": "are" if many else "is", "miss": "miss" if many else "misses"}
            verbs["do"] = "do" if many else "does"
            said.append(f"{joined(named, _MOST)} {words.format(made.chosen, **verbs)}.")
    return said


def _apart(each: Compared) -> str:
    """A difference with its interval: ``p95 2.1 to 2.7 s lower``."""
    found, name = each.difference.interval, _NAMES[each.metric]
    scale, unit = 1.0, " s"
    if each.metric == "quality_all":
        scale, unit = 100.0, " points"
    elif each.metric == "cost":
        scale, unit = (100.0 / each.theirs, " %") if each.theirs > 0 else (1000.0, " USD")
    least_possible = -math.inf if each.metric == "quality_all" else -each.theirs
    low, high = scale * max(found.low, least_possible), scale * found.high
    if low == high == 0:
        return f"{name} the same"
    ends = [number(abs(end), 2) for end in (low, high)]
    if each.metric == "quality_all":
        ends = [f"{abs(end):.1f}" for end in (low, high)]
    if low < 0 < high:
        return f"{name} {ends[0]}{unit} lower to {ends[1]}{unit} higher"
    least, most = ends if low >= 0 else reversed(ends)
    said = most if least == most else f"{least} to {most}"
    return f"{name} {said}{unit} {'higher' if low >= 0 else 'lower'}"


def _rests_on(made: Choice) -> list[str]:
    on, name = made.grounds, made.chosen or made.baseline
    said = [
        f"{count(on.tasks, 'task')} in {count(on.runs, 'run')} of each policy; intervals are about "
        f"{on.population}."
    ]
    if on.records == "none":
        said.append("No quality is recorded: by cost and latency alone.")
    elif on.records == "log":
        words = {"cannot": "cannot tell", "weak": "can tell weakly", "answered": "can tell"}
        said.append(
            "The log has one answer a task, so quality is estimated: of "
            f"{name} it {words.get(on.estimate, 'cannot tell')}."
        )
    elif on.coverage < 1:
        said.append(f"Quality is known for {percent(on.coverage)} of the answers of {name}.")
    else:
        said.append("The quality of every answer is recorded.")
    each = made.alternative(name)
    consequence = CONSEQUENCES.get(each.verdict)
    verdict = (
        f"Under {name} the queues are steady"
        if not consequence
        else (f"Under {name} the run is {each.state}: {consequence}")
    )
    said.append(f"{verdict}. Waits and latencies are simulated.")
    if on.fitted:
        said.append(
            f"{name} was fitted on {percent(on.fitted)} of these tasks, so its quality is too "
            "favourable."
        )
    backtest = on.backtest.removesuffix(".")
    backtest = backtest or "no backtest: how far the simulator is off here is not measured"
    said.append(f"{upper_first(backtest)}.")
    return said


def _unknown(made: Choice) -> bool:
    """Whether the open targets of the nearest policy are open because nothing is recorded."""
    best = made.alternative(made.chosen)
    open_ones = [metric for metric, held in best.targets.items() if held == "open"]
    return all(math.isnan(best.figures[metric].mean) for metric in open_ones)


def _next(made: Choice) -> list[str]:
    on, said = made.grounds, []
    if made.kind == "none keeps up":
        return [
            "Add slots or agents (`routingsim capacity` finds how many), or ask at a lower load."
        ]
    if made.kind == "none meets":
        said.append(
            "Add slots or agents: `routingsim capacity` finds the cheapest pool for these targets."
        )
    if made.why == ONE_RUN:
        said.append("Run it again with more replications (`--replications 20`).")
    elif made.why == TOO_FEW:
        said.append("Bring 50 different tasks or more, or ask about these tasks alone.")
    elif made.why == DEPENDENT:
        said.append("Replay more tasks, or without `--in-blocks`: further runs tell more.")
    elif made.kind == "undecided" and made.targets and not _unknown(made):
        said.append("More replications or tasks narrow the intervals.")
    best = made.alternative(made.chosen)
    if best.verdict == "too short to say":
        many = f"about {on.enough:,} tasks" if on.enough else "more tasks"
        said.append(
            f"Run {many} (`--tasks`): this run is too short to say what a longer one would."
        )
    if on.records == "none":
        said.append(
            "Record how good the answers are (`outcomes.AGENT.quality`), so that they count."
        )
    elif on.records == "log" and (
        on.estimate != "answered"
        or any(math.isnan(each.figures["quality_all"].mean) for each in made.alternatives)
    ):
        said.append(
            "Let the router explore (`TaskRouter(explore=0.05)`) for a log that can tell of all "
            "policies; `routingsim log-size` says how long a one."
        )
    if not made.targets:
        said.append(
            "Say what is good enough, as `--slo p95=2 --quality 0.85`, for an answer to that."
        )
    if made.kind == "use":
        said.append(
            f"Let {made.chosen} route a small share of the traffic, and compare with these figures."
        )
    return said
