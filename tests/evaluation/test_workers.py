"""Work gives the same wherever it goes, and outlives the death of workers.

``travel`` and ``processes`` are tested here too.
"""

import functools
import itertools
import os
import pickle
import queue
import random
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from routingsim.errors import SimulationError
from routingsim.evaluation import travel, workers
from routingsim.evaluation.travel import Failed, packed_once
from routingsim.evaluation.workers import _in_joblib, _Pool, check_where, execution

SHARED = {"offset": 100}
WANTED = {k: 100 + k**2 for k in range(12)}


def squares() -> Callable[[Any, Any], Any]:
    """A function of no module that a worker could import."""

    def square(shared: dict[str, int], item: int) -> int:
        return shared["offset"] + item**2

    return square


def results(work: Callable[[Any, Any], Any], items: int = 12, **where: Any) -> dict[int, Any]:
    found: dict[int, Any] = {}

    def done(k: int, result: Any) -> None:
        assert k not in found, "told once"
        found[k] = result

    with execution(work, SHARED, **where) as each:
        each(range(items), done)
    return found


class Post(Executor):
    """An executor that nobody has heard of: all goes through pickle, to a thread of its own."""

    def __init__(self) -> None:
        self.letters: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.bytes: list[int] = []
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        letter = pickle.dumps((fn, args, kwargs))
        self.bytes.append(len(letter))
        self.letters.put((future, letter))
        return future

    def _work(self) -> None:
        while (got := self.letters.get()) is not None:
            future, letter = got
            if future.set_running_or_notify_cancel():
                fn, args, kwargs = pickle.loads(letter)
                future.set_result(pickle.loads(pickle.dumps(fn(*args, **kwargs))))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.letters.put(None)
        self.thread.join()


def test_here_in_threads_and_by_an_executor_of_nobodys() -> None:
    assert results(squares(), n_jobs=1) == WANTED
    assert results(squares(), executor="serial") == WANTED
    assert results(squares(), n_jobs=3) == WANTED
    assert results(squares(), executor="threads") == WANTED
    with ThreadPoolExecutor(2) as threads:
        assert results(squares(), executor=threads) == WANTED
    with Post() as post:
        assert results(squares(), executor=post) == WANTED
    assert results(squares(), items=0, n_jobs=2) == {}


class Forgetful(Executor):
    """Cancels the first try of each call, and does the others before it is asked for them."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.calls += 1
        if self.calls <= 12:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_call_that_an_executor_has_dropped_is_made_again() -> None:
    pool = Forgetful()
    assert results(squares(), executor=pool) == WANTED
    assert pool.calls == 24


def test_what_is_shared_travels_once_to_a_worker_that_cannot_read_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(travel, "_held", {})
    monkeypatch.setattr(travel.Path, "read_bytes", lambda path: (_ for _ in ()).throw(OSError()))
    big = {"offset": 100, "corpus": os.urandom(100_000)}
    found: dict[int, Any] = {}
    with Post() as post, execution(squares(), big, executor=post) as each:
        each([0, 1], found.__setitem__)
        each([2, 3, 4], lambda k, result: found.__setitem__(2 + k, result))
    assert found == {k: WANTED[k] for k in range(5)}
    sent = [size > 100_000 for size in post.bytes]
    assert sum(sent[:2]) == 0, "not at first"
    assert 1 <= sum(sent) <= 2
    assert not any(sent[-3:])


def test_what_a_killed_run_left_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for pid in (ended.pid, os.getpid(), "x"):
        (tmp_path / f"routingsim-shared-{pid}-abc").mkdir()
        (tmp_path / f"routingsim-shared-{pid}-abc" / "shared.pickle").touch()
    with packed_once(squares(), SHARED) as packed:
        assert Path(packed.path).exists()
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {f"routingsim-shared-{pid}-abc" for pid in (os.getpid(), "x")}


def test_through_joblib() -> None:
    from joblib import Parallel

    assert results(squares(), executor=Parallel(n_jobs=2, backend="threading")) == WANTED
    assert results(squares(), executor=Parallel(n_jobs=1)) == WANTED


class Batch:
    """As ``joblib.Parallel``: one that kills takes along what was begun, and what had ended.

    Some of the latter comes late: where the same object is called again.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.late: list[Any] = []

    def __call__(self, calls: Any) -> Any:
        yield from self.late
        while ahead := list(itertools.islice(calls, 4)):
            self.random.shuffle(ahead)
            ended = []
            for function, args, kwargs in ahead:
                try:
                    ended.append(function(*args, **kwargs))
                except SystemExit:
                    in_time = self.random.randrange(4)
                    self.late = ended[in_time:]
                    yield from ended[:in_time]
                    raise KilledWorker from None
            yield from ended


def test_joblib_gives_up_only_what_kills_its_worker() -> None:
    def work(shared: Any, item: int) -> int:
        if item in (3, 7):
            raise SystemExit
        return shared["offset"] + item**2

    for seed in range(20):
        found: dict[int, Any] = {}
        with packed_once(work, SHARED) as packed:
            _in_joblib(packed, Batch(seed), range(12), found.__setitem__)
        for k in (3, 7):
            assert str(found.pop(k).error) == "its worker died 3 times (KilledWorker)"
        assert found == {k: v for k, v in WANTED.items() if k not in (3, 7)}


@pytest.mark.slow
def test_dask() -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    with distributed.Client(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as client:
        assert results(squares(), executor=client) == WANTED
        assert results(squares(), executor=client.get_executor()) == WANTED

        def gone(k: int, result: Any) -> None:
            client.close()

        with (
            execution(squares(), SHARED, executor=client) as each,
            pytest.raises(SimulationError, match=r"^the Dask cluster is gone \(.*: begin it anew"),
        ):
            each(range(500), gone)


def _kills(victim: int, marker: str = "") -> Callable[[Any, Any], Any]:
    """Work at which a worker dies: always, or but once, which the file ``marker`` tells."""

    def work(shared: dict[str, int], item: int) -> int:
        if item == victim and not os.path.exists(marker):
            if marker:
                open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return shared["offset"] + item**2

    return work


@pytest.mark.soak  # three processes die; test_only_what_kills_its_worker_is_given_up is the same
def test_what_always_kills_its_worker_is_given_up() -> None:
    found = results(_kills(7), items=8, executor="processes", n_jobs=1)
    assert isinstance(found[7], Failed)
    assert str(found[7].error).startswith("its worker died 3 times (")
    assert found == {**{k: WANTED[k] for k in range(7)}, 7: found[7]}


class KilledWorker(Exception):
    """As an executor names the death of a worker."""


class Mortal(Executor):
    """Does a call at a time, in random order; one that kills takes all under way with it."""

    def __init__(self, seed: int) -> None:
        self._max_workers = 1
        self.random = random.Random(seed)
        self.calls: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.calls.append((future, functools.partial(fn, *args, **kwargs)))
        return future

    def run(self) -> None:
        """Do one of the calls."""
        future, call = self.calls.pop(self.random.randrange(len(self.calls)))
        try:
            future.set_result(call())
        except KilledWorker as error:
            for lost, _ in [*self.calls, (future, call)]:
                lost.set_exception(error)
            self.calls.clear()


def test_only_what_kills_its_worker_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(packed: Any, item: int) -> Any:
        if item == 7:
            raise KilledWorker
        return item

    for seed in range(200):
        pool = Mortal(seed)

        def one_more(futures: Any, return_when: str, pool: Mortal = pool) -> Any:
            pool.run()
            return wait(futures, return_when=return_when)

        monkeypatch.setattr(workers, "wait", one_more)
        found: dict[int, Any] = {}
        _Pool(pool, functools.partial(work, None), None)(range(12), found.__setitem__)
        assert str(found.pop(7).error) == "its worker died 3 times (KilledWorker)"
        assert found == {k: k for k in range(12) if k != 7}


def _each_kills_once(most: int, folder: str) -> Callable[[Any, Any], Any]:
    """Work at which a worker dies ``most`` times, at another item each time."""

    def work(shared: dict[str, int], item: int) -> int:
        marker = os.path.join(folder, str(item))
        if item < most and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return shared["offset"] + item**2

    return work


@pytest.mark.slow
def test_what_a_dask_cluster_was_sent_outlives_the_workers_that_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")

    @contextmanager
    def nowhere(work: Any, shared: Any) -> Iterator[travel.Packed]:
        with packed_once(work, shared) as packed:
            os.remove(packed.path)  # as for workers on another machine
            yield packed

    monkeypatch.setattr(workers, "packed_once", nowhere)
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
    with cluster, distributed.Client(cluster) as client:
        found = results(_each_kills_once(2, str(tmp_path)), items=6, executor=client)
    assert found == {k: WANTED[k] for k in range(6)}


@pytest.mark.slow
def test_a_pool_of_the_users_own_is_made_anew_and_what_was_under_way_done_again(
    tmp_path: Path,
) -> None:
    marker = tmp_path / "marker"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = results(_kills(3, str(marker)), items=5, executor=pool)
    assert marker.exists()
    assert found == {k: WANTED[k] for k in range(5)}


def test_an_error_of_the_work_is_a_result_and_an_error_of_its_taker_ends_the_run() -> None:
    class Odd(Exception):  # of no module: it cannot be pickled
        pass

    def work(shared: Any, item: int) -> int:
        if item == 2:
            raise Odd("two is odd")
        return item

    for executor, kind in (("serial", Odd), ("threads", Odd), (Post(), SimulationError)):
        found = results(work, items=4, executor=executor)
        assert [found[k] for k in (0, 1, 3)] == [0, 1, 3]
        assert type(found[2].error) is kind
        assert 'raise Odd("two is odd")' in found[2].traceback
        begun: list[int] = []

        def count(shared: Any, item: int, begun: list[int] = begun) -> int:
            begun.append(item)
            return item

        def refuse(k: int, result: Any) -> None:
            raise OSError("full")

        with (
            pytest.raises(OSError, match="full"),
            execution(count, SHARED, executor=executor) as each,
        ):
            each(range(100), refuse)
        assert len(begun) < 100
        if isinstance(executor, Executor):
            executor.shutdown()


def test_numbers_of_workers_and_executors_are_checked() -> None:
    for wrong in (0, 1.5, "2"):
        with pytest.raises(SimulationError) as caught:
            check_where(None, wrong)  # type: ignore[arg-type]
        assert str(caught.value) == (
            f"n_jobs={wrong!r}: a whole number of workers, 1 or more, is needed, or -1 for one a "
            "core, -2 for one less"
        )
    with pytest.raises(SimulationError) as caught:
        check_where("thread", None)
    assert str(caught.value) == (
        "executor='thread': choose one of serial, threads, processes, dask; did you mean 'threads'?"
    )
    with pytest.raises(SimulationError, match=r"^executor=3: serial, threads, processes, dask, a "):
        check_where(3, None)
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(SimulationError, match=r"^executor and n_jobs: give one of them$"),
    ):
        check_where(pool, 1)


def test_an_executor_that_takes_no_work_is_refused_in_one_line() -> None:
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    said = "the executor ThreadPoolExecutor takes no work .cannot schedule new futures after shut"
    with pytest.raises(SimulationError, match=said):
        results(squares(), executor=closed)
    with pytest.raises(SimulationError, match=r"Executor takes no work .NotImplementedError.: one"):
        results(squares(), executor=Executor())


@pytest.mark.slow
def test_a_pool_that_renews_its_processes_does_not_stand_still() -> None:
    limited = ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=2)
    assert results(squares(), executor=limited) == WANTED
    limited.shutdown()
