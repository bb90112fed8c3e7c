"""Events that are far off, in buckets by their times, so that the heap of the next ones is small.

With tens of thousands of calls at once the ends of all would make a heap larger than the
processor's cache. So an event from a bound on is put into a bucket, in no order, and the next
bucket is moved into the heap once all before the bound is done. What comes after the last bucket
is put aside, and makes the next buckets when those are used up. Which event comes first is as in
one heap.

It is a ladder queue of one rung (Tang, Goh & Thng, "Ladder queue: an O(1) priority queue structure
for large-scale discrete event simulation", ACM Transactions on Modeling and Computer
Simulation 15, 2005).
"""

import numpy as np

from routingsim.simulation.cache_lines import prefetch
from routingsim.simulation.compiling import called, greater, inlined, lesser
from routingsim.simulation.events import (
    EVENTS,
    FAR,
    PART_FREE,
    PARTS_USED,
    RUNG,
    RUNGS,
    parts,
    push,
    push_rare,
)

# A bucket is a list of parts. Of a part of four lines of the cache the first record has where the
# part before ends. A bucket is the place of its last event, 0 where it has none.
PART = 16
ASIDE = 0  # the bucket of what comes after all others
UNTIL, BEGIN, PER_SECOND, BOUNDS = range(4)
"""The bound, the time of the first bucket, and buckets per second."""

_FEW = 256  # events that are not worth buckets
_EXACT = 1e-12  # the shortest bucket, as a share of the time


def room_for(calls: int) -> tuple[int, int]:
    """Buckets, and records in all, for so many events."""
    buckets = calls // 16 + 1
    return buckets, PART * (calls // (PART - 1) + 2 * buckets)


@inlined
def put(s, time, code):
    """Add an event that may be far off."""
    if time < s.bounds[UNTIL]:
        push(s, time, code)
    else:
        _put_off(s, time, code)


@called
def _put_off(s, time, code):
    place = (time - s.bounds[BEGIN]) * s.bounds[PER_SECOND]
    bucket = ASIDE
    if place < s.counters[RUNGS]:
        bucket = np.int64(place) + 1
    near = 0 < bucket <= s.counters[RUNG]
    if near or s.counters[FAR] >= s.calls.size or not _add(s, bucket, time, code):
        push_rare(s, time, code)


@called
def _add(s, bucket, time, code):
    """Add an event to a bucket; false if there is no room."""
    k = np.int64(s.buckets[bucket]) + 1
    if k == 1 or k % PART == 0:
        part, before = s.counters[PART_FREE], k - 1
        if part > 0:
            s.counters[PART_FREE] = s.far[part].code
        else:
            part = PART * (s.counters[PARTS_USED] + 1)
            if part + PART > s.far.size:
                return False
            s.counters[PARTS_USED] += 1
        s.far[part].code = before
        k = part + 1
    s.far[k].time, s.far[k].code = time, code
    s.buckets[bucket] = k
    s.counters[FAR] += 1
    return True


@inlined
def _prefetch_part(s, k):
    """Prefetch the part of a bucket that ends at ``k``."""
    first = k - k % PART
    for line in range(first, first + PART, 4):
        prefetch(s.far[line])


@inlined
def _free_part(s, k):
    """Free the part that ends at ``k``, and return where the one before it ends."""
    first = k - k % PART
    before = s.far[first].code
    s.far[first].code = s.counters[PART_FREE]
    s.counters[PART_FREE] = first
    s.counters[FAR] -= k - first
    return before


@called
def draw_near(s):
    """Move events into the heap until its first one comes before all that are far off."""
    while s.counters[FAR] > 0:
        if s.counters[EVENTS] > 0 and s.events[0].time < s.bounds[UNTIL]:
            break
        rung, last = s.counters[RUNG], s.counters[RUNGS]
        if rung == last:
            _next_rungs(s)
            continue
        rung += 1
        while rung < last and s.buckets[rung] == 0:
            rung += 1
        _draw(s, rung)
        s.counters[RUNG] = rung
        # No event of the other buckets is before this, whatever the rounding.
        bound = s.bounds[BEGIN] + rung / s.bounds[PER_SECOND]
        while (bound - s.bounds[BEGIN]) * s.bounds[PER_SECOND] >= rung:
            bound *= 1.0 - 2.0**-52
        s.bounds[UNTIL] = bound
        if rung < last:
            _prefetch_calls(s, rung + 1)


@called
def _draw(s, bucket):
    """Move a bucket into the heap."""
    k = np.int64(s.buckets[bucket])
    s.buckets[bucket] = 0
    while k > 0:
        first = k - k % PART
        _prefetch_part(s, s.far[first].code)
        for at in range(first + 1, k + 1):
            code = s.far[at].code
            call = s.calls[np.uint32(parts(code)[2])]
            prefetch(s.agents[np.uint16(call.agent)])
            push_rare(s, s.far[at].time, code)
        k = _free_part(s, k)


@called
def _prefetch_calls(s, bucket):
    """Prefetch the calls whose events are in a bucket."""
    k = np.int64(s.buckets[bucket])
    while k > 0:
        first = k - k % PART
        _prefetch_part(s, s.far[first].code)
        for at in range(first + 1, k + 1):
            prefetch(s.calls[np.uint32(parts(s.far[at].code)[2])])
        k = s.far[first].code


@called
def _next_rungs(s):
    """Make buckets of what was put aside; if it is little, move it into the heap."""
    k, count, total = np.int64(s.buckets[ASIDE]), 0, 0.0
    low = high = s.far[k].time
    while k > 0:
        first = k - k % PART
        _prefetch_part(s, s.far[first].code)
        for at in range(first + 1, k + 1):
            time = s.far[at].time
            low, high = lesser(low, time), greater(high, time)
            total, count = total + time, count + 1
        k = s.far[first].code
    # Few events are later than six times the mean, even if their law is exponential.
    span = lesser(2.0 * (high - low), 6.0 * (total / count - low))
    rungs = s.buckets.size - 1
    s.counters[RUNG] = s.counters[RUNGS] = 0
    s.bounds[UNTIL] = high
    if count < _FEW or not span > high * rungs * _EXACT:
        _draw(s, ASIDE)
        return
    s.counters[RUNGS] = rungs
    s.bounds[UNTIL] = s.bounds[BEGIN] = low
    s.bounds[PER_SECOND] = rungs / span
    k = np.int64(s.buckets[ASIDE])
    s.buckets[ASIDE] = 0
    while k > 0:
        first = k - k % PART
        _prefetch_part(s, s.far[first].code)
        for at in range(first + 1, k + 1):
            _put_off(s, s.far[at].time, s.far[at].code)
        k = _free_part(s, k)
