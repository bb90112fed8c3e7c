"""Binary heaps of the compiled event loop: one of times, one of events.

They lie in arrays of the loop's state, which are allocated at their largest size.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function of the event loop so that it is inlined where it is called.

    Inlined and without reference counts (``_nrt``), passing the state costs nothing. Both
    together make the loop about thirty times as fast.
    """
    compiler: Any = njit  # its stubs lack some of these options
    return compiler(
        nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )(function)


@inlined
def push_time(heap, size, value):
    """Add ``value`` to a heap of ``size`` times."""
    k = size
    while k > 0:
        parent = (k - 1) >> 1
        if heap[parent] <= value:
            break
        heap[k] = heap[parent]
        k = parent
    heap[k] = value


@inlined
def sink_time(heap, size, value):
    """Replace the smallest of ``size`` times by ``value``."""
    k = 0
    while True:
        child = 2 * k + 1
        if not 0 <= child < size:
            break
        if child + 1 < size:
            child += np.int64(heap[child + 1] < heap[child])  # no branch to mispredict
        if heap[child] >= value:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = value


@inlined
def push_event(s, time, code):
    """Add an event to the heap, which is ordered by (time, code)."""
    k = s.size[0]
    s.size[0] += 1
    while k > 0:
        parent = (k - 1) >> 1
        if s.time[parent] < time or (s.time[parent] == time and s.code[parent] < code):
            break
        s.time[k], s.code[k] = s.time[parent], s.code[parent]
        k = parent
    s.time[k], s.code[k] = time, code


@inlined
def pop_event(s):
    """Remove the first event; returns its time and code."""
    first = s.time[0], s.code[0]
    s.size[0] -= 1
    size = s.size[0]
    time, code = s.time[size], s.code[size]
    k = 0
    while True:
        child = 2 * k + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            s.time[right] < s.time[child]
            or (s.time[right] == s.time[child] and s.code[right] < s.code[child])
        ):
            child = right
        if time < s.time[child] or (time == s.time[child] and code < s.code[child]):
            break
        s.time[k], s.code[k] = s.time[child], s.code[child]
        k = child
    s.time[k], s.code[k] = time, code
    return first
