"""Broker, bridge and API in one event loop; tests/system/test_stack_processes.py has `serve`."""

import asyncio
import gc
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from routingsim.errors import BrokerError
from routingsim.live.addresses import Addresses
from routingsim.live.broker import Broker
from routingsim.live.serve import Plan, _run_until_stopped, running
from routingsim.live.settings import Settings

pytestmark = pytest.mark.system


def addresses(plan: Plan) -> Addresses:
    async def main() -> Addresses:
        async with running(plan) as addresses:
            for url in filter(None, (addresses.bridge, addresses.api)):
                parts = urlsplit(url)
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
                writer.close()
            return addresses

    return asyncio.run(asyncio.wait_for(main(), 60))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_both_parts_listen_on_their_ports(port: int) -> None:
    at = addresses(Plan(Settings(redis_port=0, websocket_port=port, http_port=0)))
    assert at.bridge == f"ws://127.0.0.1:{port}"
    assert at.api
    assert at.api.startswith("http://127.0.0.1:")


def test_one_part_can_run_alone() -> None:
    with Broker(Settings(redis_port=0)) as broker:
        url = broker.url
        free = Settings(redis_url=broker.url, websocket_port=0, http_port=0)
        bridge, api = (addresses(Plan(free, only)) for only in ("bridge", "api"))
    assert bridge.bridge
    assert bridge.api is None
    assert api.bridge is None
    assert api.api
    assert bridge.redis == api.redis == api.private == url


def test_the_api_alone_needs_a_configured_server() -> None:
    with pytest.raises(BrokerError) as caught:
        addresses(Plan(Settings(http_port=0), "api"))
    assert str(caught.value) == (
        "the HTTP API alone needs the Redis server of a bridge: set REDIS_HOST or REDIS_URL, or "
        "start both together"
    )


def test_a_taken_port_is_an_error_or_replaced_as_planned(taken: int) -> None:
    holder = f"it is taken by .* \\(pid {os.getpid()}\\)"
    settings = Settings(redis_port=0, websocket_port=taken, http_port=0)
    with pytest.raises(BrokerError, match=f"^the bridge cannot listen .* {taken}: {holder}"):
        addresses(Plan(settings, any_port=(False, True)))
    assert addresses(Plan(settings, any_port=(True, False))).bridge != f"ws://127.0.0.1:{taken}"
    settings = Settings(redis_port=0, websocket_port=0, http_port=taken)
    with pytest.raises(BrokerError, match=f"^the HTTP API cannot listen .* {taken}: {holder}"):
        addresses(Plan(settings, any_port=(True, False)))
    assert addresses(Plan(settings, any_port=(False, True))).api != f"http://127.0.0.1:{taken}"


def test_an_address_of_another_machine_is_an_error() -> None:
    settings = Settings(
        redis_port=0, websocket_port=0, http_host="192.0.2.1", http_port=0, insecure=True
    )
    with pytest.raises(BrokerError, match=r"^the HTTP API cannot listen on 192\.0\.2\.1 port 0: "):
        addresses(Plan(settings))


def test_what_has_started_is_not_looked_through_for_garbage_again() -> None:
    frozen: list[int] = []

    def started(at: Addresses, stop: asyncio.Event) -> None:
        frozen.append(gc.get_freeze_count())
        stop.set()

    plan = Plan(Settings(redis_port=0, websocket_port=0, http_port=0), "bridge")
    gc.unfreeze()  # what the run of the tests has frozen
    try:
        assert gc.get_freeze_count() == 0
        _run_until_stopped(plan, [], started)
    finally:
        gc.freeze()
    assert frozen[0] > 50_000
