"""Access control of the HTTP API, and security headers.

The rules are those of the bridge (:mod:`routingsim.live.security`): a page of another
site is refused because of its Origin, or, on loopback, of its Host; a program without
the token gets 401.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection

import msgspec
from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from routingsim.live.http.connections import WAITING
from routingsim.live.http.limits import HttpLimits
from routingsim.live.http.schemas import Failure
from routingsim.live.security import bearer_matches, host_allowed, is_loopback, origin_allowed

_ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of each answer that does not set them itself."""

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}


LONGEST_WAIT = 2.0
"""The most seconds that a request waits because its client sends too many."""


def json_answer(body: msgspec.Struct, status: int = 200) -> Response:
    """A response in JSON."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def failure(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    """``{"success": false, "error": …}``."""
    response = json_answer(Failure(error=error), status)
    response.headers.update(headers or {})
    return response


class AccessMiddleware:
    """ASGI middleware that refuses requests, adds headers, counts and times answers.

    ``answers`` counts them by status, ``seconds`` is the time until each begins. ``host`` is the
    address that the server listens on; ``origins`` and ``token`` are as for the
    bridge. Of one client, which may be behind a proxy, there may be as many requests under way at
    once, streams included, as the ``limits`` allow it connections; of an address for which
    ``trusted`` is true, any number. Requests that come faster than the limits allow one client
    wait for their turn.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        origins: Collection[str],
        token: str | None,
        answers: Counter[int],
        seconds: Histogram,
        limits: HttpLimits,
        trusted: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._host = host
        self._local = is_loopback(host)
        self._origins = frozenset(origins)
        self._token = token
        self._answers = answers
        self._seconds = seconds
        self._most = limits.connections_per_address
        self._rate, self._burst = limits.requests_per_second, limits.request_burst
        self._trusted = trusted
        self._under_way: Counter[str] = Counter()
        self._turns: dict[str, float] = {}  # when the last request of each client has its turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        preflight = (
            scope["method"] == "OPTIONS"
            and "origin" in headers
            and "access-control-request-method" in headers
        )
        refusal = self._refusal(scope, headers, preflight)
        origin = headers.get("origin") if refusal is None else None

        began = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._seconds.observe(time.perf_counter() - began)
                self._answers[message["status"]] += 1
                given = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    given.setdefault(name, value)
                given.setdefault("Cache-Control", "no-cache" if "etag" in given else "no-store")
                if origin is not None:
                    given["Access-Control-Allow-Origin"] = origin
                    given.add_vary_header("Origin")
            await send(message)

        if refusal is None and preflight:
            refusal = Response(status_code=204, headers=_PREFLIGHT)
        client = (scope.get("client") or "?")[0]
        if self._under_way[client] >= self._most and not self._trusted(client):
            error = f"{self._most:,} requests from your address are under way, as many as may be"
            refusal = failure(429, error, {"Retry-After": "1"})
        self._under_way[client] += 1
        try:
            wait = self._wait(client, asyncio.get_running_loop().time())
            if wait > 0.0:
                scope[WAITING] = True
                await asyncio.sleep(wait)
                del scope[WAITING]
            await (refusal or self._app)(scope, receive, send_with_headers)
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _wait(self, client: str, now: float) -> float:
        """Seconds until the turn of a client's request that has come at ``now`` (s).

        The first ``burst`` have it at once, the others ``rate`` a second.
        """
        at_once = now - self._burst / self._rate
        turn = max(self._turns.get(client, at_once), at_once) + 1.0 / self._rate
        self._turns[client] = turn = min(turn, now + LONGEST_WAIT)
        if len(self._turns) > 1_000 + 2 * len(self._under_way):  # forget those as good as new
            self._turns = {c: turn for c, turn in self._turns.items() if turn > at_once}
        return turn - now

    def _refusal(self, scope: Scope, headers: Headers, preflight: bool) -> Response | None:
        host = headers.get("host", "")
        guarded = self._local or (self._host and self._token is None)
        if guarded and not host_allowed(host, self._origins, local=self._local):
            return failure(
                403,
                f"host {host[:100]!r} is not allowed here: open the page as localhost, or name "
                "the origin it is reached by among those allowed",
            )
        origins = headers.getlist("origin")
        if len(origins) > 1 or not origin_allowed(
            origins[0] if origins else None,
            host,
            allowed=self._origins,
            local=self._local,
            tls=scope["scheme"] == "https",
        ):
            return failure(403, f"origin {', '.join(origins)[:100]!r} is not allowed here")
        if (
            self._token is not None
            and scope["path"].startswith(("/api/", "/metrics"))
            and not preflight
            and not bearer_matches(headers.get("authorization", ""), self._token)
        ):
            error = "send the token: Authorization: Bearer <token>"
            return failure(401, error, {"WWW-Authenticate": "Bearer"})
        return None
