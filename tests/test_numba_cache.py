"""Where compiled code is kept."""

import importlib.util
import os
import resource
import stat
import sys
from pathlib import Path

import pytest

from routingsim.numba_cache import place

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
