"""What a call is expected to cost, as far as it is known before the call."""

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus, prompt_tokens


def expected_costs(
    pool: AgentPool, corpus: Corpus | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """USD of a call, and USD that each token of its prompt adds, shape (agents,) each.

    A recorded cost counts as it is: an agent of which costs are recorded has their mean, and
    prompts add nothing. Else a call costs price x (tokens of the prompt + mean tokens of an
    answer): the agent's recorded ones, or the tasks', or those of the agents' file.

    Parameters
    ----------
    pool : AgentPool
    corpus : Corpus, optional
    """
    price = pool.column("cost") / 1000.0
    call, token = price * pool.column("output_tokens"), price.copy()
    if corpus is None:
        return call, token
    names = [agent.recorded_as for agent in pool]
    cost, own = corpus.outcome("cost", names), corpus.outcome("output_tokens", names)
    of_task = corpus.tasks["output_tokens"].to_numpy(dtype=np.float64)
    for a in range(len(pool)):
        paid = cost[~np.isnan(cost[:, a]), a]
        tokens = np.where(np.isnan(own[:, a]), of_task, own[:, a])
        answers = tokens[~np.isnan(tokens)]
        if paid.size:
            call[a], token[a] = paid.mean(), 0.0
        elif answers.size:
            call[a] = price[a] * answers.mean()
    return call, token


def cost_order(pool: AgentPool, corpus: Corpus | None = None) -> list[str]:
    """Ids of the agents by the expected cost of a task, the cheapest first.

    The prompt is one of mean length; equals come in the order of their ids.
    """
    call, token = expected_costs(pool, corpus)
    length = prompt_tokens(corpus).mean() if corpus is not None and len(corpus) else 0.0
    cost = call + token * length
    return [pool.ids[a] for a in sorted(range(len(pool)), key=lambda a: (cost[a], pool.ids[a]))]
