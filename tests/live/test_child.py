"""Children that end with their parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from routingsim.live.child import start_child, stop_child

pytestmark = pytest.mark.system

CAT = ["/bin/cat"]


def test_a_child_ends_when_its_input_does() -> None:
    child = start_child(CAT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdin
    assert child.stdout
    child.stdin.write(b"hello\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"hello\n"
    assert os.getsid(child.pid) == child.pid  # signals to our process group do not reach it
    stop_child(child, 10.0)
    assert child.returncode == 0
    stop_child(child, 10.0)  # does nothing


def test_a_child_that_does_not_end_is_killed() -> None:
    child = start_child(["/bin/sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stop_child(child, 0.1)
    assert child.returncode == -signal.SIGKILL


def test_a_child_that_has_ended_can_be_stopped() -> None:
    child = start_child(["/bin/true"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdin
    assert child.wait(10) == 0
    child.stdin.write(b"too late")  # waits in the buffer, which closing cannot empty
    stop_child(child, 10.0)


def test_a_fork_neither_keeps_nor_stops_a_child() -> None:
    program = """
        import os, subprocess, sys, time
        from routingsim.live.child import start_child, stop_child
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        child = start_child(["/bin/cat"], **quiet)
        if os.fork() == 0:
            stop_child(child, 0.0)
            print(os.getpid(), child.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout
        fork, child = map(psutil.Process, map(int, parent.stdout.readline().split()))
        try:
            assert child.is_running()
            parent.kill()
            parent.wait()
            deadline = time.monotonic() + 10
            while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert fork.is_running()
        finally:
            fork.kill()
