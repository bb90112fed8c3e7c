"""What second copies cut off the slowest answers, and what load they add.

    python benchmarks/hedging.py [--quick]

Ten equal agents of two slots, lognormal service of mean 1 s (cv 0.5), Poisson arrivals, under a
random or the least loaded agent. At each load: the p99 of the latency without second copies, and
how p99, mean and the share of the slots in use change with a copy after the 95th or the 90th
percentile of the agent's own times, after 2 s, or at once. A call that is cancelled frees its
slot, or (``holds``) keeps it until it would have ended. Means of five seeds, each with 100,000
tasks (--quick: two with 50,000); "±" is the half-width of a 95 % interval over the seeds.
"""

import argparse
from functools import partial

import numpy as np
from scipy.stats import t as student

import routingsim as rs

LOADS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
HEDGES = {"p95": "p95", "p90": "p90", "2 s": "2s", "at once": "0s"}
VARIANTS = (("random", "frees"), ("least-loaded", "frees"), ("least-loaded", "holds"))


def agents(cut_off: str) -> rs.AgentPool:
    """The pool, whose calls free or hold their slots when they are cancelled."""
    each = {"cost": 0.01, "latency": 1.0, "latency_cv": 0.5, "concurrency": 2, "cut_off": cut_off}
    return rs.AgentPool(tuple(rs.Agent(id=f"a{k}", name=f"A{k}", **each) for k in range(10)))


def replay(
    pool: rs.AgentPool, policy: str, tasks: int, load: float, seed: int, hedge: str | None
) -> rs.ReplayResult:
    """One replay; the same arrivals and first copies, whatever the hedge."""
    arrivals = rs.Poisson(load * pool.capacity)
    return rs.replay(None, pool, policy, arrivals=arrivals, tasks=tasks, seed=seed, hedge=hedge)


def figures(result: rs.ReplayResult, plain: rs.ReplayResult) -> tuple[float, ...]:
    """Changes of p99, mean latency and slots in use, and the share of tasks with a copy."""
    whole, before = result.overall, plain.overall
    names = ("latency_p99", "latency_mean", "utilisation")
    return (*(whole[name] / before[name] - 1 for name in names), whole.get("hedged", 0.0))


def main() -> None:
    """Print a table for each variant."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    seeds, tasks = (2, 50_000) if parser.parse_args().quick else (5, 100_000)
    factor = student.ppf(0.975, seeds - 1) / seeds**0.5
    for policy, cut_off in VARIANTS:
        pool = agents(cut_off)

        run = partial(replay, pool, policy, tasks)
        print(f"\n{policy}, a cancelled call {cut_off} its slot")
        print(f"{'load':>5} {'p99 s':>7}  " + "".join(f"{name:>38}" for name in HEDGES))
        print(" " * 15 + "".join(f"{'p99':>14}{'mean':>8}{'load':>8}{'copies':>8}" for _ in HEDGES))
        for load in LOADS:
            plain = [run(load, seed, None) for seed in range(seeds)]
            line = f"{load:5.1f} {np.mean([each.overall['latency_p99'] for each in plain]):7.2f}  "
            for hedge in HEDGES.values():
                found = [figures(run(load, seed, hedge), each) for seed, each in enumerate(plain)]
                p99, mean, extra, copies = np.mean(found, axis=0)
                half = factor * np.std([each[0] for each in found], ddof=1)
                line += f"{p99:+7.0%} ±{half:4.0%} {mean:+7.0%} {extra:+7.1%} {copies:7.1%}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
