"""The simulator against exact queueing theory, through the public API.

Each figure of a run of a million tasks or more is compared with its exact
value: z = (estimate - exact) / standard error by batch means, |z| <= 4.5 at a
fixed seed. A quantile is checked by the share of tasks above its exact value.
"""

import csv
import math
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import routingsim as rs
from routingsim.simulation.statistics import of_means

pytestmark = pytest.mark.reference

TASKS = 1_000_000
BATCHES = 40
SEED = 20_260


def pool(servers: int = 1, **fields: Any) -> rs.AgentPool:
    """One agent with exponential service of mean 1, unless told otherwise."""
    given = {"service": "exponential", "latency": 1.0, "concurrency": servers} | fields
    return rs.AgentPool((rs.Agent(id="a", name="A", cost=0.01, **given),))


def run(
    agents: rs.AgentPool, arrivals: str | rs.Trace, tasks: int = TASKS, **more: Any
) -> rs.ReplayResult:
    return rs.replay(None, agents, "static:a", arrivals=arrivals, tasks=tasks, seed=SEED, **more)


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
    1: lambda: run(pool(1), "poisson:0.8", 4 * TASKS),
    2: lambda: run(pool(5), "poisson:4"),
    3: lambda: run(pool(100), "poisson:95", 3 * TASKS),
    4: lambda: run(pool(5, queue_limit=0), "poisson:4"),
    5: lambda: run(pool(3, queue_limit=7), "poisson:3"),
    6: lambda: run(pool(1, service="deterministic"), "poisson:0.8"),
    7: lambda: run(
        pool(1, service="lognormal", latency_cv=math.sqrt(1.5)), "poisson:0.8", 2 * TASKS
    ),
    8: lambda: run(pool(1), "gamma:0.8,cv=2", 4 * TASKS),
    9: lambda: run(pool(5, patience=1.0), "poisson:4"),
    10: lambda: run(pool(1), "closed:users=20,think=10"),
    11: lambda: run(
        pool(5, error_rate=0.1), "poisson:3.6", retries=rs.Retries(attempts=50, backoff=0.0)
    ),
    12: two_agents,
}


@lru_cache(maxsize=1)  # the table goes case by case, and a result is large
def simulated(case: int) -> rs.ReplayResult:
    return CASES[case]()


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
    busy = _before(log.finished[served], edges) - _before(log.left[served], edges)
    return np.diff(busy).astype(np.float64) / (slots * np.diff(edges))


def _before(times: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.longdouble]:
    """The sum of ``min(time, edge)`` over all times, for each edge."""
    ordered = np.sort(times)
    sums = np.concatenate([[0.0], np.cumsum(ordered, dtype=np.longdouble)])
    earlier = np.searchsorted(ordered, edges)
    return np.asarray(sums[earlier] + (ordered.size - earlier) * edges, dtype=np.longdouble)


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
    named = os.environ.get("ROUTINGSIM_DATA")
    data = Path(named) if named else Path(__file__).parents[2].parent / "shared" / "data"
    path = data.parent / "reference" / "queueing_reference.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def z_score(values: NDArray[np.float64], exact: float) -> float:
    """Distance of a series' mean from the exact value, in standard errors."""
    known = values[~np.isnan(values)]
    batches = known[known.size % BATCHES :].reshape(BATCHES, -1)
    interval = of_means(batches.mean(axis=1), level=0.6826894921370859)  # about one sigma
    return (interval.mean - exact) / interval.half_width


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['model']}-{row['quantity']}")
def test_simulation_agrees_with_exact_results(row: dict[str, str]) -> None:
    result, quantity, exact = simulated(int(row["case"])), row["quantity"], float(row["value"])
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


# -- cases beside the table's -----------------------------------------------------------
# Each in a way of its own: another law, another part of the engine, or another way to the
# same queue. Those whose exact value is a name's are of `rs.theory`, which its own tests hold
# to other sources.


def waits(result: rs.ReplayResult) -> NDArray[np.float64]:
    return result.log.wait[answered(result)]


def lost(result: rs.ReplayResult) -> NDArray[np.float64]:
    return (result.log.status[steady(result)] >= 2).astype(float)


def latencies(result: rs.ReplayResult) -> NDArray[np.float64]:
    return result.latency[answered(result)]


def batches(size: float, count: int) -> rs.Trace:
    """Poisson batches, one a second, of geometric sizes with this mean."""
    rng = np.random.default_rng(SEED)
    return rs.Trace(np.repeat(rng.exponential(1.0, count).cumsum(), rng.geometric(1 / size, count)))


def modulated_wait(rates: list[float], seconds: list[float]) -> float:
    """Mean wait of MMPP/M/1 with service of mean 1, by the matrix-geometric method.

    Of Neuts, *Matrix-Geometric Solutions in Stochastic Models*, 1981, ch. 1: with A0, A1, A2 the
    rates up, level and down, R is the least solution of A0 + R A1 + R R A2 = 0.
    """
    up, down, unit = np.diag(rates), np.eye(len(rates)), np.eye(len(rates))
    change = np.diag(1 / np.array(seconds)) @ (np.roll(unit, 1, axis=1) - unit)
    level, ratio = change - up - down, np.zeros_like(unit)
    inverse = np.linalg.inv(level)
    for _ in range(2_000):
        ratio = -(up + ratio @ ratio @ down) @ inverse
    whole = np.linalg.inv(unit - ratio)
    balance = np.vstack([(change - up + ratio @ down).T[:-1], whole.sum(axis=1)])
    empty = np.linalg.solve(balance, np.eye(len(rates))[-1])
    present = float((empty @ ratio @ whole @ whole).sum())  # Little's law makes a wait of it
    return present * sum(seconds) / float(np.dot(rates, seconds)) - 1


ONE_AFTER_ANOTHER = rs.AgentPool(
    tuple(
        rs.Agent(id=i, name=i, cost=0.01, latency=1.0, service="exponential", concurrency=1)
        for i in ("a", "b")
    )
)

OWN: dict[str, tuple[Callable[[], rs.ReplayResult], Any, float]] = {
    "M/D/10": (
        lambda: run(pool(10, service="deterministic"), "poisson:9"),
        waits,
        rs.theory.mdc(9, 1, 10).wait_mean,
    ),
    "M/G/1, cv 3": (
        lambda: run(pool(service="lognormal", latency_cv=3.0), "poisson:0.6"),
        waits,
        rs.theory.mg1(0.6, 1, scv=9).wait_mean,
    ),
    "M/G/8/8, cv 2: Erlang's loss whatever the service": (
        lambda: run(pool(8, service="lognormal", latency_cv=2.0, queue_limit=0), "poisson:6"),
        lost,
        rs.theory.erlang_b(6, 8),
    ),
    "D/M/3": (
        lambda: run(pool(3), "deterministic:2.4"),
        waits,
        rs.theory.gimc(2.4, 1, 3, rs.theory.deterministic_lst()).wait_mean,
    ),
    "gamma/M/4, cv 3": (
        lambda: run(pool(4), "gamma:3,cv=3"),
        waits,
        rs.theory.gimc(3, 1, 4, rs.theory.gamma_lst(3)).wait_mean,
    ),
    "Weibull/M/10, cv 1.7": (
        lambda: run(pool(10), "weibull:8,cv=1.7"),
        waits,
        rs.theory.gimc(8, 1, 10, rs.theory.weibull_lst(1.7)).wait_mean,
    ),
    "turns between two of M/M/1: Erlang-2 arrivals at each": (
        lambda: rs.replay(
            None, ONE_AFTER_ANOTHER, "round-robin", arrivals="poisson:1.6", tasks=TASKS, seed=SEED
        ),
        waits,
        rs.theory.gim1(0.8, 1, rs.theory.gamma_lst(math.sqrt(0.5))).wait_mean,
    ),
    "the shorter of two queues": (  # by the truncated chain of both lengths, to 1e-9
        lambda: rs.replay(
            None,
            *(ONE_AFTER_ANOTHER, "least-loaded"),
            arrivals="poisson:1.8",
            tasks=TASKS,
            seed=SEED,
        ),
        latencies,
        5.4749128,
    ),
    "six calls a minute: M/D/6 of a minute": (
        lambda: run(pool(10_000, requests_per_minute=6), "poisson:0.085"),
        waits,
        rs.theory.mdc(0.085, 60, 6).wait_mean,
    ),
    "M/M/1+D at 150 %": (
        lambda: run(pool(patience=0.7), "poisson:1.5"),
        lost,
        rs.theory.mmc_timeout(1.5, 1, 1, 0.7).p_timed_out,
    ),
    "closed loop with constant thought": (
        lambda: run(pool(3), "closed:users=10,think=5,think_cv=0"),
        waits,
        rs.theory.finite_source(10, 5, 1, 3).wait_mean,
    ),
    "three tries with back-off, nobody waits": (
        lambda: run(
            pool(1_000, error_rate=0.3),
            *("poisson:5", TASKS),
            retries=rs.Retries(attempts=3, backoff=2.0, factor=3.0),
        ),
        lambda result: result.latency[steady(result)],
        (1 + 0.3 + 0.3**2) + 2 * 0.3 + 6 * 0.3**2,
    ),
    "three tries in a queue": (
        lambda: run(
            pool(3, error_rate=0.25),
            *("poisson:2", TASKS),
            retries=rs.Retries(attempts=3, backoff=0.0),
        ),
        lambda result: result.latency[steady(result)],
        rs.theory.mmc_retry(2, 1, 3, 0.25, max_attempts=3).latency_mean,
    ),
    "batches": (  # the first of a batch waits as in M/G/1 of whole batches, the others longer
        lambda: run(pool(latency=0.3), batches(2.5, TASKS // 2), 5 * TASKS // 4),
        waits,
        0.75 * 0.3 / 0.25 + 0.3 * ((2 - 0.4) / 0.4**2 - 2.5) / (2 * 2.5 * 0.25),
    ),
    "quiet and busy spells": (
        lambda: run(pool(), "burst:rate=0.2,peak=2,off=50,on=10"),
        waits,
        modulated_wait([0.2, 2.0], [50.0, 10.0]),
    ),
    "several sources": (
        lambda: run(pool(2), "poisson:0.5 + poisson:0.4 + poisson:0.6"),
        waits,
        rs.theory.mmc(1.5, 1, 2).wait_mean,
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_simulation_agrees_with_exact_results_of_our_own(case: str) -> None:
    simulate, quantity, exact = OWN[case]
    values = quantity(simulate())
    z = z_score(values, exact)
    print(f"{case}: {values.mean():.6f} against {exact:.6f}, z = {z:.2f}")
    assert 0 < abs(z) <= 4.5


@pytest.mark.parametrize("load", [0.7, 0.9])
def test_the_shorter_of_two_queues_of_500(load: float) -> None:
    agents = rs.AgentPool(
        tuple(
            rs.Agent(id=f"a{k}", name="A", cost=0.01, latency=1.0, service="exponential",
                     concurrency=1)
            for k in range(500)
        )
    )  # fmt: skip
    arrivals = rs.Poisson(500 * load)
    found = rs.replay(None, agents, "power-of-two", arrivals=arrivals, tasks=1_000_000, seed=SEED)
    exact = rs.theory.supermarket(load, 1.0).latency_mean
    assert found.latency[found.timed].mean() == pytest.approx(exact, rel=0.01)
