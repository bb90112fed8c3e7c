"""What all publishers have in common."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self

import msgspec

from routingsim.messages import AgentStatus, Body, RoutingDecision, encode

log = logging.getLogger("routingsim.live")


class PublisherStats(msgspec.Struct, frozen=True):
    """Counts of the messages handed over; the first four add up to their number.

    Attributes
    ----------
    published
        Messages that the server has confirmed.
    buffered
        Messages that wait, or have been sent and not yet confirmed.
    dropped
        Messages dropped because the buffer was full, or that could not be encoded.
    undelivered
        Messages left over at ``disconnect``, or handed over after it.
    reconnects
        Times the connection was lost and opened again.
    restored
        Published messages that the server had lost, and has got again.
    lost
        Published messages that the server has lost, and that the publisher no longer held.
        Clients get a notice of a gap.
    """

    published: int
    buffered: int
    dropped: int
    undelivered: int
    reconnects: int
    restored: int = 0
    lost: int = 0


class BasePublisher(ABC):
    """A publisher of decisions, statuses and replay progress. Publishing never raises.

    The methods that publish return how many messages were dropped to make room, usually 0.
    """

    def publish_routing_decision(self, decision: RoutingDecision) -> int:
        """Publish a decision."""
        return self.publish(decision)

    def publish_routing_decisions(self, decisions: Iterable[RoutingDecision]) -> int:
        """Publish many decisions."""
        return sum(self.publish(decision) for decision in decisions)

    def publish_batch(self, decisions: Iterable[RoutingDecision]) -> None:
        """Publish many decisions and drop none: wait for room where there is none."""
        self.publish_routing_decisions(decisions)

    def publish_agent_status(self, status: AgentStatus) -> int:
        """Publish an agent's status."""
        return self.publish(status)

    @abstractmethod
    def publish(self, body: Body) -> int:
        """Publish a message."""

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether there is a connection to the server."""

    @abstractmethod
    def stats(self) -> PublisherStats:
        """Counts of the messages handed over so far."""

    @abstractmethod
    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the buffer is empty, for at most ``timeout`` seconds; whether it is."""

    @abstractmethod
    def disconnect(self, timeout: float = 5.0) -> bool:
        """Send what is buffered, for at most ``timeout`` seconds; whether all was sent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.disconnect()


def encoded(body: Body) -> bytes | None:
    """The encoded message; None, with a line in the log, if it cannot be encoded."""
    try:
        return encode(body)
    except Exception as error:  # one bad message must not stop the others
        log.error("cannot publish %.200r: %s", body, error)
        return None
