"""Access control and headers, as ASGI; over real sockets they are tested in test_app.py."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from routingsim.live.http.connections import WAITING
from routingsim.live.http.limits import HttpLimits
from routingsim.live.http.middleware import AccessMiddleware, failure, json_answer
from routingsim.live.http.schemas import Failure
from routingsim.live.prometheus import histogram

BEARER = {"authorization": "Bearer sesame"}


def access(app: Any, answers: Counter[int], **options: Any) -> AccessMiddleware:
    plain = {"host": "127.0.0.1", "token": None, "limits": HttpLimits(), "trusted": lambda _: False}
    return AccessMiddleware(
        app,
        **plain | options,
        origins=["https://hub.example.org"],
        answers=answers,
        seconds=histogram("http_seconds", "Seconds."),
    )


def ask(
    path: str = "/api/config",
    method: str = "GET",
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    headers: dict[str, str] | None = None,
    more: tuple[tuple[str, str], ...] = (),
) -> tuple[int, dict[str, str], bytes, Counter[int]]:
    """Status, headers and body of the answer to a request, and the counts by status."""
    answers: Counter[int] = Counter()
    inside = PlainTextResponse("inside", headers={"Referrer-Policy": "origin"})
    app = access(inside, answers, host=host, token=token)
    given = {"host": "localhost:3000"} | (headers or {})
    scope: Any = {
        "type": "http",
        "method": method,
        "path": path,
        "scheme": "http",
        "headers": [(k.encode(), v.encode()) for k, v in (*given.items(), *more)],
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(app(scope, receive, send))
    start, *bodies = sent
    found = {k.decode().lower(): v.decode() for k, v in start["headers"]}
    return start["status"], found, b"".join(each["body"] for each in bodies), answers


def test_an_allowed_request_passes_with_headers_and_is_counted() -> None:
    status, headers, body, answers = ask(headers={"origin": "http://localhost:8888"})
    assert (status, body, answers) == (200, b"inside", Counter({200: 1}))
    assert headers["access-control-allow-origin"] == "http://localhost:8888"
    assert headers["vary"] == "Origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "origin"  # the application's own is kept
    assert "access-control-allow-origin" not in ask()[1]


@pytest.mark.parametrize(
    ("headers", "more", "error"),
    [
        ({"host": "evil.example"}, (), "host 'evil.example' is not allowed here"),
        ({"origin": "https://evil.example"}, (), "origin 'https://evil.example' is not allowed"),
        (
            {"origin": "http://localhost"},
            (("origin", "https://evil.example"),),
            "origin 'http://localhost, https://evil.example' is not allowed",
        ),
    ],
)
def test_foreign_pages_are_refused(
    headers: dict[str, str], more: tuple[tuple[str, str], ...], error: str
) -> None:
    status, found, body, answers = ask(headers=headers, more=more)
    assert (status, answers) == (403, Counter({403: 1}))
    assert json.loads(body)["error"].startswith(error)
    assert "access-control-allow-origin" not in found


def test_on_other_addresses_any_host_name_will_do_with_a_token_only() -> None:
    """Any site can have its name point to this machine, but its page has no token."""
    named = {"host": "router.example"}
    assert ask(host="0.0.0.0", headers=named)[0] == 403
    assert ask(host="0.0.0.0", headers=named | BEARER, token="sesame")[0] == 200
    for host in ("192.0.2.7:3000", "[2001:db8::1]", "api", "hub.example.org"):
        assert ask(host="0.0.0.0", headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/config", {}, 401),
        ("/api/config", {"authorization": "Bearer other"}, 401),
        ("/api/config", BEARER, 200),
        ("/metrics", {}, 401),
        ("/metrics", BEARER, 200),
        ("/health", {}, 200),
        ("/", {}, 200),
    ],
)
def test_the_token(path: str, headers: dict[str, str], status: int) -> None:
    found, answer, _, _ = ask(path, token="sesame", headers=headers)
    assert found == status
    assert answer.get("www-authenticate") == ("Bearer" if status == 401 else None)


def test_a_preflight_needs_no_token_and_does_not_reach_the_application() -> None:
    headers = {"origin": "http://localhost:8888", "access-control-request-method": "POST"}
    status, found, body, _ = ask(method="OPTIONS", token="sesame", headers=headers)
    assert (status, body) == (204, b"")
    assert found["access-control-allow-methods"] == "GET, POST"
    assert ask(method="OPTIONS", token="sesame", headers={"origin": headers["origin"]})[0] == 401


def test_answers_in_json() -> None:
    response = json_answer(Failure(error="é"), 418)
    assert (response.status_code, response.body) == (418, b'{"success":false,"error":"\xc3\xa9"}')
    response = failure(405, "no", {"Allow": "GET"})
    assert (response.status_code, response.headers["Allow"]) == (405, "GET")


def test_requests_under_way_are_limited_by_client_and_not_for_a_proxy() -> None:
    async def main() -> None:
        done, answers = asyncio.Event(), Counter[int]()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await done.wait()
            await PlainTextResponse("inside")(scope, receive, send)

        limits = HttpLimits(connections_per_address=2)
        app = access(slow, answers, limits=limits, trusted=lambda address: address == "10.0.0.1")

        async def request(address: str) -> list[Any]:
            sent: list[Any] = []
            scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http"}
            scope |= {"headers": [(b"host", b"localhost")], "client": (address, 5)}
            await app(scope, asyncio.Event().wait, lambda message: keep(sent, message))  # type: ignore
            return sent

        async def keep(sent: list[Any], message: Any) -> None:
            sent.append(message)

        addresses = ["192.0.2.1"] * 3 + ["192.0.2.2"] + ["10.0.0.1"] * 3
        asked = [asyncio.create_task(request(address)) for address in addresses]
        await asyncio.sleep(0)
        done.set()
        [one, two, three, *others] = await asyncio.gather(*asked)
        assert [each[0]["status"] for each in (one, two, *others)] == [200] * 6
        assert three[0]["status"] == 429
        assert (b"retry-after", b"1") in three[0]["headers"]
        said = "2 requests from your address are under way, as many as may be"
        assert json.loads(three[1]["body"]) == {"success": False, "error": said}
        assert answers == {200: 6, 429: 1}
        [again] = await asyncio.gather(request("192.0.2.1"))
        assert again[0]["status"] == 200

    asyncio.run(main())


def test_requests_above_the_rate_wait_for_their_turn() -> None:
    """Three at once, then one each 0.1 s, a proxy's own too; a second client waits for none."""
    limits = HttpLimits(requests_per_second=10, request_burst=3)
    app = access(PlainTextResponse(""), Counter(), limits=limits, trusted=lambda _: True)
    waits = [app._wait("192.0.2.1", 50.0) for _ in range(6)]
    assert waits == pytest.approx([-0.2, -0.1, 0.0, 0.1, 0.2, 0.3])
    assert app._wait("192.0.2.2", 50.0) == pytest.approx(-0.2)
    assert app._wait("192.0.2.1", 50.25) == pytest.approx(0.15)
    assert app._wait("192.0.2.1", 60.0) == pytest.approx(-0.2)  # as good as new
    assert max(app._wait("192.0.2.1", 60.0) for _ in range(100)) == 2.0  # never longer
    for number in range(1_500):
        app._wait(f"2001:db8::{number:x}", 61.0 + number)
    assert len(app._turns) < 1_001  # forgotten are those that could send a whole burst again


def test_while_a_request_waits_its_connection_says_so() -> None:
    seen: list[bool] = []

    async def main() -> None:
        limits = HttpLimits(requests_per_second=50, request_burst=1)
        app = access(PlainTextResponse("inside"), Counter(), limits=limits)
        scope: Any = {"type": "http", "method": "GET", "path": "/", "scheme": "http"}
        scope |= {"headers": [(b"host", b"localhost")], "client": ("192.0.2.1", 5)}
        second = dict(scope)

        async def send(message: Any) -> None:
            seen.append(WAITING in second)

        receive: Any = asyncio.Event().wait
        await app(scope, receive, send)
        waiting = asyncio.create_task(app(second, receive, send))
        await asyncio.sleep(0)
        assert (WAITING in second, len(seen)) == (True, 2)
        await waiting

    asyncio.run(main())
    assert seen == [False] * 4
