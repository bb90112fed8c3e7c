"""From which delay of its signals on least-loaded is worse than random, by the number of routers.

    python benchmarks/stale_signals.py [--quick]

Two pools of agents with exponential service of mean 1 s: 16 with one slot, and 8 with eight slots.
Poisson arrivals. Of each run of least-loaded and random under one seed the mean latencies are
compared; where the ratio passes 1, between two delays of a grid, the delay is interpolated on
the logarithmic scale. Given are means over the seeds and 95 % intervals (Student's t).
"""

import argparse
import math

import numpy as np

import routingsim as rs
from routingsim.evaluation import t_interval

POOLS = {"16 x 1": (16, 1), "8 x 8": (8, 8)}
ROUTERS, LOADS = (1, 4, 16), (0.5, 0.8, 0.9)
DELAYS = tuple(0.0625 * 2 ** (k / 2) for k in range(19))  # 1/16 to 32 mean services


def latency(pool: rs.AgentPool, policy: str, load: float, tasks: int, seed: int, **late) -> float:
    """Mean latency of a run, in mean services."""
    arrivals = rs.Poisson(load * pool.capacity)
    result = rs.replay(None, pool, policy, arrivals=arrivals, tasks=tasks, seed=seed, **late)
    return float(result.latency[result.timed].mean())


def crossing(pool: rs.AgentPool, load: float, routers: int, tasks: int, seed: int) -> float:
    """The delay at which both have the same latency; infinite if there is none in the grid."""
    random, before = latency(pool, "random", load, tasks, seed), 0.0
    for k, delay in enumerate(DELAYS):
        late = {"signal_delay": delay, "routers": routers}
        ratio = math.log(latency(pool, "least-loaded", load, tasks, seed, **late) / random)
        if ratio >= 0:
            if k == 0:
                return delay
            return DELAYS[k - 1] * (delay / DELAYS[k - 1]) ** (before / (before - ratio))
        before = ratio
    return math.inf


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    quick = parser.parse_args().quick
    tasks, seeds = (20_000, 3) if quick else (60_000, 8)
    print(f"{tasks:,} tasks a run, {seeds} seeds; delays in mean services")
    for name, (agents, slots) in POOLS.items():
        pool = rs.AgentPool(
            tuple(
                rs.Agent(id=f"a{k}", name="A", cost=0.01, latency=1.0, service="exponential",
                         concurrency=slots)
                for k in range(agents)
            )
        )  # fmt: skip
        for load in LOADS:
            for routers in ROUTERS:
                found = [crossing(pool, load, routers, tasks, seed) for seed in range(seeds)]
                if np.isinf(found).any():
                    print(f"{name:8} load {load}  {routers:2} routers  never up to {DELAYS[-1]:g}")
                    continue
                each = t_interval(found)
                said = f"{each.mean:.2f} ± {each.half_width:.2f}"
                print(f"{name:8} load {load}  {routers:2} routers  {said}")


if __name__ == "__main__":
    main()
