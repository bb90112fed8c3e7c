"""Columns as checks read them, made up."""

from collections.abc import Mapping

import numpy as np

from routingsim import Agent, AgentPool
from routingsim.corpora.checkup.finding import Columns

NAN = np.nan
FIELDS = ("quality", "cost", "latency", "output_tokens", "failed")


def columns(
    size: int,
    *,
    arrived: np.ndarray | None = None,
    prompt_tokens: float | np.ndarray = 50.0,
    output_tokens: float | np.ndarray = NAN,
    pool: AgentPool | None = None,
    **recorded: Mapping[str, float | np.ndarray],
) -> Columns:
    """Of agents a, b, …: ``a={"cost": 0.1}`` records a cost of 0.1 for every task."""
    outcomes = {field: np.full((size, len(recorded)), NAN) for field in FIELDS}
    for k, fields in enumerate(recorded.values()):
        for field, values in fields.items():
            outcomes[field][:, k] = values
    return Columns(
        tuple(recorded),
        outcomes,
        np.full(size, NAN) if arrived is None else arrived,
        np.broadcast_to(np.asarray(prompt_tokens, float), size),
        np.broadcast_to(np.asarray(output_tokens, float), size),
        pool,
    )


def pool_of(**prices: float) -> AgentPool:
    """Agents at these prices, in USD per 1,000 tokens, with two slots each."""
    return AgentPool(
        tuple(
            Agent(id=name, name=name, cost=price, latency=1.0, concurrency=2)
            for name, price in prices.items()
        )
    )
