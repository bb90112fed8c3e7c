"""The process that runs bridge and API; tests/system/test_stack_processes.py kills it."""

import gc
import socket
from urllib.parse import urlsplit

import psutil
import pytest

from routingsim.errors import BrokerError
from routingsim.live.serve import Plan
from routingsim.live.settings import Settings
from routingsim.live.worker import Worker

pytestmark = pytest.mark.system

PLAN = Plan(Settings(redis_port=0, websocket_port=0), only="bridge")


def children() -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if "routingsim" in " ".join(each.cmdline())
    ]


def test_it_tells_where_it_listens_until_it_is_stopped() -> None:
    worker = Worker(PLAN)
    assert worker.alive
    at = worker.addresses
    assert at.api is None
    assert at.bridge
    assert at.redis.startswith("redis://routingsim:")
    assert at.private.startswith("unix://")
    assert at.broker.startswith("embedded Valkey ")
    with socket.create_connection(("127.0.0.1", urlsplit(at.bridge).port or 0)):
        pass
    worker.stop()
    assert not worker.alive
    worker.stop()  # does nothing
    assert children() == []


def test_it_ends_when_it_is_garbage() -> None:
    worker = Worker(PLAN)
    assert children()
    del worker
    gc.collect()
    assert children() == []


def test_an_error_at_the_start_is_that_of_the_part() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            BrokerError, match=f"^the bridge cannot listen on 127.0.0.1 port {port}"
        ):
            Worker(Plan(Settings(redis_port=0, websocket_port=port), only="bridge"))
    assert children() == []


def test_a_process_that_ends_early_is_an_error_with_its_last_line() -> None:
    with pytest.raises(BrokerError) as caught:
        Worker(Plan(Settings(redis_port=0, http_port=0, websocket_port=0), routing=b"nonsense"))
    assert str(caught.value).startswith(
        "the live process ended with code 1 before it was ready; its last line: "
    )
    assert "UnpicklingError" in str(caught.value)
    assert children() == []
