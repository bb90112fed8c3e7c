"""Connections that fit below the limit of open files, and errors of accepting."""

import asyncio
import logging
import socket

import pytest

from routingsim.live.bridge.protocol import Limits
from routingsim.live.files import KEPT_BACK, AcceptErrors, Gate, share_files
from routingsim.live.http.limits import HttpLimits


@pytest.mark.parametrize(
    ("files", "connections", "each", "api"),
    [
        (65_536, 1_000, 500, 1_000),  # as wanted
        (2_048, 1_000, 500, 496),
        (1_024, 592, 500, 240),
        (256, 72, 72, 48),
        (64, 3, 3, 2),  # of a few, at least some
    ],
)
def test_bridge_and_api_fit_below_the_limit(
    files: int, connections: int, each: int, api: int
) -> None:
    share = share_files(Limits(), HttpLimits(), files)
    assert (share.bridge.connections, share.bridge.connections_per_address) == (connections, each)
    assert (share.api.connections, share.api.connections_per_address) == (api, api // 2)
    assert share.bridge.flood + share.api.connections <= max(8, files - KEPT_BACK)


def test_errors_of_accepting_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    handler = AcceptErrors()
    refused = {"message": "socket.accept() out of system resource", "exception": OSError(24, "x")}
    for _ in range(2_000):
        handler(loop, refused)
    assert [record.getMessage() for record in caplog.records] == [
        "event=accept_failed reason='[Errno 24] x' more=0"
    ]
    handler._logged -= 1.0
    handler(loop, refused)
    assert caplog.records[-1].getMessage().endswith("more=1999")
    caplog.clear()
    handler(loop, {"message": "something else"})
    assert [(r.name, r.levelno) for r in caplog.records] == [("asyncio", logging.ERROR)]
    loop.close()


def test_a_gate_counts_what_it_accepts_and_cuts_the_oldest_handshake() -> None:
    gate = Gate(socket.create_server(("127.0.0.1", 0)), 2)

    def client() -> socket.socket:
        return socket.create_connection(gate.getsockname())

    def cut(end: socket.socket) -> bool:
        end.settimeout(0.1)
        try:
            return end.recv(1) == b""
        except TimeoutError:
            return False

    class Transport(asyncio.BaseTransport):
        def __init__(self, accepted: socket.socket) -> None:
            super().__init__({"socket": accepted})

    with gate:
        clients = [client(), client()]
        one, two = gate.accept()[0], gate.accept()[0]
        gate.shook_hands(Transport(one))
        clients.append(client())
        three, _ = gate.accept()
        assert [cut(each) for each in clients] == [False, True, False]  # the first has its own
        two.close()  # as asyncio does once it has read the end
        gate.cut_before(60.0)
        assert not cut(clients[2])
        gate.cut_before(0.0)
        assert cut(clients[2])
        clients.append(client())
        gate.MOST_CUT = 1
        with pytest.raises(BlockingIOError):  # it waits, since one is being closed
            gate.accept()
        assert not cut(clients[3])
        gate.MOST_CUT = 16
        with pytest.raises(BlockingIOError):  # there is nobody left to cut
            gate.accept()
        assert cut(clients[3])
        three.close()
        clients.append(client())
        four, _ = gate.accept()
        assert [cut(clients[0]), cut(clients[4])] == [False, False]
        for each in (one, four, *clients):
            each.close()
