"""Classes of priority and redundant copies, against figures worked out by hand.

Of priorities and redundancy.
"""

import pytest

from routingsim.errors import SimulationError
from routingsim.simulation import theory


def test_two_classes_by_hand() -> None:
    """w = (0.4 + 0.4) = 0.8; 0.8 / 0.6 and 0.8 / (0.6 x 0.2)."""
    found = theory.mg1_priority([0.4, 0.4], [1.0, 1.0], [1.0, 1.0])
    assert found.wait_means == pytest.approx((4 / 3, 20 / 3))
    assert found.wait_mean == pytest.approx(4.0)  # that of M/M/1 at 0.8: work is conserved
    assert theory.mmc_priority([0.4, 0.4], 1.0, 1).wait_means == pytest.approx(found.wait_means)


def test_three_classes_of_unequal_service() -> None:
    """w = (0.2 x 1 + 0.1 x 4 x 2 + 0.1 x 9 x 1) / 2 = 0.95; loads 0.2, 0.4, 0.7."""
    found = theory.mg1_priority([0.2, 0.1, 0.1], [1.0, 2.0, 3.0], [0.0, 1.0, 0.0])
    assert found.wait_means == pytest.approx((0.95 / 0.8, 0.95 / (0.8 * 0.6), 0.95 / (0.6 * 0.3)))
    assert found.utilisation == pytest.approx(0.7)


def test_one_class_is_the_plain_queue() -> None:
    plain = theory.mmc(4.0, 1.0, 5)
    assert theory.mmc_priority([4.0], 1.0, 5).wait_mean == pytest.approx(plain.wait_mean)
    assert theory.mmc_priority([1.0, 3.0], 1.0, 5).wait_mean == pytest.approx(plain.wait_mean)
    assert theory.mg1_priority([0.8], [1.0], [0.5]).wait_mean == pytest.approx(
        theory.mg1(0.8, 1.0, 0.5).wait_mean
    )


def test_two_copies_at_two_servers_are_one_server_of_twice_the_rate() -> None:
    assert theory.redundancy(1.4, 1.0, 2, 2).latency_mean == pytest.approx(1 / (2 - 1.4))
    assert theory.redundancy(1.4, 1.0, 2, 1).latency_mean == pytest.approx(1 / (1 - 0.7))
    # k = 3, d = 2: 1 / (3 x 2 - 2.1) + 1 / (3 - 2.1)
    assert theory.redundancy(2.1, 1.0, 3, 2).latency_mean == pytest.approx(1 / 3.9 + 1 / 0.9)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(SimulationError, match="2 rates, 1 services and 2 scvs"):
        theory.mg1_priority([0.1, 0.1], [1.0], [0.0, 0.0])
    with pytest.raises(SimulationError, match="mmc_priority: no steady state"):
        theory.mmc_priority([3.0, 3.0], 1.0, 5)
    with pytest.raises(SimulationError, match="no rates"):
        theory.mmc_priority([], 1.0, 5)
    with pytest.raises(SimulationError, match="3 copies at 2 servers"):
        theory.redundancy(1.0, 1.0, 2, 3)
