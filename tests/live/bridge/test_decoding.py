"""What the bridge reads out of messages, alone and by the hundred."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.bridge.decoding import read_messages
from routingsim.live.bridge.send_queue import text_frame
from routingsim.messages import DECISIONS, STATUSES

IDS = (
    st.builds("{}-{}".format, st.integers(0, 10**21), st.integers(0, 30))
    | st.sampled_from(["007-0", "5", "1-2-3", "1-2\n3-4", "1-2],[3-4", " 1-2", "1.0-2", "-1-2", ""])
    | st.text(max_size=6)
    | st.none()
    | st.integers()
)
VALID = st.builds(
    lambda id, payload, dense: json.dumps(
        {"payload": payload, "id": id}, ensure_ascii=dense, indent=None if dense else 1
    ).encode(errors="replace"),
    IDS,
    st.text(max_size=4) | st.fixed_dictionaries({"agentId": st.text(max_size=3) | st.integers()}),
    st.booleans(),
)
NOT_JSON = [
    b"",
    b" ",
    b"\n",
    b"{",
    b"}",
    b"{}{}",
    b"{}\n{}",
    b"{},{}",
    b'{"a":',
    b"1}",
    b"[" * 9_999,
]
NOT_UTF8 = [b"\xc3", b"\xa9", b'{"a":"\xff"}', b'{"a":"\xc3', b'\xa9"}']
WRONG = st.sampled_from([b"[1]", b"null", *NOT_JSON, *NOT_UTF8])
MESSAGES = st.lists(VALID | WRONG, max_size=8)


@pytest.mark.slow
@given(data=MESSAGES, channel=st.sampled_from([DECISIONS, STATUSES]))
def test_many_at_once_are_read_as_each_alone(data: list[bytes], channel: str) -> None:
    alone = [read_messages(channel, [each]) for each in data]
    messages, problems = read_messages(channel, data)
    assert messages == [message for found, _ in alone for message in found]
    assert len(problems) == sum(len(wrong) for _, wrong in alone)
    assert len(messages) + len(problems) == len(data)


@given(data=VALID | WRONG)
def test_what_a_browser_could_read_passes_as_it_is(data: bytes) -> None:
    messages, problems = read_messages(STATUSES, [data])
    value: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(data.decode())
    if not isinstance(value, dict):
        assert (messages, len(problems)) == ([], 1)
        return
    [message] = messages
    assert message.frame == text_frame(data)
    payload = value.get("payload")
    agent = payload.get("agentId") if isinstance(payload, dict) else None
    assert message.subject == (agent if isinstance(agent, str) else None)


@pytest.mark.parametrize("spare", [[], [b'{"id":"12-0"}'], [b'{"id":"now"}']])
def test_only_an_id_as_the_server_writes_it_takes_part_in_resuming(spare: list[bytes]) -> None:
    """Whatever ids come with it."""
    foreign = [b'{"id":"now"}', b'{"id":1}', b'{"id":"1-2-3"}', b'{"id":null}', b"{}"]
    for data in foreign:
        assert read_messages(DECISIONS, [data, *spare])[0][0].id is None
    longest = b'{"id":"99999999999999999999-99999999999999999999"}'
    for data, place in (
        (b'{"id":"7-2"}', (7, 2)),
        (b'{"id":"1","id":"7-2"}', (7, 2)),
        (b'{"payload":{"id":"8-8"},"id":"0-1"}', (0, 1)),
        (b'{"id":"007-2"}', (7, 2)),
        (b'{"id":"7"}', (7, 0)),
        (longest, (99999999999999999999, 99999999999999999999)),
    ):
        assert read_messages(DECISIONS, [data, *spare])[0][0].id == place
