"""Stamps of clocks: rounded to a minute or more, and hours that a change of clocks repeats."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.checkup.finding import Finding, Floats

STEPS = {1: "second", 60: "minute", 300: "5 minutes", 600: "10 minutes", 900: "15 minutes",
         1800: "half hour", 3600: "hour", 86400: "day"}  # fmt: skip
"""Seconds to which clocks and exports round stamps, and the words for them."""

_LEAST = 50  # stamps below which none is said to be rounded
_SHARED = 0.1  # share of the stamps that another has too, at least, where they are rounded
_PARTLY = 0.2  # share of stamps at a full minute, of which a sixtieth would be by chance
_SHARP = 1e-6  # seconds
_TWICE = 1.6  # how many times the tasks of the hours around it an hour that came twice has
_CERTAIN = 4.0  # standard errors
_EXPECTED = 20  # tasks of an hour, by the hours around it, below which nothing is said of it
_SPREAD = 20261129  # seed of the times within a rounded stamp's step


def spread_rounded(arrived: Floats, begins: float = 0.0) -> tuple[Floats, list[Finding]]:
    """Times in which stamps that were all rounded down are spread over what they stand for.

    A stamp of 09:31 stands for the minute from then on: its tasks get times drawn uniformly
    from that minute, in order, always the same. Left together they would queue as one batch.

    Parameters
    ----------
    arrived : ndarray, shape (tasks,)
        Times in order (s); returned as they are where there are NaNs, or nothing was rounded.
    begins : float
        Seconds since midnight of some day at which times count from 0.
    """
    if arrived.size < _LEAST or np.isnan(arrived).any():
        return arrived, []
    first = np.flatnonzero(np.diff(arrived, prepend=-np.inf) > 0)
    sizes = np.diff(first, append=arrived.size)
    shared = float(sizes[sizes > 1].sum()) / arrived.size
    step = next((s for s in reversed(STEPS) if _on(arrived + begins, s).all()), 0)
    if step and first.size > 1 and shared >= _SHARED:
        drawn = np.random.default_rng(_SPREAD).random(arrived.size)
        order = np.lexsort((drawn, np.repeat(np.arange(first.size), sizes)))
        unit = STEPS[step]
        longest = "longer ones too, and rush hours" if step > 3600 else f"below {step} s"
        return arrived + step * drawn[order], [
            Finding(
                "times",
                "suspicious",
                f"all {arrived.size:,} times are at a full {unit}, and {100 * shared:.0f} % share "
                f"theirs with others: they are taken as rounded, and spread over the {unit} that "
                "follows",
                f"waits with the log's own times, of which those {longest} are a guess",
                "give times in (fractions of) seconds; where tasks do come at once, so write them "
                "(09:31:00.001), and they stay together",
            )
        ]
    partly = float(_on(arrived + begins, 60).mean())
    if step < 60 and _PARTLY <= partly < 1 and shared >= _SHARED:
        return arrived, [
            Finding(
                "times",
                "suspicious",
                f"{100 * partly:.0f} % of the times are at a full minute, as if a part of the "
                "record were rounded",
                "waits with the log's own times: such tasks come as one batch",
                "give all times in seconds",
            )
        ]
    return arrived, []


def _on(times: Floats, step: int) -> NDArray[np.bool_]:
    """Which times are at a full step, as exactly as numbers of their size can say."""
    return np.abs(times - np.round(times / step) * step) <= _SHARP


def clock_changes(local: NDArray[np.datetime64], label: str) -> list[Finding]:
    """Hours of a Sunday night that a change of clocks repeated or skipped.

    Parameters
    ----------
    local : ndarray of datetime64
        Times without a zone, in the order of the file.
    label : str
        The column's name.
    """
    touches = "the order, rate and waits of the tasks around it"
    steps = np.diff(local)
    large = steps < np.timedelta64(-1, "m")
    back = np.flatnonzero(large).tolist()
    nights: list[Any] = [pd.Timestamp(local[row + 1]) for row in back]
    if (
        nights
        and all(_of_change(night) for night in nights)
        and all(-steps[row] <= np.timedelta64(1, "h") for row in back)
        and len({night.date() for night in nights}) == len(nights)
    ):
        return [
            Finding(
                "times",
                "wrong",
                f"{label}: {nights[0]} comes after {pd.Timestamp(local[back[0]])}, as when clocks "
                "are set back: the hour that came twice is taken as one",
                touches,
                f"write times with their zone, as {nights[0]}+01:00",
            )
        ]
    return _odd_hours(local, label, touches)


def _odd_hours(local: NDArray[np.datetime64], label: str, touches: str) -> list[Finding]:
    """Hours of nights to Sunday with twice the tasks of those around them, or with none."""
    if local.size < _EXPECTED:
        return []
    hours, counts = np.unique(local.astype("datetime64[h]"), return_counts=True)
    count = dict(zip(hours.tolist(), counts.tolist(), strict=True))
    one = pd.Timedelta(hours=1)
    days = np.unique(local.astype("datetime64[D]"))
    for day in map(pd.Timestamp, days.tolist()):
        for hour in (day + one, day + 2 * one):
            if not _of_change(hour):
                continue
            mine, before, after = (
                count.get((hour + k * one).to_pydatetime(), 0) for k in (0, -1, 1)
            )
            around = (before + after) / 2
            if around < _EXPECTED or not before or not after:
                continue
            if mine == 0:
                return [
                    Finding(
                        "times",
                        "suspicious",
                        f"{label}: no task from {hour:%Y-%m-%d %H:%M} for an hour, as when clocks "
                        "are set forward: that hour was not",
                        touches,
                        "write times with their zone",
                    )
                ]
            extra = mine - around
            if mine >= _TWICE * around and extra > _CERTAIN * (mine + around / 2) ** 0.5:
                return [
                    Finding(
                        "times",
                        "suspicious",
                        f"{label}: {mine:,} tasks from {hour:%Y-%m-%d %H:%M} for an hour, and "
                        f"{around:,.0f} in the hours around it, as when clocks are set back and an "
                        "hour comes twice",
                        touches,
                        "write times with their zone",
                    )
                ]
    return []


def _of_change(time: Any) -> bool:
    """Whether clocks are changed in some country about then: early on Sundays of some months."""
    return time.weekday() == 6 and time.hour < 4 and time.month in (3, 4, 9, 10, 11)


def local_times(texts: Sequence[str | None]) -> tuple[NDArray[np.datetime64], bool]:
    """Times without a zone, in the order of the file, and whether others have one."""
    given = pd.Series(texts, dtype="str").dropna()
    zoned = given.str.slice(10).str.contains(r"Z$|[+-]\d\d(?::?\d\d)?$").to_numpy(dtype=bool)
    local = pd.to_datetime(given[~zoned], format="ISO8601", errors="coerce").dropna().to_numpy()
    return local, bool(zoned.any())
