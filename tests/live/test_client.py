"""The listener, on a real broker and bridge."""

import contextlib
import json
import threading
from collections.abc import Iterator

import pandas as pd
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from routingsim.errors import BrokerError
from routingsim.live import Broker, Listener, LiveStack, RedisPublisher, Settings
from routingsim.live.broker import connect
from routingsim.live.client import to_frame
from routingsim.live.redis_schema import with_id
from routingsim.messages import (
    DECISIONS,
    STATUSES,
    AgentInfo,
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
    encode,
)

pytestmark = pytest.mark.system

AGENT = AgentInfo("GPT-4", "gpt-4", ("code",), 0.03, 2.5)
SCORE = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))
STATUS = AgentStatus("gpt-4", "GPT-4", "busy", 1.0, 1_699_564_800_000)


def publish(publisher: RedisPublisher, numbers: range) -> None:
    publisher.publish_routing_decisions(
        RoutingDecision(str(number), AGENT, SCORE, "because", 1_699_564_800_000)
        for number in numbers
    )
    assert publisher.flush(10)


def numbers(listener: Listener) -> list[int]:
    return listener.to_frame()["task_id"].astype(int).tolist()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(Settings()) as broker:
        yield broker


@pytest.fixture
def settings(broker: Broker, port: int) -> Settings:
    """A server with nothing in it, and a port that is free."""
    with contextlib.closing(connect(broker.url)) as client:
        client.flushall()
    return Settings(redis_url=broker.url, websocket_port=port)


def stack(settings: Settings) -> LiveStack:
    return LiveStack(settings, http=False, port=settings.websocket_port)


def test_it_gets_everything_once_and_in_order_when_the_bridge_goes_and_comes(
    settings: Settings,
) -> None:
    with RedisPublisher(settings) as publisher:
        with stack(settings) as live:
            listener = Listener(live.url)
            publish(publisher, range(50))
            listener.wait_for(50)
        publish(publisher, range(50, 100))  # while there is no bridge
        with listener, stack(settings):
            publish(publisher, range(100, 150))
            listener.wait_for(150)
            assert listener.reconnects >= 1
            assert numbers(listener) == list(range(150))
            assert not [notice for notice in listener.notices if notice["type"] == "gap"]
        assert "closed" in repr(listener)


def test_it_begins_where_it_is_asked_to(settings: Settings) -> None:
    with RedisPublisher(settings) as publisher, stack(settings) as live:
        publish(publisher, range(10))
        ids = live.messages(since="0")["id"].tolist()
        with Listener(live.url, DECISIONS, since=ids[3]) as listener:
            listener.wait_for(6)
            assert numbers(listener) == list(range(4, 10))
        with Listener(live.url) as listener:
            publish(publisher, range(10, 12))
            listener.wait_for(2)
            assert numbers(listener) == [10, 11]


def test_it_keeps_no_more_than_asked(settings: Settings) -> None:
    with (
        RedisPublisher(settings) as publisher,
        stack(settings) as live,
        Listener(live.url, keep=5) as listener,
    ):
        publish(publisher, range(20))
        with pytest.raises(TimeoutError, match="5 of 20"):  # kept no longer
            listener.wait_for(20, timeout=0.5)
        assert listener.count == 20
        assert numbers(listener) == list(range(15, 20))


def test_channels_can_be_told_apart(settings: Settings) -> None:
    with (
        RedisPublisher(settings) as publisher,
        stack(settings) as live,
        Listener(live.url) as listener,
    ):
        publish(publisher, range(3))
        publisher.publish_agent_status(STATUS)
        assert listener.wait_for(1, channel=STATUSES)[0].payload == STATUS
        assert len(listener.wait_for(3, channel=DECISIONS)) == 3
        assert listener.to_frame(STATUSES)["load"].tolist() == [1.0]
        with pytest.raises(TimeoutError, match="1 of 2"):
            listener.wait_for(2, timeout=0.05, channel=STATUSES)


def test_a_token_lets_it_in(settings: Settings) -> None:
    locked = Settings(redis_url=settings.redis_url, websocket_port=0, token="s3cret-token")
    with LiveStack(locked, http=False) as live:
        with Listener(live.url, token="s3cret-token") as listener:
            assert listener.is_connected
        with pytest.raises(BrokerError, match=r"401; give its token"):
            Listener(live.url, token="other")
        with pytest.raises(BrokerError, match=r"does it ask for a token|authentication|auth frame"):
            Listener(live.url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ws://127.0.0.1:1", "no bridge at ws://127.0.0.1:1.*routingsim serve"),
        ("http://127.0.0.1:1", "not a WebSocket URL"),
        ("ws://host.invalid", "no bridge"),
    ],
)
def test_no_bridge_is_an_error(url: str, said: str) -> None:
    with pytest.raises(BrokerError, match=said):
        Listener(url)


def test_an_unknown_channel_is_an_error(settings: Settings) -> None:
    with stack(settings) as live, pytest.raises(BrokerError, match="task:routing"):
        Listener(live.url, ["task:rooting"])


@pytest.mark.parametrize("channel", [DECISIONS, STATUSES])
def test_an_empty_table_has_its_columns_and_types(channel: str) -> None:
    empty = to_frame([], channel)
    assert empty.columns[0] == "id"
    assert len(empty) == 0
    assert empty["time"].dtype == pd.DatetimeTZDtype("ms", "UTC")
    assert empty["d_var" if channel == DECISIONS else "load"].dtype == float


def test_after_a_gap_ids_may_begin_anew() -> None:
    """A server that lost its memory and its clock numbers from before."""

    def frame(number: int, place: str) -> str:
        decision = RoutingDecision(str(number), AGENT, SCORE, "because", 0)
        return with_id(encode(decision), place.encode()).decode()

    def converse(ws: ServerConnection) -> None:
        ws.recv()
        ws.send(json.dumps({"type": "subscribed", "channel": DECISIONS}))
        ws.send(frame(1, "9-0"))
        ws.send(json.dumps({"type": "gap", "channel": DECISIONS, "since": "9-0", "oldest": None}))
        ws.send(frame(2, "5-0"))
        with contextlib.suppress(ConnectionClosed):
            ws.recv()

    with serve(converse, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        with Listener(url, channels=[DECISIONS]) as listener:
            listener.wait_for(2)
            assert numbers(listener) == [1, 2]
