"""What backtests found is kept by the digest of a log, across processes."""

from pathlib import Path

import pytest

from routingsim.corpora import backtested


def test_a_sentence_is_kept_for_the_same_bytes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTINGSIM_BACKTESTS", str(tmp_path / "new"))
    monkeypatch.setattr(backtested, "_known", {})
    assert backtested.said_of("ab") == ""
    backtested.remember("ab", "off by 1 %")
    monkeypatch.setattr(backtested, "_known", {})  # as in another process
    assert backtested.said_of("ab") == "off by 1 %"
    assert backtested.said_of("cd") == ""
    backtested.remember("", "of no log")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ab.txt"]


def test_it_is_known_in_this_process_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ROUTINGSIM_BACKTESTS", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(backtested, "_known", {})
    backtested.remember("ab", "off by 1 %")
    assert backtested.said_of("ab") == "off by 1 %"
