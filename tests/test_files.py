"""A file is written whole or not at all."""

import os
from pathlib import Path

import pytest

from routingsim.errors import CorpusError, RoutingSimError
from routingsim.files import bundled, written


def test_folders_that_come_with_the_package() -> None:
    assert (bundled("data") / "agents.toml").is_file()
    assert (bundled("notebooks") / "report.ipynb").is_file()


def test_a_file_takes_its_name_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with written(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary != path
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_the_old_file_stays_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with written(path) as first, written(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("absent/x.txt", "No such file or directory"),
        ("file/x.txt", "Not a directory"),
        ("folder", "Is a directory"),
    ],
)
def test_what_cannot_be_written_is_named(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    with pytest.raises(CorpusError) as caught, written(path, CorpusError) as temporary:
        temporary.write_text("new")
    said = f"{path}: cannot be written ({why}); name a file in a folder that exists and that you "
    said += "may write to"
    assert str(caught.value) == said
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_the_error_is_of_the_base_type_by_default(tmp_path: Path) -> None:
    with pytest.raises(RoutingSimError) as caught, written(os.fspath(tmp_path / "a" / "b")) as to:
        to.touch()
    assert type(caught.value) is RoutingSimError
