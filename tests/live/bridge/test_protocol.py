"""The protocol's core: nothing a client sends makes it stumble, and limits hold."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.bridge.protocol import (
    CHANNELS,
    Close,
    Limits,
    Session,
    Subscribe,
    Unsubscribe,
    dropped,
    format_id,
    gap,
    parse_id,
    upstream_status,
)

LIMITS = Limits()
ids = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
frames = st.fixed_dictionaries(
    {"type": st.sampled_from(["subscribe", "unsubscribe", "ping", "auth", "x"]) | json_values},
    optional={
        "channel": st.sampled_from(CHANNELS) | json_values,
        "since": ids.map(format_id) | json_values,
        "history": json_values,
        "token": json_values,
    },
)


def told(session: Session, frame: object) -> dict[str, object]:
    """The one reply to a frame."""
    [action] = session.receive(json.dumps(frame))
    assert isinstance(action, bytes)
    return json.loads(action)


@pytest.mark.slow
@given(st.one_of(st.text(), st.binary(), json_values.map(json.dumps), frames.map(json.dumps)))
def test_anything_gets_an_answer(message: str | bytes) -> None:
    session = Session(LIMITS, 0.0)
    actions = session.receive(message)
    assert actions
    for action in actions:
        assert not isinstance(action, Close)
        reply = json.loads(action if isinstance(action, bytes) else action.reply)
        assert isinstance(reply["type"], str)
        if reply["type"] == "error":
            assert reply["code"]
            assert reply["message"]


@pytest.mark.slow
@given(st.one_of(st.text(), st.binary(), frames.map(json.dumps)))
def test_without_a_token_a_client_is_closed(message: str | bytes) -> None:
    session = Session(LIMITS, 0.0, token="right")
    *replies, close = session.receive(message)
    assert close == Close(1008, "authentication required")
    assert [json.loads(reply)["code"] for reply in replies] == ["unauthorized"]  # type: ignore[arg-type]
    assert session.auth_overdue() == close


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("[" * 100_000, "bad_frame"),
        ('{"type":"ping","deep":' + "[" * 100_000 + "]" * 100_000 + "}", "bad_json"),
        ("", "bad_json"),
        ("\ud800", "bad_json"),
        (b'{"type":"ping"}', "binary"),
        ("[]", "bad_frame"),
        ('{"type":"shout"}', "bad_frame"),
        ('{"type":"subscribe"}', "bad_frame"),
        ('{"type":"subscribe","channel":"task:routing","since":1}', "bad_frame"),
        ('{"type":"subscribe","channel":"task:routing","since":"soon"}', "bad_frame"),
        ('{"type":"subscribe","channel":"task:routing","since":"٣-٠"}', "bad_frame"),
        ('{"type":"subscribe","channel":"task:routing","history":-1}', "bad_frame"),
        ('{"type":"subscribe","channel":"task:routing","history":1e999}', "bad_frame"),
        (
            '{"type":"subscribe","channel":"task:routing","history":' + "9" * 5_000 + "}",
            "bad_frame",
        ),
        ('{"type":"subscribe","channel":"task:routing","history":1,"since":"1-0"}', "bad_frame"),
        ('{"type":"subscribe","channel":"__keyspace@0__:*"}', "unknown_channel"),
    ],
)
def test_a_bad_frame_is_named(frame: str | bytes, code: str) -> None:
    [action] = Session(LIMITS, 0.0).receive(frame)
    assert isinstance(action, bytes)
    assert json.loads(action)["code"] == code


def test_subscribe_and_unsubscribe() -> None:
    session = Session(LIMITS, 0.0)
    [action] = session.receive('{"type":"subscribe","channel":"task:routing","since":"7-1"}')
    assert action == Subscribe(
        "task:routing", (7, 1), None, b'{"type":"subscribed","channel":"task:routing"}'
    )
    assert session.subscriptions == {"task:routing"}
    [action] = session.receive('{"type":"unsubscribe","channel":"task:routing","extra":[1]}')
    assert action == Unsubscribe(
        "task:routing", b'{"type":"unsubscribed","channel":"task:routing"}'
    )
    assert session.subscriptions == set()
    assert told(session, {"type": "ping"}) == {"type": "pong"}


def test_subscriptions_are_limited() -> None:
    session = Session(replace(LIMITS, subscriptions=1), 0.0)
    first, second, *_ = CHANNELS
    session.receive(json.dumps({"type": "subscribe", "channel": first}))
    refused = told(session, {"type": "subscribe", "channel": second})
    assert refused["code"] == "too_many_subscriptions"
    [again] = session.receive(json.dumps({"type": "subscribe", "channel": first}))
    assert isinstance(again, Subscribe)


def test_a_token_authenticates_a_client() -> None:
    session = Session(LIMITS, 0.0, token="right")
    assert told(session, {"type": "auth", "token": "right"}) == {"type": "authenticated"}
    assert told(session, {"type": "ping"}) == {"type": "pong"}
    assert session.auth_overdue() is None
    # Showing it twice, or where none is asked for, does no harm.
    assert told(session, {"type": "auth", "token": "other"}) == {"type": "authenticated"}
    assert told(Session(LIMITS, 0.0), {"type": "auth", "token": "x"}) == {"type": "authenticated"}


def test_errors_do_not_echo_what_was_sent_at_length() -> None:
    refused = told(Session(LIMITS, 0.0), {"type": "subscribe", "channel": "x" * 60_000})
    assert len(str(refused["message"])) < 200


@given(
    st.floats(0.1, 1e4),
    st.integers(1, 1000),
    st.lists(st.floats(0.0, 10.0, allow_nan=False), max_size=200),
)
def test_no_more_frames_are_admitted_than_may_be(
    rate: float, burst: int, gaps: list[float]
) -> None:
    session = Session(replace(LIMITS, frames_per_second=rate, frame_burst=burst), 0.0)
    now, taken = 0.0, 0
    for pause in gaps:
        now += pause
        taken += session.admit(now) is None
        assert taken <= burst + rate * now + 1e-6


def test_a_patient_client_is_always_admitted() -> None:
    session = Session(replace(LIMITS, frames_per_second=10.0, frame_burst=2), 0.0)
    assert all(session.admit(number * 0.125) is None for number in range(1_000))
    now = 125.0
    assert [session.admit(now) is None for _ in range(4)] == [True, True, False, False]


@given(ids)
def test_ids_round_trip(place: tuple[int, int]) -> None:
    assert parse_id(format_id(place)) == place


def test_an_id_may_leave_out_its_counter() -> None:
    assert parse_id("12") == (12, 0)


@pytest.mark.parametrize(
    ("oldest", "expected"),
    [
        (None, b'{"type":"gap","channel":"task:routing","since":"1-2","oldest":null}'),
        ((0, 0), b'{"type":"gap","channel":"task:routing","since":"1-2","oldest":"0-0"}'),
        ((7, 3), b'{"type":"gap","channel":"task:routing","since":"1-2","oldest":"7-3"}'),
    ],
)
def test_the_gap_notice(oldest: tuple[int, int] | None, expected: bytes) -> None:
    assert gap("task:routing", (1, 2), oldest) == expected


def test_the_other_notices() -> None:
    assert dropped("task:routing", 3) == b'{"type":"dropped","channel":"task:routing","count":3}'
    assert upstream_status(True) == b'{"type":"status","upstream":"up"}'
    assert upstream_status(False) == b'{"type":"status","upstream":"down"}'


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="queue_bytes is 0: must be above 0"):
        Limits(queue_bytes=0)
