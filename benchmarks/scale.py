"""What more workers give, what a cell costs beside its runs, and memory by tasks.

    python benchmarks/scale.py [--cells 200] [--tasks 20000] [--most 4000000]

Prints a table of engines: seconds, processor time, and efficiency at 2 workers, which is the time
of one worker over twice that of two (goals: .9 in threads and .8 on Dask for cells of 50 ms or
more); the share of the threads' time that they were blocked (by the interpreter's lock or
another), which does not depend on what else the machine does; then what an empty cell costs on each
engine; then resident memory by the number of tasks of a corpus.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import routingsim as rs
from routingsim.evaluation.sweeps.cells import run_cell
from routingsim.evaluation.sweeps.sweep import planned
from routingsim.evaluation.workers import hired
from routingsim.simulation.faults import ONE_TRY

Item = tuple[str, dict[str, Any]]


def nothing(shared: Any, item: Any) -> None:
    """A cell without work."""


def watched(shared: Any, item: Item) -> tuple[float, float, float]:
    """A cell; its seconds, those on a processor, and those waiting for one."""
    began, (on, queued) = time.perf_counter(), _schedule()
    run_cell(shared, item)
    now_on, now_queued = _schedule()
    return time.perf_counter() - began, now_on - on, now_queued - queued


def _schedule() -> tuple[float, float]:
    """Seconds of this thread on a processor and in the queue for one; NaN where not known."""
    path = Path("/proc/thread-self/schedstat")
    if not path.exists():
        return np.nan, np.nan
    on, queued, _ = map(int, path.read_text().split())
    return on / 1e9, queued / 1e9


def engines(tasks: int, cells: int) -> None:
    """Print the table of engines."""
    plan = planned(
        *("tasks", None, "threshold"),
        {"load": np.linspace(0.1, 0.6, cells).tolist()},
        *("grid", None),
        **dict.fromkeys(("arrivals", "load", "rate", "service")),
        seed=0,
        replications=5,
        objective=8.0,
        right=0.5,
        common=True,
        tasks=tasks,
        retries=ONE_TRY,
        outages=(),
    )
    items: list[Item] = list(zip(plan.keys, plan.settings, strict=True))
    run_cell(plan.fixed, items[0])  # compiles
    print(f"{cells} cells of 5 runs of {tasks:,} tasks")
    print(
        f"{'engine':<10} {'workers':>7} {'s':>7} {'cpu s':>7} {'ms a cell':>9} {'eff.':>5} blocked"
    )
    for name in ("threads", "processes", "dask"):
        alone = np.nan
        for workers in (1, 2):
            found: list[Any] = []
            executor = "serial" if workers == 1 and name == "threads" else name
            with hired(watched, plan.fixed, executor=executor, n_jobs=workers) as each:
                each(items[: 2 * workers], lambda k, result: None)  # starts the workers
                began = time.perf_counter()
                each(items, lambda k, result, found=found: found.append(result))
                seconds = time.perf_counter() - began
            whole, on, queued = np.array(found).sum(axis=0)
            alone = seconds if workers == 1 else alone
            share = alone / seconds / workers
            print(
                f"{name:<10} {workers:>7} {seconds:>7.2f} {on:>7.2f} {1e3 * on / cells:>9.1f} "
                f"{share:>5.2f} {1 - (on + queued) / whole:>7.1%}"
            )


def overhead(cells: int) -> None:
    """Print what a cell costs beside its runs."""
    print(f"\noverhead of {cells:,} cells without work\n{'engine':<10} {'ms a cell':>9}")
    for name in ("serial", "threads", "processes", "dask"):
        with hired(nothing, None, executor=name, n_jobs=2) as each:
            each(range(8), lambda k, result: None)
            began = time.perf_counter()
            each(range(cells), lambda k, result: None)
            print(f"{name:<10} {1e3 * (time.perf_counter() - began) / cells:>9.3f}")


def memory(most: int) -> None:
    """Print resident memory by tasks, each in a process of its own."""
    print(f"\n{'tasks':>10} {'MB':>7} {'bytes a task':>12}  loaded, scored and replayed")
    base = 0.0
    for tasks in (1000, *(most // 4**k for k in (2, 1, 0))):
        code = f"import sys; sys.argv = ['']; import scale; print(scale.peak({tasks}))"
        where = Path(__file__).parent
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=where, capture_output=True, text=True, check=True
        )
        found = float(said.stdout)
        base = base or found
        each = (found - base) / tasks * 1e6
        print(f"{tasks:>10,} {found:>7,.0f} {each if tasks > 1000 else np.nan:>12,.0f}")


def peak(tasks: int) -> float:
    """Peak resident memory (MB) of this process after a replay of so many short texts."""
    number = np.arange(tasks)
    frame = pd.DataFrame(
        {"id": number.astype(str), "text": "say hello to number " + pd.Series(number).astype(str)}
    )
    rs.replay(rs.Corpus.from_frame(frame), policy="threshold", arrivals="poisson:4")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--most", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    parts: list[Callable[[], None]] = [
        partial(engines, options.tasks, options.cells),
        partial(overhead, 2000),
        partial(memory, options.most),
    ]
    for part in parts:
        part()


if __name__ == "__main__":
    main()
