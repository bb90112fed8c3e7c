"""Quality against cost or latency: policies, their controls, and the frontier."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.evaluation.metrics.routerbench import non_decreasing_hull
from routingsim.evaluation.study import Study
from routingsim.report.axes import (
    Look,
    Mark,
    axes_or_new,
    check_intervals,
    drawable,
    finish,
    legend_height,
    log_axis,
)
from routingsim.report.figures import METRICS, Comparison, Entry, axis_label, of_replays, of_study
from routingsim.report.palette import MUTED
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import Interval

_AGAINST = ("cost", "latency_mean", "latency_p50", "latency_p95", "latency_p99")


def plot_frontier(
    shown: Study | Sequence[ReplayResult],
    load: float | None = None,
    ax: Axes | None = None,
    *,
    against: str = "cost",
    controls: Mapping[str, ReplayResult] | bool = True,
    legend: str = "",
    intervals: str = "bars",
) -> Axes:
    """Mean quality (0–1) against mean cost (USD per 1,000 tasks) or a latency (s).

    Up and to the left is better. Against cost the line is the non-decreasing convex hull
    (Hu et al., arXiv:2403.12031) of all but the oracle: what mixing two of them at random
    reaches. Against latency, steps join the points that no other beats in both. Policies
    without recorded quality are left out, and against a latency those whose backlog outlasts
    the run: theirs says only how long the run was. Qualities that are estimated from a log with one
    answer a task have no such line.

    Parameters
    ----------
    shown : Study, or sequence of ReplayResult
        A study, with 95 % intervals, or one result a policy.
    load : float, optional
        One of the study's; the highest by default.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    against : {"cost", "latency_mean", "latency_p50", "latency_p95", "latency_p99"}
    controls : mapping of str to ReplayResult, or bool
        Those of results, of :func:`routingsim.evaluation.control_replays`; a study has its
        own. Drawn in grey; False leaves them out.
    legend : {"", "below", "right", "direct", "none"}
        Where names stand; by default below the axes, or at the marks where the axes are low.
    intervals : {"bars", "bands", "none"}
        How 95 % intervals are drawn.

    Raises
    ------
    SimulationError
        If the study has no such load, or quality cannot be shown against that metric.
    """
    if isinstance(shown, Study):
        at = of_study(shown, load)
    else:
        at = of_replays(shown, {} if isinstance(controls, bool) else controls)
    if controls is False:
        at = replace(at, entries=at.policies)
    return draw_frontier(at, ax, against, legend=legend, intervals=intervals)


def frontier_height(comparison: Comparison) -> float:
    """Inches that the plot needs for its legends, the axes being about square at 8 cm."""
    groups = ([e.name for e in part] for part in (comparison.policies, comparison.controls))
    return 2.6 + legend_height(*groups, ["hull"])


def draw_frontier(
    comparison: Comparison,
    ax: Axes | None,
    against: str,
    *,
    legend: str = "",
    intervals: str = "bars",
) -> Axes:
    """Draw what :func:`plot_frontier` shows."""
    if against not in _AGAINST:
        raise SimulationError(f"against={against!r}: choose one of {', '.join(_AGAINST)}")
    ax = axes_or_new(ax, frontier_height(comparison))
    timed = against != "cost"
    recorded = [e for e in comparison.entries if not np.isnan(e.mean("quality"))]
    shown = [e for e in recorded if not (np.isnan(e.mean(against)) or (timed and e.overloaded))]
    check_intervals(intervals)
    points = np.array([_mark(ax, entry, against, intervals) for entry in shown])
    lines = []
    if shown:
        _set_range(ax, *points.T)
        x, y = points[[entry.name != "oracle" for entry in shown]].T
        if x.size > 1 and not comparison.estimates:
            line = _steps(x, y) if timed else _hull(ax, x, y)
            name = "not beaten by another" if timed else "hull"
            lines += ax.plot(*line, color=MUTED, linewidth=1, zorder=2, label=name)
    left_out = len(recorded) - len(shown)
    why = "every policy is above capacity" if recorded else "quality: not recorded"
    empty = "" if shown else why
    at = "" if comparison.load is None else f" at load {comparison.load:g}"
    title = f"Quality and {METRICS[against].name}{at}"
    x_label = axis_label(against, shown)
    if left_out and shown:
        x_label += f"\nleft out: {left_out} above capacity"
    labels = title, x_label, axis_label("quality", shown)
    legends = [
        [
            Line2D([], [], linestyle="", label=drawable(entry.name), **_look(entry, 5))
            for entry in shown
            if entry.control is control
        ]
        for control in (False, True)
    ]
    marks = [
        Mark(entry.name, entry.style.colour, *point)
        for entry, point in zip(shown, points.tolist(), strict=True)
    ]
    where = {"grid": "both", "empty": empty, "legend": legend, "marks": marks}
    return finish(ax, *labels, *legends, lines, **where)


def _look(entry: Entry, size: float) -> Look:
    """How an entry's mark looks; that of a control is open."""
    return {
        "color": entry.style.colour,
        "marker": entry.style.marker,
        "markerfacecolor": "none" if entry.control else entry.style.colour,
        "markersize": size,
    }


def _mark(ax: Axes, entry: Entry, against: str, intervals: str) -> tuple[float, float]:
    """Draw one point, which is returned; controls are lighter."""
    x, y = entry.shown(against), entry.shown("quality")
    bars = 1.0 if intervals == "bars" else 0.0
    if intervals == "bands":
        (left, right), (down, up) = (_sides(each) for each in (x, y))
        corner, look = (x.mean - left, y.mean - down), {"alpha": 0.18, "linewidth": 0, "zorder": 1}
        area = Rectangle(corner, left + right, down + up, color=entry.style.colour, **look)
        ax.add_patch(area)
    ax.errorbar(
        x.mean,
        y.mean,
        xerr=bars * _sides(x)[:, None],
        yerr=bars * _sides(y)[:, None],
        linestyle="",
        markeredgecolor=entry.style.colour if entry.control else "white",
        markeredgewidth=1.0 if entry.control else 0.6,
        elinewidth=0.6 if entry.control else 1.0,
        zorder=3 if entry.control else 4,
        **_look(entry, 5 if entry.control else 7),
    )
    return x.mean, y.mean


def _sides(found: Interval) -> NDArray[np.float64]:
    """How far an interval reaches below and above its mean; 0 where there is none."""
    return np.maximum(np.nan_to_num([found.mean - found.low, found.high - found.mean]), 0.0)


def _set_range(ax: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Leave room around the points; take a log axis where costs or times lie far apart."""
    if min(xs) > 0 and max(xs) > 20 * min(xs):
        log_axis(ax)
        ax.set_xlim(min(xs) / 1.5, max(xs) * 1.5)
    else:
        ax.set_xlim(0, 1.12 * max(xs) or 1)
    margin = max(0.12 * (max(ys) - min(ys)), 0.01)
    ax.set_ylim(min(ys) - margin, max(ys) + margin)


def _hull(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The non-decreasing convex hull (Hu et al., arXiv:2403.12031), up to the axes' end."""
    hull = non_decreasing_hull(x, y)
    low, high = ax.get_xlim()
    # A chord is no straight line on a log axis.
    path = np.union1d(hull.cost, np.geomspace(hull.cost[0] or high / 200, high, 200))
    path = path[path >= max(low, hull.cost[0])]
    return path, np.interp(path, hull.cost, hull.quality)


def _steps(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A staircase through the points that no quicker one equals or beats in quality."""
    order = np.lexsort((-y, x))
    best = np.maximum.accumulate(y[order])
    first = np.append(True, best[1:] > best[:-1])
    corners, heights = x[order][first], best[first]
    return np.append(np.repeat(corners, 2)[1:], x.max()), np.repeat(heights, 2)
