"""Which agents are offered to policies: outages, cooldowns, and agents that have failed a task."""

import math

import numpy as np

from routingsim.policies.kernel import FAILED
from routingsim.simulation.calls import NONE
from routingsim.simulation.events import COOLED, DEPART, DOWN, UP, UPS, called, code_of, push
from routingsim.simulation.state import ESCALATED

CLOSED, COOLING, HALF_OPEN, PROBING = range(4)
"""The states of a cooldown: calls are counted; the agent is not offered; it is offered for one
call; that call is under way."""


@called
def offer(s, a):
    """Offer agent ``a`` to policies, or not, as it is now."""
    agent = s.agents[a]
    offered = int(agent.works and agent.cool in (CLOSED, HALF_OPEN))
    s.count[UPS] += offered - agent.offered
    agent.offered = s.up[a] = offered


@called
def go(s, system, kind, a, now):
    """Agent ``a`` goes up or down, and its next change is put on the calendar.

    Calls in service fail as it goes down, but for those that end at this very moment.
    """
    agent = s.agents[a]
    agent.opens = -math.inf
    if kind == UP:
        agent.outage += 1
        follows = agent.outage < agent.outages_end
        if not (follows and system.down[agent.outage] == now):
            agent.works = 1
            offer(s, a)
            if follows:
                push(s, system.down[agent.outage], code_of(DOWN, a, 0))
            return
    else:
        agent.works = 0
        offer(s, a)
        c = np.uint32(agent.first)
        while c != NONE:
            call = s.calls[c]
            if call.due > now:
                call.due, call.status, call.judged = now, FAILED, 0
                push(s, now, code_of(DEPART, call.task, c))
            c = np.uint32(call.behind)
    push(s, system.up[agent.outage], code_of(UP, a, 0))


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
        push(s, now + rules.cool_seconds, code_of(COOLED, a, 0))


@called
def choose_among_all(s, pool, choose, memory, task):
    """Ask the policy where no agent is offered: the task must wait somewhere."""
    for b in range(s.up.size):
        s.up[b] = 1
    a = choose(task, pool, memory)
    for b in range(s.up.size):
        s.up[b] = s.agents[b].offered
    return a


@called
def choose_again(s, pool, system, log, rules, choose, memory, task, call):
    """The agent of a task that is sent again.

    That which the failed agent names, or the first along that chain that is offered; else the
    policy chooses. With fallback the agent that failed is hidden from it, or all that failed.
    """
    last = np.int64(call.agent)
    if call.status != ESCALATED:
        b = system.fallback[last]
        while b >= 0:
            if s.up[b]:
                return b
            b = system.fallback[b]
    hidden = 0
    if rules.fallback == 1 and s.up.size > 1 and s.up[last]:
        s.up[last] = 0
        hidden = 1
    elif rules.fallback == 2:
        k = np.int64(call.tried)
        while k >= 0:
            b = np.int64(log.retried_agent[k])
            hidden += s.up[b]
            s.up[b] = 0
            k = np.int64(log.retried_before[k])
    if s.count[UPS] - hidden == 0:
        return choose_among_all(s, pool, choose, memory, task)
    a = choose(task, pool, memory)
    if rules.fallback == 1:
        s.up[last] = s.agents[last].offered
    elif hidden:
        for b in range(s.up.size):
            s.up[b] = s.agents[b].offered
    return a
