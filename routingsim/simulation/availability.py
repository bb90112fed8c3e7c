"""Which agents are offered to policies: outages, cooldowns, and agents that have failed a task."""

import math

import numpy as np

from routingsim.policies.kernel import FAILED
from routingsim.policies.ranking import BY_LATENCY, BY_LOAD, of_children
from routingsim.simulation.calls import NONE, copy_of
from routingsim.simulation.compiling import called
from routingsim.simulation.events import (
    CHANGE,
    COOLED,
    DEPART,
    DOWN,
    LEAF,
    RANKS,
    UP,
    UPS,
    code_of,
    push_rare,
)
from routingsim.simulation.limits import waits_no_more
from routingsim.simulation.queues import next_call
from routingsim.simulation.sharing import ends_by
from routingsim.simulation.state import ERRORS, ESCALATED, LISTED, PRICE, SPEED

CLOSED, COOLING, HALF_OPEN, PROBING = range(4)
"""The states of a cooldown: calls are counted; the agent is not offered; it is offered for one
call; that call is under way."""

NOBODY = -2  # there is no agent for a second copy


@called
def rank_agent(s, a):
    """Bring the ranking (:mod:`routingsim.policies.ranking`) up to date with agent ``a``."""
    tree, k, lowest, ties = s.ranking, s.counters[LEAF] + a, math.inf, 0.0
    if s.up[a]:
        lowest, ties = s.figure[a], 1.0
        if s.counters[RANKS] == BY_LOAD:
            lowest = (s.busy[a] + s.queued[a]) / s.agents[a].slots
        elif s.counters[RANKS] == BY_LATENCY:
            lowest += s.wait[a]
    while tree[2 * k] != lowest or tree[2 * k + 1] != ties:
        tree[2 * k], tree[2 * k + 1] = lowest, ties
        if k == 0:
            break
        k = (k - 1) >> 2
        lowest, ties = of_children(tree, k)


@called
def offer(s, a):
    """Offer agent ``a`` to policies, or not, as it is now."""
    agent = s.agents[a]
    offered = np.int64(agent.works and agent.listed and agent.cool in (CLOSED, HALF_OPEN))
    s.counters[UPS] += offered - agent.offered
    agent.offered = s.up[a] = offered
    if s.counters[RANKS]:
        rank_agent(s, a)


@called
def go(s, system, kind, a, now):
    """Agent ``a`` goes up or down, and its next change is put on the calendar.

    Calls in service fail as it goes down, but for those that end at this very moment.
    """
    agent = s.agents[a]
    if kind == UP:
        agent.outage += 1
        follows = agent.outage < agent.outages_end
        if not (follows and system.down[agent.outage] == now):
            agent.works = 1
            offer(s, a)
            if follows:
                push_rare(s, system.down[agent.outage], code_of(DOWN, a, 0))
            return
    else:
        agent.works = 0
        offer(s, a)
        if agent.waits:
            waits_no_more(s, agent.account, next_call(s, agent, a), now)
        c = np.uint32(agent.first)
        while c != NONE:
            call = s.calls[c]
            stays = agent.sharing > 0.0 and ends_by(s, agent, c, now)
            if call.due > now and not stays:
                if agent.sharing > 0.0:
                    s.nodes[np.uint32(2 * c)].fails = 1
                call.due, call.status, call.judged = now, FAILED, 0
                push_rare(s, now, code_of(DEPART, call.task, c, copy_of(s, c)))
            c = np.uint32(call.behind)
    push_rare(s, system.up[agent.outage], code_of(UP, a, 0))


@called
def change(s, system, k):
    """What is number ``k`` of the changes happens."""
    a = system.change_agent[k]
    agent, what, value = s.agents[a], system.change_what[k], system.change_value[k]
    if what == SPEED:
        agent.pace, agent.paced = 1.0 / value, 1
    elif what == ERRORS:
        agent.error_rate, agent.drawn = value, 1
    elif what == LISTED:
        agent.listed = np.int64(value)
        offer(s, a)
    elif what == PRICE:
        agent.price_factor, agent.repriced = value, 1
        s.cost[a] = system.price[a] * value
    else:
        agent.quality_factor = value
    if k + 1 < system.change_at.size:
        push_rare(s, system.change_at[k + 1], code_of(CHANGE, k + 1, 0))


@called
def factor_at(system, what, a, sent):
    """The price or quality of agent ``a`` for a call, as a multiple of that at the beginning."""
    factor, k = 1.0, 0
    while k < system.change_at.size and system.change_at[k] <= sent:
        if system.change_what[k] == what and system.change_agent[k] == a:
            factor = system.change_value[k]
        k += 1
    return factor


@called
def cooled(s, a):
    """The cooldown of agent ``a`` is over: it is offered for one call."""
    s.agents[a].cool = HALF_OPEN
    offer(s, a)


@called
def probe(s, a, call):
    """Send the one call that agent ``a`` is tried with."""
    call.probe = 1
    s.agents[a].cool = PROBING
    offer(s, a)


@called
def count_failure(s, rules, a, call, now):
    """Count how a call at agent ``a`` ended, which may begin or end a cooldown."""
    agent, k = s.agents[a], rules.cool_failures
    bad = (rules.cool_on >> np.int64(call.status)) & 1
    cools = False
    if call.probe:
        call.probe = 0
        cools = bad > 0
        if not bad:
            agent.cool, agent.fails = CLOSED, 0
            offer(s, a)
    elif bad and agent.cool == CLOSED:
        s.failed[a * k + agent.fails % k] = now
        agent.fails += 1
        cools = agent.fails >= k and s.failed[a * k + agent.fails % k] + rules.cool_within >= now
    if cools:
        agent.cool, agent.fails = COOLING, 0
        offer(s, a)
        push_rare(s, now + rules.cool_seconds, code_of(COOLED, a, 0))


@called
def hide_lost(s, work, log, i):
    """Hide the agents of the copies of task ``i`` that did not decide how their tries ended."""
    k = log.losses[0] - 1
    while k >= 0 and log.lost_ended[k] >= work.arrived[i]:
        if log.lost[k] == i:
            s.up[np.int64(log.lost_agent[k])] = 0
        k -= 1


@called
def choose_with_care(s, pool, system, work, log, rules, choose, memory, task, c):
    """The agent of a task where not every agent may be offered, or that is sent again or twice.

    Hidden are agents that are not offered, whose context window is too small, and, on a retry
    with fallback, the agent that had the task last, or all that have had it or a copy of it. If
    none is left, those with a small window are hidden; if none is left then, none. Before the
    policy goes the agent that a failed agent names, or the first along that chain that is not
    hidden.

    For a second copy the agent of the first, ``c``, is hidden too; if no other is left, or the
    policy names that agent still, it is ``NOBODY``.
    """
    m, tokens, ranked = s.up.size, task.prompt_tokens, 0.0
    if s.counters[RANKS]:  # does not hold of those that are hidden
        ranked, s.ranking[1] = s.ranking[1], 0.0
    for b in range(m):
        s.up[b] = s.agents[b].offered and tokens <= s.agents[b].context
    a = -1
    if c != NONE:
        call = s.calls[c]
        last = np.int64(call.agent)
        if task.copy:
            s.up[last] = 0
        elif call.status != ESCALATED:
            a = system.fallback[last]
            while a >= 0 and not s.up[a]:
                a = system.fallback[a]
        k = np.int64(call.tried)
        while k >= 0 and rules.fallback:
            s.up[np.int64(log.retried_agent[k])] = 0
            k = np.int64(log.retried_before[k]) if rules.fallback == 2 else -1
        if rules.fallback == 2 and log.lost.size:
            hide_lost(s, work, log, np.int64(task.index))
    if a < 0:
        left = 0
        for b in range(m):
            left += s.up[b]
        if task.copy and left == 0:
            a = NOBODY
        if left == 0:
            for b in range(m):
                s.up[b] = tokens <= s.agents[b].context
                left += s.up[b]
        if left == 0:
            for b in range(m):
                s.up[b] = 1
        if a != NOBODY:
            a = choose(task, pool, memory)
            if task.copy and a == s.calls[c].agent:
                a = NOBODY
            elif a < 0:
                a = -1
    for b in range(m):
        s.up[b] = s.agents[b].offered
    if s.counters[RANKS]:
        s.ranking[1] = ranked
    return a
