"""How far estimates from logs with one answer a task can be believed.

    python benchmarks/partial_logs.py [gsm8k …] [--logs 200] [--quick] [--out FILE]

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

Each setting prints a line and adds its cells to FILE. A run that was stopped goes on with the
settings that FILE does not have; --tables prints what FILE has.
"""

import argparse
import math
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.datasets import list_corpora, load_corpus
from routingsim.evaluation.choice_log import choice_log
from routingsim.evaluation.estimate import Estimates, estimate
from routingsim.evaluation.outcome_model import Features, fold_tasks, text_features

Array = NDArray[np.float64]

CORPORA = ("gsm8k", "paretobandit-val", "dcrouter-train")
SIZES = ((0.1, 1.0), (0.2, 1.0), (0.5, 1.0), (0.2, 0.5), (0.2, 2.0))  # exploration, size
COSTS = ((0.5, 4.0), (0.5, 16.0), (0.2, 16.0))  # the same
WRONG = ("half the exploration", "another router", "sharper", "shuffled", "uniform")
GOALS = (
    "pooled .92-.98, no cell of 100 below .90, answered .95 of large logs, 0 where propensities "
    "are not recorded, .06 where they are mis-recorded"
)
ALWAYS = 4  # policies of one agent, from the poorest to the best
ALL = "all differences"
KEYS = ["corpus", "figure", "router", "kind", "wrong", "explore", "size", "what"]


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
    truth: dict[str, float]


@lru_cache(maxsize=2)
def world(corpus: str, figure: str) -> World:
    """A corpus and policies on it."""
    read = load_corpus(corpus)
    return world_of(
        read.outcome(figure, read.agents),
        read.outcome("quality", read.agents),
        read.tasks["text"].tolist(),
        read.tasks["category"].tolist(),
    )


def world_of(outcome: Array, quality: Array, texts: list[str], labels: list[str]) -> World:
    """Policies on outcomes, shape (tasks, agents); their choices know nothing of a log."""
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
    some = order[np.unique(np.linspace(0, agents - 1, ALWAYS).round().astype(int))]
    policies = {f"always {agent}": np.tile(every[agent], (tasks, 1)) for agent in some}
    policies["uniform"] = np.full((tasks, agents), 1 / agents)
    policies["by length"] = by_length
    policies["against length"] = by_length[:, ::-1]
    policies["by hash"] = every[numbers % agents]
    policies["mixed"] = 0.7 * by_length + 0.3 * every[order[-1]]
    truth = {name: float((each * outcome).sum() / tasks) for name, each in policies.items()}
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
        truth,
    )


def settings(corpora: Sequence[str], *, quick: bool) -> Iterator[Setting]:
    """All settings, or a few."""
    for corpus in corpora:
        for router in ("length", "difficulty", "soft difficulty"):
            plain = Setting(corpus, router, "recorded", 0.2, 1.0)
            for explore, size in SIZES[1:2] if quick else SIZES:
                yield replace(plain, explore=explore, size=size)
                if size == 1:
                    yield replace(plain, explore=explore, kind="chosen only")
            if corpus == "paretobandit-val":
                for explore, size in COSTS[1:2] if quick else COSTS:
                    yield replace(plain, explore=explore, size=size, figure="cost")
            if router == "soft difficulty":
                continue
            yield replace(plain, kind="estimated")
            yield replace(plain, kind="deterministic")
            for wrong in WRONG:
                # That choices were not uniform cannot be seen where only difficulty tells.
                unseen = (router, wrong) == ("difficulty", "uniform")
                yield replace(plain, kind="unseen" if unseen else "mis-recorded", wrong=wrong)


def one_log(setting: Setting, seed: int) -> list[dict[str, object]]:
    """Draw a log, and compare its estimates with the corpus."""
    rng = np.random.default_rng([1, seed, zlib.crc32(repr(setting).encode())])
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
    return [*_told(found, known.truth), *_told_of_differences(found, known.truth)]


def _told(found: Estimates, truth: dict[str, float]) -> Iterator[dict[str, object]]:
    for name, each in found.policies.items():
        yield {
            "what": name,
            "verdict": each.verdict,
            "held": each.interval.low <= truth[name] <= each.interval.high,
            "half-width": each.interval.half_width,
            "worth": each.support.planned / found.tasks,
            "repeats": each.support.repeats,
        }


def _told_of_differences(found: Estimates, truth: dict[str, float]) -> list[dict[str, object]]:
    shown = [each for each in found.differences.values() if each.verdict == "answered"]
    if not shown:
        return []
    apart = [truth[each.first] - truth[each.second] for each in shown]
    wrong = [
        each.comparison == ("worse" if truth[each.first] >= truth[each.second] else "better")
        for each in shown
    ]
    held = [
        each.interval.low - 1e-9 <= true <= each.interval.high + 1e-9
        for true, each in zip(apart, shown, strict=True)
    ]
    return [{"what": ALL, "verdict": "answered", "held": all(held), "false": any(wrong)}]


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


def cells_of(setting: Setting, logs: int) -> pd.DataFrame:
    """Draw logs; a row a policy: how many were answered, how many intervals held, how wide."""
    rows: Any = pd.DataFrame([each for seed in range(logs) for each in one_log(setting, seed)])
    rows = rows.reindex(columns=[*rows.columns.union(["false"], sort=False)])
    cells = []
    for what, group in rows.groupby("what", sort=False):
        answered, weak = (group[group["verdict"] == each] for each in ("answered", "weak"))
        cells.append(
            {
                **asdict(setting),
                "what": what,
                "logs": logs,
                "answered": len(answered),
                "held": int(answered["held"].sum()),
                "weak": len(weak),
                "weak held": int(weak["held"].sum()),
                "false": int((answered["false"] == True).sum()),  # noqa: E712
                "half-width": answered["half-width"].median(),
                "worth": group["worth"].median(),
                "repeats": bool(group["repeats"].eq(True).any()),
            }
        )
    return pd.DataFrame(cells)


def _sums(cells: Any, by: list[str]) -> Any:
    """Coverage of answered estimates, how many, and the least cell of 100 or more."""
    cells = cells.assign(least=(cells["held"] / cells["answered"]).where(cells["answered"] >= 100))
    found = cells.groupby(by).agg({"answered": "sum", "held": "sum", "logs": "sum", "least": "min"})
    shown = pd.DataFrame(
        {
            "coverage": found["held"] / found["answered"],
            "answered": found["answered"],
            "of all": found["answered"] / found["logs"],
            "least cell": found["least"],
        }
    )
    return shown.round(4)


def tables(cells: Any) -> None:
    """Print what the goals are about."""
    pairs, one = cells[cells["what"] == ALL], cells[cells["what"] != ALL]
    own = one[one["repeats"]]
    if len(own):
        print("Policies that repeat the log, left out below")
        print(_sums(own, ["kind"]).to_string())
    one = one[~one["repeats"]]
    print("\nCoverage among answered by kind")
    print(_sums(one, ["figure", "kind"]).to_string())
    weak = one[one["weak"] > 0].groupby(["figure", "kind"])[["weak", "weak held", "logs"]].sum()
    weak["coverage"] = (weak["weak held"] / weak["weak"]).round(4)
    print("\nWeak estimates: how many, and their coverage")
    print(weak[["weak", "coverage"]].to_string())
    good = one[one["kind"].isin(["recorded", "chosen only"])]
    near = np.where(good["worth"] > 0.5, "near the log", "apart from it")
    good = good.assign(policy=near)
    print("\nPropensities recorded rightly")
    for by in (["corpus", "figure", "policy"], ["router"], ["explore", "size"], ["what"]):
        print(_sums(good, by).to_string(), end="\n\n")
    asked = good[good["answered"] >= 100]
    rate = (asked["held"] / asked["answered"]).rename("coverage").round(4)
    print(f"Cells of 100 answered logs or more: {len(rate)}; below .90: {(rate < 0.9).sum()}")
    least = asked.assign(coverage=rate).sort_values("coverage")
    print(least.head(10)[[*KEYS, "answered", "coverage"]].to_string(index=False))
    large = good[(good["size"] >= 1) & (good["figure"] == "quality")]
    share = (large["answered"] / large["logs"]).rename("share")
    print("\nLeast share answered of quality logs of 50 agents / exploration tasks or more")
    least = large.assign(share=share).sort_values("share")
    print(least.head(5)[[*KEYS, "share"]].to_string(index=False))
    wrong = one[one["kind"].isin(["mis-recorded", "unseen"])]
    if len(wrong):
        print("\nPropensities mis-recorded: share answered, and coverage of those")
        print(_sums(wrong, ["kind", "wrong", "corpus"]).to_string())
    right = pairs[pairs["kind"].isin(["recorded", "chosen only"])]
    sums = right.groupby(["corpus", "figure"])[["answered", "held", "false"]].sum()
    print("\nAnswered differences: logs in which all intervals hold, in which one has a wrong sign")
    print(sums[["held", "false"]].div(sums["answered"], axis=0).round(4).to_string())


def _read(path: Path) -> pd.DataFrame:
    empty = {"half-width": [""], "worth": [""]}  # others are never, or may be ""
    return pd.read_csv(path, keep_default_na=False, na_values=empty)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", nargs="*", help=f"of {', '.join(CORPORA)}; those at hand")
    parser.add_argument("--logs", type=int, default=200, help="a setting")
    parser.add_argument("--quick", action="store_true", help="fewer settings")
    parser.add_argument("--out", type=Path, default=Path("partial_logs.csv"), help="cells")
    parser.add_argument("--tables", action="store_true", help="of what --out has; draw nothing")
    options = parser.parse_args(arguments)
    if options.tables:
        if not options.out.is_file():
            parser.error(f"{options.out}: no such file; --out FILE without --tables writes it")
        tables(_read(options.out))
        return 0
    if unknown := [name for name in options.corpus if name not in CORPORA]:
        parser.error(f"found {unknown}; some of {', '.join(CORPORA)} are allowed")
    listed = list_corpora()
    present = dict(zip(listed["name"], listed["present"], strict=True))
    corpora = [name for name in options.corpus or CORPORA if present[name]]
    for name in options.corpus or CORPORA:
        if name not in corpora:
            print(f"{name}: not at hand, left out")
    if not corpora:
        parser.exit(2, "no corpus is at hand; ROUTINGSIM_DATA names their folder\n")
    found = [_read(options.out)] if options.out.exists() else []
    done = {tuple(row) for each in found for row in each[KEYS[:-1]].to_numpy().tolist()}
    work = list(settings(corpora, quick=options.quick))
    start = time.monotonic()
    for number, setting in enumerate(work, 1):
        if tuple(asdict(setting)[key] for key in KEYS[:-1]) in done:
            continue
        cells = cells_of(setting, options.logs)
        cells.to_csv(options.out, mode="a", header=not options.out.exists(), index=False)
        found.append(cells)
        one: Any = cells[(cells["what"] != ALL) & ~cells["repeats"]]
        answered = int(one["answered"].sum())
        share = one["held"].sum() / answered if answered else math.nan
        print(
            f"{time.monotonic() - start:6.0f} s  {number}/{len(work)}  {setting.corpus} "
            f"{setting.figure} {setting.router} {setting.kind} {setting.wrong} {setting.explore:g} "
            f"x{setting.size:g}: answered {answered / one['logs'].sum():.3f}, held {share:.3f}",
            flush=True,
        )
    print(f"{len(work)} settings of {options.logs} logs; goals: {GOALS}\n")
    tables(pd.concat(found, ignore_index=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
