"""How long a comparison takes: 10 policies x 4 loads x 20 replications, with the controls.

    python benchmarks/compare.py [--corpus paretobandit-val] [--pool paretobandit]

Prints the seconds for reading, for the study (17 policies and controls, so 1,360 replays
of every task) and for its tables with all intervals and verdicts; the goal is the study in
under 60 s. A study of one replication, timed apart, first compiles the kernels or reads
them from their cache.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence

import routingsim as rs

POLICIES = (
    "threshold",
    "threshold:calibrated",
    "least-loaded",
    "power-of-two",
    "shortest-wait",
    "round-robin",
    "fastest",
    "weighted:capacity",
    "random",
    "thompson",
)
LOADS = (0.3, 0.6, 0.9, 1.1)
REPLICATIONS = 20
GOAL = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the times; 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", default="paretobandit-val")
    parser.add_argument("--pool", default="paretobandit")
    options = parser.parse_args(arguments)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    began = time.perf_counter()
    corpus, pool = rs.load_corpus(options.corpus), rs.load_agents(options.pool)
    read = time.perf_counter()
    rs.compare(corpus, pool, POLICIES, loads=LOADS[:1], replications=1)
    warm = time.perf_counter()
    study = rs.compare(corpus, pool, POLICIES, loads=LOADS, replications=REPLICATIONS)
    done = time.perf_counter()
    study.to_dict()
    told = time.perf_counter()
    runs = len(study.cells) * REPLICATIONS
    seconds = done - warm
    print(f"read {read - began:6.1f} s  {len(corpus):,} tasks")
    print(f"warm {warm - read:6.1f} s  one replication at one load")
    print(
        f"run  {seconds:6.1f} s  {len(POLICIES)} policies and {len(study.names) - len(POLICIES)} "
        f"controls x {len(LOADS)} loads x {REPLICATIONS} replications: {runs:,} replays, "
        f"{runs * len(corpus) / seconds / 1e6:.2f} million tasks/s"
    )
    print(f"tell {told - done:6.1f} s  tables with intervals, verdicts and tests of text use")
    print(f"goal {GOAL:6.1f} s  {'met' if seconds < GOAL else 'missed'}")
    return int(seconds >= GOAL)


if __name__ == "__main__":
    sys.exit(main())
