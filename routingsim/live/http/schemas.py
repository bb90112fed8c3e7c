"""Requests and answers of the HTTP API, and its OpenAPI document.

The document is generated from the application's routes and from the message types that
requests are decoded into and answers encoded from.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from routingsim.live.bridge.metrics import Link
from routingsim.live.bridge.protocol import CHANNELS
from routingsim.messages import DECISIONS, AgentInfo, ComplexityScore

LONGEST_TEXT = 100_000
"""Characters of a task's text."""

LONGEST_BODY = 12 * LONGEST_TEXT + 1024
"""Bytes of a request: the longest text, every character escaped as ``\\uD83D\\uDE00``."""


class RouteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The task to route. Other fields are refused, so that a misspelt one is noticed."""

    text: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=LONGEST_TEXT,
            pattern=r"[^\s\x1c-\x1f\x85\ufeff]",  # white space of Python and of JavaScript
            description="The task, with at least one character that is not white space.",
            examples=["Implement a binary search in Python with type hints"],
        ),
    ]


_Time = Annotated[
    str,
    msgspec.Meta(
        description="ISO 8601, UTC.",
        extra_json_schema={"format": "date-time"},
        examples=["2023-11-09T21:20:00.000Z"],
    ),
]
"""A time in an answer; messages, also in a stream of events, have milliseconds."""


class RoutedTask(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A decision; the bridge sends it as a message of type ``routing_decision``."""

    id: Annotated[
        str | None,
        msgspec.Meta(
            description="Id of the decision's message, as the bridge sends it; null where Redis "
            "has not confirmed the message within a second."
        ),
    ]
    task_id: Annotated[str, msgspec.Meta(description="Id of the task, as the bridge sends it.")]
    selected_agent: AgentInfo
    complexity_score: ComplexityScore
    reason: str
    timestamp: _Time
    propensity: Annotated[
        float | None,
        msgspec.Meta(
            description="Probability with which the agent was chosen; absent if the router "
            "does not explore, or it is not known."
        ),
    ] = None
    expected_cost: Annotated[
        float | None,
        msgspec.Meta(
            description="USD that the task is expected to cost at this agent; absent for agents "
            "without prices of prompts or answers."
        ),
    ] = None


class RouteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a task."""

    success: Literal[True] = True
    decision: RoutedTask


class RecentDecision(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A decision as the bridge sends it, except for the form of its time."""

    task_id: str
    agent: AgentInfo
    complexity_score: ComplexityScore
    reason: str
    timestamp: _Time
    propensity: float | None = None
    expected_cost: float | None = None


def recent_decision(decision: Mapping[str, Any]) -> RecentDecision:
    """A decision of the router's statistics with its time as answers have it."""
    return msgspec.convert({**decision, "timestamp": iso(decision["timestamp"])}, RecentDecision)


def iso(milliseconds: int) -> str:
    """Milliseconds since the epoch as answers have a time.

    >>> iso(1_699_564_800_000)
    '2023-11-09T21:20:00.000Z'
    """
    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Stats(msgspec.Struct, frozen=True, rename="camel"):
    """Counts and last decisions of the router since it started."""

    total_routes: int
    agent_usage: Annotated[
        dict[str, int], msgspec.Meta(description="Tasks by agent id, with zeros.")
    ]
    recent_decisions: Annotated[list[RecentDecision], msgspec.Meta(description="Newest first.")]


class StatsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request for statistics."""

    success: Literal[True] = True
    stats: Stats


class Config(msgspec.Struct, frozen=True):
    """Settings of the dashboard."""

    websocket: Annotated[
        str,
        msgspec.Meta(
            description="Address of the bridge: a ws:// or wss:// URL, :port on the page's own "
            "host, or a path relative to the page."
        ),
    ]
    policy: str
    agents: Annotated[list[AgentInfo], msgspec.Meta(description="In the order of the pool.")]


class ConfigAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request for the dashboard's settings."""

    success: Literal[True] = True
    config: Config


class Health(msgspec.Struct, frozen=True):
    """Whether the API can publish and receive: the state of bridge and publisher (null: none)."""

    status: Literal["ok", "degraded"]
    bridge: Link | None
    publisher: Link | None
    redis_restarts: Annotated[
        int, msgspec.Meta(description="Times that the embedded Redis server died.")
    ] = 0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Any answer but 200 and the 503 of /ready: what was wrong and what is allowed."""

    success: Literal[False] = False
    error: str


class EventStream:
    """An answer that is a stream of Server-Sent Events."""


STREAM_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "channel",
        "in": "query",
        "description": "The channel to receive.",
        "schema": {"type": "string", "enum": list(CHANNELS), "default": DECISIONS},
    },
    {
        "name": "history",
        "in": "query",
        "description": "First the last messages, this many.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**9},
    },
    {
        "name": "since",
        "in": "query",
        "description": "First all messages after this id.",
        "schema": {"type": "string", "pattern": r"^[0-9]{1,20}(-[0-9]{1,20})?$"},
    },
    {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "As `since`, instead of `since` and `history`; browsers send it.",
        "schema": {"type": "string", "pattern": r"^[0-9]{1,20}(-[0-9]{1,20})?$"},
    },
]


class Operation(NamedTuple):
    """A method of a path: its endpoint, types of its answers by status, type of its body.

    The endpoint's docstring describes it. ``str`` is plain text.
    """

    endpoint: Callable[[Request], Awaitable[Response]]
    answers: dict[int, type]
    body: type[msgspec.Struct] | None = None
    parameters: Sequence[dict[str, Any]] = ()

    def described(self) -> dict[str, Any]:
        """The operation object of OpenAPI."""
        name = re.sub("_(.)", lambda match: match[1].upper(), self.endpoint.__name__)
        summary, _, description = inspect.cleandoc(self.endpoint.__doc__ or "").partition("\n\n")
        responses = {
            str(status): {"description": HTTPStatus(status).phrase} | _content(answer)
            for status, answer in sorted(self.answers.items())
        }
        body = {"requestBody": {"required": True} | _content(self.body)} if self.body else {}
        return (
            {
                "operationId": name,
                "summary": summary,
                "description": description,
                "responses": responses,
            }
            | ({"parameters": list(self.parameters)} if self.parameters else {})
            | body
        )


def failures(*statuses: int) -> dict[int, type]:
    """The statuses that are answered with a :class:`Failure`, with those of every operation."""
    return dict.fromkeys((*statuses, 403, 405, 429, 500), Failure)


class ApiRoute(Route):
    """A route of the API, with an operation for each method."""

    def __init__(self, path: str, **operations: Operation) -> None:
        self.operations = operations
        super().__init__(path, self._answer, methods=list(operations))

    async def _answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await self.operations[method].endpoint(request)


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application's :class:`ApiRoute` routes."""
    api = [route for route in routes if isinstance(route, ApiRoute)]
    operations = [each for route in api for each in route.operations.values()]
    types = {kind for each in operations for kind in (*each.answers.values(), each.body)}
    structs = [kind for kind in types if kind not in (str, None, EventStream)]
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    for schema in schemas.values():
        if "success" in schema["properties"]:  # its default is always sent
            schema["required"].append("success")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "routingsim",
            "version": version("routingsim"),
            "description": "Routes tasks to AI agents. The WebSocket bridge also sends each "
            "decision, as a message of type routing_decision.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": ".", "description": "The server of this document."}],
        "security": [{}, {"token": []}],
        "paths": {
            route.path: {
                method.lower(): each.described() for method, each in route.operations.items()
            }
            for route in api
        },
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_REFERENCE = "#/components/schemas/{name}"


def _content(body: type) -> dict[str, Any]:
    if body is str:
        return {"content": {"text/plain": {"schema": {"type": "string"}}}}
    if body is EventStream:
        return {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
    schema = {"$ref": _REFERENCE.format(name=body.__name__)}
    return {"content": {"application/json": {"schema": schema}}}
