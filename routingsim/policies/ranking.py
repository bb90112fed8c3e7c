"""A ranking of the agents that the simulator keeps up to date, for rules that take the lowest.

It is a tree with four children a node, the agents at its leaves from left to right. A node
has the lowest figure of the agents below it that are up, and how many of them have it. When an
agent's figure changes only the nodes above it do, and one of the lowest is found on one way down:
of equal agents the same one as by looking at all in their order.
"""

from numba.extending import register_jitable

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
