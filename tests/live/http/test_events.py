"""The stream of Server-Sent Events, on a real Valkey and a real server."""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator

import pytest

from routingsim.live.bridge.protocol import Limits, Subscribe, subscribed
from routingsim.live.broker import Broker
from routingsim.live.http import events as events_module
from routingsim.live.http.events import Events, event
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.settings import Settings
from routingsim.live.stack import LiveStack
from routingsim.messages import (
    DECISIONS,
    AgentInfo,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)

pytestmark = pytest.mark.system

AGENT = AgentInfo("GPT-4", "gpt-4", ("code",), 0.03, 2.5)


def decision(number: int, reason: str = "because") -> RoutingDecision:
    score = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))
    return RoutingDecision(str(number), AGENT, score, reason, 1_699_564_800_000)


def test_an_event_has_the_id_of_its_message() -> None:
    assert event(b'{"type":"gap"}') == b'data: {"type":"gap"}\n\n'
    assert event(b'{"a":1,\n"id":"1-0"}') == b'id: 1-0\ndata: {"a":1,\ndata: "id":"1-0"}\n\n'
    assert event(b'{"id":"1\\n0"}') == b'data: {"id":"1\\n0"}\n\n'
    assert event(b'{"id":7}') == b'data: {"id":7}\n\n'


class Stream:
    """A client that reads events as a browser does."""

    def __init__(self, port: int, query: str = "", **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        path = f"/api/routing/stream{query}"
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()

    def __iter__(self) -> Iterator[tuple[str, dict]]:
        id, data = "", []
        for raw in self.response:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if name == "id":
                id = value
            elif name == "data":
                data.append(value)
            elif not line and data:
                yield id, json.loads("\n".join(data))
                id, data = "", []

    def close(self) -> None:
        self._connection.close()
        self.response.close()


def take(stream: Stream, count: int) -> list[tuple[str, dict]]:
    found = iter(stream)
    return [next(found) for _ in range(count)]


def test_a_stream_resumes_and_the_api_knows_its_messages_ids() -> None:
    with LiveStack(Settings(), port=0, http_port=0) as live:
        port = int((live.http_url or "").rpartition(":")[2])
        stream = Stream(port)
        assert stream.response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
        while (first := take(stream, 1))[0][1]["type"] == "status":  # the API has just started
            stream.close()
            stream = Stream(port)
        assert first == [("", {"type": "subscribed", "channel": DECISIONS})]
        for number in range(3):
            live.publisher.publish_routing_decision(decision(number))
        first = take(stream, 3)
        assert [message["payload"]["taskId"] for _, message in first] == ["0", "1", "2"]
        assert all(id == message["id"] for id, message in first)
        stream.close()

        again = Stream(port, "?history=1", **{"Last-Event-ID": first[0][0]})
        assert take(again, 3)[1:] == first[1:]

        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        body = json.dumps({"text": "Say hello"})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/routing/test", body, headers)
        told = json.load(connection.getresponse())["decision"]
        ((id, message),) = take(again, 1)
        assert told["id"] == id == message["id"]
        assert told["taskId"] == message["payload"]["taskId"]
        again.close()

        old = Stream(port, "?since=5-0")
        kinds = [message["type"] for _, message in take(old, 3)]
        assert kinds == ["subscribed", "gap", "routing_decision"]
        old.close()
        for query, said in {
            "?channel=nowhere": "no channel 'nowhere'; try task:routing, agent:status, "
            "replay:progress",
            "?since=yesterday": "since or history: 'yesterday' is not a message id such as "
            "'1699564800000-0'",
            "?since=1&history=2": "give since or history, not both",
            "?history=-1": "history is '-1': must be a whole number",
            "?token=x": "no parameter 'token'; try channel, since, history",
        }.items():
            refused = Stream(port, query)
            assert refused.response.status == 400
            assert json.load(refused.response) == {"success": False, "error": said}
            refused.close()
        connection.request("HEAD", "/api/routing/stream")
        assert connection.getresponse().read() == b""
        connection.close()
        waiting = Stream(port)
        assert take(waiting, 1)
        began = time.monotonic()
    assert time.monotonic() - began < 9  # an open stream does not hold up the end
    waiting.close()


def test_limits_hold_for_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "PING_SECONDS", 0.05)

    async def main(url: str) -> None:
        limits = Limits(connections=2, queue_messages=10, queue_bytes=100_000)
        events = Events(url, limits)
        request = Subscribe(DECISIONS, None, None, subscribed(DECISIONS))
        async with events.running():
            await asyncio.sleep(0)
            assert events.has_room  # the server's own is one of two
            one = events.stream(request)
            assert await anext(one) == b"retry: 2000\n\n"
            assert not events.has_room
            heard = b""
            while not heard.endswith(b": ping\n\n") or not events._fanout.up:
                heard += await anext(one)
            assert b'data: {"type":"subscribed","channel":"task:routing"}\n\n' in heard
            assert await events.id_of("nobody's") is None
            with RedisPublisher(url) as publisher:
                for number in range(2_000):
                    publisher.publish_routing_decision(decision(number, "x" * 500))
                await asyncio.to_thread(publisher.flush, 5.0)
                await asyncio.sleep(0.3)
            rest = [part async for part in one]  # ended, for it read too slowly
            assert 0 < sum(part.count(b"id: ") for part in rest) < 2_000
            assert events.has_room

    with Broker(Settings(redis_port=0)) as broker:
        asyncio.run(asyncio.wait_for(main(broker.private_url), 30))
