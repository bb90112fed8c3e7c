"""Worker processes on this machine and Dask clusters: how they begin, end and are replaced."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from routingsim.errors import SimulationError

_MASKS = hasattr(signal, "pthread_sigmask")  # not on Windows


@contextmanager
def local_dask(workers: int) -> Iterator[Any]:
    """A client of Dask workers on this machine, a process each.

    Raises
    ------
    SimulationError
        If the extra ``dask`` is not installed.
    """
    found = dask()
    from dask import config

    # By default a nanny has malloc hand freed memory back at once: runs then take twice the time.
    environ = {f"{name}_NUM_THREADS": 1 for name in ("OMP", "MKL", "OPENBLAS")}
    with config.set({"distributed.nanny.pre-spawn-environ": environ}):
        with uninterrupted():  # a cluster that has not begun cannot be closed
            own = found.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0"
            )
        with own, found.Client(own) as client:
            yield client


@contextmanager
def dask_at(address: str) -> Iterator[Any]:
    """A client of the Dask cluster at an address, ``tcp://host:8786``.

    Raises
    ------
    SimulationError
        If nobody answers there, or the extra ``dask`` is not installed.
    """
    found = dask()
    try:
        client = found.Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise SimulationError(
            f"no Dask scheduler at {address} ({error}); start one with `dask scheduler`, or give "
            "local"
        ) from None
    with client:
        yield client


def dask() -> Any:
    """The package ``distributed``.

    Raises
    ------
    SimulationError
        If it is not installed.
    """
    try:
        import distributed
    except ImportError:
        raise SimulationError(
            "Dask is not installed: install routingsim[dask], or distributed"
        ) from None
    return distributed


def is_loky(executor: Any) -> bool:
    """Whether an executor is one of joblib's process pools."""
    return any("loky" in each.__module__ for each in type(executor).__mro__)


def end_with(parent: int) -> None:
    """End this process soon after its parent has died, even killed, and silently by ctrl-C."""
    with suppress(ValueError):  # a worker that is a thread
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    if _MASKS:  # see uninterrupted
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold ctrl-C back: here until the block ends, in processes begun in it until ``end_with``."""
    if not _MASKS:
        yield
        return
    resource_tracker.ensure_running()  # which lets signals through as it begins
    held: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number)) if is_main else 0
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, handler)
            if held:
                signal.raise_signal(signal.SIGINT)


class RenewedPool:
    """A process pool that is replaced when it is broken."""

    def __init__(self, given: Any, workers: int) -> None:
        # With a limit of tasks for a process, Python 3.11's pool may stand still (python/cpython
        # issue 115634): one without is made in its place.
        limited = getattr(given, "_max_tasks_per_child", None) is not None
        self._given, self._pool = given, None if limited else given
        self._max_workers = getattr(given, "_max_workers", None) or workers

    def submit(self, *call: Any) -> "Future[Any]":
        """Do as an executor does, with a pool that is there."""
        if self._pool is None:
            self._pool = self._made()
        if type(self._pool) is ProcessPoolExecutor:
            return self._pool.submit(*call)
        with uninterrupted():  # it begins processes
            return self._pool.submit(*call)

    def _made(self) -> Any:
        given = self._given
        if type(given) is ProcessPoolExecutor:
            like = {name: getattr(given, f"_{name}") for name in ("initializer", "initargs")}
            context = getattr(given, "_mp_context", None)
            return ProcessPoolExecutor(self._max_workers, mp_context=context, **like)
        # Loky needs no `if __name__ == "__main__"` in a script.
        from joblib.externals import loky
        from joblib.externals.loky.backend import resource_tracker as own

        own.ensure_running()  # as that of uninterrupted
        return loky.ProcessPoolExecutor(
            self._max_workers, initializer=end_with, initargs=(os.getpid(),)
        )

    def renew(self) -> None:
        """Have another pool made for what is submitted next."""
        self.end()
        self._pool = None

    def end(self) -> None:
        """End the pool, unless it is a user's own."""
        if self._pool is not None and self._pool is not self._given:
            self._pool.shutdown()
