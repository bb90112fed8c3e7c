"""Where compiled code is kept."""

import importlib.util
import os
import pickle
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from routingsim import numba_cache
from routingsim.numba_cache import package_state, place

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="every user has a home there")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package and a home in which nothing can be made, not even by root."""
    nowhere = tmp_path / "nowhere"
    nowhere.touch()
    monkeypatch.setenv("HOME", str(nowhere / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return nowhere / "package"


def test_without_a_package_or_home_to_write_to_it_is_a_private_folder(nowhere: Path) -> None:
    folder = place(nowhere)
    assert folder is not None
    assert stat.S_IMODE(os.lstat(folder).st_mode) == 0o700
    assert place(nowhere) == folder


def test_a_folder_that_others_can_write_to_is_not_trusted(nowhere: Path) -> None:
    planted = place(nowhere)
    assert planted is not None
    os.chmod(planted, 0o777)
    own = place(nowhere)
    assert own not in (None, planted)


def test_numba_finds_the_usual_places_by_itself(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place(tmp_path) is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert place(nowhere) is None


HELPER = """
from numba import njit

FACTOR = {factor}

@njit
def helper(x):
    return x + {term}
"""
USER = """
import helpers
from helpers import FACTOR
from routingsim.compiled import cached_njit

@cached_njit("i8(i8)")
def function(x):
    return helpers.helper(x) * FACTOR

print(function(1), sum(function.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_a_function_is_compiled_again_if_what_it_calls_or_a_constant_has_changed(
    tmp_path: Path,
) -> None:
    (tmp_path / "user.py").write_text(USER)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}

    def run(term: int, factor: int) -> str:
        text = HELPER.format(term=term, factor=factor)
        if not helpers.exists() or helpers.read_text() != text:
            helpers.write_text(text)
        command = [sys.executable, "-c", "import user"]
        return subprocess.check_output(command, text=True, cwd=tmp_path, env=environment)

    helpers = tmp_path / "helpers.py"
    assert run(1, 10) == "20 0\n"
    assert run(1, 10) == "20 1\n"
    assert run(2, 10) == "30 0\n"
    assert run(2, 50) == "150 0\n"
    [index] = tmp_path.rglob("*.nbi")  # as if written by a version with a class that is gone
    index.write_bytes(pickle.dumps("1.0") + b"cno_such_module\nclass\n.")
    assert run(2, 50) == "150 0\n"
    assert len(list(tmp_path.rglob("*.nbc"))) == 1


def test_the_state_of_the_package_shows_changes_of_what_compiled_code_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rng.py", "simulation/inner/limits.py", "agents/agent.py", "report/html.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("agents" if name.startswith("agents") else "import numba")
    monkeypatch.setattr(numba_cache, "PACKAGE", tmp_path)
    state = package_state.__wrapped__
    before = state()
    assert before.count("\n") == 2
    (tmp_path / "report" / "html.py").write_text("from numba import njit")
    (tmp_path / "agents" / "agent.py").write_text("more")
    assert state() == before
    (tmp_path / "simulation" / "inner" / "limits.py").write_text("from numba import njit")
    assert state() != before


KERNELS = """
from routingsim.policies.kernel import choose_kernel

@choose_kernel
def first(task, pool, memory):
    return 0

@choose_kernel
def second(task, pool, memory):
    return 1
"""


@pytest.mark.slow
def test_a_full_disk_costs_the_cache_and_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "own_kernels.py"
    path.write_text(KERNELS)
    spec = importlib.util.spec_from_file_location("own_kernels", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_kernels"] = module  # where numba looks for it
    spec.loader.exec_module(module)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # bytes of a file: no kernel fits
    try:
        with pytest.warns(RuntimeWarning) as warned:
            made = [module.first.compiled, module.second.compiled]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        del sys.modules["own_kernels"]
    assert [len(each.overloads) for each in made] == [1, 1]
    assert [str(each.message) for each in warned] == [
        f"compiled kernels cannot be kept in {tmp_path / '__pycache__'} (File too large), and "
        "every process compiles its own: make room there, or set NUMBA_CACHE_DIR to another folder"
    ]
    assert not list(tmp_path.rglob("*.nbc"))
