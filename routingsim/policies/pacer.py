"""The budget pacer: it holds the mean cost of a task at a ceiling.

It has two parts, so that one costly call neither breaks the ceiling nor distorts the price.

**The account** is a hard stop. Every task pays 99.5 % of ``budget`` in when it is sent, and every
try takes out what it cost when it completes; a pending one counts with its agent's mean cost over
about the last ``1 / pace`` tries, so that a rise in price is noticed. (The rest is kept back, so
that a part of a run, which begins with savings, stays below the ceiling too.) The account holds ``1
/ pace`` budgets, or the mean cost of the most expensive agent if that is more; savings beyond that
are lost. An agent may be chosen where its mean cost is covered by what is in the account and the
task's own budget, and so may the cheapest that is up. After a call that cost more than that, the
task's own budget is enough, as long as the debt is below ``1 / pace`` budgets. A first try of an
agent is allowed, as its cost is unknown; while it is pending, the agent is chosen again only where
no other can be. So T tasks cost at most about ``budget * (T + 1 / pace)``, one call more, those
under way and the agents' first, where the cheapest agent costs no more than the budget. This holds
for choices made to explore too.

**The price** decides which tasks are worth a costly agent: a choice is charged ``price *
expected cost / budget``, in units of reward. It is the lowest price, looked for anew at each
eighth choice, at which the last 64 tasks would have cost no more, each by its own expected
rewards and costs, than the target: from half the budget where the account is empty to one
and a half where it is full. From half full on it is lowered in step, down to 0 where the
account is full and further savings would be lost. This is the dual price of the tasks seen
so far (Agrawal, Wang & Ye, "A dynamic near-optimal algorithm for online linear programming",
Operations Research 62, 2014). One call moves it by its part in its agent's mean cost and by
the target, never by cost / budget as a step of dual ascent does (Agrawal & Devanur, "Bandits
with concave rewards and convex knapsacks", EC 2014; ParetoBandit, arXiv:2604.00136).

The account and the last tasks are kept at the end of the memory of a policy with a budget.
"""

import math

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

# At the end of the memory: what is in the account and what is noted so far, both counted in
# budgets and tasks; then of each recent task its agents' worths, and their costs in budgets.
_ACCOUNT, _NOTED, _RECENT = range(3)
RECENT, _EVERY = 64, 8
PAID_IN = 0.995  # of a budget, for each task
_STEPS = 40  # halvings of 24 decades: the price is known to a part in 10^10


def fresh(agents: int, budget: float) -> NDArray[np.float64]:
    """The end of a memory: nothing where there is no ceiling."""
    return np.zeros(_RECENT + 2 * RECENT * agents if budget < math.inf else 0)


# -- in kernels -----------------------------------------------------------------------


@register_jitable
def _begin(memory, agents):
    return memory.size - _RECENT - 2 * RECENT * agents


@register_jitable
def account(memory, agents):
    """What is in the account, in budgets, before what is pending."""
    return memory[_begin(memory, agents) + _ACCOUNT]


@register_jitable
def pay_in(memory, agents, room):
    """Add a task's budget, as far as there is room for it."""
    memory[_begin(memory, agents) + _ACCOUNT] += min(PAID_IN, max(0.0, room))


@register_jitable
def take_out(memory, agents, cost):
    """Take out what a try cost, in budgets."""
    memory[_begin(memory, agents) + _ACCOUNT] -= cost


@register_jitable
def offer(memory, agents, a, worth, cost):
    """Note what the agent is worth for the current task, and its expected cost in budgets."""
    begin = _begin(memory, agents)
    row = begin + _RECENT + 2 * agents * (int(memory[begin + _NOTED]) % RECENT)
    memory[row + a] = worth
    memory[row + agents + a] = cost


@register_jitable
def noted(memory, agents):
    """Keep what was offered, if all of it is known; is it time for a new price?"""
    begin = _begin(memory, agents)
    row = begin + _RECENT + 2 * agents * (int(memory[begin + _NOTED]) % RECENT)
    most = -math.inf
    for a in range(agents):
        most = max(most, memory[row + a])
    if not -math.inf < most < math.inf:  # an agent never tried, or none of which is known
        return False
    memory[begin + _NOTED] += 1.0
    return memory[begin + _NOTED] <= RECENT or memory[begin + _NOTED] % _EVERY == 0.0


@register_jitable
def _mean_cost(memory, agents, price):
    """Mean cost of the recent tasks at a price, in budgets; at an infinite one the least."""
    begin = _begin(memory, agents)
    rows = int(min(RECENT, memory[begin + _NOTED]))
    total = 0.0
    for k in range(rows):
        row = begin + _RECENT + 2 * agents * k
        highest, paid = -math.inf, 0.0
        for a in range(agents):
            worth, cost = memory[row + a], memory[row + agents + a]
            if worth > -math.inf:
                worth = worth - price * cost if price < math.inf else -cost
                if worth > highest:
                    highest, paid = worth, cost
        total += paid
    return total / rows


@register_jitable
def price_of(memory, agents, target):
    """The lowest price at which the recent tasks cost no more than the target, in budgets.

    The price is returned just below that, so that at a tie the more expensive agent is preferred
    and the account decides how often it is chosen.
    """
    if _mean_cost(memory, agents, 0.0) <= target:
        return 0.0
    target = max(target, _mean_cost(memory, agents, math.inf) * (1.0 + 1e-9))
    low, high = 1e-12, 1e12
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        if _mean_cost(memory, agents, middle) > target:
            low = middle
        else:
            high = middle
    return low
