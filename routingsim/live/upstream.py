"""The bridge's line to Redis: subscribe, read what is stored, notice when it breaks.

One connection carries both the messages and the reading of the history (RESP3
allows it), parsed by hiredis in the event loop. redis-py's pub/sub is not used:
it spends 20 µs a message and gives up after a few failed reconnects.

With a Redis Cluster (``rediscluster://`` or ``?cluster=true``) each channel is
subscribed to on the node that owns it (sharded pub/sub), found by following the
cluster's redirections.
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import hiredis
from redis.asyncio.connection import parse_url

from routingsim.errors import BrokerError
from routingsim.live.backlog import START, Message
from routingsim.live.fanout import read_message
from routingsim.live.history import FIELD, history_key, latest_key, with_id
from routingsim.live.protocol import MessageId, format_id, parse_id
from routingsim.live.settings import redacted

__all__ = ["Listener", "Upstream"]

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 3.0
"""Time for any answer; a server that is paused for longer counts as lost."""
HISTORY_SECONDS = 30.0
HEARTBEAT_SECONDS = 1.0
BACKOFF_SECONDS = (0.05, 1.0)
"""First and longest pause between attempts to connect."""

log = logging.getLogger(__name__)

_NOT_YET = object()
_CONFIRMATIONS = (b"subscribe", b"ssubscribe")
_LOST = (OSError, TimeoutError, EOFError, hiredis.HiredisError)


class Listener(Protocol):
    """Who is told what comes from Redis; see :class:`routingsim.live.fanout.Hub`."""

    def message(self, name: str, data: bytes) -> None: ...

    def hold(self, name: str) -> MessageId: ...

    def settle(
        self, name: str, stored: Sequence[Message], complete: bool, latest: Sequence[Message]
    ) -> None: ...

    def status(self, up: bool, reason: str) -> None: ...


class Upstream:
    """Keeps a listener in step with some channels of a Redis server, come what may.

    Parameters
    ----------
    url
        As in ``REDIS_URL`` (see :mod:`routingsim.live.settings`).
    channels
        Names of the channels.
    history
        Most messages to read of a channel's history.
    listener
        Is told in the event loop, one call at a time.

    Raises
    ------
    BrokerError
        If ``url`` is not one that can be used.
    """

    def __init__(self, url: str, channels: Sequence[str], history: int, listener: Listener) -> None:
        self._address, cluster = _read_url(url)
        self._history = history
        self._listener = listener
        groups = [[name] for name in channels] if cluster else [list(channels)]
        self._lines = [_Line(self, group, cluster) for group in groups]
        self._line_of = {name: line for line in self._lines for name in line.channels}

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for line in self._lines:
                tasks.create_task(line.run())

    def resync(self, channel: str) -> None:
        """Settle ``channel`` once more, soon."""
        self._line_of[channel].resync(channel)

    def _report(self, reason: str) -> None:
        self._listener.status(all(line.up for line in self._lines), reason)


class _Line:
    """One connection and its channels."""

    def __init__(self, upstream: Upstream, channels: list[str], sharded: bool) -> None:
        self.channels = channels
        self.up = False
        self._upstream = upstream
        self._sharded = sharded
        self._unsettled: set[str] = set()
        self._wake = asyncio.Event()

    def resync(self, channel: str) -> None:
        self._unsettled.add(channel)
        self._wake.set()

    async def run(self) -> None:
        shortest, longest = BACKOFF_SECONDS
        pause, reason = shortest, ""
        while True:
            try:
                await self._serve()
            except _LOST as problem:
                reason = redacted(" ".join(str(problem).split())) or type(problem).__name__
            if self.up:
                pause = shortest
            log.warning(
                "event=upstream_down channels=%s reason=%r", ",".join(self.channels), reason
            )
            self.up = False
            self._upstream._report(reason)
            # Jitter, so that bridges that lost one server do not come back as one.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(longest, pause * 2)

    async def _serve(self) -> None:
        """From connecting to losing the connection; always ends with an exception."""
        address = self._upstream._address
        async with contextlib.AsyncExitStack() as stack:
            wire = await _connect(address, self._receive, self._wake.set)
            stack.callback(wire.abort)
            try:
                await self._subscribe(wire)
            except hiredis.ReplyError as problem:
                if not str(problem).startswith("MOVED"):
                    raise
                wire = await _connect(_moved(address, str(problem)), self._receive, self._wake.set)
                stack.callback(wire.abort)
                await self._subscribe(wire)
            for channel in self.channels:
                await self._settle(wire, channel)
            self.up = True
            log.info("event=upstream_up channels=%s", ",".join(self.channels))
            self._upstream._report("connected")
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), HEARTBEAT_SECONDS)
                self._wake.clear()
                await wire.call("PING")
                while self._unsettled:
                    await self._settle(wire, self._unsettled.pop())

    async def _subscribe(self, wire: "_Wire") -> None:
        for channel in self.channels:
            await wire.call("SSUBSCRIBE" if self._sharded else "SUBSCRIBE", channel)

    async def _settle(self, wire: "_Wire", channel: str) -> None:
        listener = self._upstream._listener
        since = listener.hold(channel)
        stored, complete, latest = await self._read(wire, channel, since)
        if since != START and not (stored and stored[0].id == since):
            # Trimmed, or another server's history, whose ids may lie before ours.
            stored, complete, latest = await self._read(wire, channel, START)
        listener.settle(channel, stored, complete, latest)

    async def _read(
        self, wire: "_Wire", channel: str, since: MessageId
    ) -> tuple[list[Message], bool, list[Message]]:
        """What is stored from ``since`` on, whether that is all there ever was, the latest."""
        history = history_key(channel)
        # One transaction, so that its answers are of one moment.
        wire.send("MULTI")
        wire.send("XINFO", "STREAM", history)
        limit = self._upstream._history + 1
        wire.send("XREVRANGE", history, "+", format_id(since), "COUNT", limit)
        wire.send("HVALS", latest_key(channel))
        info, entries, latest = await wire.call("EXEC", seconds=HISTORY_SECONDS)
        for answer in (entries, latest):
            if isinstance(answer, hiredis.ReplyError):
                raise answer
        stored = _stored(channel, entries)
        return stored, _is_complete(info, len(entries)), _statuses(channel, latest)

    def _receive(self, push: list[Any]) -> None:
        kind = push[0]
        if kind == b"message" or kind == b"smessage":
            self._upstream._listener.message(push[1].decode(), push[2])
        elif kind == b"sunsubscribe":
            raise EOFError("the channel has moved to another node")


class _Wire(asyncio.Protocol):
    """RESP3 over a stream: pushes go to ``receive``, replies to whoever called."""

    def __init__(self, receive: Callable[[list[Any]], None], lost: Callable[[], None]) -> None:
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._receive = receive
        self._lost = lost
        self._calls: deque[asyncio.Future[Any] | None] = deque()
        self._transport: asyncio.Transport
        self._problem: BaseException | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or EOFError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        reader, receive = self._reader, self._receive
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOT_YET:
                if not isinstance(reply, hiredis.PushNotification):
                    self._answer(reply)
                elif reply[0] in _CONFIRMATIONS:
                    self._answer(reply)  # in RESP3 the push is all the answer there is
                else:
                    receive(reply)
        except (EOFError, hiredis.HiredisError) as problem:
            self._fail(problem)
            self.abort()

    def send(self, *command: str | int) -> None:
        """Send a command whose answer is not awaited."""
        self._calls.append(None)
        self._transport.write(hiredis.pack_command(command))  # pyright: ignore

    async def call(self, *command: str | int, seconds: float = REPLY_SECONDS) -> Any:
        """Send a command and wait for its answer; errors are raised."""
        if self._problem is not None:
            raise self._problem
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(future)
        self._transport.write(hiredis.pack_command(command))  # pyright: ignore
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise TimeoutError(f"Redis did not answer {command[0]} in {seconds} s") from None

    def abort(self) -> None:
        self._transport.abort()

    def _answer(self, reply: Any) -> None:
        future = self._calls.popleft()
        if future is None or future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def _fail(self, problem: BaseException) -> None:
        self._problem = self._problem or problem
        for future in self._calls:
            if future is not None and not future.done():
                future.set_exception(self._problem)
        self._calls.clear()
        self._lost()


class _Address(NamedTuple):
    """Where a server is and how to log in."""

    host: str
    port: int
    path: str | None
    login: tuple[str, ...]
    database: int
    tls: ssl.SSLContext | None


def _read_url(url: str) -> tuple[_Address, bool]:
    """The address in a URL, and whether it is that of a cluster."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    cluster = query.pop("cluster", "false").lower() in ("true", "1", "yes")
    scheme = parts.scheme
    if scheme == "rediscluster":
        cluster, scheme = True, "rediss" if "ssl_ca_certs" in query else "redis"
    try:
        options: dict[str, Any] = dict(
            parse_url(f"{scheme}://{parts.netloc}{parts.path}?{urlencode(query)}")
        )
    except ValueError as problem:
        raise BrokerError(f"REDIS_URL {redacted(url)!r}: {problem}") from None
    login: tuple[str, ...] = ()
    if password := options.get("password"):
        login = ("AUTH", options.get("username") or "default", password)
    address = _Address(
        host=options.get("host", "localhost"),
        port=options.get("port", 6379),
        path=options.get("path"),
        login=login,
        database=int(options.get("db", 0)),
        tls=_tls(options) if scheme == "rediss" else None,
    )
    return address, cluster


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if certificate := options.get("ssl_certfile"):
            context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    except OSError as problem:
        raise BrokerError(f"TLS files of REDIS_URL or REDIS_CA_FILE: {problem}") from problem
    if str(options.get("ssl_check_hostname", "true")).lower() in ("false", "0", "no"):
        context.check_hostname = False
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _moved(address: _Address, where: str) -> _Address:
    """The node that a cluster's ``MOVED slot host:port`` points to."""
    host, _, port = where.rpartition(" ")[2].rpartition(":")
    return address._replace(host=host.strip("[]") or address.host, port=int(port), path=None)


async def _connect(
    address: _Address, receive: Callable[[list[Any]], None], lost: Callable[[], None]
) -> _Wire:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        if address.path is not None:
            _, wire = await loop.create_unix_connection(lambda: _Wire(receive, lost), address.path)
        else:
            _, wire = await loop.create_connection(
                lambda: _Wire(receive, lost), address.host, address.port, ssl=address.tls
            )
    try:
        await wire.call("HELLO", 3, *address.login, "SETNAME", "routingsim-bridge")
        if address.database:
            await wire.call("SELECT", address.database)
    except BaseException:
        wire.abort()
        raise
    return wire


def _stored(channel: str, entries: Sequence[Any]) -> list[Message]:
    """Stream entries, newest first, as the messages that subscribers got, oldest first."""
    messages: list[Message] = []
    for place, fields in reversed(entries):
        body = dict(zip(fields[::2], fields[1::2], strict=True)).get(FIELD, b"")
        with contextlib.suppress(ValueError):  # counted when it came over the channel
            message = read_message(channel, with_id(body, place))
            messages.append(message._replace(id=parse_id(place.decode())))
    return messages


def _statuses(channel: str, values: Sequence[bytes]) -> list[Message]:
    messages: list[Message] = []
    for value in values:
        with contextlib.suppress(ValueError):
            messages.append(read_message(channel, value))
    return messages


def _is_complete(info: Any, count: int) -> bool:
    """Whether ``count`` messages are all that the stream ever had.

    ``info`` is the answer to XINFO STREAM, an error if there is no stream yet.
    """
    if isinstance(info, hiredis.ReplyError):
        return count == 0
    return info.get(b"entries-added") == info.get(b"length") == count
