"""Names that a shell completes are those that there are, and cost no compiler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from routingsim.agents import builtin_pools
from routingsim.cli.completion import (
    POLICIES,
    among,
    complete_corpus,
    complete_policy,
    complete_pool,
)
from routingsim.cli.options import Dates
from routingsim.corpora.catalogue import BUNDLED, DATASETS
from routingsim.policies.policy import _RECIPES


def test_the_names_are_all_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = [name for name, each in _RECIPES.items() if each.make.__module__.startswith("routingsim")]
    assert list(POLICIES) == sorted(own)
    assert complete_corpus("") == [*BUNDLED, *DATASETS]
    assert complete_pool("") == list(builtin_pools())


def test_what_begins_like_this_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete_policy("th") == ["thompson", "threshold"]
    assert complete_pool("par") == ["paretobandit"]
    assert complete_corpus("tas") == ["tasks"]
    assert complete_policy("none") == complete_pool("x.toml") == complete_corpus("mine") == []


def test_files_are_offered_beside_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("tasks.csv", "tasks of May.csv", "parts.toml", "mine.csv", ".tasks"):
        (tmp_path / name).touch()
    (tmp_path / "task-logs").mkdir()
    own = ["task-logs/", "tasks of May.csv", "tasks.csv"]
    assert complete_corpus("ta") == ["tasks", *own]
    assert complete_pool("pa") == ["paretobandit", "parts.toml"]
    assert complete_corpus("mi") == []
    assert complete_corpus("")[len(BUNDLED) + len(DATASETS) :] == ["mine.csv", "parts.toml", *own]
    monkeypatch.setenv("_ROUTINGSIM_COMPLETE", "complete_bash")
    assert complete_corpus("tasks ") == []
    assert complete_corpus("tas")[2] == r"tasks\ of\ May.csv"
    assert among(*Dates)("d") == [r"day\ first"]


def test_in_a_folder_that_is_gone_there_are_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert complete_corpus("tas") == ["tasks"]


@pytest.mark.slow
def test_a_shell_gets_them_without_numba_or_pandas() -> None:
    code = (
        "import sys\nfrom routingsim.cli import app\n"
        "try: app(prog_name='routingsim')\n"
        "finally: print({'numba', 'pandas'} & set(sys.modules))"
    )
    asked = {
        "COMP_WORDS": "routingsim replay tasks -p le",
        "COMP_CWORD": "4",
        "_ROUTINGSIM_COMPLETE": "complete_bash",
    }
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | asked
    )
    assert ran.stdout.split() == ["least-loaded", "set()"], ran.stderr
