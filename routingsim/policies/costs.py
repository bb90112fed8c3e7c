"""What a call is expected to cost, as far as it is known before the call."""

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.answer_tokens import output_token_table
from routingsim.corpora.corpus import Corpus, prompt_tokens


def expected_costs(
    pool: AgentPool, corpus: Corpus | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """USD of a call, and USD that each token of its prompt adds, shape (agents,) each.

    A recorded cost counts as it is: an agent of which costs are recorded has their mean, and
    prompts add nothing. Else a call costs price x (tokens of the prompt + mean tokens of an
    answer), as :func:`routingsim.corpora.answer_tokens.output_token_table` has them.

    Parameters
    ----------
    pool : AgentPool
    corpus : Corpus, optional
    """
    price = pool.column("cost") / 1000.0
    call, token = price * pool.column("output_tokens"), price.copy()
    if corpus is None:
        return call, token
    cost = corpus.outcome("cost", [agent.recorded_as for agent in pool])
    if len(corpus):
        call = price * output_token_table(corpus, pool).mean(axis=0)
    for a in range(len(pool)):
        paid = cost[~np.isnan(cost[:, a]), a]
        if paid.size:
            call[a], token[a] = paid.mean(), 0.0
    return call, token


def cost_order(pool: AgentPool, corpus: Corpus | None = None) -> list[str]:
    """Ids of the agents by the expected cost of a task, the cheapest first.

    The prompt is one of mean length; equals come in the order of their ids.
    """
    call, token = expected_costs(pool, corpus)
    length = prompt_tokens(corpus).mean() if corpus is not None and len(corpus) else 0.0
    cost = call + token * length
    return [pool.ids[a] for a in sorted(range(len(pool)), key=lambda a: (cost[a], pool.ids[a]))]
