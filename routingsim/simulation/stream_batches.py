"""Batches of a streamed replay, for intervals: equal parts of its time, and what is kept of each.

The method is that of :mod:`~routingsim.simulation.batches`. Since the tasks of a stream are seen
once, batches are equal in time, not in tasks, and the quantile of each is that of a sketch.
"""

from collections import defaultdict
from functools import partial

import numpy as np
from numpy.typing import NDArray

from routingsim.simulation.batches import BATCHES, PARTS, interval_of_batches
from routingsim.simulation.quantile_sketch import QuantileSketch
from routingsim.simulation.run_summary import QUANTILES
from routingsim.simulation.statistics import Interval

Floats = NDArray[np.float64]

_LEAST = 100  # values of a batch that a mean rests on, or beyond a quantile
_SHARES = {"cost_mean": "cost"}


class Batches:
    """Sums and counts of the parts, and the quantiles of each batch.

    Parameters
    ----------
    begin, last : float
        The time that is cut into batches (s).
    """

    def __init__(self, begin: float, last: float) -> None:
        self._begin, self._last = begin, max(last, float(np.nextafter(begin, np.inf)))
        self._sums: dict[str, Floats] = defaultdict(partial(np.zeros, BATCHES * PARTS))
        self._counts: dict[str, Floats] = defaultdict(partial(np.zeros, BATCHES * PARTS))
        self._quantiles: dict[str, Floats] = defaultdict(
            partial(np.full, (BATCHES, len(QUANTILES)), np.nan)
        )

    def __contains__(self, name: str) -> bool:
        """Whether values have a name."""
        return name in self._sums

    def parts(self, arrived: Floats) -> NDArray[np.intp]:
        """The part of each task, by its arrival (s); below 0 before the first."""
        size = BATCHES * PARTS
        place = np.floor((arrived - self._begin) * (size / (self._last - self._begin)))
        return np.minimum(place, size - 1).astype(np.intp)

    def add(self, name: str, part: NDArray[np.intp], values: Floats) -> None:
        """Add values to their parts; those before the first are left out."""
        inside = part >= 0
        where = part[inside]
        self._sums[name] += np.bincount(where, values[inside], minlength=BATCHES * PARTS)
        self._counts[name] += np.bincount(where, minlength=BATCHES * PARTS)

    def close(self, batch: int, name: str, sketch: QuantileSketch) -> None:
        """Keep the quantiles of a batch that is complete."""
        self._quantiles[name][batch] = sketch.quantiles(list(QUANTILES.values()))

    def interval(
        self, metric: str, centre: float, less: "Batches | None" = None
    ) -> Interval | None:
        """The 95 % interval of a figure of the summary; None where its batches look dependent.

        Parameters
        ----------
        metric : str
            Of times with their statistic, as ``wait_p95``; or cost_mean, quality, quality_all,
            answered and goodput.
        centre : float
            The figure of the whole run.
        less : Batches, optional
            Those of another run of the same tasks at the same times, whose figure is subtracted.
        """
        runs = [self] if less is None else [self, less]
        series = [run._series(metric) for run in runs]
        if not all(enough for *_, enough in series):
            return None
        statistics = series[0][1] if less is None else series[0][1] - series[1][1]
        return interval_of_batches([parts for parts, *_ in series], statistics, centre)

    def _series(self, metric: str) -> tuple[Floats, Floats, bool]:
        """The means of the parts, the statistic of the batches, and whether they are enough."""
        if metric == "goodput":
            share, shares, enough = self._series("right")
            rate = self._sums["prompt"] * (BATCHES * PARTS / (self._last - self._begin))
            return rate * share, rate.reshape(BATCHES, PARTS).mean(axis=1) * shares, enough
        if metric == "quality_all":
            (one, first, enough), (two, second, also) = map(self._series, ("quality", "answered"))
            return one * two, first * second, enough and also
        time, _, statistic = metric.rpartition("_")
        name = time if time in self._sums else _SHARES.get(metric, metric)
        sums, counts = self._sums[name], self._counts[name]
        rows = counts.reshape(BATCHES, PARTS).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts, means = sums / counts, sums.reshape(BATCHES, PARTS).sum(axis=1) / rows
        if statistic not in QUANTILES:
            return parts, means, bool(counts.min() >= _LEAST / PARTS)
        at = QUANTILES[statistic]
        quantiles = self._quantiles[time][:, list(QUANTILES).index(statistic)]
        return parts, quantiles, bool(rows.min() * min(at, 1 - at) >= _LEAST)
