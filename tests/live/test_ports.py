"""Who holds a port."""

import os
import socket
import sys

import pytest

from routingsim.live.ports import who_holds


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_holder_is_named(family: socket.AddressFamily) -> None:
    with socket.socket(family) as holder:
        holder.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        port = holder.getsockname()[1]
        assert who_holds(port) is None  # bound, but nobody listens yet
        holder.listen()
        found = who_holds(port)
    assert found is not None
    assert found.endswith(f"(pid {os.getpid()})")
    assert who_holds(port) is None
