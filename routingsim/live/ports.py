"""Listening on TCP ports, and which process has one that is taken."""

import contextlib
import errno
import os
import socket
from pathlib import Path

from routingsim.errors import BrokerError

_LISTENING = "0A"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; OSError if it cannot be had."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family)


def cannot_listen(what: str, host: str, port: int, variable: str, problem: OSError) -> BrokerError:
    """The error that ``what`` cannot listen on a port, which ``variable`` may change."""
    place = f"{what} cannot listen on {host} port {port}"
    if problem.errno != errno.EADDRINUSE:
        return BrokerError(f"{place}: {problem.strerror or problem}")
    return BrokerError(
        f"{place}: it is taken by {who_holds(port) or 'another process'}. Stop that, or choose "
        f"another port ({variable}; 0 for any free one)"
    )


def who_holds(port: int) -> str | None:
    """The process that listens on a TCP port, such as ``"node (pid 4711)"``; None if not known.

    Reads ``/proc``: it finds no process outside Linux, nor one of another user.
    """
    links: set[str] = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            rows = map(str.split, Path("/proc/net", table).read_text().splitlines()[1:])
            ours = [row for row in rows if row[3] == _LISTENING and row[1].endswith(f":{port:04X}")]
            links |= {f"socket:[{row[9]}]" for row in ours}
    for process in Path("/proc").glob("[0-9]*") if links else ():
        with contextlib.suppress(OSError):  # has ended, or is another user's
            if any(os.readlink(fd) in links for fd in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None
