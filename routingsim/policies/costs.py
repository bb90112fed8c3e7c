"""What a call is expected to cost, as far as it is known before the call."""

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool, usd
from routingsim.corpora.answer_tokens import output_token_table
from routingsim.corpora.corpus import Corpus, prompt_tokens


def expected_costs(
    pool: AgentPool, corpus: Corpus | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """USD of a call, and USD that each token of its prompt adds, shape (agents,) each.

    A call costs what :func:`routingsim.agents.usd` says of its prompt and of an answer of mean
    length, as :func:`routingsim.corpora.answer_tokens.output_token_table` has them. An agent
    without prices of input and output, of which costs are recorded, has their mean instead, and
    prompts add nothing.

    Parameters
    ----------
    pool : AgentPool
    corpus : Corpus, optional
    """
    if corpus is None:
        return costs_of_means(pool, pool.column("output_tokens"), np.full(len(pool), np.nan))
    answer = output_token_table(corpus, pool).mean(axis=0)
    cost = corpus.outcome("cost", [agent.recorded_as for agent in pool])
    known = [cost[~np.isnan(cost[:, a]), a] for a in range(len(pool))]
    paid = np.array([each.mean() if each.size else np.nan for each in known])
    return costs_of_means(pool, answer, paid)


def costs_of_means(
    pool: AgentPool, answer: NDArray[np.float64], paid: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same from the mean tokens of answers and the mean recorded cost, shape (agents,) each.

    ``paid`` is NaN where no cost is recorded.
    """
    call, token = usd(pool, 0.0, answer), usd(pool, 1.0, 0.0)
    for a, agent in enumerate(pool):
        if not (np.isnan(paid[a]) or agent.priced):
            call[a], token[a] = paid[a], 0.0
    return call, token


def cost_order(pool: AgentPool, corpus: Corpus | None = None) -> list[str]:
    """Ids of the agents by the expected cost of a task, the cheapest first.

    The prompt is one of mean length; equals come in the order of their ids.
    """
    call, token = expected_costs(pool, corpus)
    length = prompt_tokens(corpus).mean() if corpus is not None and len(corpus) else 0.0
    cost = call + token * length
    return [pool.ids[a] for a in sorted(range(len(pool)), key=lambda a: (cost[a], pool.ids[a]))]
