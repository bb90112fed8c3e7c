"""MLflow: traces, as JSON or as the table of ``mlflow.search_traces``."""

from typing import Any

from routingsim.corpora.logs.fields import decoded, first_of
from routingsim.corpora.logs.shape import LeftOut, Shape, column, has, mask, unfolded
from routingsim.corpora.logs.statuses import ends_late
from routingsim.corpora.rows import Rows

_COLUMNS = (
    "trace_id+span_id",
    "parent_id",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "mlflow.llm.model",
    "mlflow.chat.tokenUsage.input_tokens",
    "mlflow.chat.tokenUsage.cache_read_input_tokens",
    "mlflow.chat.tokenUsage.cache_creation_input_tokens",
    "mlflow.chat.tokenUsage.output_tokens",
    "mlflow.llm.cost.total_cost",
    "status_code",
    "trace_id",
    "mlflow.spanType",
    "mlflow.spanInputs",
)
_CALLS = ("LLM", "CHAT_MODEL")


def _prepare(rows: Rows) -> Rows:
    """A row a span of each trace."""
    inner, flat = column(rows, "data"), column(rows, "spans")
    infos = column(rows, "info")
    ids = column(rows, "trace_id" if has(rows, "trace_id") else "request_id")
    found = []
    for k in range(len(rows)):
        data, info = _json(inner[k]), _json(infos[k])
        spans = _json(flat[k]) or (data.get("spans") if isinstance(data, dict) else None) or []
        trace = ids[k] or first_of(info, "trace_id", "request_id")
        objects = [span for span in map(_json, spans) if isinstance(span, dict)]
        found.append([_fields(span, trace) for span in objects])
    return unfolded(rows, _COLUMNS, found)


def _json(value: Any) -> Any:
    """A value that may be written as JSON, once or twice."""
    if isinstance(value, str):
        found = decoded(value)
        if found is not None:
            return found
        return value.strip('"') if value[:1] == '"' else value
    return value.tolist() if hasattr(value, "tolist") else value


def _fields(span: dict[str, Any], trace: Any) -> list[Any]:
    context = span.get("context") or {}
    own = first_of(span, "span_id") or first_of(context, "span_id")
    attributes = {
        name: _json(value) for name, value in (_json(span.get("attributes")) or {}).items()
    }
    inputs = attributes.get("mlflow.spanInputs", span.get("inputs"))
    outputs = attributes.get("mlflow.spanOutputs", span.get("outputs"))
    usage = first_of(attributes, "mlflow.chat.tokenUsage", "mlflow.trace.tokenUsage")
    usage = usage or first_of(outputs, "usage", "usage_metadata") or {}
    parameters = attributes.get("invocation_params") or {}
    model = (
        first_of(attributes, "mlflow.llm.model", "gen_ai.request.model", "model", "model_name")
        or first_of(inputs, "model", "model_name", "model_id")
        or first_of(parameters, "model", "model_name")
        or first_of(outputs, "model")
    )
    status = span.get("status_code") or span.get("status") or {}
    message = str(span.get("status_message") or "")
    if isinstance(status, dict):
        message = message or str(first_of(status, "message", "description") or "")
        status = first_of(status, "code", "status_code")
    failed = "ERROR" in str(status).upper() or status == 2
    return [
        f"{trace}-{own}",
        _parent(span, trace),
        first_of(span, "start_time_unix_nano", "start_time_ns", "start_time"),
        first_of(span, "end_time_unix_nano", "end_time_ns", "end_time"),
        model or span.get("name"),
        first_of(usage, "input_tokens", "prompt_tokens")
        or attributes.get("gen_ai.usage.input_tokens"),
        first_of(usage, "cache_read_input_tokens", "cached_tokens"),
        first_of(usage, "cache_creation_input_tokens", "cache_write_input_tokens"),
        first_of(usage, "output_tokens", "completion_tokens")
        or attributes.get("gen_ai.usage.output_tokens"),
        first_of(attributes.get("mlflow.llm.cost"), "total_cost", "total"),
        ("timed_out" if ends_late(message) else "failed") if failed else "ok",
        trace,
        str(attributes.get("mlflow.spanType") or span.get("span_type") or "").strip('"').upper(),
        inputs,
    ]


def _parent(span: dict[str, Any], trace: Any) -> str:
    parent = first_of(span, "parent_span_id", "parent_id")
    return f"{trace}-{parent}" if parent else ""


def _left_out(rows: Rows) -> LeftOut:
    types = rows.columns["mlflow.spanType"]
    return {"spans that are no calls of a model": mask(types, lambda value: value not in _CALLS)}


SHAPES = (
    Shape(
        "mlflow",
        "MLflow's traces",
        {
            "call_id": "trace_id+span_id",
            "session_id": "trace_id",
            "parent_id": "parent_id",
            "arrived_at": "start_time_unix_nano",
            "ended_at": "end_time_unix_nano",
            "agent": "mlflow.llm.model",
            "prompt_tokens": "mlflow.chat.tokenUsage.input_tokens",
            "cached_tokens": "mlflow.chat.tokenUsage.cache_read_input_tokens",
            "cache_write_tokens": "mlflow.chat.tokenUsage.cache_creation_input_tokens",
            "output_tokens": "mlflow.chat.tokenUsage.output_tokens",
            "cost": "mlflow.llm.cost.total_cost",
            "status": "status_code",
            "text": "mlflow.spanInputs",
        },
        always=(
            "info.trace_id|info.request_id|trace_id|request_id",
            "data.spans|spans",
            "info|state|status|execution_duration|execution_time_ms|trace_metadata|request_metadata",
        ),
        prepare=_prepare,
        left_out=_left_out,
        reads=("info", "data", "spans", "trace_id", "request_id"),
        said={
            "call_id": "of spans of the types LLM and CHAT_MODEL",
            "session_id": "a trace is a session",
            "parent_id": "or `parent_span_id`",
            "arrived_at": "or `start_time_ns`, `start_time`",
            "ended_at": "as `arrived_at`",
            "agent": "or a model in the span's attributes or inputs, else the span's `name`",
            "status": "or `status.code`",
            "text": "the last user message",
        },
    ),
)
