"""The guard against leaks must itself fail when something leaks."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")


def run_pytest(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Run one test, given as source, under this folder's conftest."""
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "leak",
    [
        "import threading, time\n"
        "def test(): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "import subprocess, sys\n"
        "def test(): subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
    ],
    ids=["thread", "process"],
)
def test_a_leak_fails_the_test_that_left_it(tmp_path: Path, leak: str) -> None:
    done = run_pytest(tmp_path, leak)
    assert done.returncode == 1, done.stdout
    assert "left behind by this test" in done.stdout


@pytest.mark.slow
def test_what_a_process_of_a_wider_fixture_starts_is_no_leak(tmp_path: Path) -> None:
    starts = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    done = run_pytest(
        tmp_path,
        "import subprocess, sys, time, psutil, pytest\n"
        "@pytest.fixture(scope='module')\n"
        "def server():\n"
        f"    command = [sys.executable, '-c', {starts!r}]\n"
        "    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:\n"
        "        yield process\n"
        "def test(server):\n"
        "    while not psutil.Process(server.pid).children():\n"
        "        time.sleep(0.01)\n",
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_what_a_wider_fixture_keeps_running_is_no_leak(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path,
        "import subprocess, sys, threading, pytest\n"
        "@pytest.fixture(scope='module')\n"
        "def server():\n"
        "    with subprocess.Popen([sys.executable], stdin=subprocess.PIPE) as process:\n"
        "        yield process\n"
        "def test(server):\n"
        "    thread = threading.Thread(target=print)\n"
        "    thread.start()\n",
    )
    assert done.returncode == 0, done.stdout
