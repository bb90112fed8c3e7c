"""Broker, bridge and HTTP API in one event loop.

:func:`serve` runs them in the foreground, for ``routingsim serve``; :func:`running` runs them
in an event loop that exists; :func:`main` is the process that :mod:`routingsim.live.worker`
starts.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import pickle
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import msgspec
import uvicorn

from routingsim.errors import BrokerError, RoutingSimError
from routingsim.live.addresses import Addresses, public_addresses
from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker
from routingsim.live.files import AcceptErrors, Gate, share_files
from routingsim.live.http.connections import Connections
from routingsim.live.http.limits import HttpLimits
from routingsim.live.logs import configure
from routingsim.live.ports import cannot_listen, listen
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.security import Proxies, is_loopback, url_of
from routingsim.live.settings import Settings, load_settings

log = logging.getLogger("routingsim.live.serve")

BACKLOG = 128
"""Connections that wait to be accepted; asyncio may report an error for each of them."""

Only = Literal["bridge", "api"]
"""The one part to run, of bridge and API."""

WATCH_SECONDS = 0.25
"""Time between looks whether the embedded server lives."""

STARTUP_SECONDS = 0.01
"""Time between checks whether the HTTP server has started."""


class Plan(msgspec.Struct, frozen=True):
    """What to run: both parts or ``only`` one.

    ``wait`` is whether a configured Redis server need not be there yet. ``any_port`` is, for
    bridge and API, whether to use a free port if the one in the settings is taken; ``routing``
    the pool and policy of the API's router, pickled, empty for the defaults.
    """

    settings: Settings
    only: Only | None = None
    wait: bool = False
    any_port: tuple[bool, bool] = (False, False)
    routing: bytes = b""


@contextlib.asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Addresses]:
    """Run the plan for as long as the block lasts.

    Raises
    ------
    BrokerError
        If there is no Redis server, or a port is taken.
    RoutingSimError
        If a setting cannot be used.
    """
    settings = plan.settings
    if plan.only == "api" and not settings.configured:
        raise BrokerError(
            "the HTTP API alone needs the Redis server of a bridge: set REDIS_HOST or REDIS_URL, "
            "or start both together"
        )
    _check_exposure(plan)
    tls = _tls(settings)
    asyncio.get_running_loop().set_exception_handler(AcceptErrors())
    share = share_files(settings.bridge_limits, settings.http_limits)
    async with contextlib.AsyncExitStack() as stack:
        broker = Broker(settings)
        stack.callback(broker.stop)
        broker.start(wait=plan.wait)
        bridge = None
        if plan.only != "api":
            bridge = await _bridge(plan, broker.private_url, tls, share.bridge)
            stack.push_async_callback(bridge.stop)
        if broker.embedded:
            watch = asyncio.create_task(_watch(broker, bridge), name="embedded server")
            stack.push_async_callback(_ended, watch)
        api = None
        if plan.only != "bridge":
            parts = _api(plan, broker.private_url, bridge, share.api)
            api = await stack.enter_async_context(parts)
        url = None if bridge is None else bridge.url
        told = broker.describe()
        yield Addresses(broker.url, broker.private_url, told, url, api, broker.login)


async def _watch(broker: Broker, bridge: Bridge | None) -> None:
    """Restart the embedded server whenever it has died; publishers then restore its data.

    Connections of other users of the machine are closed where they leave none free.
    """
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if not broker.died:
            if cut := await asyncio.to_thread(broker.make_room):
                log.warning("event=redis_full cut=%d", cut)
            continue
        log.error("event=redis_died pid=%s reason='it is started again'", broker.pid)
        try:
            await asyncio.to_thread(broker.restart)
        except BrokerError as error:
            log.error("event=redis_not_started reason=%r", str(error))
            continue
        if bridge is not None:
            bridge.redis_restarts += 1
        log.warning("event=redis_restarted pid=%s", broker.pid)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _check_exposure(plan: Plan) -> None:
    """Refuse to listen for other machines without a token, unless that is wanted."""
    settings = plan.settings
    hosts = {
        "WEBSOCKET_HOST": settings.websocket_host if plan.only != "api" else "localhost",
        "HTTP_HOST": settings.http_host if plan.only != "bridge" else "localhost",
    }
    exposed = [f"{name}={host}" for name, host in hosts.items() if not is_loopback(host)]
    if not exposed or settings.token:
        return
    what = f"{' and '.join(exposed)}: any machine that reaches this one could read and route"
    if not settings.insecure:
        raise RoutingSimError(
            f"{what}. Set ROUTINGSIM_TOKEN (openssl rand -hex 32), listen on 127.0.0.1, or allow "
            "it with --insecure or ROUTINGSIM_INSECURE=true"
        )
    log.warning("event=insecure reason='%s without a token'", what)


def _show(addresses: Addresses) -> None:
    print(addresses, flush=True)


def serve(
    settings: Settings | None = None,
    only: Only | None = None,
    announce: Callable[[Addresses], object] = _show,
    *,
    pool: Any = None,
    policy: str = "threshold",
    wait: bool = True,
) -> None:
    """Run in the foreground until SIGINT, SIGTERM or SIGHUP; clients are then closed with 1001.

    SIGINT stops it even where the shell has that ignored, as for a script's job started with
    ``&``. SIGHUP stays ignored where it is, as by ``nohup``.

    Parameters
    ----------
    settings
        By default those of the environment and ``.env.local``.
    only
        ``"bridge"`` or ``"api"`` instead of both.
    announce
        Called with the addresses when all parts have started; as text, a line for each.
    pool, policy
        Of the API's router; see :class:`routingsim.routing.TaskRouter`.
    wait
        Whether to start without a Redis server that is named and not there yet.

    Raises
    ------
    BrokerError
        If there is no Redis server, or a port is taken; the message names the process that
        has it.
    RoutingSimError
        If it would listen for other machines without a token.
    """
    settings = load_settings() if settings is None else settings
    plan = Plan(settings, only, wait, routing=pickle.dumps((pool, policy)))
    configure(settings.log_format, settings.log_level)

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)

    def started(addresses: Addresses, stop: asyncio.Event) -> None:
        announce(addresses)

    _run_until_stopped(plan, signals, started)


def main() -> None:
    """Run a :class:`Plan` from standard input, and answer with addresses or an error's text.

    All are lines of JSON. The process ends when standard input does, that is, when the
    process that started it closes the pipe or dies of whatever cause.
    """
    report_to = os.dup(1)
    os.dup2(2, 1)  # nothing else is written to where the report goes

    def report(answer: Addresses | str) -> None:
        with contextlib.suppress(BrokenPipeError), open(report_to, "wb") as pipe:
            pipe.write(msgspec.json.encode(answer) + b"\n")

    def started(addresses: Addresses, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()

        def ended() -> None:  # standard input, on which nothing more is sent
            loop.remove_reader(0)
            stop.set()

        loop.add_reader(0, ended)
        report(addresses)

    if line := sys.stdin.buffer.readline():
        plan = msgspec.json.decode(line, type=Plan)
        configure(plan.settings.log_format, "error")
        try:
            _run_until_stopped(plan, [signal.SIGINT, signal.SIGTERM], started)
        except RoutingSimError as error:
            report(str(error))


class _Interrupted(KeyboardInterrupt):
    """A signal to stop has come while the parts start."""


def _run_until_stopped(
    plan: Plan,
    signals: list[signal.Signals],
    started: Callable[[Addresses, asyncio.Event], None],
) -> None:
    """Run a plan until one of the signals comes or the event given to ``started`` is set."""

    interrupted = False

    async def run() -> None:
        async with running(plan) as addresses:
            stop = asyncio.Event()
            for number in signals:
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            if interrupted:  # while compiled code called back, which raises nothing further
                return
            # Modules and parts stay as long as the process; to look through them for garbage
            # again and again would delay messages.
            gc.collect()
            gc.freeze()
            started(addresses, stop)
            await stop.wait()

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        for each in signals:
            signal.signal(each, signal.SIG_IGN)  # a second one does not interrupt the clean-up
        raise _Interrupted

    # Until the parts have started, a signal ends them at once: they import for seconds, and the
    # event loop's handlers would wait for that.
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        with contextlib.suppress(_Interrupted):
            asyncio.run(run())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _bridge(plan: Plan, redis_url: str, tls: ssl.SSLContext | None, limits: Limits) -> Bridge:
    settings = plan.settings
    public = public_addresses(
        settings,
        url_of("ws", settings.websocket_host, settings.websocket_port),
        url_of("http", settings.http_host, settings.http_port),
    )
    bridge = partial(
        Bridge,
        redis_url,
        host=settings.websocket_host,
        origins=public.origins,
        by_host=public.by_host,
        token=settings.token,
        ssl=tls,
        limits=limits,
        trusted_proxies=settings.trusted_proxies,
    )
    try:
        return await bridge(port=settings.websocket_port).start()
    except BrokerError as error:
        taken = getattr(error.__cause__, "errno", None) == errno.EADDRINUSE
        if not (taken and plan.any_port[0]):
            raise
        return await bridge(port=0).start()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers; :func:`_stop_on` has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def _api(
    plan: Plan, redis_url: str, bridge: Bridge | None, limits: HttpLimits
) -> AsyncIterator[str]:
    settings, trusted = plan.settings, Proxies(plan.settings.trusted_proxies).trusts
    pool, policy = pickle.loads(plan.routing) if plan.routing else (None, "threshold")
    with (
        _listen(settings.http_host, settings.http_port, plan.any_port[1]) as listening,
        RedisPublisher(redis_url, history=settings.history, buffer=settings.buffer) as publisher,
    ):
        gate = Gate(listening, limits.connections) if settings.tls_cert else None
        listener = gate or listening
        connections = Connections(limits, trusted, gate)
        publisher.connect()
        # Imported here, when the port is known to be free, since both take seconds to import.
        from routingsim.live.http.app import create_app
        from routingsim.live.http.events import Events
        from routingsim.routing import TaskRouter

        kind = TaskRouter
        if settings.otel:
            from routingsim.live.tracing import TracedRouter

            kind = TracedRouter

        secure = "s" if settings.tls_cert else ""
        url = url_of(f"http{secure}", settings.http_host, listener.getsockname()[1])
        other = url_of(f"ws{secure}", settings.websocket_host, settings.websocket_port)
        public = public_addresses(settings, bridge.url if bridge else other, url)
        # Streams last, so that they leave room for requests.
        streams = max(1, limits.connections // 2)
        events = Events(redis_url, replace(settings.bridge_limits, connections=streams))
        app = create_app(
            kind(pool, policy, publisher=publisher, explore=settings.explore),
            websocket=public.from_page,
            host="" if public.by_host else settings.http_host,  # "": any Host is accepted
            origins=public.origins,
            token=settings.token,
            bridge=(lambda: bridge.stats) if bridge else None,
            events=events,
            limits=limits,
            trusted=trusted,
        )
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                ws="none",
                http=connections.protocol,
                backlog=BACKLOG,
                server_header=False,
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_graceful_shutdown=1,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
            )
        )
        task = asyncio.create_task(server.serve([listener]), name="http api")
        sweep = asyncio.create_task(connections.sweep(), name="http sweep")
        while not server.started and not task.done():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(STARTUP_SECONDS)
        try:
            if task.done():
                await task  # raises why it has ended
            yield url
        finally:
            server.should_exit = True
            events.end()  # their connections would otherwise be waited for
            await task
            await _ended(sweep)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """The certificate that bridge and API serve TLS with; None for no TLS."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password given, OpenSSL would ask for an encrypted key's at the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as problem:
        files = " and ".join(filter(None, (settings.tls_cert, settings.tls_key)))
        raise RoutingSimError(
            f"{files}: {problem}; ROUTINGSIM_TLS_CERT must name a PEM file with a certificate "
            "chain, ROUTINGSIM_TLS_KEY one with its key, which must not have a password"
        ) from problem
    return context


def _listen(host: str, port: int, any_port: bool) -> socket.socket:
    """A listening socket on this port, or on a free one if it is taken and ``any_port``."""
    try:
        return listen(host, port)
    except OSError as problem:
        if any_port and problem.errno == errno.EADDRINUSE:
            return _listen(host, 0, False)
        raise cannot_listen("the HTTP API", host, port, "HTTP_PORT", problem) from problem
