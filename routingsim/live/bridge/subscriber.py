"""Subscribes to Redis: receives messages, reads the history, reconnects.

One RESP3 connection carries both the messages and the reading of the history.
redis-py's pub/sub is not used: it takes 20 µs per message and gives up after a few
failed attempts to reconnect.

With a Redis Cluster (``rediscluster://`` or ``?cluster=true``) each channel is
subscribed to on the node that owns it (sharded pub/sub), which is found by following
the cluster's redirections.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

import hiredis

from routingsim.live.bridge.decoding import read_messages
from routingsim.live.bridge.protocol import MessageId, format_id
from routingsim.live.bridge.redis_connection import (
    RedisConnection,
    moved,
    open_connection,
    read_url,
)
from routingsim.live.bridge.replay_buffer import START, Message
from routingsim.live.redis_schema import FIELD, history_key, latest_key, with_id
from routingsim.live.settings import redacted

__all__ = ["MessageHandler", "Subscriber"]

HISTORY_SECONDS = 30.0
"""Time to read the whole history, which may be megabytes."""
HEARTBEAT_SECONDS = 1.0
BACKOFF_SECONDS = (0.05, 0.5)
"""First and longest delay between attempts to connect."""

log = logging.getLogger(__name__)

_LOST = (OSError, TimeoutError, EOFError, hiredis.HiredisError)


class MessageHandler(Protocol):
    """Takes what comes from Redis; see :class:`routingsim.live.bridge.fanout.Fanout`."""

    def messages(self, name: str, data: Sequence[bytes]) -> None: ...

    def begin_sync(self, name: str) -> MessageId: ...

    def end_sync(
        self, name: str, stored: Sequence[Message], complete: bool, latest: Sequence[Message]
    ) -> None: ...

    def status(self, up: bool, reason: str) -> None: ...


class Subscriber:
    """Keeps a handler synchronized with channels of a Redis server.

    Parameters
    ----------
    url
        As in ``REDIS_URL`` (see :mod:`routingsim.live.settings`).
    channels
        Names of the channels.
    history
        Number of messages to read of a channel's history, at most.
    handler
        Is called in the event loop.

    Raises
    ------
    BrokerError
        If ``url`` is not the URL of a Redis server.
    """

    def __init__(
        self, url: str, channels: Sequence[str], history: int, handler: MessageHandler
    ) -> None:
        self._address, cluster = read_url(url)
        self._history = history
        self._handler = handler
        groups = [[name] for name in channels] if cluster else [list(channels)]
        self._nodes = [_Node(self, group, cluster) for group in groups]
        self._node_of = {name: node for node in self._nodes for name in node.channels}

    async def run(self) -> None:
        """Connect, and reconnect, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for node in self._nodes:
                tasks.create_task(node.run())

    def resync(self, channel: str) -> None:
        """Synchronize ``channel`` again, soon."""
        self._node_of[channel].resync(channel)

    def _report(self, reason: str) -> None:
        self._handler.status(all(node.up for node in self._nodes), reason)


class _Node:
    """The connection to one node, and the channels subscribed to on it."""

    def __init__(self, upstream: Subscriber, channels: list[str], sharded: bool) -> None:
        self.channels = channels
        self.up = False
        self._subscriber = upstream
        self._sharded = sharded
        self._names = {name.encode(): name for name in channels}
        self._unsynced: set[str] = set()
        self._wake = asyncio.Event()

    def resync(self, channel: str) -> None:
        self._unsynced.add(channel)
        self._wake.set()

    async def run(self) -> None:
        shortest, longest = BACKOFF_SECONDS
        pause, reason, logged = shortest, "", ""
        while True:
            try:
                await self._serve()
            except _LOST as problem:
                reason = redacted(" ".join(str(problem).split())) or type(problem).__name__
            if self.up:
                pause, logged = shortest, ""
            if reason != logged:  # not at each attempt
                log.warning(
                    "event=upstream_down channels=%s reason=%r", ",".join(self.channels), reason
                )
                logged = reason
            self.up = False
            self._subscriber._report(reason)
            # Jitter, so that all bridges of a server do not reconnect at the same time.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(longest, pause * 2)

    async def _serve(self) -> None:
        """Connect and stay connected; ends with an exception when the connection is lost."""
        address = self._subscriber._address
        async with contextlib.AsyncExitStack() as stack:
            connection = await open_connection(address, self._receive, self._wake.set)
            stack.callback(connection.abort)
            try:
                await self._subscribe(connection)
            except hiredis.ReplyError as problem:
                if not str(problem).startswith("MOVED"):
                    raise
                connection = await open_connection(
                    moved(address, str(problem)), self._receive, self._wake.set
                )
                stack.callback(connection.abort)
                await self._subscribe(connection)
            for channel in self.channels:
                await self._sync(connection, channel)
            self.up = True
            log.info("event=upstream_up channels=%s", ",".join(self.channels))
            self._subscriber._report("connected")
            while True:
                # Not wait_for: in Python 3.11 it may swallow a cancellation.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
                await connection.call("PING")
                while self._unsynced:
                    await self._sync(connection, self._unsynced.pop())

    async def _subscribe(self, connection: RedisConnection) -> None:
        for channel in self.channels:
            await connection.call("SSUBSCRIBE" if self._sharded else "SUBSCRIBE", channel)

    async def _sync(self, connection: RedisConnection, channel: str) -> None:
        handler = self._subscriber._handler
        since = handler.begin_sync(channel)
        stored, complete, latest = await self._read(connection, channel, since)
        if since != START and not (stored and stored[0].id == since):
            # The stream was trimmed, or the server lost it and its ids may be lower now.
            stored, complete, latest = await self._read(connection, channel, START)
        handler.end_sync(channel, stored, complete, latest)

    async def _read(
        self, connection: RedisConnection, channel: str, since: MessageId
    ) -> tuple[list[Message], bool, list[Message]]:
        """Messages from ``since`` on, whether these are all there ever were, latest statuses."""
        history = history_key(channel)
        # One transaction, so that the replies are consistent.
        connection.send("MULTI")
        connection.send("XINFO", "STREAM", history)
        limit = self._subscriber._history + 1
        connection.send("XREVRANGE", history, "+", format_id(since), "COUNT", limit)
        connection.send("HVALS", latest_key(channel))
        info, entries, latest = await connection.call("EXEC", seconds=HISTORY_SECONDS)
        for answer in (entries, latest):
            if isinstance(answer, hiredis.ReplyError):
                raise answer
        # Malformed messages were counted when they came over the channel.
        stored, _ = read_messages(channel, _bodies(entries))
        statuses, _ = read_messages(channel, latest)
        return stored, _is_complete(info, len(entries)), statuses

    def _receive(self, pushes: Sequence[list[Any]]) -> None:
        for (kind, name), alike in groupby(pushes, itemgetter(0, 1)):
            if kind == b"message" or kind == b"smessage":
                data = [push[2] for push in alike]
                self._subscriber._handler.messages(self._names[name], data)
            elif kind == b"sunsubscribe":
                raise EOFError("the channel has moved to another node")


def _bodies(entries: Sequence[Any]) -> list[bytes]:
    """Stream entries, newest first, as the messages that subscribers got, oldest first."""
    return [
        with_id(dict(zip(fields[::2], fields[1::2], strict=True)).get(FIELD, b""), entry_id)
        for entry_id, fields in reversed(entries)
    ]


def _is_complete(info: Any, count: int) -> bool:
    """Whether ``count`` messages are all that the stream ever had.

    ``info`` is the reply to XINFO STREAM, an error if there is no stream yet.
    """
    if isinstance(info, hiredis.ReplyError):
        return count == 0
    return info.get(b"entries-added") == info.get(b"length") == count
