"""Every shape is read to the authors' own figures; every bad record is named."""

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.corpora.formats import FORMATS
from routingsim.errors import CorpusError

GOOD = '{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n'
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of these bytes or this text and return its path."""

    def write(content: bytes | str, name: str = "tasks.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def ids(corpus: Corpus) -> list[str]:
    return corpus.tasks["id"].tolist()


# -- our own format --------------------------------------------------------------------------


FULL = {
    "id": "a",
    "text": "Héllo, wörld",
    "arrived_at": 1.5,
    "category": "chit-chat",
    "prompt_tokens": 12,
    "output_tokens": 40,
    "outcomes": {
        "org/model-1.5": {"quality": 0.5, "cost": 0.001, "latency": 2, "output_tokens": 41},
        "other": {"quality": 1},
    },
}


def flat(record: dict) -> pd.DataFrame:
    row = {key: value for key, value in record.items() if key != "outcomes"}
    for agent, fields in record["outcomes"].items():
        row |= {f"outcomes.{agent}.{key}": value for key, value in fields.items()}
    return pd.DataFrame([row])


def check_full(corpus: Corpus) -> None:
    assert corpus.tasks.iloc[0].tolist() == ["a", "Héllo, wörld", 1.5, "chit-chat", 12.0, 40.0]
    assert corpus.agents == ("org/model-1.5", "other")
    assert corpus.outcomes["quality"].tolist() == [[0.5, 1.0]]
    for key, value in (("cost", 0.001), ("latency", 2.0), ("output_tokens", 41.0)):
        assert corpus.outcomes[key][0, 0] == value
        assert np.isnan(corpus.outcomes[key][0, 1])
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


def test_gzip_suffix_leaves_the_stem(write: Write) -> None:
    corpus = load_corpus(write(gzip.compress(b"id,text\na,one\n"), "mine.v2.csv.gz"))
    assert corpus.name == "mine.v2"


def test_numbers_as_ids(write: Write) -> None:
    assert ids(load_corpus(write('{"id": 7, "text": ""}'))) == ["7"]


def test_ignored_columns_are_said(write: Write) -> None:
    corpus = load_corpus(write('{"id": "a", "text": "one", "arived_at": 3}'))
    assert corpus.notes == ("ignored columns: arived_at",)


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
    assert corpus.notes == ("ignored columns: column 4",)


def test_arrivals_as_dates_and_times(write: Write, tmp_path: Path) -> None:
    stamps = ["2024-03-10T09:30:01.250Z", "2024-03-10 10:30:00+01:00", "2024-03-10T09:30:05"]
    rows = [f"{i},task {i},{stamp}" for i, stamp in enumerate(stamps)]
    corpus = load_corpus(write("\n".join(["id,text,arrived_at", *rows]), "tasks.csv"))
    assert ids(corpus) == ["1", "0", "2"]
    assert corpus.tasks["arrived_at"].tolist() == [0.0, 1.25, 5.0]
    assert corpus.notes[0] == (
        "arrived_at: times, counted in seconds from 2024-03-10T09:30:00+00:00"
    )
    path = tmp_path / "tasks.parquet"
    times = pd.to_datetime(pd.Series(stamps[:2]), format="ISO8601", utc=True)
    pd.DataFrame({"id": ["0", "1"], "text": "x", "arrived_at": times}).to_parquet(path)
    assert load_corpus(path).tasks["arrived_at"].tolist() == [0.0, 1.25]
    with pytest.raises(CorpusError, match=r":3: arrived_at: expected a time like .*'soon'"):
        load_corpus(write(f"id,text,arrived_at\n0,x,{stamps[0]}\n1,y,soon\n", "tasks.csv"))


def test_decimals_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "tasks.parquet"
    frame = pd.DataFrame({"id": ["a"], "text": ["x"], "outcomes.m.cost": [Decimal("0.25")]})
    frame.to_parquet(path)
    assert load_corpus(path).outcome("cost", ["m"]).tolist() == [[0.25]]


def test_dotted_names_in_json_lines(write: Write) -> None:
    corpus = load_corpus(write('{"id": "a", "text": "one", "outcomes.m.quality": 0.25}'))
    assert corpus.outcome("quality", ["m"]).tolist() == [[0.25]]


def test_ten_megabytes_of_text(write: Write) -> None:
    text = "wörd " * 2_000_000
    path = write(json.dumps({"id": "a", "text": text}) + '\n{"id": "b", "text": "two"}')
    assert load_corpus(path).texts[0].as_py() == text
    path = write(f'id,text\na,"{text}"\nb,two\n', "big.csv")
    assert load_corpus(path).texts.to_pylist() == [text, "two"]


# -- bad input: the first record is good, the second bad ----------------------------------------


def line(**fields: object) -> str:
    return '{"id": "a", "text": "one"}\n' + json.dumps({"id": "b", "text": "two"} | fields)


BAD_JSONL = {
    "truncated last line": ('{"id": "a", "text": "one"}\n{"id": "b", "te', ["cut off"]),
    "invalid UTF-8": (b'{"id": "a", "text": "one"}\n{"id": "b", "text": "\xff"}', ["0xff"]),
    "NUL byte": ('{"id": "a", "text": "one"}\n{"id": "b", "text": "\0"}', ["NUL byte"]),
    "NUL escape": (line(text="x\0y"), ["text", "NUL"]),
    "NaN time": (line(arrived_at=float("nan")), ["NaN is not JSON"]),
    "infinite time": (line(arrived_at=float("inf")), ["Infinity is not JSON"]),
    "minus infinity": (line(arrived_at=float("-inf")), ["-Infinity is not JSON"]),
    "number out of range": (GOOD[:27] + '{"id": "b", "text": "", "arrived_at": 1e999}', ["range"]),
    "huge integer": (line(prompt_tokens=10**400), ["prompt_tokens", ">= 0"]),
    "negative time": (line(arrived_at=-1), ["arrived_at", ">= 0", "-1"]),
    "negative cost": (line(outcomes={"m": {"cost": -0.5}}), ["outcomes.m.cost", "-0.5"]),
    "quality over 1": (line(outcomes={"m": {"quality": 85}}), ["m.quality", "from 0 to 1", "85"]),
    "number as text": (line(arrived_at="soon"), ["arrived_at", "'soon'"]),
    "truth as number": (line(output_tokens=True), ["output_tokens", "True"]),
    "text is a number": (line(text=5), ["text", "expected text", "5"]),
    "text is null": (line(text=None), ["text", "missing"]),
    "no id": ('{"id": "a", "text": "one"}\n{"text": "two"}', ["id", "missing"]),
    "empty id": (line(id=" "), ["id", "empty"]),
    "duplicate id": (line(id="a"), ["'a'", "already", "line 1"]),
    "category is a list": (line(category=["x"]), ["category", "an array"]),
    "outcomes is a list": (line(outcomes=[]), ["outcomes", "expected an object"]),
    "outcome is a number": (line(outcomes={"m": 1}), ["outcomes.m", "expected an object"]),
    "unknown outcome": (line(outcomes={"m": {"qualty": 1}}), ["m.qualty", "quality, cost"]),
    "outcome given twice": (
        line(outcomes={"m": {"cost": 1}}, **{"outcomes.m.cost": 1}),
        ["outcomes.m.cost", "twice"],
    ),
    "a string": (GOOD[:27] + '"two"', ["JSON object", "'two'"]),
    "lone surrogate": (GOOD[:27] + '{"id": "b", "text": "\\ud800"}', ["escape"]),
    "deep nesting": (GOOD[:27] + '{"id": ' + "[" * 100_000, ["nested too deeply"]),
}


@pytest.mark.parametrize("case", BAD_JSONL)
def test_bad_json_line(write: Write, case: str) -> None:
    content, said = BAD_JSONL[case]
    path = write(content)
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:2: ")
    assert all(part in message for part in [*said, "--on-error skip"]), message
    assert len(message) < 500 + len(str(path))

    corpus = load_corpus(path, on_error="skip")
    assert ids(corpus) == ["a"]
    (skipped,) = corpus.skipped
    assert (skipped.file, skipped.line) == (str(path), 2)
    assert all(part in skipped.reason for part in said)
    assert corpus.notes[-1] == f"1 record was skipped; the first: {skipped}"


BAD_CSV = {
    "truncated last line": ("a,one,1\nb,tw", ["expected 3 cells", "found 2"]),
    "open quote": ('a,one,1\nb,"two,2\n', ["never closed"]),
    "quote in a cell": ('a,one,1\nb,"t"wo,2\nc,three,3\n', ["quotes"]),
    "invalid UTF-8": (b"a,one,1\nb,\xfftwo,2\n", ["text", "0xff"]),
    "NUL byte": ("a,one,1\nb,t\0wo,2\n", ["text", "NUL"]),
    "NaN time": ("a,one,1\nb,two,nan\n", ["arrived_at", "'nan'", ">= 0"]),
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
        ("tasks.csv", b"ID,Prompt\na,b\n", "rename 'ID' to 'id', rename 'Prompt' to 'text'"),
        ("tasks.csv", b"text\none\n", "'id' is missing; .*give every task an id of its own"),
        ("tasks.csv", b"hello\nworld\n", "the first line must name the columns"),
        ("tasks.csv", b"id,prompt\na,b\n", "no column of True and False.*call the columns id and"),
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


def test_nothing_valid_left(write: Write) -> None:
    path = write('{"id": "a", "text": 1}\n{"id": "b", "text": 2}')
    with pytest.raises(CorpusError, match=r"no valid record; .*:1: .*and 1 more"):
        load_corpus(path, on_error="skip")


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


def test_errors_count_what_else_is_wrong(write: Write) -> None:
    path = write('{"id": "a", "text": 1}\nrubbish\n{"id": "b", "text": "ok"}\n{"id": "b"}')
    with pytest.raises(CorpusError, match=r":1: text: .*\(and 2 more\)"):
        load_corpus(path)
    corpus = load_corpus(path, on_error="skip")
    assert [skipped.line for skipped in corpus.skipped] == [1, 2, 4]
    assert corpus.notes[0].startswith("3 records were skipped; the first: ")
    assert [note.partition(": ")[0] for note in corpus.notes[1:]] == ["also skipped"] * 2
    many = write("\n".join(['{"id": "b", "text": "ok"}', *["rubbish"] * 30]))
    notes = load_corpus(many, on_error="skip").notes
    assert notes[-1] == "and 20 more skipped, all in .skipped"
    assert len(notes) == 11


def test_unknown_agent(write: Write) -> None:
    path = write(line(outcomes={"gtp-4": {"quality": 1}}))
    assert load_corpus(path).agents == ("gtp-4",)
    with pytest.raises(CorpusError, match=r"'gtp-4'; allowed are gpt-4, llama; did you mean 'gpt"):
        load_corpus(path, agents=["gpt-4", "llama"])
    assert ids(load_corpus(path, agents=["gpt-4"], on_error="skip")) == ["a"]


def test_format_given_and_unknown(write: Write) -> None:
    path = write(GOOD, "tasks.csv")
    assert len(load_corpus(path, format="jsonl")) == 2
    with pytest.raises(CorpusError, match="allowed are paretobandit"):
        load_corpus(path, format="yaml")
    with pytest.raises(CorpusError, match="allowed are 'raise' and 'skip'"):
        load_corpus(write(GOOD), on_error="ignore")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_refuses_another_shape_clearly(write: Write, format: str) -> None:
    path = write('{"somebody": "else"}\n', "other.jsonl")
    with pytest.raises(CorpusError, match=r"other\.jsonl"):
        load_corpus(path, format=format)


# -- the shapes of others, small and bad -------------------------------------------------------


ARMS = {"m": {"reward": 0.5, "cost": 0.01}, "n": {"reward": 1, "cost": 0}}
FOREIGN = {
    "routellm": (
        "prompt,m,n,m_response\nhi,True,False,x\nyo,Maybe,True,y\nho,True,True,z\n",
        ["m"],
    ),
    "paretobandit": (
        "\n".join(
            json.dumps({"prompt": "hi", "source": "s", "arms": arms})
            for arms in (ARMS, {"m": {"reward": 1.5, "cost": 1}}, ARMS)
        ),
        ["arms.m.reward", "from 0 to 1", "1.5"],
    ),
    "dcrouter": (
        json.dumps([{"question": "q", "scores": {"m": score}} for score in (0.5, "good", 1)]),
        ["scores.m", "'good'"],
    ),
    "azure": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.5,1,2\nyesterday,3,4\n"
        "2023-11-16 18:17:04.75,5,6\n",
        ["TIMESTAMP", "2023-11-16", "'yesterday'"],
    ),
    "mooncake": (
        "\n".join(
            json.dumps({"timestamp": stamp, "input_length": 1, "output_length": 2})
            for stamp in (0, -5, 1250)
        ),
        ["timestamp", ">= 0", "-5"],
    ),
}


@pytest.mark.parametrize("format", FOREIGN)
def test_a_bad_record_in_a_foreign_shape(write: Write, format: str) -> None:
    content, said = FOREIGN[format]
    path = write(content, "theirs.json" if content[0] in "[{" else "theirs.csv")
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert all(part in str(caught.value) for part in said), str(caught.value)
    corpus = load_corpus(path, on_error="skip")
    # Ids are the numbers of the records in the file, whatever is skipped.
    assert ids(corpus) == ["theirs-00001", "theirs-00003"]
    assert len(corpus.skipped) == 1
    if format in ("azure", "mooncake"):
        assert corpus.tasks["arrived_at"].tolist() == [0.0, 1.25]
        assert not corpus.has_texts


def test_unsorted_trace_counts_from_its_earliest_time(write: Write) -> None:
    rows = "2023-11-16 18:17:05.5000001,1,2\n2023-11-16 18:17:03.5,3,4\n"
    corpus = load_corpus(write("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows, "t.csv"))
    assert corpus.tasks["arrived_at"].tolist() == [0.0, 2.0000001]
    assert corpus.tasks["prompt_tokens"].tolist() == [3.0, 1.0]
    assert corpus.notes == ("1 arrival was unsorted: sorted",)


def test_routellm_takes_only_columns_of_truths_for_models(write: Write) -> None:
    content = "Unnamed: 0,prompt,answer,m\n0,hi,B,true\n1,yo,A,False\n2,ho,C,\n"
    corpus = load_corpus(write(content, "r.csv"))
    assert corpus.agents == ("m",)
    assert corpus.outcomes["quality"][:2, 0].tolist() == [1.0, 0.0]
    assert np.isnan(corpus.outcomes["quality"][2, 0])
    with pytest.raises(CorpusError, match=r"no column of True and False.*found 'prompt', 'answer'"):
        load_corpus(write("prompt,answer\nhi,B\n", "r.csv"))


# -- the shapes of others, as published -------------------------------------------------------


def test_gsm8k(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "gsm8k_responses.csv")
    assert len(corpus) == 1319
    assert corpus.agents == ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
    assert corpus.outcomes["quality"].sum(axis=0).tolist() == [842, 1130]
    assert corpus.texts[0].as_py().startswith("Janet’s ducks lay 16 eggs")
    assert (ids(corpus)[0], ids(corpus)[-1]) == ("gsm8k_responses-00001", "gsm8k_responses-01319")
    assert set(corpus.tasks["category"]) == {""}


def test_paretobandit(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "paretobandit_val_k4.jsonl")
    assert len(corpus) == 1766
    models = [
        "meta-llama/llama-3.1-8b-instruct",
        "mistralai/mistral-large-2512",
        "google/gemini-2.5-pro",
        "google/gemini-2.5-flash",
    ]
    quality = corpus.outcome("quality", models).mean(axis=0)
    assert quality == pytest.approx([0.78958, 0.92561, 0.93562, 0.92881], abs=5e-6)
    cost = corpus.outcome("cost", models).mean(axis=0)
    assert cost == pytest.approx([2.92e-5, 4.94e-4, 1.497e-2, 8.99e-4], rel=2e-3)
    assert corpus.tasks["category"].tolist().count("gsm8k") == 360


def test_dcrouter(shared_data: Path) -> None:
    path = shared_data / "dcrouter_train.json"
    corpus = load_corpus(path)
    records = json.loads(path.read_bytes())
    assert corpus.outcomes["quality"].shape == (5608, 9)
    assert np.isnan(corpus.outcomes["cost"]).all()
    for agent in corpus.agents:
        scores = [record["scores"][agent] for record in records]
        assert corpus.outcome("quality", [agent])[:, 0].tolist() == scores
    assert set(corpus.tasks["category"]) == {""}  # cluster_id is made from the scores


def test_azure(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "AzureLLMInferenceTrace_code.csv")
    gaps = np.diff(corpus.tasks["arrived_at"])
    assert len(corpus) == 8819
    assert corpus.has_arrivals
    assert not corpus.has_texts
    assert gaps.std() / gaps.mean() == pytest.approx(13.15, abs=0.005)
    first = corpus.tasks.loc[:1, ["arrived_at", "prompt_tokens", "output_tokens"]].to_numpy()
    assert first.tolist() == [[0.0, 4808.0, 10.0], [0.052, 3180.0, 8.0]]


def test_mooncake(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "mooncake_conversation_trace.jsonl")
    assert len(corpus) == 12031
    assert corpus.tasks["arrived_at"].iloc[-1] == pytest.approx(3536.999, abs=0.002)
    assert np.mean(np.diff(corpus.tasks["arrived_at"].to_numpy()) == 0) == pytest.approx(
        0.90, abs=0.01
    )
    assert corpus.tasks.loc[0, ["prompt_tokens", "output_tokens"]].tolist() == [6758.0, 500.0]


# -- whatever the bytes, a corpus or a clear error ------------------------------------------------


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
