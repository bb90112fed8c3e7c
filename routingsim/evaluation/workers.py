"""Where the work of a study goes: this thread, threads, processes, a cluster, any executor."""

import functools
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager, suppress
from copy import copy
from queue import Queue
from typing import Any

from routingsim.errors import SimulationError, did_you_mean
from routingsim.evaluation.processes import RenewedPool, is_loky, local_dask
from routingsim.evaluation.travel import (
    Failed,
    Lacking,
    Packed,
    do,
    do_numbered,
    packed_once,
    pickled,
    tried,
)
from routingsim.simulation.arrivals.checks import is_whole
from routingsim.threads import workers_of

NAMED = ("serial", "threads", "processes", "dask")
"""Executors that are made where only a name is given."""

TRIES = 3
"""How often an item is begun if its worker dies each time; the last time it runs alone."""

_AHEAD = 4  # items that are sent for each worker, so that none waits for its next
_MANY = 64  # workers of an executor that does not say how many it has

Work = Callable[[Any, Any], Any]
Done = Callable[[int, Any], object]


@contextmanager
def execution(
    work: Work, shared: Any, *, executor: Any = None, n_jobs: int | None = None
) -> Iterator[Callable[[Sequence[Any], Done], None]]:
    """A function that does ``work(shared, item)`` for all items, and reports each as it ends.

    Parameters
    ----------
    work : callable
        A function at the top level of a module.
    shared : object
        The same for all items; it is sent to each worker once
        (:mod:`routingsim.evaluation.travel`).
    executor, n_jobs
        As :func:`check_where` allows them. A process pool whose worker dies is replaced,
        and the items that were lost are run again, up to ``TRIES`` times each.

    Yields
    ------
    callable
        ``each(items, done)``, which calls ``done(k, result)`` in this thread; ``result`` is
        :class:`~routingsim.evaluation.travel.Failed` where the work raised an error. What
        ``done`` raises ends the run: items that are under way end, others are not begun.
        It raises a SimulationError if an executor is broken that cannot be replaced.

    Raises
    ------
    SimulationError
        If the executor is none.
    """
    check_where(executor, n_jobs)
    count = workers_of(n_jobs)
    if executor == "serial" or (executor is None and count == 1):
        yield functools.partial(_serial, work, shared)
    elif _kind(executor) == "joblib":
        with packed_once(work, shared) as packed:
            yield functools.partial(_in_joblib, packed, executor)
    else:
        with _opened(executor, count) as pool:
            if isinstance(pool, ThreadPoolExecutor):
                yield _Pool(pool, functools.partial(tried, work, shared), None)
            else:
                with packed_once(work, shared) as packed:
                    yield _Pool(pool, None, packed)


def _serial(work: Work, shared: Any, items: Sequence[Any], done: Done) -> None:
    for k, item in enumerate(items):
        done(k, tried(work, shared, item))


def check_where(executor: Any, n_jobs: int | None) -> None:
    """Refuse what is no executor and no number of workers.

    Parameters
    ----------
    executor : str, Executor, Client or Parallel, optional
        One of ``NAMED``, which uses ``n_jobs`` workers; any
        :class:`concurrent.futures.Executor`; a client of Dask; or a ``joblib.Parallel``.
    n_jobs : int, optional
        Workers: by default one for each core, as -1; -2 is one less.

    Raises
    ------
    SimulationError
        Which says what is allowed.
    """
    if n_jobs is not None and (not is_whole(n_jobs) or n_jobs == 0):
        raise SimulationError(
            f"n_jobs={n_jobs!r}: a whole number of workers, 1 or more, is needed, or -1 for one a "
            "core, -2 for one less"
        )
    if executor is None:
        return
    if isinstance(executor, str):
        if executor not in NAMED:
            hint = did_you_mean(executor, NAMED)
            raise SimulationError(f"executor={executor!r}: choose one of {', '.join(NAMED)}{hint}")
        return
    if not _kind(executor):
        raise SimulationError(
            f"executor={executor!r:.80}: {', '.join(NAMED)}, a concurrent.futures.Executor, a "
            "dask.distributed.Client or a joblib.Parallel is needed"
        )
    if n_jobs is not None:
        raise SimulationError("executor and n_jobs: give one of them")


def _kind(executor: Any) -> str:
    """What kind of executor it is, by its class's names; "" for none."""
    names = {(c.__module__.partition(".")[0], c.__name__) for c in type(executor).__mro__}
    if {("distributed", "Client"), ("distributed", "ClientExecutor")} & names:
        return "dask"
    if ("joblib", "Parallel") in names:
        return "joblib"
    return "executor" if isinstance(executor, Executor) else ""


@contextmanager
def _opened(executor: Any, workers: int) -> Iterator[Any]:
    """The executor, made and ended here if only a name was given."""
    if executor is None or executor == "threads":
        with ThreadPoolExecutor(workers) as pool:
            yield pool
    elif executor == "dask":
        with local_dask(workers) as client:
            yield client
    elif executor == "processes" or (type(executor) is ProcessPoolExecutor or is_loky(executor)):
        pool = RenewedPool(None if executor == "processes" else executor, workers)
        try:
            yield pool
        finally:
            pool.end()
    else:
        yield executor


class _Pool:
    """An executor with what all items share; in threads of this process nothing is packed."""

    def __init__(self, pool: Any, here: Callable[[Any], Any] | None, packed: Packed | None) -> None:
        self.pool, self._here, self._packed = pool, here, packed
        self._client: Any = None
        self._sent: Any = None
        known = getattr(pool, "_max_workers", None)
        self.most = _AHEAD * (known if isinstance(known, int) else _MANY)
        if _kind(pool) == "dask":
            self._client = getattr(pool, "_client", pool)
            given = {**getattr(pool, "_kwargs", {}), "pure": False}
            self.pool = self._client.get_executor(**given)
            self.most = _AHEAD * max(_MANY, sum(self._client.nthreads().values()))

    def __call__(self, items: Sequence[Any], done: Done) -> None:
        _Running(self, items, done).go()

    def submit(self, item: Any, lacking: bool) -> Any:
        """Send an item; with what all share if a worker lacked it."""
        if self._packed is None:
            return self.pool.submit(self._here, item)
        sent, packed = pickled(item), self._packed
        if self._client is None:
            data = packed.data if lacking else None
            return self.pool.submit(do, packed.digest, packed.path, data, sent)
        with _client_there():
            data = self._on_cluster(packed.data) if lacking else None
            return self.pool.submit(do, packed.digest, packed.path, data, sent)

    def _on_cluster(self, data: bytes) -> Any:
        """The bytes on a Dask cluster, where they are sent once.

        As a task, which is run again where the workers that held its result have died. Scattered
        data would be gone with them; Dask then cancels all that needs it, and a result that it
        was about to fetch never comes.
        """
        if self._sent is None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                self._sent = self._client.submit(bytes, data, pure=False)
        return self._sent

    def renew(self, error: BaseException) -> None:
        """Go on after the death of a worker."""
        if self._client is not None:
            self._sent = None  # the bytes may have failed with the workers that were to hold them
        elif isinstance(self.pool, RenewedPool):
            self.pool.renew()
        elif isinstance(error, BrokenExecutor):  # one that has lost a call may take it again
            raise SimulationError(
                f"the executor {type(self.pool).__name__} is broken ({error}): make it anew and "
                "run this again; what is in a file of results is not repeated"
            ) from error


@contextmanager
def _client_there() -> Iterator[None]:
    """Say in one line that a client of Dask is closed, or its cluster."""
    try:
        yield
    except Exception as error:  # of many kinds
        raise SimulationError(
            f"the Dask cluster is gone ({type(error).__name__}): begin it anew and run this "
            "again; what is in a file of results is not repeated"
        ) from error


class _Running:
    """Items on their way through an executor, a few for each worker at a time."""

    def __init__(self, pool: _Pool, items: Sequence[Any], done: Done) -> None:
        self.pool, self.items, self.done = pool, items, done
        self.waiting = deque(range(len(items)))
        self.under_way: dict[Any, int] = {}
        self.lost = dict.fromkeys(self.waiting, 0)
        self.lacking: set[int] = set()

    def go(self) -> None:
        """Run all items."""
        try:
            while self.waiting or self.under_way:
                self._send()
                self._take()
        except BaseException:
            for future in self.under_way:
                future.cancel()
            for future, k in self.under_way.items():  # what was running ends now
                with suppress(BaseException):
                    result = future.result()
                    if not isinstance(result, Failed | Lacking):
                        self.done(k, result)
            raise

    def _send(self) -> None:
        while self.waiting and not self._full():
            k = self.waiting[0]
            try:
                future = self.pool.submit(self.items[k], k in self.lacking)
            except BrokenExecutor as error:
                self._renew(error)
                return
            except RuntimeError as error:  # NotImplementedError, too
                said = str(error) or type(error).__name__
                raise SimulationError(
                    f"the executor {type(self.pool.pool).__name__} takes no work ({said}): one "
                    "that is open, and has submit(), is needed"
                ) from error
            self.waiting.popleft()
            self.under_way[future] = k

    def _full(self) -> bool:
        """Whether the next item has to wait: an item on its last try runs alone."""
        near = (self.waiting[0], *self.under_way.values())
        alone = any(self.lost[k] == TRIES - 1 for k in near)
        return len(self.under_way) >= (1 if alone else self.pool.most)

    def _take(self) -> None:
        broken = None
        for future in wait(self.under_way, return_when=FIRST_COMPLETED).done:
            broken = self._taken(future) or broken
        if broken is not None:
            self._renew(broken)

    def _taken(self, future: Any) -> BaseException | None:
        """Take one result in; the error where its worker has died."""
        k = self.under_way.pop(future)
        try:
            result = future.result()
        except Exception as error:
            if not _is_loss(error):
                raise
            self.lost[k] += 1
            if self.lost[k] < TRIES:
                self.waiting.appendleft(k)
            else:
                self.done(k, _given_up(error))
            return error
        if isinstance(result, Lacking):
            self.lacking.add(k)
            self.waiting.appendleft(k)
        else:
            self.done(k, result)
        return None

    def _renew(self, error: BaseException) -> None:
        if isinstance(error, BrokenExecutor):
            for future in list(self.under_way):  # all of them have ended, well or with the pool
                self._taken(future)
        self.pool.renew(error)


def _is_loss(error: BaseException) -> bool:
    """Whether a worker died, and not the work."""
    named = type(error).__name__ in ("KilledWorker", "TerminatedWorkerError")
    return named or isinstance(error, BrokenExecutor | CancelledError)


def _given_up(error: BaseException) -> Failed:
    """The result of an item whose workers died."""
    return Failed(SimulationError(f"its worker died {TRIES} times ({type(error).__name__})"), "")


def _in_joblib(packed: Packed, given: Any, items: Sequence[Any], done: Done) -> None:
    """Items through a ``joblib.Parallel``, with its number of workers and its backend.

    It does not say which of the items that it has begun have killed a worker: all of them count as
    lost, and on its last try an item runs alone.
    """
    from joblib import delayed

    call, data = delayed(do_numbered), None
    lost = dict.fromkeys(range(len(items)), 0)
    while lost:
        last = [k for k, times in lost.items() if times == TRIES - 1]
        numbers, begun = last[:1] or list(lost), set[int]()

        def calls(
            numbers: Sequence[int] = numbers, begun: set[int] = begun, data: bytes | None = data
        ) -> Iterator[Any]:
            for k in numbers:
                begun.add(k)
                yield call(k, packed.digest, packed.path, data, pickled(items[k]))

        parallel = copy(given)
        parallel.return_generator, parallel.return_ordered = True, False
        # A copy shares these lists, and an interrupted run leaves calls and late results in them.
        parallel._jobs, parallel._jobs_set = deque(), set()
        parallel._ready_batches = Queue()
        try:
            for k, result in parallel(calls()):
                begun.discard(k)
                if isinstance(result, Lacking):
                    data = packed.data
                else:
                    del lost[k]
                    done(k, result)
        except Exception as error:
            if not _is_loss(error):
                raise
            for k in begun:
                lost[k] += 1
                if lost[k] == TRIES:
                    del lost[k]
                    done(k, _given_up(error))
