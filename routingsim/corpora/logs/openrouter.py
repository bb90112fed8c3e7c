"""OpenRouter: the export of an account's activity."""

from routingsim.corpora.logs.shape import Shape, column, is_true
from routingsim.corpora.rows import Rows


def _prepare(rows: Rows) -> Rows:
    """The status: cancelled, or how the answer finished."""
    finished = column(rows, "finish_reason_normalized")
    if not any(finished):
        finished = column(rows, "finish_reason")
    statuses = [
        "cancelled" if is_true(flag) else reason
        for flag, reason in zip(column(rows, "cancelled"), finished, strict=True)
    ]
    return rows.also(status=statuses)


SHAPES = (
    Shape(
        "openrouter",
        "an export of OpenRouter's activity",
        {
            "call_id": "generation_id|id",
            "arrived_at": "created_at",
            "agent": "model_permaslug|model",
            "prompt_tokens": "tokens_prompt",
            "cached_tokens": "tokens_cached|native_tokens_cached",
            "output_tokens": "tokens_completion",
            "ttft": "time_to_first_token_ms|latency:ms",
            "latency": "generation_time_ms|generation_time:ms",
            "cost": "cost_total|total_cost",
            "status": "status",
        },
        always=(
            "generation_id|id",
            "created_at",
            "tokens_prompt",
            "model_permaslug|model|cost_total",
        ),
        prepare=_prepare,
        reads=("cancelled", "finish_reason_normalized", "finish_reason"),
        said={
            "arrived_at": "the export has the newest first; it is sorted",
            "text": "there is none",
            "status": "`cancelled`, else `finish_reason_normalized`: `error` is `failed`, `stop`, "
            "`length` and `tool_calls` are `ok`",
        },
        form="CSV; JSON of the generation API",
    ),
)
