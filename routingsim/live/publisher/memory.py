"""A publisher that keeps what it is given, for tests and for looking at messages."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from routingsim.live.publisher.redis import PublisherStats, encoded
from routingsim.messages import AgentStatus, Body, ReplayProgress, RoutingDecision, channel_of

__all__ = ["MemoryPublisher"]


class MemoryPublisher:
    """Stands in for :class:`~routingsim.live.publisher.redis.RedisPublisher`, without a server.

    Attributes
    ----------
    messages
        Channel and encoded message of all that was published, in order.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._closed = False
        self._undelivered = self._dropped = 0

    def publish_routing_decision(self, decision: RoutingDecision) -> None:
        """Keep one decision."""
        self._publish(decision)

    def publish_routing_decisions(self, decisions: Iterable[RoutingDecision]) -> None:
        """Keep many decisions."""
        for decision in decisions:
            self.publish_routing_decision(decision)

    def publish_agent_status(self, status: AgentStatus) -> None:
        """Keep one agent's status."""
        self._publish(status)

    def publish_replay_progress(self, progress: ReplayProgress) -> None:
        """Keep how far a replay is."""
        self._publish(progress)

    @property
    def is_connected(self) -> bool:
        """Whether something was published, and ``disconnect`` not called yet."""
        return bool(self.messages) and not self._closed

    def stats(self) -> PublisherStats:
        """Counts of what became of the messages handed over so far."""
        return PublisherStats(len(self.messages), 0, self._dropped, self._undelivered, 0)

    def flush(self, timeout: float | None = None) -> bool:
        """True, at once."""
        return True

    def disconnect(self, timeout: float = 5.0) -> bool:
        """True, at once; what is handed over later is counted as undelivered."""
        self._closed = True
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    def _publish(self, body: Body) -> None:
        if self._closed:
            self._undelivered += 1
        elif (message := encoded(body)) is None:
            self._dropped += 1
        else:
            self.messages.append((channel_of(body), message))
