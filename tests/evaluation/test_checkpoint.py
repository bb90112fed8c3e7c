"""A study resumes from its checkpoint, and from nothing that is another study's."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.study import Study
from routingsim.simulation.faults import Retries

from .samples import POLICIES, SMALL, corpus, pool, same, typed

GIVEN: dict[str, Any] = {"policies": POLICIES, **SMALL, "controls": ["oracle"]}
"""Without resampled corpora and most controls, which are most of a study's work."""
GIVEN["population"] = "these tasks"


@pytest.fixture(scope="module")
def in_threads() -> Study:
    return rs.compare(corpus(), pool(), **GIVEN)


def _again(path: Path, **changes: Any) -> tuple[Study, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    study = rs.compare(
        corpus(), pool(), **{**GIVEN, **changes},
        resume=path, progress=lambda *at: seen.append(at),
    )  # fmt: skip
    return study, seen


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, in_threads: Study) -> bytes:
    """The file of a study that has run to its end."""
    path = tmp_path_factory.mktemp("finished") / "study.jsonl"
    study, counted = _again(path)
    assert counted[0] == (0, 10)
    assert same(study, in_threads)
    return path.read_bytes()


@pytest.mark.slow
def test_a_finished_study_is_read_not_run(
    tmp_path: Path, in_threads: Study, finished: bytes
) -> None:
    path = tmp_path / "study.jsonl"
    path.write_bytes(finished)
    again, counted = _again(path)
    assert counted == [(10, 10)]
    assert same(again, in_threads)


def test_what_resampled_corpora_gave_is_read_too(tmp_path: Path) -> None:
    few = {"loads": [0.4], "policies": ["random"], "controls": False}
    given = few | {"population": "tasks like these"}
    made, counted = _again(tmp_path / "study.jsonl", **given)
    read, again = _again(tmp_path / "study.jsonl", **given)
    assert (counted[0], again) == ((0, 1), [(1, 1)])
    assert read.cells["random", 0.4].resampled.size > 0
    assert same(read, made)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 9, 200, -1])
def test_a_line_cut_short_is_done_again(
    cut: int, tmp_path: Path, in_threads: Study, finished: bytes
) -> None:
    path = tmp_path / "study.jsonl"
    *whole, last = finished.splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:cut])
    study, counted = _again(path)
    assert counted == [(9, 10), (10, 10)]
    assert same(study, in_threads)
    assert _again(path)[1] == [(10, 10)], "the file is whole again"


@pytest.mark.slow
def test_a_corrupt_line_is_named(tmp_path: Path, finished: bytes) -> None:
    path = tmp_path / "study.jsonl"
    lines = finished.splitlines(keepends=True)
    for bad in (b"{oops}\n", b'{"key": "k"}\n', b"[]\n", b"\xff\n"):
        path.write_bytes(b"".join([*lines[:2], bad, *lines[2:]]))
        with pytest.raises(SimulationError, match=r"study\.jsonl:3: not a line of a checkpoint"):
            _again(path)


@pytest.mark.slow
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for text in ("milk", "milk\n", '{"id": 1}'):
        path.write_text(text)
        with pytest.raises(SimulationError, match=r"notes\.txt:1: not a line of a checkpoint"):
            _again(path)
        assert path.read_text() == text
    with pytest.raises(SimulationError, match="nowhere"):
        _again(tmp_path / "nowhere" / "study.jsonl")


def test_a_full_disk_is_one_line_and_the_cells_before_it_are_kept(tmp_path: Path) -> None:
    path, seen = tmp_path / "study.jsonl", []
    given: dict[str, Any] = {"loads": [0.2, 0.4, 0.6, 0.8], "replications": 2, "n_jobs": 1}
    given |= {"controls": False, "population": "these tasks", "resume": path}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # bytes of a file
    try:
        with pytest.raises(SimulationError) as caught:
            rs.compare(corpus(), pool(), ["random"], on_cell=seen.append, **given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == (
        f"{path}: cannot be written (File too large); the cells finished so far are kept in it: "
        "correct that and run it again"
    )
    assert 1 <= len(seen) < 4
    study = rs.compare(corpus(), pool(), ["random"], on_cell=seen.append, **given)
    assert [row["load"] for row in seen] == [0.2, 0.4, 0.6, 0.8], "each cell once"
    assert seen[0]["cost"] == study.values("random", 0.2, "cost").mean()


def first(task, pool, memory):
    return 2 if task.d_var < 0.3 else 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"seed": 1}, 0),
        ({"replications": 2}, 0),
        ({"population": "tasks like these", "policies": ["threshold"], "controls": False}, 0),
        ({"objective": 2.0}, 0),
        ({"right": 0.9}, 0),
        ({"service": "exponential"}, 0),
        ({"retries": Retries(2)}, 0),
        ({"arrivals": "gamma:1,cv=2"}, 0),
        ({"arrivals": rs.Trace(np.arange(60.0))}, 0),
        ({"loads": [0.4, 0.5]}, 5),
        ({"policies": [*POLICIES[:3], first]}, 8),
        ({"policies": [*POLICIES[:3], typed(0.4)]}, 8),
    ],
)
def test_cells_of_another_study_are_not_taken(
    changes: dict[str, Any], known: int, tmp_path: Path, finished: bytes
) -> None:
    path = tmp_path / "study.jsonl"
    path.write_bytes(finished)
    study, counted = _again(path, **changes)
    total = counted[-1][0]
    assert (counted[0], counted[-1]) == ((known, total), (total, total))
    assert same(study, rs.compare(corpus(), pool(), **{**GIVEN, **changes}))
