"""MLflow: traces, as JSON or as the table of ``mlflow.search_traces``."""

from typing import Any

from routingsim.corpora.logs.fields import decoded
from routingsim.corpora.logs.opentelemetry import PER_RECORD
from routingsim.corpora.logs.shape import LeftOut, Shape, column, has, mask
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
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    lines: list[int] = []
    numbers: list[int] = []
    inner, flat = column(rows, "data"), column(rows, "spans")
    infos = column(rows, "info")
    ids = column(rows, "trace_id" if has(rows, "trace_id") else "request_id")
    for k in range(len(rows)):
        data, info = _json(inner[k]), _json(infos[k])
        spans = _json(flat[k]) or (data.get("spans") if isinstance(data, dict) else None) or []
        trace = ids[k] or _first(info, "trace_id", "request_id")
        for place, span in enumerate(_json(each) for each in spans):
            if not isinstance(span, dict):
                continue
            for name, value in zip(_COLUMNS, _fields(span, trace), strict=True):
                columns[name].append(value)
            lines.append(rows.lines[k])
            numbers.append(rows.numbers[k] * PER_RECORD + place)
    return Rows(rows.file, rows.kind, columns, lines, numbers, rows.unit, rows.lost)


def _json(value: Any) -> Any:
    """A value that may be written as JSON, once or twice."""
    if isinstance(value, str):
        found = decoded(value)
        if found is not None:
            return found
        return value.strip('"') if value[:1] == '"' else value
    return value.tolist() if hasattr(value, "tolist") else value


def _first(found: Any, *names: str) -> Any:
    if not isinstance(found, dict):
        return None
    return next((found[name] for name in names if found.get(name) is not None), None)


def _fields(span: dict[str, Any], trace: Any) -> list[Any]:
    context = span.get("context") or {}
    own = _first(span, "span_id") or _first(context, "span_id")
    attributes = {
        name: _json(value) for name, value in (_json(span.get("attributes")) or {}).items()
    }
    inputs = attributes.get("mlflow.spanInputs", span.get("inputs"))
    outputs = attributes.get("mlflow.spanOutputs", span.get("outputs"))
    usage = _first(attributes, "mlflow.chat.tokenUsage", "mlflow.trace.tokenUsage")
    usage = usage or _first(outputs, "usage", "usage_metadata") or {}
    parameters = attributes.get("invocation_params") or {}
    model = (
        _first(attributes, "mlflow.llm.model", "gen_ai.request.model", "model", "model_name")
        or _first(inputs, "model", "model_name", "model_id")
        or _first(parameters, "model", "model_name")
        or _first(outputs, "model")
    )
    status = span.get("status_code") or span.get("status") or {}
    message = str(span.get("status_message") or "")
    if isinstance(status, dict):
        message = message or str(_first(status, "message", "description") or "")
        status = _first(status, "code", "status_code")
    failed = "ERROR" in str(status).upper() or status == 2
    return [
        f"{trace}-{own}",
        _parent(span, trace),
        _first(span, "start_time_unix_nano", "start_time_ns", "start_time"),
        _first(span, "end_time_unix_nano", "end_time_ns", "end_time"),
        model or span.get("name"),
        _first(usage, "input_tokens", "prompt_tokens")
        or attributes.get("gen_ai.usage.input_tokens"),
        _first(usage, "cache_read_input_tokens", "cached_tokens"),
        _first(usage, "cache_creation_input_tokens", "cache_write_input_tokens"),
        _first(usage, "output_tokens", "completion_tokens")
        or attributes.get("gen_ai.usage.output_tokens"),
        _first(attributes.get("mlflow.llm.cost"), "total_cost", "total"),
        ("timed_out" if ends_late(message) else "failed") if failed else "ok",
        trace,
        str(attributes.get("mlflow.spanType") or span.get("span_type") or "").strip('"').upper(),
        inputs,
    ]


def _parent(span: dict[str, Any], trace: Any) -> str:
    parent = _first(span, "parent_span_id", "parent_id")
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
