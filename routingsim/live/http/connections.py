"""Connections of the HTTP API: how many there may be, and how long each may take.

uvicorn times nothing but the rest between two requests. Here a connection is cut that has not
sent a whole head in time, whose client does not read its answer, or that is one too many. The
time for a body is in :mod:`routingsim.live.http.app`.
"""

import asyncio
import logging
from collections import Counter
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 5.0
"""Time to send the head of a request, from the connection or the answer before it on."""

STALL_SECONDS = 20.0
"""A client that reads nothing of its answer for this long is cut."""

SWEEP_SECONDS = 0.5
"""Time between searches for connections that take too long."""

log = logging.getLogger(__name__)


class Connections:
    """The open connections of one server, ``most`` in all and ``most_each`` from one address."""

    def __init__(self, most: int, most_each: int) -> None:
        self.refused = self.timed_out = 0
        self._most = most
        self._most_each = most_each
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
        """Count a connection, or cut it without an answer, which would take memory and time."""
        self._open[connection] = connection.loop.time()
        self._by_address[connection.address] += 1
        each = self._by_address[connection.address]
        if len(self._open) > self._most or each > self._most_each:
            self.refused += 1
            self._tell(connection, "too many connections")
            connection.transport.abort()

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
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection, since in list(self._open.items()):
                cycle = connection.cycle
                working = cycle is not None and not cycle.response_complete
                stalled = working and connection.flow.write_paused
                if working and not stalled:
                    self._open[connection] = now
                elif now - since > (STALL_SECONDS if stalled else HEAD_SECONDS):
                    self.timed_out += 1
                    self._tell(connection, "reads no answer" if stalled else "sends no request")
                    connection.transport.abort()
