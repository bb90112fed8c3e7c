"""Policies of other packages, by entry point: a real installed package, a real process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''
from routingsim.policies import Policy, choose_kernel


@choose_kernel
def last(task, pool, memory):
    return pool.busy.size - 1


def make(pool, corpus=None):
    """Always the last agent."""
    return Policy("always-last", last)
'''


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line where ``site`` holds installed packages too."""
    return subprocess.run(
        [sys.executable, "-c", "from routingsim.cli import main; main()", *arguments],
        env=os.environ | {"PYTHONPATH": str(site), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed package that names a policy."""
    (tmp_path / "lastly.py").write_text(MODULE)
    installed = tmp_path / "lastly-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lastly\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[routingsim.policies]\nalways-last = lastly:make\n"
    )
    return tmp_path


def test_a_plug_in_adds_a_policy(site: Path) -> None:
    assert "Always the last agent." in run(site, "policies").stdout
    routed = run(site, "route", "Hi", "--policy", "always-last")
    assert routed.stdout.startswith("Routed to Mistral"), routed.stderr


def test_a_broken_plug_in_is_named_and_harms_no_other(site: Path) -> None:
    (site / "lastly.py").write_text("import a_module_that_is_not_there\n")
    assert "cannot be loaded from lastly" in run(site, "policies").stdout
    asked = run(site, "route", "Hi", "--policy", "always-last")
    assert asked.returncode == 2
    assert asked.stderr.startswith("error: policy 'always-last' cannot be loaded from lastly")
    assert "Traceback" not in asked.stderr
    assert run(site, "route", "Hi", "--policy", "cheapest").returncode == 0
