"""A corpus is written and read back without a change."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import CorpusError


def frame(size: int = 6, arrivals: bool = False) -> pd.DataFrame:
    """Tasks t0, t1, …; agent m.v1 has quality i/10 on task i, agent n a cost on every other."""
    return pd.DataFrame(
        {
            "id": [f"t{i}" for i in range(size)],
            "text": [f"text, number\n{i}" for i in range(size)],
            "category": ["maths" if i % 2 else "" for i in range(size)],
            "arrived_at": [float(i) if arrivals else np.nan for i in range(size)],
            "outcomes.m.v1.quality": [i % 11 / 10 for i in range(size)],
            "outcomes.n.cost": [0.1 * i if i % 2 else np.nan for i in range(size)],
            "outcomes.n.failed": [i % 4 == 1 if i % 2 else np.nan for i in range(size)],
            "propensity": [0.25 * (i % 4) or np.nan for i in range(size)],
        }
    )


@pytest.mark.parametrize("name", ["c.jsonl", "c.csv", "c.parquet", "c.jsonl.gz", "c.csv.gz"])
@pytest.mark.parametrize("arrivals", [False, True])
def test_written_and_read_back(tmp_path: Path, name: str, arrivals: bool) -> None:
    corpus = Corpus.from_frame(frame(arrivals=arrivals))
    corpus.write(tmp_path / name)
    back = load_corpus(tmp_path / name)
    pd.testing.assert_frame_equal(back.to_frame(), corpus.to_frame())
    assert back.agents == corpus.agents
    assert (back.name, back.notes) == ("c", ())
    assert back.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name.endswith(".gz"):
        assert gzip.decompress((tmp_path / name).read_bytes())


@pytest.mark.slow
@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            st.floats(0, 1e8) | st.floats(1e21, 1e300),  # none that may be an epoch in ms or ns
            st.none() | st.floats(0, 1),
        ),
        min_size=1,
        max_size=5,
    )
)
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_any_text_and_number_survive(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    rows: list[tuple[str, float, float | None]],
) -> None:
    path = tmp_path_factory.mktemp("any") / f"c.{suffix}"
    table = pd.DataFrame(rows, columns=["text", "arrived_at", "outcomes.m.quality"])
    table.insert(0, "id", [f"t{i}" for i in range(len(table))])
    corpus = Corpus.from_frame(table)
    corpus.write(path)
    pd.testing.assert_frame_equal(load_corpus(path).to_frame(), corpus.to_frame(), check_exact=True)


def test_write_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    corpus = Corpus.from_frame(frame())
    with pytest.raises(CorpusError, match=r"c\.xlsx: unknown suffix; allowed are \.jsonl"):
        corpus.write(tmp_path / "c.xlsx")
    with pytest.raises(CorpusError, match="cannot be written"):
        corpus.write(tmp_path / "missing" / "c.csv")
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(CorpusError, match="cannot be written"):
        corpus.write(tmp_path / "c.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["c.csv"]
