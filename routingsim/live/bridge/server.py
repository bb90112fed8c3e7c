"""The bridge: a server that passes messages from Redis on to WebSocket clients.

::

    async with Bridge("redis://localhost:6379") as bridge:
        print(bridge.url)
        ...

docs/protocol.md describes the protocol and the close codes; any path will do. While Redis is
away, clients stay connected. The same port answers ``GET /health``, ``/ready`` and ``/metrics``.
"""

import asyncio
import contextlib
import itertools
import logging
import ssl as tls
from collections.abc import Callable, Collection
from typing import Any, Self, cast

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from routingsim.live.bridge.connection import Connection
from routingsim.live.bridge.fanout import Fanout
from routingsim.live.bridge.handshake import Handshake
from routingsim.live.bridge.metrics import BridgeStats
from routingsim.live.bridge.protocol import (
    CHANNELS,
    Action,
    Close,
    Limits,
    Session,
    Subscribe,
    Unsubscribe,
)
from routingsim.live.bridge.send_queue import SendQueue, SlowPolicy
from routingsim.live.bridge.subscriber import Subscriber
from routingsim.live.files import Gate
from routingsim.live.ports import cannot_listen, listen
from routingsim.live.security import Proxies, is_loopback, url_of

GOING_AWAY = 1001
SLOW = 4008

SWEEP_SECONDS = 0.25
"""Time between searches for clients that read nothing."""
FIRST_REPORT_SECONDS = 5.0
"""Time that the start waits for the first attempt to reach Redis."""
SHORTEST_REST, LONGEST_REST = 0.0005, 0.002
"""Seconds between two flushes; the resolution of asyncio's timers is 1 ms."""
WRITE_LIMIT = (64 * 2**10, 0)
"""Bytes in a transport's buffer at which it counts as full, and as free again."""

log = logging.getLogger(__name__)


class Bridge:
    """A WebSocket server that passes on the messages published on Redis.

    Parameters
    ----------
    redis_url
        As in ``REDIS_URL`` (see :mod:`routingsim.live.settings`).
    host, port
        Where to listen; port 0 takes any free one.
    limits
        See :class:`~routingsim.live.bridge.protocol.Limits`.
    slow
        What to do with a client whose queue is over its limit: ``"disconnect"`` closes
        it with 4008, ``"drop"`` drops messages and tells it how many.
    origins
        Origins of pages that may connect, besides those of loopback and of this
        server; ``"*"`` for any.
    by_host
        Whether a bridge on loopback accepts pages whose origin matches the Host header;
        only behind a proxy that authenticates users
        (see :class:`~routingsim.live.addresses.Public`).
    token
        Token that clients must send, in an Authorization header or a first frame.
    ssl
        Certificate and key, to serve ``wss``.
    trusted_proxies
        Addresses and networks of proxies, whose ``X-Forwarded-For`` names the client. Those
        of their clients count for ``connections_per_address``, theirs does not.

    Raises
    ------
    BrokerError
        If ``redis_url`` is not the URL of a Redis server. A server that cannot be
        reached is no error: the bridge waits for it.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        host: str = "127.0.0.1",
        port: int = 3001,
        limits: Limits | None = None,
        slow: SlowPolicy = "disconnect",
        origins: Collection[str] | None = None,
        by_host: bool = False,
        token: str | None = None,
        ssl: tls.SSLContext | None = None,
        trusted_proxies: Collection[str] = (),
    ) -> None:
        self.host = host
        self.limits = limits or Limits()
        self._wanted_port = port
        self._slow: SlowPolicy = slow
        self._token = token
        self._ssl = ssl
        self._handshake = Handshake(
            self.limits,
            lambda: self.stats,
            lambda: len(self._clients),
            origins=origins or (),
            token=token,
            local=is_loopback(host) and not by_host,
            guarded=token is None and not by_host,
            tls=ssl is not None,
            proxies=Proxies(trusted_proxies),
        )
        self.redis_restarts = 0
        """Times that an embedded Redis server died and was started again."""
        self._connections: set[Connection] = set()
        self._shaking_hands: dict[Connection, None] = {}  # oldest first
        self._clients: dict[SendQueue, Connection] = {}
        self._numbers = itertools.count(1)
        self._accepted = self._evicted = self._abusive = self._dropped = 0
        self._fanout = Fanout(
            self.limits,
            schedule=self._schedule,
            resync=lambda channel: self._subscriber.resync(channel),
            evict=self._evict,
        )
        history = self.limits.history_messages
        self._subscriber = Subscriber(redis_url, CHANNELS, history, self._fanout)
        self._next_flush = 0.0
        self._server: Server | None = None
        self._gate: Gate | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Self:
        """Listen, and connect to Redis. Returns when that has succeeded or failed, or after 5 s.

        Raises
        ------
        BrokerError
            If the port is taken; the message names the process where possible.
        """
        try:
            place: dict[str, Any] = {"host": self.host, "port": self._wanted_port}
            if self._ssl is not None:
                self._gate = Gate(listen(self.host, self._wanted_port), self.limits.flood)
                place = {"sock": self._gate}
            self._server = await serve(
                self._handle,
                **place,
                ssl=self._ssl,
                compression=None,  # all clients get the same bytes
                process_request=self._process_request,
                server_header=None,
                open_timeout=self.limits.handshake_seconds,
                close_timeout=self.limits.close_seconds,
                max_size=self.limits.frame_bytes,
                write_limit=WRITE_LIMIT,
                create_connection=cast(Any, self._new_connection),
            )
        except OSError as problem:
            raise cannot_listen(
                "the bridge", self.host, self._wanted_port, "WEBSOCKET_PORT", problem
            ) from problem
        self._tasks = [
            asyncio.create_task(self._subscriber.run(), name="bridge subscriber"),
            asyncio.create_task(self._sweep(), name="bridge sweep"),
        ]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_REPORT_SECONDS):
                    await self._fanout.reported.wait()
        except BaseException:  # a cancelled start leaves nothing running
            await self.stop()
            raise
        log.info(
            "event=listening url=%s upstream=%s", self.url, "up" if self._fanout.up else "down"
        )
        return self

    async def stop(self) -> None:
        """Close every client with 1001 and stop listening; done in about a second."""
        server, self._server = self._server, None
        if server is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        server.close(close_connections=False)
        for connection in list(self._connections):
            connection.begin_close(GOING_AWAY, "server is going away")
        # Each connection has a deadline of its own; this one is for unfinished TLS handshakes.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * self.limits.close_seconds):
                await server.wait_closed()
        log.info("event=stopped delivered=%d", self._fanout.delivered)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        if self._server is None:
            return self._wanted_port
        return self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Address for clients, such as ``ws://127.0.0.1:3001``."""
        return url_of("ws" if self._ssl is None else "wss", self.host, self.port)

    @property
    def stats(self) -> BridgeStats:
        """Current state and counts."""
        clients = [client for client in self._clients.values() if client.queue.lag_bytes]
        return BridgeStats(
            upstream=self._fanout.up,
            was_up=self._fanout.was_up,
            reason=self._fanout.reason,
            clients=len(self._clients),
            lagging=len(clients),
            received=self._fanout.received,
            malformed=self._fanout.malformed,
            delivered=self._fanout.delivered,
            dropped=self._dropped + sum(queue.dropped for queue in self._clients),
            accepted=self._accepted,
            refused=self._handshake.refused,
            evicted=self._evicted,
            abusive=self._abusive,
            redis_restarts=self.redis_restarts,
            lag=tuple(client.lag() for client in clients),
        )

    # Called by connections

    def opened(self, connection: Connection) -> None:
        """Take a new TCP connection, before its handshake.

        If there are too many, the one whose handshake has taken longest is closed.
        """
        self._connections.add(connection)
        self._shaking_hands[connection] = None
        if self._gate is not None:
            self._gate.shook_hands(connection.transport)
        if not self._handshake.enter(connection.address):
            cut = next(iter(self._shaking_hands))
            del self._shaking_hands[cut]
            cut.transport.abort()

    def closed(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._connections.discard(connection)
        self._shaking_hands.pop(connection, None)
        self._handshake.leave(connection.address)
        if self._clients.pop(connection.queue, None) is not None:
            self._dropped += connection.queue.dropped
            log.info("event=client_gone client=%d", connection.number)
        self._fanout.remove(connection.queue)

    def violated(self, connection: Connection, close: Close) -> None:
        """Close a client that broke the rules."""
        self._abusive += 1
        log.warning(
            "event=client_abusive client=%d address=%s reason=%r",
            connection.number,
            connection.address,
            close.reason,
        )
        self._fanout.remove(connection.queue)
        connection.begin_close(close.code, close.reason, read=False)

    def _new_connection(self, *args: Any, **options: Any) -> Connection:
        session = Session(self.limits, asyncio.get_running_loop().time(), token=self._token)
        return Connection(self, session, next(self._numbers), self._slow, *args, **options)

    async def _handle(self, server_connection: ServerConnection) -> None:
        """Serve one client, from its handshake until its connection ends."""
        connection = cast(Connection, server_connection)
        self._accepted += 1
        self._shaking_hands.pop(connection, None)
        self._clients[connection.queue] = connection
        self._fanout.add(connection.queue)
        log.info("event=client client=%d address=%s", connection.number, connection.address)
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(self.limits.auth_seconds, self._check_token, connection)
        try:
            while True:
                message = await connection.recv()
                for action in connection.session.receive(message):
                    self._act(connection, action)
        except ConnectionClosed:
            pass
        finally:
            deadline.cancel()

    def _act(self, connection: Connection, action: Action) -> None:
        queue = connection.queue
        match action:
            case bytes():
                if not queue.control(action):
                    self._evict(queue)
            case Subscribe():
                self._fanout.subscribe(queue, action)
            case Unsubscribe(channel, reply):
                self._fanout.unsubscribe(queue, channel)
                queue.control(reply)
            case Close():
                self.violated(connection, action)

    def _check_token(self, connection: Connection) -> None:
        close = connection.session.auth_overdue()
        if close is not None:
            self.violated(connection, close)

    def _evict(self, queue: SendQueue) -> None:
        """Close a client that is too slow; it may reconnect with ``since``."""
        connection = self._clients.get(queue)
        if connection is None:
            return
        self._evicted += 1
        log.warning(
            "event=client_slow client=%d address=%s messages=%d bytes=%d",
            *msgspec.structs.astuple(connection.lag()),
        )
        self._fanout.remove(queue)
        connection.begin_close(SLOW, "slow")

    def _schedule(self, flush: Callable[[], None]) -> None:
        """Flush in the next turn, or after a rest as long as the last flush took.

        With a thousand clients a flush takes so long that more messages arrive meanwhile.
        Joining these into one write per client is cheaper than to flush again at once.
        """
        loop = asyncio.get_running_loop()
        arrived = loop.time()

        def timed() -> None:
            began = loop.time()
            flush()
            self._next_flush = loop.time() + min(loop.time() - began, LONGEST_REST)
            self._handshake.delays.observe(loop.time() - arrived)

        if self._next_flush - loop.time() < SHORTEST_REST:
            loop.call_soon(timed)
        else:
            loop.call_at(self._next_flush, timed)

    async def _sweep(self) -> None:
        """Evict clients that read nothing, also while nothing is sent."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for queue, connection in list(self._clients.items()):
                if queue.overdue or connection.stalled_seconds(now) > self.limits.stall_seconds:
                    self._evict(queue)

    def _process_request(
        self, server_connection: ServerConnection, request: Request
    ) -> Response | None:
        connection = cast(Connection, server_connection)
        connection.address = self._handshake.behind(request, connection.address)
        answer = self._handshake.answer(request, connection.address)
        if isinstance(answer, Response):
            return answer
        connection.session.authenticated |= answer
        return None
