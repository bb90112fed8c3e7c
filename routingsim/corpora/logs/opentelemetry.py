"""OpenTelemetry: spans of generative AI, from the collector's file exporter or flat dumps."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from routingsim.corpora.logs.fields import decoded, first_of
from routingsim.corpora.logs.shape import LeftOut, Shape, has, mask, unfolded
from routingsim.corpora.logs.statuses import ends_late
from routingsim.corpora.rows import Rows

_MODELS = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "llm.request.model")
_INPUT = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
_CACHED = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cached_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
_COST = ("gen_ai.usage.cost", "llm.cost.total", "gen_ai.usage.total_cost")
_TTFT = ("gen_ai.server.time_to_first_token", "gen_ai.response.time_to_first_token")
_TEXTS = ("gen_ai.input.messages", "gen_ai.prompt", "input.value", "llm.prompts")
_FIRST_TOKEN = ("first_token", "first token", "gen_ai.first_token", "llm.content.completion.chunk")
_NO_CALLS = (
    "embeddings",
    "execute_tool",
    "invoke_agent",
    "create_agent",
    "invoke_workflow",
    "retrieval",
)
_STARTS = (
    "startTimeUnixNano",
    "start_time_unix_nano",
    "start_time",
    "startTime",
    "Timestamp",
)
_ENDS = ("endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime")
_TRACES = ("traceId", "trace_id", "TraceId", "context.trace_id")
_HELD = ("attributes", "SpanAttributes")
_FLAT = ("gen_ai.", "llm.", "attributes.gen_ai.", "attributes.llm.")
_FAILED = (2, "2", "STATUS_CODE_ERROR", "ERROR", "Error", "StatusCode.ERROR")
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue")


class _Value(msgspec.Struct, gc=False):
    stringValue: Any = None
    intValue: Any = None
    doubleValue: Any = None
    boolValue: Any = None


class _KeyValue(msgspec.Struct, gc=False):
    key: str
    value: _Value | None = None


class _Span(msgspec.Struct, gc=False):
    traceId: Any = None
    spanId: Any = None
    parentSpanId: Any = None
    startTimeUnixNano: Any = None
    endTimeUnixNano: Any = None
    attributes: list[_KeyValue] | None = None
    status: Any = None
    events: Any = None


class _Scope(msgspec.Struct, gc=False):
    spans: list[_Span] | None = None


class _Resource(msgspec.Struct, gc=False):
    scopeSpans: list[_Scope] | None = None


def _prepare(rows: Rows) -> Rows:
    """A row a span, whichever way spans are written."""
    return unfolded(rows, _COLUMNS, (list(map(_fields, spans)) for spans in _spans_of(rows)))


_COLUMNS = (
    "traceId+spanId",
    "parentSpanId",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "gen_ai.request.model",
    "gen_ai.operation.name",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cost",
    "gen_ai.server.time_to_first_token",
    "Duration",
    "first token",
    "status.code",
    "traceId",
    "gen_ai.conversation.id",
    "gen_ai.input.messages",
)


def _spans_of(rows: Rows) -> Iterator[list[Any]]:
    """The spans of each record: typed ones of OTLP, or objects."""
    if "resourceSpans" in rows.columns or "scopeSpans" in rows.columns:
        resources = rows.columns.get("resourceSpans") or [None] * len(rows)
        scopes = rows.columns.get("scopeSpans") or [None] * len(rows)
        for found, own in zip(resources, scopes, strict=True):
            inner = [
                scope for each in _listed(found) for scope in _listed(_get(each, "scopeSpans"))
            ]
            inner += _listed(own)
            yield [span for scope in inner for span in _listed(_get(scope, "spans"))]
        return
    names = list(rows.columns)
    for values in zip(*rows.columns.values(), strict=True):
        yield [dict(zip(names, values, strict=True))]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _get(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, dict) else getattr(found, name, None)


def _fields(span: Any) -> tuple[Any, ...]:
    if isinstance(span, _Span):
        trace, own, parent = span.traceId, span.spanId, span.parentSpanId
        start, end, status, events = (
            span.startTimeUnixNano,
            span.endTimeUnixNano,
            span.status,
            span.events,
        )
        attributes = {each.key: _typed(each.value) for each in span.attributes or ()}
        duration = None
    else:
        span = span if isinstance(span, dict) else {}
        context = span.get("context") or span.get("SpanContext") or {}
        trace = first_of(span, *_TRACES) or first_of(context, "trace_id", "TraceID")
        own = first_of(span, "spanId", "span_id", "SpanId", "context.span_id") or first_of(
            context, "span_id", "SpanID"
        )
        parent = first_of(span, "parentSpanId", "parent_span_id", "parent_id", "ParentSpanId")
        start = first_of(span, *_STARTS)
        end = first_of(span, *_ENDS)
        status = first_of(span, "status", "Status", "StatusCode", "status_code", "status.code")
        duration = span.get("Duration")
        events = span.get("events") or span.get("Events")
        attributes = _attributes(span)
    trace, own, parent = (
        "" if each is None else str(each).removeprefix("0x") for each in (trace, own, parent)
    )
    return (
        f"{trace}-{own}",
        f"{trace}-{parent}" if parent.strip("0") else "",
        start,
        end,
        first_of(attributes, *_MODELS),
        _operation(attributes),
        first_of(attributes, *_INPUT),
        first_of(attributes, *_CACHED),
        first_of(attributes, *_CACHE_WRITE),
        first_of(attributes, *_OUTPUT),
        first_of(attributes, *_COST),
        first_of(attributes, *_TTFT),
        duration,
        _first_token(events) if events else None,
        _status(status, attributes),
        trace,
        first_of(attributes, "gen_ai.conversation.id", "session.id"),
        _text(attributes, events),
    )


def _typed(value: _Value | None) -> Any:
    if value is None:
        return None
    if value.stringValue is not None:
        return value.stringValue
    if value.intValue is not None:
        return value.intValue
    return value.doubleValue if value.doubleValue is not None else value.boolValue


def _status(status: Any, attributes: dict[str, Any]) -> str:
    message: Any = ""
    if isinstance(status, str):
        status = decoded(status) or status
    if isinstance(status, dict):
        message = first_of(status, "message", "description")
        status = first_of(status, "code", "status_code")
    error = attributes.get("error.type")
    if status in _FAILED or error:
        return "timed_out" if ends_late(str(error or message or "")) else "failed"
    return "ok"


def _attributes(span: dict[str, Any]) -> dict[str, Any]:
    """A span's attributes by name: of a list of keys and values, an object, JSON, or columns."""
    found: Any = span.get("attributes", span.get("Attributes", span.get("SpanAttributes")))
    if isinstance(found, str):
        found = decoded(found)
    if isinstance(found, list):
        return {
            str(each.get("key")): _value(each.get("value"))
            for each in found
            if isinstance(each, dict)
        }
    if isinstance(found, dict):
        return found
    return {name.removeprefix("attributes."): value for name, value in span.items()}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return next((value[kind] for kind in _VALUES if kind in value), value)
    return value


def _operation(attributes: dict[str, Any]) -> str:
    kind = first_of(attributes, "openinference.span.kind", "traceloop.span.kind")
    if kind and str(kind).upper() != "LLM":
        return str(kind).casefold()
    return str(attributes.get("gen_ai.operation.name") or "")


def _first_token(events: Any) -> Any:
    for event in events if isinstance(events, list) else []:
        if isinstance(event, dict) and str(event.get("name", "")).casefold() in _FIRST_TOKEN:
            return first_of(event, "timeUnixNano", "time_unix_nano", "timestamp", "time")
    return None


def _text(attributes: dict[str, Any], events: Any) -> Any:
    if found := first_of(attributes, *_TEXTS):
        return found
    messages = []
    while f"gen_ai.prompt.{len(messages)}.content" in attributes:
        start = f"gen_ai.prompt.{len(messages)}"
        role = attributes.get(f"{start}.role")
        messages.append({"role": role, "content": attributes[f"{start}.content"]})
    for event in events if isinstance(events, list) and not messages else []:
        if not isinstance(event, dict):
            continue
        name, inner = str(event.get("name", "")), _attributes(event)
        if name == "gen_ai.content.prompt":
            return inner.get("gen_ai.prompt")
        if name == "gen_ai.client.inference.operation.details":
            return inner.get("gen_ai.input.messages")
        if name.startswith("gen_ai.") and name.endswith(".message"):
            role = name.split(".")[1]
            messages.append(
                {"role": role, "content": first_of(inner, "content", "gen_ai.event.content")}
            )
    return messages or None


def _left_out(rows: Rows) -> LeftOut:
    models: Sequence[Any] = rows.columns["gen_ai.request.model"]
    operations: Sequence[Any] = rows.columns["gen_ai.operation.name"]
    kinds = mask(operations, lambda value: value in _NO_CALLS)
    others = mask(operations, lambda value: value in ("agent", "tool", "chain", "workflow", "task"))
    unnamed = mask(models, lambda value: not value)
    return {"spans that are no calls of a model": kinds | others | unnamed}


def _fits(rows: Rows) -> bool:
    if "resourceSpans" in rows.columns or "scopeSpans" in rows.columns:
        return True
    flat = any(name.startswith(_FLAT) for name in rows.columns)  # attributes as columns
    held = flat or any(has(rows, path) for path in _HELD)
    return held and all(any(has(rows, path) for path in paths) for paths in (_TRACES, _STARTS))


SHAPES = (
    Shape(
        "opentelemetry",
        "a file of OpenTelemetry spans",
        {
            "call_id": "traceId+spanId",
            "session_id": "traceId",
            "parent_id": "parentSpanId",
            "arrived_at": "startTimeUnixNano",
            "ended_at": "endTimeUnixNano",
            "first_token_at": "first token",
            "agent": "gen_ai.request.model",
            "prompt_tokens": "gen_ai.usage.input_tokens",
            "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
            "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
            "output_tokens": "gen_ai.usage.output_tokens",
            "ttft": "gen_ai.server.time_to_first_token",
            "latency": "Duration:ns",
            "cost": "gen_ai.usage.cost",
            "status": "status.code",
            "text": "gen_ai.input.messages",
        },
        always=(
            "resourceSpans|scopeSpans|traceId|trace_id|context.trace_id|TraceId",
            "resourceSpans|scopeSpans|startTimeUnixNano|start_time_unix_nano|start_time|startTime|"
            "Timestamp",
        ),
        never=("run_type",),
        prepare=_prepare,
        left_out=_left_out,
        fits=_fits,
        reads=("*",),
        types={"resourceSpans": list[_Resource], "scopeSpans": list[_Scope]},
        said={
            "session_id": "a trace is a session",
            "parent_id": "the call or step that made the call",
            "arrived_at": "as a number, as text, or a date; also `start_time`",
            "ended_at": "also `end_time`",
            "latency": "of the collector's table in ClickHouse",
            "agent": "else `gen_ai.response.model` or `llm.model_name`",
            "prompt_tokens": "also as older conventions name it",
            "output_tokens": "also as older conventions name it",
            "status": "2 is `failed`, or `timed_out` where `error.type` says so",
            "text": "the last user message; also of events, and of older names",
            "first_token_at": "an event of the first token",
        },
        form="JSON lines of the file exporter, OTLP JSON, spans as JSON, JSON lines or CSV",
    ),
)
