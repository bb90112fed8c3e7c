"""The interval of the mean of a long series, by batches."""

from numpy.typing import NDArray

from routingsim.simulation.statistics import Interval, of_means


def batch_means(values: NDArray, batches: int = 30) -> Interval:
    """Of so many batches of equal length; the first few values are left out if need be."""
    return of_means(values[values.size % batches :].reshape(batches, -1).mean(axis=1))
