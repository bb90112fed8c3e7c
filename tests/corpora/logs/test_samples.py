"""Each tool's export is read to the figures in its sample, whatever form it is saved in.

Samples were written by hand after the tools' public schemas; ``samples/`` holds them.
"""

import gzip
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.read import read_log
from routingsim.corpora.logs.registry import shapes

SAMPLES = Path(__file__).parent / "samples"
BEGAN = "2025-06-02T08:00:00.250000+00:00"
QUEUE = {
    "arrived_at": 0.0, "latency": 1.75, "ttft": 0.5, "prompt_tokens": 90.0, "output_tokens": 60.0,
    "cached_tokens": 64.0, "cost": 0.000775, "status": "ok", "text": "What is a queue?",
}  # fmt: skip
STACK = {"arrived_at": 2.75, "text": "And a stack?"}


def without(call: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name not in names}


EXPECTED: dict[str, tuple[str, list[dict[str, Any]], dict[str, int]]] = {
    "litellm_spend_logs.json": (
        "litellm",
        [
            QUEUE
            | {"call_id": "chatcmpl-B1", "agent": "gpt-4o", "session_id": "s1", "tags": "support"},
            STACK | {"status": "timed_out", "latency": 10.0, "ttft": None, "agent": "gpt-4o"},
            {"task_id": "chatcmpl-B2", "agent": "gpt-4o-mini", "latency": 1.5, "ttft": None,
             "turn": 2.0},
            {"status": "cached", "session_id": "s2", "turn": 0.0},
        ],
        {"calls of another kind (aembedding)": 1},
    ),
    "litellm_spend_logs.csv": (
        "litellm",
        [
            QUEUE | {"call_id": "chatcmpl-C1", "text": "What is a\nqueue?", "tags": "support"},
            {"status": "failed", "latency": 0.1, "tags": "", "text": "Hm?"},
        ],
        {},
    ),
    "litellm_payload.jsonl": (
        "litellm",
        [
            {"call_id": "chatcmpl-P1", "session_id": "t1", "latency": 2.5, "ttft": 0.6,
             "cached_tokens": 150.0, "cache_write_tokens": 30.0, "cost": 0.0021, "tags": "eu",
             "text": "Read this image."},
            {"status": "failed", "latency": 0.5, "ttft": None, "text": "Say hello"},
        ],
        {},
    ),
    "otel_file_exporter.jsonl": (
        "opentelemetry",
        [
            {"call_id": "aa01-02", "session_id": "aa01", "parent_id": "aa01-01", "turn": 0.0,
             "agent": "gpt-4o", "latency": 1.5, "prompt_tokens": 120.0, "output_tokens": 45.0,
             "cache_write_tokens": 20.0, "text": "Plan a trip."},
            {"call_id": "aa01-04", "parent_id": "aa01-01", "turn": 1.0, "arrived_at": 2.6,
             "prompt_tokens": 180.0, "text": "Which train?", "status": "ok"},
            {"call_id": "aa02-05", "parent_id": "", "status": "timed_out", "latency": 30.0},
        ],
        {"spans that are no calls of a model": 2},
    ),
    "otel_flat_spans.jsonl": (
        "opentelemetry",
        [{"call_id": "aa01-02", "parent_id": "aa01-01", "latency": 1.5, "prompt_tokens": 120.0,
          "output_tokens": 45.0, "text": "Plan a trip.", "status": "ok"}],
        {"spans that are no calls of a model": 1},
    ),
    "langfuse_observations.csv": (
        "langfuse",
        [
            QUEUE | {"call_id": "o1", "session_id": "t1", "parent_id": "root", "quality": None,
                     "cache_write_tokens": 10.0},
            STACK | {"status": "timed_out", "latency": 30.0, "prompt_tokens": 20.0},
        ],
        {"observations that are no generations": 1},
    ),
    "langfuse_api.json": (
        "langfuse",
        [without(QUEUE, "ttft", "cached_tokens") | {"call_id": "o1", "agent": "gpt-4o"}],
        {"observations that are no generations": 1},
    ),
    "openrouter_activity.csv": (
        "openrouter",
        [
            without(QUEUE, "text") | {"call_id": "gen-1", "agent": "openai/gpt-4o"},
            {"call_id": "gen-2", "status": "failed", "latency": 30.0, "arrived_at": 3.75},
            {"call_id": "gen-3", "status": "failed", "latency": 0.9, "ttft": 0.378},
        ],
        {},
    ),
    "helicone_export.jsonl": (
        "helicone",
        [
            QUEUE | {"call_id": "q-1", "session_id": "s1", "quality": 1.0,
                     "cache_write_tokens": 16.0},
            {"call_id": "q-2", "status": "cached"},
            {"call_id": "q-3", "status": "failed", "agent": "gpt-4o-mini", "latency": 0.2},
        ],
        {},
    ),
    "helicone_export.csv": (
        "helicone",
        [
            without(QUEUE, "ttft", "cached_tokens") | {"call_id": "r-1", "agent": "gpt-4o"},
            {"status": "failed", "latency": 0.1, "text": "Hm?", "output_tokens": None},
        ],
        {},
    ),
    "langsmith_runs.jsonl": (
        "langsmith",
        [
            {"call_id": "r1", "session_id": "r0", "parent_id": "r0", "agent": "gpt-4o",
             "latency": 1.5, "ttft": 0.4, "cost": 0.00075, "cached_tokens": 32.0, "quality": 1.0,
             "cache_write_tokens": 8.0,
             "text": "Plan a trip.", "tags": "eu"},
            {"call_id": "r2", "status": "failed", "agent": "gpt-4o-mini", "text": "Which train?"},
        ],
        {"runs that are no calls of a model": 1, "runs that have not ended": 1},
    ),
    "mlflow_traces.json": (
        "mlflow",
        [
            without(QUEUE, "ttft", "cached_tokens", "cost")
            | {"call_id": "tr-1-s1", "session_id": "tr-1", "parent_id": "tr-1-s0",
               "agent": "gpt-4o"},
            {"status": "timed_out", "agent": "gpt-4o-mini", "latency": 1.0, "text": "Check it."},
        ],
        {"spans that are no calls of a model": 1},
    ),
    "openai_batch_output.jsonl": (
        "openai-batch",
        [
            {"call_id": "request-1", "agent": "gpt-4o-2024-08-06", "prompt_tokens": 90.0,
             "cached_tokens": 64.0, "status": "ok", "arrived_at": None},
            {"call_id": "request-2", "status": "failed"},
            {"call_id": "request-3", "status": "timed_out"},
        ],
        {},
    ),
    "chats.jsonl": ("chats", [{"text": "What is a queue?"}, {"text": "And a stack?"}], {}),
    "lmsys_chats.json": (
        "chats",
        [{"call_id": "c1", "agent": "vicuna-13b", "tags": "English", "text": "What is a queue?"},
         {"call_id": "c2", "agent": "koala-13b", "tags": "German"}],
        {},
    ),
    "azure_2023.csv": (
        "azure",
        [{"arrived_at": 0.0, "prompt_tokens": 374.0, "output_tokens": 44.0},
         {"arrived_at": 4.314579}],
        {},
    ),
    "azure_2024.csv": (
        "azure", [{"arrived_at": 0.0, "prompt_tokens": 1452.0}, {"arrived_at": 0.007405}], {}
    ),
    "burstgpt_1.csv": (
        "burstgpt",
        [{"arrived_at": 5.0, "agent": "ChatGPT", "tags": "Conversation log", "latency": None},
         {"arrived_at": 45.0, "status": "failed"}],
        {},
    ),
    "burstgpt_2.csv": (
        "burstgpt",
        [{"latency": 2.5, "session_id": "7"}, {"status": "failed"},
         {"task_id": "burstgpt_2-00002", "status": "ok"}],
        {},
    ),
    "mooncake.jsonl": (
        "mooncake",
        [{"arrived_at": 27.482, "prompt_tokens": 6955.0, "output_tokens": 52.0},
         {"arrived_at": 30.535}],
        {},
    ),
    "servegen.csv": (
        "servegen",
        [{"arrived_at": 0.25, "prompt_tokens": 310.0, "output_tokens": 42.0}, {"call_id": "1"}],
        {},
    ),
    "servegen.json": (
        "servegen",
        [{"arrived_at": 0.25, "prompt_tokens": 310.0, "output_tokens": 42.0}, {"call_id": "1"}],
        {},
    ),
    "vidur_trace.csv": (
        "vidur-trace",
        [{"arrived_at": 0.25, "prompt_tokens": 310.0, "output_tokens": 42.0},
         {"arrived_at": 1.75}],
        {},
    ),
    "vidur_request_metrics.csv": (
        "vidur",
        [{"arrived_at": 0.0, "latency": 1.75, "ttft": 0.5, "output_tokens": 42.0},
         {"arrived_at": 1.5, "latency": 4.0}],
        {},
    ),
    "aiperf_profile_export.jsonl": (
        "aiperf",
        [
            without(QUEUE, "text", "cached_tokens", "cost")
            | {"call_id": "q-1", "session_id": "s1", "turn": 0.0},
            {"status": "timed_out", "turn": 1.0, "latency": 0.5, "prompt_tokens": 90.0},
        ],
        {"requests of the warm-up": 1},
    ),
    "vllm_bench.json": (
        "vllm-bench",
        [{"agent": "meta-llama/Llama-3.1-8B-Instruct", "latency": 1.25, "ttft": 0.5,
          "prompt_tokens": 310.0, "output_tokens": 3.0},
         {"latency": 0.5}, {"status": "timed_out", "latency": None, "ttft": None}],
        {},
    ),
}  # fmt: skip
"""Of each sample: its shape, what its calls have at least, and what is left out."""


def calls_of(log: CallLog) -> list[dict[str, Any]]:
    return log.to_frame(texts=True).assign(arrived_at=log.numbers("arrived_at")).to_dict("records")


def check(log: CallLog, calls: list[dict[str, Any]]) -> None:
    found = calls_of(log)
    assert len(found) == len(calls)
    for have, wanted in zip(found, calls, strict=True):
        for name, value in wanted.items():
            what = (log.name, name, have[name], value)
            if value is None:
                assert math.isnan(have[name]), what
            elif isinstance(value, float):
                assert have[name] == pytest.approx(value, abs=1e-9), what
            else:
                assert have[name] == value, what


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_is_read_to_its_figures(name: str) -> None:
    tool, calls, left_out = EXPECTED[name]
    log = read_log(SAMPLES / name)
    assert log.tools == (tool,)
    assert dict(log.left_out) == left_out
    assert log.skipped == ()
    check(log, calls)
    if any("arrived_at" in call for call in calls) and log.began is not None:
        assert log.numbers("arrived_at")[0] == 0
    assert len(log.corpus()) == len(set(log.calls["task_id"]))


def json_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, records)) + "\n")


def json_array(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(records, indent=1).encode())


def inside_data(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"data": records, "meta": {"totalItems": len(records)}}))


def windows_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("\r\n".join(map(json.dumps, records)) + "\r\n")


def one_after_another(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(record, indent=2) for record in records))


def gzipped(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))


def as_csv(path: Path, records: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(records)
    for name in frame.columns[frame.map(type).isin([dict, list]).any()]:
        frame[name] = [
            json.dumps(each) if isinstance(each, dict | list) else each for each in frame[name]
        ]
    frame.to_csv(path, index=False)


def as_printed(path: Path, records: list[dict[str, Any]]) -> None:
    pd.DataFrame(records).to_csv(path, index=False)  # objects as Python prints them


def as_parquet(path: Path, records: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(records)
    for name in frame.columns[frame.map(type).isin([dict, list]).any()]:
        frame[name] = [
            json.dumps(each) if isinstance(each, dict | list) else each for each in frame[name]
        ]
    frame.to_parquet(path)


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        (json_lines, "jsonl"), (json_array, "json"), (inside_data, "json"),
        (windows_lines, "jsonl"),
        (one_after_another, "json"), (gzipped, "jsonl.gz"), (as_csv, "csv"), (as_printed, "csv"),
        (as_parquet, "parquet"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "name",
    ["litellm_payload.jsonl", "litellm_spend_logs.json", "langsmith_runs.jsonl",
     "helicone_export.jsonl", "langfuse_api.json"],
)  # fmt: skip
def test_a_log_is_the_same_in_every_form(
    tmp_path: Path, name: str, form: Callable[[Path, list[dict[str, Any]]], None], suffix: str
) -> None:
    text = (SAMPLES / name).read_text()
    records = (
        json.loads(text) if name.endswith(".json") else [json.loads(x) for x in text.splitlines()]
    )
    records = records["data"] if isinstance(records, dict) else records
    path = tmp_path / f"log.{suffix}"
    form(path, records)
    tool, calls, left_out = EXPECTED[name]
    log = read_log(path)
    assert log.tools == (tool,)
    assert dict(log.left_out) == left_out
    check(log, calls)


FLAT_SPANS = {
    "phoenix.csv": (
        "context.span_id,span_kind,parent_id,start_time,end_time,status_code,context.trace_id,"
        "attributes.llm.model_name,attributes.llm.token_count.prompt,"
        "attributes.llm.token_count.completion,attributes.input.value\n"
        "02,LLM,01,2025-06-02 08:00:00.500000+00:00,2025-06-02 08:00:02.000000+00:00,OK,aa01,"
        "gpt-4o,120.0,45.0,Plan a trip.\n"
    ),
    "clickhouse.jsonl": json.dumps(
        {
            "Timestamp": "2025-06-02 08:00:00.500000000",
            "TraceId": "aa01", "SpanId": "02", "ParentSpanId": "01", "SpanKind": "Client",
            "SpanAttributes": {
                "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": "120",
                "gen_ai.usage.output_tokens": "45", "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "Plan a trip.",
            },
            "Duration": "1500000000", "StatusCode": "Ok",
        }
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAT_SPANS)
def test_spans_are_read_as_stores_export_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FLAT_SPANS[name])
    log = read_log(path)
    [call] = log.calls.to_dict("records")
    names = ("call_id", "session_id", "parent_id", "agent", "latency", "status")
    said = ["aa01-02", "aa01", "aa01-01", "gpt-4o", 1.5, "ok"]
    assert [call[name] for name in names] == said
    assert (call["prompt_tokens"], call["output_tokens"]) == (120.0, 45.0)
    assert log.texts().to_pylist() == ["Plan a trip."]


def test_requests_of_a_batch_bring_texts_and_models(tmp_path: Path) -> None:
    for path in SAMPLES.glob("openai_batch_*"):
        shutil.copy(path, tmp_path)
    for log in (
        read_log(tmp_path),
        read_log([tmp_path / "openai_batch_input.jsonl", tmp_path / "openai_batch_output.jsonl"]),
    ):
        assert log.texts().to_pylist() == ["What is a queue?", "And a stack?", "Hm?"]
        assert log.names("agent").tolist() == ["gpt-4o-2024-08-06", "gpt-4o", "gpt-4o"]
    with pytest.raises(rs.CorpusError, match="holds the requests of an OpenAI batch only"):
        read_log(tmp_path / "openai_batch_input.jsonl")


def test_evaluations_give_corpora_with_complete_outcomes(tmp_path: Path) -> None:
    for path in SAMPLES.glob("routerarena_*"):
        shutil.copy(path, tmp_path)
    arena = rs.load_corpus(tmp_path)
    assert arena.tasks["id"].tolist() == ["ArcMMLU_1", "ArcMMLU_2"]
    assert arena.tasks["text"].tolist() == ["What is a queue?", "And a stack?"]
    assert set(arena.agents) == {"gpt-4o-mini", "claude-3-haiku-20240307"}
    both = ["gpt-4o-mini", "claude-3-haiku-20240307"]
    assert arena.outcome("quality", both)[0].tolist() == [1.0, 1.0]
    assert arena.outcome("failed", both)[1].tolist() == [0.0, 1.0]
    assert arena.outcome("cost", both)[0].tolist() == [0.00005, 0.0001]

    long = rs.load_corpus(SAMPLES / "llmrouter_long.jsonl")
    assert len(long) == 1
    assert long.tasks[["text", "category"]].to_numpy().tolist() == [["What is 2+2?", "gsm8k"]]
    assert long.outcomes["quality"].tolist() == [[1.0, 0.0]]
    assert long.outcomes["latency"].tolist() == [[0.4, 1.5]]

    wide = rs.load_corpus(SAMPLES / "routerbench_wide.csv")
    assert wide.tasks["id"].tolist() == ["mmlu-a.val.0", "mmlu-a.val.1"]
    assert wide.agents == ("gpt-4-1106-preview", "claude-v2")
    assert wide.outcomes["quality"].tolist() == [[1.0, 0.25], [0.0, 1.0]]
    assert wide.outcomes["cost"].tolist() == [[0.0012, 0.0008], [0.0011, 0.0007]]
    assert wide.tasks["category"].tolist() == ["mmlu-a"] * 2

    foo = rs.load_corpus(SAMPLES / "promptfoo_results.json")
    assert foo.agents == ("openai:gpt-4o", "claude")
    assert foo.tasks["id"].tolist() == ["0", "1"]
    assert np.array_equal(
        foo.outcomes["quality"], [[0.5, math.nan], [0.0, math.nan]], equal_nan=True
    )
    assert np.array_equal(foo.outcomes["failed"], [[0, 1], [0, math.nan]], equal_nan=True)
    assert np.array_equal(
        foo.outcomes["latency"], [[1.75, 30.0], [math.nan] * 2], equal_nan=True
    )  # an answer from promptfoo's cache has no time

    harness = rs.load_corpus(SAMPLES / "lm_eval")
    assert harness.tasks[["id", "category"]].to_numpy().tolist() == [["gsm8k-0", "gsm8k"]]
    assert harness.tasks["text"].tolist() == ["Question: What is 2+2?\nAnswer:"]
    assert harness.outcome("quality", ["org/tiny-1b", "org/big-70b"]).tolist() == [[1.0, 0.0]]
    assert any("results_2025" in note for note in harness.notes)

    helm = rs.load_corpus(SAMPLES / "helm")
    assert helm.tasks[["id", "text"]].to_numpy().tolist() == [["gsm:stop=none-id0", "What is 2+2?"]]
    models = ["openai/gpt-4o", "anthropic/claude-3"]
    assert helm.outcome("quality", models).tolist() == [[1.0, 0.0]]
    assert helm.outcome("latency", models).tolist() == [[1.75, 1.75]]
    assert dict(read_log(SAMPLES / "helm").left_out) == {"instances that were perturbed": 2}


def test_every_shape_has_a_sample() -> None:
    read = {tool for tool, _, _ in EXPECTED.values()}
    others = {"routerarena", "llmrouter", "promptfoo", "lm-eval", "helm", "helm-instances"}
    joined = {"openai-batch-requests", "helm-predictions", "calls"}
    assert read | others | joined == set(shapes())
