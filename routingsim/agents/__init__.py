"""Agents and pools of them, and the TOML files that describe them."""

from routingsim.agents.agent import LIMITS, SYNONYMS, TIME_OUTS, Agent, Billed, Discipline
from routingsim.agents.loading import ArrowStream, PoolLike, builtin_pools, load_agents
from routingsim.agents.pool import AgentPool

__all__ = [
    "LIMITS",
    "SYNONYMS",
    "TIME_OUTS",
    "Agent",
    "AgentPool",
    "ArrowStream",
    "Billed",
    "Discipline",
    "PoolLike",
    "builtin_pools",
    "load_agents",
]
