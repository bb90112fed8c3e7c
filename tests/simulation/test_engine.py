"""What holds of any run, on random systems with everything in them."""

import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from routingsim import rng
from routingsim.agents import Agent, AgentPool
from routingsim.errors import PolicyError
from routingsim.policies.kernel import (
    FAILED,
    OK,
    SHED,
    TIMED_OUT,
    Kernel,
    choose_kernel,
    draw,
    no_learning,
)
from routingsim.policies.policy import make_policy
from routingsim.policies.reads import may_read_load, may_read_wait
from routingsim.simulation import engine, state
from routingsim.simulation.faults import Outage
from routingsim.simulation.service import system
from routingsim.simulation.state import Log, Rules, System, Workload
from tests.reference import simulator

ONE_TRY = Rules(attempts=1, backoff=0.0, factor=1.0, fallback=0, users=0, think=0.0, think_cv=0)
SYSTEMS = range(12)

Floats = NDArray[np.float64]
T = TypeVar("T")


@choose_kernel
def watching(task, pool, memory):
    """Any agent that is up; all that is seen goes to memory, whose first cell counts the rows."""
    agents = pool.busy.size
    k = 1 + int(memory[0]) * (3 + 2 * agents)
    memory[0] += 1
    memory[k] = task.index
    memory[k + 1] = task.attempt
    memory[k + 2] = task.time
    for a in range(agents):
        memory[k + 3 + a] = pool.busy[a]
        memory[k + 3 + agents + a] = pool.queued[a]
    a = int(draw(task, 1) * agents)
    while not pool.up[a]:
        a = (a + 1) % agents
    return a


def random_system(rng: np.random.Generator, *, limits: bool = True) -> tuple[AgentPool, System]:
    """One to five agents, each with any of the ways in which agents get in the way."""
    pool = AgentPool(
        tuple(
            Agent(
                id=f"a{a}",
                name=f"A{a}",
                cost=1.0,
                latency=1.0,
                latency_cv=0.8,
                service=rng.choice(["deterministic", "exponential", "lognormal"]),
                concurrency=int(rng.integers(1, 5)),
                queue_limit=_one_of(rng, None, None, 0, 5, 20),
                patience=_one_of(rng, None, None, 0.0, 2.0, 30.0),
                error_rate=float(rng.choice([0.0, 0.3])),
                requests_per_minute=_one_of(rng, None, None, 5, 40) if limits else None,
            )
            for a in range(rng.integers(1, 6))
        )
    )
    outages = [
        Outage(agent.id, down, down + up)
        for agent in pool
        for down, up in zip((20.0, 130.0), rng.exponential(20.0, 2), strict=True)
        if rng.random() < 0.3
    ]
    return pool, system(pool, outages)


def _one_of(rng: np.random.Generator, *values: T) -> T:
    return values[rng.integers(len(values))]


def workload(arrived: Floats, agents: int, service: float = 1.0) -> Workload:
    """Tasks without texts, of one mean service time on every agent."""
    return Workload(
        arrived=np.array(arrived),
        row=np.zeros(arrived.size, np.int32),
        d_var=np.zeros(1),
        prompt_tokens=np.zeros(1),
        category=np.full(1, -1),
        features=np.zeros((1, 0)),
        predicted=np.zeros((1, 0)),
        service=np.full((1, agents), service),
        cost=np.arange(1.0, agents + 1)[np.newaxis, :],
        quality=np.full((1, agents), math.nan),
    )


class Run:
    """A random system, run once, with what was seen and a table of all tries."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.pool, self.system = random_system(rng)
        n, agents = 400, len(self.pool)
        gaps = rng.exponential(1 / self.pool.capacity / rng.uniform(0.5, 2), n)
        self.work = workload(np.cumsum(gaps), agents)
        attempts = int(rng.integers(1, 4))
        self.rules = Rules(attempts, float(rng.choice([0.0, 1.0])), 2.0, 1, 0, 0.0, 0)
        self.memory = np.zeros(1 + n * attempts * (3 + 2 * agents))
        self.log = engine.run(
            self.work, self.system, self.rules, watching, no_learning, self.memory, seed
        )
        self.tries = tries_of(self.work, self.rules, self.log)
        self.served = self.tries.query(f"status in {[OK, FAILED]}")

    @property
    def seen(self) -> pd.DataFrame:
        """A row a decision, in order: task, attempt, time, then busy and queued an agent."""
        agents = len(self.pool)
        width = 3 + 2 * agents
        rows = self.memory[1 : 1 + int(self.memory[0]) * width].reshape(-1, width)
        names = [f"{column}{a}" for column in ("busy", "queued") for a in range(agents)]
        return pd.DataFrame(rows, columns=["task", "attempt", "time", *names])


def tries_of(work: Workload, rules: Rules, log: Log) -> pd.DataFrame:
    """Every try: task, attempt, agent, status, and when it was sent, left its queue and ended."""
    k = log.retries[0]
    again = pd.DataFrame(
        {
            "task": log.retried[:k],
            "agent": log.retried_agent[:k],
            "status": FAILED,
            "left": log.retried_left[:k],
            "ended": log.retried_ended[:k],
        }
    )
    last = pd.DataFrame(
        {
            "task": np.arange(work.row.size),
            "agent": log.agent,
            "status": log.status,
            "left": log.left,
            "ended": log.finished,
        }
    )
    tries = pd.concat([again, last], ignore_index=True)
    tries["attempt"] = tries.groupby("task").cumcount()
    pause = rules.backoff * rules.factor ** (tries.attempt - 1)
    before = tries.groupby("task").ended.shift()
    tries["sent"] = np.where(tries.attempt == 0, work.arrived[tries.task], before + pause)
    return tries


def by_agent(tries: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """Each agent that has any of these tries, with its own."""
    for a in np.unique(tries.agent):
        yield int(a), tries.query(f"agent == {a}")


@pytest.fixture(scope="module", params=SYSTEMS)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


# -- one run ------------------------------------------------------------------------


@pytest.mark.slow
def test_every_task_ends_in_exactly_one_way(run: Run) -> None:
    log, tries = run.log, run.tries
    assert set(log.status) <= {OK, FAILED, TIMED_OUT, SHED}
    assert (np.bincount(tries.task) == log.attempts).all()
    assert log.attempts.max() <= run.rules.attempts
    assert (log.attempts[log.status == FAILED] == run.rules.attempts).all()


def test_every_try_ends_as_its_status_says(run: Run) -> None:
    tries, served = run.tries, run.served
    shed, tired = tries[tries.status == SHED], tries[tries.status == TIMED_OUT]
    assert (shed.left == shed.sent).all()
    assert (shed.ended == shed.sent).all()
    assert (tired.left == tired.ended).all()
    assert (tired.left == tired.sent + run.system.patience[tired.agent]).all()
    assert (served.left >= served.sent).all()
    assert (served.left <= served.sent + run.system.patience[served.agent]).all()
    assert (served.ended > served.left).all()


def test_costs_and_waits_add_up_over_the_tries(run: Run) -> None:
    cost = run.work.cost[0, run.served.agent.to_numpy()]
    paid = np.bincount(run.served.task, weights=cost, minlength=run.log.cost.size)
    waited = np.bincount(run.tries.task, weights=run.tries.left - run.tries.sent)
    np.testing.assert_allclose(run.log.cost, paid)
    np.testing.assert_allclose(run.log.wait, waited, atol=1e-9)


def test_no_agent_serves_more_calls_than_it_has_slots(run: Run) -> None:
    for a, mine in by_agent(run.served):
        assert most_at_once(mine.left, mine.ended) <= run.system.slots[a]


def most_at_once(begins: pd.Series, ends: pd.Series) -> int:
    """How many of the intervals [begin, end) overlap at most."""
    moments = np.concatenate([ends, begins])
    steps = np.repeat([-1, 1], begins.size)
    return int(np.cumsum(steps[np.lexsort([steps, moments])]).max())


def test_queues_are_first_in_first_out(run: Run) -> None:
    for _, mine in by_agent(run.tries.query(f"status != {SHED}")):
        assert mine.sort_values("sent").left.is_monotonic_increasing


def test_limits_per_minute_hold_in_any_sixty_seconds(run: Run) -> None:
    for a, mine in by_agent(run.served):
        starts, limit = np.sort(mine.left), run.pool[a].requests_per_minute
        assert not limit or (starts[limit:] >= starts[:-limit] + 60).all()


def test_nothing_is_served_during_an_outage(run: Run) -> None:
    for a, mine in by_agent(run.served):
        for o in range(run.system.first_outage[a], run.system.first_outage[a + 1]):
            down, up = run.system.down[o], run.system.up[o]
            assert ((mine.ended <= down) | (mine.left >= up)).all()
            assert (mine.status[(mine.ended == down) & (mine.left < down)] == FAILED).all()


def test_a_call_that_waited_starts_at_the_first_moment_it_can(run: Run) -> None:
    for a, mine in by_agent(run.served):
        outages = slice(run.system.first_outage[a], run.system.first_outage[a + 1])
        openings = {*mine.ended, *run.system.up[outages]}
        if run.pool[a].requests_per_minute:
            openings |= set(mine.left + 60.0)
        assert set(mine.left[mine.left > mine.sent]) <= openings


@pytest.mark.slow
def test_policies_see_what_the_log_says_was_there(run: Run) -> None:
    seen = run.seen
    known = seen.merge(run.tries, on=["task", "attempt"])  # in the order of the decisions
    agent, status = known["agent"].to_numpy(), known["status"].to_numpy()
    left, ended, now = (known[name].to_numpy() for name in ("left", "ended", "time"))
    earlier = np.tri(len(seen), k=-1, dtype=bool)  # a row a decision, a column a try before it
    queued = earlier & (status != SHED) & (left > now[:, np.newaxis])
    served = earlier & np.isin(status, [OK, FAILED])
    busy = served & (left <= now[:, np.newaxis]) & (ended > now[:, np.newaxis])
    for a in range(len(run.pool)):
        np.testing.assert_array_equal(seen[f"queued{a}"], queued[:, agent == a].sum(axis=1))
        np.testing.assert_array_equal(seen[f"busy{a}"], busy[:, agent == a].sum(axis=1))


def test_littles_law_is_an_identity(run: Run) -> None:
    """Time in queues, by the clock on the wall and by the clocks of the tasks."""
    tries = run.tries[run.tries.status != SHED]
    moments = np.concatenate([tries.sent, tries.left])
    order = np.argsort(moments)
    waiting = np.cumsum(np.repeat([1, -1], len(tries))[order])
    area = float(waiting[:-1] @ np.diff(moments[order]))
    assert area == pytest.approx(run.log.wait.sum(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", SYSTEMS)
def test_the_reference_agrees_on_larger_systems_too(seed: int) -> None:
    fast = Run(seed)
    memory = np.zeros_like(fast.memory)
    slow = simulator.run(fast.work, fast.system, fast.rules, watching, no_learning, memory, seed)
    again = slice(fast.log.retries[0])
    for name in Log._fields:
        cut = again if "retried" in name else slice(None)
        np.testing.assert_array_equal(getattr(fast.log, name)[cut], getattr(slow, name)[cut], name)
    np.testing.assert_array_equal(fast.memory, memory)


@pytest.mark.parametrize("run", [engine.run, simulator.run], ids=["engine", "reference"])
@pytest.mark.parametrize(
    ("down", "statuses", "ends"),
    [
        (1.0, [OK, TIMED_OUT], [1.0, 1.0]),  # ends as the agent goes down: served
        (0.75, [FAILED, TIMED_OUT], [0.75, 1.0]),  # cut off
        (2.0, [OK, OK], [1.0, 2.0]),  # starts at the very end of its patience: served
    ],
)
def test_what_happens_at_the_very_same_moment(
    run, down: float, statuses: list[int], ends: list[float]
) -> None:
    pool = AgentPool((one_slot("a", patience=1.0),))
    work, agents = workload(np.zeros(2), 1), system(pool, [Outage("a", down, down + 9)])
    log = run(work, agents, ONE_TRY, watching, no_learning, np.zeros(11), 1)
    assert log.status.tolist() == statuses
    assert log.finished.tolist() == ends


def test_calls_that_start_and_end_between_two_arrivals_are_noticed() -> None:
    pool = AgentPool((one_slot("a", requests_per_minute=1), one_slot("b", requests_per_minute=1)))
    work = workload(np.array([0.0, 0, 1, 2, 3, 4, 5, 1000, 1000]), 2)
    memory = np.zeros(1 + 9 * 7)
    log = engine.run(work, system(pool), ONE_TRY, watching, no_learning, memory, 1)
    for a in range(2):
        mine = np.flatnonzero(log.agent[:7] == a)
        assert log.left[mine] == pytest.approx(work.arrived[mine[0]] + 60.0 * np.arange(mine.size))
    assert memory[1 + 7 * 7 : 1 + 8 * 7].tolist() == [7, 0, 1000, 0, 0, 0, 0]


def one_slot(name: str, **knobs) -> Agent:
    return Agent(
        id=name, name=name, cost=1.0, latency=1.0, service="deterministic", concurrency=1, **knobs
    )


# -- closed loops -------------------------------------------------------------------


@pytest.mark.parametrize("think_cv", [0, 1])
@pytest.mark.parametrize("users", [1, 3, 20])
def test_a_closed_loop_has_never_more_tasks_than_users(users: int, think_cv: int) -> None:
    pool = AgentPool((one_slot("a"), one_slot("b", error_rate=0.2, patience=3.0)))
    work = workload(np.zeros(500), 2)
    rules = Rules(2, 0.5, 2.0, 1, users, think=4.0, think_cv=think_cv)
    log = engine.run(work, system(pool), rules, watching, no_learning, np.zeros(8000), 5)
    assert (np.diff(work.arrived) >= 0).all()
    assert most_at_once(pd.Series(work.arrived), pd.Series(log.finished)) <= users
    key = np.uint64(rng.stream(5, rng.THINK))
    first = 4.0 * min(rng.exponential(key, u, 1) for u in range(users)) if think_cv else 4.0
    assert work.arrived[0] == first
    if users == 1:
        thought = work.arrived[1:] - log.finished[:-1]
        drawn = [rng.exponential(key, i, 0) if think_cv else 1.0 for i in range(499)]
        np.testing.assert_allclose(thought, 4.0 * np.array(drawn), atol=1e-9)


# -- several runs -------------------------------------------------------------------


@pytest.mark.parametrize("seed", SYSTEMS)
def test_time_has_no_unit(seed: int) -> None:
    """All times x 4 gives all times x 4: exactly, for a power of two."""
    rng = np.random.default_rng(seed)
    pool, agents = random_system(rng, limits=False)
    arrived = np.cumsum(rng.exponential(1 / pool.capacity, 300))
    rules = Rules(3, 0.5, 2.0, 1, 0, 0.0, 0)
    slower = agents._replace(
        patience=agents.patience * 4,
        down=agents.down * 4,
        up=agents.up * 4,
        mean_service=agents.mean_service * 4,
    )
    policy = make_policy(pool, "shortest-wait")
    one = engine.run(
        workload(arrived, len(pool)), agents, rules, policy.choose, no_learning, np.zeros(1), seed
    )
    four = engine.run(
        workload(arrived * 4, len(pool), 4.0),
        *(slower, rules._replace(backoff=2.0), policy.choose, no_learning, np.zeros(1), seed),
    )
    for name in ("agent", "status", "attempts", "cost"):
        np.testing.assert_array_equal(getattr(four, name), getattr(one, name), name)
    for name in ("left", "finished", "wait"):
        np.testing.assert_array_equal(getattr(four, name), 4 * getattr(one, name), name)


def digest(seed: int) -> str:
    """A hash of all that a run with retries, outages, limits and memory gives."""
    rng = np.random.default_rng(seed)
    pool, agents = random_system(rng)
    work = workload(np.cumsum(rng.exponential(1 / pool.capacity, 2000)), len(pool))
    policy, rules = make_policy(pool, "round-robin"), Rules(3, 1.0, 2.0, 1, 0, 0.0, 0)
    memory = policy.memory.copy()
    log = engine.run(work, agents, rules, policy.choose, policy.learn, memory, seed)
    again = [column[: log.retries[0]] for column in log[7:11]]
    columns = [*log[:7], *again, memory]
    return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_in_any_thread() -> None:
    alone = [digest(seed) for seed in SYSTEMS]
    assert [digest(seed) for seed in SYSTEMS] == alone
    assert len(set(alone)) == len(SYSTEMS)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(digest, SYSTEMS)) == alone


def eight_agents() -> AgentPool:
    """Two prices' worth of agents with room for two calls each."""
    return AgentPool(
        tuple(
            Agent(id=f"a{a}", name=f"A{a}", cost=1.0 + a, latency=1.0 + 0.2 * a, concurrency=2)
            for a in range(8)
        )
    )


def open_run(policy: str, seed: int, load: float = 0.6, tasks: int = 2000) -> tuple[Workload, Log]:
    """Tasks of random complexity on eight agents, 60 % loaded."""
    pool = eight_agents()
    key = np.uint64(rng.stream(seed, rng.ARRIVAL))
    gaps = np.array(_exponentials(key, tasks)) / (load * pool.capacity)
    scores = np.random.default_rng(7).random(500)
    work = workload(np.cumsum(gaps), 8)._replace(
        row=rng.integers(np.uint64(rng.stream(seed, rng.ROW)), tasks, 500),
        d_var=scores,
        prompt_tokens=np.zeros(500),
        category=np.zeros(500, np.int64),
        features=np.zeros((500, 0)),
        predicted=np.zeros((500, 0)),
        service=np.tile(pool.column("latency"), (500, 1)),
        cost=np.ones((500, 8)),
        quality=np.ones((500, 8)),
    )
    made = make_policy(pool, policy)
    memory = made.memory.copy()
    return work, engine.run(work, system(pool), ONE_TRY, made.choose, made.learn, memory, seed)


def _exponentials(key: np.uint64, count: int) -> list[float]:
    return [rng.exponential(key, i, 0) for i in range(count)]


def test_under_one_seed_policies_meet_the_same_noise() -> None:
    """The noise belongs to the task: the same whatever the agent, when and where it is served."""
    latency = eight_agents().column("latency")
    noise = []
    for policy in ("threshold", "least-loaded", "random"):
        _, log = open_run(policy, seed=11)
        noise.append((log.finished - log.left) / latency[log.agent])
    np.testing.assert_allclose(noise[1], noise[0], rtol=1e-9)
    np.testing.assert_allclose(noise[2], noise[0], rtol=1e-9)


@pytest.mark.slow
def test_common_seeds_make_differences_between_policies_sharper() -> None:
    def mean_latency(policy: str, seed: int) -> float:
        work, log = open_run(policy, seed, load=0.9)
        return float((log.finished - work.arrived).mean())

    one = np.array([mean_latency("shortest-wait", seed) for seed in range(100)])
    other = np.array([mean_latency("least-loaded", seed) for seed in range(200)])
    assert np.var(one - other[100:]) > 5 * np.var(one - other[:100])


# -- what is not allowed ------------------------------------------------------------


@choose_kernel
def below(task, pool, memory):
    return -1 if task.index == 2 else 0


@choose_kernel
def beyond(task, pool, memory):
    return pool.busy.size if task.index == 2 else 0


@pytest.mark.slow
@pytest.mark.parametrize("run", [engine.run, simulator.run], ids=["engine", "reference"])
@pytest.mark.parametrize("kernel", [below, beyond], ids=lambda kernel: kernel.python.__name__)
def test_an_agent_that_does_not_exist_is_named(run, kernel: Kernel) -> None:
    pool = eight_agents()
    with pytest.raises(PolicyError, match=rf"{kernel.python.__name__}.* task 2; .* 0 to 7"):
        run(workload(np.arange(9.0), 8), system(pool), ONE_TRY, kernel, no_learning, np.zeros(1), 1)


@pytest.mark.parametrize("run", [engine.run, simulator.run], ids=["engine", "reference"])
def test_a_run_without_tasks_is_empty(run) -> None:
    policy = make_policy(eight_agents(), "random")
    work = workload(np.empty(0), 8)
    log = run(work, system(eight_agents()), ONE_TRY, policy.choose, no_learning, policy.memory, 1)
    assert log.agent.size == log.retries[0] == 0


# -- large pools --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["least-loaded", "shortest-wait", "fastest", "cheapest"])
def test_many_agents_are_ranked_as_by_looking_at_all_of_them(
    name: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pool = AgentPool(
        tuple(
            Agent(
                id=f"a{a}",
                name="A",
                cost=float(rng.choice([0.5, 1.0])),
                latency=float(rng.choice([1.0, 2.0])),
                concurrency=int(rng.integers(1, 4)),
                error_rate=0.1,
            )
            for a in range(300)
        )
    )
    outages = [Outage(f"a{a}", 5.0, 9.0) for a in range(0, 300, 3)]
    agents, policy = system(pool, outages), make_policy(pool, name)
    work = workload(np.cumsum(rng.exponential(1 / 300, 6_000)), 300)
    rules = Rules(2, 0.0, 1.0, 1, 0, 0.0, 0)
    logs = []
    for ranked_from in (0, 10**9):
        monkeypatch.setattr(state, "RANKED_FROM", dict.fromkeys(state.RANKED_FROM, ranked_from))
        logs.append(
            engine.run(work, agents, rules, policy.choose, policy.learn, policy.memory, seed)
        )
    for name in ("agent", "status", "attempts", "finished", "cost"):
        np.testing.assert_array_equal(getattr(logs[0], name), getattr(logs[1], name), name)
    assert np.unique(logs[0].agent).size > 90


LOOKING = {
    "random": False, "round-robin": False, "static:a0": False, "weighted": False,
    "cheapest": False, "fastest": False, "least-loaded": True, "shortest-wait": True,
    "power-of-two": True, "threshold": True,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOKING)
def test_the_load_is_shown_only_to_policies_that_look(
    name: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    pool = eight_agents()
    policy, agents = make_policy(pool, name), system(pool, [Outage("a1", 2.0, 5.0)])
    assert may_read_load(policy.choose, policy.learn) is LOOKING[name]
    assert may_read_wait(policy.choose, policy.learn) is (name == "shortest-wait")
    rng = np.random.default_rng(seed)
    work = workload(np.cumsum(rng.exponential(0.1, 300)), 8)
    logs = []
    for ranked_from in (0, 10**9):
        monkeypatch.setattr(state, "RANKED_FROM", dict.fromkeys(state.RANKED_FROM, ranked_from))
        for _ in range(2):
            run = policy.choose, policy.learn, policy.memory.copy(), seed
            logs.append(engine.run(work, agents, Rules(2, 0.0, 1.0, 1, 0, 0.0, 0), *run))
            for looks in ("may_read_load", "may_read_wait"):
                monkeypatch.setattr(state, looks, lambda choose, learn: True)
        monkeypatch.undo()
    for other in logs[1:]:
        np.testing.assert_array_equal(logs[0].agent, other.agent)
        np.testing.assert_array_equal(logs[0].finished, other.finished)


def test_a_policy_of_a_user_is_shown_the_load() -> None:
    assert may_read_load(watching, no_learning)
    assert may_read_wait(watching, no_learning)


@pytest.mark.slow
def test_memory_grows_with_calls_at_once_not_with_slots() -> None:
    pool = AgentPool(
        tuple(
            Agent(id=f"a{a}", name="A", cost=1, latency=1, concurrency=10**6) for a in range(1000)
        )
    )
    agents, policy = system(pool), make_policy(pool, "random")
    held = state.empty_state(
        agents, ONE_TRY, workload(np.zeros(1), 1000), policy.choose, policy.learn, policy.memory
    )
    assert sum(array.nbytes for array in held) < 2_000_000
    work = workload(np.arange(3_000) / 3_000, 1000)
    log = engine.run(work, agents, ONE_TRY, policy.choose, policy.learn, policy.memory, 1)
    assert (log.status == OK).all()
    assert (log.left == work.arrived).all()  # all at once, and none waits
