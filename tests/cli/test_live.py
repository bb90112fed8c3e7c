"""`routingsim serve` where it refuses; tests/system/test_stack_processes.py starts it."""

import pytest

from routingsim.errors import RoutingSimError

from .running import invoke


def test_the_bridge_alone_has_neither_agents_nor_a_policy() -> None:
    with pytest.raises(RoutingSimError) as caught:
        invoke("serve", "--only", "bridge", "--policy", "random")
    assert str(caught.value) == (
        "--agents and --policy are for the HTTP API, which --only bridge does not start; leave "
        "them out, or give them to the command that starts the API"
    )
