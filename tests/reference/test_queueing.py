"""The simulator against exact queueing theory, through the public API.

Each figure of a run of two million tasks or more is compared with its exact
value: z = (estimate - exact) / standard error by batch means, |z| <= 4.5 at a
fixed seed. A quantile is checked by the share of tasks above its exact value.
"""

import csv
import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import routingsim as rs
from routingsim.simulation.statistics import batch_means

pytestmark = pytest.mark.reference

TASKS = 2_000_000
BATCHES = 40
SEED = 20_260


def pool(servers: int = 1, **fields: Any) -> rs.AgentPool:
    """One agent with exponential service of mean 1, unless told otherwise."""
    given = {"service": "exponential", "latency": 1.0, "concurrency": servers} | fields
    return rs.AgentPool((rs.Agent(id="a", name="A", cost=0.01, **given),))


def run(agents: rs.AgentPool, arrivals: str, tasks: int = TASKS, **more: Any) -> rs.ReplayResult:
    return rs.replay(None, agents, "static:a", arrivals=arrivals, tasks=tasks, seed=SEED, **more)


@cache
def two_agents() -> rs.ReplayResult:
    """Six texts of low complexity to five slots, four of high to three."""
    short, long = "hi", "Prove this, step by step: " + "alpha, beta; gamma. " * 20
    frame = pd.DataFrame({"id": [f"t{i}" for i in range(10)], "text": [short] * 6 + [long] * 4})
    agents = rs.AgentPool(
        tuple(
            rs.Agent(id=i, name=i, cost=c, latency=1.0, service="exponential", concurrency=n)
            for i, c, n in (("five", 0.001, 5), ("three", 0.01, 3))
        )
    )
    policy = rs.policies.threshold(
        agents, bands={"low": ["five"], "medium": ["five"], "high": ["three"]}
    )
    return rs.replay(
        rs.Corpus.from_frame(frame), agents, policy, arrivals="poisson:6", tasks=TASKS, seed=SEED
    )


CASES: dict[int, Callable[[], rs.ReplayResult]] = {
    1: cache(lambda: run(pool(1), "poisson:0.8", 4 * TASKS)),
    2: cache(lambda: run(pool(5), "poisson:4")),
    3: cache(lambda: run(pool(100), "poisson:95", 3 * TASKS)),
    4: cache(lambda: run(pool(5, queue_limit=0), "poisson:4")),
    5: cache(lambda: run(pool(3, queue_limit=7), "poisson:3")),
    6: cache(lambda: run(pool(1, service="deterministic"), "poisson:0.8")),
    7: cache(
        lambda: run(
            pool(1, service="lognormal", latency_cv=math.sqrt(1.5)), "poisson:0.8", 2 * TASKS
        )
    ),
    8: cache(lambda: run(pool(1), "gamma:0.8,cv=2", 4 * TASKS)),
    9: cache(lambda: run(pool(5, patience=1.0), "poisson:4")),
    10: cache(lambda: run(pool(1), "closed:users=20,think=10")),
    11: cache(
        lambda: run(
            pool(5, error_rate=0.1),
            "poisson:3.6",
            retries=rs.Retries(attempts=1000, backoff=0.0),
        )
    ),
    12: two_agents,
}


def steady(result: rs.ReplayResult) -> NDArray[np.bool_]:
    """Tasks after the first tenth."""
    return np.arange(len(result)) >= len(result) // 10


def answered(result: rs.ReplayResult, agent: int | None = None) -> NDArray[np.bool_]:
    mine = steady(result) & (result.log.status == 0)
    return mine if agent is None else mine & (result.log.agent == agent)


def busy_share(result: rs.ReplayResult) -> NDArray[np.float64]:
    """Utilisation over stretches of time, one value a stretch."""
    log, slots = result.log, result.pool.column("concurrency").sum()
    edges = np.linspace(*result.window, 10 * BATCHES + 1)
    served = log.status <= 1
    return np.array(
        [
            (np.clip(log.finished[served], a, b) - np.clip(log.left[served], a, b)).sum()
            / (slots * (b - a))
            for a, b in pairwise(edges)
        ]
    )


def rate(result: rs.ReplayResult) -> NDArray[np.float64]:
    """Completions a second over stretches of time, one value a stretch."""
    edges = np.linspace(*result.window, 10 * BATCHES + 1)
    return np.histogram(result.log.finished, edges)[0] / np.diff(edges)


def series(result: rs.ReplayResult, quantity: str) -> NDArray[np.float64]:
    """The series whose mean is the quantity."""
    log, ok = result.log, answered(result)
    everybody = steady(result)
    known: dict[str, Callable[[], NDArray[np.float64]]] = {
        "mean wait": lambda: log.wait[ok],
        "mean wait of the accepted": lambda: log.wait[ok],
        "mean wait overall": lambda: log.wait[ok],
        "mean wait first agent": lambda: log.wait[answered(result, 0)],
        "mean wait second agent": lambda: log.wait[answered(result, 1)],
        "mean time in queue of all": lambda: log.wait[everybody],
        "P(wait>0)": lambda: (log.wait[ok] > 0).astype(float),
        "P(wait>1)": lambda: (log.wait[ok] > 1).astype(float),
        "P(wait>5)": lambda: (log.wait[ok] > 5).astype(float),
        "P(rejected)": lambda: (log.status[everybody] == 3).astype(float),
        "P(timed out)": lambda: (log.status[everybody] == 2).astype(float),
        "attempts per task": lambda: log.attempts[everybody].astype(float),
        "total time per task": lambda: result.latency[ok],
        "mean response": lambda: result.latency[ok],
        "throughput": lambda: rate(result),
        "utilisation": lambda: busy_share(result),
        # Little's law: mean queue length = arrival rate x mean wait
        "mean queue length": lambda: log.wait[ok] * 4.0,
    }
    return known[quantity]()


def rows() -> list[dict[str, str]]:
    """The reference table, or nothing where it is not at hand (the test then says so)."""
    for base in (Path(__file__).parents[2].parent / "shared" / "reference",):
        path = base / "queueing_reference.csv"
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
    return []


def z_score(values: NDArray[np.float64], exact: float) -> float:
    """Distance of a series' mean from the exact value, in standard errors."""
    interval = batch_means(values, BATCHES, level=0.6826894921370859)  # about one sigma
    return (interval.mean - exact) / interval.half_width


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['model']}-{row['quantity']}")
def test_simulation_agrees_with_exact_results(row: dict[str, str]) -> None:
    result, quantity, exact = CASES[int(row["case"])](), row["quantity"], float(row["value"])
    if quantity in ("wait p95", "sojourn p99"):
        name, _, level = quantity.partition(" p")
        times = result.log.wait if name == "wait" else result.latency
        values = (times[answered(result)] > exact).astype(float)
        z = z_score(values, 1 - float(level) / 100)
        found = float(values.mean())
    else:
        values = series(result, quantity)
        z, found = z_score(values, exact), float(values.mean())
    print(f"{row['model']} {quantity}: {found:.6f} against {exact:.6f}, z = {z:.2f}")
    assert abs(z) <= 4.5
    assert abs(z) > 0  # a figure that hits to the last bit was not simulated


def test_reference_table_is_whole(shared_reference: Path) -> None:
    assert len(rows()) == 28
    assert {int(row["case"]) for row in rows()} == set(CASES)
