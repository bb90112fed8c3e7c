"""The names of the stored history, and the splice that gives a message its id.

That the server's script splices the same bytes is tested with the publisher.
"""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.live.redis_schema import (
    history_key,
    latest_key,
    publisher_key,
    restore_keys,
    with_id,
)
from routingsim.messages import AgentStatus, decode, encode

statuses = st.builds(
    AgentStatus,
    agent_id=st.text(st.characters(codec="utf-8")),
    name=st.text(st.characters(codec="utf-8")),
    status=st.sampled_from(["available", "busy", "offline"]),
    load=st.floats(0, 1),
    timestamp=st.integers(0, 2**53),
)


@pytest.mark.slow
@given(statuses, st.integers(0, 2**48), st.integers(0, 2**31))
def test_a_message_with_an_id_is_the_same_message(status: AgentStatus, ms: int, seq: int) -> None:
    spliced = with_id(encode(status), b"%d-%d" % (ms, seq))
    message = decode(spliced)
    assert message.id == f"{ms}-{seq}"
    assert message.payload == status
    assert list(msgspec.json.decode(spliced)) == ["type", "payload", "id"]


def test_keys_share_their_channels_slot() -> None:
    """A Redis Cluster hashes what is between the braces, and a channel as a whole."""
    keys = [history_key("a:b"), latest_key("a:b"), publisher_key("a:b", "0f")]
    assert keys == ["{a:b}:history", "{a:b}:latest", "{a:b}:publisher:0f"]
    names = ["history", "server", "handed-in", "again", "bridges"]
    assert restore_keys("a:b") == [f"{{a:b}}:{name}" for name in names]
