"""Whether an agent can start a call, when it can if not, and what policies see of it."""

from routingsim.simulation.events import LOOK, called, code_of, inlined, push

MINUTE = 60.0


@inlined
def note(s, a):
    """Update what policies see of agent ``a``."""
    agent = s.agents[a]
    busy, queued = agent.busy, agent.queued
    s.busy[a], s.queued[a] = busy, queued
    s.wait[a] = 0.0
    if busy + queued >= agent.slots:
        s.wait[a] = (queued + 1) * agent.mean_service / agent.slots


@inlined
def can_start(s, a, now):
    """Whether agent ``a`` can start a call now."""
    agent = s.agents[a]
    if not agent.works or agent.busy >= agent.slots:
        return False
    limit = agent.per_minute
    if limit and agent.starts >= limit:
        return now >= s.started[agent.first_start + agent.starts % limit] + MINUTE
    return True


@called
def look_again(s, a, now):
    """Put the moment on the calendar at which agent ``a`` may start the next call in its queue.

    It needs one if it has calls that wait, a free slot, and no event that will free one.
    """
    agent = s.agents[a]
    limit, opens = agent.per_minute, now
    if limit and agent.starts >= limit:
        opens = max(opens, s.started[agent.first_start + agent.starts % limit] + MINUTE)
    if agent.works and opens != agent.opens:
        agent.opens = opens
        push(s, opens, code_of(LOOK, a, 0))
