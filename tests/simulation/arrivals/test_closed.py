"""The closed loop."""

import pytest

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals import (
    ClosedLoop,
)


def test_a_closed_loop_has_no_times() -> None:
    loop = ClosedLoop(users=20, think=10)
    with pytest.raises(SimulationError, match="only a replay has them"):
        loop.times(3, seed=1)
    assert loop.scaled(4) == ClosedLoop(users=20, think=2.5)
    with pytest.raises(SimulationError, match="vary users"):
        ClosedLoop(users=20, think=0).scaled(2)
    with pytest.raises(SimulationError, match="factor is 0"):
        loop.scaled(0)
