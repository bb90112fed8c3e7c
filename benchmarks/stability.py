"""How often a verdict on a run is false, in worlds that theory knows.

    python benchmarks/stability.py [--seeds 14]

Each world is an M/M/c queue: c slots (1, 4, 16), a load (.3 to 1.2) and a number of tasks (50 to
20,000). Below a load of 1 the long-run mean latency is exact (rs.theory.mmc). "steady" is false
of a run whose mean latency is more than 20 % from it. A run is long enough if the half-width of
its mean is at most 20 % by the true load and the true variance of waits, with the relaxation
time of routingsim.simulation.stability. "Below .95" is the rule that was used before: every run
whose offered load was below .95.
"""

import argparse
import itertools
import math
from dataclasses import dataclass

import pandas as pd

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.policies.policy import make_policy
from routingsim.simulation.scenario import prepare
from routingsim.simulation.stability import TOLERANCE
from routingsim.simulation.theory import mmc

LOADS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.1, 1.2)
TASKS = (50, 200, 540, 2_000, 5_000, 20_000)
SLOTS = (1, 4, 16)


@dataclass(frozen=True)
class Judged:
    """One run: its world, its verdict and whether it was long enough and near the truth."""

    load: float
    tasks: int
    verdict: str
    near: bool
    enough: bool
    below: bool


def long_enough(load: float, tasks: int, slots: int) -> bool:
    """Whether the mean latency of so many tasks is within 20 %, by theory."""
    if load >= 1:
        return False
    queue = mmc(load * slots, 1.0, slots)
    wait = queue.p_wait * (2 - queue.p_wait) / (slots * (1 - load)) ** 2  # its variance
    forgets = max(1.0, (1 + load) / (slots * (1 - load) ** 2))
    variance = 1.0 / tasks + wait * max(2 * forgets / (tasks / (load * slots)), 1 / tasks)
    return 1.96 * math.sqrt(variance) / queue.latency_mean <= TOLERANCE


def judged(seeds: int) -> pd.DataFrame:
    """Every world under so many seeds."""
    rows = []
    for slots in SLOTS:
        agent = Agent(
            id="a", name="A", cost=0.1, latency=1.0, concurrency=slots, service="exponential"
        )
        pool = AgentPool((agent,))
        scene = prepare(None, pool, make_policy(pool, "static:a", None))
        for load, tasks in itertools.product(LOADS, TASKS):
            truth = mmc(load * slots, 1.0, slots).latency_mean if load < 1 else math.inf
            for seed in range(seeds):
                result = scene.run(rs.Poisson(load * slots), seed=seed, tasks=tasks)
                near = abs(result.overall["latency_mean"] / truth - 1) <= TOLERANCE
                found = result.stability
                enough = long_enough(load, tasks, slots)
                below = found.offered["a"] < 0.95
                rows.append(Judged(load, tasks, found.verdict, near, enough, below))
    return pd.DataFrame(rows)


def table(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rates of statements and of false ones, in per cent, a row for each value of ``by``."""

    def rates(part: pd.DataFrame) -> pd.Series:
        steady, below = part[part["verdict"] == "steady"], part[part["below"]]
        over = part["verdict"].isin(["growing", "overloaded"])
        return pd.Series(
            {
                "runs": len(part),
                "steady": 100 * len(steady) / len(part),
                "of these false": 100 * (~steady["near"]).mean(),
                "below .95": 100 * len(below) / len(part),
                "of these false ": 100 * (~below["near"]).mean(),
                "steady of those long enough": 100
                * (part.loc[part["enough"], "verdict"] == "steady").mean(),
                "growing at load > 1": 100 * over[part["load"] > 1].mean(),
                "growing at load < 1": 100 * over[part["load"] < 1].mean(),
            }
        )

    return pd.DataFrame({key: rates(part) for key, part in runs.groupby(by)}).T


def main() -> None:
    parser = argparse.ArgumentParser(description="How often a verdict on a run is false.")
    parser.add_argument("--seeds", type=int, default=14, help="runs of each world")
    runs = judged(parser.parse_args().seeds)
    for by in ("tasks", "load"):
        print(table(runs, by).round(1).to_string(), end="\n\n")
    print(table(runs.assign(all="all"), "all").round(1).to_string())


if __name__ == "__main__":
    main()
