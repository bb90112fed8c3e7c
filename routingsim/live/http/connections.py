"""Connections of the HTTP API: how many there may be, and how long each may take.

uvicorn times nothing but the rest between two requests. Here a connection is cut that has not
sent a whole head in time, or whose client does not read its answer. Where there are too many, one
that has no whole request under way makes room for the new one, so that idle ones keep nobody out.
The time for a body is in :mod:`routingsim.live.http.app`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from routingsim.live.files import Gate
from routingsim.live.http.limits import HttpLimits

SWEEP_SECONDS = 0.5
"""Time between searches for connections that take too long."""

WAITING = "routingsim.waiting"
"""Key in a request's scope while it waits for its turn; its connection may then be cut."""

log = logging.getLogger(__name__)


def _working(connection: Any) -> bool:
    """Whether a request is under way."""
    return connection.cycle is not None and not connection.cycle.response_complete


def _idle(connection: Any) -> bool:
    """Whether nothing is at work: no request is under way, or it waits, or only part has come."""
    cycle = connection.cycle
    return not _working(connection) or cycle.more_body or WAITING in cycle.scope


class Connections:
    """The open connections of one server.

    Addresses for which ``trusted`` is true, those of proxies, may have all of them. ``gate`` is
    the socket that accepts them, where they have TLS.
    """

    def __init__(
        self,
        limits: HttpLimits,
        trusted: Callable[[str], bool] = lambda address: False,
        gate: Gate | None = None,
    ) -> None:
        self._limits = limits
        self._trusted = trusted
        self._gate = gate
        self._open: dict[Any, float] = {}  # since when each has been waiting
        self._by_address: Counter[str] = Counter()
        self._logged = 0.0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def protocol(self) -> type[asyncio.Protocol]:
        """uvicorn's protocol, whose connections are counted and timed here."""
        connections = self

        class Protocol(AutoHTTPProtocol):  # pyright: ignore - a class, whichever it is
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                self.address = self.client[0] if self.client else "?"  # pyright: ignore
                connections.add(self)

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                connections.remove(self)

        return Protocol

    def add(self, connection: Any) -> None:
        """Count a connection. Where it is one too many, cut one, without an answer."""
        address = connection.address
        if self._gate is not None:
            self._gate.shook_hands(connection.transport)
        self._open[connection] = connection.loop.time()
        self._by_address[address] += 1
        many = self._by_address[address] > self._limits.connections_per_address
        each = many and not self._trusted(address)
        if len(self._open) <= self._limits.connections and not each:
            return
        idle = (c for c in self._open if not (each and c.address != address) and _idle(c))
        cut = next(idle, connection)  # the oldest; if all are at work, the new one
        self._tell(cut, "too many connections")
        self.remove(cut)
        cut.transport.abort()

    def remove(self, connection: Any) -> None:
        """Count a connection as closed."""
        if self._open.pop(connection, None) is not None:
            self._by_address[connection.address] -= 1
            self._by_address += Counter()  # without those of which there are none

    def _tell(self, connection: Any, reason: str) -> None:
        """Log a cut, once a second at most."""
        now = connection.loop.time()
        if now - self._logged > 1.0:
            self._logged = now
            log.warning("event=http_cut address=%s reason=%r", connection.address, reason)

    async def sweep(self) -> None:
        """Cut connections that take too long, until cancelled."""
        loop, limits = asyncio.get_running_loop(), self._limits
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            if self._gate is not None:
                self._gate.cut_before(limits.head_seconds)
            for connection, since in list(self._open.items()):
                working = _working(connection)
                stalled = working and connection.flow.write_paused
                if working and not stalled:
                    self._open[connection] = now
                elif now - since > (limits.stall_seconds if stalled else limits.head_seconds):
                    self._tell(connection, "reads no answer" if stalled else "sends no request")
                    connection.transport.abort()
