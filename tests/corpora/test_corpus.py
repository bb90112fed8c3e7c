"""A corpus keeps what it was given, in order, and says what it changed.

Tests of ``corpus``, ``corpus_text`` and ``selection``.
"""

import copy
import hashlib
import html.parser
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routingsim.corpora.corpus import Corpus
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
        }
    )


def trace(times: list[float], tokens: bool = True) -> Corpus:
    columns = {"id": [f"r{i}" for i in range(len(times))], "text": "", "arrived_at": times}
    if tokens:
        columns |= {"prompt_tokens": range(10, 10 + len(times)), "output_tokens": 5}
    return Corpus.from_frame(pd.DataFrame(columns), "trace")


def ids(corpus: Corpus) -> list[str]:
    return corpus.tasks["id"].tolist()


# -- from a frame and back -----------------------------------------------------------------------


def test_from_frame_leaves_the_frame_alone() -> None:
    given_frame = frame().iloc[::-1]
    before = given_frame.copy(deep=True)
    corpus = Corpus.from_frame(given_frame, "mine")
    pd.testing.assert_frame_equal(given_frame, before)
    assert (corpus.name, corpus.source, len(corpus)) == ("mine", "DataFrame", 6)
    assert corpus.agents == ("m.v1", "n")
    assert corpus.outcomes["quality"][:, 0].tolist() == [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert corpus.tasks.index.equals(pd.RangeIndex(6))
    assert {str(corpus.tasks[name].dtype) for name in ("id", "text", "category")} == {"str"}
    for name in ("arrived_at", "prompt_tokens", "output_tokens"):
        assert corpus.tasks[name].dtype == np.float64


def test_from_frame_names_the_row() -> None:
    bad = frame()
    bad.loc[2, "outcomes.m.v1.quality"] = 7
    with pytest.raises(CorpusError, match=r"mine, row 3: outcomes\.m\.v1\.quality: .* found 7"):
        Corpus.from_frame(bad, "mine")
    with pytest.raises(CorpusError, match=r"row 1: text: U\+D800 is half a character"):
        Corpus.from_frame(pd.DataFrame({"id": ["a"], "text": pd.Series(["\ud800"], dtype=object)}))
    corpus = Corpus.from_frame(bad, on_error="skip")
    assert ids(corpus) == ["t0", "t1", "t3", "t4", "t5"]
    assert [skipped.line for skipped in corpus.skipped] == [3]
    with pytest.raises(CorpusError, match="column 'text' is missing"):
        Corpus.from_frame(frame().drop(columns="text"))
    with pytest.raises(CorpusError, match="unknown agent 'n'"):
        Corpus.from_frame(frame(), agents=["m.v1"])


def test_from_frame_takes_numpy_and_nullable_values() -> None:
    mixed = pd.DataFrame(
        {
            "id": [1, 2],
            "text": ["a", "b"],
            "arrived_at": pd.array([1, None], dtype="Int64"),
            "prompt_tokens": np.array([np.float32(3), None], dtype=object),
        }
    )
    corpus = Corpus.from_frame(mixed)
    assert ids(corpus) == ["1", "2"]
    assert corpus.tasks["prompt_tokens"].tolist()[0] == 3.0
    assert corpus.notes == ("1 task has no arrived_at: the corpus's own times cannot be replayed",)
    assert not corpus.has_arrivals


def test_sha256_of_a_frame_is_of_its_canonical_csv(tmp_path: Path) -> None:
    corpus = Corpus.from_frame(frame())
    corpus.write(tmp_path / "c.csv")
    assert corpus.sha256 == hashlib.sha256((tmp_path / "c.csv").read_bytes()).hexdigest()
    assert corpus == Corpus.from_frame(frame())
    assert hash(corpus) == hash(Corpus.from_frame(frame()))
    assert corpus != Corpus.from_frame(frame(5))
    assert corpus != "corpus"


def test_a_corpus_travels_to_another_process() -> None:
    corpus = Corpus.from_frame(frame())
    assert corpus.texts[1].as_py() == "text, number\n1"
    assert pickle.loads(pickle.dumps(corpus)) == corpus


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda corpus: pickle.loads(pickle.dumps(corpus))]
)
def test_copies_are_equal_and_as_frozen(again: Callable[[Corpus], Corpus]) -> None:
    corpus = again(Corpus.from_frame(frame(), "mine"))
    assert corpus == Corpus.from_frame(frame(), "mine")
    assert corpus.outcomes["quality"].flags.writeable is False
    with pytest.raises(TypeError, match="does not support item assignment"):
        corpus.outcomes["quality"] = np.zeros((6, 2))  # pyright: ignore[reportIndexIssue]


def test_tasks_are_a_copy() -> None:
    corpus = Corpus.from_frame(frame())
    tasks = corpus.tasks
    tasks["text"] = "other"
    tasks.loc[0, "id"] = "other"
    tasks["arrived_at"] += 1.0
    del tasks["category"]
    assert corpus == Corpus.from_frame(frame())
    assert corpus.texts[0].as_py() == corpus.tasks["text"].iloc[0] == "text, number\n0"
    with pytest.raises(ValueError, match="read-only"):
        corpus.tasks["prompt_tokens"].to_numpy()[0] = 1.0
    with pytest.raises(AttributeError):
        corpus.tasks = tasks  # pyright: ignore[reportAttributeAccessIssue]


def test_other_forms_of_a_corpus() -> None:
    corpus = Corpus.from_frame(frame(2), "a|b")
    assert corpus.to_dict() == {
        "name": "a|b",
        "tasks": 2,
        "categories": {"maths": 1},
        "agents": ["m.v1", "n"],
        "source": "DataFrame",
        "sha256": corpus.sha256,
        "notes": [],
        "findings": [],
    }
    assert corpus.to_markdown().splitlines() == [
        "| corpus | a\\|b |",
        "| --- | --- |",
        "| tasks | 2 |",
        "| categories | maths 1 |",
        "| arrivals | none |",
        "| recorded quality | m.v1 0.050, n quality not recorded |",
        "| source | DataFrame |",
    ]
    assert corpus.to_html() == corpus._repr_html_()


# -- texts, arrivals, outcomes -------------------------------------------------------------------


def test_texts_are_one_clean_arrow_array() -> None:
    corpus = Corpus.from_frame(frame()).select([4, 2])
    assert corpus.texts.to_pylist() == ["text, number\n4", "text, number\n2"]
    assert (str(corpus.texts.type), corpus.texts.offset) == ("large_string", 0)
    assert corpus.texts.null_count == 0
    assert corpus.has_texts


def test_unsorted_arrivals_are_sorted_stably_and_said() -> None:
    table = pd.DataFrame(
        {
            "id": list("abcde"),
            "text": list("vwxyz"),
            "arrived_at": [3.0, 1.0, 2.0, 1.0, 9.0],
            "outcomes.m.quality": [0.3, 0.1, 0.2, 0.15, 0.9],
        }
    )
    corpus = Corpus.from_frame(table)
    assert ids(corpus) == list("bdcae")
    assert corpus.outcomes["quality"][:, 0].tolist() == [0.1, 0.15, 0.2, 0.3, 0.9]
    assert corpus.notes == ("3 arrivals were unsorted: sorted",)
    assert corpus.has_arrivals


def test_outcome_in_the_order_asked() -> None:
    corpus = Corpus.from_frame(frame(2))
    quality = corpus.outcome("quality", ["stranger", "n", "m.v1"])
    assert quality.shape == (2, 3)
    assert np.isnan(quality[:, :2]).all()
    assert quality[:, 2].tolist() == [0.0, 0.1]
    with pytest.raises(CorpusError, match="no outcome 'speed'; allowed are quality, cost"):
        corpus.outcome("speed", ["n"])


def test_outcomes_cannot_be_written_to() -> None:
    corpus = Corpus.from_frame(frame())
    for part in (corpus, corpus.head(2), corpus.with_arrivals(trace([1.0]))):
        with pytest.raises(ValueError, match="read-only"):
            part.outcomes["quality"][0, 0] = 1.0


# -- selections ------------------------------------------------------------------------------------


def test_select_keeps_the_order_asked() -> None:
    corpus = Corpus.from_frame(frame())
    part = corpus.select([4, 0])
    assert ids(part) == ["t4", "t0"]
    assert part.outcomes["quality"][:, 0].tolist() == [0.4, 0.0]
    assert part.notes == ("2 of 6 tasks selected",)
    assert ids(corpus.select(corpus.tasks["category"] == "maths")) == ["t1", "t3", "t5"]
    assert len(corpus.select([])) == 0


def test_select_keeps_arrivals_sorted() -> None:
    assert ids(Corpus.from_frame(frame(arrivals=True)).select([4, 0])) == ["t0", "t4"]


@pytest.mark.parametrize(
    ("indices", "said"),
    [
        ([6], "from 0 to 5"),
        ([-1], "from 0 to 5"),
        ([1, 1], "twice"),
        ([0.5], "positions"),
        ([True, False], "mask of shape"),
    ],
)
def test_select_refuses(indices: list, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        Corpus.from_frame(frame()).select(indices)


def test_head() -> None:
    corpus = Corpus.from_frame(frame())
    assert ids(corpus.head(2)) == ["t0", "t1"]
    assert corpus.head(99) == corpus
    assert len(corpus.head(0)) == 0


def test_sample_and_split_repeat_under_a_seed(seed: int) -> None:
    corpus = Corpus.from_frame(frame(200, arrivals=True))
    assert corpus.sample(50, seed) == corpus.sample(50, seed)
    assert ids(corpus.sample(50, seed)) != ids(corpus.sample(50, seed + 1))
    assert len(set(ids(corpus.sample(50, seed)))) == 50
    first, second = corpus.split(0.7, seed)
    assert (len(first), len(second)) == (140, 60)
    assert sorted([*ids(first), *ids(second)]) == sorted(ids(corpus))
    assert first.tasks["arrived_at"].is_monotonic_increasing
    assert ids(first) != ids(corpus)[:140]
    with pytest.raises(CorpusError, match="cannot draw 201 of 200"):
        corpus.sample(201, seed)
    with pytest.raises(CorpusError, match="allowed is 0 to 1"):
        corpus.split(1.5, seed)


# -- meeting a trace ---------------------------------------------------------------------------


def test_with_arrivals_of_the_same_length() -> None:
    corpus = Corpus.from_frame(frame(3), "mine")
    joined = corpus.with_arrivals(trace([0.0, 0.5, 4.0]))
    assert ids(joined) == ["t0", "t1", "t2"]
    assert joined.tasks["arrived_at"].tolist() == [0.0, 0.5, 4.0]
    assert joined.tasks["prompt_tokens"].tolist() == [10.0, 11.0, 12.0]
    assert joined.texts.to_pylist() == corpus.texts.to_pylist()
    assert joined.notes == ("arrivals of trace (3)",)
    assert joined.sha256 not in (corpus.sha256, "")
    assert np.isnan(corpus.tasks["arrived_at"]).all()


def test_a_longer_trace_goes_round() -> None:
    joined = Corpus.from_frame(frame(2)).with_arrivals(trace([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert ids(joined) == ["t0", "t1", "t0#2", "t1#2", "t0#3"]
    assert joined.outcomes["quality"][:, 0].tolist() == [0.0, 0.1, 0.0, 0.1, 0.0]
    assert "the 2 tasks are repeated" in joined.notes[0]


def test_a_shorter_trace_leaves_tasks_out() -> None:
    joined = Corpus.from_frame(frame(5)).with_arrivals(trace([0.0, 1.0]))
    assert ids(joined) == ["t0", "t1"]
    assert joined.notes == ("arrivals of trace (2): 3 of 5 tasks left out",)


def test_a_trace_without_token_counts_leaves_those_of_the_corpus() -> None:
    table = frame(2).assign(prompt_tokens=[7.0, 8.0])
    joined = Corpus.from_frame(table).with_arrivals(trace([0.0, 1.0], tokens=False))
    assert joined.tasks["prompt_tokens"].tolist() == [7.0, 8.0]


def test_notes_of_the_trace_are_carried() -> None:
    joined = Corpus.from_frame(frame(2)).with_arrivals(trace([1.0, 0.0]))
    assert joined.notes[-1] == "trace: 1 arrival was unsorted: sorted"


def test_with_arrivals_refuses() -> None:
    corpus = Corpus.from_frame(frame(2))
    with pytest.raises(CorpusError, match="frame has no arrival times"):
        corpus.with_arrivals(corpus)
    with pytest.raises(CorpusError, match="frame has no tasks for the arrivals"):
        corpus.head(0).with_arrivals(trace([0.0]))
    clash = frame(2)
    clash["id"] = ["a", "a#2"]
    with pytest.raises(CorpusError, match="#2"):
        Corpus.from_frame(clash).with_arrivals(trace([0.0, 1.0, 2.0]))


def test_propensities_are_kept_and_written_only_where_there_are_any() -> None:
    table = frame(3).assign(propensity=[0.5, np.nan, 1.0])
    corpus = Corpus.from_frame(table)
    assert corpus.select([2, 0]).tasks["propensity"].tolist() == [1.0, 0.5]
    joined = corpus.head(1).with_arrivals(trace([0.0, 1.0]))
    assert joined.tasks["propensity"].tolist() == [0.5, 0.5]
    assert corpus.to_frame()["propensity"].tolist()[::2] == [0.5, 1.0]
    assert "propensity" not in corpus.select([1]).to_frame()
    assert Corpus.from_frame(frame(3)).sha256 == (
        "094fdc3e6617d430aa20e776cdc5f2d17758027a8f579e28f68ce5fabe5ed580"
    )


# -- at a glance -----------------------------------------------------------------------------------


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_repr_says_what_is_in_it() -> None:
    text = repr(Corpus.from_frame(frame(arrivals=True), "mine"))
    assert "Corpus('mine': 6 tasks)" in text
    assert "maths 3" in text
    assert "0.0 s to 5.0 s" in text
    assert "m.v1 0.250, n quality not recorded" in text
    assert "texts: none" in repr(trace([0.0]))


def test_html_is_escaped_closed_and_small() -> None:
    evil = "<script>alert(1)</script>"
    table = frame(60)
    table["category"] = [f"{evil}{'x' * 5000}{i}" for i in range(60)]
    agents = {f"outcomes.{evil}{'y' * 5000}{i}.quality": [0.5] * 60 for i in range(60)}
    ignored = {f"{evil}{'z' * 5000}{i}": [1] * 60 for i in range(60)}
    corpus = Corpus.from_frame(pd.concat([table, pd.DataFrame(agents | ignored)], axis=1), evil * 9)
    shown = corpus._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert len(shown) < 50_000
    assert len(repr(corpus)) < 10_000
    tags = Tags()
    tags.feed(shown)
    assert tags.open == []
    assert {"div", "table", "ul"} <= set(tags.seen)
    assert Corpus.from_frame(frame()).head(0)._repr_html_()


def test_milliseconds_are_told_from_seconds():
    def notes(stamps):
        return Corpus.from_frame(
            pd.DataFrame({"id": ["a", "b"], "text": "", "arrived_at": stamps})
        ).notes

    assert not notes([1_700_000_000, 1_700_000_002])
    [note] = notes([1_700_000_000_000, 1_700_000_001_500])
    assert note == "arrived_at: milliseconds since 1970, divided by 1,000 to give seconds"
