"""A file of another shape is refused with a mapping to start from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routingsim.corpora.datasets import load_corpus
from routingsim.corpora.mapping import likely, written
from routingsim.errors import CorpusError

Write = Callable[..., Path]


def refusal(path: Path) -> str:
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_log_with_flags_has_no_agents_of_their_names(write: Write) -> None:
    log = (
        "timestamp,request_id,model,prompt,latency_ms,cost_usd,success,stream\n"
        "2025-06-03T08:00:02Z,r1,gpt-4,What?,714,0.0001,True,False\n"
        "2025-06-03T08:00:03Z,r2,claude,Why?,11736,0.02,True,True\n"
    )
    path = write(log, "log.csv")
    said = refusal(path)
    assert said == (
        "column 'id', 'text' is missing; found 'timestamp', 'request_id', 'model', 'prompt', "
        "'latency_ms', 'cost_usd', 'success', 'stream'; to start from: --map id=request_id,"
        "agent=model,text=prompt,arrived_at=timestamp,latency=latency_ms:ms,cost=cost_usd,"
        "status=success"
    )
    corpus = load_corpus(path, columns=said.rpartition("--map ")[2])
    assert corpus.agents == ("gpt-4", "claude")
    assert corpus.tasks["text"].tolist() == ["What?", "Why?"]
    assert np.nanmax(corpus.outcomes["latency"]) == 11.736


@pytest.mark.parametrize(
    "name",
    ["request_id", "custom_id", "doc_id", "generation_id", "conversation_id", "task_id", "_id"],
)
def test_the_obvious_ids_are_offered(write: Write, name: str) -> None:
    said = refusal(
        write(f"{name},prompt,thumbs_up,cached\n1,a,True,False\n2,b,True,True\n", "t.csv")
    )
    assert said.endswith(f"; to start from: --map id={name},text=prompt")


def test_an_id_tells_records_apart(write: Write) -> None:
    said = refusal(write("session_id,case_id,prompt\ns,1,a\ns,2,b\n", "t.csv"))
    assert said.endswith("--map id=case_id,session_id=session_id,text=prompt")
    said = refusal(write("group_id,prompt\ns,a\ns,b\n", "t.csv"))
    assert said.endswith("--map text=prompt (ids are the records' numbers then)")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"created": [1745226000123], "ttft": ["3"]}, "arrived_at=created:epoch_ms,ttft=ttft"),
        ({"created": [1745226000], "duration_us": [3]},
         "arrived_at=created:epoch_s,latency=duration_us:us"),
        ({"startTimeUnixNano": ["1745226000489144064"]}, "arrived_at=startTimeUnixNano:epoch_ns"),
        ({"timestamp_ms": [12.5]}, "arrived_at=timestamp_ms:ms"),
        ({"Time to first token ms": [1]}, "'ttft=Time to first token ms:ms'"),
        ({"time": ["2025-04-21"], "n": [1]}, "arrived_at=time"),
    ],
)  # fmt: skip
def test_units_are_told_by_names_and_values(columns: dict[str, Any], text: str) -> None:
    assert written(likely(columns)) == text


def test_all_columns_are_named(write: Write) -> None:
    names = [f"c{number}" for number in range(30)]
    said = refusal(write(",".join(names) + "\n" + ",".join("1" * 30) + "\n", "t.csv"))
    assert said == f"column 'id', 'text' is missing; found {', '.join(map(repr, names))}"


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        ("1,What is it?,0.5\n2,x,1\n", "; the first line must name the columns"),
        ("hello\nworld\n", "; the first line must name the columns"),
        ("foo,bar\n1,2\n", "found 'foo', 'bar'"),
        ("id|text\na|b\n", "; separate the cells by commas, semicolons or tabs"),
    ],
)
def test_what_is_said_of_the_first_line(write: Write, content: str, ending: str) -> None:
    assert refusal(write(content, "tasks.csv")).endswith(ending)


def test_records_inside_an_object(write: Write) -> None:
    said = refusal(write('{"data": [{"id": "a", "text": "b"}], "meta": {}}', "page.json"))
    assert said == (
        "column 'id', 'text' is missing; found 'data', 'meta'; make each object in 'data' a line "
        "of its own"
    )
