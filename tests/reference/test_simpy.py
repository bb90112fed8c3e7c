"""Models in SimPy, written from docs/simulator.md alone: the same draws give the same tasks."""

import bisect
import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

import routingsim as rs
from routingsim import rng

SEED, TASKS = 4, 1500
Ended = dict[int, tuple[str, str, float]]


def exponential(purpose: int, task: int, part: int = 0) -> float:
    return -math.log(rng.uniform(np.uint64(rng.stream(SEED, purpose)), task, part))


def assert_same(result: rs.ReplayResult, ended: Ended) -> None:
    found = result.to_frame()[["agent", "status", "finished_at"]]
    assert [ended[task] for task in range(TASKS)] == list(found.itertuples(index=False, name=None))


def agent(**fields: Any) -> rs.Agent:
    plain = {"name": "A", "cost": 0.01, "latency": 1.0, "service": "exponential"}
    return rs.Agent(**plain | fields)


@dataclass(eq=False)
class Copy:
    task: int
    number: int
    at: int
    sent: float
    takes: float
    fails: bool
    served: simpy.Process | None = None


def test_second_copies_at_a_quantile_with_cancelling() -> None:
    share, means, slots, rates = 0.9, (1.0, 1.3), (3, 3), (0.0, 0.05)

    def less_loaded(task: Any, pool: Any, memory: Any) -> int:
        if not (pool.up[0] and pool.up[1]):
            return int(pool.up[1])
        return int(pool.busy[0] + pool.queued[0] > pool.busy[1] + pool.queued[1])

    agents = (
        agent(id="0", concurrency=3),
        agent(id="1", concurrency=3, latency=1.3, error_rate=0.05),
    )
    result = rs.replay(
        None, rs.AgentPool(agents), less_loaded, arrivals="poisson:2.6", tasks=TASKS, seed=SEED,
        hedge=rs.Hedge(quantile=share),
    )  # fmt: skip

    env = simpy.Environment()
    busy: list[int] = [0, 0]
    queues: tuple[list[Copy], list[Copy]] = ([], [])
    times: tuple[list[float], list[float]] = ([], [])  # of first copies, in ascending order
    under_way: dict[int, list[Copy]] = {}
    ended: Ended = {}
    errors = np.uint64(rng.stream(SEED, rng.ERROR))

    def serve(copy: Copy) -> Generator[simpy.Event, Any, None]:
        try:
            yield env.timeout(copy.takes)
        except simpy.Interrupt:
            return
        busy[copy.at] -= 1
        end(copy)

    def next_at(a: int) -> None:
        while queues[a] and busy[a] < slots[a]:
            begin(queues[a].pop(0))

    def begin(copy: Copy) -> None:
        busy[copy.at] += 1
        copy.served = env.process(serve(copy))

    def note(copy: Copy) -> None:
        if copy.number == 0:
            mantissa, power = math.frexp(env.now - copy.sent)  # six binary digits, rounded up
            bisect.insort(times[copy.at], math.ceil(mantissa * 64) / 64 * 2.0**power)

    def end(copy: Copy) -> None:
        note(copy)
        live = under_way[copy.task]
        live.remove(copy)
        freed = [copy.at]
        if not copy.fails:
            ended[copy.task] = str(copy.at), "ok", env.now
            for other in live:
                if other.served is None:
                    queues[other.at].remove(other)
                else:
                    other.served.interrupt()
                    busy[other.at] -= 1
                    freed.append(other.at)
                note(other)
            live.clear()
        elif not live:
            ended[copy.task] = str(copy.at), "failed", env.now
        for a in freed:
            next_at(a)

    def send(task: int, a: int, number: int) -> None:
        part = number << 16
        takes = means[a] * exponential(rng.SERVICE, task, part)
        copy = Copy(
            task, number, a, env.now, takes, bool(rng.uniform(errors, task, part) < rates[a])
        )
        under_way[task].append(copy)
        if busy[a] < slots[a] and not queues[a]:
            begin(copy)
        else:
            queues[a].append(copy)

    def arrive(task: int, at: float) -> Generator[simpy.Event, Any, None]:
        yield env.timeout(at)
        under_way[task] = []
        a = int(busy[0] + len(queues[0]) > busy[1] + len(queues[1]))
        known = times[a]
        delay = known[math.ceil(share * len(known) - 1e-9) - 1] if len(known) >= 10 else None
        send(task, a, 0)
        if delay is not None:
            yield env.timeout(delay)
            if under_way[task]:
                send(task, 1 - a, 1)

    for task, at in enumerate(result.work.arrived.tolist()):
        env.process(arrive(task, at))
    env.run()
    assert_same(result, ended)
    assert 0.05 < result.overall["hedged"] < 0.15


def test_weighted_fair_tenants_whose_tasks_leave() -> None:
    weights, patience = (1.0, 2.0, 4.0), 4.0
    tenants = [
        rs.Tenant(name, weight=weight, share=1 / 3)
        for name, weight in zip("xyz", weights, strict=True)
    ]
    result = rs.replay(
        None, rs.AgentPool((agent(id="a", concurrency=2, patience=patience, discipline="fair"),)),
        "static:a", arrivals="poisson:6", tasks=TASKS, seed=SEED, tenants=tenants,
    )  # fmt: skip

    env = simpy.Environment()
    busy, clock, clocks = 0, 0.0, [0.0] * 3
    queues: list[list[tuple[float, simpy.Event]]] = [[], [], []]
    ended: Ended = {}
    tenant_key = np.uint64(rng.stream(SEED, rng.TENANT))

    def starts(tenant: int) -> None:
        nonlocal busy, clock
        busy, clock = busy + 1, max(clocks[tenant], clock)
        clocks[tenant] = clock + 1.0 / weights[tenant]

    def freed() -> None:
        nonlocal busy
        busy -= 1
        waiting = [tenant for tenant in range(3) if queues[tenant]]
        if waiting:
            tenant = min(waiting, key=lambda t: (max(clocks[t], clock), queues[t][0][0]))
            _, turn = queues[tenant].pop(0)
            starts(tenant)
            turn.succeed()

    def arrive(task: int, at: float) -> Generator[simpy.Event, Any, None]:
        yield env.timeout(at)
        tenant = int(3 * rng.uniform(tenant_key, task, 0))
        if busy < 2:
            starts(tenant)
        else:
            turn = env.event()
            queues[tenant].append((env.now, turn))
            yield turn | env.timeout(patience)
            if not turn.triggered:
                queues[tenant].pop(0)  # a tenant's tasks leave in their order
                ended[task] = "a", "timed_out", env.now
                return
        yield env.timeout(exponential(rng.SERVICE, task))
        ended[task] = "a", "ok", env.now
        freed()

    for task, at in enumerate(result.work.arrived.tolist()):
        env.process(arrive(task, at))
    env.run()
    assert_same(result, ended)
    served = result.to_frame().query("status == 'ok'")["tenant"].value_counts(normalize=True)
    assert np.allclose(served[["x", "y", "z"]], [1 / 7, 2 / 7, 4 / 7], atol=0.03)
