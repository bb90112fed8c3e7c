"""How far estimates from logs with one answer a task can be believed.

    python benchmarks/partial_logs.py [gsm8k …] [--logs 200] [--quick] [--processes 1]

Public corpora know the outcome of every agent on every task. Here a log is drawn from one:
tasks with replacement, an agent for each by a logging policy, and all other outcomes
hidden. The estimates of several policies are compared with the mean over the corpus. A
setting is a corpus, a logging policy, what it records of its propensities and a size; a cell
is a setting and a policy. Sizes are multiples of 50 agents / exploration tasks, from which a
log should answer. The differences of all policies of a log are counted too: how often all
of a log's simultaneous intervals hold, and how often a difference is called with the wrong
sign. Logs are of these kinds: propensities "recorded" of all agents, or of the "chosen only";
"estimated"; "deterministic"; "mis-recorded" in ways that can be found out; and "unseen":
recorded as uniform where the router knew what texts hardly show, and nothing can tell.
"""

import argparse
import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.datasets import list_corpora, load_corpus
from routingsim.evaluation.choice_log import choice_log
from routingsim.evaluation.estimate import estimate
from routingsim.evaluation.outcome_model import Features, fold_tasks, text_features

Array = NDArray[np.float64]

CORPORA = ("gsm8k", "paretobandit-val", "dcrouter-train")
EXPLORE = (0.1, 0.2, 0.5)
SIZES = (0.5, 1.0, 2.0)
WRONG = ("half the exploration", "another router", "sharper", "shuffled", "uniform")
GOALS = "pooled .92-.98, least cell .90, answered .95 of large logs, 0 where not recorded"


@dataclass(frozen=True)
class Setting:
    """How logs are made."""

    corpus: str
    router: str
    kind: str
    explore: float
    size: float
    wrong: str = ""
    figure: str = "quality"


@dataclass(frozen=True, eq=False)
class World:
    """A corpus with all outcomes, and policies on it."""

    outcome: Array
    features: Features
    fold: NDArray[np.intp]
    routers: dict[str, Array]
    policies: dict[str, Array]


@lru_cache(maxsize=2)
def world(corpus: str, figure: str) -> World:
    """The corpus and its policies; their choices know nothing of a log."""
    read = load_corpus(corpus)
    outcome = read.outcome(figure, read.agents)
    quality = read.outcome("quality", read.agents)
    texts, labels = read.tasks["text"].tolist(), read.tasks["category"].tolist()
    tasks, agents = quality.shape
    every = np.eye(agents)
    rank = np.argsort(np.argsort([len(text) for text in texts])) / tasks
    order = quality.mean(axis=0).argsort()
    hard = np.argsort(np.argsort(-quality.mean(axis=1), kind="stable")) / tasks
    by_length = every[order[(rank * agents).astype(int)]]
    by_difficulty = every[order[(hard * agents).astype(int)]]
    numbers = np.array([zlib.crc32(text[:40].encode()) for text in texts])
    distance = hard[:, np.newaxis] * (agents - 1) - np.argsort(order)
    soft = np.exp(-(distance**2))
    policies = {f"always {agent}": np.tile(every[agent], (tasks, 1)) for agent in order}
    policies["uniform"] = np.full((tasks, agents), 1 / agents)
    policies["by length"] = by_length
    policies["against length"] = by_length[:, ::-1]
    policies["by hash"] = every[numbers % agents]
    policies["mixed"] = 0.7 * by_length + 0.3 * every[order[-1]]
    return World(
        outcome,
        text_features(texts, labels),
        fold_tasks(texts),
        {
            "length": by_length,
            "difficulty": by_difficulty,
            "soft difficulty": soft / soft.sum(axis=1, keepdims=True),
        },
        policies,
    )


def settings(corpora: Sequence[str], *, quick: bool) -> Iterator[Setting]:
    """All settings, or a few."""
    explore = (0.2,) if quick else EXPLORE
    sizes = (1.0,) if quick else SIZES
    for corpus in corpora:
        for router in ("length", "difficulty", "soft difficulty"):
            for share in explore:
                for size in sizes:
                    for kind in ("recorded", "chosen only"):
                        yield Setting(corpus, router, kind, share, size)
                yield Setting(corpus, router, "estimated", share, 2.0)
            if router != "soft difficulty":
                for size in sizes:
                    yield Setting(corpus, router, "deterministic", 0.2, size)
                for wrong in WRONG:
                    # That choices were not uniform cannot be seen where only difficulty tells.
                    unseen = (router, wrong) == ("difficulty", "uniform")
                    for share in explore[:2]:
                        kind = "unseen" if unseen else "mis-recorded"
                        yield Setting(corpus, router, kind, share, 1.0, wrong)
    if "paretobandit-val" in corpora:
        for share in explore:
            yield Setting("paretobandit-val", "length", "recorded", share, 1.0, figure="cost")


def one_log(setting: Setting, seed: int) -> list[dict[str, object]]:
    """Draw a log, and compare its estimates with the corpus."""
    rng = np.random.default_rng([seed, zlib.crc32(repr(setting).encode())])
    known = world(setting.corpus, setting.figure)
    tasks, agents = known.outcome.shape
    size = math.ceil(setting.size * 50 * agents / setting.explore - 1e-9)
    rows = rng.integers(0, tasks, size)
    base = known.routers[setting.router][rows]
    share = 0.0 if setting.kind == "deterministic" else setting.explore
    played = (1 - share) * base + share / agents
    chosen = (rng.random((size, 1)) > played.cumsum(axis=1)[:, :-1]).sum(axis=1)
    log = choice_log(
        chosen,
        [str(agent) for agent in range(agents)],
        propensity=_written(setting, played, chosen, known, rows, rng),
        features=Features(known.features.values[rows], known.features.names),
        fold=known.fold[rows],
        texts=None,
        seed=seed,
    )
    outcome = known.outcome[rows, chosen]
    targets = {name: policy[rows] for name, policy in known.policies.items()}
    bounds = (0.0, 1.0) if setting.figure == "quality" else None
    found = estimate(log, outcome, targets, bounds=bounds)
    truth = {
        name: float((policy * known.outcome).sum(axis=1).mean())
        for name, policy in known.policies.items()
    }
    told = []
    for name, each in found.policies.items():
        held = abs(each.value - truth[name]) <= each.interval.half_width
        told.append(
            {
                "what": name,
                "verdict": each.verdict,
                "held": held,
                "width": each.interval.half_width,
                "repeats": each.support.repeats,
            }
        )
    shown = [each for each in found.differences.values() if each.verdict != "cannot"]
    apart = [each.value - truth[each.first] + truth[each.second] for each in shown]
    held = [abs(a) <= each.interval.half_width + 1e-9 for a, each in zip(apart, shown, strict=True)]
    false = [
        each.comparison == ("worse" if truth[each.first] >= truth[each.second] else "better")
        for each in shown
    ]
    answered = [each.verdict == "answered" for each in shown]
    if any(answered):
        told.append(
            {
                "what": "all differences",
                "verdict": "answered",
                "held": all(h for h, a in zip(held, answered, strict=True) if a),
                "false": any(f for f, a in zip(false, answered, strict=True) if a),
            }
        )
    return [{**setting.__dict__, **each} for each in told]


def _written(
    setting: Setting,
    played: Array,
    chosen: NDArray[np.intp],
    known: World,
    rows: NDArray[np.intp],
    rng: np.random.Generator,
) -> Array | None:
    """What the log says of its propensities."""
    if setting.kind == "estimated":
        return None
    agents = played.shape[1]
    if setting.wrong:
        if setting.wrong == "half the exploration":
            base = known.routers[setting.router][rows]
            played = (1 - setting.explore / 2) * base + setting.explore / 2 / agents
        elif setting.wrong == "another router":
            base = known.policies["by hash"][rows]
            played = (1 - setting.explore) * base + setting.explore / agents
        elif setting.wrong == "sharper":
            played = played**1.5 / (played**1.5).sum(axis=1, keepdims=True)
        elif setting.wrong == "shuffled":
            played = played[rng.permutation(len(played))]
        else:
            played = np.full_like(played, 1 / agents)
    mine = played[np.arange(chosen.size), chosen]
    # Half of the deterministic and the wrongly recorded logs say only what was chosen.
    only = setting.kind == "chosen only" or (setting.kind != "recorded" and rng.random() < 0.5)
    return mine if only else played


def _batch(task: tuple[Setting, range]) -> list[dict[str, object]]:
    setting, seeds = task
    return [each for seed in seeds for each in one_log(setting, seed)]


def tables(found: Any) -> None:
    """Print what the goals are about."""
    pairs = found[found["what"] == "all differences"]
    one = found[found["what"] != "all differences"]
    own = one["repeats"].astype(bool)
    if own.any():
        held = one[own]
        print(
            f"Policies that repeat the log: {len(held):,}, answered "
            f"{(held['verdict'] == 'answered').mean():.4f}, coverage {held['held'].mean():.4f}; "
            "left out below\n"
        )
    one = one[~own]
    answered = one[one["verdict"] == "answered"]
    keys = ["corpus", "figure", "router", "kind", "explore", "size", "what"]
    rows = {}
    for kind, group in one.groupby("kind"):
        told = answered[answered["kind"] == kind]
        cells = told.groupby(keys)["held"].agg(["mean", "size"])
        cells = cells[cells["size"] >= 100]
        large = group[group["size"] >= 1]
        weak = group[group["verdict"] == "weak"]
        rows[kind] = {
            "answered": len(told) / len(group),
            "of large logs": (large["verdict"] == "answered").mean(),
            "coverage": told["held"].mean() if len(told) else math.nan,
            "cells": len(cells),
            "least cell": cells["mean"].min() if len(cells) else math.nan,
            "below .90": int((cells["mean"] < 0.9).sum()),
            "half-width": told["width"].median(),
            "weak": len(weak) / len(group),
            "weak coverage": weak["held"].mean() if len(weak) else math.nan,
        }
    print(pd.DataFrame.from_dict(rows, orient="index").round(4).to_string())
    good = answered[answered["kind"].isin(["recorded", "chosen only"])]
    for by in (["corpus", "figure"], ["router"], ["explore", "size"], ["what"]):
        print("\nCoverage among answered, propensities recorded rightly, by " + ", ".join(by))
        print(good.groupby(by)["held"].agg(["mean", "size"]).round(4).to_string())
    cells = good.groupby(keys)["held"].agg(["mean", "size"])
    cells = cells[cells["size"] >= 100].sort_values("mean")
    print("\nThe ten least cells")
    print(cells.head(10).round(4).to_string())
    large = one[one["kind"].isin(["recorded", "chosen only"]) & (one["size"] >= 1)]
    share = (large["verdict"] == "answered").groupby([large[key] for key in keys]).mean()
    print("\nLeast share answered of logs of 50 agents / exploration tasks or more")
    print(share.sort_values().head(10).round(4).to_string())
    wrong = one[one["kind"] == "mis-recorded"]
    print("\nMis-recorded propensities: share answered, and coverage of those")
    by_wrong = wrong.assign(answered=wrong["verdict"] == "answered").groupby(["wrong", "corpus"])
    print(by_wrong["answered"].mean().unstack().round(4).to_string())
    told = answered[answered["kind"] == "mis-recorded"]
    print(told.groupby("wrong")["held"].agg(["mean", "size"]).round(4).to_string())
    print("\nDifferences answered: logs in which all intervals hold, in which one has a wrong sign")
    print(pairs.groupby(["kind", "corpus"])[["held", "false"]].mean().round(4).to_string())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", nargs="*", help=f"of {', '.join(CORPORA)}; those at hand")
    parser.add_argument("--logs", type=int, help="a setting; 200, or 40 with --quick")
    parser.add_argument("--quick", action="store_true", help="fewer settings")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    listed = list_corpora()
    present = dict(zip(listed["name"], listed["present"], strict=True))
    corpora = [name for name in options.corpus or CORPORA if present.get(name)]
    for name in sorted({*CORPORA, *options.corpus} - set(corpora)):
        print(f"{name}: not asked for or not at hand, left out")
    if not corpora:
        parser.exit(2, "no corpus is at hand; ROUTINGSIM_DATA names their folder\n")
    logs = options.logs or (40 if options.quick else 200)
    work = [(setting, range(logs)) for setting in settings(corpora, quick=options.quick)]
    if options.processes > 1:
        with ProcessPoolExecutor(options.processes) as pool:
            batches = list(pool.map(_batch, work, chunksize=1))
    else:
        batches = list(map(_batch, work))
    print(f"{len(work)} settings of {logs} logs; goals: {GOALS}\n")
    tables(pd.DataFrame([each for batch in batches for each in batch]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
