"""What calls cost: the one place that turns tokens into USD."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.agents.pool import AgentPool


def usd(
    pool: AgentPool,
    prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    cached_tokens: ArrayLike = 0.0,
    cache_write_tokens: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """USD of calls, shape (..., agents).

    ``(input x (prompt - cached - written) + read x cached + write x written + output x answer)
    / 1,000,000`` with the prices that :attr:`routingsim.agents.Agent.rates` has.

    Parameters
    ----------
    pool : AgentPool
    prompt_tokens, output_tokens : array_like
        Tokens of the prompt, with those of the cache, and of the answer. All shapes are
        broadcast with (agents,).
    cached_tokens, cache_write_tokens : array_like
        Tokens of the prompt that the provider reads from its cache, and writes to it.
    """
    into, out, read, write = np.array([agent.rates for agent in pool]).T
    cached, written = np.asarray(cached_tokens), np.asarray(cache_write_tokens)
    plain = np.asarray(prompt_tokens) - cached - written
    paid = into * plain + out * np.asarray(output_tokens) + read * cached + write * written
    return paid / 1e6
