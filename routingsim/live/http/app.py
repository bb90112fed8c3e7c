"""The HTTP API and the dashboard.

::

    uvicorn.run(create_app(TaskRouter(publisher=RedisPublisher())), port=3000)

=============================  ===================================================
``POST /api/routing/test``     routes ``{"text": …}``
``GET /api/routing/test``      counts and last decisions since the start
``GET /api/routing/stream``    messages as Server-Sent Events
``GET /api/config``            settings of the dashboard
``GET /``, ``GET /static/…``   the dashboard
``GET /health``                200 as long as the API lives, with what it has of Redis
``GET /ready``                 503 while it cannot publish and receive
``GET /metrics``               figures for Prometheus
``GET /openapi.json``          the OpenAPI document
``GET /asyncapi.json``         the AsyncAPI document of the WebSocket
``GET /stream.d.ts``           TypeScript types, and those of ``/static/stream.js``
=============================  ===================================================

Every error is answered with ``{"success": false, "error": …}``. With a token,
``/api/…`` and ``/metrics`` require it.
"""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import cast

import msgspec
from prometheus_client import Histogram
from prometheus_client.core import Metric
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from routingsim.errors import RoutingSimError
from routingsim.live.bridge.metrics import BridgeStats, Link
from routingsim.live.bridge.protocol import CHANNELS, Subscribe, parse_id, subscribed
from routingsim.live.http import asyncapi
from routingsim.live.http.content import Content
from routingsim.live.http.events import Events
from routingsim.live.http.limits import HttpLimits
from routingsim.live.http.middleware import AccessMiddleware, failure, json_answer
from routingsim.live.http.schemas import (
    LONGEST_BODY,
    LONGEST_TEXT,
    STREAM_PARAMETERS,
    ApiRoute,
    Config,
    ConfigAnswer,
    EventStream,
    Health,
    Operation,
    RouteAnswer,
    RoutedTask,
    RouteRequest,
    Stats,
    StatsAnswer,
    document,
    failures,
    iso,
    recent_decision,
)
from routingsim.live.prometheus import (
    CONTENT_TYPE,
    as_text,
    histogram,
    metric,
    process_metrics,
)
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.security import host_name
from routingsim.messages import DECISIONS
from routingsim.routing import TaskRouter

STATIC = Path(__file__).parent / "static"
LONGEST_DISCARDED = 8 * LONGEST_BODY
"""Bytes of a body to read, though not to keep, since some clients read no answer before
they have sent everything."""

_decode = msgspec.json.Decoder(RouteRequest).decode


def create_app(
    router: TaskRouter,
    *,
    websocket: str = ":3001",
    host: str = "127.0.0.1",
    origins: Collection[str] = (),
    token: str | None = None,
    bridge: Callable[[], BridgeStats] | None = None,
    events: Events | None = None,
    limits: HttpLimits | None = None,
    trusted: Callable[[str], bool] = lambda address: False,
) -> Starlette:
    """The API as an ASGI application.

    Parameters
    ----------
    router
        Routes the tasks; its publisher informs the bridge. It may be shared.
    websocket
        Address of the bridge for the page: a ``ws://`` or ``wss://`` URL, ``":port"``
        on the page's host, or a path relative to the page, such as ``"../3001/"``,
        behind a proxy.
    host
        The address that the server listens on. On loopback, only requests for
        loopback's names and those of ``origins`` are answered.
    origins
        Origins of pages that may use the API, besides its own and those of loopback,
        such as ``"https://hub.example.org"``; ``"*"`` for any.
    token
        Token that clients must send in an Authorization header.
    bridge
        Returns the state of a bridge beside, for ``/health`` and ``/ready``; must not block.
    events
        Receives what is published, for ``/api/routing/stream`` and the ids of decisions.
    limits
        Time for a client to send its request's body, and requests of one client at once and a
        second.
    trusted
        Whether an address is that of a proxy, which may have any number at once.
    """
    limits = limits or HttpLimits()
    service = _Service(router, websocket, bridge, events, limits.body_seconds)
    api = [
        ApiRoute(
            "/api/routing/test",
            GET=Operation(service.routing_stats, {200: StatsAnswer} | failures(401)),
            POST=Operation(
                service.route_task,
                {200: RouteAnswer} | failures(400, 401, 408, 413, 415, 422),
                RouteRequest,
            ),
        ),
        ApiRoute(
            "/api/routing/stream",
            GET=Operation(
                service.stream,
                {200: EventStream} | failures(400, 401, 503),
                parameters=STREAM_PARAMETERS,
            ),
        ),
        ApiRoute(
            "/api/config",
            GET=Operation(service.dashboard_config, {200: ConfigAnswer} | failures(401)),
        ),
        ApiRoute("/health", GET=Operation(service.health, {200: Health} | failures())),
        ApiRoute("/ready", GET=Operation(service.ready, {200: Health, 503: Health} | failures())),
        ApiRoute("/metrics", GET=Operation(service.metrics, {200: str} | failures(401))),
    ]
    fixed = {
        "/openapi.json": Content.json(document(api)),
        "/asyncapi.json": Content.json(asyncapi.document()),
        "/stream.d.ts": Content(asyncapi.typescript().encode(), "text/plain"),
        **{f"/static/{path.name}": Content.file(path) for path in STATIC.iterdir()},
    }
    app = Starlette(
        routes=[
            *api,
            *(Route(path, content.get) for path, content in fixed.items()),
            Route("/", service.page),
        ],
        middleware=[
            Middleware(
                AccessMiddleware,
                host=host,
                origins=origins,
                token=token,
                answers=service.answers,
                seconds=service.seconds,
                limits=limits,
                trusted=trusted,
            ),
        ],
        exception_handlers={
            HTTPException: _http_error,
            ClientDisconnect: _disconnected,
            Exception: _internal_error,
        },
        lifespan=service.lifespan,
    )
    app.router.redirect_slashes = False  # absolute redirects would bypass a proxy's path
    return app


@dataclass
class _Service:
    """The endpoints of one router."""

    router: TaskRouter
    websocket: str
    bridge: Callable[[], BridgeStats] | None
    events: Events | None
    body_seconds: float
    answers: Counter[int] = field(default_factory=Counter)
    seconds: Histogram = field(
        default_factory=lambda: histogram("http_seconds", "From a request to its answer.")
    )
    routing: Histogram = field(
        default_factory=lambda: histogram("route_seconds", "To score a task and choose an agent.")
    )
    working: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    index: Content = field(default_factory=lambda: Content.file(STATIC / "index.html"))

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """At shutdown, complete the tasks that still hold a slot."""
        async with self.events.running() if self.events else contextlib.nullcontext():
            yield
        for task_id, timer in list(self.working.items()):
            timer.cancel()
            self._complete(task_id)

    async def routing_stats(self, request: Request) -> Response:
        """Counts and last decisions since the start."""
        stats = self.router.stats()
        recent = [recent_decision(decision) for decision in stats["recentDecisions"]]
        return json_answer(
            StatsAnswer(stats=Stats(stats["totalRoutes"], stats["agentUsage"], recent))
        )

    async def route_task(self, request: Request) -> Response:
        """Route a test task.

        Nobody works on the task: it holds a slot of its agent for the agent's mean
        latency, so that loads rise and fall as with real tasks.
        """
        task = _read(await _body(request, self.body_seconds))
        with self.routing.time():
            decision = self.router.route(task.text)
        self.working[decision.task_id] = asyncio.get_running_loop().call_later(
            decision.agent.latency, self._complete, decision.task_id
        )
        routed = RoutedTask(
            id=await self.events.id_of(decision.task_id) if self.events else None,
            task_id=decision.task_id,
            selected_agent=decision.agent,
            complexity_score=decision.complexity_score,
            reason=decision.reason,
            timestamp=iso(decision.timestamp),
            propensity=decision.propensity,
            expected_cost=decision.expected_cost,
        )
        return json_answer(RouteAnswer(decision=routed))

    async def stream(self, request: Request) -> Response:
        """Messages of one channel as Server-Sent Events, until the client goes.

        Each event's data is a frame as the bridge sends it, and its id the message's. A browser
        that reconnects sends the last one as Last-Event-ID and gets what it missed.
        """
        if self.events is None:
            raise HTTPException(503, "this server receives no messages: it has no Redis")
        wanted = _subscription(request)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if not self.events.has_room:
            raise HTTPException(503, "too many streams are open", headers={"Retry-After": "10"})
        return StreamingResponse(
            self.events.stream(wanted),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
        )

    def _complete(self, task_id: str) -> None:
        del self.working[task_id]
        with contextlib.suppress(RoutingSimError):  # completed by another user of the router
            self.router.complete(task_id, latency=math.nan)  # nobody worked: none was measured

    async def dashboard_config(self, request: Request) -> Response:
        """Settings of the dashboard."""
        agents = [agent.info for agent in self.router.pool]
        config = Config(self.websocket, self.router.policy.name, agents)
        return json_answer(ConfigAnswer(config=config))

    async def health(self, request: Request) -> Response:
        """200 as long as the API answers, with or without Redis. Needs no token."""
        return json_answer(self._health())

    async def ready(self, request: Request) -> Response:
        """Whether it can publish and receive; 503 while Redis is away. Needs no token."""
        body = self._health()
        return json_answer(body, 200 if body.status == "ok" else 503)

    def _health(self) -> Health:
        stats = None if self.bridge is None else self.bridge()
        publisher = self.router.publisher
        links: tuple[Link | None, Link | None] = (
            stats and stats.link,
            publisher.link if isinstance(publisher, RedisPublisher) else None,
        )
        ok = all(link in ("up", None) for link in links)
        return Health("ok" if ok else "degraded", *links, stats.redis_restarts if stats else 0)

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus, in its text format 0.0.4."""
        figures = as_text(self._figures())
        return Response(figures, media_type=CONTENT_TYPE)

    def _figures(self) -> Iterator[Metric]:
        yield from process_metrics()
        yield from self.seconds.collect()
        yield from self.routing.collect()
        if isinstance(self.router.publisher, RedisPublisher):
            yield from self.router.publisher.seconds.collect()
        yield from _collect(self.router, self.answers)

    async def page(self, request: Request) -> Response:
        """The dashboard, with a policy that allows connections to API and bridge only."""
        reach = _connect_source(self.websocket, request.headers.get("host", ""))
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self'{reach}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'self'"
        )
        answer = await self.index.get(request)
        answer.headers["Content-Security-Policy"] = policy
        return answer


_PUBLISHER = {
    "published": ("published_total", "Messages that reached Redis."),
    "buffered": ("buffered", "Messages that wait for Redis."),
    "dropped": ("dropped_total", "Messages dropped because the buffer was full."),
    "undelivered": ("undelivered_total", "Messages left over at the end."),
    "restored": ("restored_total", "Messages stored again that Redis had lost."),
    "lost": ("lost_total", "Messages that Redis lost for good, reported as a gap."),
    "reconnects": ("reconnects_total", "Times the connection to Redis was lost and opened again."),
}
"""Name and help of the metric of each of the publisher's figures."""


def _collect(router: TaskRouter, answers: Counter[int]) -> Iterator[Metric]:
    statuses = [((str(status),), count) for status, count in sorted(answers.items())]
    yield metric("http_responses_total", "Answers by status.", statuses, ["status"])
    routes = [((agent,), count) for agent, count in router.stats()["agentUsage"].items()]
    yield metric("routes_total", "Tasks routed to each agent.", routes, ["agent"])
    loads = [((status.agent_id,), status.load) for status in router.statuses()]
    yield metric("agent_load", "Slots in use over slots.", loads, ["agent"])
    if isinstance(router.publisher, RedisPublisher):
        stats = router.publisher.stats()
        for figure, (name, text) in _PUBLISHER.items():
            yield metric(f"publisher_{name}", text, [((), getattr(stats, figure))])


def _subscription(request: Request) -> Subscribe:
    """What a request for a stream asks for."""
    asked = request.query_params
    if unknown := sorted(set(asked) - {"channel", "since", "history"}):
        raise HTTPException(400, f"no parameter {unknown[0][:64]!r}; try channel, since, history")
    channel = asked.get("channel", DECISIONS)
    if channel not in CHANNELS:
        raise HTTPException(400, f"no channel {channel[:64]!r}; try {', '.join(CHANNELS)}")
    since, history = asked.get("since"), asked.get("history")
    last = request.headers.get("last-event-id")
    if last:  # of a client that comes back, whose URL still says how it began
        since, history = last, None
    if since is not None and history is not None:
        raise HTTPException(400, "give since or history, not both")
    if history is not None and not (history.isascii() and history.isdecimal()):
        raise HTTPException(400, f"history is {history[:64]!r}: must be a whole number")
    try:
        place = None if since is None else parse_id(since)
        count = None if history is None else int(history)
    except ValueError as problem:
        raise HTTPException(400, f"since or history: {problem}") from None
    return Subscribe(channel, place, count, subscribed(channel))


async def _http_error(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    detail = error.detail
    if error.status_code == 404:
        detail = f"no resource at {request.url.path[:200]}; /openapi.json lists all"
    elif error.status_code == 405:
        detail = f"{request.method} is not allowed on {request.url.path[:200]}; see Allow"
    return failure(error.status_code, detail, dict(error.headers or {}))


async def _internal_error(request: Request, error: Exception) -> Response:
    """Answer; Starlette then raises the error again, and the server logs it."""
    return failure(500, "internal error; see the server's log")


async def _disconnected(request: Request, error: Exception) -> Response:
    return failure(400, "the connection ended before the body was complete")


async def _body(request: Request, seconds: float) -> bytes:
    """The body of a JSON request; keeps no more than ``LONGEST_BODY`` bytes."""
    kind = Message()
    kind["Content-Type"] = found = request.headers.get("content-type", "none")
    charset = kind.get_content_charset("utf-8")
    if kind.get_content_type() != "application/json" or charset not in ("utf-8", "utf8"):
        raise HTTPException(415, f"Content-Type is {found[:100]}: send application/json")
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise HTTPException(415, f"Content-Encoding is {coding[:100]}: send the body without one")
    end = {"Connection": "close"}  # unusable after a partly read body
    too_long = HTTPException(413, f"the body may have {LONGEST_BODY} bytes at most", headers=end)
    if int(request.headers.get("content-length", 0)) > LONGEST_DISCARDED:
        raise too_long
    body, length = bytearray(), 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                length += len(chunk)
                if length <= LONGEST_BODY:
                    body += chunk
                elif length > LONGEST_DISCARDED:
                    raise too_long
    except TimeoutError:
        late = f"the body was not complete within {seconds:g} s"
        raise HTTPException(408, late, headers=end) from None
    if length > LONGEST_BODY:
        raise too_long
    return bytes(body)


def _read(body: bytes) -> RouteRequest:
    """The request in a body, checked."""
    try:
        try:
            return _decode(body)
        except msgspec.ValidationError as error:
            msgspec.json.decode(body)  # the rest may not even be JSON
            raise HTTPException(
                422,
                f"{error}; allowed is an object with the field `text`: 1 to {LONGEST_TEXT:,} "
                "characters, not all of them white space",
            ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise HTTPException(400, "the body is nested too deeply") from None


def _connect_source(websocket: str, host: str) -> str:
    """Sources that the page may connect to besides its own origin, for its security policy."""
    if websocket.startswith(("ws://", "wss://")):
        scheme, _, rest = websocket.partition("://")
        return f" {scheme}://{rest.partition('/')[0]}"
    name = host_name(host)
    if name is None:
        return ""
    if websocket.startswith(":"):
        # A policy cannot name an IPv6 address.
        return " ws: wss:" if "[" in name else f" ws://{name}{websocket} wss://{name}{websocket}"
    return f" ws://{host} wss://{host}"  # for browsers whose 'self' does not cover ws
