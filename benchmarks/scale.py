"""What more workers give, what a cell costs beside its runs, and memory by tasks.

    python benchmarks/scale.py [--cells 200] [--tasks 40000] [--most 4000000]
    python benchmarks/scale.py --only memory --streamed 1000000 4000000 20000000

Prints a table of engines: seconds, processor time, and efficiency at 2 workers, which is the time
of one worker over twice that of two (goals: .9 in threads and .8 on Dask for cells of 50 ms or
more); the share of the threads' time that they were blocked (by the interpreter's lock or
another), which depends less on what else the machine does; then what an empty cell costs on each
engine, of 2,000; the runs that a question of capacity takes beside those of the exhaustive grid;
then peak resident memory by the number of tasks, of a corpus in memory and of one that is
replayed in blocks, with the line of least squares through the latter: bytes that each further task
takes, which is near 0 where memory does not grow with the number of tasks. ``--cells 2000`` is a
sweep of that size; with ``--only memory`` nothing but the two of memory. ``--streamed`` takes
100000000 too, which is ten minutes and 10 GB in the folder for temporary files.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

import routingsim as rs
from routingsim.evaluation.sweeps.cells import run_cell
from routingsim.evaluation.sweeps.sweep import planned
from routingsim.evaluation.workers import execution
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
            with execution(watched, plan.fixed, executor=executor, n_jobs=workers) as each:
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
        with execution(nothing, None, executor=name, n_jobs=2) as each:
            each(range(8), lambda k, result: None)
            began = time.perf_counter()
            each(range(cells), lambda k, result: None)
            print(f"{name:<10} {1e3 * (time.perf_counter() - began) / cells:>9.3f}")


def saved() -> None:
    """Print the runs that a question of capacity takes, beside those of the exhaustive grid."""
    agents = rs.load_agents("paretobandit")
    prices = {"llama-3.1-8b": 0.5, "gemini-2.5-flash": 1.0, "gemini-2.5-pro": 2.0}
    pool = [
        msgspec.structs.replace(agent, price_per_slot_hour=prices[agent.id])
        for agent in agents
        if agent.id in prices
    ]
    began = time.process_time()
    found = rs.capacity(
        *("paretobandit", pool, ["least-loaded", "utility", "threshold"]),
        arrivals="poisson:2",
        slots={name: range(9) for name in prices},
        slo={"p95": 8.0},
        quality=0.9,
    )
    _ = found.stress  # twice the load, too
    seconds = time.process_time() - began
    print("\ncapacity: three agents of 0 to 8 slots, three policies")
    print(f"{found.runs:,} runs of {found.exhaustive:,}, {seconds:.1f} s of a processor")
    print(found.said)


def memory(most: int) -> None:
    """Print resident memory by tasks, each in a process of its own."""
    print(f"\n{'tasks':>11} {'MB':>7} {'bytes a task':>12}  loaded, scored and replayed")
    base = 0.0
    for tasks in (1000, *(most // 4**k for k in (2, 1, 0))):
        found, _ = _alone(f"peak({tasks})")
        base = base or found
        each = (found - base) / tasks * 1e6
        print(f"{tasks:>11,} {found:>7,.0f} {each if tasks > 1000 else np.nan:>12,.0f}", flush=True)


def streamed(counts: Sequence[int]) -> None:
    """Print resident memory by tasks of replays in blocks, and its trend."""
    print(f"\n{'tasks':>11} {'MB':>7} {'s':>7} {'cpu µs a task':>13}  in blocks, rows written")
    sizes, found = [], []
    for tasks in sorted(counts):
        with tempfile.TemporaryDirectory() as folder:
            _alone(f"make({tasks}, {folder!r})")
            began = time.perf_counter()
            peak_mb, cpu = _alone(f"in_blocks({folder!r})")
        seconds = time.perf_counter() - began
        sizes.append(tasks)
        found.append(peak_mb)
        print(
            f"{tasks:>11,} {peak_mb:>7,.0f} {seconds:>7.1f} {1e6 * cpu / tasks:>13.2f}  "
            f"{'#' * round(peak_mb / 25)}",
            flush=True,
        )
    if len(sizes) > 1:
        slope, least = np.polyfit(sizes, found, 1)
        print(
            f"trend: {least:,.0f} MB and {1e6 * slope:,.1f} bytes a task, so "
            f"{least + 1e8 * slope:,.0f} MB at 100,000,000"
        )


def _alone(call: str) -> tuple[float, float]:
    """What a function of this module returns in a process of its own: MB, and seconds."""
    code = f"import sys; sys.argv = ['']; import scale; print(*scale.{call})"
    where = Path(__file__).parent
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=where, stdout=subprocess.PIPE, text=True, check=True
    )
    first, second = said.stdout.split()
    return float(first), float(second)


def make(tasks: int, folder: str) -> tuple[float, float]:
    """Write a corpus of short texts as Parquet, a file for each million; they arrive at 2/s."""
    last = 0.0
    for number, begin in enumerate(range(0, tasks, 1 << 20)):
        draws, end = np.random.default_rng(number), min(tasks, begin + (1 << 20))
        times = last + np.cumsum(draws.exponential(0.5, end - begin))
        last = float(times[-1])
        ids = pd.Series(np.arange(begin, end)).astype(str)
        texts = "say hello to number " + ids
        frame = pd.DataFrame({"id": ids, "text": texts, "arrived_at": times})
        frame.to_parquet(Path(folder) / f"{number:04}.parquet", row_group_size=1 << 17)
    return _used()


def in_blocks(folder: str) -> tuple[float, float]:
    """Replay a folder in blocks, its rows written to another."""
    with tempfile.TemporaryDirectory() as out:
        found = rs.replay_stream(rs.stream_corpus(folder), policy="threshold", to=Path(out) / "out")
        found.summary()
    return _used()


def _used() -> tuple[float, float]:
    """Peak resident memory (MB) of this process, and its processor time (s)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time()


def peak(tasks: int) -> tuple[float, float]:
    """Replay so many short texts that are in memory."""
    number = np.arange(tasks)
    frame = pd.DataFrame(
        {"id": number.astype(str), "text": "say hello to number " + pd.Series(number).astype(str)}
    )
    rs.replay(rs.Corpus.from_frame(frame), policy="threshold", arrivals="poisson:4")
    return _used()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=40_000)
    parser.add_argument("--most", type=int, default=1_000_000)
    sizes = [1_000_000, 4_000_000, 20_000_000]
    parser.add_argument("--streamed", type=int, nargs="+", default=sizes)
    parser.add_argument("--only", choices=["memory"])
    options = parser.parse_args(arguments)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    parts: list[Callable[[], None]] = [
        partial(engines, options.tasks, options.cells),
        partial(overhead, 2000),
        saved,
    ]
    if options.only:
        parts.clear()
    parts += [partial(memory, options.most), partial(streamed, options.streamed)]
    for part in parts:
        part()


if __name__ == "__main__":
    main()
