"""Spans of decisions, as an exporter gets them."""

import asyncio
import importlib
import json
import sys
from collections.abc import Iterator
from urllib.request import Request, urlopen

import msgspec
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from routingsim.errors import RoutingSimError
from routingsim.live.publisher.memory import MemoryPublisher
from routingsim.live.serve import Plan, running
from routingsim.live.settings import Settings
from routingsim.live.tracing import TracedRouter
from routingsim.routing import TaskRouter


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


def test_a_decision_is_a_span_below_that_of_its_caller(exporter: InMemorySpanExporter) -> None:
    publisher = MemoryPublisher()
    router = TracedRouter(publisher=publisher, seed=1, explore=0.0)
    with trace.get_tracer("a program").start_as_current_span("request"):
        decision = router.route("What is 2+2?", task_id="t1")
    untraced = TaskRouter(seed=1, explore=0.0).route("What is 2+2?", task_id="t1")
    assert (decision.agent, decision.reason) == (untraced.agent, untraced.reason)
    assert len(publisher.messages) == 2
    span, request = exporter.get_finished_spans()
    assert span.parent
    assert request.context
    assert span.parent.span_id == request.context.span_id
    assert (span.name, dict(span.attributes or {})) == (
        "route_task",
        {
            "gen_ai.operation.name": "route_task",
            "gen_ai.agent.id": decision.agent.id,
            "gen_ai.agent.name": decision.agent.name,
            "routingsim.policy": "threshold",
            "routingsim.task.id": "t1",
            "routingsim.reason": decision.reason,
            "routingsim.d_var": decision.complexity_score.d_var,
            "routingsim.propensity": decision.propensity,
            "routingsim.dropped": 0,
        },
    )


def test_a_batch_is_one_span_and_an_error_is_recorded(exporter: InMemorySpanExporter) -> None:
    router = TracedRouter()
    assert len(router.route_batch(["a", "b", "c"])) == 3
    router.route("a", task_id="t1")
    with pytest.raises(RoutingSimError, match="t1"):
        router.route("a", task_id="t1")
    batch, _, failed = exporter.get_finished_spans()
    assert (batch.name, (batch.attributes or {})["routingsim.tasks"]) == ("route_batch", 3)
    assert kinds(failed) == ["routingsim.errors.RoutingSimError"]
    assert kinds(batch) == []


@pytest.mark.system
def test_serve_traces_where_that_is_set(exporter: InMemorySpanExporter) -> None:
    async def routed(settings: Settings) -> str:
        async with running(Plan(settings)) as at:
            body = json.dumps({"text": "What is 2+2?"}).encode()
            request = Request(f"{at.api}/api/routing/test", body)
            request.add_header("Content-Type", "application/json")
            answer = await asyncio.to_thread(lambda: urlopen(request).read())
            return json.loads(answer)["decision"]["taskId"]

    settings = Settings(redis_port=0, websocket_port=0, http_port=0)
    asyncio.run(routed(settings))
    assert exporter.get_finished_spans() == ()
    task = asyncio.run(routed(msgspec.structs.replace(settings, otel=True)))
    [span] = exporter.get_finished_spans()
    assert (span.attributes or {})["routingsim.task.id"] == task


def kinds(span: ReadableSpan) -> list[object]:
    """The types of the errors that a span has recorded."""
    return [(event.attributes or {})["exception.type"] for event in span.events]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "routingsim.live.tracing")
    with pytest.raises(RoutingSimError) as caught:
        importlib.import_module("routingsim.live.tracing")
    assert str(caught.value) == (
        "spans need the extra otel, the API of OpenTelemetry: pip install 'routingsim[otel]'"
    )
