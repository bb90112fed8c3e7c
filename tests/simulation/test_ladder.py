"""Events that are far off, in buckets: the same runs as with all events in one heap."""

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.policies import make_policy
from routingsim.simulation import engine, state
from routingsim.simulation.faults import Outage
from routingsim.simulation.service import system
from routingsim.simulation.state import Log, Rules, System, Workload

AGENTS, TASKS = 40, 40_000
ONE_TRY = Rules(1, 0.0, 1.0, 0, 0, 0.0, 0)
AGAIN = Rules(3, 0.1, 2.0, 1, 0, 0.0, 0, on=0b11110, jitter=0.5)

pytestmark = pytest.mark.slow


def pool_of(rng: np.random.Generator, harsh: bool) -> AgentPool:
    """Agents with 8,000 slots in all, of every law of service; if ``harsh`` with time-outs."""

    def agent(a: int) -> Agent:
        law = ("exponential", "lognormal", "deterministic")[a % 3]
        bounds = {
            "timeout": float(rng.uniform(2, 6)),
            "patience": float(rng.exponential(2.0)),
            "cut_off": str(rng.choice(["holds", "frees"])),
            "error_rate": 0.1,
        }
        return Agent(
            id=f"a{a}",
            name="A",
            cost=1.0,
            latency=float(rng.choice([0.01, 1.0, 3.0])),
            latency_cv=float(rng.uniform(0.1, 3.0)),
            service=law,
            concurrency=int(rng.integers(100, 300)),
            **(bounds if harsh else {}),
        )

    return AgentPool(tuple(agent(a) for a in range(AGENTS)))


def tasks_of(rng: np.random.Generator, arrived: np.ndarray) -> Workload:
    """Tasks with these times."""
    rows = np.zeros((1, AGENTS))
    return Workload(
        arrived=arrived,
        row=np.zeros(arrived.size, np.int32),
        d_var=rng.random(1),
        prompt_tokens=np.ones(1),
        category=np.zeros(1, np.int64),
        features=np.zeros((1, 0)),
        predicted=np.zeros((1, 0)),
        service=rows + 1.5,
        cost=rows + 0.01,
        quality=rows * np.nan,
    )


def run_both(
    work: Workload, agents: System, rules: Rules, name: str, pool: AgentPool, seed: int
) -> Log:
    """The log of a run, which is the same with all events in one heap."""
    policy, logs = make_policy(pool, name), []
    for far_from in (state.FIRST_CALLS // 2, 1 << 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(state, "FAR_FROM", far_from)
            memory = policy.memory.copy()
            logs.append(engine.run(work, agents, rules, policy.choose, policy.learn, memory, seed))
    for name, one, other in zip(Log._fields, *logs, strict=True):
        size = {"re": "retries", "lo": "losses", "he": "holds"}.get(name[:2])
        size = int(getattr(logs[0], size)[0]) if size and one.size > 1 else None
        np.testing.assert_array_equal(one[:size], other[:size], name)
    return logs[0]


@pytest.mark.parametrize("name", ["random", "least-loaded"])
@pytest.mark.parametrize("harsh", [False, True])
def test_a_run_is_the_same_as_with_one_heap(name: str, harsh: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = pool_of(rng, harsh)
    rate = 8_000.0 * rng.uniform(0.3, 1.5)
    work = tasks_of(rng, np.cumsum(rng.exponential(1 / rate, TASKS)))
    broken = [Outage(f"a{a}", float(rng.uniform(0, 3)), 4.0) for a in range(0, AGENTS, 5)]
    rules = AGAIN._replace(hedge=float(rng.choice([-1.0, 2.0]))) if harsh else ONE_TRY
    log = run_both(work, system(pool, broken if harsh else []), rules, name, pool, seed)
    under_way = np.searchsorted(np.sort(work.arrived), log.finished) - np.arange(TASKS)
    assert under_way.max() > 2 * state.FIRST_CALLS


@pytest.mark.parametrize("moments", [1, 2, 40])
def test_tasks_that_come_at_the_same_moments(moments: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = pool_of(rng, False)
    times = np.sort(rng.choice(rng.uniform(0, 1e6, moments), TASKS // 2))
    run_both(tasks_of(rng, times), system(pool), ONE_TRY, "random", pool, seed)


def test_ends_at_one_moment_are_in_the_order_of_the_tasks(seed: int) -> None:
    agents = (
        Agent(id=f"a{a}", name="A", cost=1.0, latency=1.0, service="deterministic", concurrency=400)
        for a in range(AGENTS)
    )
    pool, rng = AgentPool(tuple(agents)), np.random.default_rng(seed)
    times = np.repeat(np.arange(TASKS // 2) // 3_000 * 0.25, 2)
    log = run_both(tasks_of(rng, times), system(pool), AGAIN, "round-robin", pool, seed)
    assert np.unique(log.finished).size < 60
