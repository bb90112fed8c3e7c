"""A RESP3 connection to Redis in the event loop, parsed by hiredis."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

from routingsim.errors import BrokerError
from routingsim.live.broker import split_url

REACH_SECONDS = 1.0
"""Time to open a TCP connection. TCP repeats a lost first packet only after a second or
more, so a new attempt reaches a server sooner that has just come back."""

CONNECT_SECONDS = 5.0
"""Time to open a TCP connection with TLS."""

REPLY_SECONDS = 3.0
"""Time without any data, while a reply is awaited, after which the server counts as lost.
A reply may come late, behind many messages, without the server being lost."""

Receive = Callable[[Sequence[list[Any]]], None]
"""Takes the push messages that arrived together, in order."""

SLICE = 16_384
"""Bytes given to the parser at a time. After each kilobyte parsed, hiredis moves the rest of
its buffer to the front, which takes long in a large buffer."""

Address = dict[str, Any]
"""The parts of a URL by redis-py's names for them, and ``tls``, an SSLContext or None."""

_NOT_YET = object()
_CONFIRMATIONS = (b"subscribe", b"ssubscribe")


class RedisConnection(asyncio.Protocol):
    """RESP3 over a stream: push messages go to ``receive``, replies to the caller."""

    def __init__(self, receive: Receive, lost: Callable[[], None]) -> None:
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._receive = receive
        self._lost = lost
        self._calls: deque[asyncio.Future[Any] | None] = deque()
        self._heard = 0.0
        self._transport: asyncio.Transport
        self._problem: BaseException | None = None
        self._refused: hiredis.ReplyError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or EOFError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        pushes: list[list[Any]] = []
        problem: Exception | None = None
        try:
            self._read(data, pushes)
        except hiredis.HiredisError as error:
            problem = error
        try:
            self._receive(pushes)
        except EOFError as error:
            problem = error
        if problem is not None:
            self._fail(problem)
            self.abort()

    def _read(self, data: bytes, pushes: list[list[Any]]) -> None:
        """Deliver the replies in ``data``, and collect the push messages."""
        reader, gets = self._reader, self._reader.gets
        for start in range(0, len(data), SLICE):
            reader.feed(data, start, min(SLICE, len(data) - start))
            while (reply := gets()) is not _NOT_YET:
                is_push = isinstance(reply, hiredis.PushNotification)
                if is_push and reply[0] not in _CONFIRMATIONS:
                    pushes.append(reply)
                else:  # in RESP3 the only reply to SUBSCRIBE is a push message
                    self._answer(reply)

    def send(self, *command: str | bytes | int, reply: asyncio.Future[Any] | None = None) -> None:
        """Send a command without waiting for its reply."""
        self._calls.append(reply)
        self._transport.write(hiredis.pack_command(command))  # pyright: ignore

    async def call(self, *command: str | bytes | int, seconds: float = REPLY_SECONDS) -> Any:
        """Send a command and return its reply; raises the reply if it is an error."""
        if self._problem is not None:
            raise self._problem
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self.send(*command, reply=future)
        self._heard = loop.time()
        try:
            while not future.done():
                left = self._heard + seconds - loop.time()
                if left <= 0:
                    raise TimeoutError(f"Redis did not answer {command[0]} in {seconds} s")
                await asyncio.wait([future], timeout=left)
            return future.result()
        finally:
            future.cancel()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _answer(self, reply: Any) -> None:
        future = self._calls.popleft()
        refused = isinstance(reply, hiredis.ReplyError)
        if future is None:
            if refused:
                self._refused = self._refused or reply
        elif future.done():
            return
        elif refused:
            # EXECABORT tells that a command in the transaction was refused, but not why.
            cause = self._refused if str(reply).startswith("EXECABORT") else None
            self._refused = None
            future.set_exception(cause or reply)
        else:
            future.set_result(reply)

    def _fail(self, problem: BaseException) -> None:
        self._problem = self._problem or problem
        for future in self._calls:
            if future is not None and not future.done():
                future.set_exception(self._problem)
        self._calls.clear()
        self._lost()


def read_url(url: str) -> tuple[Address, bool]:
    """The address in a URL (as in ``REDIS_URL``), and whether it is that of a cluster.

    BrokerError for any other URL, or one that names TLS files that cannot be read.
    """
    plain, cluster = split_url(url)
    address: Address = {"host": "localhost", "port": 6379, "tls": None, **parse_url(plain)}
    if plain.startswith("rediss:"):
        address["tls"] = _tls(address)
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


def moved(address: Address, where: str) -> Address:
    """The node named by a cluster's ``MOVED slot host:port``."""
    host, _, port = where.rpartition(" ")[2].rpartition(":")
    return address | {"host": host.strip("[]") or address["host"], "port": int(port), "path": None}


async def open_connection(
    address: Address, receive: Receive, lost: Callable[[], None]
) -> RedisConnection:
    """Connect and log in.

    Raises
    ------
    OSError, TimeoutError, hiredis.HiredisError
        If there is no server, or it does not answer, or refuses the login.
    """
    loop, connection = asyncio.get_running_loop(), RedisConnection(receive, lost)
    tls, path, password = (address.get(name) for name in ("tls", "path", "password"))
    # A busy server takes longer for a TLS handshake than for a TCP connection.
    async with asyncio.timeout(REACH_SECONDS if tls is None else CONNECT_SECONDS):
        if path is not None:
            await loop.create_unix_connection(lambda: connection, path)
        else:
            host, port = address["host"], address["port"]
            await loop.create_connection(lambda: connection, host, port, ssl=tls)
    login = ("AUTH", address.get("username") or "default", password) if password else ()
    try:
        await connection.call("HELLO", 3, *login, "SETNAME", "routingsim-bridge")
        if database := address.get("db"):
            await connection.call("SELECT", database)
    except BaseException:
        connection.abort()
        raise
    return connection
