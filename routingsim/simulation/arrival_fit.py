"""Arrivals fitted to a log: their rate, their shape over the day and the week, their variation.

Counts by the hour are compared between hours of the day (of the week, from two weeks on) and
within them, from day to day: the analysis of variance of their square roots, which stabilise the
variance of counts (Brown et al., "Statistical analysis of a telephone call center", JASA 100,
2005). A shape that chance would show in fewer than one log in a thousand is kept.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routingsim.corpora.logs.call_log import CallLog
from routingsim.simulation.arrivals import Arrivals, Gamma, Piecewise, Poisson

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0
FEWEST = 30  # tasks with times
CHANCE = 0.001  # of a shape that is none
WHOLE = 0.8  # share of the hours of a period that are there twice
NEAR = 0.1  # by which the gaps' coefficient of variation may differ from that of Poisson arrivals

_PERIODS: dict[str, float] = {"weekly": WEEK, "daily": DAY}


@dataclass(frozen=True)
class ArrivalFit:
    """Arrivals fitted to a log; ``str(fit.process)`` is what ``--arrivals`` reads.

    Attributes
    ----------
    process : Arrivals
        Poisson, or Gamma where gaps vary otherwise; with a shape Piecewise, an hour a step,
        which begins at midnight (UTC; of a Monday for a week), or at the log's first arrival
        where its clock is no calendar.
    shape : {"steady", "daily", "weekly"}
    chance : float
        With which the shape that was looked for appears where there is none; NaN if the log is
        too short to look.
    tasks : int
    span : float
        Seconds from the first to the last.
    dispersion : float
        Variance over mean of counts by the hour, less the shape; 1 of Poisson arrivals. NaN if
        not known.
    """

    process: Arrivals
    shape: Literal["steady", "daily", "weekly"]
    chance: float
    tasks: int
    span: float
    dispersion: float

    def __str__(self) -> str:
        what = f"{self.shape}, {self.process.rate:.4g}/s on average"
        seen = f"{self.tasks:,} tasks in {_said(self.span)}"
        if self.chance != self.chance:
            looked = "too short a log for a shape over the day"
        elif self.shape == "steady":
            looked = f"no shape over the day (chance {self.chance:.2g})"
        else:
            chance = "below 1e-9" if self.chance < 1e-9 else f"{self.chance:.2g}"
            looked = f"chance without a shape {chance}"
        if self.dispersion > 1.5:
            looked += f"; counts by the hour vary {self.dispersion:.1f} times as Poisson ones"
        return f"{what}; {seen}; {looked}"


def fit_arrivals(log: CallLog) -> ArrivalFit | None:
    """The arrivals of a log's tasks; None without times of enough of them.

    Further tries of a task are no arrivals.
    """
    arrived = log.numbers("arrived_at")
    first = ~log.calls["task_id"].duplicated().to_numpy()
    times = np.sort(arrived[first & np.isfinite(arrived)])
    if times.size < FEWEST or times[-1] <= times[0]:
        return None
    span = float(times[-1] - times[0])
    rate = (times.size - 1) / span
    offset = -float(times[0])  # from the log's clock to that of the shape
    if log.began is not None:
        monday = log.began.normalize() - np.timedelta64(log.began.day_of_week, "D")
        offset = float((log.began - monday).total_seconds())
    chance, dispersion = np.nan, np.nan
    for shape, period in _PERIODS.items():
        counts = _by_hour(times + offset, period)
        seen = np.isfinite(counts).sum(axis=0)
        if seen.min() < 1 or (seen >= 2).mean() < WHOLE:
            continue  # fewer than two periods
        found, left = _variance(counts)
        if shape == "weekly" and not _beyond_day(counts) < CHANCE:
            continue  # all days alike
        chance, dispersion = found, left
        if found < CHANCE:
            hourly = [f"{each:.4g}" for each in np.nanmean(counts, axis=0) / HOUR]
            process = Piecewise(steps=tuple((HOUR, float(each)) for each in hourly))
            kind: Literal["daily", "weekly"] = "weekly" if shape == "weekly" else "daily"
            return ArrivalFit(process, kind, found, times.size, span, left)
    gaps = np.diff(times)
    cv = float(gaps.std() / gaps.mean())
    plain = abs(cv - 1.0) <= NEAR or not 0.01 <= cv <= 100.0
    rate = float(f"{rate:.6g}")
    process = Poisson(rate) if plain else Gamma(rate, float(f"{cv:.4g}"))
    return ArrivalFit(process, "steady", chance, times.size, span, dispersion)


def _by_hour(times: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """Counts by the hour, shape (periods, hours of one); NaN of hours that the log has in part."""
    hours = int(period // HOUR)
    first = int(times[0] // period)
    number = np.floor(times / HOUR).astype(np.int64) - first * hours
    size = -(-(int(number[-1]) + 1) // hours) * hours
    counts = np.bincount(number, minlength=size).astype(np.float64)
    counts[: int(number[0]) + 1] = np.nan
    counts[int(number[-1]) :] = np.nan
    return counts.reshape(-1, hours)


def _variance(counts: NDArray[np.float64]) -> tuple[float, float]:
    """The chance of so unlike columns where all are alike, and the dispersion within them."""
    roots = [np.sqrt(column[np.isfinite(column)]) for column in counts.T]
    within = np.concatenate([each - each.mean() for each in roots])
    free = within.size - len(roots)
    dispersion = 4.0 * float(np.square(within).sum()) / max(free, 1)  # 1/4 is that of Poisson
    if dispersion == 0.0:
        return 1.0, 0.0
    return float(stats.f_oneway(*roots).pvalue), dispersion


def _beyond_day(counts: NDArray[np.float64]) -> float:
    """The chance of so unlike days of the week where all are alike, hour by hour."""
    by_day = np.sqrt(counts).reshape(len(counts), 7, 24)
    hour = np.nanmean(by_day, axis=(0, 1))
    apart = by_day - hour
    return float(stats.f_oneway(*(x[np.isfinite(x)] for x in apart.swapaxes(0, 1))).pvalue)


def _said(seconds: float) -> str:
    for unit, size in (("days", DAY), ("hours", HOUR), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
