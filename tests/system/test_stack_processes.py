"""LiveStack and `serve` in real processes that are killed, interrupted and stopped."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import start_new_kernel
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from routingsim.live import LiveStack, Settings, play
from routingsim.messages import (
    AgentInfo,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)

pytestmark = pytest.mark.system

AGENT = AgentInfo("GPT-4", "gpt-4", ("code",), 0.03, 2.5)
SCORE = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))

STACK = """
import json, os, sys, time
from routingsim.live import LiveStack, Settings
live = LiveStack(Settings(), http=False, port=0).start()
print(json.dumps({"url": live.url, "redis": live.redis_url}), flush=True)
"""

# A shell starts a script's jobs (`command &`) with SIGINT ignored, and nohup starts its command
# with SIGHUP ignored. Their children inherit that, these tests too.
FOREGROUND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""

JOB = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
"""

SERVE = """
from routingsim.live import Settings, serve
serve(Settings(websocket_port=0), only="bridge")
"""


# An import that takes seconds takes ten minutes here.
STOPPED_WHILE_STARTING = """
import importlib.abc, sys, tempfile, time
from routingsim.live import Settings, serve

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "routingsim.live.http.app":
            print("importing", flush=True)
            time.sleep(600)
            print("imported", flush=True)

tempfile.tempdir = {folder!r}
sys.meta_path.insert(0, Slow())
serve(Settings(websocket_port=0, http_port=0))
"""


def decision(number: int) -> RoutingDecision:
    return RoutingDecision(str(number), AGENT, SCORE, "because", 0)


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition is still false"
        time.sleep(0.02)


def listens(url: str) -> bool:
    host, port = url.partition("://")[2].partition("/")[0].rpartition("@")[2].rsplit(":", 1)
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start Python programs in a group of their own, as Jupyter starts its kernels."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", FOREGROUND + program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return json.loads(line)


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    def lives(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):  # it may go between two questions
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return False

    return not any(map(lives, processes))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_program_that_is_killed(
    run: Callable[[str], subprocess.Popen[str]], how: signal.Signals
) -> None:
    process = run(STACK + "time.sleep(60)")
    addresses = told(process)
    assert listens(addresses["url"])
    assert listens(addresses["redis"])
    family = below(process)
    assert len(family) >= 2  # the live process and its server
    process.send_signal(how)
    until(lambda: gone(family))
    assert not listens(addresses["url"])
    assert not listens(addresses["redis"])


def test_nothing_outlives_a_program_that_just_ends(
    run: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = run(STACK + "sys.exit(3)")
    addresses = told(process)
    assert process.wait(20) == 3
    until(lambda: not listens(addresses["url"]) and not listens(addresses["redis"]))


def test_nothing_outlives_a_program_whose_forked_child_does(
    run: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = run(
        STACK
        + """
if os.fork() == 0:
    print(json.dumps({"child": os.getpid()}), flush=True)
time.sleep(60)
"""
    )
    told(process)
    family = below(process)
    child = psutil.Process(told(process)["child"])
    process.kill()
    until(lambda: gone([each for each in family if each != child]))
    assert child.is_running()
    child.kill()


def test_an_interrupted_cell_leaves_the_stack_alone(
    run: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = run(
        STACK
        + """
try:
    print("{}", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print(json.dumps(live.is_running), flush=True)
    live.stop()
"""
    )
    addresses = told(process)
    assert told(process) == {}  # it is where an interrupt is caught
    os.killpg(process.pid, signal.SIGINT)  # as Jupyter does: the whole group
    assert told(process) is True  # type: ignore[comparison-overlap]
    assert process.wait(20) == 0
    assert not listens(addresses["url"])


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3])
def test_an_interrupt_while_starting_leaves_nothing(
    run: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, after: float
) -> None:
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        process = run("import routingsim.live, time\nprint('{}', flush=True)\n" + STACK)
        told(process)
        time.sleep(after)
        assert not gone(using(folder))
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
        until(lambda: gone(using(folder)))
        until(lambda: not os.listdir(folder))


def using(folder: str) -> list[psutil.Process]:
    """The processes that have the folder in their command line or environment."""

    def uses(process: psutil.Process) -> bool:
        try:
            return folder in f"{process.cmdline()} {process.environ()}"
        except psutil.Error:
            return False

    return [process for process in psutil.process_iter() if uses(process)]


def test_a_notebook_that_is_interrupted_goes_on_and_one_that_is_restarted_leaves_nothing(
    tmp_path: Path,
) -> None:
    manager, client = start_new_kernel(cwd=os.fspath(tmp_path))

    def cell(source: str) -> str:
        """Run a cell to its end, and give back all that it shows."""
        shown: list[str] = []

        def note(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] in ("stream", "error", "execute_result", "display_data"):
                shown.append(content.get("text") or content.get("ename") or str(content["data"]))

        client.execute_interactive(source, timeout=60, output_hook=note)
        return "".join(shown)

    try:
        assert cell(f"import time\n{STACK}").count("ws://") == 1
        url = json.loads(cell("print(json.dumps(live.url))"))
        assert listens(url)
        client.execute("print('going')\nwhile True: pass", stop_on_error=False)
        while client.get_iopub_msg(timeout=20)["content"].get("text") != "going\n":
            pass
        manager.interrupt_kernel()
        assert "LiveStack" in cell("live")
        assert listens(url)
        assert cell(f"{STACK}print(live.is_running)").endswith("True\n")  # the cell again
        assert "routingsim-feed" in cell("live.feed()")
        family = psutil.Process(manager.provisioner.pid).children(recursive=True)  # type: ignore
        assert len(family) >= 2
        manager.restart_kernel(now=True)
        until(lambda: gone(family))
        assert not listens(url)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.destroy()


def own(which: Callable[[psutil.Process], bool]) -> psutil.Process:
    """The one descendant of this process that ``which`` accepts.

    Others are helpers of multiprocessing and joblib, started by other tests.
    """
    family = psutil.Process().children(recursive=True)
    [found] = [each for each in family if not gone([each]) and which(each)]
    return found


def is_server(process: psutil.Process) -> bool:
    return "valkey" in process.name()


def is_live_process(process: psutil.Process) -> bool:
    return "routingsim.live.serve" in " ".join(process.cmdline())


def test_a_killed_server_is_started_again_and_costs_nothing() -> None:
    with LiveStack(Settings(), http=False, port=0) as live, live.listen() as listener:
        play([(0.0, decision(0))], live.publisher)
        killed = own(is_server)
        killed.kill()
        killed.wait(20)  # the next one may be there, and connected to, before one can look
        played = play([(0.0, decision(1)), (0.01, decision(2))], live.publisher)
        assert (played.messages, played.undelivered) == (2, 0)
        listener.wait_for(3)
        assert listener.count == len(live.messages()) == 3
        assert live.publisher.stats().restored == 1


def test_another_server_on_a_killed_ones_port_is_not_used(port: int) -> None:
    with LiveStack(Settings(redis_port=port), http=False, port=0) as live:
        assert live.redis_url.endswith(f"@127.0.0.1:{port}/0")
        live.publisher.publish_routing_decision(decision(0))
        assert len(live.messages()) == 1
        process = own(is_live_process)
        process.suspend()
        own(is_server).kill()
        until(lambda: not listens(live.redis_url))
        with socket.create_server(("127.0.0.1", port)) as other:
            process.resume()
            live.publisher.publish_routing_decision(decision(1))
            assert live.publisher.flush(20)
            assert len(live.messages()) == 2
            other.settimeout(1.0)
            with pytest.raises(TimeoutError):
                other.accept()


def test_a_live_process_that_was_killed_can_be_started_again() -> None:
    with LiveStack(Settings(), http=False, port=0) as live:
        redis = live.redis_url
        own(is_live_process).kill()
        until(lambda: not live.is_running)
        until(lambda: not listens(redis))  # its server went with it
        assert "stopped" in repr(live)
        live.start()
        live.publisher.publish_routing_decision(decision(1))
        assert len(live.messages()) == 1


def test_what_lies_in_the_current_folder_is_not_imported(
    run: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    program = STACK + "live.stop()"
    process = run(f"import sys; sys.path.remove('')\n{program}")
    for name in ("asyncio", "redis", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')")
    assert told(process)["url"]
    assert process.wait(20) == 0


@pytest.mark.parametrize("before", [FOREGROUND, JOB], ids=["foreground", "job"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_cleanly(
    run: Callable[[str], subprocess.Popen[str]], number: signal.Signals, before: str
) -> None:
    process = run(before + SERVE)
    assert process.stdout
    redis, websocket = (process.stdout.readline().split() for _ in range(2))
    assert redis[0] == "Redis"
    with connect(websocket[1]) as client:
        process.send_signal(number)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    lines = said.splitlines()
    assert all(" level=INFO " in line for line in lines), said
    assert "event=stopped" in lines[-1]
    assert not listens(websocket[1])
    assert not listens(redis[-1])


def test_serve_stops_when_its_terminal_closes_unless_told_to_stay(
    run: Callable[[str], subprocess.Popen[str]],
) -> None:
    for program, stays in ((SERVE, False), (JOB + SERVE, True)):  # the second as by nohup
        process = run(program)
        assert process.stdout
        _, websocket = (process.stdout.readline().split() for _ in range(2))
        with connect(websocket[1]) as client:
            process.send_signal(signal.SIGHUP)
            if stays:
                client.send(json.dumps({"type": "ping"}))
                assert json.loads(client.recv(10)) == {"type": "pong"}
                process.terminate()
            with pytest.raises(ConnectionClosed):
                client.recv(10)
        assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_while_it_starts(
    number: signal.Signals, tmp_path: Path, run: Callable[[str], subprocess.Popen[str]]
) -> None:
    process = run(STOPPED_WHILE_STARTING.format(folder=str(tmp_path)))
    assert process.stdout
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    assert process.wait(20) == 0
    assert "imported" not in process.stdout.read()
    until(lambda: not list(tmp_path.glob("routingsim-*")))


def test_serve_says_who_holds_a_taken_port(
    run: Callable[[str], subprocess.Popen[str]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = run(SERVE.replace("websocket_port=0", f"websocket_port={port}"))
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"port {port}: it is taken by" in said.splitlines()[-1]
    assert f"pid {os.getpid()}" in said


def test_the_api_alone_wants_a_redis_that_others_know(
    run: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = run(SERVE.replace('"bridge"', '"api"'))
    assert "set REDIS_HOST" in process.communicate(timeout=20)[1]
