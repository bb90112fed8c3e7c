"""Child processes that end when this process does.

A child reads its standard input, a pipe whose other end only this process has open. When
this process closes it, or dies of whatever signal, the child reads the end of its input and
stops by itself. Unlike a parent-death signal, this works on every Unix and from any thread.
"""

import contextlib
import os
import subprocess
import weakref
from collections.abc import Sequence
from typing import IO

_children: "weakref.WeakSet[subprocess.Popen[bytes]]" = weakref.WeakSet()


def start_child(
    command: Sequence[str], *, stdout: int, stderr: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a process with a pipe as its standard input, in a session of its own.

    A signal to this process's group (ctrl-C in a terminal, Jupyter's interrupt) does not
    reach it.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, start_new_session=True
    )
    _children.add(child)
    return child


def stop_child(child: subprocess.Popen[bytes], timeout: float) -> None:
    """Close the child's pipes and wait until it has ended; kill it after ``timeout`` seconds."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # the child has ended
                pipe.close()
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _release() -> None:
    """In a forked process: close its copies of the pipes, which would keep children alive."""
    for child in list(_children):
        child.returncode = 0  # the parent waits for it, so that stopping it here does nothing
        stop_child(child, 0.0)


os.register_at_fork(after_in_child=_release)
