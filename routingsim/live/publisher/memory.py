"""A publisher that keeps its messages in memory, for tests and for looking at messages."""

from routingsim.live.publisher.base import BasePublisher, PublisherStats, encoded
from routingsim.messages import Body, channel_of


class MemoryPublisher(BasePublisher):
    """Replaces :class:`~routingsim.live.publisher.redis.RedisPublisher` without a server.

    Attributes
    ----------
    messages
        Channel and encoded message of all that was published, in order.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._closed = False
        self._undelivered = self._dropped = 0

    def publish(self, body: Body) -> int:
        """Keep a message."""
        if self._closed:
            self._undelivered += 1
        elif (message := encoded(body)) is None:
            self._dropped += 1
        else:
            self.messages.append((channel_of(body), message))
        return 0

    @property
    def is_connected(self) -> bool:
        """Whether something was published, and ``disconnect`` was not called yet."""
        return bool(self.messages) and not self._closed

    def stats(self) -> PublisherStats:
        return PublisherStats(len(self.messages), 0, self._dropped, self._undelivered, 0)

    def flush(self, timeout: float | None = None) -> bool:
        """Return True at once."""
        return True

    def disconnect(self, timeout: float = 5.0) -> bool:
        """Return True at once. Messages handed over later count as undelivered."""
        self._closed = True
        return True
