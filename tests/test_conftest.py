"""The guard against leaks must itself fail when something leaks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
STARTS = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
TESTS = f"""
import subprocess, sys, threading, time
import psutil, pytest

def test_thread():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

def test_process():
    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])

@pytest.fixture(scope='module')
def server():
    command = [sys.executable, '-c', {STARTS!r}]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process

def test_wider_fixture(server):
    thread = threading.Thread(target=print)
    thread.start()

def test_process_of_a_wider_fixture(server):
    while not psutil.Process(server.pid).children():
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What pytest says at the end of the tests above, under this folder's conftest."""
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_it.py").write_text(TESTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout.partition("short test summary info")[2].splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("leak", ["thread", "process"])
def test_a_leak_fails_the_test_that_left_it(leak: str, summary: list[str]) -> None:
    said = [line for line in summary if line.startswith(f"ERROR test_it.py::test_{leak} ")]
    assert len(said) == 1, summary
    assert "left behind by this test" in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["wider_fixture", "process_of_a_wider_fixture"])
def test_what_a_wider_fixture_keeps_running_or_starts_is_no_leak(
    kept: str, summary: list[str]
) -> None:
    assert f"PASSED test_it.py::test_{kept}" in summary
    assert not [line for line in summary if line.startswith(f"ERROR test_it.py::test_{kept}")]
