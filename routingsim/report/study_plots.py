"""Plots of studies: metrics against load, and regret.

A policy has one colour, line and mark in all of them; controls are grey. As in
:mod:`routingsim.report.plots` each takes ``ax=`` and returns the Axes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.evaluation import cell
from routingsim.evaluation.outcomes import complete
from routingsim.evaluation.study import Study
from routingsim.formatting import percent, upper_first
from routingsim.report.axes import (
    Look,
    Mark,
    axes_or_new,
    band,
    check_intervals,
    drawable,
    finish,
    log_axis,
    with_legend,
)
from routingsim.report.figures import METRICS, Comparison, Entry, axis_label, of_study, timed
from routingsim.report.palette import policy_styles
from routingsim.simulation.statistics import Interval

_OF_ALL = {"aiq": "AIQ, answers in time (0–1)", "apgr": "APGR, answers in time"}
_LOAD = "load (% of capacity)"


def plot_load(
    study: Study,
    metric: str | None = None,
    ax: Axes | None = None,
    *,
    controls: bool = True,
    legend: str = "",
    intervals: str = "bands",
) -> Axes:
    """A metric against load: a line a policy with its 95 % interval, controls in grey.

    Times of a policy whose backlog outlasts the run are left out: they say only how long it was.

    Parameters
    ----------
    study : Study
        What to show.
    metric : str, optional
        One of ``METRICS``, the one of the ranking by default; or ``aiq`` or ``apgr``, of
        the policies together (:meth:`Study.aiq`, :meth:`Study.apgr`).
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    controls : bool
        Whether to draw the controls.
    legend : {"", "below", "right", "direct", "none"}
        Where names stand; by default below the axes, or at the lines where the axes are low.
    intervals : {"bands", "bars", "none"}
        How 95 % intervals are drawn.

    Raises
    ------
    SimulationError
        If there is no such metric.
    """
    metric = study.ranked_by if metric is None else metric
    if metric in cell.METRICS:
        shown = [of_study(study, load) for load in study.loads]
        if not controls:
            shown = [replace(at, entries=at.policies) for at in shown]
        return draw_load(shown, metric, ax, legend=legend, intervals=intervals)
    if metric not in _OF_ALL:
        known = ", ".join([*cell.METRICS, *_OF_ALL])
        raise SimulationError(f"no metric {metric!r}: there are {known}")
    found = [study.aiq(load) if metric == "aiq" else study.apgr(load) for load in study.loads]
    ax, style = axes_or_new(ax), policy_styles(1)[0]
    loads, (means, low, high) = _loads(ax, study.loads), _bounds(found)
    ax.plot(loads, means, color=style.colour, marker=style.marker, markersize=4.5, linewidth=1.6)
    band(ax, loads, low, high, style.colour)
    name = _OF_ALL[metric]
    return finish(ax, name.partition(" (")[0], _LOAD, name)


def draw_load(
    comparisons: Sequence[Comparison],
    metric: str,
    ax: Axes | None = None,
    *,
    legend: str = "",
    intervals: str = "bands",
) -> Axes:
    """Draw one of ``METRICS`` of every entry against the comparisons' loads."""
    check_intervals(intervals)
    ax = axes_or_new(ax, legend_space(comparisons[0]))
    loads, keys, seen = _loads(ax, [at.load or 0.0 for at in comparisons]), [], []
    left_out = 0
    label = axis_label(metric, comparisons[0].entries)
    scale = 100.0 if METRICS[metric].unit == "%" else 1.0
    for position, entry in enumerate(comparisons[0].entries):
        means, low, high = scale * _bounds(
            [at.entries[position].shown(metric) for at in comparisons]
        )
        means[np.isinf(means)] = np.nan
        if timed(metric):  # such times say only how long the run was
            lasting = [at.entries[position].overloaded for at in comparisons]
            left_out += int(np.count_nonzero(np.isfinite(means[lasting])))
            means[lasting] = low[lasting] = high[lasting] = np.nan
        if np.isnan(means).all():
            continue
        seen.append(means)
        keys.append((entry.control, _line(ax, loads, means, entry, markersize=4.5)))
        if not entry.control and intervals == "bands":
            band(ax, loads, low, high, entry.style.colour)
        elif not entry.control and intervals == "bars":
            widths = np.nan_to_num([means - low, high - means])
            look: Look = {"ecolor": entry.style.colour, "elinewidth": 0.9, "capsize": 2}
            ax.errorbar(loads, means, yerr=np.maximum(widths, 0.0), fmt="none", zorder=3, **look)
    if seen:
        _set_heights(ax, np.concatenate(seen), metric)
    x_label = f"{_LOAD}\nleft out: {left_out} above capacity" if left_out else _LOAD
    empty = "every policy is above capacity" if left_out else ""
    return _finish(ax, upper_first(label.partition(" (")[0]), x_label, label, keys, legend, empty)


def plot_regret(
    study: Study,
    load: float | None = None,
    ax: Axes | None = None,
    *,
    controls: bool = True,
    legend: str = "",
) -> Axes:
    """Quality lost so far against the best agent of each task, summed over tasks.

    The line of a policy that learns bends down; that of one that does not is straight.
    Means over replications; a task without an answer has quality 0.

    Parameters
    ----------
    study : Study
        What to show.
    load : float, optional
        One of the study's; the highest by default.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    controls, legend
        As for :func:`plot_load`.

    Raises
    ------
    SimulationError
        If the study has no such load.
    """
    comparison = of_study(study, load)
    if not controls:
        comparison = replace(comparison, entries=comparison.policies)
    ax = axes_or_new(ax, legend_space(comparison))
    shares, keys = np.linspace(0, 100, cell.POINTS), []
    for entry in comparison.entries:
        regret = study.cells[entry.name, comparison.load or 0.0].regret
        if not np.isnan(regret).all():
            line = _line(ax, shares, regret, entry, markersize=4, markevery=24)
            keys.append((entry.control, line))
    ax.set_xlim(0, 100)
    if keys:
        ax.set_ylim(bottom=0)
    title, label = f"Regret at load {comparison.load:g}", "quality lost so far (0–1, sum)"
    known = float(complete(study.outcomes).mean())
    label += f", on {percent(known)} of tasks" if known < 1 else ""
    return _finish(ax, title, "tasks run (%)", label, keys, legend)


def legend_space(comparison: Comparison) -> float:
    """Height in inches of a plot with legends of policies and controls under it."""
    groups = (comparison.policies, comparison.controls)
    return with_legend(*([entry.name for entry in part] for part in groups))


def _loads(ax: Axes, loads: Sequence[float]) -> NDArray[np.float64]:
    """The loads in percent, with a tick at each."""
    percents = 100 * np.array(loads)
    ax.set_xticks(percents, [f"{each:g}" for each in percents])
    return percents


def _bounds(found: Sequence[Interval]) -> NDArray[np.float64]:
    """Means, lower and upper ends, shape (3, intervals)."""
    return np.array([[each.mean, each.low, each.high] for each in found]).T


def _line(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], entry: Entry, **look: Any
) -> Line2D:
    """The line of one entry with its marks, which are open where it is a control."""
    colour, dash, marker = entry.style
    if entry.control:
        look |= {"markersize": 3.5, "markerfacecolor": "none", "linewidth": 0.7, "zorder": 2}
    else:
        look |= {"linewidth": 1.6, "zorder": 3}
    name = drawable(entry.name)
    return ax.plot(x, y, color=colour, linestyle=dash, marker=marker, label=name, **look)[0]


def _finish(
    ax: Axes,
    title: str,
    x: str,
    y: str,
    keys: Sequence[tuple[bool, Line2D]],
    legend: str,
    empty: str = "",
) -> Axes:
    """Finish with a key a policy, and one a control (True)."""
    policies = [line for control, line in keys if not control]
    controls = [line for control, line in keys if control]
    empty = "" if keys else empty or "quality: not recorded"
    marks = [_end(line) for line in (*policies, *controls)]
    where: Look = {"empty": empty, "legend": legend, "marks": marks, "lines": True}
    return finish(ax, title, x, y, policies, controls, **where)


def _end(line: Line2D) -> Mark:
    """The last point of a line."""
    points = np.column_stack([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())])
    x, y = points[np.isfinite(points).all(axis=1)][-1].tolist()
    return Mark(str(line.get_label()), str(line.get_color()), x, y)


def _set_heights(ax: Axes, values: NDArray[np.float64], metric: str) -> None:
    """A log axis for times that lie far apart; otherwise from 0, except for qualities."""
    low, high = np.nanmin(values), np.nanmax(values)
    if metric.startswith(("latency", "first_token", "wait")) and low > 0 and high > 15 * low:
        log_axis(ax, "y")
    elif not metric.startswith("quality"):
        ax.set_ylim(0, max(1.08 * high, ax.get_ylim()[1]) or 1)
