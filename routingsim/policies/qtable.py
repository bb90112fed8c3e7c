"""FS-QMIX: Q-learning over how complex a task is and how loaded the pool is.

A state is a pair of small numbers, so that values fit a table that can be read, saved and
served: the band that the task's D_var falls in, and the level of the pool's load. An
action is an agent, and its reward that of :mod:`routingsim.policies.bandit_base`. When a try
completes::

    Q(s, a) += rate * (reward + discount * max Q(s', .) - Q(s, a))

where s' is the task's own band with the load as it is *then*, and the maximum is over the
agents that are up (Watkins & Dayan, "Q-learning", Machine Learning 8, 1992). Values begin
as high as they can get, so that each action is tried.
"""

import math
from collections.abc import Sequence

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import bandit_base as base
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import choose_kernel, learn_kernel, probability_kernel
from routingsim.policies.policy import Policy, check_pool, recipe, sentence, spelled
from routingsim.policies.threshold import scores_of
from routingsim.policies.ties import higher

# Memory, after the head: the learning rate, the discount, the number of bands, the number
# of levels, 1 where an agent's own load makes its level; the bounds of the bands, one fewer
# than bands; the last SEEN choices, with task i at i modulo SEEN; and the table, by band,
# level and agent. A choice is kept as task * cells + cell, -1 for none, so that a try
# is learned from in the cell that its own task was chosen by, retries included. Nothing is
# learned from a task that is still in flight when SEEN later ones have arrived.
RATE, DISCOUNT, BANDS, LEVELS, OWN, BOUNDS = range(base.HEAD, base.HEAD + 6)
SEEN = 4096

LAYOUT = slice(BANDS, OWN + 1)
"""Where the memory says how the rest of it is laid out."""


@register_jitable
def _band(task, memory):
    band = 0
    for k in range(BOUNDS, BOUNDS + int(memory[BANDS]) - 1):
        if task.d_var >= memory[k]:
            band += 1
    return band


@register_jitable
def _level(pool, memory, a):
    """Level of the pool's load (agents that are up, the highest if none is), or of ``a``'s own."""
    steps = int(memory[LEVELS]) - 1
    used = slots = 0
    for b in range(pool.up.size):
        if b == a if memory[OWN] > 0.0 else pool.up[b] > 0:
            used += pool.busy[b] + pool.queued[b]
            slots += pool.slots[b]
    return min(used * steps // slots, steps) if slots else steps


@register_jitable
def _cell(task, pool, memory, a):
    """The agent's cell in the table, at the task's complexity and the load now."""
    row = _band(task, memory) * int(memory[LEVELS]) + _level(pool, memory, a)
    return row * pool.up.size + a


@register_jitable
def _best(task, pool, memory, seen):
    """An agent of the highest value that is up, its cell in the table, and its value."""
    best, place, highest, ties = 0, -1, -math.inf, 0
    for a in range(pool.up.size):
        if pool.up[a]:
            cell = _cell(task, pool, memory, a)
            value = memory[seen + SEEN + cell]
            best, highest, ties = higher(task, a, value, best, highest, ties)
            place = cell if best == a else place
    return best, place, highest


@choose_kernel
def _by_table(task, pool, memory):
    seen = BOUNDS + int(memory[BANDS]) - 1
    cells = memory.size - seen - SEEN
    a, cell, _ = _best(task, pool, memory, seen)
    if task.uniform < base.epsilon(memory):
        a = base.any_covered(task, pool, memory)
        cell = _cell(task, pool, memory, a)
    memory[base.CHOICES] += 1.0
    memory[seen + task.index % SEEN] = task.index * cells + cell if cell >= 0 else -1.0
    return a


@probability_kernel
def _table_probabilities(task, pool, memory, out):
    seen = BOUNDS + int(memory[BANDS]) - 1
    best, _, highest = _best(task, pool, memory, seen)
    for a in range(pool.up.size):
        value = memory[seen + SEEN + _cell(task, pool, memory, a)]
        out[a] = 1.0 if pool.up[a] and value == highest else 0.0
    if highest == -math.inf:  # none is up
        out[best] = 1.0
    base.put_probabilities(task, pool, memory, best, base.epsilon(memory), out)


@learn_kernel
def learn_table(task, agent, outcome, pool, memory):
    """Do one step of Q-learning when a try completes."""
    seen = BOUNDS + int(memory[BANDS]) - 1
    cells = memory.size - seen - SEEN
    noted = int(memory[seen + task.index % SEEN])
    if noted < 0 or noted // cells != task.index:
        return
    memory[seen + task.index % SEEN] = -1.0
    place = seen + SEEN + noted % cells
    _, _, ahead = _best(task, pool, memory, seen)
    target = base.reward(outcome, memory)
    if ahead > -math.inf:
        target += memory[DISCOUNT] * ahead
    memory[place] += memory[RATE] * (target - memory[place])


@recipe("fs-qmix")
def fs_qmix(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    bounds: str | Sequence[float] = "0.3/0.5",
    levels: int = 5,
    own: bool = False,
    rate: float = 0.01,
    discount: float = 0.5,
    epsilon: float = 1.0,
    decay: float = 500.0,
    floor: float = 0.02,
    w_quality: float = 1.0,
    w_cost: float = 0.0,
    w_latency: float = 0.0,
) -> Policy:
    """The agent of the highest learned value at this complexity and load (Q-learning).

    Untrained it explores: train it in the simulator first
    (:func:`routingsim.simulation.training.train`), save it
    (:func:`routingsim.policies.storage.save_policy`) and serve it as ``file:PATH``.

    Parameters
    ----------
    bounds : str or sequence of float
        Between the bands of D_var, as ``0.3/0.5``; or ``calibrated``, for three bands of
        an equal share of the corpus each, or ``calibrated/5`` for five. The policy is
        then named by the bounds found.
    levels : int
        Of load, (busy + queued) / slots, in equal steps; on the highest all slots are in
        use. 1 looks at no load.
    own : bool
        An agent's level is that of its own load, not of the pool's.
    rate : float
        Share of the way that a value moves towards each new estimate.
    discount : float
        What the next state is worth now, 0 or more and below 1.
    epsilon, floor : float
        Chance of exploring, at first and at least.
    decay : float
        Choices after which it is halved.
    w_quality, w_cost, w_latency : float
        Reward of an answer of quality 1, and what a US dollar and a second take from it.

    Raises
    ------
    PolicyError
        If a parameter is out of its range, or bounds are to be calibrated and no corpus
        with texts is given.
    """
    given = base.checked("fs-qmix", locals())
    edges, calibrated = _bounds(bounds, corpus)
    given["bounds"] = "/".join(f"{edge:g}" for edge in edges)
    settings = [rate, discount, edges.size + 1, levels, float(own)]
    table = np.full((edges.size + 1) * levels * len(pool), w_quality / (1.0 - discount))
    reason = (
        "Highest learned value at D_var={d_var:.3f} and this load (fs-qmix): Routed to {agent.name}"
    )
    return Policy(
        spelled("fs-qmix", given),
        _by_table,
        learn_table,
        memory=np.concatenate([base.head(given), settings, edges, np.full(SEEN, -1.0), table]),
        reason=sentence(reason),
        fitted_on=(FittedTexts.of(corpus),) if calibrated and corpus is not None else (),
        parameters=given,
        probabilities=_table_probabilities,
        notes=base.notes("fs-qmix", given, pool, corpus),
    )


def q_values(pool: AgentPool, policy: Policy) -> NDArray[np.float64]:
    """The table of an ``fs-qmix`` policy, shape (bands, levels, agents).

    Raises
    ------
    PolicyError
        If it is another policy.
    """
    check_pool("q_values", "a pool and a policy", pool)
    if policy.learn is not learn_table:
        raise PolicyError(f"{policy.name} has no table of values; fs-qmix has")
    bands, levels = int(policy.memory[BANDS]), int(policy.memory[LEVELS])
    return policy.memory[BOUNDS + bands - 1 + SEEN :].reshape(bands, levels, len(pool)).copy()


def _bounds(
    given: str | Sequence[float], corpus: Corpus | None
) -> tuple[NDArray[np.float64], bool]:
    """The bounds between bands, and whether they were made from the corpus."""
    word, *rest = given.split("/") if isinstance(given, str) else ("", *given)
    try:
        if word == "calibrated":
            shares = int(rest[0]) if rest else 3
            if shares < 1 or len(rest) > 1:
                raise ValueError
            scores = scores_of(corpus, "fs-qmix:bounds=calibrated")
            # Three digits: bounds are written in the policy's name.
            edges = np.quantile(scores, np.arange(1, shares) / shares)
            return np.unique(edges.round(3)), True
        edges = np.array([float(edge) for edge in ([word, *rest] if word else rest)])
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError
        return edges, False
    except (TypeError, ValueError):
        raise PolicyError(
            f"fs-qmix: bounds={given!r}; rising numbers are needed, as 0.3/0.5, or calibrated, "
            "or calibrated/5 for five bands"
        ) from None
