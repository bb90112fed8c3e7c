"""The live part in a process of its own, where a busy notebook cell cannot delay it.

The process is started afresh, not forked, so that it inherits neither threads nor locks. It
ends when this process stops it, or dies of whatever signal, and then stops all that it has
started (:mod:`routingsim.live.child`).
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import IO

import msgspec

from routingsim.errors import BrokerError
from routingsim.live.addresses import Addresses
from routingsim.live.child import start_child, stop_child
from routingsim.live.serve import Plan

STOP_SECONDS = 10.0
"""Time the process may take to stop before it is killed."""

# The package is found where this process found it. Its folder comes last, lest it hide modules
# of the standard library.
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from routingsim.live.serve import main; main()"
)


class Worker:
    """Runs a plan in a process of its own, until it is stopped or garbage.

    If it cannot start, the message of a BrokerError says why. ``addresses`` is where the parts
    listen.
    """

    def __init__(self, plan: Plan) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        package = os.fspath(Path(__file__).parents[2])
        # -P: modules in the current folder are not imported.
        command = [sys.executable, "-P", "-c", _PROGRAM, package]
        self._process = start_child(command, stdout=subprocess.PIPE, stderr=log)
        self._finish = weakref.finalize(self, _finish, self._process, log)
        try:
            self.addresses = self._send(plan, log)
        except BaseException:  # an interrupt, too
            self._process.terminate()  # while it starts, it does not read its input
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._finish.alive and self._process.poll() is None

    def stop(self) -> None:
        """Stop the process and wait until it has ended; does nothing after that."""
        self._finish()

    def _send(self, plan: Plan, log: IO[bytes]) -> Addresses:
        process = self._process
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(plan) + b"\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            raise BrokerError(
                f"the live process ended with code {code} before it was ready"
                f"{'; its last line: ' + lines[-1] if lines else ''}"
            )
        answer = msgspec.json.decode(line, type=Addresses | str)
        if isinstance(answer, str):
            raise BrokerError(answer)
        return answer


def _finish(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    stop_child(process, STOP_SECONDS)
    log.close()
