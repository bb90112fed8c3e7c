"""Statistics of a single run: confidence intervals, quantiles and slopes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import


@dataclass(frozen=True)
class Interval:
    """An estimate and the half-width of its confidence interval."""

    mean: float
    half_width: float
    level: float = 0.95

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.half_width:.2g}"


def batch_means(values: ArrayLike, batches: int = 30, level: float = 0.95) -> Interval:
    """Confidence interval of the mean of one long, correlated series.

    The series is divided into ``batches`` of equal length. Their means are nearly
    independent if a batch is much longer than the autocorrelation, and give a
    t-interval (Law, *Simulation Modeling and Analysis*, 5th ed., sec. 9.5.3). NaNs are
    left out first; the first few values are dropped if the length is not a multiple of
    ``batches``.

    Returns
    -------
    Interval
        Half-width NaN if there are fewer than two values per batch.
    """
    series = np.asarray(values, dtype=np.float64)
    series = series[~np.isnan(series)]
    length = series.size // batches
    if length < 2:
        return Interval(float(series.mean()) if series.size else math.nan, math.nan, level)
    means = series[series.size - length * batches :].reshape(batches, length).mean(axis=1)
    t = special.stdtrit(batches - 1, 0.5 + level / 2)
    half_width = t * means.std(ddof=1) / math.sqrt(batches)
    return Interval(float(means.mean()), float(half_width), level)


def quantiles(values: ArrayLike, at: ArrayLike) -> NDArray[np.float64]:
    """Exact sample quantiles: the smallest value with at least a share ``at`` not above it.

    NaNs are left out; the result is NaN where nothing is left. This is type 1 of Hyndman
    & Fan (1996): always a value that occurred, never one between two.
    """
    series = np.asarray(values, dtype=np.float64)
    series = series[~np.isnan(series)]
    if series.size == 0:
        return np.full(np.shape(at), math.nan)
    shares = np.asarray(at, dtype=np.float64)
    # The series is a copy of our own.
    return np.quantile(series, shares, method="inverted_cdf", overwrite_input=True)


def slope_t(values: ArrayLike) -> float:
    """t statistic of the slope of equally spaced values; 0 where they are constant."""
    series = np.asarray(values, dtype=np.float64)
    if series.size < 3 or np.ptp(series) == 0:
        return 0.0
    x = np.arange(series.size) - (series.size - 1) / 2
    squares = x @ x
    slope = float(x @ series / squares)
    rest = series - series.mean() - slope * x
    error = math.sqrt(rest @ rest / (series.size - 2) / squares)
    return slope / error if error > 0 else math.copysign(math.inf, slope)
