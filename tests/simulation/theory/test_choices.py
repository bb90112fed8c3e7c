"""The supermarket model: published figures, and its limits."""

import pytest

from routingsim.errors import SimulationError
from routingsim.simulation import theory


@pytest.mark.parametrize(
    ("load", "latency"),  # Mitzenmacher 2001, table 1
    [(0.5, 1.2657), (0.7, 1.6145), (0.8, 1.9474), (0.9, 2.6141), (0.95, 3.3830)],
)
def test_two_choices(load: float, latency: float) -> None:
    found = theory.supermarket(load / 2.0, service=2.0)
    assert found.latency_mean / 2.0 == pytest.approx(latency, abs=6e-5)
    assert found.queue_mean == pytest.approx(found.rate * found.wait_mean)
    assert [found.tasks_sf(k) for k in range(4)] == pytest.approx([1, load, load**3, load**7])


def test_one_choice_is_one_queue_alone() -> None:
    assert theory.supermarket(0.8, 1.0, choices=1).latency_mean == pytest.approx(5.0)
    assert theory.supermarket(0.8, 1.0, choices=1).tasks_sf(3) == pytest.approx(0.8**3)


def test_without_a_steady_state_there_are_no_figures() -> None:
    with pytest.raises(SimulationError, match="no steady state"):
        theory.supermarket(1.0, 1.0)
    with pytest.raises(SimulationError, match="choices is 0"):
        theory.supermarket(0.5, 1.0, choices=0)
