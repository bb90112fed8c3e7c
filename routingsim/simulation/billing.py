"""What calls cost in the engine: tables with a row for each record and a column for each agent.

A cost that a corpus records is used as it is; others are modelled by the agents' prices
(:func:`routingsim.agents.usd`), and the result says so.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.agents import AgentPool, usd
from routingsim.corpora.answer_tokens import output_token_table
from routingsim.corpora.corpus import Corpus, cache_write_tokens, cached_tokens, prompt_tokens

Floats = NDArray[np.float64]

_NONE = np.zeros((0, 0))


def cost_table(corpus: Corpus, pool: AgentPool) -> tuple[Floats, int]:
    """USD per call, shape (tasks, agents), and the number of modelled entries."""
    recorded = _recorded(corpus, pool)
    missing = np.isnan(recorded)
    if not missing.any():
        return recorded, 0
    modelled = _modelled(corpus, pool, output_token_table(corpus, pool))
    return np.where(missing, modelled, recorded), int(missing.sum())


def prompt_cost_table(corpus: Corpus, pool: AgentPool, cost: Floats) -> Floats:
    """USD of the prompts alone, shape (tasks, agents); (0, 0) if no agent bills them so.

    Of a recorded cost it is the share that the prices give to the prompt.

    Parameters
    ----------
    corpus : Corpus
    pool : AgentPool
    cost : ndarray, shape (tasks, agents)
        Of :func:`cost_table`.
    """
    if not any("input" in (agent.failed_cost, agent.cut_off_cost) for agent in pool):
        return _NONE
    alone = _modelled(corpus, pool, 0.0)
    whole = _modelled(corpus, pool, output_token_table(corpus, pool))
    share = np.divide(alone, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.where(np.isnan(_recorded(corpus, pool)), alone, share * cost)


def failed_cost_table(corpus: Corpus, pool: AgentPool, cost: Floats, prompt_cost: Floats) -> Floats:
    """USD of a call that fails, shape (tasks, agents); (0, 0) if it costs as much as any.

    A call that is recorded as failed costs what is recorded of it.

    Parameters
    ----------
    corpus : Corpus
    pool : AgentPool
    cost, prompt_cost : ndarray
        Of :func:`cost_table` and :func:`prompt_cost_table`.
    """
    if all(agent.failed_cost == "all" for agent in pool):
        return _NONE
    table = cost.copy()
    for a, agent in enumerate(pool):
        if agent.failed_cost != "all":
            table[:, a] = prompt_cost[:, a] if agent.failed_cost == "input" else 0.0
    failed = corpus.outcome("failed", [agent.recorded_as for agent in pool]) == 1
    return np.where(failed & ~np.isnan(_recorded(corpus, pool)), cost, table)


def _modelled(corpus: Corpus, pool: AgentPool, answer: ArrayLike) -> Floats:
    """USD of calls by the agents' prices, shape (tasks, agents)."""
    prompt, cached, written = (
        tokens(corpus)[:, np.newaxis]
        for tokens in (prompt_tokens, cached_tokens, cache_write_tokens)
    )
    return usd(pool, prompt, answer, cached, written)


def _recorded(corpus: Corpus, pool: AgentPool) -> Floats:
    return corpus.outcome("cost", [agent.recorded_as for agent in pool])
