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
from routingsim.policies.load_balancing import put_least_loaded
from routingsim.policies.lowest_load import EIGHT, bits, least, load_by, load_of, nth_least
from routingsim.policies.policy import Policy, recipe
from routingsim.policies.ties import even, which
from routingsim.scoring.corpora import corpus_scores

BANDS = ("low", "medium", "high")
_PURPOSE = {
    "low": "a fast, low-cost answer",
    "medium": "a balance of cost and quality",
    "high": "advanced reasoning",
}


# Memory of threshold: two bounds, the load at which to spill over, for each band 1 if its agents
# are in the pool's order, the three bands as lists of agents' indices ended by -1, and as bits.
@register_jitable
def _band(task, pool, memory):
    """The task's band, where its list begins in the memory, and where its bits do."""
    band, size = 2 - int(task.d_var < memory[0]) - int(task.d_var < memory[1]), pool.up.size
    lists = 3 + len(BANDS)
    bits = lists + len(BANDS) * (size + 1)
    return band, lists + band * (size + 1), bits + band * -(-size // EIGHT)


@choose_kernel
def _by_threshold(task, pool, memory):
    band, k, first = _band(task, pool, memory)
    alike, word, ties = least(pool, memory, first)
    load = load_by(pool, alike, word)
    if not load < memory[2]:
        _, other, others = least(pool, memory, -1)
        if other < word:  # the band keeps a task where its agents are as good
            return nth_least(pool, memory, -1, alike, other, which(task, others))
    if ties == 0:
        return -1
    left = which(task, ties)
    if memory[3 + band] > 0:
        return nth_least(pool, memory, first, alike, word, left)
    while True:
        a = int(memory[k])
        if load_of(pool, a) == load:
            if left == 0:
                return a
            left -= 1
        k += 1


@probability_kernel
def _threshold_probabilities(task, pool, memory, out):
    _, k, first = _band(task, pool, memory)
    alike, word, _ = least(pool, memory, first)
    _, other, _ = least(pool, memory, -1)
    load = load_by(pool, alike, word)
    if not load < memory[2] and other < word:
        put_least_loaded(pool, out)
        return
    out[:] = 0.0
    while memory[k] >= 0:
        a = int(memory[k])
        out[a] = 1.0 if pool.up[a] and load_of(pool, a) == load else 0.0
        k += 1
    even(out, 0)


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
    listed = [[pool.index(agent) for agent in chosen[band]] for band in BANDS]
    memory = np.array(
        [
            *(low, medium, spill),
            *(band == sorted(band) for band in listed),
            *(a for band in listed for a in (*band, *[-1] * (len(pool) + 1 - len(band)))),
            *(number for band in listed for number in bits(band, len(pool))),
        ],
        dtype=np.float64,
    )

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
