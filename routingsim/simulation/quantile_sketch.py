"""Quantiles of more values than memory holds: an HDR histogram of each agent's times.

The histogram (Gil Tene's HdrHistogram, through the package ``hdrhistogram``) keeps three
significant digits of times in nanoseconds, from 1 ns to 11 days: a quantile is at most 0.1 % off
(:data:`ERROR`), whichever it is and however many values there were. It depends on neither their
order nor a seed, and takes less than 1 MB.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import SimulationError

ERROR = 1e-3
"""Most that a quantile differs from the exact one, as a share of it."""

_DIGITS, _UNIT, _MOST = 3, 1e9, 10**15  # significant digits, units a second, most units
_KEPT = 12  # bits of a value: one more than the histogram tells apart


class QuantileSketch:
    """Counts of times (s), by their size.

    Raises
    ------
    SimulationError
        If the package that keeps the histogram is not installed.
    """

    def __init__(self) -> None:
        try:
            from hdrh.histogram import HdrHistogram
        except ImportError as error:
            raise SimulationError(
                "a streamed replay needs the package hdrhistogram: pip install 'routingsim[stream]'"
            ) from error
        self._histogram: Any = HdrHistogram(1, _MOST, _DIGITS)

    def __getstate__(self) -> bytes:
        return self._histogram.encode()

    def __setstate__(self, state: bytes) -> None:
        from hdrh.histogram import HdrHistogram

        self._histogram = HdrHistogram.decode(state)

    def __eq__(self, other: object) -> bool:
        known = isinstance(other, QuantileSketch)
        return other.__getstate__() == self.__getstate__() if known else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values (s); those above 11 days count as 11 days."""
        units = np.minimum(np.rint(values * _UNIT), _MOST).astype(np.int64)
        spare = np.maximum(np.frexp(units.astype(np.float64))[1] - _KEPT, 0)
        # Values that fall into one bucket are counted together: the same counts, sooner.
        kept, counts = np.unique((units >> spare) << spare, return_counts=True)
        for value, count in zip(kept.tolist(), counts.tolist(), strict=True):
            self._histogram.record_value(value, count)

    def merge(self, other: "QuantileSketch") -> None:
        """Count what another has counted."""
        self._histogram.add(other._histogram)

    def quantiles(self, at: Sequence[float]) -> list[float]:
        """The smallest value (s) with a share ``at`` not above it; NaN without any.

        As :func:`routingsim.simulation.statistics.quantiles`, but for the width of a bucket.
        """
        count = self._histogram.get_total_count()
        if not count:
            return [math.nan for _ in at]
        # The histogram rounds the number of values below; this is the number rounded up.
        ranks = [100.0 * math.ceil(q * count) / count for q in at]
        found = self._histogram.get_percentile_to_value_dict(sorted(set(ranks)))
        return [found[rank] / _UNIT for rank in ranks]
