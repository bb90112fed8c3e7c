"""The live side as a whole, in one event loop: broker, bridge and HTTP API.

:func:`serve` runs it in the foreground, for ``routingsim serve``. :func:`running` is the
same for whoever has an event loop. :func:`main` is the process that
:mod:`routingsim.live.worker` starts.
"""

import asyncio
import contextlib
import errno
import logging
import os
import pickle
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Literal

import msgspec
import uvicorn

from routingsim.errors import BrokerError, RoutingSimError
from routingsim.live.addresses import Addresses, public_addresses
from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker
from routingsim.live.ports import who_holds
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.settings import Settings, load_settings

__all__ = ["Only", "Plan", "Report", "main", "running", "serve"]

Only = Literal["bridge", "api"]
"""The part to run where not both are wanted."""

LOG_FORMAT = "time=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"

STARTUP_SECONDS = 0.01
"""Seconds between looks at whether the HTTP server has started."""


class Plan(msgspec.Struct, frozen=True):
    """What to run.

    Attributes
    ----------
    settings
        Addresses, Redis server, token.
    only
        One part instead of both.
    elsewhere
        Whether to go to a free port where the one wanted is taken, for bridge and API.
    routing
        Pool and policy of the API's router, pickled; empty for the defaults.
    """

    settings: Settings
    only: Only | None = None
    elsewhere: tuple[bool, bool] = (False, False)
    routing: bytes = b""


class Report(msgspec.Struct, frozen=True):
    """What the process says of itself, once: where it listens, or why it does not."""

    addresses: Addresses | None = None
    error: str = ""


@contextlib.asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Addresses]:
    """Run what is planned for as long as the block lasts.

    Raises
    ------
    BrokerError
        If there is no Redis server, or a port is taken.
    RoutingSimError
        If a setting makes no sense.
    """
    settings = plan.settings
    if plan.only == "api" and not settings.configured:
        raise BrokerError(
            "the HTTP API alone needs the Redis server that the bridge uses: set REDIS_HOST "
            "or REDIS_URL, or start both together"
        )
    tls = _tls(settings)
    async with contextlib.AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(settings))
        bridge = None
        if plan.only != "api":
            bridge = await stack.enter_async_context(_bridge(plan, broker.private_url, tls))
        api = None
        if plan.only != "bridge":
            api = await stack.enter_async_context(_api(plan, broker.private_url, bridge))
        url = None if bridge is None else bridge.url
        yield Addresses(broker.url, broker.private_url, broker.describe(), url, api)


def serve(
    settings: Settings | None = None,
    only: Only | None = None,
    announce: Callable[[str], object] = print,
    *,
    pool: Any = None,
    policy: str = "threshold",
) -> None:
    """Run in the foreground until SIGINT or SIGTERM; clients are then closed with 1001.

    Parameters
    ----------
    settings
        By default those of the environment and ``.env.local``.
    only
        ``"bridge"`` or ``"api"`` instead of both.
    announce
        Told each address, a line each.
    pool, policy
        What the API routes by; see :class:`routingsim.routing.TaskRouter`.

    Raises
    ------
    BrokerError
        If there is no Redis server, or a port is taken; the message names who holds it.
    """
    settings = load_settings() if settings is None else settings
    plan = Plan(settings, only, routing=pickle.dumps((pool, policy)))
    # For whoever has not set logging up otherwise; what is not ours speaks up when it matters.
    logging.basicConfig(format=LOG_FORMAT)
    logging.getLogger("routingsim.live").setLevel(logging.INFO)

    async def foreground() -> None:
        async with running(plan) as addresses:
            stop = _stop_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            announce(f"Redis      {addresses.broker}")
            if addresses.bridge:
                announce(f"WebSocket  {addresses.bridge}")
            if addresses.api:
                announce(f"HTTP API   {addresses.api}")
            await stop.wait()

    with _starting_until(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.run(foreground())


def main() -> None:
    """The process in the background: reads a :class:`Plan`, answers with a :class:`Report`.

    Both are lines of JSON on standard input and output. It ends when standard input does,
    that is, when the process that started it asks for it or dies of whatever cause.
    """
    report_to = os.dup(1)
    os.dup2(2, 1)  # what others print must not get between
    logging.basicConfig(level=logging.ERROR)
    line = sys.stdin.buffer.readline()
    if line:
        with _starting_until(signal.SIGINT, signal.SIGTERM):
            asyncio.run(_background(msgspec.json.decode(line, type=Plan), report_to))


async def _background(plan: Plan, report_to: int) -> None:
    def report(report: Report) -> None:
        with contextlib.suppress(BrokenPipeError), open(report_to, "wb") as pipe:
            pipe.write(msgspec.json.encode(report) + b"\n")

    try:
        async with running(plan) as addresses:
            loop, stop = asyncio.get_running_loop(), _stop_on(signal.SIGINT, signal.SIGTERM)

            def ended() -> None:  # there is nothing more to read
                loop.remove_reader(0)
                stop.set()

            loop.add_reader(0, ended)
            report(Report(addresses))
            await stop.wait()
    except RoutingSimError as error:
        report(Report(error=str(error)))


class _Interrupted(KeyboardInterrupt):
    """Told to stop while starting."""


@contextlib.contextmanager
def _starting_until(*signals: signal.Signals) -> Generator[None, None, None]:
    """Until :func:`_stop_on` takes over, the first of these signals breaks off what is done.

    Starting imports for seconds, for which handlers of the event loop would have to wait.
    """

    def interrupt(number: int, frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)  # cleaning up is not to be broken off
        raise _Interrupted

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        with contextlib.suppress(_Interrupted):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_on(*signals: signal.Signals) -> asyncio.Event:
    """An event that is set at the first of these signals."""
    stop = asyncio.Event()
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def _bridge(plan: Plan, redis_url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Bridge]:
    settings = plan.settings
    public = public_addresses(
        settings,
        _url("ws", settings.websocket_host, settings.websocket_port),
        _url("http", settings.http_host, settings.http_port),
    )
    options: dict[str, Any] = {
        "host": settings.websocket_host,
        "origins": public.origins,
        "by_host": public.by_host,
        "token": settings.token,
        "ssl": tls,
    }
    try:
        bridge = await Bridge(redis_url, port=settings.websocket_port, **options).start()
    except BrokerError as error:
        taken = getattr(error.__cause__, "errno", None) == errno.EADDRINUSE
        if not (taken and plan.elsewhere[0]):
            raise
        bridge = await Bridge(redis_url, port=0, **options).start()
    try:
        yield bridge
    finally:
        await bridge.stop()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: when to stop is for us to say."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def _api(plan: Plan, redis_url: str, bridge: Bridge | None) -> AsyncIterator[str]:
    settings = plan.settings
    pool, policy = pickle.loads(plan.routing) if plan.routing else (None, "threshold")
    with (
        _listen(settings.http_host, settings.http_port, plan.elsewhere[1]) as listener,
        RedisPublisher(redis_url, history=settings.history) as publisher,
    ):
        # Both take seconds to import: not before it is known that they are of use.
        from routingsim.live.http.app import create_app
        from routingsim.routing import TaskRouter

        secure = "s" if settings.tls_cert else ""
        url = _url(f"http{secure}", settings.http_host, listener.getsockname()[1])
        elsewhere = _url(f"ws{secure}", settings.websocket_host, settings.websocket_port)
        public = public_addresses(settings, bridge.url if bridge else elsewhere, url)
        app = create_app(
            TaskRouter(pool, policy, publisher=publisher),
            websocket=public.from_page,
            host="" if public.by_host else settings.http_host,  # "": not known to be loopback's
            origins=public.origins,
            token=settings.token,
            bridge_up=(lambda: bridge.stats.upstream) if bridge else None,
        )
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=1,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
            )
        )
        serving = asyncio.create_task(server.serve([listener]), name="http api")
        while not server.started and not serving.done():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(STARTUP_SECONDS)
        try:
            if serving.done():
                await serving  # raises what went wrong
            yield url
        finally:
            server.should_exit = True
            await serving


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """What the bridge and the API serve TLS with; None if they do not."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A key that is locked would have us ask at a terminal where there is none.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as problem:
        files = " and ".join(filter(None, (settings.tls_cert, settings.tls_key)))
        raise RoutingSimError(
            f"{files}: {problem}; ROUTINGSIM_TLS_CERT must name a PEM file with a certificate "
            "chain, ROUTINGSIM_TLS_KEY one with its key, which must not have a password"
        ) from problem
    return context


def _listen(host: str, port: int, elsewhere: bool) -> socket.socket:
    """A listening socket on this port, or on a free one if it is taken and that is allowed."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as problem:
        place = f"{host} port {port}"
        if problem.errno != errno.EADDRINUSE:
            reason = problem.strerror or problem
            raise BrokerError(f"the HTTP API cannot listen on {place}: {reason}") from problem
        if elsewhere:
            return _listen(host, 0, False)
        holder = who_holds(port) or "another process"
        raise BrokerError(
            f"the HTTP API cannot listen on {place}: it is taken by {holder}. Stop that, or "
            "choose another port (HTTP_PORT; 0 for any free one)"
        ) from problem


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
