"""Which process listens on a TCP port, for the error message that the port is taken."""

import os
import re
from pathlib import Path

__all__ = ["who_holds"]

_LISTENING = "0A"


def who_holds(port: int) -> str | None:
    """The process that listens on a TCP port of this machine.

    Reads ``/proc``: it finds no process outside Linux, nor one of another user.

    Returns
    -------
    str or None
        Such as ``"node (pid 4711)"``; None if it is not known.
    """
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listeners(table, port)}
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) in links for fd in (process / "fd").iterdir()):
                name = (process / "comm").read_text().strip()
                return f"{name} (pid {process.name})"
        except OSError:  # has ended, or is another user's
            continue
    return None


def _listeners(table: str, port: int) -> list[str]:
    """Inodes of the sockets that listen on ``port``."""
    try:
        lines = Path("/proc/net", table).read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [re.split(r"\s+", line.strip()) for line in lines]
    return [row[9] for row in rows if row[3] == _LISTENING and row[1].endswith(f":{port:04X}")]
