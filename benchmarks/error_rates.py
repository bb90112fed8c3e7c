"""How often what the product says of its own certainty is false, and how often it says anything.

    python benchmarks/error_rates.py [KIND …] [--worlds 100] [--quick] [--processes 1]

Each world is made up and its truth is known: two agents that are equal, or differ by a
known amount; few tasks and many; loads from .3 to 1.2; prompts that occur once, or often;
a log with one answer a task. In each the product is asked as a user asks it, and every
statement of one kind is held against the truth: a verdict of a study, a policy that is said
to be first, an interval of one replay, a sentence of a report, a verdict on stability, that
a policy uses the text, an estimate from a log. A row of the table is a kind of statement in
a kind of world: how often it was said, how often what was said is false, and how often the
true thing was said where there is one (power), each with its standard error.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import routingsim as rs
from routingsim import evaluation as ev
from routingsim.report.figures import of_replays
from routingsim.simulation.stability import ABOVE

BOUND = 0.05
"""Share of a kind of statement that may be false."""


@dataclass(frozen=True)
class Said:
    """One statement, or its absence, in one world."""

    kind: str
    world: str
    said: bool
    false: bool
    power: float = math.nan  # 1 or 0: whether the true thing was said, where there is one


def agents(count: int = 2, slots: int = 4, **fields: Any) -> rs.AgentPool:
    """Agents that are alike."""
    fields = {"cost": 1.0, "latency": 1.0, "concurrency": slots, "service": "exponential"} | fields
    return rs.load_agents([rs.Agent(id=f"a{k}", name=f"a{k}", **fields) for k in range(count)])


def tasks(seed: int, size: int, right: Sequence[float], *, prompts: int | None = None) -> rs.Corpus:
    """Tasks on which agent k is right with probability ``right[k]``, whatever the text.

    ``prompts`` different texts, each with outcomes of its own, are asked in turn; by default
    every text occurs once.
    """
    rng = np.random.default_rng(seed)
    different = size if prompts is None else prompts
    words = rng.integers(0, 5_000, (different, 8))
    row = np.arange(size) % different
    frame = pd.DataFrame({"id": np.arange(size).astype(str)})
    frame["text"] = [" ".join(f"w{word}" for word in words[k]) for k in row]
    for agent, chance in enumerate(right):
        frame[f"outcomes.a{agent}.quality"] = (rng.random(different) < chance).astype(float)[row]
    return rs.Corpus.from_frame(frame, "world")


def verdicts(
    seed: int, size: int, load: float, apart: float, prompts: int | None
) -> Iterator[Said]:
    """The verdicts of a study of two agents, of which the second is better by ``apart``."""
    corpus = tasks(seed, size, (0.7, 0.7 + apart), prompts=prompts)
    study = rs.compare(
        corpus,
        agents(),
        ["static:a0", "static:a1"],
        loads=load,
        replications=10,
        seed=seed,
        controls=False,
    )
    asked = "once" if prompts is None else f"{prompts} prompts"
    world = f"{size:,} tasks ({asked}), load {load:g}, apart {apart:g}"
    for metric in ("goodput", "quality_all", "cost", "latency_mean", "latency_p95"):
        verdict = study.differences(metric, load)["static:a1"].verdict
        differs = apart != 0 and metric in ("goodput", "quality_all")
        claims = verdict in ("better", "worse")
        false = claims and not (differs and verdict == "better")
        power = float(verdict == "better") if differs else math.nan
        yield Said(f"verdict on {metric}", world, claims, false, power)


def first(seed: int, size: int, load: float) -> Iterator[Said]:
    """Whether one of four equal policies is said to be first."""
    corpus = tasks(seed, size, (0.7,) * 4)
    names = [f"static:a{k}" for k in range(4)]
    study = rs.compare(
        corpus, agents(4), names, loads=load, replications=10, seed=seed, controls=False
    )
    from routingsim.report.study_report import compose_study

    said = " is first " in compose_study(study).summary.verdict
    yield Said("is first", f"four equal policies, {size:,} tasks, load {load:g}", said, said)


def one_run(seed: int, size: int, load: float) -> Iterator[Said]:
    """The interval of a mean wait in one replay, against Erlang C."""
    slots = 4
    truth = rs.theory.mmc(rate=load * slots, service=1.0, servers=slots).wait_mean
    arrivals = rs.Poisson(load * slots)
    result = rs.replay(
        None, agents(1, slots), "static:a0", arrivals=arrivals, tasks=size, seed=seed
    )
    found = result.interval("wait")
    known = not math.isnan(found.half_width)
    false = known and not found.low <= truth <= found.high
    yield Said("interval of one replay", f"{size:,} tasks, load {load:g}", known, false)


def report(seed: int, size: int, load: float) -> Iterator[Said]:
    """Differences that a report on two replays of equal agents tells."""
    corpus = tasks(seed, size, (0.7, 0.7))
    arrivals = rs.Poisson(load * 4)
    pool = agents()
    at = of_replays(
        [rs.replay(corpus, pool, f"static:a{k}", arrivals=arrivals, seed=seed) for k in (0, 1)]
    )
    for metric in ("quality_all", "latency_p95"):
        found = at.difference(metric, at.entries[1])
        told = found is not None and (found.low > 0 or found.high < 0)
        yield Said(f"report tells {metric} apart", f"{size:,} tasks, load {load:g}", told, told)


def stability(seed: int, size: int, load: float) -> Iterator[Said]:
    """The verdict on a run, against theory: how far its mean latency is from the truth."""
    slots = 4
    arrivals = rs.Poisson(load * slots)
    result = rs.replay(
        None, agents(1, slots), "static:a0", arrivals=arrivals, tasks=size, seed=seed
    )
    verdict = result.stability.verdict
    world = f"{size:,} tasks, load {load:g}"
    good = verdict == "steady"
    if load >= 1:
        yield Said("steady", world, good, good)
        bad = float(verdict in ABOVE)
        yield Said("overloaded or growing", world, bool(bad), False, bad)
        return
    truth = rs.theory.mmc(rate=load * slots, service=1.0, servers=slots).latency_mean
    off = abs(result.overall["latency_mean"] / truth - 1)
    yield Said(
        "steady", world, good, good and off > 0.2, float(good) if size >= 20_000 else math.nan
    )
    bad = verdict in ABOVE
    yield Said("overloaded or growing", world, bad, bad)


def text_use(seed: int, size: int, prompts: int | None) -> Iterator[Said]:
    """Whether a fitted policy is said to use texts that say nothing."""
    corpus = tasks(seed, size, (0.7, 0.7), prompts=prompts)
    study = rs.compare(
        corpus, agents(), ["ridge"], loads=0.3, replications=3, seed=seed, controls=["random"]
    )
    uses = study.table().set_index("policy")["uses_text"].to_dict()["ridge"]
    asked = "once" if prompts is None else f"{prompts} prompts"
    yield Said("uses the text", f"{size:,} tasks ({asked})", bool(uses), bool(uses))


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
        yield Said(f"estimate, {each.verdict}", world, known, false)
    pair = found.differences["static:a0", "static:a1"]
    told = pair.comparison in ("better", "worse")
    yield Said(
        "log tells agents apart",
        world,
        told,
        pair.comparison == "better",
        float(pair.comparison == "worse"),
    )


KINDS: dict[str, tuple[Callable[..., Iterator[Said]], list[tuple[Any, ...]]]] = {
    "verdicts": (
        verdicts,
        [
            *((size, load, 0.0, None) for size in (20, 200, 1_000) for load in (0.3, 0.6, 0.9)),
            (200, 0.6, 0.1, None),
            (1_000, 0.6, 0.05, None),
            (1_200, 0.3, 0.0, 30),
        ],
    ),
    "first": (first, [(200, 0.6), (1_000, 0.9)]),
    "one_run": (one_run, [(540, 0.6), (540, 0.9), (2_000, 0.9), (10_000, 0.9)]),
    "report": (report, [(540, 0.6), (540, 0.9)]),
    "stability": (
        stability,
        [(size, load) for load in (0.3, 0.6, 0.9, 1.2) for size in (50, 540, 20_000)],
    ),
    "text_use": (text_use, [(200, None), (1_200, 30)]),
    "log": (log, [(1_500, 0.2, True), (1_500, 0.2, False)]),
}


def _batch(task: tuple[str, tuple[Any, ...], range]) -> list[Said]:
    kind, setting, seeds = task
    ask = KINDS[kind][0]
    return [said for seed in seeds for said in ask(seed, *setting)]


def table(found: list[Said]) -> pd.DataFrame:
    """A row a kind of statement and world: worlds, said, false of those said, and power."""
    frame = pd.DataFrame([each.__dict__ for each in found])
    rows = []
    for _, group in frame.groupby(["kind", "world"], sort=False):
        claims, wrong = group["said"].to_numpy(), group["false"].to_numpy()
        said = int(claims.sum())
        share = float(wrong.sum()) / said if said else math.nan
        # A verdict that is said where nothing differs is always false: its rate is of worlds.
        rate = float(wrong.mean())
        error = math.sqrt(rate * (1 - rate) / len(group))
        rows.append(
            {
                "statement": group["kind"].iloc[0],
                "world": group["world"].iloc[0],
                "worlds": len(group),
                "said": said,
                "false": rate,
                "±": error,
                "false of said": share,
                "power": group["power"].mean(),
            }
        )
    return pd.DataFrame(rows)


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
    print(table(found).round(3).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
