"""AIPerf: the records of a benchmark's requests."""

from collections.abc import Sequence
from typing import Any

from routingsim.corpora.logs.fields import dig
from routingsim.corpora.logs.shape import LeftOut, Shape, column, is_true, mask
from routingsim.corpora.logs.statuses import ends_late
from routingsim.corpora.rows import Rows

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}


def _prepare(rows: Rows) -> Rows:
    """Times in seconds, whatever their unit; the status, with timeouts apart."""
    metrics, about = column(rows, "metrics"), column(rows, "metadata")
    extra: dict[str, Sequence[Any]] = {
        "ttft": [_seconds(each, "time_to_first_token") for each in metrics],
        "latency": [_seconds(each, "request_latency") for each in metrics],
    }
    statuses = []
    for error, each in zip(column(rows, "error"), about, strict=True):
        status = "cancelled" if is_true(dig(each, ["was_cancelled"])) else "ok"
        if error:
            said = f"{dig(error, ['type'])} {dig(error, ['message'])}"
            late = dig(error, ["code"]) in (408, 499, 504) or ends_late(said)
            status = "timed_out" if late else "failed"
        statuses.append(status)
    return rows.also(**extra, status=statuses)


def _seconds(metrics: Any, name: str) -> float | None:
    value, unit = dig(metrics, [name, "value"]), dig(metrics, [name, "unit"])
    return None if value is None else float(value) * _SECONDS.get(str(unit), 1e-3)


def _left_out(rows: Rows) -> LeftOut:
    phases = [dig(each, ["benchmark_phase"]) for each in column(rows, "metadata")]
    return {"requests of the warm-up": mask(phases, lambda value: value == "warmup")}


SHAPES = (
    Shape(
        "aiperf",
        "AIPerf's records of requests",
        {
            "call_id": "metadata.x_request_id",
            "session_id": "metadata.x_correlation_id|metadata.conversation_id",
            "turn": "metadata.turn_index",
            "arrived_at": "metadata.request_start_ns:ns",
            "ended_at": "metadata.request_end_ns:ns",
            "agent": "metadata.model|model",
            "prompt_tokens": "metrics.input_sequence_length.value|metrics.error_isl.value",
            "output_tokens": "metrics.output_sequence_length.value|"
            "metrics.output_token_count.value",
            "ttft": "ttft",
            "latency": "latency",
            "status": "status",
        },
        always=("metadata.request_start_ns", "metrics|error"),
        prepare=_prepare,
        left_out=_left_out,
        reads=("metrics", "metadata", "error"),
        beside=("inputs.json", "profile_export_aiperf.json", "profile_export_aiperf.csv"),
        said={
            "ttft": "`metrics.time_to_first_token`, in its own unit",
            "latency": "`metrics.request_latency`, in its own unit; else the end less the start",
            "status": "an `error` is `failed`, or `timed_out` (codes 408, 499 and 504)",
            "agent": "not in the records: `--map agent==NAME` gives one",
            "text": "there is none",
        },
        form="JSON lines",
    ),
)
