"""Records of calls, and the lists that they form.

A call is one try of a task. Its record is taken from a list of free ones when the task comes
and serves all its tries. Calls that wait at an agent (:mod:`routingsim.simulation.queues`), and
calls in service at an agent that has outages, form lists through their records.
"""

import numpy as np

from routingsim.simulation.cache_lines import whole_lines
from routingsim.simulation.compiling import inlined
from routingsim.simulation.events import FREE, USED

NONE = 0xFFFFFFFF  # no record
IDLE, WAITING, SERVING, HELD = range(4)
"""States of a record; HELD is a call that was cut off and continues where calls share speed."""

CALL = whole_lines(
    [
        ("sent", np.float64),
        ("left", np.float64),  # when it left the queue; before, how long it may wait
        ("due", np.float64),  # when it ends, in service or by impatience; rejected, Retry-After
        ("takes", np.float64),  # seconds in service, without the judge's; cut off, its natural end
        ("first", np.float64),  # seconds in service before its first token; in service, its time
        ("task", np.int32),
        ("behind", np.uint32),  # neighbours in a list; of a free record, the next one
        ("before", np.uint32),
        ("tried", np.int32),  # the task's try before, among those that were followed by another
        ("agent", np.int16),
        ("attempt", np.int16),
        ("state", np.int8),
        ("status", np.int8),
        ("judged", np.int8),
        ("probe", np.int8),  # 1 if it is the one that an agent is tried with after a cooldown
    ],
    paid="takes",  # USD, once it has ended
)
"""Record of a call, one line of the cache."""

PAIR = np.dtype(
    [
        ("mate", np.uint32),  # the other copy of the try, while both are under way
        ("copy", np.int8),  # 0 or 1
        ("hedged", np.int8),  # 1 once a second copy of the try has been sent
        ("at", np.float64),  # when a second copy is sent
    ],
    align=True,
)
"""What is added to the record of a call where a try may have two copies."""


@inlined
def copy_of(s, c):
    """Which copy of its try a call is."""
    return np.int64(s.pairs[c].copy) if s.pairs.size else 0


@inlined
def take(s):
    """A free record; the caller has made sure that there is one."""
    c = s.counters[FREE]
    if c >= 0:
        behind = s.calls[np.uint32(c)].behind
        s.counters[FREE] = -1 if behind == NONE else np.int64(behind)
    else:
        c = s.counters[USED]
        s.counters[USED] = c + 1
    return np.uint32(c)


@inlined
def free(s, c):
    """Give a record back."""
    call, first = s.calls[c], s.counters[FREE]
    call.state = IDLE
    call.task = -1
    call.behind = NONE if first < 0 else np.uint32(first)
    s.counters[FREE] = np.int64(c)


@inlined
def enter_service(s, agent, c):
    """Note a call among those in service at an agent."""
    call = s.calls[c]
    call.before, call.behind = NONE, agent.first
    if agent.first != NONE:
        s.calls[np.uint32(agent.first)].before = c
    agent.first = c


@inlined
def leave_service(s, agent, c):
    """Strike a call from those in service at an agent."""
    call = s.calls[c]
    before, behind = np.uint32(call.before), np.uint32(call.behind)
    if before == NONE:
        agent.first = behind
    else:
        s.calls[before].behind = behind
    if behind != NONE:
        s.calls[behind].before = before
