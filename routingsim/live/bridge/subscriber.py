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
import re
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import uuid4

import hiredis

from routingsim.live.bridge.decoding import read_messages
from routingsim.live.bridge.fanout import Fanout
from routingsim.live.bridge.protocol import MessageId, format_id
from routingsim.live.bridge.redis_connection import (
    RedisConnection,
    moved,
    open_connection,
    read_url,
)
from routingsim.live.bridge.replay_buffer import START, Message
from routingsim.live.redis_schema import (
    FIELD,
    RESTORE,
    history_key,
    latest_key,
    restore_keys,
    restored_channel,
    with_id,
)
from routingsim.live.settings import redacted
from routingsim.messages import STATUSES

HISTORY_SECONDS = 30.0
"""Time to read the whole history, which may be megabytes."""
HEARTBEAT_SECONDS = 1.0
HAND_IN = 500
"""Messages handed in at a time."""
BACKOFF_SECONDS = (0.05, 0.5)
"""First and longest delay between attempts to connect; far below ``RESTORE_SECONDS``."""

log = logging.getLogger(__name__)

_LOST = (OSError, TimeoutError, EOFError, hiredis.HiredisError)


class Subscriber:
    """Keeps a fan-out synchronized with channels of a Redis server.

    ``url`` is as in ``REDIS_URL``, else there is a BrokerError; ``history`` is the number of
    messages to read of a channel's history, at most.
    """

    def __init__(self, url: str, channels: Sequence[str], history: int, fanout: Fanout) -> None:
        self._address, cluster = read_url(url)
        self._history = history
        self._fanout = fanout
        self._name = uuid4().hex
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
        self._fanout.status(all(node.up for node in self._nodes), reason)


class _Node:
    """The connection to one node, and the channels subscribed to on it."""

    def __init__(self, upstream: Subscriber, channels: list[str], sharded: bool) -> None:
        self.channels = channels
        self.up = False
        self._subscriber = upstream
        self._sharded = sharded
        self._publish = "SPUBLISH" if sharded else "PUBLISH"
        self._names = {name.encode(): name for name in channels}
        self._restored = {restored_channel(name).encode(): name for name in channels}
        self._unsynced: dict[str, bool] = {}
        self._identity = b""
        self._wake = asyncio.Event()

    def resync(self, channel: str, whole: bool = False) -> None:
        self._unsynced[channel] = whole or self._unsynced.get(channel, False)
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
            before, self._identity = self._identity, await self._identify(connection)
            whole = before != self._identity
            await asyncio.gather(*(self._sync(connection, each, whole) for each in self.channels))
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
                    await self._sync(connection, *self._unsynced.popitem())

    async def _subscribe(self, connection: RedisConnection) -> None:
        for channel in self.channels:
            subscribe = "SSUBSCRIBE" if self._sharded else "SUBSCRIBE"
            await connection.call(subscribe, channel)
            with contextlib.suppress(hiredis.ReplyError):  # the user may lack the right
                await connection.call(subscribe, restored_channel(channel))

    async def _identify(self, connection: RedisConnection) -> bytes:
        """A value that changes when the server restarts or follows another, and so may lack
        data."""
        try:
            told = [await connection.call("INFO", part) for part in ("server", "replication")]
        except hiredis.ReplyError:  # the user may lack the right
            return random.randbytes(8)
        return b" ".join(re.findall(rb"(?:run_id|master_replid):\w+", b"\n".join(told)))

    async def _sync(self, connection: RedisConnection, channel: str, whole: bool) -> None:
        """Synchronize a channel; ``whole``: compare all messages, since some may be lost."""
        fanout = self._subscriber._fanout
        while True:
            since = fanout.begin_sync(channel)
            whole |= self._unsynced.pop(channel, False)
            read = await self._read(connection, channel, START if whole else since)
            if not whole and not (read[0] and read[0][0].id == since):
                # The stream was trimmed, or the server lost messages.
                whole = True
                read = await self._read(connection, channel, START)
            lost = fanout.lost(channel, *read[:2]) if whole else []
            if whole and await self._hand_in(connection, channel, since, lost):
                read = await self._read(connection, channel, START)
            if channel not in self._unsynced:  # no notice has come meanwhile
                fanout.end_sync(channel, *read)
                return
            whole = False

    async def _hand_in(
        self,
        connection: RedisConnection,
        channel: str,
        since: MessageId,
        lost: list[tuple[MessageId, bytes]],
    ) -> bool:
        """Hand in what the server has lost, and wait until all bridges could.

        Returns whether the stream may have changed.
        """
        keys = restore_keys(channel) + ([latest_key(channel)] if channel == STATUSES else [])
        name = "" if since == START else self._subscriber._name
        words = [word for id, text in lost for word in (format_id(id), text)]
        waited, wait = bool(lost), 1
        try:
            while words or wait:
                part, words = words[: 2 * HAND_IN], words[2 * HAND_IN :]
                head = (channel, self._publish, name, int(not words))
                wait = await connection.call("EVAL", RESTORE, len(keys), *keys, *head, *part)
                if wait and not words:
                    waited = True
                    await asyncio.sleep(wait / 1000)
        except hiredis.ReplyError as problem:  # read-only, full, or the user may lack the right
            log.warning("event=not_restored channel=%s reason=%r", channel, str(problem))
        if lost:
            log.warning("event=handed_in channel=%s messages=%d", channel, len(lost))
        return waited

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
        # As subscribers got them. Malformed ones were counted when they came over the channel.
        bodies = [
            with_id(dict(zip(fields[::2], fields[1::2], strict=True)).get(FIELD, b""), entry_id)
            for entry_id, fields in reversed(entries)
        ]
        stored, _ = read_messages(channel, bodies)
        statuses, _ = read_messages(channel, latest)
        if isinstance(info, hiredis.ReplyError):  # there is no stream yet
            return stored, not entries, statuses
        complete = info.get(b"entries-added") == info.get(b"length") == len(entries)
        return stored, complete, statuses

    def _receive(self, pushes: Sequence[list[Any]]) -> None:
        for (kind, name), alike in groupby(pushes, itemgetter(0, 1)):
            if name in self._restored and kind in (b"message", b"smessage"):
                self._subscriber._fanout.begin_sync(self._restored[name])  # what follows waits
                self.resync(self._restored[name], whole=any(push[2] == b"lost" for push in alike))
            elif kind == b"message" or kind == b"smessage":
                data = [push[2] for push in alike]
                self._subscriber._fanout.messages(self._names[name], data)
            elif kind == b"sunsubscribe":
                raise EOFError("the channel has moved to another node")
