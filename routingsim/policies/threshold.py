"""The policy of bands of complexity: each band has its own agents, the least loaded serves."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import grammar
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import choose_kernel, probability_kernel
from routingsim.policies.load_balancing import as_loaded, less_loaded
from routingsim.policies.policy import Policy, recipe
from routingsim.policies.ties import even, which
from routingsim.scoring.corpora import corpus_scores

BANDS = ("low", "medium", "high")
_PURPOSE = {
    "low": "a fast, low-cost answer",
    "medium": "a balance of cost and quality",
    "high": "advanced reasoning",
}


# Memory of threshold: two bounds, the load at which to spill over, then the
# three bands, each a list of agents' indices ended by -1.
@register_jitable
def _band(task, pool, memory):
    """Where the list of the task's band begins in the memory."""
    band = 0 if task.d_var < memory[0] else 1 if task.d_var < memory[1] else 2
    return 3 + band * (pool.up.size + 1)


@register_jitable
def _of_band(task, pool, memory):
    """The first of the least loaded, its equals, and whether they are not of the task's band."""
    best, work, slots, ties = -1, 1, 0, 0
    k = _band(task, pool, memory)
    while memory[k] >= 0:
        best, work, slots, ties = less_loaded(pool, int(memory[k]), best, work, slots, ties)
        k += 1
    if best >= 0 and work / slots < memory[2]:
        return best, ties, False
    other, less, on, others = best, work, slots, 0
    for a in range(pool.up.size):
        other, less, on, others = less_loaded(pool, a, other, less, on, others)
    if less * slots < work * on or best < 0:  # the band keeps a task where its agents are as good
        return other, others, True
    return best, ties, False


@choose_kernel
def _by_threshold(task, pool, memory):
    best, ties, spilled = _of_band(task, pool, memory)
    if ties < 2:
        return best
    left, chosen = which(task, ties), best
    if spilled:
        for a in range(pool.up.size):
            equal = as_loaded(pool, a, best)
            chosen = a if equal & (left == 0) else chosen
            left -= equal
        return chosen
    k = _band(task, pool, memory)
    while memory[k] >= 0:
        a = int(memory[k])
        equal = as_loaded(pool, a, best)
        chosen = a if equal & (left == 0) else chosen
        left -= equal
        k += 1
    return chosen


@probability_kernel
def _threshold_probabilities(task, pool, memory, out):
    best, _, spilled = _of_band(task, pool, memory)
    out[:] = 0.0
    if spilled:
        for a in range(pool.up.size):
            out[a] = 1.0 if as_loaded(pool, a, best) else 0.0
    else:
        k = _band(task, pool, memory)
        while memory[k] >= 0:
            out[int(memory[k])] = 1.0 if as_loaded(pool, int(memory[k]), best) else 0.0
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
    """D_var of the corpus's tasks, which the policy sets its bounds by."""
    scores = corpus_scores(corpus) if corpus is not None else None
    if scores is None:
        raise PolicyError(
            f"{policy} sets its bounds by a corpus with texts, or recorded d_var, and none is at "
            "hand"
        )
    return scores["d_var"].to_numpy()


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
