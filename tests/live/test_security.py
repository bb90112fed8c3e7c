"""Who may connect."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.security import Admission, bearer_matches, is_loopback, origin_allowed

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


def test_connections_are_counted_by_address() -> None:
    admission = Admission(3, 2)
    for address in "aab":
        admission.enter(address)
        assert admission.refusal(address) is None
    admission.enter("a")
    assert admission.refusal("a") == 429
    admission.leave("a")
    admission.enter("c")
    assert admission.refusal("c") == 503
    assert not admission.flooded
    for _ in range(3):
        admission.enter("d")
    assert admission.flooded
    for address in "aabcddd":
        admission.leave(address)
    assert admission.total == 0
    assert not admission._by_address
