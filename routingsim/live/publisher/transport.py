"""Sends numbered batches of messages to a Redis server or cluster, and receives replies."""

import codecs
import time
from collections.abc import Callable
from typing import Any

import hiredis
import msgspec
from redis.cluster import RedisCluster
from redis.exceptions import TimeoutError as RedisTimeoutError

from routingsim.live.broker import connect_once, split_url
from routingsim.live.redis_schema import (
    PUBLISH,
    latest_key,
    publisher_key,
    restore_keys,
)

TIMEOUT = 5.0
"""Seconds for a server to accept a connection, and to answer."""

GLANCE = 0.25
"""Seconds between checks whether the publisher was closed, while a reply is awaited."""


# Connecting needs this codec. If the process forked while a thread was loading it, the child
# could never load it nor connect; hence it is loaded now.
codecs.lookup("idna")


class Batch(msgspec.Struct, frozen=True):
    """Encoded messages of one channel, numbered by their publisher from 1.

    ``total`` counts the publisher's messages on the channel up to the end of this batch. ``agents``
    holds the agent id of each message where the channel keeps the latest
    message of each agent, and is empty elsewhere.
    """

    channel: str
    publisher: str
    number: int
    total: int
    messages: list[bytes]
    agents: list[str]

    def command(
        self, publish: str, history: int, arrived: int, missing: int, state: int
    ) -> list[Any]:
        """The batch as a Redis command; see :data:`~routingsim.live.redis_schema.PUBLISH`.

        EVAL rather than EVALSHA: the script is small beside a batch, and a restarted server
        that has lost the script is no special case.
        """
        keys = [*restore_keys(self.channel), publisher_key(self.channel, self.publisher)]
        if self.agents:
            keys.append(latest_key(self.channel))
        head = (self.channel, publish, history, self.number, self.total, arrived, missing)
        count = len(self.messages)
        words = (*keys, *head, state, count, *self.messages, *self.agents)
        return ["EVAL", PUBLISH, len(keys), *words]


class Transport:
    """One connection to one Redis or Valkey server.

    Every method may raise RedisError or OSError.
    """

    depth = 4
    """Batches that may be in flight at once."""

    publish = "PUBLISH"
    """The command that publishes."""

    def __init__(self, url: str, history: int) -> None:
        # The publisher repeats what failed: it knows which batches were in flight.
        self._connection = connect_once(url, TIMEOUT).connection_pool.make_connection()
        self._history = history

    def open(self) -> None:
        """Connect, log in and check that the server answers."""
        self._connection.connect()
        self.ping()

    def ping(self) -> None:
        """Check that the server answers."""
        self.call("PING")

    def call(self, *command: Any) -> Any:
        """Send a command and return its reply, while no batch is in flight."""
        self._connection.send_packed_command([hiredis.pack_command(command)])
        return self._connection.read_response()

    def place(self, channel: str, publisher: str) -> tuple[int, int]:
        """Batches and messages of a publisher that the server knows; kept for another day."""
        key = publisher_key(channel, publisher)
        place = self.call("GET", key) or b""
        if place:
            self.call("SET", key, place, "EX", 86400)
        batch, _, total = place.partition(b":")
        return int(batch or 0), int(total or 0)

    def send(self, batch: Batch, arrived: int, missing: int, state: int) -> None:
        """Send a batch.

        ``arrived`` is the last number of its channel known to have arrived, ``missing`` counts
        messages before it that are lost. ``state`` is 1 for the first on a connection, 2 if it was
        sent before, 3 if it had arrived, 0 else.
        """
        words = batch.command(self.publish, self._history, arrived, missing, state)
        self._connection.send_packed_command([hiredis.pack_command(tuple(words))])

    def receive(self, abandoned: Callable[[], bool]) -> str:
        """Wait for the reply to the oldest batch sent, until ``abandoned`` returns True.

        Returns the id of its first message, empty for a batch that was there already.
        """
        deadline = time.monotonic() + TIMEOUT
        while not self._connection.can_read(timeout=GLANCE):
            if abandoned() or time.monotonic() > deadline:
                raise RedisTimeoutError(f"no answer within {TIMEOUT:g} s")
        return (self._connection.read_response() or b"").decode()

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._connection.disconnect()


class ClusterTransport(Transport):
    """A client of a Redis Cluster, which follows channels when they move between nodes.

    It publishes through sharded pub/sub (``SPUBLISH``), and waits for each reply in ``send``.
    """

    depth = 1
    publish = "SPUBLISH"

    def __init__(self, url: str, history: int) -> None:
        self._url = url
        self._client: RedisCluster | None = None
        self._history = history
        self._first = b""

    def open(self) -> None:
        self._client = RedisCluster.from_url(
            self._url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        )
        self.ping()

    def ping(self) -> None:
        assert self._client
        self._client.ping()

    def call(self, *command: Any) -> Any:
        assert self._client
        return self._client.execute_command(*command)

    def send(self, batch: Batch, arrived: int, missing: int, state: int) -> None:
        # Any of the nodes may be new.
        words = batch.command(self.publish, self._history, arrived, missing, max(state, 1))
        self._first = self.call(*words) or b""

    def receive(self, abandoned: Callable[[], bool]) -> str:
        return self._first.decode()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def transport_to(url: str, history: int) -> Transport:
    """The transport for a URL, not yet connected; BrokerError if it is not that of a server."""
    plain, cluster = split_url(url)
    return (ClusterTransport if cluster else Transport)(plain, history)
