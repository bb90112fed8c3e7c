"""Opening handshakes of the bridge: who may connect, and answers to plain HTTP requests."""

import http
import logging
from collections import Counter
from collections.abc import Callable, Collection

from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response

from routingsim.live.bridge.metrics import BridgeStats, health, metrics
from routingsim.live.bridge.protocol import Limits
from routingsim.live.prometheus import CONTENT_TYPE, as_text, histogram
from routingsim.live.security import Proxies, bearer_matches, host_allowed, origin_allowed

log = logging.getLogger(__name__)


class Handshake:
    """Decides about opening handshakes.

    The parameters are those of the bridge; ``stats`` returns its figures, ``clients`` how many
    clients it has; ``local`` and ``tls`` tell whether it listens on loopback only, and whether it
    speaks TLS, ``guarded`` whether the Host of a page is checked elsewhere too, since neither token
    nor proxy keeps others out.
    """

    def __init__(
        self,
        limits: Limits,
        stats: Callable[[], BridgeStats],
        clients: Callable[[], int],
        *,
        origins: Collection[str],
        token: str | None,
        local: bool,
        guarded: bool = False,
        tls: bool,
        proxies: Proxies | None = None,
    ) -> None:
        self.refused = 0
        self.delays = histogram(
            "bridge_delay_seconds", "From Redis's messages until they are written to clients."
        )
        self._stats = stats
        self._clients = clients
        self._limits = limits
        self._origins = frozenset(origins)
        self._token = token
        self._local = local
        self._guarded = guarded
        self._tls = tls
        self._proxies = proxies or Proxies(())
        self._open: Counter[str] = Counter()  # connections by address

    def enter(self, address: str) -> bool:
        """Count a TCP connection. False if one is to be cut without an answer: there are too many.

        An answer would need memory and time for each of them.
        """
        self._open[address] += 1
        flooded = self._open.total() > self._limits.flood
        self.refused += flooded
        return not flooded

    def leave(self, address: str) -> None:
        """Count a TCP connection as closed."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def behind(self, request: Request, address: str) -> str:
        """The address of the client, which counts for it from now on; a proxy's is not its own."""
        client = self._proxies.client(address, request.headers.get_all("X-Forwarded-For"))
        if client != address:
            self.leave(address)
            self._open[client] += 1
        return client

    def answer(self, request: Request, address: str) -> Response | bool:
        """Decide about a request.

        Returns an HTTP response that ends the connection; or else whether the client, which is
        accepted, has sent a valid token.
        """
        try:
            origin, host, authorization = (
                request.headers.get(name) for name in ("Origin", "Host", "Authorization")
            )
        except MultipleValuesError:
            return self._refuse(address, 400, "a header came twice")
        token, path = self._token, request.path.partition("?")[0]
        # WebSocket requests from browsers have an Origin; a page's GET of its own server has none.
        plain = path in ("/health", "/ready", "/metrics") and request.method == "GET"
        # Any site can point a DNS name of its own to this machine; its page has no token.
        checked = plain if self._local else self._guarded and (plain or origin is not None)
        if checked and not host_allowed(host or "", self._origins, local=self._local):
            return self._refuse(address, 403, f"host {host!r} is not allowed here")
        if plain and path != "/metrics":
            stats = self._stats()
            status = 503 if path == "/ready" and not stats.upstream else 200
            return _response(status, health(stats), "application/json")
        known = token is not None and bearer_matches(authorization or "", token)
        if token is not None and authorization is not None and not known:
            return self._refuse(address, 401, "wrong token")
        if plain:
            if token is not None and not known:
                return self._refuse(address, 401, "send the token in an Authorization header")
            return _response(200, as_text(metrics(self._stats(), self.delays)), CONTENT_TYPE)
        alone = not self._proxies.trusts(address)  # a proxy stands for many clients
        if alone and self._open[address] > self._limits.connections_per_address:
            return self._refuse(address, 429, "too many connections")
        # Connections without a handshake take no client's place.
        if self._clients() >= self._limits.connections:
            return self._refuse(address, 503, "too many connections")
        if not origin_allowed(
            origin, host or "", allowed=self._origins, local=self._local, tls=self._tls
        ):
            return self._refuse(
                address, 403, f"origin {origin!r} is not allowed here; see ROUTINGSIM_ORIGINS"
            )
        return known

    def _refuse(self, address: str, status: int, why: str) -> Response:
        self.refused += 1
        log.warning("event=refused address=%s status=%d reason=%r", address, status, why)
        response = _response(status, f"{why}\n".encode(), "text/plain; charset=utf-8")
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response


def _response(status: int, body: bytes, content_type: str) -> Response:
    headers = Headers(
        {
            "Connection": "close",
            "Content-Length": str(len(body)),
            "Content-Type": content_type,
            "Cache-Control": "no-store",
        }
    )
    return Response(status, http.HTTPStatus(status).phrase, headers, body)
