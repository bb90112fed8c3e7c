"""Policies that follow a fixed rule: the cheapest, the fastest, one alone, in turn, or at random.

Of equal agents each is chosen with the same chance, by the task's own draw
(:mod:`routingsim.policies.ties`). An agent that is down, or that has just failed the task, is
passed over.
"""

from collections.abc import Sequence

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import grammar
from routingsim.policies.costs import expected_costs
from routingsim.policies.kernel import certain, choose_kernel, probability_kernel, ranked
from routingsim.policies.policy import Policy, recipe, sentence
from routingsim.policies.ranking import BY_MEMORY
from routingsim.policies.ties import any_up, choose_lowest, even, put_lowest


# Memory of a rule by one figure: that of each agent.
@register_jitable
def _figure(task, pool, memory, a):
    return memory[a]


@ranked(BY_MEMORY)
@choose_kernel
def _by_figure(task, pool, memory):
    return choose_lowest(_figure, task, pool, memory)


@probability_kernel
def _figure_probabilities(task, pool, memory, out):
    put_lowest(_figure, task, pool, memory, out)


# Memory of a rule by cost: what a call costs of each agent, then what each token of the
# prompt adds.
@register_jitable
def _cost(task, pool, memory, a):
    return memory[a] + memory[memory.size // 2 + a] * task.prompt_tokens


@choose_kernel
def _by_cost(task, pool, memory):
    return choose_lowest(_cost, task, pool, memory)


@probability_kernel
def _cost_probabilities(task, pool, memory, out):
    put_lowest(_cost, task, pool, memory, out)


@recipe("cheapest")
def cheapest(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The agent with the lowest expected cost of the task that is up.

    That is what the agent's prices say of the prompt and of an answer of mean length; for an
    agent that has ``cost`` only, its mean cost over the corpus where any is recorded
    (:mod:`routingsim.policies.costs`).
    """
    call, token = expected_costs(pool, corpus)
    reason = sentence("Lowest expected cost: Routed to {agent.name}")
    order = np.lexsort((token, call))
    costlier, steeper = np.diff(call[order]) > 0, np.diff(token[order])
    if (steeper >= 0).all() and costlier[steeper > 0].all():
        # The order is the same for prompts of any length, and none is read.
        choose, memory, chances = _by_figure, call, _figure_probabilities
    else:
        choose, memory, chances = _by_cost, np.concatenate([call, token]), _cost_probabilities
    return Policy("cheapest", choose, memory=memory, reason=reason, probabilities=chances)


@recipe("fastest")
def fastest(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The agent with the shortest mean service time that is up, whatever its queue."""
    return Policy(
        "fastest",
        _by_figure,
        memory=pool.column("mean_service"),
        reason=sentence("Shortest service time ({agent.mean_service:g} s): Routed to {agent.name}"),
        probabilities=_figure_probabilities,
    )


@choose_kernel
def _always(task, pool, memory):
    return int(memory[0])


@recipe("static")
def static(pool: AgentPool, corpus: Corpus | None = None, *, agent: str = "") -> Policy:
    """Always the one agent, up or down: ``static:gpt-4``."""
    if not agent:
        raise PolicyError(f"static needs an agent: static:{pool.ids[0]}, for one")
    index = pool.index(str(agent))
    reason = sentence("Always the same: Routed to {agent.name}")
    memory = np.array([float(index)])
    return Policy(f"static:{agent}", _always, memory=memory, reason=reason, probabilities=certain)


@choose_kernel
def _in_turn(task, pool, memory):
    agents = pool.up.size
    for _ in range(agents):
        a = int(memory[0]) % agents
        memory[0] = a + 1
        if pool.up[a]:
            return a
    return 0


@recipe("round-robin")
def round_robin(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """Each agent in turn."""
    reason = sentence("Next in turn: Routed to {agent.name}")
    return Policy("round-robin", _in_turn, reason=reason, probabilities=certain)


# Memory of weighted choice: the agents' weights.
@choose_kernel
def _by_weight(task, pool, memory):
    total = 0.0
    for a in range(memory.size):
        total += memory[a] * pool.up[a]
    mark = task.uniform * total
    last = -1
    for a in range(memory.size):
        weight = memory[a] * pool.up[a]
        if weight > 0:
            last = a
            if mark < weight:
                return a
            mark -= weight
    if last < 0:  # all that have a weight are down
        last = any_up(task, pool, 1)
    return last


@probability_kernel
def _weight_probabilities(task, pool, memory, out):
    total = 0.0
    for a in range(memory.size):
        out[a] = memory[a] * pool.up[a]
        total += out[a]
    if total > 0:
        out[:] = out / total
    else:  # all that have a weight are down
        out[:] = pool.up
        even(out, 0)


@choose_kernel
def _any(task, pool, memory):
    return any_up(task, pool, 0)


def _by_weights(name: str, weights: NDArray[np.float64], reason: str) -> Policy:
    return Policy(
        name,
        _by_weight,
        memory=weights,
        reason=sentence(reason),
        probabilities=_weight_probabilities,
    )


@recipe("random")
def random(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """Any agent, each with the same chance."""
    return Policy(
        "random",
        _any,
        memory=np.ones(len(pool)),
        reason=sentence("Drawn at random: Routed to {agent.name}"),
        probabilities=_weight_probabilities,
    )


@recipe("weighted")
def weighted(
    pool: AgentPool, corpus: Corpus | None = None, *, weights: str | Sequence[float] = "slots"
) -> Policy:
    """Any agent, drawn by weight: ``slots``, ``capacity`` (calls a second) or ``3/1/1``."""
    if weights == "slots":
        values = pool.column("concurrency")
    elif weights == "capacity":
        values = np.array([agent.capacity for agent in pool])
    else:
        try:
            parts = weights.split("/") if isinstance(weights, str) else weights
            values = np.array([float(part) for part in parts])
        except ValueError:
            values = np.empty(0)
    if values.size != len(pool) or values.min() < 0 or not 0 < values.sum() < np.inf:
        raise PolicyError(
            f"weighted: weights={weights!r}; slots, capacity, or {len(pool)} numbers of 0 or "
            "more are needed, one an agent, as 3/1/1"
        )
    name = f"weighted:{grammar.written(weights)}"
    return _by_weights(name, values, "Drawn by weight: Routed to {agent.name}")
