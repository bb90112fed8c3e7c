"""LinUCB: a bandit that learns which agent is worth most for which text."""

import math
from functools import partial

import numpy as np
from numba.extending import register_jitable

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.policies import bandit_base as base
from routingsim.policies import pacer
from routingsim.policies.features import CATEGORIES, hashed_features
from routingsim.policies.kernel import choose_kernel, learn_kernel, probability_kernel
from routingsim.policies.policy import Policy, recipe, sentence, spelled
from routingsim.policies.ties import higher

# Memory, after the head and the blocks of the bandits: the size d of a context, the ridge,
# the coordinate whose turn it is when A fades (see _forget); space for two vectors (d each);
# then for each agent the weights theta (d) of its reward and the inverse of its matrix A,
# by rows (d * d); the mean reward that theta is drawn to, and what is left in A of the ridge
# that draws it; with a budget, for each agent the
# weights (d) of its cost less its mean cost, in budgets; and the pacer's.
_CONTEXT = 3  # of d: an intercept, d_var and length; the rest are features
_RANGE = 5.0  # an expected cost is taken to be within this factor of the agent's mean


def layout(agents: int) -> slice:
    """The part of the memory, for so many agents, that gives the layout of the rest."""
    first = base.HEAD + base.BLOCKS * agents
    return slice(first, first + 1)


@register_jitable
def _places(memory, agents):
    """Size of a context, and where the two vectors and the agents' weights begin."""
    first = base.HEAD + base.BLOCKS * agents
    d = int(memory[first])
    return d, first + 3, first + 3 + 2 * d


@register_jitable
def weights_end(memory, agents):
    """Where in the memory, for so many agents, their weights end."""
    d, _, weights = _places(memory, agents)
    return weights + agents * (d + d * d)


@register_jitable
def _set_context(task, memory, x, d):
    memory[x] = 1.0
    memory[x + 1] = task.d_var
    memory[x + 2] = 0.1 * math.log(1.0 + task.prompt_tokens)
    for k in range(d - _CONTEXT):  # a task without a text has no features
        memory[x + _CONTEXT + k] = task.features[k] if k < task.features.size else 0.0


@register_jitable
def _spread(memory, x, v, inverse, d):
    """Put A^-1 x at ``v``, and return x A^-1 x."""
    for j in range(d):
        memory[v + j] = 0.0
    for i in range(d):
        weight = memory[x + i]
        if weight != 0.0:
            row = inverse + i * d
            # Where an index may not be negative the compiler makes a loop over vectors.
            for j in range(d):
                memory[np.uint64(v + j)] += weight * memory[np.uint64(row + j)]
    spread = 0.0
    for j in range(d):
        spread += memory[x + j] * memory[v + j]
    return max(spread, 0.0)


@register_jitable
def _expected_cost(memory, agents, a, x, d):
    """The expected cost of a task with the context at ``x``, in budgets."""
    mean = base.mean_cost(memory, agents, a)
    if 0.0 < mean < math.inf:
        more = weights_end(memory, agents) + 2 + a * d
        cost = mean
        for k in range(d):
            cost += memory[more + k] * memory[x + k]
        return min(max(cost, mean / _RANGE), mean * _RANGE)
    return mean


@register_jitable
def _net_bound(pool, memory, a, cover, cheapest):
    """The agent's upper bound less the price of its cost; it is offered to the pacer.

    The context is in the memory. Infinite for an agent not tried yet, -infinite for one that
    may not be chosen.
    """
    agents = pool.up.size
    d, x, weights = _places(memory, agents)
    pending = memory[base.HEAD + base.PENDING * agents + a]
    untried = pending <= 0.0 and memory[base.HEAD + base.DONE * agents + a] <= 0.0
    if untried and base.may_be_chosen(pool, memory, a, cover, cheapest):
        base.offer(pool, memory, a, math.inf, 0.0)
        return math.inf
    theta = weights + a * (d + d * d)
    worth = 0.0
    for k in range(d):
        worth += memory[theta + k] * memory[x + k]
    spread = _spread(memory, x, x + d, theta + d, d)
    # As if every pending try had been of a task like this one.
    spread /= 1.0 + spread * max(0.0, pending)
    worth += memory[base.EXPLORE] * math.sqrt(spread)
    cost = _expected_cost(memory, agents, a, x, d)
    base.offer(pool, memory, a, worth, cost)
    return base.net(pool, memory, a, worth, cost, cover, cheapest)


@choose_kernel
def _by_linear_bound(task, pool, memory):
    agents = pool.up.size
    d, x, _ = _places(memory, agents)
    _set_context(task, memory, x, d)
    best, highest, ties = -1, -math.inf, 0
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(agents):
        worth = _net_bound(pool, memory, a, cover, cheapest)
        best, highest, ties = higher(task, a, worth, best, highest, ties)
    if best < 0:
        best = base.any_covered(task, pool, memory)
    return base.note_choice(task, memory, agents, best)


@probability_kernel
def _bound_probabilities(task, pool, memory, out):
    agents = pool.up.size
    d, x, _ = _places(memory, agents)
    scratch = memory.copy()  # a probability changes no memory
    _set_context(task, scratch, x, d)
    best, highest = -1, -math.inf
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(agents):
        out[a] = _net_bound(pool, scratch, a, cover, cheapest)
        if out[a] > highest:
            best, highest = a, out[a]
    for a in range(agents):
        out[a] = 1.0 if best >= 0 and out[a] == highest else 0.0
    base.put_probabilities(task, pool, memory, best, 0.0, out)


@learn_kernel
def learn_linear(task, agent, outcome, pool, memory):
    """Learn the agent's reward as a function of the context (recursive least squares)."""
    agents = pool.up.size
    d, x, weights = _places(memory, agents)
    v = x + d
    worth = base.note_outcome(agent, outcome, memory, agents)
    ends = weights_end(memory, agents)
    if memory[base.GAMMA] < 1.0:
        turn = base.HEAD + base.BLOCKS * agents + 2
        for a in range(agents):
            _forget(memory, agents, a, d, int(memory[turn]) % d)
        memory[ends + 1] *= memory[base.GAMMA]
        if int(memory[turn]) % d == 0:
            memory[ends + 1] += d * (1.0 - memory[base.GAMMA]) * memory[turn - 1]
        memory[turn] = (memory[turn] + 1.0) % d
    theta = weights + agent * (d + d * d)
    inverse = theta + d
    _set_context(task, memory, x, d)
    scale = 1.0 / (1.0 + _spread(memory, x, v, inverse, d))
    error = worth
    for k in range(d):
        error -= memory[theta + k] * memory[x + k]
    for i in range(d):
        memory[theta + i] += scale * error * memory[v + i]
    if memory[base.BUDGET] < math.inf and not math.isnan(outcome.cost):
        more = ends + 2 + agent * d
        error = outcome.cost / memory[base.BUDGET] - base.mean_cost(memory, agents, agent)
        for k in range(d):
            error -= memory[more + k] * memory[x + k]
        for i in range(d):
            memory[more + i] += scale * error * memory[v + i]
    for i in range(d):
        for j in range(d):
            memory[inverse + i * d + j] -= scale * memory[v + i] * memory[v + j]
    _draw_to_mean(memory, agents, d)


@register_jitable
def _draw_to_mean(memory, agents, d):
    """Draw the intercepts, by the ridge, to the mean reward of all tries instead of the last.

    What little is known of an agent, or has faded, is then that it is like the others: drawn
    to 0 it would be the worst, and with a narrow bound never be tried again.
    """
    _, _, weights = _places(memory, agents)
    ends = weights_end(memory, agents)
    tries = total = 0.0
    for a in range(agents):
        tries += memory[base.HEAD + base.DONE * agents + a]
        total += memory[base.HEAD + base.REWARD * agents + a]
    mean = total / tries
    step = memory[ends + 1] * (mean - memory[ends])
    for a in range(agents):
        theta = weights + a * (d + d * d)
        for k in range(d):
            memory[theta + k] += step * memory[theta + d + k]
    memory[ends] = mean


@register_jitable
def _forget(memory, agents, a, d, k):
    """Let A and what was learned fade by gamma, then restore the ridge of A's entry k, k.

    The d entries take turns, so that each update has rank one: restoring the faded ridge,
    (1 - gamma) * ridge, on the whole diagonal at once would take an inversion of A.
    """
    _, x, weights = _places(memory, agents)
    theta, v, ends = weights + a * (d + d * d), x + d, weights_end(memory, agents)
    inverse = theta + d
    for j in range(d * d):
        memory[inverse + j] /= memory[base.GAMMA]
    ridge = memory[base.HEAD + base.BLOCKS * agents + 1]
    added = d * (1.0 - memory[base.GAMMA]) * ridge
    scale = added / (1.0 + added * memory[inverse + k * d + k])
    for j in range(d):
        memory[v + j] = memory[inverse + k * d + j]
    weight = memory[theta + k] - (memory[ends] if k == 0 else 0.0)
    for i in range(d):
        memory[theta + i] -= scale * weight * memory[v + i]
    if memory[base.BUDGET] < math.inf:
        more = ends + 2 + a * d
        weight = memory[more + k]
        for i in range(d):
            memory[more + i] -= scale * weight * memory[v + i]
    for i in range(d):
        for j in range(d):
            memory[inverse + i * d + j] -= scale * memory[v + i] * memory[v + j]


@recipe("linucb")
def linucb(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    exploration: float = 0.35,
    ridge: float = 10.0,
    words: int = 16,
    w_quality: float = 1.0,
    w_cost: float = 0.0,
    w_latency: float = 0.0,
    gamma: float = 1.0,
    budget: float = math.inf,
    pace: float = 0.01,
) -> Policy:
    """The agent whose reward for this text could be highest, by a linear bound (LinUCB).

    An agent's reward is a linear function of the context x: 1, D_var, the logarithm of the
    prompt's tokens, and the category and words, hashed
    (:func:`routingsim.policies.features.hashed_features`). It is estimated by ridge
    regression, and the bound is ``theta x + exploration * sqrt(x A^-1 x)`` (Li, Chu,
    Langford & Schapire, "A contextual-bandit approach to personalized news article
    recommendation", WWW 2010, disjoint models), with A^-1 kept by Sherman & Morrison's
    formula. Tries are learned from when they complete; a pending one narrows its agent's
    bound as if it had been of a task like this one. An agent never tried comes first.
    The ridge draws the intercept to the mean reward of all tries, and all else to 0: of an
    agent little is known of, or of which little is left, the most likely is that it is like
    the others. With ``gamma`` below 1, A fades, but for its ridge (after Russac, Vernade &
    Cappé, "Weighted linear bandits for non-stationary environments", NeurIPS 2019).

    With a budget, a task's cost by an agent is estimated as its reward is, within a factor of
    5 of the agent's mean, so that expensive agents are kept for tasks that cost little on them.

    Parameters
    ----------
    exploration : float
        Width of the bound.
    ridge : float
        Penalty.
    words : int
        Columns that words are hashed to.
    w_quality, w_cost, w_latency, gamma, budget, pace
        As :func:`routingsim.policies.epsilon_greedy`.

    Raises
    ------
    PolicyError
        If a parameter is out of its range.
    """
    given = base.checked("linucb", locals())
    d = _CONTEXT + CATEGORIES + words
    start = np.concatenate([np.zeros(d), (np.eye(d) / ridge).ravel()])
    parts = [
        *(base.head(given), np.zeros(base.BLOCKS * len(pool)), [d, ridge, 0.0], np.zeros(2 * d)),
        *(
            np.tile(start, len(pool)),
            [0.0, ridge],
            np.zeros(d * len(pool) if budget < math.inf else 0),
        ),
        pacer.fresh(len(pool), budget),
    ]
    return Policy(
        spelled("linucb", given),
        _by_linear_bound,
        learn_linear,
        memory=np.concatenate(parts),
        reason=sentence("By the rewards of similar tasks (linucb): Routed to {agent.name}"),
        featurize=partial(hashed_features, words=words),
        parameters=given,
        probabilities=_bound_probabilities,
        notes=base.notes("linucb", given, pool, corpus),
    )
