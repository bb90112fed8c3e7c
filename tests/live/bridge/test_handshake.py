"""Opening handshakes: who is accepted, and what a refusal says."""

import json

import msgspec
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from routingsim.live.bridge.handshake import Handshake
from routingsim.live.bridge.metrics import BridgeStats
from routingsim.live.bridge.protocol import Limits
from routingsim.live.security import Proxies

STATS = BridgeStats(
    upstream=True,
    reason="connected",
    clients=3,
    lagging=0,
    received=0,
    malformed=0,
    delivered=7,
    dropped=0,
    accepted=0,
    refused=0,
    evicted=0,
    abusive=0,
)
LIMITS = Limits(connections=2, connections_per_address=1)


def handshake(
    stats: BridgeStats = STATS, token: str | None = None, *, local: bool = True, clients: int = 0
) -> Handshake:
    origins = ["https://hub.example.org"]
    return Handshake(
        *(LIMITS, lambda: stats, lambda: clients),
        origins=origins,
        token=token,
        local=local,
        tls=False,
    )


def request(path: str = "/", **headers: str) -> Request:
    return Request(path, Headers(Host="localhost:3001", **headers))


def refusal(handshake: Handshake, request: Request, status: int) -> str:
    """The body of a refusal, which must have this status and be counted."""
    before = handshake.refused
    response = handshake.answer(request, "::1")
    assert isinstance(response, Response)
    assert response.status_code == status
    assert response.headers["Connection"] == "close"
    assert response.headers["Content-Length"] == str(len(response.body or b""))
    assert handshake.refused == before + 1
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    return (response.body or b"").decode()


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({}, True),
        ({"Origin": "http://localhost:8888"}, True),
        ({"Origin": "https://hub.example.org"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_origins(headers: dict[str, str], accepted: bool) -> None:
    asked = request(**headers)
    if accepted:
        assert handshake().answer(asked, "::1") is False  # accepted; no token was sent
    else:
        origin = headers["Origin"]
        said = f"origin {origin!r} is not allowed here; see ROUTINGSIM_ORIGINS\n"
        assert refusal(handshake(), asked, 403) == said


def test_a_header_that_comes_twice_is_refused() -> None:
    headers = Headers([("Host", "localhost"), ("Origin", "null"), ("Origin", "http://localhost")])
    assert refusal(handshake(), Request("/", headers), 400) == "a header came twice\n"


def test_the_token() -> None:
    guarded = handshake(token="sesame")
    assert guarded.answer(request(Authorization="Bearer sesame"), "::1") is True
    assert guarded.answer(request(), "::1") is False  # to be sent in the first frame
    assert refusal(guarded, request(Authorization="Bearer other"), 401) == "wrong token\n"
    assert handshake().answer(request(Authorization="Bearer other"), "::1") is False
    said = "send the token in an Authorization header\n"
    assert refusal(guarded, request("/metrics"), 401) == said


def test_health_and_metrics() -> None:
    down = msgspec.structs.replace(STATS, upstream=False)
    for stats, path, status in (
        (STATS, "/health?now", 200),
        (STATS, "/ready", 200),
        (down, "/health", 200),  # it lives
        (down, "/ready?now", 503),
    ):
        response = handshake(stats, "sesame").answer(request(path), "::1")
        assert isinstance(response, Response)
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/json"
        assert json.loads(response.body or b"")["clients"] == 3
    asked = request("/metrics", Authorization="Bearer sesame")
    response = handshake(token="sesame").answer(asked, "::1")
    assert isinstance(response, Response)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\nroutingsim_bridge_delivered_total 7.0\n" in (response.body or b"")


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_a_foreign_host_name_cannot_read_a_server_on_loopback(path: str) -> None:
    asked = Request(path, Headers(Host="rebound.example:3001"))
    said = "host 'rebound.example:3001' is not allowed here\n"
    assert refusal(handshake(), asked, 403) == said
    response = handshake(local=False).answer(asked, "::1")
    assert isinstance(response, Response)
    assert response.status_code == 200


def test_connections_are_limited_by_address_in_all_and_beyond_that_cut() -> None:
    crowded = handshake()
    assert crowded.enter("::1")
    assert crowded.answer(request(), "::1") is False
    assert crowded.enter("::1")  # the second of this address
    assert refusal(crowded, request(), 429) == "too many connections\n"
    crowded.leave("::1")
    assert crowded.enter("::2")
    assert crowded.answer(request(), "::2") is False
    assert crowded.enter("::3")
    assert crowded.answer(request(), "::3") is False  # the others may never shake hands
    assert refusal(handshake(clients=2), request(), 503) == "too many connections\n"
    assert handshake(clients=1).answer(request(), "::1") is False
    assert crowded.enter("::4")
    before = crowded.refused
    assert not crowded.enter("::5")  # more than twice the limit: not answered
    assert crowded.refused == before + 1
    for address in ("::1", "::2", "::3", "::4", "::5"):
        crowded.leave(address)
    assert crowded.enter("::1")  # counted afresh
    assert crowded.answer(request(), "::1") is False


def test_clients_of_a_trusted_proxy_count_each_for_its_own_address() -> None:
    limits = Limits(connections=5, connections_per_address=1)
    who = Handshake(
        *(limits, lambda: STATS, lambda: 0),
        origins=[],
        token=None,
        local=True,
        tls=False,
        proxies=Proxies(["127.0.0.1"]),
    )

    def status(peer: str, **headers: str) -> int:
        assert who.enter(peer)
        asked = request(**headers)
        answer = who.answer(asked, who.behind(asked, peer))
        return answer.status_code if isinstance(answer, Response) else 101

    forwarded = [{"X-Forwarded-For": address} for address in ("192.0.2.1", "192.0.2.2")]
    assert [status("127.0.0.1", **each) for each in forwarded] == [101, 101]
    assert status("127.0.0.1", **forwarded[0]) == 429
    who.leave("192.0.2.1")
    # A proxy that says nothing of its clients is not taken for one of them.
    assert [status("127.0.0.1"), status("127.0.0.1")] == [101, 101]
    third = {"X-Forwarded-For": "192.0.2.3"}
    assert [status("127.0.0.1", **third), status("127.0.0.1", **forwarded[1])] == [101, 429]
    who.leave("192.0.2.2")
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.1", "127.0.0.1"):
        who.leave(address)
    assert status("192.0.2.9", **{"X-Forwarded-For": "192.0.2.1"}) == 101
    assert status("192.0.2.9", **{"X-Forwarded-For": "192.0.2.2"}) == 429
