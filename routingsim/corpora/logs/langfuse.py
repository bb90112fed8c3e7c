"""Langfuse: observations, exported or from its public API."""

from collections.abc import Sequence
from typing import Any

from routingsim.corpora.logs.fields import decoded
from routingsim.corpora.logs.scores import scores_in
from routingsim.corpora.logs.shape import LeftOut, Shape, column, mask
from routingsim.corpora.logs.statuses import ends_late
from routingsim.corpora.rows import Rows


def _prepare(rows: Rows) -> Rows:
    """Sum the kinds of input tokens; tell timeouts from other errors."""
    usage = [_object(value) for value in column(rows, "usageDetails")]
    extra: dict[str, Sequence[Any]] = {}
    if any(usage):
        extra["usageDetails.input"] = [_sum(each, "input") for each in usage]
        extra["usageDetails.cache_read"] = [_cached(each, False) for each in usage]
        extra["usageDetails.cache_creation"] = [_cached(each, True) for each in usage]
        extra["usageDetails.output"] = [_sum(each, "output") for each in usage]
    messages = column(rows, "statusMessage")
    extra["status"] = [
        "timed_out" if level == "ERROR" and ends_late(str(message or "")) else level
        for level, message in zip(column(rows, "level"), messages, strict=True)
    ]
    return rows.also(**extra)


def _object(value: Any) -> dict[str, Any]:
    value = decoded(value) if isinstance(value, str) else value
    if isinstance(value, list):  # a map, as Parquet holds it
        value = dict(each for each in value if isinstance(each, tuple) and len(each) == 2)
    return value if isinstance(value, dict) else {}


def _sum(usage: dict[str, Any], side: str) -> float | None:
    """All tokens of a side: "input" and "input_cached_tokens" are apart, parts of one."""
    kinds = [key for key in usage if key.startswith(side) or (side == "input" and "cache" in key)]
    numbers = [float(usage[key]) for key in kinds if usage[key] is not None]
    return sum(numbers) if numbers else None


def _cached(usage: dict[str, Any], written: bool) -> float | None:
    """Input tokens that were written to a cache, or read from one."""
    cached = [key for key in usage if "cache" in key and not key.startswith("output")]
    kinds = [key for key in cached if ("creation" in key or "write" in key) == written]
    return sum(float(usage[key] or 0) for key in kinds) if kinds else None


def _left_out(rows: Rows) -> LeftOut:
    types = column(rows, "type")
    others = mask(types, lambda value: str(value or "GENERATION").upper() != "GENERATION")
    return {"observations that are no generations": others}


SHAPES = (
    Shape(
        "langfuse",
        "an export of Langfuse's observations",
        {
            "call_id": "id",
            "session_id": "sessionId|traceId",
            "parent_id": "parentObservationId",
            "arrived_at": "startTime",
            "ended_at": "endTime",
            "first_token_at": "completionStartTime",
            "agent": "model|providedModelName",
            "prompt_tokens": "usageDetails.input|usage.input|promptTokens|inputUsage",
            "cached_tokens": "usageDetails.cache_read",
            "cache_write_tokens": "usageDetails.cache_creation",
            "output_tokens": "usageDetails.output|usage.output|completionTokens|outputUsage",
            "ttft": "timeToFirstToken",
            "latency": "latency",
            "cost": "totalCost|costDetails.total|calculatedTotalCost",
            "status": "status",
            "tags": "tags",
            "text": "input|text",
        },
        always=("id", "traceId", "startTime", "type", "level|model|usageDetails"),
        never=("run_type",),
        prepare=_prepare,
        left_out=_left_out,
        more=scores_in("scores"),
        reads=("usageDetails", "level", "statusMessage", "type", "scores"),
        said={
            "prompt_tokens": "`usageDetails.input`, and what of it came from a cache",
            "latency": "seconds; `endTime` − `startTime` where it is not given",
            "status": "`level` ERROR is `failed`, or `timed_out` where `statusMessage` says so",
            "quality": "a score: taken by itself where there is one, from 0 to 1; else a note asks "
            "which, and for its scale",
        },
        form='JSON, JSON lines, CSV; `{"data": […]}` as the API answers',
    ),
)
