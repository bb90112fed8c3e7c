"""What every test shares: data folders, seeds, and the rule to leave nothing behind."""

import contextlib
import io
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import psutil
import pytest
from hypothesis import settings
from tqdm.auto import tqdm

from routingsim.numba_cache import PACKAGE, package_state

ROOT = Path(__file__).resolve().parent.parent
CI = "CI" in os.environ

matplotlib.use("Agg")  # not by the environment: notebooks' kernels show their figures

# Properties are explored afresh on a developer's machine and repeated exactly in CI. Shared
# machines stall, so no example has a deadline.
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=40)
settings.register_profile("ci", settings.get_profile("explore"), derandomize=True)
settings.load_profile("ci" if CI else "explore")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the run's seed and compile what is not yet, once for all of xdist's workers."""
    os.environ.setdefault("ROUTINGSIM_TEST_SEED", "0" if CI else str(random.randrange(2**32)))
    if getattr(config.option, "numprocesses", None):  # this process only hands tests out
        compile_once(config)


def compile_once(config: pytest.Config) -> None:
    """Leave engine and kernels in numba's cache, on two cores, if what they are made of changed.

    On an empty cache each worker, and each process that a test starts, would compile them.
    """
    cache, state = config.cache, package_state()
    if cache is None or (any(PACKAGE.rglob("*.nbi")) and cache.get("compiled", None) == state):
        return
    command = [sys.executable, str(ROOT / "tests" / "compiling.py")]
    halves = [subprocess.Popen([*command, half]) for half in "01"]
    codes = [half.wait() for half in halves]
    if not any(codes):
        cache.set("compiled", state)


def pytest_report_header() -> str:
    """Say how to repeat the run."""
    return f"random tests: ROUTINGSIM_TEST_SEED={os.environ['ROUTINGSIM_TEST_SEED']} repeats them"


LONG = ("test_compare.py", "test_docs.py", "test_html.py", "test_kernel.py", "test_pdf.py")
LONG += ("system",)
"""Files, and folders of files, that take ten seconds or more, as every notebook does."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first: at the end of a run no worker is left with one alone."""
    long = {item.path for item in items if {item.path.name, item.path.parent.name} & {*LONG}}
    items.sort(key=lambda item: (item.path.suffix != ".ipynb", item.path not in long))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Seed for a random test: another one each run (fixed in CI), shown when the test fails."""
    run = os.environ["ROUTINGSIM_TEST_SEED"]
    value = zlib.crc32(f"{run}:{request.node.nodeid}".encode())
    print(f"seed {value}; ROUTINGSIM_TEST_SEED={run} repeats it")
    return value


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real corpora and traces, as their authors published them."""
    named = os.environ.get("ROUTINGSIM_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"ROUTINGSIM_DATA={named} is not a folder")
    pytest.skip(
        "no real corpora here: load each by name once with ROUTINGSIM_DATA set to a folder, "
        "then run with the same setting (CONTRIBUTING.md, 'Real data')"
    )


@pytest.fixture(scope="session")
def shared_reference(shared_data: Path) -> Path:
    """Folder of exact queueing results, beside the corpora."""
    folder = shared_data.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"no exact queueing results at {folder} (CONTRIBUTING.md, 'Real data')")
    return folder


class Terminal(io.StringIO):
    """A file that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Where progress bars are shown, and at once."""
    screen = Terminal()
    monkeypatch.setattr("routingsim.progress.tqdm", partial(tqdm, file=screen))
    monkeypatch.setattr("routingsim.progress.DELAY", 0.0)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)  # a thread that would outlive it
    monkeypatch.delenv("TQDM_DISABLE")
    return screen


@pytest.fixture
def port() -> int:
    """A TCP port of loopback that nobody has, for a server that goes away and comes back.

    Not one of those that outgoing connections are given: meanwhile one might get it.
    """
    dice = random.SystemRandom()  # workers share the seed of the other
    while True:
        number = dice.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium or Chrome, for tests marked ``browser``."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    missing = "no Chromium or Chrome on PATH; `.ci/run` installs one"
    if CI:
        pytest.fail(missing)
    pytest.skip(missing)


def _below() -> list[psutil.Process]:
    """Processes below this one.

    Linux says which threads have children: where none has, not every process of the machine
    need be read, which takes longer than most tests.
    """
    lists = [*Path("/proc/self/task").glob("*/children")]
    with contextlib.suppress(OSError):  # a thread has ended meanwhile
        if lists and not any(each.read_bytes() for each in lists):
            return []
    return psutil.Process().children(recursive=True)


def _running() -> set[threading.Thread | psutil.Process]:
    """Threads of this process and processes below it, but for those that live as long as it.

    Those are tqdm's monitor and the helpers of :mod:`multiprocessing` and joblib.
    """
    running: set[threading.Thread | psutil.Process] = {
        thread
        for thread in threading.enumerate()
        if type(thread).__name__ != "TMonitor" and not thread.name.startswith("Dask-Offload")
    }
    for child in _below():
        try:
            lasting = any("resource_tracker" in part for part in child.cmdline())
            if not lasting and child.status() != psutil.STATUS_ZOMBIE:
                running.add(child)
        except psutil.NoSuchProcess:
            continue
    return running


def _kept(each: threading.Thread | psutil.Process, before: set[Any]) -> bool:
    """Whether it is a process below one of a wider fixture, as a page's in a browser."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return isinstance(each, psutil.Process) and not before.isdisjoint(each.parents())
    return True  # it has ended


@pytest.fixture(autouse=True)
def leave_nothing_behind() -> Iterator[None]:
    """Fail a test that ends while a thread or process of its own still runs.

    Fixtures of wider scope start before this one and may keep theirs, and what these start. What
    is stopping already gets three seconds; a process that stays is killed, lest it disturb the
    tests that follow.
    """
    before = _running()
    yield
    patience = time.monotonic() + 3
    while left := {each for each in _running() - before if not _kept(each, before)}:
        if time.monotonic() > patience:
            break
        time.sleep(0.01)
    for each in left:
        if isinstance(each, psutil.Process):
            each.kill()
    if left:
        pytest.fail(f"left behind by this test: {', '.join(map(repr, left))}", pytrace=False)
