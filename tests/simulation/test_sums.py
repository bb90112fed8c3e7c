"""Sums over the tasks of a run, to the last bit those of NumPy."""

import numpy as np
import pytest

from routingsim.simulation import sums
from routingsim.simulation.compiling import kernel


@kernel
def total_of(values, room):
    return sums.total(values, 0, values.size, room)


@kernel
def variance_of(values, room):
    return sums.variance(values, 0, values.size, room)


SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 127, 128, 129, 136, 255, 256, 257, 1000, 8191, 8193, 20_001)
"""Around the places where NumPy begins to add in another way."""


@pytest.mark.slow
def test_sums_and_variances_are_those_of_numpy_to_the_last_bit(seed: int) -> None:
    draws = np.random.default_rng(seed)
    for size in SIZES:
        values = draws.lognormal(size=size) * 10 ** draws.uniform(-8, 8, size)
        assert total_of(values, sums.stack()) == values.sum()
        assert variance_of(values.copy(), sums.stack()) == values.var()
        if size > 1:
            times = values.cumsum()
            assert sums.deviation_of_gaps(times) == np.diff(times).std()


def test_quantiles_are_those_of_numpy(seed: int) -> None:
    draws, shares = np.random.default_rng(seed), np.array([0, 0.01, 0.5, 0.9, 0.95, 0.99, 1])
    for size in SIZES:
        values = draws.integers(0, 1 + size // 2, size).astype(float)  # many are the same
        expected = np.quantile(values, shares, method="inverted_cdf")
        assert (sums.quantiles_of(values.copy(), shares) == expected).all()
    assert np.isnan(sums.quantiles_of(np.zeros(0), shares)).all()


def test_steps_are_the_difference_of_two_histograms_beside_edges_too(seed: int) -> None:
    draws = np.random.default_rng(seed)
    edges = np.linspace(0.0, 9.7, 101)
    on_edges = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 10)])
    entered, left = draws.permutation(on_edges), draws.uniform(-1, 11, on_edges.size)
    counts = [np.histogram(each, 100, (0.0, 9.7))[0] for each in (entered, left)]
    assert (sums.steps(entered, left, edges) == counts[0] - counts[1]).all()


def test_gaps_are_told_apart_by_agent() -> None:
    arrived, agent = np.array([0.0, 1.0, 2.0, 4.0, 9.0]), np.array([0, 2, 0, 0, 2], np.int16)
    found = sums.gap_moments(arrived, agent, 3)
    assert found.tolist() == [[2, 2, 0], [0, 0, 0], [1, 8, 0]]


def test_counts_and_sums_by_agent_and_cell() -> None:
    agent, values = np.array([1, 0, 1], np.int16), np.array([2.0, 3.0, 5.0])
    assert sums.counted(agent, 3).tolist() == [1, 2, 0]
    assert sums.counted(np.tile(agent, 6_000), 3).tolist() == [6_000, 12_000, 0]
    assert [each.tolist() for each in sums.by_agent(agent, values, 2)] == [[1, 2], [3, 7]]
    arrived = np.array([10.0, 11.0, 12.0])
    counts, summed = sums.in_cells(agent, arrived, values, (10.0, 12.0), (2, 2))
    assert counts.tolist() == [[0, 1], [1, 1]]
    assert summed.tolist() == [[0, 3], [2, 5]]


def test_seconds_outside_the_window_are_not_busy() -> None:
    begin, end = np.array([0.0, 4.0, 9.0]), np.array([3.0, 6.0, 12.0])
    agent = np.array([0, 0, 1], np.int16)
    assert sums.busy_in(agent, begin, end, (1.0, 10.0), 3).tolist() == [4, 1, 0]


def test_the_most_that_come_together() -> None:
    for times, found in (([1.0], (1, 0)), ([1.0, 1.0, 2.0], (2, 1)), ([1.0, 2.0, 2.0], (2, 1))):
        assert sums.together(np.array(times)) == found
