"""How many tokens an agent's answer to a task has: recorded, or told from what is."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus

_LEAST = 20  # answers of an agent from which its mean length is known
_SEVERAL = 0.05  # share of a log's tasks that may have answers of several agents

Floats = NDArray[np.float64]


def output_token_table(corpus: Corpus, pool: AgentPool) -> Floats:
    """Tokens of each agent's answer, shape (tasks, agents); read-only.

    The agent's recorded count; without it the task's; without both the agent's mean. In a log
    with one answer a task the task's count is that of the agent that answered; another's answer
    is taken to be as many times as long as its mean length is times that agent's.
    """
    names = tuple(agent.recorded_as for agent in pool)
    table = _table(corpus, names, tuple(pool.column("output_tokens").tolist()))
    table.flags.writeable = False
    return table


@lru_cache(maxsize=2)  # asked for several times by each replay
def _table(corpus: Corpus, names: tuple[str, ...], means: tuple[float, ...]) -> Floats:
    own = corpus.outcome("output_tokens", names)
    task = corpus.tasks["output_tokens"].to_numpy(dtype=np.float64)
    mean = np.array(means)[:, np.newaxis]
    table = np.where(np.isnan(own), np.where(np.isnan(task), mean, task).T, own)
    found = _answers(corpus)
    if found is None:
        return table
    by, tokens, lengths = found
    served = by >= 0
    for a, name in enumerate(names):
        length = lengths[corpus.agents.index(name)] if name in corpus.agents else np.nan
        if np.isnan(length):
            continue
        scaled = np.where(served, tokens * length / lengths[by], length)
        table[:, a] = np.where(np.isnan(own[:, a]) & np.isfinite(scaled), scaled, table[:, a])
    return table


def _answers(corpus: Corpus) -> tuple[NDArray[np.intp], Floats, Floats] | None:
    """Who answered each task of a log (-1 for nobody), the answers' tokens, and each agent's mean.

    None where there is no token of two agents, or tasks have answers of several.
    """
    own = corpus.outcomes["output_tokens"]
    task = corpus.tasks["output_tokens"].to_numpy(dtype=np.float64)
    if len(corpus.agents) < 2 or (np.isnan(own).all() and np.isnan(task).all()):
        return None
    known = np.any([~np.isnan(values) for values in corpus.outcomes.values()], axis=0)
    served = known.sum(axis=1)
    if (served > 1).sum() > _SEVERAL * (served > 0).sum():
        return None
    by = np.where(served == 1, known.argmax(axis=1), -1)
    of_agent = own[np.arange(by.size), by]
    tokens = np.where(np.isnan(of_agent), task, of_agent)
    lengths = np.full(len(corpus.agents), np.nan)
    for a in range(lengths.size):
        mine = tokens[(by == a) & np.isfinite(tokens)]
        if mine.size >= _LEAST and mine.mean() > 0:
            lengths[a] = mine.mean()
    return by, tokens, lengths
