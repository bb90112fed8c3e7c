"""Policies that go by the load of the agents or the wait for them, and by no text.

Of equal agents each is chosen with the same chance, by the task's own draw
(:mod:`routingsim.policies.ties`). An agent that is down, or that has just failed the task, is
passed over.
"""

import numpy as np
from numba.extending import register_jitable

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.policies.kernel import choose_kernel, draw, probability_kernel, ranked
from routingsim.policies.lowest_load import least, load_of, nth_least
from routingsim.policies.policy import Policy, recipe, sentence
from routingsim.policies.ranking import BY_LATENCY, BY_LOAD
from routingsim.policies.ties import (
    any_up,
    choose_lowest,
    choose_ranked,
    even,
    is_ranked,
    put_lowest,
    which,
)


@register_jitable
def least_loaded_of_all(task, pool):
    """The agent with the lowest load that is up; the first where none is."""
    if is_ranked(pool):
        return choose_ranked(task, pool)
    alike, word, ties = least(pool, pool.ranking, -1)
    return nth_least(pool, pool.ranking, -1, alike, word, which(task, ties)) if ties else 0


@ranked(BY_LOAD)
@choose_kernel
def _by_load(task, pool, memory):
    return least_loaded_of_all(task, pool)


@register_jitable
def put_least_loaded(pool, out):
    """Put the probability with which each agent is :func:`least_loaded_of_all` into ``out``."""
    lowest = np.inf
    for a in range(pool.up.size):
        lowest = min(lowest, load_of(pool, a))
    for a in range(pool.up.size):
        out[a] = 1.0 if pool.up[a] and load_of(pool, a) == lowest else 0.0
    even(out, 0)


@probability_kernel
def _load_probabilities(task, pool, memory, out):
    put_least_loaded(pool, out)


@recipe("least-loaded")
def least_loaded(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The agent with the lowest load, (busy + queued) / slots."""
    reason = sentence("Lowest load ({load:.2f}): Routed to {agent.name}")
    return Policy("least-loaded", _by_load, reason=reason, probabilities=_load_probabilities)


@register_jitable
def _of_two(pool, first, second):
    """The less loaded of two agents; -1 where both are down."""
    agents = pool.up.size
    if second >= agents or not pool.up[second]:
        second = first
    if not pool.up[first]:
        first = second
    if not pool.up[first]:
        return -1
    one = (pool.busy[first] + pool.queued[first]) / pool.slots[first]
    two = (pool.busy[second] + pool.queued[second]) / pool.slots[second]
    return second if two < one else first


@choose_kernel
def _two_choices(task, pool, memory):
    agents = pool.up.size
    first = int(task.uniform * agents)
    second = int(draw(task, 1) * (agents - 1))
    chosen = _of_two(pool, first, second + 1 if second >= first else second)
    return chosen if chosen >= 0 else any_up(task, pool, 2)


@probability_kernel
def _two_probabilities(task, pool, memory, out):
    agents = pool.up.size
    seconds = max(1, agents - 1)  # a single agent is its own second
    out[:] = 0.0
    for first in range(agents):
        for k in range(seconds):
            chosen = _of_two(pool, first, k + 1 if k >= first else k)
            if chosen >= 0:
                out[chosen] += 1.0
            else:
                out += pool.up / max(1, pool.up.sum())
    out[:] = out / (agents * seconds)


@recipe("power-of-two")
def power_of_two(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The less loaded of two agents drawn at random (Mitzenmacher, 2001)."""
    reason = sentence("Less loaded of two drawn ({load:.2f}): Routed to {agent.name}")
    return Policy("power-of-two", _two_choices, reason=reason, probabilities=_two_probabilities)


@register_jitable
def _expected_latency(task, pool, memory, a):
    return pool.wait[a] + pool.service[a]


@ranked(BY_LATENCY)
@choose_kernel
def _by_expected_latency(task, pool, memory):
    return choose_lowest(_expected_latency, task, pool, memory)


@probability_kernel
def _latency_probabilities(task, pool, memory, out):
    put_lowest(_expected_latency, task, pool, memory, out)


@recipe("shortest-wait")
def shortest_wait(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The agent with the shortest expected wait and service together."""
    return Policy(
        "shortest-wait",
        _by_expected_latency,
        reason=sentence("Shortest expected latency: Routed to {agent.name}"),
        probabilities=_latency_probabilities,
    )
