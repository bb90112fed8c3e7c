"""What the policies that learn share: rewards, exploration, forgetting, a budget.

Their memory begins with a *head* of settings, at the positions named here. In bandits it
is followed by *blocks* of one value for each agent: what was seen of it so far.

A try's **reward** is ``w_quality * quality - w_cost * cost - w_latency * latency``, with
the try's cost in USD and the latency in seconds since the task arrived. Quality counts as 0
where a try failed or its answer's quality is not recorded, and an unknown cost as 0.

**Feedback is late**: a try is learned from when it completes. Until then it is *pending*.

**Forgetting**: each try that is learned from makes all earlier ones count for ``gamma``
times as much (Garivier & Moulines, "On upper-confidence bound policies for switching
bandit problems", ALT 2011).

**The budget**, a ceiling of the mean cost of a task, is held by
:mod:`routingsim.policies.pacer`. Choices made to explore obey it too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import pacer
from routingsim.policies.kernel import OK, draw
from routingsim.policies.policy import Policy, own_parameters
from routingsim.policies.ties import higher

# The head: weights; the bounds that a reward is clipped to; forgetting; the budget, its pace
# and its price now; exploration (its start, its floor, the choices after which it is
# halved); the number of choices made.
QUALITY, COST, LATENCY, LEAST, MOST, GAMMA, BUDGET, PACE, PRICE = range(9)
EXPLORE, FLOOR, DECAY, CHOICES, HEAD = range(9, 14)

# The blocks, one value for each agent: tries pending; tries done, sum of their rewards and of
# the rewards' squares; tries of known cost, and their cost (USD). All but the first fade; the
# last two no further than to _NOTHING, so that a mean cost is never forgotten.
PENDING, DONE, REWARD, SQUARES, PRICED, SPENT, BLOCKS = range(7)

_NOTHING = 1e-6  # tries that have faded to fewer than this are forgotten


# What each parameter may be: a test, and in words.
_NOT_NEGATIVE = (lambda v: 0 <= v < math.inf, "0 or more")
_SHARE = (lambda v: 0 <= v <= 1, "from 0 to 1")
_COUNT = (lambda v: 1 <= v <= 1000 and v == int(v), "a whole number from 1 to 1000")
_ALLOWED: Mapping[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(("w_quality", "w_cost", "w_latency", "exploration"), _NOT_NEGATIVE),
    **dict.fromkeys(("epsilon", "floor", "rate"), _SHARE),
    **dict.fromkeys(("levels", "words"), _COUNT),
    "budget": (lambda v: v > 0, "above 0, in USD a task (inf for no ceiling)"),
    "decay": (lambda v: v > 0, "above 0, in choices (inf for no decay)"),
    "discount": (lambda v: 0 <= v < 1, "0 or more and below 1"),
    "gamma": (lambda v: 0 < v <= 1, "above 0 and up to 1"),
    "pace": (lambda v: 0 < v < math.inf, "above 0"),
    "ridge": (lambda v: 0 < v < math.inf, "above 0"),
}


def checked(name: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """The policy's own parameters of a recipe's ``locals()``; a PolicyError if one is wrong."""
    given = own_parameters(named)
    for key, (fits, needed) in _ALLOWED.items():
        if key in given and not fits(given[key]):
            raise PolicyError(f"{name}: {key}={given[key]}; it must be {needed}")
    return given


def head(
    given: Mapping[str, Any], *, least: float = -math.inf, most: float = math.inf
) -> NDArray[np.float64]:
    """The head of a memory, shape (HEAD,), from parameters and the bounds of a reward."""
    made = np.zeros(HEAD)
    made[[QUALITY, COST, LATENCY]] = [given[key] for key in ("w_quality", "w_cost", "w_latency")]
    made[[LEAST, MOST]] = least, most
    unset = {"gamma": 1.0, "budget": math.inf, "pace": 1.0, "floor": 0.0, "decay": math.inf}
    made[[GAMMA, BUDGET, PACE, FLOOR, DECAY]] = [given.get(key, unset[key]) for key in unset]
    made[EXPLORE] = given["epsilon"] if "epsilon" in given else given["exploration"]
    return made


def notes(
    name: str, given: Mapping[str, Any], pool: AgentPool, corpus: Corpus | None
) -> tuple[str, ...]:
    """What a reader should know of a policy that learns on a corpus recorded in part."""
    if corpus is None or not given["w_quality"]:
        return ()
    known = ~np.isnan(corpus.outcome("quality", [agent.recorded_as for agent in pool]))
    if known.all() or not known.any():
        return ()
    seen = ", ".join(f"{a} {n:,}" for a, n in zip(pool.ids, known.sum(axis=0), strict=True))
    return (
        f"{name}: it learns from recorded qualities, and an answer without one counts as 0 "
        f"(recorded of {len(corpus):,} tasks: {seen}); train() learns from predictions instead",
    )


def explore(policy: Policy, exploration: float) -> Policy:
    """The policy with a constant exploration from now on; its memory must have a head."""
    memory = np.array(policy.memory, dtype=np.float64)
    memory[[EXPLORE, FLOOR, DECAY]] = exploration, exploration, math.inf
    return replace(policy, memory=memory)


# -- in kernels -----------------------------------------------------------------------


@register_jitable
def reward(outcome, memory):
    """A try's reward by the user's weights."""
    worth = -memory[LATENCY] * outcome.latency
    if outcome.status == OK and not math.isnan(outcome.quality):
        worth += memory[QUALITY] * outcome.quality
    if not math.isnan(outcome.cost):
        worth -= memory[COST] * outcome.cost
    return min(max(worth, memory[LEAST]), memory[MOST])


@register_jitable
def epsilon(memory):
    """Chance of exploring now: halved after DECAY choices, and not below its floor."""
    faded = memory[EXPLORE]
    if memory[DECAY] < math.inf:
        faded /= 1.0 + memory[CHOICES] / memory[DECAY]
    return max(faded, memory[FLOOR])


@register_jitable
def _weight(pool, memory, a, cover, cheapest):
    """How often the agent is drawn: one that costs k budgets a k-th as often as a cheap one."""
    if not may_be_chosen(pool, memory, a, cover, cheapest):
        return 0.0
    mean = mean_cost(memory, pool.up.size, a)
    return 1.0 / mean if 1.0 < mean < math.inf else 1.0


@register_jitable
def any_covered(task, pool, memory):
    """An agent that is up and that the budget covers, drawn at random; 0 where none is up."""
    cover, cheapest = covered(task, pool, memory)
    total = 0.0
    for a in range(pool.up.size):
        total += _weight(pool, memory, a, cover, cheapest)
    left, last = draw(task, 1) * total, 0
    for a in range(pool.up.size):
        weight = _weight(pool, memory, a, cover, cheapest)
        if weight > 0.0:
            left, last = left - weight, a
            if left < 0.0:
                break
    return last


@register_jitable
def put_probabilities(task, pool, memory, best, chance, out):
    """Put into ``out``: what :func:`any_covered` draws with ``chance``, else one of the best.

    With ``best`` -1 it is drawn always. The best are those that ``out`` has marked by 1.
    """
    cover, cheapest = covered(task, pool, memory)
    total = 0.0
    marked = 0.0
    for a in range(pool.up.size):
        total += _weight(pool, memory, a, cover, cheapest)
        marked += out[a]
    drawn = chance if best >= 0 else 1.0
    for a in range(pool.up.size):
        mine = (1.0 - chance) * out[a] / marked if best >= 0 else 0.0
        out[a] = mine + drawn * _weight(pool, memory, a, cover, cheapest) / max(total, 1e-300)


@register_jitable
def sent(memory, agents, a):
    """The agent's tries, pending or done."""
    return memory[HEAD + PENDING * agents + a] + memory[HEAD + DONE * agents + a]


@register_jitable
def mean_reward(memory, agents, a):
    """Mean reward of the agent's tries; infinite before there is one, or any pending."""
    done = memory[HEAD + DONE * agents + a]
    if done > _NOTHING:
        return memory[HEAD + REWARD * agents + a] / done
    return math.inf if memory[HEAD + PENDING * agents + a] <= 0 else -math.inf


@register_jitable
def mean_cost(memory, agents, a):
    """Mean cost of the agent's tries, in budgets; infinite while its first are pending.

    It is 0 before the first, without a budget, and where tries are done whose cost is unknown.
    """
    if memory[BUDGET] == math.inf:
        return 0.0
    tries = memory[HEAD + PRICED * agents + a]
    if tries > 0.0:
        return memory[HEAD + SPENT * agents + a] / (tries * memory[BUDGET])
    untold = memory[HEAD + PENDING * agents + a] > 0.0
    return math.inf if untold and memory[HEAD + DONE * agents + a] <= 0.0 else 0.0


@register_jitable
def _to_spare(memory, agents):
    """What is in the account, in budgets, less what the pending tries should cost."""
    left = pacer.account(memory, agents)
    for a in range(agents):
        mean = mean_cost(memory, agents, a)
        if mean < math.inf:
            left -= max(0.0, memory[HEAD + PENDING * agents + a]) * mean
    return left


@register_jitable
def covered(task, pool, memory):
    """The mean cost, in budgets, that the account or the task covers, and the cheapest agent."""
    agents = pool.up.size
    if memory[BUDGET] == math.inf:
        return math.inf, -1
    spare = _to_spare(memory, agents)
    own = 1.0 if task.attempt == 0 and spare > -1.0 / memory[PACE] else 0.0
    cheapest, least, price, ties = -1, math.inf, -math.inf, 0
    for a in range(agents):
        mean = mean_cost(memory, agents, a)
        if pool.up[a] and mean <= least:
            if mean < least:
                cheapest, least, price, ties = -1, mean, -math.inf, 0
            cheapest, price, ties = higher(task, a, -pool.cost[a], cheapest, price, ties)
    return max(0.0, spare) + own, cheapest


@register_jitable
def may_be_chosen(pool, memory, a, cover, cheapest):
    """Whether the agent is up, and the budget covers it or it is the cheapest."""
    if not pool.up[a]:
        return False
    return a == cheapest or mean_cost(memory, pool.up.size, a) <= cover


@register_jitable
def net(pool, memory, a, worth, cost, cover, cheapest):
    """The worth less the price of the expected cost (budgets); -inf where it may not be chosen."""
    if not may_be_chosen(pool, memory, a, cover, cheapest):
        return -math.inf
    return worth - memory[PRICE] * cost if memory[PRICE] > 0.0 and cost < math.inf else worth


@register_jitable
def offer(pool, memory, a, worth, cost):
    """Note for the pacer what the agent is worth for the task, and its expected cost."""
    if memory[BUDGET] < math.inf:
        known = pool.up[a] and cost < math.inf
        pacer.offer(memory, pool.up.size, a, worth if known else -math.inf, cost)


@register_jitable
def note_choice(task, memory, agents, a):
    """Note that a try was sent to the agent, and return it."""
    if memory[BUDGET] < math.inf:
        spare, most = _to_spare(memory, agents), 1.0 / memory[PACE]
        if pacer.noted(memory, agents):
            full = min(1.0, max(0.0, spare / most))
            memory[PRICE] = pacer.price_of(memory, agents, 0.5 + full) * min(1.0, 2.0 - 2.0 * full)
        if task.attempt == 0:
            for k in range(agents):
                mean = mean_cost(memory, agents, k)
                most = max(most, mean if mean < math.inf else 0.0)
            pacer.pay_in(memory, agents, most - spare)
    memory[CHOICES] += 1.0
    memory[HEAD + PENDING * agents + a] += 1.0
    return a


@register_jitable
def note_outcome(a, outcome, memory, agents):
    """Note how a try went, and return its reward."""
    worth = reward(outcome, memory)
    if memory[GAMMA] < 1.0:
        for k in range(HEAD + DONE * agents, HEAD + PRICED * agents):
            memory[k] *= memory[GAMMA]
        for k in range(HEAD + PRICED * agents, HEAD + SPENT * agents):
            if memory[k] > _NOTHING:
                memory[k] *= memory[GAMMA]
                memory[k + agents] *= memory[GAMMA]
    memory[HEAD + PENDING * agents + a] -= 1.0
    memory[HEAD + DONE * agents + a] += 1.0
    memory[HEAD + REWARD * agents + a] += worth
    memory[HEAD + SQUARES * agents + a] += worth * worth
    if not math.isnan(outcome.cost):
        if memory[BUDGET] < math.inf:
            pacer.take_out(memory, agents, outcome.cost / memory[BUDGET])
            if memory[HEAD + PRICED * agents + a] >= 1.0 / memory[PACE]:
                memory[HEAD + PRICED * agents + a] *= max(0.0, 1.0 - memory[PACE])
                memory[HEAD + SPENT * agents + a] *= max(0.0, 1.0 - memory[PACE])
        memory[HEAD + PRICED * agents + a] += 1.0
        memory[HEAD + SPENT * agents + a] += outcome.cost
    return worth
