"""Folders of tasks: what is read of them, in blocks and whole."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.corpora import stream
from routingsim.errors import CorpusError


def tasks(first: int, count: int, **columns: object) -> pd.DataFrame:
    number = np.arange(first, first + count)
    frame = pd.DataFrame({"id": number.astype(str), "text": "say " + pd.Series(number).astype(str)})
    return frame.assign(arrived_at=number * 0.5, **columns)


def test_a_folder_is_one_corpus_in_the_order_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "TASKS", 4)
    tasks(0, 3, category="b").to_parquet(tmp_path / "0.parquet")
    tasks(3, 1, category="").to_parquet(tmp_path / "1.parquet")
    both = tasks(4, 6, category="a").assign(**{"outcomes.x.quality": 0.5})
    rs.Corpus.from_frame(both).write(tmp_path / "2.jsonl.gz")
    (tmp_path / "_SUCCESS").touch()
    found = rs.stream_corpus(tmp_path)
    assert repr(found) == f"CorpusStream({str(tmp_path)!r}: 3 files)"
    assert [len(block) for block in found.blocks()] == [3, 7]
    assert repr(found) == f"CorpusStream({str(tmp_path)!r}: 10 tasks in 3 files)"
    facts = found.facts
    assert (facts.tasks, facts.categories, facts.agents) == (10, ("a", "b"), ("x",))
    assert (facts.first, facts.last, facts.unsorted) == (0.0, 4.5, "")
    assert found.has_arrivals
    for block in found.blocks():
        assert (block.categories, block.agents) == (("a", "b"), ("x",))
    whole = rs.load_corpus(tmp_path)
    assert (whole.name, len(whole), whole.categories) == (tmp_path.name, 10, ("a", "b"))
    assert whole.tasks["id"].tolist() == [str(k) for k in range(10)]
    joined = pd.concat([block.tasks for block in found.blocks()], ignore_index=True)
    pd.testing.assert_frame_equal(joined, whole.tasks)
    known = np.concatenate([block.outcomes["quality"] for block in found.blocks()])
    np.testing.assert_array_equal(known, whole.outcomes["quality"])


def test_blocks_of_parquet_go_on_across_row_groups_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "TASKS", 4)
    whole = tasks(0, 16, category=[*"abbcddaaccbbdade"])
    whole["prompt_tokens"] = [*range(15), None]
    for k, (part, rows) in enumerate(((whole[:11], 3), (whole[11:], 2))):
        part.to_parquet(tmp_path / f"{k}.parquet", row_group_size=rows, index=False)
    found = rs.stream_corpus(tmp_path)
    blocks = [block.tasks for block in found.blocks()]
    assert [block["id"].tolist() for block in blocks] == [
        ["0", "1", "2", "3"],
        ["4", "5", "6", "7"],
        ["8", "9", "10"],
        ["11", "12", "13", "14"],
        ["15"],
    ]
    pd.testing.assert_frame_equal(
        pd.concat(blocks, ignore_index=True), rs.load_corpus(tmp_path).tasks
    )
    assert found.facts.categories == (*"abcde",)
    whole.loc[[7, 12], "arrived_at"] = -1.0
    for k, (part, rows) in enumerate(((whole[:11], 3), (whole[11:], 2))):
        part.to_parquet(tmp_path / f"{k}.parquet", row_group_size=rows, index=False)
    skipped = rs.stream_corpus(tmp_path, on_error="skip").facts
    assert skipped.tasks == 14
    assert skipped.notes[0].startswith("2 records were skipped; the first: ")
    assert "0.parquet, row 8: arrived_at: " in skipped.notes[0]


def test_dates_count_from_the_first_of_all_files(tmp_path: Path) -> None:
    for k, day in enumerate(("2026-03-01", "2026-03-02")):
        stamps = pd.Series(pd.date_range(day, periods=3, freq="90min", tz="UTC"))
        tasks(3 * k, 3).assign(arrived_at=stamps).to_parquet(tmp_path / f"{k}.parquet")
    expected = [0.0, 5400.0, 10800.0, 86400.0, 91800.0, 97200.0]
    blocks = [block.tasks["arrived_at"] for block in rs.stream_corpus(tmp_path).blocks()]
    assert pd.concat(blocks).tolist() == expected
    assert rs.load_corpus(tmp_path).tasks["arrived_at"].tolist() == expected


def test_bad_records_are_named_or_counted(tmp_path: Path) -> None:
    tasks(0, 3).to_parquet(tmp_path / "0.parquet")
    bad = tasks(3, 3)
    bad.loc[1, "arrived_at"] = -1.0
    bad.to_parquet(tmp_path / "1.parquet")
    reason = "1.parquet, row 2: arrived_at: expected a finite number >= 0, found -1.0"
    with pytest.raises(CorpusError, match=re.escape(reason)):
        rs.stream_corpus(tmp_path).facts  # noqa: B018
    found = rs.stream_corpus(tmp_path, on_error="skip").facts
    assert found.tasks == 5
    assert found.notes == (f"1 record was skipped; the first: {tmp_path / reason}",)


def test_what_is_wrong_with_a_folder_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        CorpusError, match=r"nowhere: no such file or folder; in blocks, files are read"
    ):
        rs.stream_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"holds no file of tasks \(\.parquet, \.jsonl"):
        rs.stream_corpus(tmp_path)
    tasks(0, 3).to_parquet(tmp_path / "0.parquet")
    tasks(3, 3).assign(text=1.5).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(CorpusError) as caught:
        rs.stream_corpus(tmp_path).facts  # noqa: B018
    assert str(caught.value) == (
        f"{tmp_path}/1.parquet: column 'text' is numbers, and in {tmp_path}/0.parquet it is text; "
        "the files of a folder are one corpus, so give all the same columns"
    )
    (tmp_path / "1.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CorpusError, match=r"1\.parquet: damaged or cut-off Parquet file"):
        rs.stream_corpus(tmp_path).facts  # noqa: B018
    (tmp_path / "1.parquet").unlink()
    monkeypatch.setenv("ROUTINGSIM_STREAM_BYTES", "10")
    with pytest.raises(CorpusError, match=r"bytes of tasks are too many to load whole; replay"):
        rs.load_corpus(tmp_path)
    monkeypatch.delenv("ROUTINGSIM_STREAM_BYTES")
    assert len(rs.load_corpus(tmp_path)) == 3
