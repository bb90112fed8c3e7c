"""Connections that fit below the limit of open files, and errors of accepting."""

import asyncio
import logging

import pytest

from routingsim.live.bridge.protocol import Limits
from routingsim.live.files import KEPT_BACK, AcceptErrors, share_files
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
