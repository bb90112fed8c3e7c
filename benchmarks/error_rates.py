"""How often what the product says of its own certainty is false, and how often it says anything.

    python benchmarks/error_rates.py [KIND …] [--worlds 100] [--quick] [--processes 1]

Each world is made up and its truth is known: agents that are equal, or differ by a known
amount; few tasks and many; loads from .3 to 1.2; prompts that occur once, often, or with two
words changed; tasks that get harder along the file; outcomes recorded on a part of the tasks,
rather the easy ones; short runs and long; a log with one answer a task. In each the product
is asked as a user asks it, and every statement of one kind is held against the truth: a
verdict of a study, a rank, a policy that is said to be first or behind, an interval of one
replay, a sentence of a report, a verdict on stability, that a policy uses the text, that
tasks go with their order, an estimate from a log. A row of the table is a kind of statement
in a kind of world: how often it was said, how often it was false, and how often the true
thing was said where there is one (power), each with its standard error. Where nothing
differs, "false" is the share of the worlds in which a difference was claimed; where a
statement may be true, as an interval is, it is the share of those said.
"""

import argparse
import math
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import routingsim as rs
from routingsim import evaluation as ev
from routingsim.evaluation.order import order_tests
from routingsim.evaluation.study import Study
from routingsim.policies.policy import make_policy
from routingsim.report.figures import of_replays
from routingsim.report.study_report import compose_study
from routingsim.simulation.scenario import prepare
from routingsim.simulation.stability import ABOVE
from routingsim.simulation.statistics import quantiles

BOUND = 0.05
"""Share of a kind of statement that may be false."""

SLOTS = 4
METRICS = (
    *("goodput", "quality_all", "quality_in_time", "cost", "cost_per_right"),
    *("latency_mean", "latency_p95"),
)
_DAYS = 1_000  # runs that tell the mean of a figure over days


@dataclass(frozen=True)
class Said:
    """One statement, or its absence, in one world.

    ``may_hold`` tells statements that can be true from claims of a difference where none is.
    """

    kind: str
    world: str
    said: bool
    false: bool
    power: float = math.nan  # 1 or 0: whether the true thing was said, where there is one
    may_hold: bool = False


def agents(count: int = 2, **fields: Any) -> rs.AgentPool:
    """Agents that are alike."""
    fields = {"cost": 1.0, "latency": 1.0, "concurrency": SLOTS, "service": "exponential"} | fields
    return rs.load_agents([rs.Agent(id=f"a{k}", name=f"a{k}", **fields) for k in range(count)])


@dataclass(frozen=True)
class World:
    """Tasks on which agents are right with known probabilities, whatever the text.

    Attributes
    ----------
    size : int
    load : float
        Of the agent that does all.
    apart : float
        By how much the last agent is right more often than the others.
    prompts : int
        Different texts, each with outcomes of its own, asked in turn; 0: each occurs once.
    alike : bool
        Texts are of 30 templates, each with outcomes of its own and two words changed.
    drift : bool
        Tasks get harder and longer along the file.
    missing : float
        Share of the tasks without outcomes of the last agent: rather hard ones.
    """

    size: int
    load: float = 0.6
    apart: float = 0.0
    prompts: int = 0
    alike: bool = False
    drift: bool = False
    missing: float = 0.0

    def __str__(self) -> str:
        texts = f"{self.prompts} prompts" if self.prompts else "once"
        said = f"{self.size:,} tasks ({'30 templates' if self.alike else texts})"
        said += f", load {self.load:g}"
        said += f", apart {self.apart:g}" if self.apart else ""
        said += ", drift" if self.drift else ""
        return said + (f", {self.missing:.0%} not recorded" if self.missing else "")

    def corpus(self, seed: int, count: int = 2) -> rs.Corpus:
        """The tasks, with quality, seconds and cost of each agent on each."""
        rng = np.random.default_rng([seed, zlib.crc32(str(self).encode())])
        different = 30 if self.alike else self.prompts or self.size
        row = np.arange(self.size) % different
        words = rng.integers(0, 5_000, (different, 12 if self.alike else 8))
        texts = words[row]
        if self.alike:
            texts[:, :2] = rng.integers(0, 5_000, (self.size, 2))
        frame = pd.DataFrame({"id": np.arange(self.size).astype(str)})
        frame["text"] = [" ".join(f"w{word}" for word in text) for text in texts.tolist()]
        hard = rng.random(different) < (np.linspace(0, 1, different) if self.drift else 0.4)
        seconds = np.where(hard, 1.5, 0.7) if self.drift else np.ones(different)
        for agent in range(count):
            right = 0.7 + np.where(hard, -0.3, 0.2) + self.apart * (agent == count - 1)
            drawn = {
                "quality": (rng.random(different) < right).astype(float),
                "latency": seconds * rng.exponential(size=different),
                "cost": rng.lognormal(-7.0, 1.0, different),
            }
            lost = self.missing * (agent == count - 1) * np.where(hard, 1.6, 0.6)
            unknown = rng.random(different) < lost
            for field, values in drawn.items():
                if field != "latency":
                    values[unknown] = np.nan
                frame[f"outcomes.a{agent}.{field}"] = values[row]
        return rs.Corpus.from_frame(frame, "world")


def study_of(seed: int, world: World, count: int = 2) -> Study:
    """One agent for all tasks, against the others, each under the world's load of it."""
    pool = agents(count, service="recorded")
    corpus, names = world.corpus(seed, count), [f"static:a{k}" for k in range(count)]
    rates = world.load * SLOTS
    return rs.compare(corpus, pool, names, rates=rates, replications=10, seed=seed, controls=False)


def verdicts(seed: int, world: World) -> Iterator[Said]:
    """The verdicts of a study of two agents."""
    study = study_of(seed, world)
    for metric in METRICS:
        verdict = study.differences(metric, study.loads[0])["static:a1"].verdict
        of_right = metric in ("goodput", "quality_all", "quality_in_time", "cost_per_right")
        differs = world.apart != 0 and of_right
        claims = verdict in ("better", "worse")
        false = claims and not (differs and verdict == "better")
        power = float(verdict == "better") if differs else math.nan
        yield Said(f"verdict on {metric}", str(world), claims, false, power, may_hold=differs)


def first(seed: int, world: World) -> Iterator[Said]:
    """Who of four policies is said to be first, behind the leader, or of a lower rank.

    The last may be better than the others, which are equal.
    """
    study, best = study_of(seed, world, 4), "static:a3" if world.apart else ""
    where, names = f"four policies, {world}", set(study.names)
    found = study.leader()
    ranks: dict[str, int] = study.table().set_index("policy")["rank"].to_dict()
    is_first = " is first " in compose_study(study).summary.verdict
    power = float(found.first == best) if best else math.nan
    wrong = is_first and found.first != best
    yield Said("is first", where, is_first, wrong, power, may_hold=bool(best))
    behind = names - set(found.names)
    wrong = bool(behind - (names - {best} if best else set())) or (
        bool(best) and bool(behind) and best not in found.names
    )
    yield Said("behind the leader", where, bool(behind), wrong, may_hold=bool(best))
    lower = {name for name in names if ranks[name] > 1}
    wrong = bool(lower) and (not best or best in lower or max(ranks[name] for name in lower) > 2)
    yield Said("of a lower rank", where, bool(lower), wrong, may_hold=bool(best))


@cache
def mean_over_days(size: int, load: float, metric: str, warm_up: float | None = None) -> float:
    """The mean of a figure over days of so many tasks, each of which begins with no task."""
    pool, arrivals = agents(1), rs.Poisson(load * SLOTS)
    scene = prepare(None, pool, make_policy(pool, "static:a0", None))
    total = 0.0
    for day in range(_DAYS):
        run = scene.run(arrivals, seed=10**9 + day, tasks=size, warm_up=warm_up)
        values = run.latency[run.timed]
        total += values.mean() if metric == "latency_mean" else float(quantiles(values, 0.95))
    return total / _DAYS


def one_run(seed: int, size: int, load: float) -> Iterator[Said]:
    """Intervals of one replay, against other days of as many tasks, or theory for a long run."""
    arrivals = rs.Poisson(load * SLOTS)
    queue = rs.theory.mmc(rate=load * SLOTS, service=1.0, servers=SLOTS)
    theory = {"latency_mean": queue.latency_mean, "latency_p95": queue.latency_quantile(0.95)}
    result = rs.replay(None, agents(1), "static:a0", arrivals=arrivals, tasks=size, seed=seed)
    for metric, long in theory.items():
        found = result.interval(metric)
        own = found.runs == 0
        truth = float(long) if own or size > 10_000 else mean_over_days(size, load, metric)
        known = not math.isnan(found.half_width)
        false = known and not found.low <= truth <= found.high
        how = "its own batches" if own else "further runs"
        kind = f"interval of {metric}, {how}"
        yield Said(kind, f"{size:,} tasks, load {load:g}", known, false, may_hold=True)


def report(seed: int, world: World) -> Iterator[Said]:
    """Differences that a report on two replays of equal agents tells."""
    corpus, pool = world.corpus(seed), agents(service="recorded")
    arrivals = rs.Poisson(world.load * SLOTS)
    runs = [rs.replay(corpus, pool, f"static:a{k}", arrivals=arrivals, seed=seed) for k in (0, 1)]
    at = of_replays(runs)
    for metric in ("quality_all", "cost"):
        found = at.difference(metric, at.entries[1])
        told = found is not None and (found.low > 0 or found.high < 0)
        yield Said(f"report tells {metric} apart", str(world), told, told)


def days(seed: int, size: int, load: float) -> Iterator[Said]:
    """The interval of days like a recorded one, against the mean over days."""
    rng = np.random.default_rng([seed, size])
    frame = pd.DataFrame({"id": np.arange(size).astype(str), "text": "a task"})
    frame["arrived_at"] = rng.exponential(1 / (load * SLOTS), size).cumsum()
    corpus = rs.Corpus.from_frame(frame, "day")
    world = f"{size:,} tasks, load {load:g}"
    result = rs.replay(corpus, agents(1), "static:a0", arrivals="corpus", seed=seed)
    found = result.interval("latency_mean", days=True)
    truth = mean_over_days(size, load, "latency_mean", 0.0)
    known = not math.isnan(found.half_width)
    false = known and not found.low <= truth <= found.high
    yield Said("interval of latency_mean, days like this", world, known, false, may_hold=True)


def stability(seed: int, size: int, load: float) -> Iterator[Said]:
    """The verdict on a run, against theory: how far its mean latency is from the truth."""
    arrivals = rs.Poisson(load * SLOTS)
    result = rs.replay(None, agents(1), "static:a0", arrivals=arrivals, tasks=size, seed=seed)
    verdict = result.stability.verdict
    world = f"{size:,} tasks, load {load:g}"
    good, bad = verdict == "steady", verdict in ABOVE
    if load >= 1:
        yield Said("steady", world, good, good)
        yield Said("overloaded or growing", world, bad, False, float(bad), may_hold=True)
        return
    truth = rs.theory.mmc(rate=load * SLOTS, service=1.0, servers=SLOTS).latency_mean
    off = abs(result.overall["latency_mean"] / truth - 1)
    power = float(good) if size >= 20_000 else math.nan
    yield Said("steady", world, good, good and off > 0.2, power, may_hold=True)
    yield Said("overloaded or growing", world, bad, bad)


def text_use(seed: int, world: World, policy: str) -> Iterator[Said]:
    """Whether a policy is said to use texts that say nothing."""
    study = rs.compare(
        world.corpus(seed),
        agents(),
        [policy],
        loads=world.load,
        replications=3,
        seed=seed,
        controls=["random"],
        population="these tasks",
    )
    uses = study.table().set_index("policy")["uses_text"].to_dict()[study.baseline]
    yield Said("uses the text", f"{policy}, {world}", bool(uses), bool(uses))


def order(seed: int, world: World) -> Iterator[Said]:
    """Whether tasks are said to go with their order."""
    corpus = world.corpus(seed)
    result = rs.replay(corpus, agents(), "static:a0", seed=seed)
    said = bool(order_tests(corpus, result.pool, result.work))
    power = float(said) if world.drift else math.nan
    yield Said("tasks go with their order", str(world), said, said and not world.drift, power)


def log(seed: int, size: int, explore: float, recorded: bool) -> Iterator[Said]:
    """Estimates of two agents from a log whose router knew which tasks are hard."""
    rng = np.random.default_rng(seed)
    hard = rng.random(size) < 0.4
    other = np.where(rng.random(size) < explore, rng.random(size) < 0.5, hard)
    truth = {"a0": 0.6 * 0.95 + 0.4 * 0.3, "a1": 0.6 * 0.95 + 0.4 * 0.85}
    right = rng.random(size) < np.where(hard, np.where(other, 0.85, 0.3), 0.95)
    frame = pd.DataFrame({"id": np.arange(size).astype(str)})
    nouns = rng.integers(0, 300, size)
    frame["text"] = [
        f"prove the lemma w{noun}" if h else f"greet w{noun}"
        for noun, h in zip(nouns, hard, strict=True)
    ]
    frame["outcomes.a0.quality"] = np.where(other, np.nan, right)
    frame["outcomes.a1.quality"] = np.where(other, right, np.nan)
    if recorded:
        frame["propensity"] = np.where(other == hard, 1 - explore / 2, explore / 2)
    corpus = rs.Corpus.from_frame(frame, "log")
    runs = [rs.replay(corpus, agents(), f"static:{a}", arrivals="poisson:2") for a in truth]
    found = ev.replay_estimates(runs)
    assert found is not None
    kind = "propensities recorded" if recorded else "not recorded"
    world = f"{size:,} tasks, {explore:.0%} at random, {kind}"
    for agent, value in truth.items():
        each = found.policies[f"static:{agent}"]
        known = each.verdict != "cannot"
        false = known and not each.interval.low <= value <= each.interval.high
        yield Said(f"estimate, {each.verdict}", world, known, false, may_hold=True)
    pair = found.differences["static:a0", "static:a1"]
    told = pair.comparison in ("better", "worse")
    yield Said(
        "log tells agents apart",
        world,
        told,
        pair.comparison == "better",
        float(pair.comparison == "worse"),
        may_hold=True,
    )


KINDS: dict[str, tuple[Callable[..., Iterator[Said]], list[tuple[Any, ...]]]] = {
    "verdicts": (
        verdicts,
        [
            *((World(size, load),) for size in (20, 200, 1_000) for load in (0.3, 0.6, 0.9)),
            (World(5_000),),
            (World(1_000, 1.2),),
            (World(200, apart=0.1),),
            (World(1_000, apart=0.05),),
            (World(5_000, apart=0.02),),
            (World(1_200, 0.3, prompts=30),),
            (World(1_200, prompts=100),),
            (World(1_000, alike=True),),
            (World(1_000, drift=True),),
            (World(1_000, missing=0.5),),
        ],
    ),
    "first": (first, [(World(200),), (World(1_000, 0.9),), (World(1_000, apart=0.1),)]),
    "one_run": (
        one_run,
        [(540, 0.6), (540, 0.9), (2_000, 0.9), (10_000, 0.9), (100_000, 0.6), (400_000, 0.8)],
    ),
    "days": (days, [(540, 0.6), (540, 0.9), (2_000, 0.9)]),
    "report": (
        report,
        [
            (World(540),),
            (World(540, 0.9),),
            (World(5_000, prompts=200),),
            (World(540, drift=True),),
        ],
    ),
    "stability": (
        stability,
        [(size, load) for load in (0.3, 0.6, 0.9, 1.2) for size in (50, 540, 20_000)],
    ),
    "text_use": (
        text_use,
        [
            (World(200, 0.3), "ridge"),
            (World(1_200, 0.3, prompts=30), "ridge"),
            (World(1_000, 0.3, alike=True), "ridge"),
            (World(2_000, 0.3, prompts=150), "linucb:words=128"),
        ],
    ),
    "order": (order, [(World(200),), (World(1_000),), (World(1_000, drift=True),)]),
    "log": (log, [(size, 0.2, known) for known in (True, False) for size in (200, 1_500)]),
}


def _batch(task: tuple[str, tuple[Any, ...], range]) -> list[Said]:
    kind, setting, seeds = task
    ask = KINDS[kind][0]
    return [said for seed in seeds for said in ask(seed, *setting)]


def table(found: list[Said]) -> pd.DataFrame:
    """A row a kind of statement and world: worlds, said, false with its error, and power."""
    frame = pd.DataFrame([each.__dict__ for each in found])
    rows = []
    for _, group in frame.groupby(["kind", "world"], sort=False):
        said = int(group["said"].to_numpy().sum())
        count = said if group["may_hold"].to_numpy()[0] else len(group)
        rate = float(group["false"].to_numpy().sum()) / count if count else math.nan
        power = float(group["power"].to_numpy().mean())
        rows.append(
            {
                "statement": str(group["kind"].to_numpy()[0]),
                "world": str(group["world"].to_numpy()[0]),
                "worlds": len(group),
                "said": said,
                "of": count,
                "false": rate,
                "±": math.sqrt(rate * (1 - rate) / count) if count else math.nan,
                "power": power,
                "± ": math.sqrt(power * (1 - power) / len(group)),
            }
        )
    return pd.DataFrame(rows)


def by_kind(found: pd.DataFrame) -> pd.DataFrame:
    """The table summed over the worlds of a kind of statement."""
    sums = found.assign(wrong=found["false"].fillna(0) * found["of"])
    columns = ["worlds", "said", "of", "wrong"]
    total = pd.DataFrame(sums.groupby("statement", sort=False)[columns].sum())
    of = total["of"].to_numpy(dtype=np.float64)
    rate = total.pop("wrong").to_numpy(dtype=np.float64) / np.where(of > 0, of, np.nan)
    return total.assign(false=rate, error=np.sqrt(rate * (1 - rate) / of))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", nargs="*", help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--worlds", type=int, help="of each setting; 100, or 10 with --quick")
    parser.add_argument("--quick", action="store_true", help="few worlds")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    if unknown := [kind for kind in options.kind if kind not in KINDS]:
        parser.error(f"no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    worlds = options.worlds or (10 if options.quick else 100)
    work = [
        (kind, setting, range(first, min(first + 10, worlds)))
        for kind in options.kind or KINDS
        for setting in KINDS[kind][1]
        for first in range(0, worlds, 10)
    ]
    found: list[Said] = []
    if options.processes > 1:
        with ProcessPoolExecutor(options.processes) as pool:
            for batch in pool.map(_batch, work):
                found += batch
    else:
        for task in work:
            found += _batch(task)
    rows = table(found)
    print(rows.round(3).to_string(index=False), end="\n\n")
    print(by_kind(rows).round(3).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
