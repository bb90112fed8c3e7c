"""Who may connect."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.security import (
    Proxies,
    bearer_matches,
    host_allowed,
    host_name,
    is_loopback,
    origin_allowed,
)

HERE = "bridge.example:3001"


@pytest.mark.parametrize(
    ("origin", "host", "options", "expected"),
    [
        (None, HERE, {}, True),
        ("http://bridge.example:3001", HERE, {}, True),
        ("http://Bridge.Example:3001", HERE, {}, True),
        ("http://bridge.example:3000", HERE, {}, False),
        ("http://bridge.example", HERE, {}, False),
        ("http://bridge.example.evil.example:3001", HERE, {}, False),
        ("http://evil.example", HERE, {}, False),
        ("https://bridge.example", "bridge.example", {}, True),  # behind a proxy with TLS
        ("https://bridge.example:3001", HERE, {"tls": True}, True),
        ("https://bridge.example", "bridge.example", {"tls": True}, True),
        ("http://bridge.example", "bridge.example", {"tls": True}, False),
        ("http://localhost:8888", HERE, {}, True),
        ("http://127.0.0.1", HERE, {}, True),
        ("http://[::1]:8888", HERE, {}, True),
        ("http://localhost.evil.example", HERE, {}, False),
        ("http://evil.example:3001", "evil.example:3001", {"local": True}, False),
        ("http://evil.example:3001", "localhost:3001", {"local": True}, False),
        ("https://hub.example", HERE, {"allowed": {"https://hub.example"}}, True),
        ("http://hub.example", HERE, {"allowed": {"https://hub.example"}}, False),
        ("https://evil.example", HERE, {"allowed": {"*"}}, True),
        ("https://evil.example", HERE, {"allowed": {"*"}, "local": True}, True),
        (None, "evil.example", {"local": True}, True),
        ("http://localhost:8888", "evil.example", {"local": True}, True),
        ("http://127.0.0.1:3001", "localhost:3001", {"local": True}, True),
        ("http://bridge.example:3001", HERE, {"local": True}, False),
        ("http://bridge.example:80", "bridge.example", {}, True),  # the default port
        ("null", HERE, {}, False),
        ("", HERE, {}, False),
        ("file://", HERE, {}, False),
        ("http://evil.example:port", HERE, {}, False),
        ("http://[::", HERE, {}, False),
        ("http://evil.example", "", {}, False),
    ],
)
def test_origins(origin: str | None, host: str, options: dict[str, Any], expected: bool) -> None:
    options = {"allowed": (), "local": False} | options
    assert origin_allowed(origin, host, **options) is expected


@pytest.mark.parametrize(
    ("host", "allowed", "expected"),
    [
        ("", (), True),  # a program that sends no Host
        ("", ("https://hub.example",), True),
        ("localhost", (), True),
        ("localhost:3000", (), True),
        ("127.0.0.1:3000", (), True),
        ("[::1]:3000", (), True),
        ("evil.example", (), False),
        ("evil.example:3000", (), False),
        ("localhost.evil.example", (), False),
        ("evil.example", ("*",), True),
        ("hub.example", ("https://hub.example",), True),
        ("Hub.Example:8443", ("https://hub.example",), True),
        ("sub.hub.example", ("https://hub.example",), False),
        ("evil.example", ("https://hub.example",), False),
        ("localhost", ("https://hub.example",), True),
        ("local host", ("*",), True),
        ("local host", (), False),
        ("localhost:port", (), False),
        ("ada@localhost", (), False),
    ],
)
def test_hosts_of_a_server_on_loopback(host: str, allowed: tuple[str, ...], expected: bool) -> None:
    assert host_allowed(host, allowed) is expected


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("hub.example:8443", "hub.example"),
        ("hub.example", "hub.example"),
        ("[::1]:3000", "[::1]"),
        ("[::1]", "[::1]"),
        ("::1", None),
        ("hub.example:", None),
        ("hub.example:123456", None),
        ("hub.example/path", None),
        ("", None),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str | None) -> None:
    assert host_name(host) == name


@pytest.mark.slow
@given(st.text(), st.text())
def test_no_origin_breaks_the_check(origin: str, host: str) -> None:
    assert origin_allowed(origin, host, allowed=(), local=True) in (True, False)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer sésame", True),
        ("bearer  sésame ", True),
        ("Bearer sesame", False),
        ("Basic sésame", False),
        ("sésame", False),
        ("Bearer", False),
        ("", False),
        ("Bearer \udcff", False),
    ],
)
def test_bearer_tokens(header: str, expected: bool) -> None:
    assert bearer_matches(header, "sésame") is expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),  # the client wrote the first
        ("127.0.0.1", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7, 10.1.2.3"], "203.0.113.7"),  # two proxies
        ("127.0.0.1", ["10.1.2.3, 10.1.2.4"], "10.1.2.3"),
        ("127.0.0.1", ["203.0.113.7:5000"], "203.0.113.7"),
        ("127.0.0.1", ["[2001:db8::1]:5000"], "2001:db8::1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.7, "], "127.0.0.1"),
        ("203.0.113.9", ["203.0.113.7"], "203.0.113.9"),  # no proxy of ours
        ("?", ["203.0.113.7"], "?"),
    ],
)
def test_a_client_behind_proxies(peer: str, forwarded: list[str], client: str) -> None:
    assert Proxies(["127.0.0.1", "10.0.0.0/8"]).client(peer, forwarded) == client
    assert Proxies([]).client(peer, forwarded) == peer
