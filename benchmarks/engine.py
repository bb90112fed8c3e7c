"""Tasks a second: our engine, our reference engine, SimPy and Ciw on the same systems.

    python benchmarks/engine.py [--quick]

Systems, each written out for every simulator that can express it:

* ``M/M/5``: one agent, five slots, exponential service, load 0.8.
* ``simple``: 8 agents x 8 slots, Poisson arrivals at load 0.8, lognormal service,
  least loaded first; the same under threshold with spill-over.
* ``full``: the same with queue limits, patience, failures, back-off and fallback to
  another agent. Ours also has a per-minute limit and an outage.

Then the features that providers need, in the simple system, and what a task costs by the size of
the pool and the policy: with load 0.8 at every size, so that calls under way grow with the pool
(52,000 at 10,000 agents), and with those of 10 agents at every size. These two tables are of
processor time and have a mean service time, price and quality for each agent. An agent gets 50
tasks or more where all are used, eight service times: in less, the load would not be reached.

Every run draws its own random numbers; arrival times and texts' scores are made
before the clock starts, for all alike. All take turns in one process; given are
the median and the best of the turns, and the median of the ratios in a turn. Ciw
runs M/M/5 and a join-shortest-queue of the simple system; it has no retries.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import ciw
import ciw.dists
import ciw.routing
import msgspec
import numpy as np
import simpy

import routingsim as rs
from routingsim.policies import make_policy, threshold
from routingsim.policies.policy import Policy
from routingsim.simulation import engine
from routingsim.simulation.faults import Outage
from routingsim.simulation.service import system
from routingsim.simulation.state import Rules, System, Workload

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.reference import simulator

AGENTS, SLOTS, LOAD, CV = 8, 8, 0.8, 0.5
SIGMA = float(np.sqrt(np.log1p(CV * CV)))
LIMIT, PATIENCE, ERRORS, ATTEMPTS, BACKOFF = 50, 5.0, 0.02, 3, 0.5
LOW, MEDIUM = 0.4, 0.7
BANDS = ((0, 1, 2), (3, 4, 5), (6, 7))


def pool(full: bool) -> rs.AgentPool:
    """Eight equal agents."""
    more = {"queue_limit": LIMIT, "patience": PATIENCE, "error_rate": ERRORS} if full else {}
    agents = [
        rs.Agent(id=f"a{k}", name=f"A{k}", cost=0.01, latency=1.0, latency_cv=CV, concurrency=SLOTS)
        for k in range(AGENTS)
    ]
    if full:
        agents = [msgspec.structs.replace(agent, **more) for agent in agents]
        agents[0] = msgspec.structs.replace(agents[0], requests_per_minute=480)
    return rs.AgentPool(tuple(agents))


def workload(tasks: int, agents: int, rate: float) -> Workload:
    """Poisson arrivals of tasks with uniform scores."""
    rng = np.random.default_rng(1)
    rows = 1_000
    return Workload(
        arrived=rs.Poisson(rate).times(tasks, seed=1),
        row=rng.integers(0, rows, tasks).astype(np.int32),
        d_var=rng.random(rows),
        prompt_tokens=np.ones(rows),
        category=np.zeros(rows, np.int64),
        features=np.zeros((rows, 0)),
        predicted=np.zeros((rows, 0)),
        service=np.ones((rows, agents)),
        cost=np.full((rows, agents), 0.01),
        quality=np.full((rows, agents), np.nan),
    )


def ours(
    work: Workload, agents: rs.AgentPool, policy: Policy, full: bool, run: Callable = engine.run
) -> Callable[[], object]:
    """A run of one of our engines."""
    columns = system(agents, [Outage("a1", 100.0, 160.0)] if full else [])
    rules = Rules(ATTEMPTS if full else 1, BACKOFF, 2.0, 1, 0, 0.0, 0)

    def go() -> object:
        return run(work, columns, rules, policy.choose, policy.learn, policy.memory.copy(), 7)

    return go


def in_simpy(work: Workload, full: bool, spill: bool, agents: int = AGENTS, slots: int = SLOTS,
             exponential: bool = False) -> Callable[[], None]:  # fmt: skip
    """The same system as SimPy processes, which note what became of each task, as ours do."""
    arrived = work.arrived.tolist()
    scores = work.d_var[work.row].tolist()

    def go() -> None:
        import random

        draw = random.Random(1)
        env = simpy.Environment()
        servers = [simpy.Resource(env, slots) for _ in range(agents)]
        log: list[tuple[int, float, float, float, str]] = []  # agent, arrival, start, end, status

        def load(a: int) -> float:
            return (servers[a].count + len(servers[a].queue)) / slots

        def least(among: range | tuple[int, ...], hidden: int) -> int:
            return min((a for a in among if a != hidden), key=load)

        def choose(score: float, hidden: int) -> int:
            if not spill:
                return least(range(agents), hidden)
            band = BANDS[0] if score < LOW else BANDS[1] if score < MEDIUM else BANDS[2]
            best = least(band, hidden)
            return least(range(agents), hidden) if load(best) >= 1.0 else best

        def service() -> float:
            return (
                draw.expovariate(1.0)
                if exponential
                else draw.lognormvariate(-(SIGMA**2) / 2, SIGMA)
            )

        def simple(score: float):
            came, a = env.now, choose(score, -1)
            with servers[a].request() as slot:
                yield slot
                start = env.now
                yield env.timeout(service())
            log.append((a, came, start, env.now, "ok"))

        def with_retries(score: float):
            came, hidden = env.now, -1
            for attempt in range(ATTEMPTS):
                a = choose(score, hidden)
                if servers[a].count == slots and len(servers[a].queue) >= LIMIT:
                    log.append((a, came, env.now, env.now, "shed"))
                    return
                with servers[a].request() as slot:
                    yield slot | env.timeout(PATIENCE)
                    start = env.now
                    if not slot.triggered:
                        log.append((a, came, start, start, "timed out"))
                        return
                    yield env.timeout(service())
                failed = draw.random() < ERRORS
                if not failed or attempt + 1 == ATTEMPTS:
                    log.append((a, came, start, env.now, "failed" if failed else "ok"))
                    return
                hidden = a
                yield env.timeout(BACKOFF * 2**attempt)

        def source():
            task = with_retries if full else simple
            for at, score in zip(arrived, scores, strict=True):
                yield env.timeout(at - env.now)
                env.process(task(score))

        env.process(source())
        env.run()
        assert len(log) == len(arrived)

    return go


def in_ciw(tasks: int, rate: float, servers: int) -> Callable[[], None]:
    """M/M/c in Ciw."""

    def go() -> None:
        ciw.seed(1)
        network = ciw.create_network(
            arrival_distributions=[ciw.dists.Exponential(rate=rate)],
            service_distributions=[ciw.dists.Exponential(rate=1.0)],
            number_of_servers=[servers],
        )
        ciw.Simulation(network).simulate_until_max_customers(tasks)

    return go


def in_ciw_shortest_queue(tasks: int, rate: float) -> Callable[[], None]:
    """The simple system as Ciw's join-the-shortest-queue."""

    def go() -> None:
        ciw.seed(1)
        serve = ciw.dists.Lognormal(-(SIGMA**2) / 2, SIGMA)
        network = ciw.create_network(
            arrival_distributions=[ciw.dists.Exponential(rate=rate)] + [None] * AGENTS,
            service_distributions=[ciw.dists.Deterministic(0.0)] + [serve] * AGENTS,
            number_of_servers=[float("inf")] + [SLOTS] * AGENTS,
            routing=ciw.routing.NetworkRouting(
                routers=[ciw.routing.JoinShortestQueue(destinations=list(range(2, AGENTS + 2)))]
                + [ciw.routing.Leave()] * AGENTS
            ),
        )
        ciw.Simulation(network).simulate_until_max_customers(tasks)

    return go


def rates(runs: dict[str, tuple[int, Callable[[], object]]], times: int) -> dict[str, list[float]]:
    """Tasks/s of each, by round; in a round all take turns, so that a noisy moment hits all."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(times):
        for name, (tasks, go) in runs.items():
            found[name].append(tasks / _seconds(go))
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    """A table of rates, and of ours over each in the same round."""
    mine = found["routingsim"]
    print(f"\n{title}")
    for name, each in found.items():
        line = f"  {name:24s}{statistics.median(each):12,.0f} tasks/s, best {max(each):12,.0f}"
        if each is not mine:
            ratio = statistics.median(a / b for a, b in zip(mine, each, strict=True))
            line += f"  ours is {ratio:6.1f} x"
        print(line)


def threads(go: Callable[[], object], tasks: int, times: int) -> None:
    """Two runs on two threads against one run on one."""
    one, two = [], []
    with ThreadPoolExecutor(2) as workers:
        for _ in range(times):
            began = time.perf_counter()
            go()
            one.append(time.perf_counter() - began)
            began = time.perf_counter()
            list(workers.map(lambda _: go(), range(2)))
            two.append(time.perf_counter() - began)
    alone, both = tasks / statistics.median(one), 2 * tasks / statistics.median(two)
    print(f"\nthreads (full model)\n  one thread {alone:,.0f} tasks/s, two {both:,.0f} tasks/s: "
          f"{both / alone:.2f} x on {os.cpu_count()} cores")  # fmt: skip


START = """
import time
began = time.perf_counter()
import routingsim
imported = time.perf_counter() - began
import numba
from routingsim.policies import make_policy
pool = routingsim.load_agents()
began = time.perf_counter()
routingsim.replay(None, pool, "least-loaded", arrivals="poisson:10", tasks=10)
print(imported, time.perf_counter() - began)
"""


def starts(times: int) -> None:
    """Import, and the first replay with nothing compiled and from the cache."""
    rows: dict[str, list[tuple[float, float]]] = {"cold": [], "cached": []}
    kept = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # or each start compiles the package
    for _ in range(times):
        with tempfile.TemporaryDirectory() as cache:
            for name in rows:
                done = subprocess.run(
                    [sys.executable, "-c", START],
                    env={**kept, "NUMBA_CACHE_DIR": cache},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                imported, first = map(float, done.stdout.split())
                rows[name].append((imported, first))
    print("\nstart (seconds, medians)")
    for name, found in rows.items():
        imported = statistics.median(each[0] for each in found)
        first = statistics.median(each[1] for each in found)
        print(f"  {name:8s} import routingsim {imported:.2f}, first replay {first:.2f}")


def features(tasks: int, times: int) -> None:
    """Tasks/s of the simple system with limits, time-outs, priorities, hedging and what follows."""
    limits = {"requests_per_minute": 480}
    bounds = {**limits, "over_limit": "reject", "timeout": 4.0, "queue_limit": LIMIT}
    one = Rules(1, BACKOFF, 2.0, 1, 0, 0.0, 0)
    again = one._replace(attempts=ATTEMPTS, on=0b11110)  # also timed out, shed, rejected
    again = again._replace(cool_failures=5, cool_within=10.0, cool_seconds=5.0, cool_on=0b110)
    everything = {**bounds, "discipline": "priority", "patience": PATIENCE}
    budget = {"jitter": 0.1, "budget": 0.2, "reserve": 10.0}
    models = {
        "priorities, limits, hedging": (
            {**limits, "discipline": "priority"},
            one._replace(hedge=3.0),
        ),
        "limits, time-outs, cooldown, fallback": (bounds, again),
        "all of these, an outage": (everything, again._replace(hedge=3.0, **budget)),
    }
    work = workload(tasks, AGENTS, LOAD * AGENTS * SLOTS)
    work = work._replace(priority=np.random.default_rng(2).integers(0, 3, tasks).astype(np.int16))
    print("\nfeatures (simple, least-loaded; tasks/s of processor time)")
    for name, (fields, rules) in models.items():
        equal = [
            rs.Agent(id=f"a{k}", name=f"A{k}", cost=0.01, latency=1.0, latency_cv=CV,
                     concurrency=SLOTS, error_rate=ERRORS, **fields)
            for k in range(AGENTS)
        ]  # fmt: skip
        agents = rs.AgentPool(tuple(equal))
        columns = system(agents, [Outage("a1", 100.0, 160.0)] if "outage" in name else [])
        policy = make_policy(agents, "least-loaded")
        print(f"  {name:40s}{1 / _cost(work, columns, rules, policy, times):12,.0f}")


def sizes(tasks: int, times: int) -> None:
    """Nanoseconds a task by policy and pool size."""
    names = ("static:a0", "round-robin", "random", "power-of-two", "least-loaded", "fastest")
    many = (10, 100, 500, 1_000, 10_000)
    one = Rules(1, BACKOFF, 2.0, 1, 0, 0.0, 0)
    head = "".join(f"{size:10,}" for size in many)
    print(f"\nnanoseconds of processor time a task, by agents\n  {'':36s}{head}")
    for grows in (True, False):
        for name in names:
            row = []
            for size in many:
                equal = rs.Agent(id="a0", name="A", cost=0.01, latency=1.0, latency_cv=CV,
                                 concurrency=SLOTS)  # fmt: skip
                agents = rs.AgentPool(
                    tuple(msgspec.structs.replace(equal, id=f"a{k}") for k in range(size))
                )
                served = 1 if name == "static:a0" else size if grows else 10
                many_tasks = max(tasks, 50 * served)
                work = workload(many_tasks, 1, LOAD * SLOTS * served)
                work = work._replace(
                    row=np.zeros(many_tasks, np.int32),
                    service=np.ones((1, size)),
                    cost=np.full((1, size), 0.01),
                    quality=np.full((1, size), np.nan),
                )
                policy = make_policy(agents, name)
                row.append(1e9 * _cost(work, system(agents), one, policy, times))
            kind = "load 0.8" if grows else "calls of 10 agents"
            print(f"  {name:16s}{kind:20s}" + "".join(f"{each:10.0f}" for each in row))


def _cost(work: Workload, columns: System, rules: Rules, policy: Policy, times: int) -> float:
    """Seconds of processor time a task, the least of several runs."""
    seconds = []
    for _ in range(times):
        memory, began = policy.memory.copy(), time.process_time()
        engine.run(work, columns, rules, policy.choose, policy.learn, memory, 7)
        seconds.append(time.process_time() - began)
    return min(seconds) / work.row.size


def interpreted(tasks: int, times: int) -> None:
    """A policy written in plain Python, run in the compiled engine."""
    agents = pool(full=False)

    def by_uniform(task, agents, memory):
        return int(task.uniform * AGENTS)

    def by_load(task, agents, memory):
        return int(((agents.busy + agents.queued) / agents.slots).argmin())

    print("\npolicies in plain Python (simple model)")
    for policy in (by_uniform, by_load):
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            rs.replay(
                None, agents, policy, arrivals=f"poisson:{LOAD * AGENTS * SLOTS}", tasks=tasks
            )
            seconds.append(time.perf_counter() - began)
        print(f"  {policy.__name__:28s}{tasks / statistics.median(seconds):14,.0f} tasks/s")


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    quick = parser.parse_args().quick
    many, few, times = (200_000, 10_000, 3) if quick else (2_000_000, 100_000, 5)
    print(
        f"Python {platform.python_version()}, numba {version('numba')}, SimPy {version('simpy')}, "
        f"Ciw {version('ciw')}, {os.cpu_count()} cores, {platform.machine()}"
    )

    rate = LOAD * AGENTS * SLOTS
    five = rs.AgentPool(
        (rs.Agent(id="a0", name="A", cost=0.01, latency=1, service="exponential", concurrency=5),)
    )
    one = make_policy(five, "static:a0")
    big, small = workload(many, 1, 4.0), workload(few, 1, 4.0)
    show(
        "M/M/5",
        rates(
            {
                "routingsim": (many, ours(big, five, one, full=False)),
                "routingsim reference": (few, ours(small, five, one, False, simulator.run)),
                "SimPy": (few, in_simpy(small, False, False, 1, 5, exponential=True)),
                "Ciw": (few, in_ciw(few, 4.0, 5)),
            },
            times,
        ),
    )
    for full in (False, True):
        agents = pool(full)
        bands = {
            name: [f"a{k}" for k in band]
            for name, band in zip(("low", "medium", "high"), BANDS, strict=True)
        }
        spill = threshold(agents, low=LOW, medium=MEDIUM, spill=1.0, bands=bands)
        big, small = workload(many, AGENTS, rate), workload(few, AGENTS, rate)
        for policy, spilling in ((make_policy(agents, "least-loaded"), False), (spill, True)):
            runs = {
                "routingsim": (many, ours(big, agents, policy, full)),
                "routingsim reference": (few, ours(small, agents, policy, full, simulator.run)),
                "SimPy": (few, in_simpy(small, full, spilling)),
            }
            if not full and not spilling:
                runs["Ciw (shortest queue)"] = (few, in_ciw_shortest_queue(few, rate))
            kind = "full" if full else "simple"
            show(f"{kind}, {policy.name}", rates(runs, times))
            if full and not spilling:
                threads(runs["routingsim"][1], many, times)
    if not quick:
        ten = workload(10_000_000, AGENTS, rate)
        agents = pool(full=True)
        go = ours(ten, agents, make_policy(agents, "least-loaded"), full=True)
        seconds = [_seconds(go) for _ in range(times)]
        print(f"\nfull, 10 million tasks: {statistics.median(seconds):.2f} s")
        del ten
    features(many, times)
    sizes(many // 4, times)
    interpreted(few * 3, times)
    starts(times)


def _seconds(go: Callable[[], object]) -> float:
    began = time.perf_counter()
    go()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
