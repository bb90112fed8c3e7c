"""Files of every form are read alike into ``rows``, and damaged ones named."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.corpora.readers import parse
from routingsim.errors import CorpusError

GOOD = '{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n'
Write = Callable[..., Path]


def ids(corpus: Corpus) -> list[str]:
    return corpus.tasks["id"].tolist()


FULL = {
    "id": "a",
    "text": "Héllo, wörld",
    "arrived_at": 1.5,
    "category": "chit-chat",
    "prompt_tokens": 12,
    "output_tokens": 40,
    "propensity": 0.25,
    "outcomes": {
        "org/model-1.5": {"quality": 0.5, "cost": 0.001, "latency": 2, "output_tokens": 41},
        "other": {"quality": 1, "failed": False},
    },
}


def flat(record: dict) -> pd.DataFrame:
    row = {key: value for key, value in record.items() if key != "outcomes"}
    for agent, fields in record["outcomes"].items():
        row |= {f"outcomes.{agent}.{key}": value for key, value in fields.items()}
    return pd.DataFrame([row])


def check_full(corpus: Corpus) -> None:
    assert corpus.tasks.iloc[0].tolist() == ["a", "Héllo, wörld", 1.5, "chit-chat", 12, 40, 0.25]
    assert corpus.agents == ("org/model-1.5", "other")
    assert corpus.outcomes["quality"].tolist() == [[0.5, 1.0]]
    for key, value in (("cost", 0.001), ("latency", 2.0), ("output_tokens", 41.0)):
        assert corpus.outcomes[key][0, 0] == value
        assert np.isnan(corpus.outcomes[key][0, 1])
    assert np.isnan(corpus.outcomes["failed"][0, 0])
    assert corpus.outcomes["failed"][0, 1] == 0.0
    assert corpus.notes == ()


def test_own_jsonl(write: Write) -> None:
    check_full(load_corpus(write(json.dumps(FULL, ensure_ascii=False))))


def test_own_json_array(write: Write) -> None:
    check_full(load_corpus(write(json.dumps([FULL], indent=2))))


def test_own_csv(write: Write) -> None:
    check_full(load_corpus(write(flat(FULL).to_csv(index=False), "tasks.csv")))


def test_own_parquet_flat_and_nested(tmp_path: Path) -> None:
    path = tmp_path / "tasks.parquet"
    for table in (flat(FULL), pd.DataFrame([FULL])):
        table.to_parquet(path)
        check_full(load_corpus(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tasks.jsonl", GOOD),
        ("tasks.csv", "id,text\na,one\nb,two\n"),
        ("tasks", GOOD),
        ("tasks.txt", "id,text\na,one\nb,two\n"),
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "\n\n").encode(),
        lambda text: text.rstrip().encode(),
        lambda text: gzip.compress(text.encode()),
    ],
    ids=["plain", "BOM", "CRLF", "CR", "blank lines", "no last newline", "gzip"],
)
def test_harmless_differences(
    write: Write, name: str, content: str, change: Callable[[str], bytes]
) -> None:
    corpus = load_corpus(write(change(content), name))
    assert ids(corpus) == ["a", "b"]
    assert corpus.texts.to_pylist() == ["one", "two"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_csv_as_spreadsheets_save_it(write: Write, delimiter: str) -> None:
    rows = [
        ["id", " text", "arrived_at", ""],
        ["7", '"one, two; three\tfour"', "0.5", ""],
        ["8", '"say ""hi"""', "1", ""],
    ]
    corpus = load_corpus(write("\n".join(map(delimiter.join, rows)), "tasks.csv"))
    assert corpus.texts.to_pylist() == ["one, two; three\tfour", 'say "hi"']
    assert corpus.tasks["arrived_at"].tolist() == [0.5, 1.0]
    assert corpus.notes == ("1 column was left: column 4",)


@pytest.mark.slow
def test_ten_megabytes_of_text(write: Write) -> None:
    text = "wörd " * 2_000_000
    path = write(json.dumps({"id": "a", "text": text}) + '\n{"id": "b", "text": "two"}')
    assert load_corpus(path).texts[0].as_py() == text
    path = write(f'id,text\na,"{text}"\nb,two\n', "big.csv")
    assert load_corpus(path).texts.to_pylist() == [text, "two"]


BAD_CSV = {
    "truncated last line": ("a,one,1\nb,tw", ["expected 3 cells", "found 2"]),
    "open quote": ('a,one,1\nb,"two,2\n', ["never closed"]),
    "quote in a cell": ('a,one,1\nb,"t"wo,2\nc,three,3\n', ["quotes"]),
    "invalid UTF-8": (b"a,one,1\nb,\xfftwo,2\n", ["text", "0xff"]),
    "NUL byte": ("a,one,1\nb,t\0wo,2\n", ["text", "NUL"]),
    "infinite time": ("a,one,1\nb,two,inf\n", ["arrived_at", "'inf'"]),
    "negative time": ("a,one,1\nb,two,-3\n", ["arrived_at", "'-3'"]),
    "decimal comma": ('a,one,1\nb,two,"1,5"\n', ["arrived_at", "'1,5'"]),
    "no id": ("a,one,1\n,two,2\n", ["id", "missing"]),
    "duplicate id": ("a,one,1\na,two,2\n", ["already", "line 2"]),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_row(write: Write, case: str) -> None:
    content, said = BAD_CSV[case]
    content = content if isinstance(content, bytes) else content.encode()
    path = write(b"id,text,arrived_at\n" + content, "tasks.csv")
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert all(part in str(caught.value) for part in said), str(caught.value)
    corpus = load_corpus(path, on_error="skip")
    assert ids(corpus)[0] == "a"
    assert "b" not in ids(corpus)
    assert [skipped.line for skipped in corpus.skipped] == [3]


def test_csv_lines_count_through_quoted_newlines(write: Write) -> None:
    path = write('id,text,arrived_at\na,"one\n\n more",1\nb,two,x\n', "tasks.csv")
    with pytest.raises(CorpusError, match=r"tasks\.csv:5: arrived_at"):
        load_corpus(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tasks.jsonl", b"", "is empty"),
        ("tasks.csv", b" \n\n", "is empty"),
        ("tasks.jsonl", gzip.compress(b"", mtime=0), "is empty"),
        ("tasks.csv", b"id,text\n", "holds no valid record"),
        ("tasks.jsonl", b"[]", "'id', 'text' is missing"),
        ("tasks.jsonl", gzip.compress(GOOD.encode(), mtime=0)[:-10], "cut-off gzip"),
        ("tasks.jsonl", GOOD.encode("utf-16"), "UTF-16"),
        ("tasks.csv", b"id,body\na,one\n", r"column 'text' is missing; found 'id', 'body'"),
        ("tasks.csv", b"id|text\na|one\n", r"'id', 'text' is missing; found 'id|text'"),
        ("tasks.csv", b"ID,Prompt\na,b\n", "to start from: --map id=ID,text=Prompt$"),
        ("tasks.csv", b"text\none\n", "'id' is missing; .*ids are the records' numbers"),
        ("tasks.csv", b"hello\nworld\n", "the first line must name the columns"),
        (
            "tasks.csv",
            b"id,prompt\na,b\n",
            "'text' is missing; .*to start from: --map id=id,text=prompt$",
        ),
        ("tasks.xlsx", b"PK\x03\x04\x14\0\0", "is a zip archive or an Excel workbook"),
        ("tasks.jsonl.xz", b"\xfd7zXZ\0\0", "is compressed by xz; unpack it, or use gzip"),
        ("tasks.json", b'{\n"tasks": [\n{"id": "a"}]\n}', "one JSON object over several lines"),
        ("tasks.csv", "id,text\n".encode("utf-16-le"), ":1: column 1: NUL byte; .*UTF-16"),
        ("tasks.jsonl", b'{"id": "a"}\n', r"column 'text' is missing; found 'id'"),
        ("tasks.csv", b"id,text,id\na,one,b\n", "column 'id' appears twice"),
        ("tasks.csv", b"id,text,\xff\na,one,b\n", r":1: column 3: invalid UTF-8 \(byte 0xff\)"),
        ("tasks.parquet", b"id,text\na,one\n", "not a Parquet file"),
        ("tasks.parquet", b"PAR1 and then nothing", "damaged or cut-off Parquet"),
        ("tasks.jsonl", b'[{"id": "a", "text": "x"},\n{"id": "b", "te', r":2: .*cut off"),
        ("tasks.jsonl", b'[{"id": "a", "text": "x"},\n{"id": NaN}]', r":2: NaN is not JSON"),
        ("tasks.jsonl", b'[{"id": "a", "text": "\xff"}]', "0xff"),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_file_that_is_no_corpus_at_all(
    write: Write, name: str, content: bytes, said: str, on_error: str
) -> None:
    path = write(content, name)
    with pytest.raises(CorpusError, match=said) as caught:
        load_corpus(path, on_error=on_error)
    assert str(path) in str(caught.value)


def test_array_errors_name_the_row(write: Write) -> None:
    records = [{"id": "a", "text": "one"}, {"id": "b", "text": 2}, 3, None]
    path = write(json.dumps(records))
    with pytest.raises(CorpusError, match=r"tasks\.jsonl, row 2: text.*and 2 more"):
        load_corpus(path)
    corpus = load_corpus(path, on_error="skip")
    assert ids(corpus) == ["a"]
    assert [skipped.line for skipped in corpus.skipped] == [2, 3, 4]


def test_parquet_errors_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "tasks.parquet"
    pd.DataFrame({"id": ["a", "b"], "text": ["x", None], "arrived_at": [0.0, 1.0]}).to_parquet(path)
    with pytest.raises(CorpusError, match=r"tasks\.parquet, row 2: text: missing"):
        load_corpus(path)


@pytest.mark.slow
@settings(max_examples=20)
@given(data=st.data())
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet", "jsonl.gz"])
def test_damaged_files_never_crash(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    if suffix == "parquet":
        whole = flat(FULL).to_parquet()
    elif suffix == "csv":
        whole = flat(FULL).to_csv(index=False).encode()
    else:
        whole = json.dumps([FULL] if suffix == "json" else FULL).encode()
        whole = gzip.compress(whole, mtime=0) if suffix.endswith("gz") else whole
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(start + 8, len(whole))))
    path = tmp_path_factory.mktemp("damaged") / f"c.{suffix}"
    path.write_bytes(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])
    for on_error in ("raise", "skip"):
        try:
            sound = len(load_corpus(path, on_error=on_error)) > 0
        except CorpusError as error:
            sound = str(path) in str(error)
        assert sound


def test_our_own_json_is_read_alike_whole_and_record_by_record() -> None:
    records = [
        {"id": "a", "text": "one", "arrived_at": 0, "outcomes": {"m.v1": {"cost": 0.5}, "n": {}}},
        {"id": "b", "text": "two", "category": "code", "prompt_tokens": 3, "outcomes": None},
        {"text": "three", "id": "c", "outcomes": {"n": {"quality": 1}, "m.v1": None}},
    ]
    lines = "\n\n".join(json.dumps(record) for record in records)
    whole = parse(lines.encode(), "own.jsonl")
    columns = {name: list(values) for name, values in whole.columns.items()}
    assert columns == {
        "id": ["a", "b", "c"],
        "text": ["one", "two", "three"],
        "arrived_at": [0, None, None],
        "category": [None, "code", None],
        "prompt_tokens": [None, 3, None],
        "outcomes.m.v1.cost": [0.5, None, None],
        "outcomes.n.quality": [None, None, 1],
    }
    assert (list(whole.lines), list(whole.numbers)) == ([1, 3, 5], [1, 2, 3])
    array = parse(json.dumps(records).encode(), "own.json")
    assert (array.columns, list(array.lines), array.unit) == (columns, [1, 2, 3], "row")

    # One number as text, and all are read one by one.
    single = parse(lines.replace('"arrived_at": 0', '"arrived_at": "0"').encode(), "own.jsonl")
    assert single.columns["arrived_at"] == ["0", None, None]
    assert single.columns["outcomes"] == [record["outcomes"] for record in records]
    assert (list(single.lines), list(single.numbers)) == ([1, 3, 5], [1, 2, 3])


@pytest.mark.parametrize("bad", [{"arrived_at": -1}, {"outcomes": {"m": {"quality": 2}}}])
def test_numbers_are_quoted_as_the_file_has_them(write: Write, bad: dict) -> None:
    path = write(json.dumps({"id": "a", "text": "one"} | bad))
    with pytest.raises(CorpusError, match=r", found (-1|2)\."):
        load_corpus(path)
