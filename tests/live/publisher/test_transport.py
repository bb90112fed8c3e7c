"""Batches as Redis commands, and the transport for a URL; sending is tested in test_redis.py."""

import pytest

from routingsim.errors import BrokerError
from routingsim.live.publisher.transport import Batch, ClusterTransport, Transport, transport_to
from routingsim.live.redis_schema import PUBLISH, restore_keys
from routingsim.messages import DECISIONS, STATUSES


def test_a_batch_names_its_keys_then_its_arguments_then_its_messages() -> None:
    batch = Batch(DECISIONS, "me", 7, 32, [b"one", b"two"], [])
    keys = [*restore_keys(DECISIONS), "{task:routing}:publisher:me"]
    arguments = [DECISIONS, "PUBLISH", 100, 7, 32, 6, 10, 1, 2]
    expected = ["EVAL", PUBLISH, 6, *keys, *arguments, b"one", b"two"]
    assert batch.command("PUBLISH", 100, arrived=6, missing=10, state=1) == expected


def test_a_batch_of_statuses_also_names_the_latest_ones_and_the_agents() -> None:
    batch = Batch(STATUSES, "me", 1, 1, [b"one"], ["gpt-4"])
    keys = [*restore_keys(STATUSES), "{agent:status}:publisher:me", "{agent:status}:latest"]
    arguments = [STATUSES, "SPUBLISH", 100, 1, 1, 0, 0, 0, 1]
    expected = ["EVAL", PUBLISH, 7, *keys, *arguments, b"one", "gpt-4"]
    assert batch.command("SPUBLISH", 100, arrived=0, missing=0, state=0) == expected


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://localhost", Transport),
        ("unix:///tmp/redis.sock", Transport),
        ("rediscluster://localhost", ClusterTransport),
        ("redis://localhost?cluster=true", ClusterTransport),
    ],
)
def test_the_url_decides_between_server_and_cluster(url: str, kind: type[Transport]) -> None:
    assert type(transport_to(url, 10)) is kind


def test_a_bad_url_is_refused() -> None:
    with pytest.raises(BrokerError):
        transport_to("http://localhost", 10)
