"""A file of another shape is refused with a mapping to start from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from routingsim.corpora.datasets import load_corpus
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
    assert refusal(write(log, "log.csv")) == (
        "column 'id', 'text' is missing; found 'timestamp', 'request_id', 'model', 'prompt', "
        "'latency_ms', 'cost_usd', 'success', 'stream'; to start from: rename 'request_id' to "
        "'id', rename 'prompt' to 'text', rename 'timestamp' to 'arrived_at', and of each 'model' "
        "AGENT make columns outcomes.AGENT.cost ('cost_usd'), outcomes.AGENT.latency "
        "('latency_ms' / 1,000), outcomes.AGENT.failed (the opposite of 'success'), empty in the "
        "rows of other agents"
    )


@pytest.mark.parametrize(
    "name",
    ["request_id", "custom_id", "doc_id", "generation_id", "conversation_id", "task_id", "_id"],
)
def test_the_obvious_ids_are_offered(write: Write, name: str) -> None:
    said = refusal(
        write(f"{name},prompt,thumbs_up,cached\n1,a,True,False\n2,b,True,True\n", "t.csv")
    )
    assert said.endswith(f"; to start from: rename {name!r} to 'id', rename 'prompt' to 'text'")


def test_an_id_tells_records_apart(write: Write) -> None:
    said = refusal(write("session_id,case_id,prompt\ns,1,a\ns,2,b\n", "t.csv"))
    assert said.endswith("; to start from: rename 'prompt' to 'text', rename 'case_id' to 'id'")
    said = refusal(write("session_id,prompt\ns,a\ns,b\n", "t.csv"))
    assert said.endswith(
        "rename 'prompt' to 'text', give every task an id of its own, such as its number"
    )


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


TOOLS = {
    "a LiteLLM spend log": {
        "request_id": "r",
        "call_type": "c",
        "spend": 0.1,
        "startTime": "2025-04-21T09:00:00Z",
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
    },
    "an export of Langfuse observations": {
        "id": "o",
        "traceId": "t",
        "startTime": "2025-04-21T09:00:00Z",
        "type": "GENERATION",
        "model": "m",
        "level": "DEFAULT",
        "input": "x",
    },
    "an export of OpenRouter's activity": {
        "generation_id": "g",
        "created_at": "2025-04-21 09:02:14.650",
        "cost_total": 0.1,
        "tokens_prompt": 3,
    },
    "a BurstGPT trace": {
        "Timestamp": 0.5,
        "Model": "m",
        "Request tokens": 1,
        "Response tokens": 2,
        "Log Type": "API log",
    },
    "an LLMRouter routing log": {
        "task_name": "t",
        "query": "q",
        "model_name": "m",
        "performance": 1.0,
        "response_time": 0.4,
    },
    "a file of OpenTelemetry spans": {"resourceSpans": []},
    "a promptfoo result": {"evalId": "e", "results": {"results": []}},
    "the output of an OpenAI batch": {"custom_id": "c", "response": {}, "error": None},
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("tool", TOOLS)
def test_exports_of_tools_are_refused_by_name(write: Write, tool: str, indent: int | None) -> None:
    said = refusal(write(json.dumps(TOOLS[tool], indent=indent), "export.json"))
    assert f"; this is {tool}, which is not read as it is" in said
    assert indent or "; to start from: " in said


def test_records_inside_an_object(write: Write) -> None:
    said = refusal(write('{"data": [{"id": "a", "text": "b"}], "meta": {}}', "page.json"))
    assert said == (
        "column 'id', 'text' is missing; found 'data', 'meta'; make each object in 'data' a line "
        "of its own"
    )
