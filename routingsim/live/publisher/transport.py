"""How a numbered batch of messages travels to Redis, and its reply back.

Two wires with the same few methods: one connection to one server, where replies may
wait while further batches are sent, and a client of a Redis Cluster, which publishes
through sharded pub/sub (``SPUBLISH``), one batch after the other.
"""

import codecs
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import hiredis
import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from routingsim.live.broker import split_url
from routingsim.live.redis_schema import PUBLISH, history_key, latest_key, publisher_key

__all__ = ["Batch", "ClusterTransport", "ServerTransport", "Transport", "transport_to"]

TIMEOUT = 5.0
"""Seconds that a server may take to accept a connection, or to answer."""

GLANCE = 0.25
"""Seconds between looks at whether the publisher wants to stop, while an answer is awaited."""


# Connecting looks this codec up. A fork while a thread is loading it would leave the child
# without it for good, and so without connections; hence it is loaded now.
codecs.lookup("idna")


class Batch(msgspec.Struct, frozen=True):
    """Encoded messages of one channel, numbered by their publisher from 1.

    ``agents`` holds the agent id of each message where the channel keeps the latest
    message of each agent, and is empty elsewhere.
    """

    channel: str
    publisher: str
    number: int
    messages: list[bytes]
    agents: list[str]

    def command(self, publish: str, history: int, arrived: int) -> list[Any]:
        """The batch as a Redis command.

        EVAL rather than EVALSHA: beside a batch the script's kilobyte is nothing, and a
        server that was restarted and has forgotten the script is no special case.
        """
        keys = [history_key(self.channel), publisher_key(self.channel, self.publisher)]
        if self.agents:
            keys.append(latest_key(self.channel))
        head = (self.channel, publish, history, self.number, arrived, len(self.messages))
        return ["EVAL", PUBLISH, len(keys), *keys, *head, *self.messages, *self.agents]


class Transport(Protocol):
    """What the publisher needs of a connection. Any method may raise RedisError or OSError."""

    depth: int
    """Batches that may be on their way at once."""

    def open(self) -> None:
        """Connect, log in, and see the server answer."""
        ...

    def ping(self) -> None:
        """See the server answer."""
        ...

    def send(self, batch: Batch, arrived: int) -> None:
        """Send a batch; ``arrived`` is the last number of its channel known to be there."""
        ...

    def receive(self, abandoned: Callable[[], bool]) -> None:
        """Await the reply to the oldest batch sent, for as long as it is not abandoned."""
        ...

    def close(self) -> None:
        """Let go of the connection; harmless without one."""
        ...


class ServerTransport:
    """One connection to one Redis or Valkey server."""

    depth = 4

    def __init__(self, url: str, history: int) -> None:
        # Retries are the publisher's to decide, who knows what was in flight.
        options: Any = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
        options["retry"] = Retry(NoBackoff(), 0)
        self._connection = Redis.from_url(url, **options).connection_pool.make_connection()
        self._history = history

    def open(self) -> None:
        self._connection.connect()
        self.ping()

    def ping(self) -> None:
        self._connection.send_command("PING")
        self._connection.read_response()

    def send(self, batch: Batch, arrived: int) -> None:
        command = hiredis.pack_command(tuple(batch.command("PUBLISH", self._history, arrived)))
        self._connection.send_packed_command([command])

    def receive(self, abandoned: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not self._connection.can_read(timeout=GLANCE):
            if abandoned() or time.monotonic() > deadline:
                raise RedisTimeoutError(f"no answer within {TIMEOUT:g} s")
        self._connection.read_response()

    def close(self) -> None:
        self._connection.disconnect()


class ClusterTransport:
    """A client of a Redis Cluster: finds the node of each channel, follows it when it moves."""

    depth = 1

    def __init__(self, url: str, history: int) -> None:
        self._url = url
        self._client: RedisCluster | None = None
        self._history = history

    def open(self) -> None:
        self._client = RedisCluster.from_url(
            self._url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        )
        self.ping()

    def ping(self) -> None:
        assert self._client
        self._client.ping()

    def send(self, batch: Batch, arrived: int) -> None:
        assert self._client
        self._client.execute_command(*batch.command("SPUBLISH", self._history, arrived))

    def receive(self, abandoned: Callable[[], bool]) -> None:
        """The reply came back from ``send``."""

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def transport_to(url: str, history: int) -> Transport:
    """The wire that suits a URL; not yet connected.

    Raises
    ------
    BrokerError
        If ``url`` is not a URL of a Redis server.
    """
    plain, cluster = split_url(url)
    return cast(Transport, (ClusterTransport if cluster else ServerTransport)(plain, history))
