"""What a live router publishes: decisions, in parts of a batch, and agents' statuses."""

import time
from typing import Protocol

from routingsim.agents import Agent
from routingsim.messages import AgentStatus, RoutingDecision


class Publisher(Protocol):
    """Where decisions and statuses go: any object with these two methods.

    What they return, if anything, is the number of older messages dropped to make room.
    """

    def publish_routing_decision(self, decision: RoutingDecision) -> int | None:
        """Take a decision, without blocking."""

    def publish_agent_status(self, status: AgentStatus) -> int | None:
        """Take a status, without blocking."""


PART = 500
"""Decisions of a batch that the publisher gets in one call."""


def publish(publisher: Publisher | None, decisions: list[RoutingDecision]) -> None:
    """Publish a part of a batch; waits for room where the publisher can (``publish_batch``)."""
    if many := getattr(publisher, "publish_batch", None):
        many(decisions)
    elif publisher is not None:
        for decision in decisions:
            publisher.publish_routing_decision(decision)


def status_of(
    agent: Agent,
    load: float,
    up: bool = True,
    queued: int | None = None,
    latency: float | None = None,
) -> AgentStatus:
    """An agent's status message, from its load (slots in use over slots) and its queue."""
    word = "offline" if not up else "busy" if load >= 1.0 else "available"
    return AgentStatus(
        agent.id, agent.name, word, load, milliseconds(), queued=queued, latency=latency
    )


def milliseconds() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
