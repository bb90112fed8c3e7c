"""A ranking of the agents that the simulator keeps up to date, for rules that take the lowest.

It is a tree with four children a node, the agents at its leaves from left to right. A node
has the lowest figure of the agents below it that are up, and how many of them have it. When an
agent's figure changes only the nodes above it do, and one of the lowest is found on one way down:
of equal agents the same one as by looking at all in their order.
"""

import math

from numba.extending import register_jitable

UNRANKED, BY_LOAD, BY_LATENCY, BY_MEMORY = range(4)
"""By what a rule ranks the agents: nothing, load, expected latency, or the rule's memory."""


@register_jitable
def _inner(agents):
    """Nodes above the leaves."""
    inner = 1
    while 3 * inner + 1 < agents:
        inner = 4 * inner + 1
    return inner


def ranking_size(agents: int) -> int:
    """Numbers in a ranking: two for each node."""
    return 2 * (_inner(agents) + -(-agents // 4) * 4)


@register_jitable
def nth_lowest(tree, n):
    """The agent that is number ``n``, from 0, of those with the lowest figure."""
    lowest, left, k, inner = tree[0], n, 0, 0
    while 8 * k + 2 < tree.size:
        inner, k = 4 * inner + 1, 4 * k + 1
        while True:
            here = int(tree[2 * k + 1]) if tree[2 * k] == lowest else 0
            if left < here:
                break
            left -= here
            k += 1
    return k - inner


@register_jitable
def rank(tree, agents, a, figure, up):
    """Let agent ``a`` have a figure, if it is up."""
    k = _inner(agents) + a
    lowest, ties = (figure, 1.0) if up else (math.inf, 0.0)
    while tree[2 * k] != lowest or tree[2 * k + 1] != ties:
        tree[2 * k], tree[2 * k + 1] = lowest, ties
        if k == 0:
            break
        k = (k - 1) >> 2
        c = 8 * k + 2
        lowest = min(min(tree[c], tree[c + 2]), min(tree[c + 4], tree[c + 6]))
        ties = 0.0
        for j in range(c, c + 8, 2):
            ties += tree[j + 1] if tree[j] == lowest else 0.0
