"""The HTTP API on a real uvicorn and real sockets."""

import contextlib
import http.client
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import uvicorn
from hypothesis import given, settings

from routingsim.agents import Agent, AgentPool
from routingsim.live.bridge.metrics import BridgeStats
from routingsim.live.http.app import STATIC, create_app
from routingsim.live.http.limits import HttpLimits
from routingsim.live.http.schemas import LONGEST_BODY, LONGEST_TEXT
from routingsim.live.publisher.memory import MemoryPublisher
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.messages import DECISIONS, STATUSES, DecisionMessage, decode
from routingsim.routing import TaskRouter

pytestmark = pytest.mark.system

TEST = "/api/routing/test"
COUNTS = ("clients", "lagging", "received", "malformed", "delivered", "dropped", "accepted",
          "refused", "evicted", "abusive")  # fmt: skip
STATS = BridgeStats(upstream=True, reason="", redis_restarts=2, **dict.fromkeys(COUNTS, 0))


class Answer(msgspec.Struct):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The error of a failure, which must look like one."""
        assert self.headers["Content-Type"] == "application/json"
        assert self.json.keys() == {"success", "error"}
        assert self.json["success"] is False
        return self.json["error"]


@contextlib.contextmanager
def serving(router: TaskRouter, **options: Any) -> Iterator[int]:
    """Serve the API in a thread; the port."""
    config = uvicorn.Config(create_app(router, **options), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def until(true: Callable[[], object]) -> None:
    patience = time.monotonic() + 10
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.01)


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def post(port: int, body: Any, **headers: str) -> Answer:
    return ask(port, "POST", TEST, body, **({"Content_Type": "application/json"} | headers))


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with serving(TaskRouter()) as port:
        yield port


@pytest.fixture
def files() -> Iterator[int]:
    """A server of its own, as files are read in a thread that comes and goes."""
    with serving(TaskRouter()) as port:
        yield port


# Routing


def test_a_task_is_routed_published_and_counted() -> None:
    publisher = MemoryPublisher()
    with serving(TaskRouter(publisher=publisher)) as port:
        before = datetime.now(UTC)
        answer = post(port, json.dumps({"text": "Sort a list, stably — in Python"}))
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        assert answer.json["success"] is True
        decision = answer.json["decision"]
        assert [*decision] == [
            "id",
            "taskId",
            "selectedAgent",
            "complexityScore",
            "reason",
            "timestamp",
        ]
        uuid.UUID(decision["taskId"])
        assert decision["timestamp"].endswith("Z")
        routed_at = datetime.fromisoformat(decision["timestamp"])
        assert abs((routed_at - before).total_seconds()) < 60

        said = decode(dict(publisher.messages)[DECISIONS])
        assert isinstance(said, DecisionMessage)
        assert said.payload.task_id == decision["taskId"]
        assert said.payload.reason == decision["reason"]
        assert msgspec.to_builtins(said.payload.agent) == decision["selectedAgent"] | {
            "strengths": tuple(decision["selectedAgent"]["strengths"])
        }

        stats = ask(port, "GET", TEST).json
        assert stats["success"] is True
        assert stats["stats"]["totalRoutes"] == 1
        usage = stats["stats"]["agentUsage"]
        assert len(usage) == 5
        assert usage.pop(decision["selectedAgent"]["id"]) == 1
        assert set(usage.values()) == {0}
        (recent,) = stats["stats"]["recentDecisions"]
        assert recent["taskId"] == decision["taskId"]
        assert recent["timestamp"] == decision["timestamp"]


def test_without_redis_there_is_no_id_and_no_stream(server: int) -> None:
    decisions = [post(server, '{"text": "the same"}').json["decision"] for _ in range(3)]
    assert [d["id"] for d in decisions] == [None] * 3
    assert len({d["taskId"] for d in decisions}) == 3
    answer = ask(server, "GET", "/api/routing/stream")
    assert (answer.status, answer.error) == (
        503,
        "this server receives no messages: it has no Redis",
    )


@pytest.mark.parametrize("text", ["x", "x" * LONGEST_TEXT, "😀" * LONGEST_TEXT, "\0", "  é\n"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_texts_that_are_allowed(server: int, text: str, ascii_only: bool) -> None:
    answer = post(server, json.dumps({"text": text}, ensure_ascii=ascii_only).encode())
    assert answer.status == 200
    assert answer.json["decision"]["complexityScore"]["factors"]["length"] == len(text)


def test_a_test_task_gives_its_slot_back() -> None:
    publisher = MemoryPublisher()
    quick = AgentPool((Agent(id="a", name="A", cost=1, latency=0.05, concurrency=1),))
    router = TaskRouter(quick, publisher=publisher)
    with serving(router) as port:
        post(port, '{"text": "one"}')
        until(lambda: len(publisher.messages) == 3)
    statuses = [decode(data).payload for channel, data in publisher.messages if channel == STATUSES]
    assert [msgspec.to_builtins(status)["load"] for status in statuses] == [1.0, 0.0]


def test_slots_are_given_back_at_the_end() -> None:
    slow = AgentPool((Agent(id="a", name="A", cost=1, latency=600, concurrency=4),))
    router = TaskRouter(slow)
    with serving(router) as port:
        tasks = [post(port, '{"text": "one"}').json["decision"]["taskId"] for _ in range(3)]
        assert router.statuses()[0].load == 0.75
        router.complete(tasks[1])  # by somebody who shares the router
    assert router.statuses()[0].load == 0


# What is refused


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b'{"text": 5', 400, "JSON"),
        (b'{"text": "a"} b', 400, "trailing"),
        (b'{"text": "\xff"}', 400, "utf-8"),
        (b'{"text": "\xed\xa0\x80"}', 400, "utf-8"),
        (b'{"text": "\\ud800"}', 400, "JSON"),
        (b'{"text": "\\udc00a"}', 400, "surrogate"),
        (b'{"text": 5, "n": NaN}', 400, "JSON"),
        (b"\xef\xbb\xbf{}", 400, "JSON"),
        ('{"text": "a"}'.encode("utf-16"), 400, "JSON"),
        (b"[" * 100_000, 400, "deep"),
        (b'{"text": 5, "n": ' + b"[" * 100_000, 400, "deep"),
        (b"[]", 422, "`object`"),
        (b"null", 422, "`object`"),
        (b"{}", 422, "`text`"),
        (b'{"text": null}', 422, "$.text"),
        (b'{"text": 5}', 422, "$.text"),
        (b'{"text": ["a"]}', 422, "$.text"),
        (b'{"text": ""}', 422, "$.text"),
        (b'{"text": " \\n\\u2003\\u001f\\ufeff"}', 422, "not all of them white space"),
        (b'{"text": "' + b"x" * (LONGEST_TEXT + 1) + b'"}', 422, "100,000"),
        (b'{"text": "a", "Text": "b"}', 422, "`Text`"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bodies_that_are_refused(server: int, body: bytes, status: int, error: str) -> None:
    answer = post(server, body)
    assert answer.status == status
    assert error in answer.error


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON;charset=utf-8", 200),
        ('application/json; charset="UTF-8"', 200),
        ("application/json; profile=x; charset=utf8", 200),
        ("application/json; charset=latin-1", 415),
        ("application/jsonx", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_content_types(server: int, content_type: str, status: int) -> None:
    assert post(server, '{"text": "a"}', Content_Type=content_type).status == status


def test_no_content_type_and_no_encodings(server: int) -> None:
    assert "Content-Type is none" in ask(server, "POST", TEST, '{"text": "a"}').error
    answer = post(server, b"\x1f\x8b", Content_Encoding="gzip")
    assert answer.status == 415
    assert "Content-Encoding is gzip" in answer.error


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_too_long_is_not_kept(server: int, chunked: bool) -> None:
    body = b"x" * (LONGEST_BODY + 1)
    answer = post(server, iter([body]) if chunked else body)
    assert answer.status == 413
    assert str(LONGEST_BODY) in answer.error


def raw(port: int, head: str) -> bytes:
    """Answer to a request of which nothing but this is ever sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"POST {TEST} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        answer = b""
        while chunk := client.recv(65_536):
            answer += chunk
        return answer


def test_a_body_much_too_long_is_not_even_read(server: int) -> None:
    answer = raw(server, "Content-Type: application/json\r\nContent-Length: 1000000000\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_a_body_that_does_not_come() -> None:
    with serving(TaskRouter(), limits=HttpLimits(body_seconds=0.1)) as port:
        answer = raw(port, "Content-Type: application/json\r\nContent-Length: 10\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body was not complete within 0.1 s" in answer


def test_a_client_that_goes_away_harms_nobody(server: int) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server), timeout=10) as client:
            head = "Content-Type: application/json\r\nContent-Length: 10\r\n"
            client.sendall(f"POST {TEST} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n{{".encode())
    assert post(server, '{"text": "a"}').status == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", TEST, {"GET", "HEAD", "POST"}),
        ("DELETE", TEST, {"GET", "HEAD", "POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("OPTIONS", "/api/config", {"GET", "HEAD"}),
    ],
)
def test_methods_that_are_not_allowed(server: int, method: str, path: str, allow: set[str]) -> None:
    answer = ask(server, method, path)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == allow
    assert method in answer.error


@pytest.mark.parametrize(
    "path",
    ["/nope", TEST + "/", "/static", "/static/", "/static/../api.py", "/static/%2e%2e/api.py"],
)
def test_paths_that_are_not_there(files: int, path: str) -> None:
    answer = ask(files, "GET", path)
    assert answer.status == 404
    assert "/openapi.json" in answer.error


def test_an_error_of_ours_shows_no_trace() -> None:
    def broken(task: Any, pool: Any, memory: Any) -> int:
        return 99

    with serving(TaskRouter(policy=broken)) as port:
        answer = post(port, '{"text": "a"}')
        assert answer.status == 500
        assert "log" in answer.error
        assert b"Traceback" not in answer.body
        assert b"99" not in answer.body
        assert ask(port, "GET", "/health").status == 200


# Who may


def test_the_token_is_asked_for_where_it_matters() -> None:
    with serving(TaskRouter(), token="s3cret") as port:
        for path in (TEST, "/api/config", "/metrics"):
            for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
                answer = ask(port, "GET", path, **given)
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert "s3cret" not in answer.error
            assert ask(port, "GET", path, Authorization="Bearer s3cret").status == 200
        assert post(port, '{"text": "a"}').status == 401
        for path in ("/", "/static/dashboard.js", "/health", "/openapi.json"):
            assert ask(port, "GET", path).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:3000"}, 200),
        ({"Host": "[::1]:3000"}, 200),
        ({"Host": "Hub.example.org"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:3000", "Origin": "http://evil.example:3000"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1@evil.example"}, 403),
        ({"Origin": "http://localhost:8888"}, 200),
        ({"Origin": "https://hub.example.org"}, 200),
        ({"Origin": "http://hub.example.org"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_hosts_and_origins(headers: dict[str, str], status: int) -> None:
    with serving(TaskRouter(), origins=["https://hub.example.org"]) as port:
        answer = ask(port, "GET", TEST, **headers)
        assert answer.status == status
        allowed = answer.headers["Access-Control-Allow-Origin"]
        assert allowed == (headers.get("Origin") if status == 200 else None)
        if status != 200:
            assert "not allowed here" in answer.error


def test_a_page_of_an_allowed_origin_may_ask_first() -> None:
    page = {"Origin": "http://localhost:8888", "Access_Control_Request_Method": "POST"}
    with serving(TaskRouter(), token="s3cret") as port:
        answer = ask(port, "OPTIONS", TEST, **page)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert ask(port, "OPTIONS", TEST, **page | {"Origin": "https://evil.example"}).status == 403


def test_every_answer_keeps_itself_to_itself(files: int) -> None:
    for path in ("/", "/static/dashboard.css", "/health", "/nope", TEST):
        headers = ask(files, "GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        fresh = "no-cache" if path.startswith("/static/") or path == "/" else "no-store"
        assert headers["Cache-Control"] == fresh


# The page


@pytest.mark.parametrize(
    ("websocket", "host", "sources"),
    [
        (":3001", "localhost:3000", "'self' ws://localhost:3001 wss://localhost:3001"),
        (":3001", "[::1]:3000", "'self' ws: wss:"),
        ("wss://hub.example.org/ws", "localhost", "'self' wss://hub.example.org"),
        ("../3001/", "localhost:80", "'self' ws://localhost:80 wss://localhost:80"),
    ],
)
def test_the_page_may_reach_the_bridge_only(websocket: str, host: str, sources: str) -> None:
    with serving(TaskRouter(), websocket=websocket) as port:
        policy = ask(port, "GET", "/", Host=host).headers["Content-Security-Policy"]
        assert f"connect-src {sources};" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert ask(port, "GET", "/api/config").json["config"]["websocket"] == websocket


def test_a_host_cannot_write_the_policy() -> None:
    with serving(TaskRouter(), host="") as port:
        for host in ("a; script-src *", "a b", "a,b", "a'b"):
            policy = ask(port, "GET", "/", Host=host).headers["Content-Security-Policy"]
            assert "connect-src 'self';" in policy


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(files: int) -> None:
    page = ask(files, "GET", "/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    html = page.body.decode()
    assert not re.search(r"<script(?![^>]*src)|<style|\sstyle=|\son\w+=", html)
    for path in re.findall(r'(?:src|href)="([^#"]+)"', html):
        assert ask(files, "GET", f"/{path}").status == 200
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"(https?:)?//\w", re.sub(r"^\s*//.*|/\*.*?\*/| // .*", "", text, flags=re.M)
        ), file


# For machines


def test_health_tells_of_bridge_and_publisher() -> None:
    stats = STATS
    with serving(TaskRouter(), bridge=lambda: stats) as port:
        for up, was_up, status, bridge in (
            (True, True, 200, "up"),
            (False, True, 503, "down"),
            (False, False, 503, "not yet connected"),
        ):
            stats = msgspec.structs.replace(STATS, upstream=up, was_up=was_up)
            said = {
                "status": "ok" if up else "degraded",
                "bridge": bridge,
                "publisher": None,
                "redis_restarts": 2,
            }
            for path, code in (("/health", 200), ("/ready", status)):
                answer = ask(port, "GET", path)
                assert (answer.status, answer.json) == (code, said)
    with serving(TaskRouter(publisher=RedisPublisher("redis://127.0.0.1:1"))) as port:
        answer = ask(port, "GET", "/ready")
        assert (answer.status, answer.json["publisher"]) == (503, "not yet connected")


def test_metrics_are_in_the_text_format() -> None:
    with serving(TaskRouter()) as port:
        post(port, '{"text": "a"}')
        post(port, '{"text": ""}')
        answer = ask(port, "GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    sample = re.compile(r'(routingsim|process)_\w+(\{(\w+="[^"\\]*",?)+\})? [\d.e+-]+')
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
    assert 'routingsim_http_responses_total{status="200"} 1.0' in lines
    assert 'routingsim_http_responses_total{status="422"} 1.0' in lines
    routed = [line for line in lines if line.startswith("routingsim_routes_total{")]
    assert sorted(line[-4:] for line in routed) == [" 0.0", " 0.0", " 0.0", " 0.0", " 1.0"]


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_api_is_as_its_document_says(server: int, mode: str) -> None:
    """Whatever a request is, allowed or not, the answer is one that the document names."""
    import schemathesis  # not at the top: every worker would load it

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server}/openapi.json")
    schema.config.update(base_url=f"http://127.0.0.1:{server}")
    results: list[Any] = list(schema.get_all_operations())
    operations = [result.ok() for result in results]
    assert len(operations) == 7
    for operation in operations:
        if mode == "negative" and operation.method != "post":
            continue  # nothing can be wrong where nothing is sent

        if operation.path == "/api/routing/stream":
            continue  # 503 without a Redis; tests/live/http/test_events.py has one

        @settings(max_examples=40)
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
        def conforms(case: schemathesis.Case) -> None:
            case.call_and_validate()

        conforms()
