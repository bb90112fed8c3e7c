"""The engine against the reference: small random systems, rich in ties, the same bits."""

import inspect
import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import literal_unroll, njit
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.policies import rules as builtin
from routingsim.policies.kernel import (
    FAILED,
    LIMITED,
    OK,
    SHED,
    TIMED_OUT,
    Kernel,
    choose_kernel,
    draw,
    learn_kernel,
    no_learning,
)
from routingsim.policies.policy import Policy, make_policy
from routingsim.simulation import engine, state
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import Outage
from routingsim.simulation.service import system
from routingsim.simulation.state import Log, Rules, System, Workload
from tests.reference import simulator

BUILTIN = sorted(
    name
    for name, each in vars(builtin).items()
    if inspect.isfunction(each)
    and each.__module__ == builtin.__name__
    and inspect.signature(each).return_annotation is Policy
    and not name.startswith("_")
    and name != "static"
)
"""The rules by the names of their functions."""

NAMES = "taped", "learning", "static", *BUILTIN
RANKED = "least-loaded", "shortest-wait", "fastest", "cheapest"


class Case(NamedTuple):
    """All that a run takes; ``outcome_of`` runs it, as often as it is asked to."""

    work: Workload
    system: System
    rules: Rules
    choose: Kernel
    learn: Kernel
    memory: NDArray[np.float64]
    seed: int


def outcome_of(run: Any, case: Case) -> tuple[Log, NDArray[np.float64], NDArray[np.float64]]:
    """Log (cut to the retries there were), final memory and arrivals of one run of a case."""
    memory, arrived = case.memory.copy(), case.work.arrived.copy()
    work = case.work._replace(arrived=arrived)
    log = run(work, case.system, case.rules, case.choose, case.learn, memory, case.seed)
    count = log.retries[0]
    again = {name: getattr(log, name)[:count] for name in log._fields if "retried" in name}
    held = {name: getattr(log, name)[: log.holds[0]] for name in log._fields if "held" in name}
    lost = {name: getattr(log, name)[: log.losses[0]] for name in log._fields if "lost" in name}
    return log._replace(**again, **held, **lost), memory, arrived


# The tape: memory[0] says how far it is written; agents' scores follow, then what was seen.
@njit
def write_pool(pool, memory):
    k = int(memory[0])
    for a in range(pool.busy.size):
        memory[k] = pool.busy[a]
        memory[k + 1] = pool.queued[a]
        memory[k + 2] = pool.wait[a]
        memory[k + 3] = pool.up[a]
        memory[k + 4] = pool.room[a]
        memory[k + 5] = pool.first_token[a]
        memory[k + 6] = pool.speed[a]
        memory[k + 7] = pool.price[a]
        memory[k + 8] = pool.cost[a]
        k += 9
    memory[0] = k


@njit
def write_numbers(numbers, memory):
    k = int(memory[0])
    for number in literal_unroll(numbers):
        memory[k] = number
        k += 1
    memory[0] = k


@njit
def write_task(task, memory):
    write_numbers((task.index, task.attempt, task.time, task.d_var), memory)
    write_numbers((task.prompt_tokens, task.category, task.key, task.uniform), memory)
    write_numbers((task.copy, task.priority, task.tenant), memory)


@choose_kernel
def taped_choice(task, pool, memory):
    write_task(task, memory)
    write_pool(pool, memory)
    if draw(task, 1) < 0.5:
        return int(draw(task, 2) * pool.busy.size)
    return int(np.argmax(memory[1 : 1 + pool.busy.size]))


@learn_kernel
def taped_learning(task, agent, outcome, pool, memory):
    write_task(task, memory)
    write_numbers(outcome, memory)
    write_pool(pool, memory)
    reward = 1.0 / (1.0 + outcome.latency) if outcome.status == OK else -1.0
    memory[1 + agent] += 0.3 * (reward - memory[1 + agent])


def tape(agents: int, tries: int) -> NDArray[np.float64]:
    """Memory long enough for the tape of so many tries."""
    memory = np.zeros(1 + agents + tries * (29 + 18 * agents))
    memory[0] = 1 + agents
    return memory


@st.composite
def pools(draw: st.DrawFn) -> AgentPool:
    """One to five agents, each with any of the ways in which agents get in the way."""
    return AgentPool(
        tuple(
            Agent(
                id=f"agent-{a}",
                name=f"Agent {a}",
                cost=draw(st.sampled_from([0.0, 0.5, 1.0])),
                latency=draw(st.sampled_from([0.5, 1.0, 2.0])),
                latency_cv=0.7,
                service=draw(st.sampled_from(["deterministic", "exponential", "lognormal"])),
                concurrency=draw(st.integers(1, 4)),
                queue_limit=draw(st.sampled_from([None, 0, 1, 3])),
                error_rate=draw(st.sampled_from([0.0, 0.3, 0.8])),
                context_window=draw(st.sampled_from([None, None, 5])),
                discipline=draw(st.sampled_from(["fifo", "priority", "fair"])),
                **draw(st.sampled_from(shared) | limits()),
                **draw(time_outs()),
                sharing=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
                cut_off=draw(st.sampled_from(["frees", "holds"])),
                cut_off_cost=draw(st.sampled_from(["all", "served", "nothing", "input"])),
                fallback=None
                if a == last
                else draw(st.sampled_from([None, None, f"agent-{a + 1}"])),
            )
            for last in [draw(st.integers(0, 4))]
            for shared in [[{"account": name, **draw(limits())} for name in ("x", "y")]]
            for a in range(last + 1)
        )
    )


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """Limits of an account: none, or some that bind within a few calls."""
    given: dict[str, Any] = {
        "requests_per_minute": draw(st.sampled_from([None, None, 1, 2, 3])),
        "tokens_per_minute": draw(st.sampled_from([None, None, 5, 30])),
        "requests_per_day": draw(st.sampled_from([None, None, None, 8])),
    }
    if any(given.values()):
        given["over_limit"] = draw(st.sampled_from(["wait", "wait", "reject"]))
        given["limit_window"] = draw(st.sampled_from(["sliding", "fixed", "bucket"]))
    return given


@st.composite
def time_outs(draw: st.DrawFn) -> dict[str, Any]:
    """Patience and time-outs that do not contradict each other."""
    patience = draw(st.sampled_from([None, 0.0, 1.0, 2.5, 61.0]))
    whole = draw(st.sampled_from([None, None, 2.5, 7.3]))
    laws = ["constant"] if patience is None else ["constant", "constant", "exponential"]
    return {
        "patience": patience,
        "patience_law": draw(st.sampled_from(laws)),
        "timeout": whole,
        "first_token_timeout": draw(st.sampled_from([None, None, 0.5, 2.0])),
    }


@st.composite
def outages(draw: st.DrawFn, pool: AgentPool, unit: float) -> list[Outage]:
    """A few outages, of which some follow upon each other at once."""
    found = []
    for agent in pool:
        moments = sorted(draw(st.sets(st.integers(0, 40), max_size=5)))
        spans = list(pairwise(moments))
        for (down, up), broken in zip(spans, draw(_flags(len(spans))), strict=True):
            if broken:
                found.append(Outage(agent.id, down * unit, up * unit))
    return found


@st.composite
def changes(draw: st.DrawFn, pool: AgentPool, unit: float) -> list[Change]:
    """A few changes, of which some are at one time."""
    what = st.sampled_from(
        [{"speed": 0.5}, {"speed": 1.7}, {"error_rate": 0.0}, {"error_rate": 0.6},
         {"offered": False}, {"offered": True}, {"price": 3.0, "quality": 0.5},
         {"price": 0.0}, {"quality": 1.7}]
    )  # fmt: skip
    made = st.builds(
        lambda a, at, given: Change(pool.ids[a], at * unit, **given),
        *(st.integers(0, len(pool) - 1), st.integers(0, 20), what),
    )
    return draw(st.lists(made, max_size=5))


def _flags(count: int) -> st.SearchStrategy[list[bool]]:
    return st.lists(st.booleans(), min_size=count, max_size=count)


@st.composite
def workloads(draw: st.DrawFn, agents: int, unit: float) -> Workload:
    """Up to 40 tasks, whose times and service times are multiples of few numbers."""
    rows = draw(st.integers(1, 4))
    count = draw(st.integers(1, 40))
    times = draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))

    def table(*values: float, columns: int = agents) -> NDArray[np.float64]:
        return draw(arrays(np.float64, (rows, columns), elements=st.sampled_from(values)))

    work = Workload(
        arrived=np.sort(np.array(times)) * unit,
        row=draw(arrays(np.int32, count, elements=st.integers(0, rows - 1))),
        d_var=table(0.1, 0.3, 0.45, 0.5, 0.9, columns=1)[:, 0],
        prompt_tokens=table(0.0, 10.0, columns=1)[:, 0],
        category=np.arange(rows) - 1,
        features=np.zeros((rows, 0)),
        predicted=np.zeros((rows, 0)),
        service=table(0.0, 0.5, 1.0, 2.0, 7.0, 30.0) * unit,
        cost=table(0.0, 0.1, 1.0),
        quality=table(math.nan, 0.0, 0.7),
        failed=draw(st.just(np.zeros((0, 0))) | st.just(table(math.nan, 0.0, 1.0))),
        prompt_cost=table(0.0, 0.01, 0.1),
        failed_cost=draw(st.just(np.zeros((0, 0))) | st.just(table(0.0, 0.02, 1.0))),
    )
    work = work._replace(tokens=table(0.0, 1.0, 7.0, 12.0, 50.0))
    if draw(st.booleans()):
        work = work._replace(
            priority=draw(arrays(np.int16, count, elements=st.sampled_from([0, 1, 5])))
        )
    if draw(st.booleans()):
        weight = np.array(draw(st.sampled_from([[1.0], [1.0, 2.0], [1.0, 0.3, 4.0]])))
        code = st.integers(0, weight.size - 1)
        work = work._replace(tenant=draw(arrays(np.int32, count, elements=code)), weight=weight)
    if draw(st.booleans()):
        return work._replace(first=np.minimum(work.service, table(0.0, 0.5, 2.0) * unit))
    return work


RULES = st.builds(
    Rules,
    attempts=st.integers(1, 4),
    backoff=st.sampled_from([0.0, 0.5, 3.0]),
    factor=st.sampled_from([0.5, 1.0, 1.5, 2.0]),
    fallback=st.integers(0, 2),
    users=st.sampled_from([0, 0, 1, 2, 5]),
    think=st.sampled_from([0.0, 1.0, 2.5]),
    think_cv=st.integers(0, 1),
    levels=st.sampled_from([1, 1, 2, 3]),
    bar=st.sampled_from([0.0, 0.5]),
    judge_error=st.sampled_from([0.0, 0.4]),
    judge_seconds=st.sampled_from([0.0, 0.5]),
    judge_cost=st.sampled_from([0.0, 0.3]),
    on=st.sampled_from(
        [1 << FAILED, 1 << FAILED, 0b1110, 0b111110, 1 << TIMED_OUT | 1 << SHED, 1 << LIMITED]
    ),
    jitter=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
    budget=st.sampled_from([-1.0, -1.0, 0.0, 0.25, 1.0]),
    reserve=st.sampled_from([0.0, 2.0, 5.0]),
    cool_failures=st.sampled_from([0, 0, 1, 2, 3]),
    cool_within=st.sampled_from([0.0, 1.0, 10.0]),
    cool_seconds=st.sampled_from([0.0, 2.0, 10.0]),
    cool_on=st.sampled_from([1 << FAILED, 0b1110, 1 << LIMITED]),
    shows_price=st.integers(0, 1),
    retry_after=st.integers(0, 1),
    shows_room=st.integers(0, 1),
    signal_delay=st.sampled_from([0.0, 0.5, 1.0, 7.3]),
    routers=st.sampled_from([1, 1, 2, 3]),
    hedge=st.sampled_from([-1.0, -1.0, 0.0, 0.5, 3.0]),
    hedge_quantile=st.sampled_from([0.0, 0.0, 0.5, 0.9]),
    hedge_least=st.integers(1, 4),
)


@st.composite
def cases(draw: st.DrawFn, names: Sequence[str] = NAMES) -> Case:
    """A system, its tasks and a policy."""
    unit = draw(st.sampled_from([0.5, 1.0, 7.3]))
    pool = draw(pools())
    work = draw(workloads(len(pool), unit))
    rules = draw(RULES)
    named = draw(st.sampled_from(names))
    if named in ("taped", "learning"):
        choose, learn = taped_choice, taped_learning if named == "learning" else no_learning
        memory = tape(len(pool), 2 * work.row.size * max(rules.attempts, rules.levels))
    else:
        spec = f"static:{pool.ids[-1]}" if named == "static" else named.replace("_", "-")
        policy = make_policy(pool, spec)
        choose, learn, memory = policy.choose, policy.learn, policy.memory
    broken = draw(outages(pool, unit) | st.just([]))
    agents = system(pool, broken, changes=draw(changes(pool, unit) | st.just([])))
    return Case(work, agents, rules, choose, learn, memory, draw(st.integers(0, 2**32)))


@pytest.mark.slow
@settings(max_examples=60)
@given(case=cases())
def test_engine_and_reference_agree_to_the_last_bit(case: Case) -> None:
    slow = outcome_of(simulator.run, case)
    for interpreted in (False, True):
        fast = outcome_of(partial(engine.run, interpreted=interpreted), case)
        for name in Log._fields:
            np.testing.assert_array_equal(getattr(fast[0], name), getattr(slow[0], name), name)
        np.testing.assert_array_equal(fast[1], slow[1], "memory")
        np.testing.assert_array_equal(fast[2], slow[2], "arrivals")


@pytest.mark.slow
@settings(max_examples=60)
@given(case=cases(RANKED))
def test_rules_choose_from_a_ranking_as_by_looking_at_all_agents(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "RANKED_FROM", dict.fromkeys(state.RANKED_FROM, 0))
        fast = outcome_of(engine.run, case)
    slow = outcome_of(simulator.run, case)
    for name in Log._fields:
        np.testing.assert_array_equal(getattr(fast[0], name), getattr(slow[0], name), name)


@pytest.mark.slow
@settings(max_examples=40)
@given(case=cases(), what=st.sampled_from(["after", "quantile", "priority", "fair"]))
def test_what_is_on_and_never_binds_changes_nothing(case: Case, what: str) -> None:
    size = case.work.row.size
    alike = np.full(size, 7, np.int16)  # one priority, one tenant
    plain = case._replace(
        rules=case.rules._replace(hedge=-1.0, hedge_quantile=0.0),
        system=case.system._replace(order=np.zeros_like(case.system.order)),
        work=case.work._replace(priority=alike, tenant=np.zeros(0, np.int32), weight=np.ones(1)),
    )
    more: dict[str, Any] = {
        "after": {"rules": plain.rules._replace(hedge=1e9)},
        "quantile": {"rules": plain.rules._replace(hedge_quantile=0.5, hedge_least=10**6)},
        "priority": {"system": plain.system._replace(order=np.full_like(case.system.order, 1))},
        "fair": {"system": plain.system._replace(order=np.full_like(case.system.order, 2))},
    }
    one, other = outcome_of(engine.run, plain), outcome_of(engine.run, plain._replace(**more[what]))
    for name in Log._fields:
        np.testing.assert_array_equal(getattr(one[0], name), getattr(other[0], name), name)
    np.testing.assert_array_equal(one[1], other[1], "memory")
