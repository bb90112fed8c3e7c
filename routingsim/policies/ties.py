"""Ties: of equal agents each is chosen with the same chance, by the task's own draw.

The order in which a pool names its agents decides nothing. A rule finds the first of the best
agents and how many are as good; where there are several, it takes the one that the task's key
falls on. The key is read only then. A rule whose figures are costly to find again keeps one of
the best so far instead, each with the same chance (:func:`higher`).
"""

import numpy as np
from numba.extending import register_jitable

from routingsim.policies.kernel import draw
from routingsim.policies.ranking import nth_lowest, only_lowest

_HALF = np.uint64(32)
_PART = 1 << 20  # of the task's draws, those for ties: policies use parts far below


@register_jitable
def which(task, ties):
    """Which of so many equals a task goes to, from 0, each with the same chance.

    The upper half of the task's key times ``ties``, without its lower half (Lemire, "Fast
    random integer generation in an interval", ACM Transactions on Modeling and Computer
    Simulation 29, 2019).
    """
    return np.int64(((np.uint64(task.key) >> _HALF) * np.uint64(ties)) >> _HALF)


@register_jitable
def lower(a, value, best, lowest, ties):
    """The first of the best agents, its value and the number of its equals, with ``a`` seen too.

    It begins with 0, infinity and 0.
    """
    if value < lowest:
        return a, value, 1
    if value == lowest:
        ties += 1
    return best, lowest, ties


@register_jitable
def higher(task, a, value, best, highest, ties):
    """One of the best agents, its value and the number of its equals, with ``a`` seen too.

    It begins with -1, -infinity and 0. The k-th of equals takes the place of the one kept with
    a chance of 1 / k, so that each has the same (reservoir sampling: Vitter, "Random sampling
    with a reservoir", ACM Transactions on Mathematical Software 11, 1985).
    """
    if value > highest:
        return a, value, 1
    if value == highest and value > -np.inf:
        ties += 1
        if draw(task, _PART + ties) * ties < 1.0:
            best = a
    return best, highest, ties


@register_jitable
def even(out, best):
    """Make marks above 0 the same probability each; where there is none, ``best`` has 1."""
    marked = 0
    for a in range(out.size):
        if out[a] > 0.0:
            marked += 1
    if marked == 0:
        out[best] = 1.0
        marked = 1
    for a in range(out.size):
        out[a] = 1.0 / marked if out[a] > 0.0 else 0.0


@register_jitable
def lowest(figure, task, pool, memory):
    """The first of the agents up with the lowest figure, that figure, and how many have it.

    ``figure(task, pool, memory, a)`` is that of agent ``a``; 0, infinity and 0 where none is up.
    """
    best, least, ties = 0, np.inf, 0
    for a in range(pool.up.size):
        if pool.up[a]:
            best, least, ties = lower(a, figure(task, pool, memory, a), best, least, ties)
    return best, least, ties


@register_jitable
def is_ranked(pool):
    """Whether there is a ranking of the agents that are up for this task."""
    return pool.ranking.size > 0 and pool.ranking[1] > 0.0


@register_jitable
def choose_ranked(task, pool):
    """The lowest agent of the ranking, of equals each with the same chance."""
    ties = int(pool.ranking[1])
    return nth_lowest(pool.ranking, which(task, ties)) if ties > 1 else only_lowest(pool.ranking)


@register_jitable
def choose_lowest(figure, task, pool, memory):
    """The agent up with the lowest ``figure``, of equals each with the same chance."""
    if is_ranked(pool):
        return choose_ranked(task, pool)
    best, least, ties = lowest(figure, task, pool, memory)
    if ties > 1:
        left = which(task, ties)
        for a in range(best, pool.up.size):
            if pool.up[a] and figure(task, pool, memory, a) == least:
                if left == 0:
                    return a
                left -= 1
    return best


@register_jitable
def put_lowest(figure, task, pool, memory, out):
    """Put the probability with which each agent is :func:`choose_lowest` into ``out``."""
    best, least, _ = lowest(figure, task, pool, memory)
    for a in range(pool.up.size):
        out[a] = 1.0 if pool.up[a] and figure(task, pool, memory, a) == least else 0.0
    even(out, best)


@register_jitable
def any_up(task, pool, part):
    """An agent that is up, drawn uniformly by the task's number ``part``; 0 where none is.

    The number's whole part names an agent; only if that is down are those that are up counted,
    and its fraction, which does not depend on the whole part, names one of them.
    """
    drawn = draw(task, part) * pool.up.size
    a = int(drawn)
    if pool.up[a]:
        return a
    left = int((drawn - a) * pool.up.sum())
    for a in range(pool.up.size):
        if pool.up[a]:
            if left == 0:
                return a
            left -= 1
    return 0
