"""Choices of a live router, compiled: by the policy, or at random, each with its propensity.

With probability ``explore`` the agent is drawn uniformly among those that are up, else the
policy chooses. The propensity of agent a, the probability with which it was chosen, is

    explore / agents that are up + (1 - explore) * probability of a under the policy

where the first term counts for agents that are up. It is NaN where the policy's own
probabilities are not known (:mod:`routingsim.policies.kernel`), unless ``explore`` is 1.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim import rng
from routingsim.agents import AgentPool
from routingsim.compiled import cached_njit
from routingsim.policies.kernel import (
    CHOOSE,
    POOL_VIEW,
    PROBABILITIES,
    PoolView,
    TaskView,
    certain,
    unknown,
)
from routingsim.policies.policy import Policy

UNKNOWN, CERTAIN, ASKED = range(3)
"""How a policy's own probabilities are found: not at all, as 1 and 0, or by its kernel."""


class Exploration(NamedTuple):
    """What the choices of a router have in common."""

    explore: float
    """Probability of a choice at random."""
    draws: np.uint64
    """Key of the random numbers that decide it."""
    known: int
    """``UNKNOWN``, ``CERTAIN`` or ``ASKED``."""
    learns: bool
    """Whether the policy learns."""


Choice = tuple[int, float, float, bool]
"""An agent (-1 where the policy named one that does not exist), its load before the task,
(busy + queued) / slots, its propensity, and whether it was drawn, not chosen by the policy."""


class Choices(NamedTuple):
    """The same of several tasks, a list each."""

    agents: list[int]
    loads: list[float]
    propensities: list[float]
    at_random: list[bool]


def exploration(policy: Policy, explore: float | None, seed: int) -> Exploration:
    """What a router's choices need; with ``explore`` None or 0 the policy makes them all."""
    known = {id(unknown): UNKNOWN, id(certain): CERTAIN}.get(id(policy.probabilities), ASKED)
    draws = np.uint64(rng.stream(seed, rng.EXPLORE))
    return Exploration(float(explore or 0.0), draws, known, policy.learns)


def callables(policy: Policy) -> tuple[Any, Any]:
    """A policy's choose and probability kernels for callers in the interpreter."""
    kernels = (policy.choose, policy.probabilities)
    choose, probabilities = (k.python if policy.interpreted else k.entry for k in kernels)
    return choose, probabilities


def idle(pool: AgentPool) -> PoolView:
    """What a policy sees of a pool without a task."""
    ttft, service = pool.column("ttft"), pool.column("mean_service")
    agents = len(pool)
    return PoolView(
        busy=np.zeros(agents, np.int64),
        queued=np.zeros(agents, np.int64),
        slots=pool.column("concurrency").astype(np.int64),
        cost=pool.column("cost"),
        wait=np.zeros(agents),
        service=service,
        up=np.ones(agents, np.int64),
        room=np.ones(agents),
        first_token=np.where(np.isnan(ttft), service, ttft),
        speed=np.ones(agents),
        price=np.zeros(agents),
    )


@register_jitable
def expect(view, sharing, a, busy, queued):
    """Update the expected wait at agent ``a``, and its speed where its calls share that.

    ``sharing`` has each agent's, shape (agents,), or is empty where all are 0.
    """
    slots, service = int(view.slots[a]), float(view.service[a])
    if sharing.size:
        slower = float(sharing[a])
        view.speed[a] = 1.0 / (1.0 + slower * min(busy, slots - 1))
        service *= 1.0 + slower * (slots - 1)
    view.wait[a] = (queued + 1) * service / slots if busy + queued >= slots else 0.0


@register_jitable
def _drawn(view, uniform):
    """The agent of those that are up on which a uniform number falls, and how many there are."""
    up = 0
    for a in range(view.up.size):
        up += view.up[a]
    left = int(uniform * up)
    for a in range(view.up.size):
        if view.up[a]:
            if left == 0:
                return a, up
            left -= 1
    return 0, up


@register_jitable
def _pick(choose, probabilities, plan, view, memory, own, task):
    """An agent, its propensity, and whether it was drawn; -1 if the policy's does not exist."""
    explore, draws, known, learns = plan
    if known == ASKED:
        probabilities(task, view, memory, own)
    at_random = explore > 0.0 and rng.of_try(draws, task.index, task.attempt, 0) < explore
    # The policy's own choice is part of the propensity of a draw, and leaves no trace.
    wanted = int(choose(task, view, memory.copy() if at_random else memory))
    if wanted < 0 or wanted >= view.slots.size:
        return -1, np.nan, False
    a, propensity = wanted, 0.0
    if explore > 0.0:
        drawn, up = _drawn(view, rng.of_try(draws, task.index, task.attempt, 1))
        a = drawn if at_random else wanted
        propensity = explore / up if view.up[a] else 0.0
    if at_random and learns:  # it notes the choice as if the agent were the only one that is up
        others = view.up.copy()
        view.up[:] = 0
        view.up[a] = 1
        choose(task, view, memory)
        view.up[:] = others
    if explore < 1.0:
        mine = own[a] if known == ASKED else np.nan
        if known == CERTAIN:
            mine = 1.0 if a == wanted else 0.0
        propensity += (1.0 - explore) * mine
    return a, propensity, at_random


@register_jitable
def _offer(view, windows, tokens, before):
    """Offer the agents that are up and that the prompt fits; if none is, those it fits; else all.

    ``before`` says who is up.
    """
    for a in range(before.size):
        view.up[a] = before[a] * (windows.size == 0 or tokens <= windows[a])
    if not view.up.any():
        for a in range(before.size):
            view.up[a] = windows.size == 0 or tokens <= windows[a]
    if not view.up.any():
        view.up[:] = 1


@register_jitable
def choose_one(choose, probabilities, plan, view, sharing, windows, memory, own, nobody, task):
    """An agent for a task, whose load then counts it.

    Parameters
    ----------
    choose, probabilities : callable
        Of the policy.
    plan : Exploration
    view : PoolView
    sharing : ndarray
        Of :func:`expect`.
    windows : ndarray
        Tokens of the longest prompt that each agent takes, infinite for any; empty for no bounds.
    memory : ndarray
    own : ndarray, shape (agents,)
        Space for the policy's probabilities.
    nobody : bool
        Whether every agent is offline: all that the prompt fits may be chosen then.
    task : TaskView

    Returns
    -------
    Choice
    """
    before = view.up
    hides = nobody or (windows.size > 0 and task.prompt_tokens > windows.min())
    if hides:
        before = view.up.copy()
        _offer(view, windows, task.prompt_tokens, before)
    a, propensity, at_random = _pick(choose, probabilities, plan, view, memory, own, task)
    if hides:
        view.up[:] = before
    if a < 0:
        return -1, 0.0, np.nan, False
    # In interpreted code, Python's own numbers are quicker than NumPy's.
    busy, queued, slots = int(view.busy[a]), int(view.queued[a]), int(view.slots[a])
    load = (busy + queued) / slots
    if busy < slots:
        busy += 1
        view.busy[a] = busy
    else:
        queued += 1
        view.queued[a] = queued
    expect(view, sharing, a, busy, queued)
    return a, load, propensity, at_random


_f8, _i8 = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
_b1 = types.Array(types.boolean, 1, "C")
_table = types.Array(types.float64, 2, "C")
_plan = types.NamedTuple([types.float64, types.uint64, types.int64, types.boolean], Exploration)


@cached_njit(
    types.Tuple((_i8, _f8, _f8, _b1))(
        *(types.FunctionType(CHOOSE), types.FunctionType(PROBABILITIES), _plan),
        *(POOL_VIEW, _f8, _f8, _f8),
        *(types.uint64, types.int64, types.float64, types.boolean, _f8, _f8),
        *(_f8, _f8, _i8, _table, _table),
    ),
    nogil=True,
)
def _in_turn(
    choose, probabilities, plan, view, sharing, windows, memory, stream, first, now, nobody,
    call, token, d_var, tokens, category, features, predicted,
):  # fmt: skip
    size = len(d_var)
    chosen, loads = np.empty(size, np.int64), np.empty(size)
    propensities, drawn = np.empty(size), np.empty(size, np.bool_)
    own = np.empty(view.slots.size)
    for i in range(size):
        for a in range(call.size):
            view.price[a] = call[a] + token[a] * tokens[i]
        row = (d_var[i], tokens[i], category[i], features[i], predicted[i])
        task = TaskView(first + i, 0, now, stream, *row, 0, 0, 0)
        found = choose_one(
            choose, probabilities, plan, view, sharing, windows, memory, own, nobody, task
        )
        chosen[i], loads[i], propensities[i], drawn[i] = found
        if chosen[i] < 0:
            return chosen[:i], loads[:i], propensities[:i], drawn[:i]
    return chosen, loads, propensities, drawn


def choose_in_turn(
    policy: Policy,
    plan: Exploration,
    view: PoolView,
    sharing: NDArray[np.float64],
    windows: NDArray[np.float64],
    memory: NDArray[np.float64],
    told: tuple[Any, ...],
    columns: tuple[Any, ...],
) -> Choices:
    """Choose an agent for each task; each choice sees the loads that those before it made.

    Parameters
    ----------
    policy : Policy
    plan : Exploration
    view : PoolView
    sharing : ndarray
        Of :func:`expect`.
    windows : ndarray
        Of :func:`choose_one`.
    memory : ndarray
    told : tuple
        Key of the draws for policies, index of the first task, seconds since the start,
        whether every agent is offline, and what a call and a token of its prompt are expected
        to cost at each agent (USD), empty for a policy that does not read it.
    columns : tuple
        The d_var, prompt tokens, categories, features and predictions of the tasks.

    Returns
    -------
    Choices
        Up to the first choice of an agent that does not exist.
    """
    # Handing kernels over to compiled code takes as long as about ten choices.
    compiled: Any = _in_turn
    state = plan, view, sharing, windows, memory
    if policy.interpreted or len(columns[0]) < 10:
        found = compiled.py_func(*callables(policy), *state, *told, *columns)
    else:
        kernels = (policy.choose.compiled, policy.probabilities.compiled)
        found = compiled(*kernels, *state, *told, *map(np.asarray, columns))
    return Choices(*(each.tolist() for each in found))
