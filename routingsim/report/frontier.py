"""Quality against what it costs, in USD or in time: policies, their controls, and the frontier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.evaluation.metrics.routerbench import non_decreasing_hull
from routingsim.report.axes import (
    dress,
    label,
    legend_below,
    legend_height,
    log_axis,
    nothing_to_show,
)
from routingsim.report.palette import MUTED, Style

__all__ = [
    "ABOUT",
    "AGAINST",
    "FRONTIER",
    "UNRECORDED",
    "Point",
    "check_against",
    "draw_frontier",
    "frontier_height",
]

AGAINST: Mapping[str, str] = {
    "cost": "cost (USD per 1,000 tasks)",
    "latency_mean": "mean latency (s)",
    "latency_p50": "latency p50 (s)",
    "latency_p95": "latency p95 (s)",
    "latency_p99": "latency p99 (s)",
}
"""What quality can be shown against, with its axis."""

FRONTIER = "Quality, cost and latency"
"""What a report calls the section."""

UNRECORDED = (
    "Quality: not recorded. The corpus says nothing about how good the answers of these agents "
    "to its tasks are, and no number is made up for it."
)
"""What stands in their place."""

ABOUT = (
    "Up and to the left is better. Controls are grey and open: what cheap rules, chance and "
    "hindsight (the oracle) reach. Against cost the line is the hull, which a coin between two "
    "of the points under the oracle reaches; a policy is worth its rules where it lies above "
    "the line that the others make. Against latency the steps join the points that no other "
    "under the oracle beats in both."
)
"""How to read the plots."""


@dataclass(frozen=True)
class Point:
    """A policy or control: where it lies, and half-widths of its intervals (0 for none).

    ``sure`` is false where queues grew, so that a latency says how long the run was:
    such a point is named, and left out of a plot against latency.
    """

    name: str
    style: Style
    control: bool
    x: float
    y: float
    x_width: float = 0.0
    y_width: float = 0.0
    sure: bool = True


def frontier_height(policies: Sequence[str], controls: Sequence[str] = ()) -> float:
    """Inches that the plot needs for its names, the axes being about square at 8 cm."""
    return 2.6 + legend_height(policies, controls, ["hull"])


def check_against(against: str) -> None:
    """Refuse what quality cannot be shown against.

    Raises
    ------
    SimulationError
        With what it can.
    """
    if against not in AGAINST:
        raise SimulationError(f"against={against!r}: choose one of {', '.join(AGAINST)}")


def draw_frontier(ax: Axes, points: Sequence[Point], against: str, title: str) -> Axes:
    """Draw the points, those without quality left out, and the frontier under the oracle."""
    dress(ax, title, AGAINST[against], "mean quality (0–1)", grid="both")
    points = [point for point in points if not np.isnan(point.y)]
    if not points:
        nothing_to_show(ax, "quality: not recorded")
        return ax
    timed = against != "cost"
    shown = [p for p in points if not np.isnan(p.x) and (p.sure or not timed)]
    for point in shown:
        _mark(ax, point)
    keys = [_key(point) for point in shown]
    policies = [key for key, point in zip(keys, shown, strict=True) if not point.control]
    controls = [key for key, point in zip(keys, shown, strict=True) if point.control]
    others = []
    if shown:
        _range(ax, [point.x for point in shown], [point.y for point in shown])
        reached = [point for point in shown if point.name != "oracle"]
        if len(reached) > 1:
            x, y = np.array([[p.x, p.y] for p in reached]).T
            path = _steps(x, y) if timed else _hull(ax, x, y)
            ax.plot(*path, color=MUTED, linewidth=1, zorder=2)
            line = "not beaten by another" if timed else "hull"
            others.append(Line2D([], [], color=MUTED, linewidth=1, label=line))
    else:
        nothing_to_show(ax, "every policy is overloaded")
    if len(shown) < len(points):
        left_out = f"{len(points) - len(shown)} overloaded"
        others.append(Line2D([], [], linestyle="", label=left_out))
    legend_below(ax, policies, controls, others)
    return ax


def _mark(ax: Axes, point: Point) -> None:
    ax.errorbar(
        point.x,
        point.y,
        xerr=np.nan_to_num(point.x_width),
        yerr=np.nan_to_num(point.y_width),
        fmt=point.style.marker,
        color=point.style.colour,
        markersize=5 if point.control else 7,
        markerfacecolor="none" if point.control else point.style.colour,
        markeredgecolor=point.style.colour if point.control else "white",
        markeredgewidth=1.0 if point.control else 0.6,
        elinewidth=0.6 if point.control else 1.0,
        zorder=3 if point.control else 4,
    )


def _key(point: Point) -> Line2D:
    return Line2D(
        [],
        [],
        color=point.style.colour,
        marker=point.style.marker,
        markerfacecolor="none" if point.control else point.style.colour,
        markersize=5,
        linestyle="",
        label=label(point.name),
    )


def _range(ax: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Room around the points; a log axis where what they cost lies far apart."""
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
    """The non-decreasing convex hull (Hu et al., arXiv:2403.12031), on to the axes' end."""
    hull = non_decreasing_hull(x, y)
    low, high = ax.get_xlim()
    # A chord is no straight line on a log axis.
    path = np.union1d(hull.cost, np.geomspace(hull.cost[0] or high / 200, high, 200))
    path = path[path >= max(low, hull.cost[0])]
    return path, np.interp(path, hull.cost, hull.quality)


def _steps(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From each point that no quicker one beats to the next, as corners of a staircase."""
    order = np.lexsort((-y, x))
    best = np.maximum.accumulate(y[order])
    first = np.append(True, best[1:] > best[:-1])
    corners, heights = x[order][first], best[first]
    return (
        np.append(np.repeat(corners, 2)[1:], x.max()),
        np.repeat(heights, 2),
    )
