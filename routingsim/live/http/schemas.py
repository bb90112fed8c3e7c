"""Requests and answers of the HTTP API, and its OpenAPI document.

The document is generated from the application's routes and from the message types that
requests are decoded into and answers encoded from.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from routingsim.live.bridge.metrics import Link
from routingsim.messages import AgentInfo, ComplexityScore, RoutingDecision

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


class RoutedTask(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A decision; the bridge sends it as a message of type ``routing_decision``."""

    id: Annotated[str, msgspec.Meta(description="UUID of this decision.")]
    task_id: Annotated[str, msgspec.Meta(description="Id of the task, as the bridge sends it.")]
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
    propensity: Annotated[
        float | None,
        msgspec.Meta(
            description="Probability with which the agent was chosen; absent if the router "
            "does not explore, or it is not known."
        ),
    ] = None


class RouteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a task."""

    success: Literal[True] = True
    decision: RoutedTask


class Stats(msgspec.Struct, frozen=True, rename="camel"):
    """Counts and last decisions of the router since it started."""

    total_routes: int
    agent_usage: Annotated[
        dict[str, int], msgspec.Meta(description="Tasks by agent id, with zeros.")
    ]
    recent_decisions: Annotated[
        list[RoutingDecision], msgspec.Meta(description="As the bridge sends them, newest first.")
    ]


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


class Operation(NamedTuple):
    """A method of a path: its endpoint, types of its answers by status, type of its body.

    The endpoint's docstring describes it. ``str`` is plain text.
    """

    endpoint: Callable[[Request], Awaitable[Response]]
    answers: dict[int, type]
    body: type[msgspec.Struct] | None = None

    def described(self) -> dict[str, Any]:
        """The operation object of OpenAPI."""
        name = re.sub("_(.)", lambda match: match[1].upper(), self.endpoint.__name__)
        summary, _, description = inspect.cleandoc(self.endpoint.__doc__ or "").partition("\n\n")
        responses = {
            str(status): {"description": HTTPStatus(status).phrase} | _content(answer)
            for status, answer in sorted(self.answers.items())
        }
        body = {"requestBody": {"required": True} | _content(self.body)} if self.body else {}
        return {
            "operationId": name,
            "summary": summary,
            "description": description,
            "responses": responses,
        } | body


def failures(*statuses: int) -> dict[int, type]:
    """The statuses that are answered with a :class:`Failure`, with those of every operation."""
    return dict.fromkeys((*statuses, 403, 405, 500), Failure)


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
    structs = [kind for kind in types if kind not in (str, None)]
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
    schema = {"$ref": _REFERENCE.format(name=body.__name__)}
    return {"content": {"application/json": {"schema": schema}}}
