"""Agents and pools of them, and the TOML files that describe them."""

from routingsim.agents.agent import LIMITS, PRICES, TIME_OUTS, Agent, Billed, Discipline
from routingsim.agents.loading import ArrowStream, PoolLike, builtin_pools, load_agents
from routingsim.agents.pool import AgentPool
from routingsim.agents.prices import usd

__all__ = [
    "LIMITS",
    "PRICES",
    "TIME_OUTS",
    "Agent",
    "AgentPool",
    "ArrowStream",
    "Billed",
    "Discipline",
    "PoolLike",
    "builtin_pools",
    "load_agents",
    "usd",
]
