"""The live side in the background: in a process of its own, or in a thread.

A process is the better place beside a notebook, where a busy cell would hold up every
thread. It is started afresh, not forked, so that neither threads nor locks come with it.
Its lifeline is a pipe whose other end only we hold: when we stop, or die of whatever
signal, the pipe ends, and it stops all it has started.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Protocol

import msgspec

from routingsim.errors import BrokerError
from routingsim.live.addresses import Addresses
from routingsim.live.serve import Plan, Report, running

__all__ = ["Background", "InProcess", "InThread"]

STOP_SECONDS = 10.0
"""Seconds that the background may take to stop before it is made to."""

# Found by path, as its parent may have found it; after all else, so that nothing there
# stands in the way of the standard library.
_BOOT = "import sys; sys.path.append(sys.argv[1]); from routingsim.live.serve import main; main()"


class Background(Protocol):
    """Something that runs in the background from its making until ``stop``."""

    addresses: Addresses

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        ...

    def stop(self) -> None:
        """Stop it and wait until nothing is left; harmless when it has stopped."""
        ...


class InProcess:
    """Runs a plan in a process of its own. Stopped when it is garbage, too.

    Raises
    ------
    BrokerError
        If it cannot start; the message says why.
    """

    def __init__(self, plan: Plan) -> None:
        # Nobody reads along, so what it says goes where there is room. It is not much.
        said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            # -P: what lies in the current folder is not for it.
            [sys.executable, "-P", "-c", _BOOT, os.fspath(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # Jupyter interrupts the kernel's whole process group
        )
        self._finish = weakref.finalize(self, _finish, self._process, said)
        _processes.add(self)
        try:
            self.addresses = self._ask(plan, said)
        except BaseException:  # an interrupted cell, too
            self._process.terminate()  # it may be starting, and not listen yet
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._finish.alive and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def stop(self) -> None:
        """Stop it and wait until nothing is left; harmless when it has stopped."""
        self._finish()

    def _ask(self, plan: Plan, said: IO[bytes]) -> Addresses:
        process = self._process
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(plan) + b"\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise BrokerError(
                f"the live process ended with code {code} before it was ready"
                f"{'; it said: ' + lines[-1] if lines else ''}"
            )
        report = msgspec.json.decode(line, type=Report)
        if report.addresses is None:
            raise BrokerError(report.error)
        return report.addresses

    def _forget(self) -> None:
        """In a forked child: let go of a process that is our parent's."""
        self._finish.detach()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.returncode = 0  # or Popen would complain that it has not ended


def _finish(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()  # the signal to stop
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # the broker's own lifeline ends with it
        process.wait()
    finally:
        process.stdout.close()
        said.close()


_processes: "weakref.WeakSet[InProcess]" = weakref.WeakSet()


def _release_pipes_in_child() -> None:
    """A forked child that kept our end of a lifeline would keep the process alive after us."""
    for process in list(_processes):
        process._forget()


os.register_at_fork(after_in_child=_release_pipes_in_child)


class InThread:
    """Runs a plan in a thread with an event loop of its own.

    Raises
    ------
    BrokerError
        If it cannot start; the message says why.
    """

    def __init__(self, plan: Plan) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready: Future[Addresses] = Future()
        self._thread = threading.Thread(
            target=_run, args=(plan, self._loop, self._stop, ready), name="routingsim-live"
        )
        self._thread.daemon = True
        self._thread.start()
        self._finish = weakref.finalize(self, _join, self._thread, self._loop, self._stop)
        try:
            self.addresses = ready.result()
        except BaseException:
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop it and wait until nothing is left; harmless when it has stopped."""
        self._finish()


def _run(
    plan: Plan,
    loop: asyncio.AbstractEventLoop,
    stop: asyncio.Event,
    ready: "Future[Addresses]",
) -> None:
    async def run() -> None:
        async with running(plan) as addresses:
            ready.set_result(addresses)
            await stop.wait()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            runner.run(run())
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)


def _join(thread: threading.Thread, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended
        loop.call_soon_threadsafe(stop.set)
    if thread is not threading.current_thread():  # where garbage may be collected
        thread.join(STOP_SECONDS)
