"""The queues of agents, and which of the calls that wait is next.

An agent's queue consists of lines through the records of calls, so that one leaves from
anywhere at once: a single line first come, first served; a line for each priority; or a line
for each tenant.

Between tenants the service that is given is shared in proportion to their weights, by start-time
fair queueing (Goyal, Vin & Cheng, "Start-time fair queueing", IEEE/ACM Transactions on
Networking 5, 1997), with one difference: a tenant's clock advances when a call of it starts, and
not when one joins the queue, as calls may leave before they start.
"""

import numpy as np

from routingsim.simulation.calls import NONE
from routingsim.simulation.compiling import called, greater, inlined

DISCIPLINES = FIFO, PRIORITY, FAIR = range(3)

LINE = np.dtype([("head", np.uint32), ("tail", np.uint32)])
"""Record of a line: the first call and the last. A single line is in the record of the agent."""


@inlined
def priority_of(work, i):
    """The priority of task ``i``."""
    return np.int64(work.priority[np.uint32(i)]) if work.priority.size else 0


@inlined
def tenant_of(work, i):
    """The code of the tenant of task ``i``."""
    return np.int64(work.tenant[np.uint32(i)]) if work.tenant.size else 0


@inlined
def _line_of(s, work, agent, i):
    """The line in which task ``i`` waits at an agent."""
    k = agent.line
    if agent.order == PRIORITY:
        k += priority_of(work, i)
    elif agent.order == FAIR:
        k += tenant_of(work, i)
    return s.lines[np.uint32(k)]


@inlined
def enqueue(s, work, agent, c):
    """Put a call at the end of its line in an agent's queue."""
    call = s.calls[c]
    line = _line_of(s, work, agent, call.task)
    call.behind, call.before = NONE, line.tail
    if line.tail == NONE:
        line.head = c
    else:
        s.calls[np.uint32(line.tail)].behind = c
    line.tail = c
    agent.queued += 1


@inlined
def leave_queue(s, work, agent, c):
    """Take a call out of an agent's queue, wherever it stands in it."""
    call = s.calls[c]
    line = _line_of(s, work, agent, call.task)
    before, behind = np.uint32(call.before), np.uint32(call.behind)
    if before == NONE:
        line.head = behind
    else:
        s.calls[before].behind = behind
    if behind == NONE:
        line.tail = before
    else:
        s.calls[behind].before = before
    agent.queued -= 1


@inlined
def next_call(s, agent, a):
    """The call that is next in the queue of agent ``a``; NONE where it is empty."""
    if agent.order == FIFO:
        return np.uint32(s.lines[np.uint32(agent.line)].head)
    return _next_of_lines(s, agent, a)


@called
def _next_of_lines(s, agent, a):
    """The call that waits for a limit, or else the first of the line that is next.

    That is the line of the lowest priority number, or of the tenant whose clock is behind; of
    tenants that are equally far the one whose call was sent first.
    """
    if agent.waits:
        waiting = np.uint32(s.accounts[agent.account].waiting)
        if waiting != NONE and s.calls[waiting].agent == a:
            return waiting
    found, tag, sent, task = np.uint32(NONE), 0.0, 0.0, np.int32(0)
    for k in range(agent.lines):
        line = s.lines[np.uint32(agent.line + k)]
        if line.head == NONE:
            continue
        c = np.uint32(line.head)
        if agent.order == PRIORITY:
            return c
        call = s.calls[c]
        mine = greater(s.clocks[np.uint32(agent.clocks + k)], agent.clock)
        first = call.sent < sent or (call.sent == sent and call.task < task)
        if found == NONE or mine < tag or (mine == tag and first):
            found, tag, sent, task = c, mine, call.sent, call.task
    return found


@called
def advance_clock(s, work, agent, a, i):
    """Charge the tenant of task ``i``, which starts at agent ``a``, with its service."""
    tenant = tenant_of(work, i)
    k = np.uint32(agent.clocks + tenant)
    agent.clock = greater(s.clocks[k], agent.clock)
    took = work.service[np.uint32(work.row[np.uint32(i)]), a] / work.weight[tenant]
    s.clocks[k] = agent.clock + took
