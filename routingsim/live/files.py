"""Open files: how many connections fit below this process's limit, and errors of accepting.

A process that has used up its files can neither reach Redis nor answer clients. So bridge and API
together may have fewer connections than there are files, with some kept back, those included whose
TLS handshake is not done.
"""

import asyncio
import contextlib
import logging
import math
import resource
import socket
import time
from dataclasses import replace
from typing import Any, NamedTuple

from routingsim.live.bridge.protocol import Limits
from routingsim.live.http.limits import HttpLimits

KEPT_BACK = 64
"""Files for Redis, the event loop, logs and libraries, and for what is opened for a moment."""

WANTED = 65_536
"""Files to ask the system for, as far as it allows."""

log = logging.getLogger(__name__)


class Share(NamedTuple):
    """Limits of the bridge and of the API."""

    bridge: Limits
    api: HttpLimits


def share_files(limits: Limits, http: HttpLimits, files: int | None = None) -> Share:
    """Limits under which bridge and API have files enough.

    ``files`` is the most that this process may have open; by default the system's limit, which
    is raised as far as this user may.

    Examples
    --------
    >>> few = share_files(Limits(), HttpLimits(), files=1024)
    >>> few.api.connections, few.bridge.connections, few.bridge.flood
    (240, 592, 720)
    """
    files = _raised() if files is None else files
    room = max(8, files - KEPT_BACK)
    api = min(http.connections, room // 4)
    most = room - api
    connections = limits.connections
    if limits.flood > most:
        connections = max(1, most - min(most // 2, Limits.SPARE))
        log.warning(
            "event=few_files files=%d bridge=%d api=%d reason='raise ulimit -n'",
            files,
            connections,
            api,
        )
    each = min(limits.connections_per_address, connections)
    bridge = replace(limits, connections=connections, connections_per_address=each)
    if api < http.connections:  # one address leaves half of what there is to others
        each = min(http.connections_per_address, max(1, api // 2))
        http = replace(http, connections=api, connections_per_address=each)
    return Share(bridge, http)


def _raised() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft


class Gate(socket.socket):
    """A listening socket that counts what it accepts, for TLS.

    asyncio does not report a connection before its TLS handshake is complete. Where ``most`` are
    open, the one whose handshake has taken longest is cut, or else the new one. ``MOST_CUT`` more
    are open for a moment."""

    MOST_CUT: int = 16

    def __init__(self, listening: socket.socket, most: int) -> None:
        super().__init__(fileno=listening.detach())
        self._most = most
        self._open: set[_Accepted] = set()
        self._cutting: set[_Accepted] = set()
        self._waiting: dict[int, tuple[_Accepted, float]] = {}  # by file, oldest first

    def accept(self) -> "tuple[_Accepted, Any]":
        """Accept a connection; BlockingIOError if there is none, or no room for it."""
        if len(self._cutting) >= self.MOST_CUT:  # they are closed in a moment
            raise BlockingIOError
        plain, address = super().accept()
        accepted = _Accepted(self, plain)
        if len(self._open) >= self._most and not self._cut(math.inf):
            accepted.close()
            raise BlockingIOError
        self._open.add(accepted)
        self._waiting[accepted.fileno()] = accepted, time.monotonic()
        return accepted, address

    def shook_hands(self, transport: asyncio.BaseTransport) -> None:
        """Note that the handshake of a connection is complete."""
        self._waiting.pop(transport.get_extra_info("socket").fileno(), None)

    def cut_before(self, seconds: float) -> None:
        """Cut those whose handshake has taken so long."""
        while self._cut(time.monotonic() - seconds):
            pass

    def closed(self, accepted: "_Accepted") -> None:
        """Note that a connection is closed."""
        self._open.discard(accepted)
        self._cutting.discard(accepted)
        self._waiting.pop(accepted.fileno(), None)

    def _cut(self, before: float) -> bool:
        for file, (accepted, since) in self._waiting.items():
            if since >= before:
                break
            del self._waiting[file]
            self._cutting.add(accepted)
            with contextlib.suppress(OSError):  # the client has gone
                accepted.shutdown(socket.SHUT_RDWR)  # asyncio then closes it
            return True
        return False


class _Accepted(socket.socket):
    def __init__(self, gate: Gate, plain: socket.socket) -> None:
        super().__init__(fileno=plain.detach())
        self._gate = gate

    def close(self) -> None:
        self._gate.closed(self)
        super().close()


class AcceptErrors:
    """An exception handler of the event loop: errors of accepting, once a second at most.

    asyncio reports them for each connection that waits, thousands in a second.
    """

    def __init__(self) -> None:
        self._logged = -1.0
        self._left_out = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error of the event loop."""
        if "accept" not in context.get("message", ""):
            loop.default_exception_handler(context)
            return
        now = loop.time()
        if now - self._logged < 1.0:
            self._left_out += 1
            return
        log.error(
            "event=accept_failed reason=%r more=%d", str(context.get("exception")), self._left_out
        )
        self._logged, self._left_out = now, 0
