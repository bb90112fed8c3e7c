"""The HTTP API and the dashboard.

::

    uvicorn.run(create_app(TaskRouter(publisher=RedisPublisher())), port=3000)

=============================  ===================================================
``POST /api/routing/test``     routes ``{"text": …}``
``GET /api/routing/test``      what was routed since the start
``GET /api/config``            what the dashboard needs to know
``GET /``, ``GET /static/…``   the dashboard
``GET /health``                whether all is well, for balancers
``GET /metrics``               counters for Prometheus
``GET /openapi.json``          all of this, for programs
=============================  ===================================================

Whatever goes wrong is answered with ``{"success": false, "error": …}``. With a
token, ``/api/…`` and ``/metrics`` ask for it.
"""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from routingsim.errors import RoutingSimError
from routingsim.live.http.middleware import Guard, failure, json_answer
from routingsim.live.http.schemas import (
    LONGEST_BODY,
    LONGEST_TEXT,
    Config,
    ConfigAnswer,
    Health,
    RouteAnswer,
    RoutedTask,
    RouteRequest,
    Stats,
    StatsAnswer,
    document,
)
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.security import host_name
from routingsim.messages import RoutingDecision
from routingsim.routing import TaskRouter

__all__ = ["create_app"]

STATIC = Path(__file__).parent / "static"
BODY_SECONDS = 10.0
"""Time a client has to send its request's body."""
LONGEST_DISCARDED = 8 * LONGEST_BODY
"""Bytes of a body that are read, if not kept, for the sake of clients that see the answer
only once they have sent everything."""

_decode = msgspec.json.Decoder(RouteRequest).decode


def create_app(
    router: TaskRouter,
    *,
    websocket: str = ":3001",
    host: str = "127.0.0.1",
    origins: Collection[str] = (),
    token: str | None = None,
    bridge_up: Callable[[], bool] | None = None,
) -> Starlette:
    """The API as an ASGI application.

    Parameters
    ----------
    router
        Routes the tasks; its publisher tells the bridge. It may be shared.
    websocket
        Where the page finds the bridge: a ``ws://`` or ``wss://`` URL, ``":port"`` on
        the host that the page came from, or a path relative to the page, such as
        ``"../3001/"``, behind a proxy.
    host
        The address that will be listened on. On loopback, only loopback's names and
        those of ``origins`` are answered.
    origins
        Origins of pages that may use the API, besides its own and those of loopback,
        such as ``"https://hub.example.org"``; ``"*"`` for any.
    token
        What clients must show in an Authorization header.
    bridge_up
        Tells ``/health`` whether the bridge works; it must not block.
    """
    answers: Counter[int] = Counter()
    service = _Service(router, websocket, bridge_up, answers)
    app = Starlette(
        routes=[
            Route("/api/routing/test", service.routing, methods=["GET", "POST"]),
            Route("/api/config", service.config),
            Route("/health", service.health),
            Route("/metrics", service.metrics),
            Route("/openapi.json", _openapi),
            Route("/", service.page),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(Guard, host=host, origins=origins, token=token, answers=answers),
        ],
        exception_handlers={
            HTTPException: _refused,
            ClientDisconnect: _gone,
            Exception: _failed,
        },
        lifespan=service.lifespan,
    )
    app.router.redirect_slashes = False  # its absolute addresses would lead past a proxy
    return app


class _Service:
    """The endpoints, around one router."""

    def __init__(
        self,
        router: TaskRouter,
        websocket: str,
        bridge_up: Callable[[], bool] | None,
        answers: Counter[int],
    ) -> None:
        self._router = router
        self._websocket = websocket
        self._bridge_up = bridge_up
        self._answers = answers
        self._working: dict[str, asyncio.TimerHandle] = {}

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """At the end, tasks that still hold a slot give it back."""
        yield
        for task_id, timer in list(self._working.items()):
            timer.cancel()
            self._complete(task_id)

    async def routing(self, request: Request) -> Response:
        """Route a task, or say what was routed."""
        if request.method != "POST":
            stats = msgspec.convert(self._router.stats(), Stats)
            return json_answer(StatsAnswer(stats=stats))
        task = _read(await _body(request))
        decision = self._router.route(task.text)
        timer = asyncio.get_running_loop().call_later(
            decision.agent.latency, self._complete, decision.task_id
        )
        self._working[decision.task_id] = timer
        return json_answer(RouteAnswer(decision=_routed(decision)))

    def _complete(self, task_id: str) -> None:
        del self._working[task_id]
        with contextlib.suppress(RoutingSimError):  # whoever shares the router was first
            self._router.complete(task_id)

    async def config(self, request: Request) -> Response:
        """What the page needs to know."""
        agents = [agent.info for agent in self._router.pool]
        config = Config(self._websocket, self._router.policy.name, agents)
        return json_answer(ConfigAnswer(config=config))

    async def health(self, request: Request) -> Response:
        """For balancers: 200, or 503 while the bridge is down."""
        up = None if self._bridge_up is None else self._bridge_up()
        publisher = self._router.publisher
        connected = publisher.is_connected if isinstance(publisher, RedisPublisher) else None
        body = Health(
            status="degraded" if up is False else "ok",
            bridge=None if up is None else "up" if up else "down",
            publisher=None if connected is None else "connected" if connected else "not connected",
        )
        return json_answer(body, 503 if up is False else 200)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        stats = self._router.stats()
        lines = _metric(
            "http_responses_total",
            "counter",
            "Answers by status.",
            {f'status="{status}"': count for status, count in sorted(self._answers.items())},
        )
        lines += _metric(
            "routes_total",
            "counter",
            "Tasks by the agent they were routed to.",
            {f'agent="{agent}"': count for agent, count in stats["agentUsage"].items()},
        )
        lines += _metric(
            "agent_load",
            "gauge",
            "Slots in use over slots.",
            {f'agent="{status.agent_id}"': status.load for status in self._router.statuses()},
        )
        if isinstance(self._router.publisher, RedisPublisher):
            sent = msgspec.structs.asdict(self._router.publisher.stats())
            for field, name, kind, text in _PUBLISHER:
                lines += _metric(f"publisher_{name}", kind, text, {"": sent[field]})
        text = "".join(f"{line}\n" for line in lines)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def page(self, request: Request) -> Response:
        """The dashboard, which may load and reach nothing but what is its own."""
        reach = _connect_source(self._websocket, request.headers.get("host", ""))
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self'{reach}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'self'"
        )
        return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": policy})


_PUBLISHER = (
    ("published", "published_total", "counter", "Messages that reached Redis."),
    ("buffered", "buffered", "gauge", "Messages that wait for Redis."),
    ("dropped", "dropped_total", "counter", "Messages given up for lack of room."),
    ("undelivered", "undelivered_total", "counter", "Messages left over at the end."),
    ("reconnects", "reconnects_total", "counter", "Connections to Redis made anew."),
)


async def _openapi(request: Request) -> Response:
    return JSONResponse(document())


async def _refused(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    detail = error.detail
    if error.status_code == 404:
        detail = f"nothing is at {request.url.path[:200]}; /openapi.json says what there is"
    elif error.status_code == 405:
        detail = f"{request.method} is not allowed on {request.url.path[:200]}; see Allow"
    return failure(error.status_code, detail, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    """Starlette raises the error again once this is sent, and the server logs it."""
    return failure(500, "an error of ours: the server's log says more")


async def _gone(request: Request, error: Exception) -> Response:
    return failure(400, "the connection ended before the body did")


async def _body(request: Request) -> bytes:
    """The body of a JSON request, never more than allowed of it."""
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    given = {
        name.strip(): value.strip(' "') for name, _, value in (p.partition("=") for p in parameters)
    }
    charset = given.get("charset", "utf-8")
    if kind.strip() != "application/json" or charset not in ("utf-8", "utf8"):
        found = request.headers.get("content-type", "none")
        raise HTTPException(415, f"Content-Type is {found[:100]}: send application/json")
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise HTTPException(415, f"Content-Encoding is {coding[:100]}: send the body as it is")
    end = {"Connection": "close"}  # with a body half read, it cannot go on
    too_long = HTTPException(413, f"the body may have {LONGEST_BODY} bytes at most", headers=end)
    if int(request.headers.get("content-length", 0)) > LONGEST_DISCARDED:
        raise too_long
    body, length = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                length += len(chunk)
                if length <= LONGEST_BODY:
                    body += chunk
                elif length > LONGEST_DISCARDED:
                    raise too_long
    except TimeoutError:
        raise HTTPException(
            408, f"the body did not come within {BODY_SECONDS:g} s", headers=end
        ) from None
    if length > LONGEST_BODY:
        raise too_long
    return bytes(body)


def _read(body: bytes) -> RouteRequest:
    """The request in a body, checked."""
    try:
        try:
            return _decode(body)
        except msgspec.ValidationError as error:
            msgspec.json.decode(body)  # what is wrong here may be no JSON at all further on
            raise HTTPException(
                422,
                f"{error}; allowed is an object with the field `text`: 1 to {LONGEST_TEXT:,} "
                "characters, not all of them white space",
            ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise HTTPException(400, "the body is nested too deeply") from None


def _routed(decision: RoutingDecision) -> RoutedTask:
    when = datetime.fromtimestamp(decision.timestamp / 1000, UTC)
    return RoutedTask(
        id=str(uuid.uuid4()),
        task_id=decision.task_id,
        selected_agent=decision.agent,
        complexity_score=decision.complexity_score,
        reason=decision.reason,
        timestamp=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _connect_source(websocket: str, host: str) -> str:
    """Where the page may connect to besides its own origin, for its security policy."""
    if websocket.startswith(("ws://", "wss://")):
        scheme, _, rest = websocket.partition("://")
        return f" {scheme}://{rest.partition('/')[0]}"
    name = host_name(host)
    if name is None:
        return ""
    if websocket.startswith(":"):
        # A policy cannot name an IPv6 address.
        return " ws: wss:" if "[" in name else f" ws://{name}{websocket} wss://{name}{websocket}"
    return f" ws://{host} wss://{host}"  # its own origin, for browsers whose 'self' is http only


def _metric(name: str, kind: str, text: str, samples: dict[str, float]) -> list[str]:
    name = f"routingsim_{name}"
    return [
        f"# HELP {name} {text}",
        f"# TYPE {name} {kind}",
        *(
            f"{name}{{{label}}} {value}" if label else f"{name} {value}"
            for label, value in samples.items()
        ),
    ]
