"""Policies that follow a fixed rule and learn nothing.

Of equal agents each is chosen with the same chance, by the task's own draw
(:mod:`routingsim.policies.ties`). An agent that is down, or that has just failed the task, is
passed over.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import grammar
from routingsim.policies.costs import expected_costs
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import certain, choose_kernel, draw, probability_kernel
from routingsim.policies.policy import Policy, recipe, sentence
from routingsim.policies.ties import any_up, even, lower, which
from routingsim.scoring.dvar import score_column

BANDS = ("low", "medium", "high")
_PURPOSE = {
    "low": "a fast, low-cost answer",
    "medium": "a balance of cost and quality",
    "high": "advanced reasoning",
}


@register_jitable
def _less_loaded(pool, a, best, work, slots, ties):
    """The first of the least loaded, its load, work / slots, and its equals, with ``a`` seen too.

    It begins with -1, 1, 0 and 0. Loads are compared without dividing; work 1 on 0 slots
    stands for no agent yet.
    """
    load = pool.busy[a] + pool.queued[a]
    mine, least = load * slots, work * pool.slots[a]
    if pool.up[a] and mine <= least:
        if mine < least:
            return a, load, pool.slots[a], 1
        ties += 1
    return best, work, slots, ties


@register_jitable
def _as_loaded(pool, a, b):
    """Whether agent ``a`` is up and its load is that of agent ``b``."""
    mine, its = pool.busy[a] + pool.queued[a], pool.busy[b] + pool.queued[b]
    return pool.up[a] > 0 and mine * pool.slots[b] == its * pool.slots[a]


# Memory of threshold: two bounds, the load at which to spill over, then the
# three bands, each a list of agents' indices ended by -1.
@register_jitable
def _band(task, pool, memory):
    """Where the list of the task's band begins in the memory."""
    band = 0 if task.d_var < memory[0] else 1 if task.d_var < memory[1] else 2
    return 3 + band * (pool.busy.size + 1)


@register_jitable
def _of_band(task, pool, memory):
    """The first of the least loaded, its equals, and whether they are not of the task's band."""
    best, work, slots, ties = -1, 1, 0, 0
    k = _band(task, pool, memory)
    while memory[k] >= 0:
        best, work, slots, ties = _less_loaded(pool, int(memory[k]), best, work, slots, ties)
        k += 1
    if best >= 0 and work / slots < memory[2]:
        return best, ties, False
    other, less, on, others = best, work, slots, 0
    for a in range(pool.busy.size):
        other, less, on, others = _less_loaded(pool, a, other, less, on, others)
    if less * slots < work * on or best < 0:  # the band keeps a task where its agents are as good
        return other, others, True
    return best, ties, False


@choose_kernel
def _by_threshold(task, pool, memory):
    best, ties, spilled = _of_band(task, pool, memory)
    if ties < 2:
        return best
    left = which(task, ties)
    if spilled:
        for a in range(best, pool.busy.size):
            if _as_loaded(pool, a, best):
                if left == 0:
                    return a
                left -= 1
    k = _band(task, pool, memory)
    while memory[k] >= 0:
        a = int(memory[k])
        if _as_loaded(pool, a, best):
            if left == 0:
                return a
            left -= 1
        k += 1
    return best


@probability_kernel
def _threshold_probabilities(task, pool, memory, out):
    best, _, spilled = _of_band(task, pool, memory)
    out[:] = 0.0
    if spilled:
        for a in range(pool.busy.size):
            out[a] = 1.0 if _as_loaded(pool, a, best) else 0.0
    else:
        k = _band(task, pool, memory)
        while memory[k] >= 0:
            out[int(memory[k])] = 1.0 if _as_loaded(pool, int(memory[k]), best) else 0.0
            k += 1
    even(out, best)


@recipe("threshold")
def threshold(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    low: float = 0.30,
    medium: float = 0.50,
    calibrated: bool = False,
    shares: str | Sequence[float] = "50/30/20",
    spill: float = np.inf,
    bands: Mapping[str, Sequence[str]] | None = None,
) -> Policy:
    """Bands of complexity, each served by its own agents; least loaded within the band.

    Parameters
    ----------
    low, medium : float
        Bounds on D_var: low < ``low`` ≤ medium < ``medium`` ≤ high.
    calibrated : bool
        Set the bounds so that ``corpus`` splits into ``shares``.
    shares : str or sequence of three floats
        Shares of low, medium and high, as ``"50/30/20"`` or ``(0.5, 0.3, 0.2)``.
    spill : float
        Load of the band's least loaded agent, (busy + queued) / slots, from which
        a task may go to the least loaded agent of the whole pool. Never by default.
    bands : mapping of str to agent ids, optional
        Agents of ``low``, ``medium`` and ``high``; by price where not given
        (:func:`default_bands`).

    Raises
    ------
    PolicyError
        If the bounds are not in order, a band is missing or empty, or
        ``calibrated`` has no corpus with texts to go by.
    """
    if calibrated:
        low, medium = _calibrate(scores_of(corpus, "threshold:calibrated"), shares)
    if not low <= medium:
        raise PolicyError(f"threshold: low={low:g} is above medium={medium:g}")
    chosen = default_bands(pool) if bands is None else dict(bands)
    if set(chosen) != set(BANDS) or not all(chosen.values()):
        raise PolicyError(
            f"threshold: bands are {', '.join(BANDS)}, each with an agent or more; got {chosen}"
        )
    width = len(pool) + 1
    memory = np.full(3 + 3 * width, -1.0)
    memory[:3] = low, medium, spill
    for k, band in enumerate(BANDS):
        indices = [pool.index(agent) for agent in chosen[band]]
        memory[3 + k * width : 3 + k * width + len(indices)] = indices

    # Both bounds are written where one differs from its default.
    bounds = {} if (low, medium) == (0.3, 0.5) else {"low": low, "medium": medium}
    given = {"calibrated": True, "shares": shares} if calibrated else bounds
    defaults = {"shares": "50/30/20", "spill": np.inf}
    return Policy(
        grammar.spelled("threshold", {**given, "spill": spill}, defaults, bare="calibrated"),
        _by_threshold,
        memory=memory,
        reason=partial(_band_reason, low, medium, chosen),
        fitted_on=(FittedTexts.of(corpus),) if calibrated and corpus is not None else (),
        parameters={"low": low, "medium": medium, "spill": spill, "bands": chosen},
        probabilities=_threshold_probabilities,
    )


def _band_reason(
    low: float,
    medium: float,
    bands: Mapping[str, Sequence[str]],
    agent: Agent,
    d_var: float,
    load: float,
) -> str:
    band = BANDS[(d_var >= low) + (d_var >= medium)]
    said = f"{band.capitalize()} complexity (D_var={d_var:.3f})"
    if agent.id in bands[band]:
        return f"{said}: Routed to {agent.name} for {_PURPOSE[band]}"
    return f"{said}, its agents busy: Routed to {agent.name}"


def default_bands(pool: AgentPool) -> dict[str, tuple[str, ...]]:
    """Bands by price: the cheapest third, the dearest third (dearest first), and the rest.

    Equal prices are in the order of the agents' ids. A third is rounded up. Where nothing is
    left for the middle, the agent or two in the middle of the price list serve it.
    """
    by_price = [agent.id for agent in sorted(pool, key=lambda agent: (agent.cost, agent.id))]
    third = -(-len(pool) // 3)
    middle = by_price[third:-third] or by_price[(len(pool) - 1) // 2 : len(pool) // 2 + 1]
    return {
        "low": tuple(by_price[:third]),
        "medium": tuple(middle),
        "high": tuple(reversed(by_price[-third:])),
    }


def scores_of(corpus: Corpus | None, policy: str) -> NDArray[np.float64]:
    """D_var of the corpus's texts, which the policy sets its bounds by."""
    if corpus is None or not corpus.has_texts:
        raise PolicyError(f"{policy} sets its bounds by a corpus with texts, and none is at hand")
    return score_column(corpus.texts)["d_var"].to_numpy()


def _calibrate(scores: NDArray[np.float64], shares: str | Sequence[float]) -> list[float]:
    """Bounds between two scores such that the corpus splits into the shares."""
    try:
        parts = shares.split("/") if isinstance(shares, str) else shares
        low, medium, high = (float(part) for part in parts)
        total = low + medium + high
        if min(low, medium, high) < 0 or not 0 < total < np.inf:
            raise ValueError
    except ValueError:
        raise PolicyError(
            f"threshold: shares={shares!r}; three numbers of 0 or more are needed, as 50/30/20"
        ) from None
    scores = np.sort(scores)
    bounds = []
    for share in (low / total, low / total + medium / total):
        k = round(share * scores.size)
        below = scores[k - 1] if k > 0 else 0.0
        above = scores[k] if k < scores.size else 1.0
        bounds.append(float((below + above) / 2))
    return bounds


# Memory of a rule by one figure: that of each agent.
@register_jitable
def _least(pool, memory):
    best, lowest, ties = 0, np.inf, 0
    for a in range(memory.size):
        if pool.up[a]:
            best, lowest, ties = lower(a, memory[a], best, lowest, ties)
    return best, ties


@choose_kernel
def _by_figure(task, pool, memory):
    best, ties = _least(pool, memory)
    if ties > 1:
        left = which(task, ties)
        for a in range(best, memory.size):
            if pool.up[a] and memory[a] == memory[best]:
                if left == 0:
                    return a
                left -= 1
    return best


@probability_kernel
def _figure_probabilities(task, pool, memory, out):
    best, _ = _least(pool, memory)
    for a in range(memory.size):
        out[a] = 1.0 if pool.up[a] and memory[a] == memory[best] else 0.0
    even(out, best)


# Memory of a rule by cost: what a call costs of each agent, then what each token of the
# prompt adds.
@register_jitable
def _cost(task, memory, a):
    return memory[a] + memory[memory.size // 2 + a] * task.prompt_tokens


@register_jitable
def _least_cost(task, pool, memory):
    best, lowest, ties = 0, np.inf, 0
    for a in range(pool.busy.size):
        if pool.up[a]:
            best, lowest, ties = lower(a, _cost(task, memory, a), best, lowest, ties)
    return best, ties


@choose_kernel
def _by_cost(task, pool, memory):
    best, ties = _least_cost(task, pool, memory)
    if ties > 1:
        left = which(task, ties)
        for a in range(best, pool.busy.size):
            if pool.up[a] and _cost(task, memory, a) == _cost(task, memory, best):
                if left == 0:
                    return a
                left -= 1
    return best


@probability_kernel
def _cost_probabilities(task, pool, memory, out):
    best, _ = _least_cost(task, pool, memory)
    for a in range(pool.busy.size):
        same = _cost(task, memory, a) == _cost(task, memory, best)
        out[a] = 1.0 if pool.up[a] and same else 0.0
    even(out, best)


@recipe("cheapest")
def cheapest(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The agent with the lowest expected cost of the task that is up.

    That is the agent's mean cost over the corpus or, where none is recorded, its price times
    the prompt's tokens and its mean answer's (:mod:`routingsim.policies.costs`).
    """
    call, token = expected_costs(pool, corpus)
    reason = sentence("Lowest expected cost: Routed to {agent.name}")
    order = np.lexsort((token, call))
    dearer, steeper = np.diff(call[order]) > 0, np.diff(token[order])
    if (steeper >= 0).all() and dearer[steeper > 0].all():
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
    agents = pool.busy.size
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
    return _by_weights("random", np.ones(len(pool)), "Drawn at random: Routed to {agent.name}")


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


@register_jitable
def _least_load(pool):
    best, work, slots, ties = -1, 1, 0, 0
    for a in range(pool.busy.size):
        best, work, slots, ties = _less_loaded(pool, a, best, work, slots, ties)
    return max(best, 0), ties


@register_jitable
def least_loaded_of_all(task, pool):
    """The agent with the lowest load that is up; the first where none is."""
    best, ties = _least_load(pool)
    if ties > 1:
        left = which(task, ties)
        for a in range(best, pool.busy.size):
            if _as_loaded(pool, a, best):
                if left == 0:
                    return a
                left -= 1
    return best


@choose_kernel
def _by_load(task, pool, memory):
    return least_loaded_of_all(task, pool)


@register_jitable
def put_least_loaded(pool, out):
    """Put the probability with which each agent is :func:`least_loaded_of_all` into ``out``."""
    best, _ = _least_load(pool)
    for a in range(pool.busy.size):
        out[a] = 1.0 if _as_loaded(pool, a, best) else 0.0
    even(out, best)


@probability_kernel
def _load_probabilities(task, pool, memory, out):
    put_least_loaded(pool, out)


@recipe("least-loaded")
def least_loaded(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The agent with the lowest load, (busy + queued) / slots."""
    reason = sentence("Lowest load ({load:.2f}): Routed to {agent.name}")
    return Policy("least-loaded", _by_load, reason=reason, probabilities=_load_probabilities)


@register_jitable
def _of_two(pool, first, second):
    """The less loaded of two agents; -1 where both are down."""
    agents = pool.busy.size
    if second >= agents or not pool.up[second]:
        second = first
    if not pool.up[first]:
        first = second
    if not pool.up[first]:
        return -1
    one = (pool.busy[first] + pool.queued[first]) / pool.slots[first]
    two = (pool.busy[second] + pool.queued[second]) / pool.slots[second]
    return second if two < one else first


@choose_kernel
def _two_choices(task, pool, memory):
    agents = pool.busy.size
    first = int(task.uniform * agents)
    second = int(draw(task, 1) * (agents - 1))
    chosen = _of_two(pool, first, second + 1 if second >= first else second)
    return chosen if chosen >= 0 else any_up(task, pool, 2)


@probability_kernel
def _two_probabilities(task, pool, memory, out):
    agents = pool.busy.size
    seconds = max(1, agents - 1)  # a single agent is its own second
    out[:] = 0.0
    for first in range(agents):
        for k in range(seconds):
            chosen = _of_two(pool, first, k + 1 if k >= first else k)
            if chosen >= 0:
                out[chosen] += 1.0
            else:
                out += pool.up / max(1, pool.up.sum())
    out[:] = out / (agents * seconds)


@recipe("power-of-two")
def power_of_two(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The less loaded of two agents drawn at random (Mitzenmacher, 2001)."""
    reason = sentence("Less loaded of two drawn ({load:.2f}): Routed to {agent.name}")
    return Policy("power-of-two", _two_choices, reason=reason, probabilities=_two_probabilities)


@register_jitable
def _soonest(pool):
    best, lowest, ties = 0, np.inf, 0
    for a in range(pool.busy.size):
        if pool.up[a]:
            best, lowest, ties = lower(a, pool.wait[a] + pool.service[a], best, lowest, ties)
    return best, lowest, ties


@choose_kernel
def _by_expected_latency(task, pool, memory):
    best, lowest, ties = _soonest(pool)
    if ties > 1:
        left = which(task, ties)
        for a in range(best, pool.busy.size):
            if pool.up[a] and pool.wait[a] + pool.service[a] == lowest:
                if left == 0:
                    return a
                left -= 1
    return best


@probability_kernel
def _latency_probabilities(task, pool, memory, out):
    best, lowest, _ = _soonest(pool)
    for a in range(pool.busy.size):
        out[a] = 1.0 if pool.up[a] and pool.wait[a] + pool.service[a] == lowest else 0.0
    even(out, best)


@recipe("shortest-wait")
def shortest_wait(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """The agent with the shortest expected wait and service together."""
    return Policy(
        "shortest-wait",
        _by_expected_latency,
        reason=sentence("Shortest expected latency: Routed to {agent.name}"),
        probabilities=_latency_probabilities,
    )
