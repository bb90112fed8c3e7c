"""Tables of other libraries: whatever has the Arrow PyCapsule interface is a corpus or a pool."""

import re

import pandas as pd
import pyarrow as pa
import pytest

import routingsim as rs
from routingsim.corpora.readers import ArrowStream

COLUMNS = {
    "id": ["a", "b"],
    "text": ["Hi", "Prove it"],
    "arrived_at": [0.0, 1.5],
    "outcomes.gpt-4.quality": [1.0, None],
}


class Stream:
    """A table that says nothing but its columns, as one of polars or DuckDB does."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Dataset:
    """What routingsim asks of a Dataset of HuggingFace datasets, whose rows may be a selection."""

    def __init__(self, table: pa.Table, rows: list[int]) -> None:
        self.table, self.rows = table, rows

    def with_format(self, type: str) -> "Dataset":
        assert type == "arrow"
        return self

    def __getitem__(self, which: slice) -> pa.Table:
        return self.table.take(self.rows)[which]


@pytest.mark.parametrize("form", [pa.table, lambda given: Stream(pa.table(given))])
def test_an_arrow_table_is_the_corpus_that_a_dataframe_is(form) -> None:
    given = form(COLUMNS)
    assert isinstance(given, ArrowStream)
    wanted = rs.Corpus.from_frame(pd.DataFrame(COLUMNS))
    assert rs.load_corpus(given).sha256 == rs.Corpus.from_frame(given).sha256 == wanted.sha256


def test_a_dataset_is_the_rows_that_it_selects() -> None:
    corpus = rs.load_corpus(Dataset(pa.table(COLUMNS), [1]))
    assert corpus.tasks["text"].tolist() == ["Prove it"]


def test_a_dataset_of_several_splits_is_refused() -> None:
    class DatasetDict(dict):
        def with_format(self, type: str) -> "DatasetDict":
            return self

    said = "frame: choose one split of this DatasetDict; it has train, test"
    with pytest.raises(rs.CorpusError, match=f"^{said}$"):
        rs.load_corpus(DatasetDict(train=1, test=2))


@pytest.mark.parametrize("read", [rs.load_corpus, rs.Corpus.from_frame, rs.read_log])
def test_rows_that_are_not_there_yet_are_asked_for(read) -> None:
    class LazyFrame:
        def collect(self) -> pa.Table:
            raise AssertionError("it may take hours")

    class IterableDataset:
        def with_format(self, type: str) -> "IterableDataset":
            return self

    said = "frame: this LazyFrame has no rows yet; give what its collect() returns"
    with pytest.raises(rs.CorpusError, match=f"^{re.escape(said)}$"):
        read(LazyFrame())
    said = "frame: this IterableDataset has no rows yet; load it with streaming=False"
    with pytest.raises(rs.CorpusError, match=f"^{said}$"):
        read(IterableDataset())


def test_what_is_wrong_in_a_table_is_named() -> None:
    with pytest.raises(rs.CorpusError, match=r"frame, row 2: id"):
        rs.load_corpus(pa.table({"id": ["a", "a"], "text": ["x", "y"]}))


def test_a_table_of_agents_is_a_pool() -> None:
    pool = rs.load_agents("paretobandit")
    assert rs.load_agents(pool.to_frame()) == pool
    rows = pa.Table.from_pylist(pool.to_dict()["agents"])
    assert rs.load_agents(rows) == rs.load_agents(Stream(rows)) == pool
    limited = pa.table({"id": ["a", "b"], "name": ["A", "B"], "cost": [0.0, 0.1],
                        "latency": [1.0, 2.0], "requests_per_minute": [60, None]})  # fmt: skip
    assert [each.requests_per_minute for each in rs.load_agents(limited)] == [60, None]
    with pytest.raises(rs.AgentError, match=r"^agents: agent 1 \(a\), record: no field 'slots': "):
        rs.load_agents(limited.append_column("slots", pa.array([1, 2])))
