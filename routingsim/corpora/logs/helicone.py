"""Helicone: requests, exported or from its API."""

from contextlib import suppress

from routingsim.corpora.logs.scores import scores_in
from routingsim.corpora.logs.shape import Shape, column, is_true
from routingsim.corpora.rows import Rows

_NO_ID = "00000000-0000-0000-0000-000000000000"
_PENDING = {-1: "failed", -2: "incomplete", -3: "cancelled", -4: "refused", 0: "failed"}


def _prepare(rows: Rows) -> Rows:
    """The status: of the response; answers from the cache apart."""
    references = column(rows, "cache_reference_id")
    found = []
    for status, flag, reference in zip(
        column(rows, "response_status"), column(rows, "cache_hit"), references, strict=True
    ):
        if is_true(flag) or (reference and reference != _NO_ID):
            found.append("cached")
            continue
        with suppress(TypeError, ValueError):
            status = _PENDING.get(int(float(status)), status)
        found.append(status)
    return rows.also(status=found)


SHAPES = (
    Shape(
        "helicone",
        "an export of Helicone's requests",
        {
            "call_id": "request_id|response_id",
            "session_id": "request_properties.Helicone-Session-Id|properties.Helicone-Session-Id",
            "arrived_at": "request_created_at",
            "ended_at": "response_created_at",
            "agent": "response_model|request_model|model_override|model",
            "prompt_tokens": "prompt_tokens",
            "cached_tokens": "prompt_cache_read_tokens",
            "cache_write_tokens": "prompt_cache_write_tokens",
            "output_tokens": "completion_tokens",
            "ttft": "time_to_first_token:ms",
            "latency": "delay_ms|latency:ms",
            "cost": "costUSD|cost_usd|cost",
            "status": "status",
            "text": "request_body|prompt",
        },
        always=("request_created_at", "response_status", "completion_tokens|delay_ms|latency"),
        prepare=_prepare,
        more=scores_in("scores"),
        reads=("response_status", "cache_hit", "cache_reference_id", "scores"),
        said={
            "latency": "milliseconds; else `response_created_at` − `request_created_at`",
            "status": "the HTTP status; a cache reference is `cached`",
            "text": "the last user message of `request_body`, where bodies were exported",
        },
        form='JSON lines, JSON, CSV; `{"data": […]}` as the API answers',
    ),
)
