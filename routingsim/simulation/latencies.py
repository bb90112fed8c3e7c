"""How long calls to each agent have taken: a histogram, and a quantile of it.

A part of the histogram is 1/32 of the power of two below it, so a quantile is rounded up by a
32nd at most. It is found by steps from where it was last, of which there are few.
"""

import numpy as np

from routingsim.simulation.compiling import called, greater, lesser

_SHORTEST, _LONGEST = 2.0**-20, 2.0**20  # seconds
_DROPPED = 47  # bits of a float's word below those that number the parts
_FIRST = (1023 - 20) << 5
BINS = (40 << 5) + 1
"""Parts of an agent's histogram."""


@called
def note_time(s, a, seconds):
    """Count a call to agent ``a`` that took so long."""
    within = lesser(greater(seconds, _SHORTEST), _LONGEST)
    k = (np.float64(within).view(np.int64) >> _DROPPED) - _FIRST
    s.histogram[np.uint64(a * BINS + k)] += 1
    agent = s.agents[a]
    agent.timed += 1
    if k < agent.bin:
        agent.below += 1


@called
def quantile(s, a, share):
    """The time within which this share of the calls counted at agent ``a`` ended, rounded up."""
    agent = s.agents[a]
    wanted = share * agent.timed
    k, below, base = agent.bin, agent.below, a * BINS
    while below >= wanted:
        k -= 1
        below -= s.histogram[np.uint64(base + k)]
    while below + s.histogram[np.uint64(base + k)] < wanted:
        below += s.histogram[np.uint64(base + k)]
        k += 1
    agent.bin, agent.below = k, below
    return np.int64((k + 1 + _FIRST) << _DROPPED).view(np.float64)
