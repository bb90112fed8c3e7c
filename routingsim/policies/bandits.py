"""Bandits that do not read the text: they learn from late feedback which agent earns most.

Rewards, feedback, forgetting, the budget pacer and the layout of their memory (a head, and
blocks of one value for each agent) are those of :mod:`routingsim.policies.bandit_base`. An
agent that is down is never chosen; one that was never tried comes first.
"""

import math
from typing import Any

import numpy as np
from numba.extending import register_jitable

from routingsim import rng
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import bandit_base as base
from routingsim.policies import pacer
from routingsim.policies.kernel import (
    Kernel,
    choose_kernel,
    learn_kernel,
    probability_kernel,
    unknown,
)
from routingsim.policies.policy import Policy, recipe, sentence, spelled
from routingsim.policies.ties import higher


@learn_kernel
def learn_by_agent(task, agent, outcome, pool, memory):
    """Learn from one of the agent's tries."""
    base.note_outcome(agent, outcome, memory, pool.up.size)


@register_jitable
def _worth(pool, memory, a, cover, cheapest):
    """Mean reward of an agent, less the price of its cost."""
    agents = pool.up.size
    worth, cost = base.mean_reward(memory, agents, a), base.mean_cost(memory, agents, a)
    return base.net(pool, memory, a, worth, cost, cover, cheapest)


@register_jitable
def _greedy(task, pool, memory):
    """An agent of the highest mean reward that is up, and that; -1 where all tries are pending."""
    best, highest, ties = -1, -math.inf, 0
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(pool.up.size):
        worth = _worth(pool, memory, a, cover, cheapest)
        best, highest, ties = higher(task, a, worth, best, highest, ties)
    return best, highest


@choose_kernel
def _by_epsilon(task, pool, memory):
    agents = pool.up.size
    best = -1
    if task.uniform >= base.epsilon(memory):
        best, _ = _greedy(task, pool, memory)
    if best < 0:
        best = base.any_covered(task, pool, memory)
    for a in range(agents):
        worth, cost = base.mean_reward(memory, agents, a), base.mean_cost(memory, agents, a)
        base.offer(pool, memory, a, worth, cost)
    return base.note_choice(task, memory, agents, best)


@probability_kernel
def _epsilon_probabilities(task, pool, memory, out):
    best, highest = _greedy(task, pool, memory)
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(pool.up.size):
        out[a] = 1.0 if _worth(pool, memory, a, cover, cheapest) == highest else 0.0
    base.put_probabilities(task, pool, memory, best, base.epsilon(memory), out)


@recipe("epsilon-greedy")
def epsilon_greedy(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    epsilon: float = 1.0,
    decay: float = 100.0,
    floor: float = 0.01,
    w_quality: float = 1.0,
    w_cost: float = 0.0,
    w_latency: float = 0.0,
    gamma: float = 1.0,
    budget: float = math.inf,
    pace: float = 0.01,
) -> Policy:
    """The agent with the highest mean reward, but sometimes any agent (epsilon-greedy).

    The chance of exploring falls as 1/t: ``max(floor, epsilon / (1 + t / decay))`` at
    choice t from 0 (Auer, Cesa-Bianchi & Fischer, "Finite-time analysis of the multiarmed
    bandit problem", Machine Learning 47, 2002, section 3).

    Parameters
    ----------
    epsilon, floor : float
        Chance of exploring, at first and at least.
    decay : float
        Choices after which it is halved.
    w_quality, w_cost, w_latency : float
        Reward of an answer of quality 1, and what a US dollar and a second take from it.
    gamma : float
        Factor by which a try counts less at each later one; 1 forgets nothing.
    budget : float
        Ceiling of the mean cost of a task, USD (:mod:`routingsim.policies.pacer`).
    pace : float
        What is not spent is kept for more expensive tasks, up to ``1 / pace`` tasks' budgets.

    Raises
    ------
    PolicyError
        If a parameter is out of its range.
    """
    return _bandit("epsilon-greedy", pool, corpus, _by_epsilon, locals(), _epsilon_probabilities)


@register_jitable
def _seen(memory, agents):
    """Tries sent of all agents, those done, and the sum of their rewards."""
    tries = done = total = 0.0
    for a in range(agents):
        tries += base.sent(memory, agents, a)
        done += memory[base.HEAD + base.DONE * agents + a]
        total += memory[base.HEAD + base.REWARD * agents + a]
    return tries, done, total


@register_jitable
def _upper_bound(memory, agents, a, tries, done, total):
    mine = base.sent(memory, agents, a)
    worth = base.mean_reward(memory, agents, a)
    if mine > 0.0 and tries > 0.0:
        if worth == -math.inf:  # all its tries are pending: as good as any
            worth = total / done if done > 0.0 else 0.0
        worth += memory[base.EXPLORE] * math.sqrt(2.0 * math.log(1.0 + tries) / mine)
    return worth


@choose_kernel
def _by_upper_bound(task, pool, memory):
    agents = pool.up.size
    tries, done, total = _seen(memory, agents)
    best, highest, ties = -1, -math.inf, 0
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(agents):
        worth = _upper_bound(memory, agents, a, tries, done, total)
        cost = base.mean_cost(memory, agents, a)
        base.offer(pool, memory, a, worth, cost)
        worth = base.net(pool, memory, a, worth, cost, cover, cheapest)
        best, highest, ties = higher(task, a, worth, best, highest, ties)
    if best < 0:
        best = base.any_covered(task, pool, memory)
    return base.note_choice(task, memory, agents, best)


@probability_kernel
def _bound_probabilities(task, pool, memory, out):
    agents = pool.up.size
    tries, done, total = _seen(memory, agents)
    best, highest = -1, -math.inf
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(agents):
        worth = _upper_bound(memory, agents, a, tries, done, total)
        cost = base.mean_cost(memory, agents, a)
        out[a] = base.net(pool, memory, a, worth, cost, cover, cheapest)
        if out[a] > highest:
            best, highest = a, out[a]
    for a in range(agents):
        out[a] = 1.0 if out[a] == highest else 0.0
    base.put_probabilities(task, pool, memory, best, 0.0, out)


@recipe("ucb1")
def ucb1(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    exploration: float = 1.0,
    w_quality: float = 1.0,
    w_cost: float = 0.0,
    w_latency: float = 0.0,
    gamma: float = 1.0,
    budget: float = math.inf,
    pace: float = 0.01,
) -> Policy:
    """The agent whose mean reward could be highest, by an upper confidence bound (UCB1).

    The bound is ``mean + exploration * sqrt(2 ln(1 + t) / n)`` with n tries of the agent
    of t in all (Auer, Cesa-Bianchi & Fischer, Machine Learning 47, 2002). Under late
    feedback n and t count tries when they are sent, pending ones too, so that a burst does
    not all go to one agent; the mean is over those that have completed (Joulani, György &
    Szepesvári, "Online learning under delayed feedback", ICML 2013). With ``gamma`` below
    1 it is discounted UCB (Garivier & Moulines, 2011).

    Parameters
    ----------
    exploration : float
        Width of the bound: the range that rewards have.
    w_quality, w_cost, w_latency, gamma, budget, pace
        As :func:`epsilon_greedy`.

    Raises
    ------
    PolicyError
        If a parameter is out of its range.
    """
    return _bandit("ucb1", pool, corpus, _by_upper_bound, locals(), _bound_probabilities)


@choose_kernel
def _by_beta_draw(task, pool, memory):
    agents = pool.up.size
    best, highest, ties = -1, -math.inf, 0
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(agents):
        won = 1.0 + memory[base.HEAD + base.REWARD * agents + a]
        lost = 1.0 + max(0.0, memory[base.HEAD + base.DONE * agents + a] + 1.0 - won)
        x = rng.gamma(task.key, 0, 1 + 128 * a, won)
        y = rng.gamma(task.key, 0, 65 + 128 * a, lost)
        mean = won / (won + lost)
        worth = mean + memory[base.EXPLORE] * (x / (x + y) - mean)
        cost = base.mean_cost(memory, agents, a)
        base.offer(pool, memory, a, worth, cost)
        worth = base.net(pool, memory, a, worth, cost, cover, cheapest)
        best, highest, ties = higher(task, a, worth, best, highest, ties)
    if best < 0:
        best = base.any_covered(task, pool, memory)
    return base.note_choice(task, memory, agents, best)


@choose_kernel
def _by_normal_draw(task, pool, memory):
    agents = pool.up.size
    tries = total = squares = 0.0
    for a in range(agents):
        tries += memory[base.HEAD + base.DONE * agents + a]
        total += memory[base.HEAD + base.REWARD * agents + a]
        squares += memory[base.HEAD + base.SQUARES * agents + a]
    # The prior is one try more of each agent, of the mean and variance of all that were seen.
    mean = total / tries if tries > 0.0 else 0.0
    variance = squares / tries - mean * mean if tries >= 2.0 else 1.0
    best, highest, ties = -1, -math.inf, 0
    cover, cheapest = base.covered(task, pool, memory)
    for a in range(agents):
        mine = 1.0 + memory[base.HEAD + base.DONE * agents + a]
        deviation = math.sqrt(max(variance, 1e-12) / mine)
        worth = (mean + memory[base.HEAD + base.REWARD * agents + a]) / mine
        worth += memory[base.EXPLORE] * deviation * rng.normal(task.key, 0, 2 + a)
        cost = base.mean_cost(memory, agents, a)
        base.offer(pool, memory, a, worth, cost)
        worth = base.net(pool, memory, a, worth, cost, cover, cheapest)
        best, highest, ties = higher(task, a, worth, best, highest, ties)
    if best < 0:
        best = base.any_covered(task, pool, memory)
    return base.note_choice(task, memory, agents, best)


@recipe("thompson")
def thompson(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    prior: str = "auto",
    exploration: float = 1.0,
    w_quality: float = 1.0,
    w_cost: float = 0.0,
    w_latency: float = 0.0,
    gamma: float = 1.0,
    budget: float = math.inf,
    pace: float = 0.01,
) -> Policy:
    """An agent drawn by the chance that its mean reward is the highest (Thompson sampling).

    Thompson, Biometrika 25, 1933; Chapelle & Li, "An empirical evaluation of Thompson
    sampling", NeurIPS 2011, who find it robust to late feedback. ``beta`` adds a reward r
    as r of a success and 1 - r of a failure to a uniform prior; it clips rewards to [0, 1].
    ``gaussian`` takes rewards of any size: their variance is estimated over all agents.

    Parameters
    ----------
    prior : {"auto", "beta", "gaussian"}
        ``auto`` is beta where the weights keep rewards in 0 to 1.
    exploration : float
        Factor on a draw's distance from its mean; 0 takes the mean.
    w_quality, w_cost, w_latency, gamma, budget, pace
        As :func:`epsilon_greedy`.

    Raises
    ------
    PolicyError
        If a parameter is out of its range.
    """
    named = locals()
    if prior not in ("auto", "beta", "gaussian"):
        raise PolicyError(f"thompson: prior={prior!r}; choose auto, beta or gaussian")
    bounded = w_quality <= 1 and w_cost == 0 and w_latency == 0
    if prior == "beta" or (prior == "auto" and bounded):
        return _bandit("thompson", pool, corpus, _by_beta_draw, named, least=0.0, most=1.0)
    return _bandit("thompson", pool, corpus, _by_normal_draw, named)


def _bandit(
    name: str,
    pool: AgentPool,
    corpus: Corpus | None,
    choose: Kernel,
    named: dict[str, Any],
    probabilities: Kernel = unknown,
    **bounds: float,
) -> Policy:
    given = base.checked(name, named)
    parts = [
        *(base.head(given, **bounds), np.zeros(base.BLOCKS * len(pool))),
        pacer.fresh(len(pool), given["budget"]),
    ]
    return Policy(
        spelled(name, given),
        choose,
        learn_by_agent,
        memory=np.concatenate(parts),
        reason=sentence(f"By the rewards of earlier tasks ({name}): Routed to {{agent.name}}"),
        parameters=given,
        probabilities=probabilities,
        notes=base.notes(name, given, pool, corpus),
    )
