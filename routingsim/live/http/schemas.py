"""What goes over HTTP, and the OpenAPI document that says so.

The document's schemas are made from the very types that requests are decoded
into and answers encoded from, so the two cannot disagree.
"""

from importlib.metadata import version
from typing import Annotated, Any, Literal

import msgspec

from routingsim.messages import AgentInfo, ComplexityScore, RoutingDecision

__all__ = [
    "LONGEST_BODY",
    "LONGEST_TEXT",
    "Config",
    "ConfigAnswer",
    "Failure",
    "Health",
    "RouteAnswer",
    "RouteRequest",
    "RoutedTask",
    "Stats",
    "StatsAnswer",
    "document",
]

LONGEST_TEXT = 100_000
"""Characters of a task's text."""

LONGEST_BODY = 12 * LONGEST_TEXT + 1024
"""Bytes of a request: the longest text, every character a ``\\uD83D\\uDE00``."""


class RouteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The task to route. No other field is allowed, so that a misspelt one is noticed."""

    text: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=LONGEST_TEXT,
            pattern=r"[^\s\x1c-\x1f\x85\ufeff]",  # what Python or JavaScript call white space
            description="The task, with at least one character that is not white space.",
            examples=["Implement a binary search in Python with type hints"],
        ),
    ]


class RoutedTask(msgspec.Struct, frozen=True, rename="camel"):
    """A decision as the API answers it; on the wire it is the message ``routing_decision``."""

    id: Annotated[str, msgspec.Meta(description="Of this decision, a UUID.")]
    task_id: Annotated[str, msgspec.Meta(description="Of the task, as on the wire.")]
    selected_agent: AgentInfo
    complexity_score: ComplexityScore
    reason: str
    timestamp: Annotated[
        str,
        msgspec.Meta(
            description="ISO 8601, UTC.",
            extra_json_schema={"format": "date-time"},
            examples=["2023-11-09T21:20:00.000Z"],
        ),
    ]


class RouteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a task."""

    success: Literal[True] = True
    decision: RoutedTask


class Stats(msgspec.Struct, frozen=True, rename="camel"):
    """What the router has done since it started."""

    total_routes: int
    agent_usage: Annotated[
        dict[str, int], msgspec.Meta(description="Tasks by agent id, zeros too.")
    ]
    recent_decisions: Annotated[
        list[RoutingDecision], msgspec.Meta(description="As on the wire, newest first.")
    ]


class StatsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a question for statistics."""

    success: Literal[True] = True
    stats: Stats


class Config(msgspec.Struct, frozen=True):
    """What the dashboard needs to know."""

    websocket: Annotated[
        str,
        msgspec.Meta(
            description="Where the bridge is: a ws:// or wss:// URL, :port on the page's own "
            "host, or a path relative to the page."
        ),
    ]
    policy: str
    agents: Annotated[list[AgentInfo], msgspec.Meta(description="In the order of the pool.")]


class ConfigAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to the dashboard's question for its settings."""

    success: Literal[True] = True
    config: Config


class Health(msgspec.Struct, frozen=True):
    """Whether the API works, and what it knows of those it works with (null: nothing)."""

    status: Literal["ok", "degraded"]
    bridge: Literal["up", "down"] | None
    publisher: Annotated[
        Literal["connected", "not connected"] | None,
        msgspec.Meta(description="A publisher connects at its first message."),
    ]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Any answer but 200 and the health's 503: what was wrong, what is allowed."""

    success: Literal[False] = False
    error: str


_STRUCTS = (RouteRequest, RouteAnswer, StatsAnswer, ConfigAnswer, Health, Failure)

_REFUSALS = {
    400: "The body is not JSON in UTF-8, or holds lone surrogates.",
    401: "A token is needed, or this one is wrong.",
    403: "A page of this origin, or under this host name, is not welcome.",
    404: "No such path.",
    405: "No such method here; see the Allow header.",
    408: "The body took too long to come.",
    413: f"The body has more than {LONGEST_BODY} bytes.",
    415: "The body is not application/json.",
    422: "JSON, but not what is asked for; the error names the field.",
    500: "An error of ours; the server's log has it.",
}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the API."""
    _, schemas = msgspec.json.schema_components(
        _STRUCTS, ref_template="#/components/schemas/{name}"
    )
    for answer in (RouteAnswer, StatsAnswer, ConfigAnswer, Failure):
        schemas[answer.__name__]["required"].append("success")  # its default is always sent
    refusals = {
        _name(status): {"description": text, "content": _json(Failure)}
        for status, text in _REFUSALS.items()
    }
    refusals[_name(405)]["headers"] = {"Allow": {"schema": {"type": "string"}}}
    refusals[_name(401)]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "routingsim",
            "version": version("routingsim"),
            "description": "Routes tasks to AI agents as they come. Decisions also go out on the "
            "WebSocket bridge, as messages of type routing_decision.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": ".", "description": "Where this document came from."}],
        "security": [{}, {"token": []}],
        "paths": {
            "/api/routing/test": {
                "post": _operation(
                    "routeTask",
                    "Route a test task.",
                    _answer("The decision.", RouteAnswer),
                    (400, 408, 413, 415, 422),
                    description="Nobody works on the task: it holds a slot of its agent for the "
                    "agent's mean latency, so that loads rise and fall as they would.",
                    requestBody={"required": True, "content": _json(RouteRequest)},
                ),
                "get": _operation(
                    "routingStats",
                    "What was routed since the start.",
                    _answer("The statistics.", StatsAnswer),
                ),
            },
            "/api/config": {
                "get": _operation(
                    "dashboardConfig",
                    "What the dashboard needs to know.",
                    _answer("The settings.", ConfigAnswer),
                )
            },
            "/health": {
                "get": _operation(
                    "health",
                    "Whether API and bridge work. Needs no token.",
                    _answer("They do.", Health),
                    other={"503": _answer("The bridge does not.", Health)},
                    security=[],
                )
            },
            "/metrics": {
                "get": _operation(
                    "metrics",
                    "Counters for Prometheus.",
                    {
                        "description": "Text format 0.0.4.",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    },
                )
            },
        },
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    name: str,
    summary: str,
    answer: dict[str, Any],
    refusals: tuple[int, ...] = (),
    *,
    other: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    always = () if "security" in more else (401,)
    responses = {"200": answer} | (other or {})
    for status in sorted((*refusals, *always, 403, 405, 500)):
        responses[str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}
    return {"operationId": name, "summary": summary, **more, "responses": responses}


def _answer(description: str, body: type[msgspec.Struct]) -> dict[str, Any]:
    return {"description": description, "content": _json(body)}


def _json(body: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}}


def _name(status: int) -> str:
    return f"Refusal{status}"
