"""The calendar of the compiled event loop: a heap of events with four children a node.

An event is a time and a code; of equal times the lower code comes first. A code is a kind,
a number (of a task, or of an agent), the copy of a try and the record of a call, so that events at
one time happen in the order of their kinds, and those of one kind in the order of their numbers.

The first event that is taken leaves a hole, into which the next one falls: most events bring
another. Events are not removed when they no longer hold; the loop knows them by their
record, and drops them when the heap is full.
"""

import math

import numpy as np

from routingsim.simulation.cache_lines import less, less_than, prefetch
from routingsim.simulation.compiling import called, inlined, lesser

# In the order in which they happen at one time.
UP, DOWN, COOLED, LOOK, FREED, CHANGE, FIRST, SHARED, DEPART = range(9)
LIMIT, EXPIRE, ENDED, RETRY, HEDGE, RETURN = range(9, 15)
KIND, NUMBER = 59, 28  # where kind and number begin in a code
COPY_BIT = 27  # where the copy of a try is in a code
MOST_CALLS = 1 << COPY_BIT  # at once
_CALL, _NUMBER = MOST_CALLS - 1, (1 << 31) - 1

EVENTS, HOLE, FRESH, FREE, USED, UPS, BEGUN, BOUNDED, NEWS_FIRST, NEWS = range(10)
RANKS, LEAF, MORE, LOADS, FAR, PART_FREE, PARTS_USED, RUNG, RUNGS, COUNTERS = range(10, 20)
"""What the counters of the state count: events, whether there is a hole, tasks that have come,
the first record in the list of free ones, records ever used, agents that are offered, whether
the first events are there, agents with a context window, the oldest of the news that routers
still have to hear, how many these are, by what the agents are ranked and where in the ranking the
first is, whether more tasks are handed over later, and whether policies look at the load (1), and
at the wait (2); then what :mod:`routingsim.simulation.ladder` counts: events that are far off, the
first free part of a bucket and those ever used, the last bucket moved into the heap, and all."""

_NEAR = 256  # a quarter of the events that are in the first cache
EVENT = np.dtype([("code", np.int64), ("time", np.float64)])
"""Record of an event, which is compared as one number of 128 bits: no time is negative.

The four children of a node are side by side, in one line of the cache."""


@inlined
def code_of(kind, number, call, copy=0):
    """The code of an event."""
    low = np.int64(call) | (np.int64(copy) << COPY_BIT)
    return (np.int64(kind) << KIND) | (np.int64(number) << NUMBER) | low


@inlined
def parts(code):
    """Kind, number and record of an event."""
    return code >> KIND, (code >> NUMBER) & _NUMBER, code & _CALL


@inlined
def _sink(s, size, time, code):
    """Put an event into the hole at the root of a heap of ``size`` events, the hole one of them."""
    k = 0
    while True:
        child = 4 * k + 1
        if not 0 <= child < size:
            break
        if child > _NEAR:  # ask for what is below
            for below in range(4 * child + 1, lesser(4 * child + 17, size), 4):
                prefetch(s.events[np.uint32(below)])
        # Behind the last event are infinite times.
        low = child + less(s.events[child + 1], s.events[child])
        high = child + 2 + less(s.events[child + 3], s.events[child + 2])
        child = high if less(s.events[high], s.events[low]) else low
        first = s.events[child]
        if not less_than(first, code, time):
            break
        s.events[k].time, s.events[k].code = first.time, first.code
        k = child
    s.events[k].time, s.events[k].code = time, code


@inlined
def fill_hole(s):
    """Close the hole with the last event."""
    size = s.counters[EVENTS] - 1
    time, code = s.events[size].time, s.events[size].code
    s.events[size].time = math.inf
    s.counters[EVENTS], s.counters[HOLE] = size, 0
    if size > 0:
        _sink(s, size, time, code)


@inlined
def push(s, time, code):
    """Add an event."""
    size = s.counters[EVENTS]
    if s.counters[HOLE]:
        s.counters[HOLE] = 0
        _sink(s, size, time, code)
        return
    s.counters[EVENTS] = size + 1
    k = size
    while k > 0:
        parent = (k - 1) >> 2
        above = s.events[parent]
        if less_than(above, code, time):
            break
        s.events[k].time, s.events[k].code = above.time, above.code
        k = parent
    s.events[k].time, s.events[k].code = time, code


@called
def push_rare(s, time, code):
    """The same, for events that are few."""
    push(s, time, code)
