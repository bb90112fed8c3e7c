"""A ranking of the agents that the simulator keeps up to date, for rules that take the lowest.

It is a tree with four children a node, the agents at its leaves from left to right. A node
has the lowest figure of the agents below it that are up, and how many of them have it. When an
agent's figure changes only the nodes above it do, and one of the lowest is found on one way down:
of equal agents the same one as by looking at all in their order.
"""

import numpy as np
from numba.extending import register_jitable

_1, _2, _3, _4, _5, _6, _7 = np.arange(1, 8, dtype=np.uint64)

UNRANKED, BY_LOAD, BY_LATENCY, BY_MEMORY = range(4)
"""By what a rule ranks the agents: nothing, load, expected latency, or the rule's memory."""


def first_leaf(agents: int) -> int:
    """The node of agent 0: how many nodes there are above the leaves."""
    inner = 1
    while 3 * inner + 1 < agents:
        inner = 4 * inner + 1
    return inner


def ranking_size(agents: int) -> int:
    """Numbers in a ranking: two for each node."""
    return 2 * (first_leaf(agents) + -(-agents // 4) * 4)


@register_jitable
def of_children(tree, k):
    """The lowest figure of the children of node ``k``, and how many agents have it.

    Without branches, as which child is the lowest cannot be predicted.
    """
    at = np.uint64(8 * k + 2)
    a, b, c, d = tree[at], tree[at + _2], tree[at + _4], tree[at + _6]
    low, other = a if a < b else b, c if c < d else d
    low = low if low < other else other
    ties = (a == low) * tree[at + _1] + (b == low) * tree[at + _3]
    return low, ties + (c == low) * tree[at + _5] + (d == low) * tree[at + _7]


@register_jitable
def only_lowest(tree):
    """The agent with the lowest figure where there is one: often the one of before.

    With branches, so that the processor need not wait for one node to look at the next.
    """
    lowest, k, inner = tree[0], 0, 0
    while 8 * k + 2 < tree.size:
        inner, k = 4 * inner + 1, 4 * k + 1
        while tree[np.uint64(2 * k)] != lowest:
            k += 1
    return k - inner


@register_jitable
def nth_lowest(tree, n):
    """The agent that is number ``n``, from 0, of several with the lowest figure.

    Without branches, as it is another each time.
    """
    lowest, left, k, inner = tree[0], float(n), 0, 0
    while 8 * k + 2 < tree.size:
        at = np.uint64(8 * k + 2)
        a = (tree[at] == lowest) * tree[at + _1]
        b = a + (tree[at + _2] == lowest) * tree[at + _3]
        c = b + (tree[at + _4] == lowest) * tree[at + _5]
        inner, k = 4 * inner + 1, 4 * k + 1 + int(left >= a) + int(left >= b) + int(left >= c)
        left -= c if left >= c else b if left >= b else a if left >= a else 0.0
    return k - inner
