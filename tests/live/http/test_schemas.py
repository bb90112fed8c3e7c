"""The OpenAPI document: what it says of each operation and type.

That the API answers as the document says is tested in test_app.py.
"""

import json
from typing import Any

import pytest

from routingsim.live.http.app import create_app
from routingsim.live.http.schemas import LONGEST_TEXT, document
from routingsim.routing import TaskRouter


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return json.loads(json.dumps(document(create_app(TaskRouter()).routes)))


def test_every_operation_names_its_statuses_and_types(api: dict[str, Any]) -> None:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            found[method, path] = {"id": operation["operationId"]} | {
                status: _type(response) for status, response in operation["responses"].items()
            }
    refusals = dict.fromkeys(["403", "405", "429", "500"], "Failure")
    with_token = refusals | {"401": "Failure"}
    body = dict.fromkeys(["400", "408", "413", "415", "422"], "Failure")
    test = "/api/routing/test"
    assert found == {
        ("get", test): {"id": "routingStats", "200": "StatsAnswer"} | with_token,
        ("post", test): {"id": "routeTask", "200": "RouteAnswer"} | with_token | body,
        ("get", "/api/routing/stream"): {"id": "stream", "200": "events", "400": "Failure"}
        | {"503": "Failure"}
        | with_token,
        ("get", "/api/config"): {"id": "dashboardConfig", "200": "ConfigAnswer"} | with_token,
        ("get", "/health"): {"id": "health", "200": "Health"} | refusals,
        ("get", "/ready"): {"id": "ready", "200": "Health", "503": "Health"} | refusals,
        ("get", "/metrics"): {"id": "metrics", "200": "text"} | with_token,
    }
    request = api["paths"][test]["post"]["requestBody"]
    assert (request["required"], _type(request)) == (True, "RouteRequest")


def _type(body: dict[str, Any]) -> str:
    [(kind, content)] = body["content"].items()
    if kind == "text/plain":
        return "text"
    if kind == "text/event-stream":
        return "events"
    assert kind == "application/json"
    return content["schema"]["$ref"].removeprefix("#/components/schemas/")


def test_docstrings_describe_operations(api: dict[str, Any]) -> None:
    operation = api["paths"]["/api/routing/test"]["post"]
    assert operation["summary"] == "Route a test task."
    assert operation["description"].startswith("Nobody works on the task: it holds a slot")


def test_each_reference_leads_to_a_schema(api: dict[str, Any]) -> None:
    schemas = api["components"]["schemas"]
    references = {part.split('"')[0] for part in json.dumps(api).split("#/components/schemas/")[1:]}
    assert references == set(schemas)


def test_types_say_what_is_required_and_what_is_always_sent(api: dict[str, Any]) -> None:
    schemas = api["components"]["schemas"]
    for name, field in (
        ("RouteAnswer", "decision"),
        ("StatsAnswer", "stats"),
        ("Failure", "error"),
    ):
        assert sorted(schemas[name]["required"]) == sorted([field, "success"])
    request = schemas["RouteRequest"]
    assert request["required"] == ["text"]
    assert request["additionalProperties"] is False
    text = request["properties"]["text"]
    assert (text["minLength"], text["maxLength"]) == (1, LONGEST_TEXT)
