"""LiteLLM: the proxy's spend logs, and the StandardLoggingPayload of its callbacks."""

from routingsim.corpora.logs.fields import dig
from routingsim.corpora.logs.shape import LeftOut, Shape, column, is_true, mask
from routingsim.corpora.rows import Rows

_OTHERS = ("embedding", "image", "moderation", "transcription", "speech", "rerank", "mcp", "file")
_ERROR_CODES = (["error_information", "error_code"], ["error_information", "error_class"])


def _prepare(rows: Rows) -> Rows:
    """Give each call a status that tells answers from the cache and timeouts apart."""
    hits, metadata = column(rows, "cache_hit"), column(rows, "metadata")
    statuses, errors = column(rows, "status"), column(rows, "error_information")
    found = []
    for hit, status, about, error in zip(hits, statuses, metadata, errors, strict=True):
        if is_true(hit):
            found.append("cached")
            continue
        status = status or dig(about, ["status"])
        if status == "failure":
            details = {"error_information": error or dig(about, ["error_information"])}
            codes = [str(dig(details, path) or "") for path in _ERROR_CODES]
            late = codes[0] in ("408", "504") or "timeout" in codes[1].casefold()
            status = "timed_out" if late else status
        found.append(status)
    return rows.also(status=found)


def _left_out(rows: Rows) -> LeftOut:
    types = column(rows, "call_type")
    others = {
        value
        for value in set(types)
        if any(word in str(value or "").casefold() for word in _OTHERS)
    }
    if not others:
        return {}
    listed = ", ".join(sorted(map(str, others)))
    return {f"calls of another kind ({listed})": mask(types, others.__contains__)}


SHAPES = (
    Shape(
        "litellm",
        "LiteLLM's spend log or logging payload",
        {
            "call_id": "request_id|id",
            "session_id": "session_id|trace_id",
            "arrived_at": "startTime",
            "ended_at": "endTime",
            "first_token_at": "completionStartTime",
            "agent": "model",
            "prompt_tokens": "prompt_tokens",
            "cached_tokens": "metadata.usage_object.prompt_tokens_details.cached_tokens|"
            "metadata.usage_object.cache_read_input_tokens|"
            "metadata.additional_usage_values.cache_read_input_tokens",
            "cache_write_tokens": "metadata.usage_object.cache_creation_input_tokens|"
            "metadata.usage_object.prompt_tokens_details.cache_creation_tokens|"
            "metadata.additional_usage_values.cache_creation_input_tokens",
            "output_tokens": "completion_tokens",
            "cost": "spend|response_cost",
            "status": "status",
            "tags": "request_tags",
            "text": "messages|proxy_server_request.messages",
        },
        always=(
            "request_id|id",
            "startTime",
            "model",
            "spend|response_cost|completion_tokens",
            "endTime|call_type|completionStartTime",
        ),
        never=("traceId", "run_type"),
        prepare=_prepare,
        left_out=_left_out,
        reads=("cache_hit", "metadata", "status", "error_information", "call_type"),
        said={
            "latency": "`endTime` − `startTime`; never `response_time`, which of a streamed call "
            "is the time to the first token",
            "ttft": "`completionStartTime` − `startTime`; not where it is the end, as of calls "
            "that are not streamed",
            "status": "`cache_hit` is `cached`, which fits leave out; error codes 408 and 504 and "
            "classes like `Timeout` are `timed_out`",
        },
        form="JSON, JSON lines, CSV",
    ),
)
