"""LiveStack on real servers and sockets."""

import asyncio
import contextlib
import gc
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import psutil
import pytest
from redis.exceptions import RedisError

from routingsim.errors import BrokerError, RoutingSimError
from routingsim.live import Broker, LiveStack, Settings
from routingsim.live import stack as stack_module
from routingsim.live.broker import connect
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
FREE = Settings(websocket_port=0, http_port=0)


def decision(number: int) -> RoutingDecision:
    return RoutingDecision(str(number), AGENT, SCORE, "because", 1_699_564_800_000)


def stack(settings: Settings = FREE, **options: Any) -> LiveStack:
    """The quickest to start, where nothing else is asked for."""
    options.setdefault("http", False)
    return LiveStack(settings, **options)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process holds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port that nobody held just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def open_port(url: str) -> bool:
    host, port = url.rpartition("/")[2].rsplit(":", 1)
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_what_is_published_comes_through_redis_and_the_bridge() -> None:
    with stack() as live:
        with live.listen() as listener:
            for number in range(100):
                live.publisher.publish_routing_decision(decision(number))
            listener.wait_for(100)
            assert listener.to_frame().equals(live.messages())
        url = live.url
        assert open_port(url)
    assert not open_port(url)
    assert not live.is_running


def test_it_can_be_started_again_and_stopped_twice() -> None:
    live = stack()
    for _ in range(2):
        assert live.start() is live
        url = live.url
        assert live.start().url == url  # harmless
        live.publisher.publish_routing_decision(decision(1))
        assert len(live.messages()) == 1
        live.stop()
        live.stop()


def test_it_works_where_an_event_loop_runs_already() -> None:
    async def cell() -> int:
        with stack() as live, live.listen() as listener:
            live.publisher.publish_routing_decision(decision(1))
            return len(listener.wait_for(1))

    assert asyncio.run(cell()) == 1


def test_a_second_one_with_the_same_settings_joins_the_first(free: int) -> None:
    settings = Settings(websocket_port=free)
    with stack(settings) as first:
        with stack(settings) as second:
            assert second.url == first.url
            second.publisher.publish_routing_decision(decision(1))
            assert len(second.messages()) == 1
        assert first.is_running
        assert len(first.messages()) == 1
        cell = stack(settings).start()  # a cell that is run again, without a with
        cell = stack(settings).start()
        assert cell.url == first.url
        cell.stop()
        assert not first.is_running


def test_a_cell_that_is_run_again_joins_the_stack_of_its_first_run(free: int) -> None:
    settings = Settings(websocket_port=free)
    live = stack(settings).start()
    url = live.url
    live.publisher.publish_routing_decision(decision(1))
    live.publisher.flush(5.0)
    live = stack(settings)  # the first is garbage from here on
    gc.collect()
    assert live.is_running
    assert live.start().url == url
    live.publisher.publish_routing_decision(decision(2))
    assert live.messages()["task_id"].tolist() == ["1", "2"]
    live.stop()
    assert not open_port(url)
    assert not stack(settings).is_running


def test_entries_of_other_programs_are_left_out_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with stack() as live:
        with contextlib.closing(connect(live.redis_url)) as client:
            client.xadd("{task:routing}:history", {"m": '{"type":"routing_decision"}'})
            client.xadd("{task:routing}:history", {"x": "y"})
            status = AgentStatus("a", "A", "busy", 0.5, 10**30)
            client.xadd("{task:routing}:history", {"m": encode(status)})
        live.publisher.publish_routing_decision(decision(1))
        live.publisher.publish_routing_decision(
            msgspec.structs.replace(decision(2), timestamp=10**30)
        )
        frame = live.messages()
        assert frame["task_id"].tolist() == ["1", "2"]
        assert frame["time"].isna().tolist() == [False, True]
        assert [each.task_id for each in live.feed().decisions] == ["2", "1"]
    assert caplog.messages[0] == (
        "3 of 5 entries in the history of task:routing are of other programs, and left out"
    )


def test_a_stack_nobody_knows_any_more_is_stopped() -> None:
    live = stack().start()
    url = live.url
    live.publisher.disconnect()
    del live
    gc.collect()
    assert not open_port(url)


def test_where_the_usual_port_is_taken_it_goes_elsewhere(taken: int) -> None:
    with stack(Settings(websocket_port=taken)) as live:
        assert not live.url.endswith(f":{taken}")


def test_where_a_port_asked_for_is_taken_it_says_by_whom(taken: int) -> None:
    holder = f"port {taken}: it is taken by .*pid {os.getpid()}"
    with pytest.raises(BrokerError, match=holder):
        stack(port=taken).start()
    with pytest.raises(BrokerError, match=f"HTTP API cannot listen .* {holder}"):
        stack(http=True, http_port=taken).start()


def test_a_redis_that_is_not_there_is_an_error_without_its_password() -> None:
    nowhere = Settings(redis_url="redis://:hush-hush@127.0.0.1:1/0", websocket_port=0)
    with pytest.raises(BrokerError, match=r"no Redis server at .*127\.0\.0\.1:1") as caught:
        stack(nowhere).start()
    assert "hush" not in str(caught.value)


def test_a_configured_redis_is_used_and_left_running() -> None:
    with Broker(Settings()) as broker:
        settings = Settings(redis_url=broker.url, websocket_port=0)
        for _ in range(2):
            with stack(settings) as live:
                assert live.redis_url == broker.url
                live.publisher.publish_routing_decision(decision(1))
                assert len(live.messages()) == 1  # not the one before the start
        with stack(settings) as live:
            assert len(live.messages(since="0")) == 2


def test_a_server_of_ours_that_dies_at_once_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_too_late(url: str, channel: str) -> str:
        with contextlib.closing(connect(url)) as client, contextlib.suppress(RedisError):
            client.shutdown(nosave=True)
        return last(url, channel)

    last = stack_module._last
    monkeypatch.setattr(stack_module, "_last", read_too_late)
    with stack() as live:
        live.publisher.publish_routing_decision(decision(1))
        assert not live.publisher.flush(0.2)
        assert live.is_running
        live.publisher.disconnect(0.0)
        assert live.publisher.stats().undelivered == 1


def test_messages_can_be_limited_and_told_apart() -> None:
    with stack() as live:
        for number in range(10):
            live.publisher.publish_routing_decision(decision(number))
        live.publisher.publish_agent_status(AgentStatus("gpt-4", "GPT-4", "busy", 1.0, 1))
        frame = live.messages()
        assert frame["task_id"].tolist() == [str(number) for number in range(10)]
        assert live.messages(3).equals(frame.tail(3).reset_index(drop=True))
        assert live.messages(since=frame["id"].tolist()[7])["task_id"].tolist() == ["8", "9"]
        assert live.messages(channel=STATUSES)["load"].tolist() == [1.0]
        with pytest.raises(RoutingSimError, match="task:routing, agent:status"):
            live.messages(channel="task:rooting")


def test_the_api_routes_and_the_bridge_tells() -> None:
    asked = Settings(explore=1.0)
    with stack(asked, http=True, policy="cheapest") as live, live.listen() as listener:
        assert live.http_url
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{live.http_url}/api/routing/test",
                b'{"text": "Say hello"}',
                {"Content-Type": "application/json"},
            )
        ) as answer:
            said = msgspec.json.decode(answer.read())["decision"]
        listener.wait_for(1, channel=DECISIONS)
        assert listener.to_frame()["task_id"].tolist() == [said["taskId"]]
        assert said["propensity"] == 1 / 5  # of five agents, all alike
        with urllib.request.urlopen(f"{live.http_url}/api/config") as answer:
            config = answer.read().decode()
        assert "cheapest" in config
        assert f":{live.url.rpartition(':')[2]}" in config  # where the page finds the bridge
    assert not open_port(live.http_url)


def test_it_shows_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = Settings(websocket_port=0, redis_password="hush-hush", token="also-secret")
    live = stack(locked)
    assert repr(live) == "<LiveStack: not started>"
    with pytest.raises(BrokerError, match="not been started"):
        _ = live.url
    with live:
        shown = live._repr_html_()
        assert live.url in repr(live)
        assert live.url in shown
        assert "hush" not in shown
        assert "also-secret" not in shown + repr(live) + live.feed()._repr_html_()
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
        port = live.url.rpartition(":")[2]
        assert f"/user/ada/proxy/{port}/" in live._repr_html_()
        assert f'data-url="/user/ada/proxy/{port}/"' in live.feed()._repr_html_()
    assert repr(live) == "<LiveStack: stopped>"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"settings": "redis://db"},
            "LiveStack(settings='redis://db'): give Settings(...), or nothing to read the "
            "environment and .env.local",
        ),
        (
            {"port": "3001"},
            "LiveStack: a setting has a wrong value: Expected `int`, got `str` - at "
            "`$.settings.websocket_port`",
        ),
        (
            {"http_port": 65536},
            "LiveStack: a setting has a wrong value: Expected `int` <= 65535 - at "
            "`$.settings.http_port`",
        ),
        (
            {"settings": Settings(history=0)},
            "LiveStack: a setting has a wrong value: Expected `int` >= 1 - at `$.settings.history`",
        ),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RoutingSimError) as caught:
        LiveStack(**options)
    assert str(caught.value) == message


def test_a_policy_that_is_unknown_is_named() -> None:
    with pytest.raises(RoutingSimError, match="nonsense"):
        stack(http=True, policy="nonsense").start()


def test_a_forked_child_neither_stops_nor_keeps_it() -> None:
    with stack() as live:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                live.stop()
                del live
                gc.collect()
            os._exit(0)
        os.waitpid(child, 0)
        assert live.is_running
        live.publisher.publish_routing_decision(decision(1))
        assert len(live.messages()) == 1


def test_threads_and_open_files_do_not_pile_up() -> None:
    def one() -> tuple[int, int]:
        with stack() as live:
            live.publisher.publish_routing_decision(decision(1))
        gc.collect()
        return threading.active_count(), psutil.Process().num_fds()

    one()  # what is made once, and kept
    assert one() == one()
