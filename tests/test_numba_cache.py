"""Where compiled code is kept."""

import os
import stat
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
