"""Every value is checked, and every bad record named."""

import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import CorpusError

GOOD = '{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n'
Write = Callable[..., Path]


def ids(corpus: Corpus) -> list[str]:
    return corpus.tasks["id"].tolist()


def test_numbers_as_ids(write: Write) -> None:
    assert ids(load_corpus(write('{"id": 7, "text": ""}'))) == ["7"]


def test_ignored_columns_are_said(write: Write) -> None:
    corpus = load_corpus(write('{"id": "a", "text": "one", "arived_at": 3}'))
    assert corpus.notes == (
        "1 column was left: arived_at; to use it, rename arived_at to arrived_at",
    )


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
    "propensity 0": (
        line(propensity=0),
        ["propensity: expected a probability, above 0", "found 0"],
    ),
    "propensity over 1": (line(propensity=1.5), ["a probability, above 0 and up to 1, found 1.5"]),
    "failed 2": (
        line(outcomes={"m": {"failed": 2}}),
        ["outcomes.m.failed: expected true or false, found 2"],
    ),
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


def test_nothing_valid_left(write: Write) -> None:
    path = write('{"id": "a", "text": 1}\n{"id": "b", "text": 2}')
    with pytest.raises(CorpusError, match=r"no valid record; .*:1: .*and 1 more"):
        load_corpus(path, on_error="skip")


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


def test_whether_a_call_failed(write: Write) -> None:
    rows = "a,x,true,\nb,y,False,1\nc,z,1,0.5\nd,w,0,0\ne,v,,1\n"
    corpus = load_corpus(write("id,text,outcomes.m.failed,outcomes.m.quality\n" + rows, "c.csv"))
    failed = corpus.outcome("failed", ["m"])[:, 0].tolist()
    assert failed[:4] == [1.0, 0.0, 1.0, 0.0]
    assert math.isnan(failed[4])
    assert math.isnan(corpus.outcome("quality", ["m"])[0, 0])
    table = pd.DataFrame({"id": ["a", "b"], "text": "x", "outcomes.m.failed": [True, None]})
    assert Corpus.from_frame(table).outcome("failed", ["m"])[0, 0] == 1.0
    with pytest.raises(CorpusError, match=r":2: outcomes\.m\.failed: .* true or false, found 'no'"):
        load_corpus(write("id,text,outcomes.m.failed\na,x,no\n", "c.csv"))


def test_unknown_agent(write: Write) -> None:
    path = write(line(outcomes={"gtp-4": {"quality": 1}}))
    assert load_corpus(path).agents == ("gtp-4",)
    with pytest.raises(CorpusError, match=r"'gtp-4'; allowed are gpt-4, llama; did you mean 'gpt"):
        load_corpus(path, agents=["gpt-4", "llama"])
    assert ids(load_corpus(path, agents=["gpt-4"], on_error="skip")) == ["a"]
