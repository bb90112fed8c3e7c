"""How long a pool takes to be as it was before an outage or a change.

Figures are of windows of equal length, counted from the end of an outage, or from a change: the
mean and the 95th percentile of the latencies of the answers that end in a window, and the
*backlog*, the mean number of tasks that have come and have not ended. The band of a figure is that
of a control chart (Shewhart, *Economic Control of Quality of Manufactured Product*, 1931): up to
three standard deviations above the mean of its windows before the first outage or change of the
run or, in a window in which that is more, above the figure in the *control*: the same run, with the
same draws, without outages and changes (an agent that joins is not there). So a burst of tasks
that would have come anyway is not taken for a lack of recovery. A figure is out of its band from
the first of two windows in a row above it, and back with the first of two in a row within it. A
window without an answer is above it if tasks were in the pool. A figure that leaves its band after
the next event has begun, and the outage itself is over, counts for that event alone.

The *recovery time* runs from the end of the outage, or from the change, to the beginning of the
window with which the figure is back: 0 if it is never out, infinite if it is not back by the last
arrival.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.policies.kernel import OK
from routingsim.simulation.arrivals.checks import is_finite
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.statistics import Interval, hall_interval, quantiles

FIGURES = ("latency_mean", "latency_p95", "backlog")
"""What may be out of its band."""

_WINDOWS = 50  # by default, in the shorter of the times before and after
_LEAST = 8  # windows before, for a band
_MOST = 100_000  # windows of a run
_SIGMAS = 3.0
_ROW = 2  # windows in a row that decide
_ROUNDING = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Event:
    """What a pool recovers from.

    Attributes
    ----------
    what : str
        In words.
    begin, end : float
        Seconds: when it begins, and from when on recovery counts.
    """

    what: str
    begin: float
    end: float


def events(run: RunRecord) -> list[Event]:
    """The outages and changes of a run in order of time; those at the same time are one."""
    agents: dict[tuple[float, float], list[str]] = {}
    for outage in run.outages:
        agents.setdefault((outage.down, outage.up), []).append(outage.agent)
    found = [Event(f"outage of {', '.join(who)}", *when) for when, who in agents.items()]
    changed: dict[float, list[str]] = {}
    for change in run.changes:
        changed.setdefault(change.at, []).append(f"{change.agent} {change.what}")
    found += [Event("; ".join(said), at, at) for at, said in changed.items()]
    last = float(run.work.arrived[-1])
    return sorted((e for e in found if e.begin < last), key=lambda e: (e.begin, e.end))


def default_window(run: RunRecord, found: Sequence[Event]) -> float:
    """Seconds of a window: a fiftieth of the shorter of the times before and after."""
    last = float(run.work.arrived[-1])
    spans = [found[0].begin - run.window[0], *(last - event.end for event in found)]
    return min(span for span in spans if span > 0) / _WINDOWS if max(spans) > 0 else math.nan


def recovery_times(run: RunRecord, window: float, found: Sequence[Event]) -> Floats:
    """Seconds of recovery of a run, shape (events, figures); NaN where no band is known."""
    return np.array([[row["seconds"] for row in rows] for rows in _rows(run, window, found)])


def table(run: RunRecord, *, window: float | None, replications: int) -> pd.DataFrame:
    """A row for each event and figure, as ``ReplayResult.recovery`` describes.

    Raises
    ------
    SimulationError
        If the window is no number of seconds above 0, or so short that there are too many.
    """
    found = events(run)
    if not found:
        return pd.DataFrame(columns=[*_COLUMNS])
    span = window
    if span is None:
        span = max(default_window(run, found), run.span / _MOST * (1 + _ROUNDING))
    if window is not None and not (is_finite(window) and window > 0):
        raise SimulationError(f"recovery: window={window!r}; seconds above 0 are needed")
    if run.span > _MOST * span:
        raise SimulationError(
            f"recovery: window={span:g} s is too short: the run would have more than {_MOST:,} "
            "windows; give a longer one"
        )
    rows = [row for rows in _rows(run, span, found) for row in rows]
    more = []
    if replications and run.replications is not None:
        more = run.replications.measured(_measure(span, tuple(found)), replications)
    for k, row in enumerate(rows):
        row |= _over_runs([float(each.flat[k]) for each in more])
    return pd.DataFrame(rows, columns=[*_COLUMNS])


_COLUMNS = (
    *("event", "begin", "end", "figure", "window", "before", "bound", "seconds"),
    *("mean", "low", "high", "runs", "not_back"),
)


def in_words(found: pd.DataFrame) -> list[str]:
    """A line for each event of a table."""
    lines = []
    rows = found.to_dict("records")
    for k in range(0, len(rows), len(FIGURES)):
        first, mine = rows[k], rows[k : k + len(FIGURES)]
        said = ", ".join(f"{_NAMES[row['figure']]} {_when(row['seconds'])}" for row in mine)
        if all(math.isnan(row["bound"]) for row in mine):
            said = "not known, as too little came before it"
        else:
            said += f" after {first['end']:.4g} s"
        lines.append(
            f"recovery from {first['event']}, in windows of {first['window']:.3g} s: {said}"
        )
    return lines


_NAMES = {"latency_mean": "mean latency", "latency_p95": "p95", "backlog": "backlog"}


def _when(seconds: float) -> str:
    if math.isinf(seconds):
        return "not by the last arrival"
    return "not known" if math.isnan(seconds) else f"{seconds:.3g} s"


def as_dicts(found: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain values: ``back`` says whether the run recovered, and what is
    infinite or not known is None."""
    rows = found.astype(object).where(found.notna() & (found != math.inf), None).to_dict("records")
    back = [None if math.isnan(each) else math.isfinite(each) for each in found["seconds"]]
    return [{**row, "back": known} for row, known in zip(rows, back, strict=True)]


def _over_runs(values: list[float]) -> dict[str, float]:
    """The interval of a recovery time from further runs; none if one of them is not back."""
    known = [value for value in values if not math.isnan(value)]
    late = sum(map(math.isinf, known))
    mean = Interval(math.inf, math.nan) if late else hall_interval(known)
    mean = mean.within(0.0, math.inf)
    ends = {"mean": mean.mean, "low": mean.low, "high": mean.high}
    return {**ends, "runs": len(known), "not_back": late}


@lru_cache(maxsize=16)  # one function for one question, by which its runs are kept
def _measure(window: float, found: tuple[Event, ...]) -> Callable[[RunRecord], Floats]:
    return partial(recovery_times, window=window, found=found)


def _rows(run: RunRecord, window: float, found: Sequence[Event]) -> list[list[dict[str, Any]]]:
    """What the run says of each event and figure."""
    warm, last = run.window[0], float(run.work.arrived[-1])
    count = int((found[0].begin - warm) / window) if window > 0 else 0
    edges = found[0].begin - window * np.arange(count, -1, -1, dtype=np.float64)
    before = figures(run, edges) if count >= _LEAST else {}
    rows = []
    for event in found:
        values, calm = {}, {}
        since = int((event.end - event.begin) / window) if event.end < last else 0
        later = min((each.begin for each in found if each.begin > event.begin), default=math.inf)
        its_own = since + (max(later, event.end) - event.end) / window
        if event.end < last:
            after = int((last - event.end) / window)
            windows = np.arange(-since, after + 1, dtype=np.float64)
            values = figures(run, event.end + window * windows)
            calm = figures(run.undisturbed, event.end + window * windows)
        mine = []
        for name in FIGURES:
            row = {"event": event.what, "begin": event.begin, "end": event.end, "figure": name}
            row |= {"window": window, "before": math.nan, "bound": math.nan, "seconds": math.nan}
            known = before[name][np.isfinite(before[name])] if before else np.zeros(0)
            if known.size >= _LEAST:
                mean, band = float(known.mean()), _SIGMAS * float(known.std(ddof=1))
                row["before"], row["bound"] = mean, mean + band
                row["seconds"] = math.inf
                if values:
                    bound = np.fmax(mean, calm[name]) + band
                    above = values[name] > bound * (1 + _ROUNDING)
                    row["seconds"] = window * _back(above, since, its_own)
            mine.append(row)
        rows.append(mine)
    return rows


def _back(above: NDArray[np.bool_], since: int, its_own: float) -> float:
    """Windows until the figure is back, the first ``since`` being those of the outage.

    After the windows of its own, it does not leave its band on account of this event.
    """
    out = _in_a_row(above)
    if not out.size or out[0] + 1 > its_own + _ROUNDING:
        return 0.0
    back = _in_a_row(~above)
    back = back[back > out[0]]
    return max(float(back[0] - since), 0.0) if back.size else math.inf


def _in_a_row(true: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Where so many in a row begin; beyond the last window nothing is known."""
    runs = np.convolve(true, np.ones(_ROW), "valid") if true.size >= _ROW else np.zeros(0)
    return np.flatnonzero(runs > _ROW - 0.5)


def figures(run: RunRecord, edges: Floats) -> dict[str, Floats]:
    """Each figure in each window between edges in seconds, shape (windows,)."""
    answered = run.log.status == OK
    order = np.argsort(run.log.finished[answered], kind="stable")
    ends, latency = run.log.finished[answered][order], run.latency[answered][order]
    cuts = np.searchsorted(ends, edges)
    counts = np.diff(cuts)
    sums = np.diff(np.concatenate([[0.0], latency.cumsum()])[cuts])
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / counts
    parts = np.split(latency, cuts)[1:-1]
    p95 = np.array([quantiles(part, 0.95) if part.size else math.nan for part in parts])
    backlog = (_area(run.work.arrived, edges) - _area(run.log.finished, edges)) / np.diff(edges)
    waited = (counts == 0) & (backlog > _ROUNDING)  # tasks, and no answer
    mean[waited] = p95[waited] = math.inf
    return {"latency_mean": mean, "latency_p95": p95, "backlog": backlog}


def _area(times: Floats, edges: Floats) -> Floats:
    """Integral over each window of how many of the times have passed."""
    ordered = np.sort(times)
    passed = np.searchsorted(ordered, edges)
    whole = passed * edges - np.concatenate([[0.0], ordered.cumsum()])[passed]
    return np.diff(whole)
