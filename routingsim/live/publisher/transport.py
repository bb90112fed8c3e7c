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
from routingsim.live.redis_schema import PUBLISH, history_key, latest_key, publisher_key

TIMEOUT = 5.0
"""Seconds for a server to accept a connection, and to answer."""

GLANCE = 0.25
"""Seconds between checks whether the publisher was closed, while a reply is awaited."""


# Connecting needs this codec. If the process forked while a thread was loading it, the child
# could never load it nor connect; hence it is loaded now.
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

        EVAL rather than EVALSHA: the script is small beside a batch, and a restarted server
        that has lost the script is no special case.
        """
        keys = [history_key(self.channel), publisher_key(self.channel, self.publisher)]
        if self.agents:
            keys.append(latest_key(self.channel))
        head = (self.channel, publish, history, self.number, arrived, len(self.messages))
        return ["EVAL", PUBLISH, len(keys), *keys, *head, *self.messages, *self.agents]


class Transport:
    """One connection to one Redis or Valkey server.

    Every method may raise RedisError or OSError.
    """

    depth = 4
    """Batches that may be in flight at once."""

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
        self._connection.send_command("PING")
        self._connection.read_response()

    def send(self, batch: Batch, arrived: int) -> None:
        """Send a batch; ``arrived`` is the last number of its channel known to have arrived."""
        command = hiredis.pack_command(tuple(batch.command("PUBLISH", self._history, arrived)))
        self._connection.send_packed_command([command])

    def receive(self, abandoned: Callable[[], bool]) -> None:
        """Wait for the reply to the oldest batch sent, until ``abandoned`` returns True."""
        deadline = time.monotonic() + TIMEOUT
        while not self._connection.can_read(timeout=GLANCE):
            if abandoned() or time.monotonic() > deadline:
                raise RedisTimeoutError(f"no answer within {TIMEOUT:g} s")
        self._connection.read_response()

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._connection.disconnect()


class ClusterTransport(Transport):
    """A client of a Redis Cluster, which follows channels when they move between nodes.

    It publishes through sharded pub/sub (``SPUBLISH``), and waits for each reply in ``send``.
    """

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
        pass

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def transport_to(url: str, history: int) -> Transport:
    """The transport for a URL, not yet connected; BrokerError if it is not that of a server."""
    plain, cluster = split_url(url)
    return (ClusterTransport if cluster else Transport)(plain, history)
