"""Compiled code on disk: what makes it out of date, and a disk that is full."""

import hashlib
import importlib.util
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from routingsim.compiled import _state

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


def other():
    pass


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (np.uint64(7), np.uint64(8)),
        ((np.zeros(2000), 1), (np.eye(1, 2000, 1000)[0], 1)),
        (np.zeros(6), np.zeros((2, 3))),
        (np.zeros(2), np.zeros(2, np.int64)),
        (("ab",), ("ac",)),
    ],
)
def test_constants_of_any_kind_are_told_apart(one: Any, another: Any) -> None:
    assert list(_state(one, set())) != list(_state(another, set()))


def test_a_tuple_of_functions_has_one_state_in_all_processes() -> None:
    made = njit(other)
    (state,) = _state((made,), set())
    assert state == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    assert list(_state(other, set())) == [state], "as one of register_jitable, which is plain"


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
