"""Plots of studies: quality against cost, metrics against load, regret.

A policy has one colour, line and mark throughout; controls are grey. As in
:mod:`routingsim.report.plots` each takes ``ax=`` and returns the Axes.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from routingsim.errors import SimulationError
from routingsim.evaluation.cell import METRICS, POINTS
from routingsim.evaluation.study import Study
from routingsim.report.axes import (
    axes,
    dress,
    label,
    legend_below,
    legend_height,
    log_axis,
    nothing_to_show,
)
from routingsim.report.frontier import AGAINST, Point, check_against, draw_frontier, frontier_height
from routingsim.report.palette import Style, control_styles, policy_styles

__all__ = ["AXES", "legend_space", "plot_frontier", "plot_load", "plot_regret", "study_styles"]

AXES: Mapping[str, str] = {
    "quality": "mean quality (0–1)",
    "quality_in_time": "mean quality in time (0–1)",
    "goodput": "right answers in time (1/s)",
    "regret": "regret (quality lost, 0–1)",
    **AGAINST,
    "cost_per_right": "cost (USD per 1,000 right answers)",
    "wait_mean": "mean wait (s)",
    "answered": "tasks answered (%)",
    "utilisation": "slots in use (%)",
    "offered_max": "highest offered load (%)",
}
"""What to write on the axis of each metric, its unit included."""

_SCALE = {"cost": 1000.0, "cost_per_right": 1000.0}
_SCALE |= dict.fromkeys(("answered", "utilisation", "offered_max"), 100.0)


def study_styles(study: Study) -> dict[str, Style]:
    """The style of each policy and control, the same in every plot of the study."""
    policies = [name for name in study.names if study.kinds[name] == "policy"]
    controls = [name for name in study.names if study.kinds[name] != "policy"]
    return dict(zip(policies, policy_styles(len(policies)), strict=True)) | dict(
        zip(controls, control_styles(len(controls)), strict=True)
    )


def _load(study: Study, load: float | None) -> float:
    """The load asked for, or the highest."""
    if load is not None and load not in study.loads:
        raise SimulationError(
            f"no load {load:g} in this study: there are {', '.join(map(str, study.loads))}"
        )
    return study.loads[-1] if load is None else load


def plot_frontier(
    study: Study, load: float | None = None, ax: Axes | None = None, *, against: str = "cost"
) -> Axes:
    """Mean quality against mean cost (USD per 1,000 tasks) or latency (s), with 95 % intervals.

    Up and to the left is better. Against cost the line is the non-decreasing convex hull
    (Hu et al., arXiv:2403.12031) of all but the oracle: what a coin between two of them
    reaches. Against latency, steps join the points that no other beats in both.

    Parameters
    ----------
    study : Study
        What to show.
    load : float, optional
        One of the study's; the highest by default.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    against : {"cost", "latency_mean", "latency_p50", "latency_p95", "latency_p99"}
        Which latency leaves out policies that are overloaded: theirs says how long
        the run was.

    Raises
    ------
    SimulationError
        If the study has no such load, or there is nothing of that name.
    """
    load = _load(study, load)
    check_against(against)
    styles = study_styles(study)

    def point(name: str) -> Point:
        x, y = (study.interval(name, load, metric) for metric in (against, "quality"))
        scale = _SCALE.get(against, 1.0)
        return Point(
            name,
            styles[name],
            study.kinds[name] != "policy",
            scale * x.mean,
            y.mean,
            scale * x.half_width,
            y.half_width,
            study.cells[name, load].verdict != "overloaded",
        )

    title = f"Quality and {AXES[against].partition(' (')[0]} at load {load:g}"
    points = [point(name) for name in study.names]
    kinds = ([p.name for p in points if p.control is kind] for kind in (False, True))
    return draw_frontier(axes(ax, frontier_height(*kinds)), points, against, title)


def plot_load(study: Study, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """A metric against load, a line a policy with its 95 % interval, controls in grey.

    Parameters
    ----------
    study : Study
        What to show.
    metric : str, optional
        One of ``METRICS``, the one of the ranking by default; or ``aiq`` or ``apgr``, of
        the policies together (:meth:`Study.aiq`, :meth:`Study.apgr`).
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.

    Raises
    ------
    SimulationError
        If there is no such metric.
    """
    metric = study.ranked_by if metric is None else metric
    if metric in _OF_ALL:
        return _plot_of_all(study, metric, axes(ax))
    if metric not in METRICS:
        known = ", ".join([*METRICS, *_OF_ALL])
        raise SimulationError(f"no metric {metric!r}: there are {known}")
    ax = axes(ax, legend_space(study))
    styles, scale = study_styles(study), _SCALE.get(metric, 1.0)
    x = 100 * np.array(study.loads)
    keys, seen = [], []
    for name in study.names:
        found = [study.interval(name, load, metric) for load in study.loads]
        y = scale * np.array([each.mean for each in found])
        y[np.isinf(y)] = np.nan
        if np.isnan(y).all():
            continue
        seen.append(y)
        style, policy = styles[name], study.kinds[name] == "policy"
        (line,) = ax.plot(
            x,
            y,
            color=style.colour,
            linestyle=style.dash,
            marker=style.marker if policy else "",
            markersize=4.5,
            linewidth=1.6 if policy else 0.7,
            zorder=3 if policy else 2,
            label=label(name) if policy else "controls",
        )
        if policy:
            keys.append(line)
            low, high = (scale * np.array([getattr(i, end) for i in found]) for end in _ENDS)
            ax.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    ax.set_xticks(x, [f"{each:g}" for each in x])
    if seen:
        _legend(ax, study, keys)
        _heights(ax, np.concatenate(seen), metric)
    else:
        nothing_to_show(ax, "quality: not recorded")
    what = AXES[metric].partition(" (")[0]
    dress(ax, f"{what[0].upper()}{what[1:]}", "load (% of capacity)", AXES[metric])
    return ax


_ENDS = ("low", "high")
_OF_ALL = {"aiq": "AIQ, answers in time (0–1)", "apgr": "APGR, answers in time"}


def _plot_of_all(study: Study, metric: str, ax: Axes) -> Axes:
    """One line: what the study's policies reach together at each load."""
    found = [getattr(study, metric)(load) for load in study.loads]
    x, y = 100 * np.array(study.loads), [each.mean for each in found]
    style = policy_styles(1)[0]
    ax.plot(x, y, color=style.colour, marker=style.marker, markersize=4.5, linewidth=1.6)
    low, high = ([getattr(each, end) for each in found] for end in _ENDS)
    ax.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    ax.set_xticks(x, [f"{each:g}" for each in x])
    what = _OF_ALL[metric]
    dress(ax, what.partition(" (")[0], "load (% of capacity)", what)
    return ax


def _heights(ax: Axes, values: np.ndarray, metric: str) -> None:
    """A log axis for times that lie far apart; otherwise from 0, but for qualities."""
    low, high = np.nanmin(values), np.nanmax(values)
    if metric.startswith(("latency", "wait")) and low > 0 and high > 15 * low:
        log_axis(ax, "y")
    elif not metric.startswith("quality"):
        ax.set_ylim(0, max(1.08 * high, ax.get_ylim()[1]) or 1)


def legend_space(study: Study) -> float:
    """Height in inches of a plot with a legend of the policies under it."""
    policies = [label(name) for name in study.names if study.kinds[name] == "policy"]
    return 2.4 + legend_height(policies, ["controls"])


def _legend(ax: Axes, study: Study, keys: list[Line2D]) -> None:
    if len(keys) < len(study.names):
        grey = control_styles(1)[0].colour
        legend_below(ax, keys, [Line2D([], [], color=grey, linewidth=0.7, label="controls")])
    else:
        legend_below(ax, keys)


def plot_regret(study: Study, load: float | None = None, ax: Axes | None = None) -> Axes:
    """Quality lost so far against the best agent of each task, summed over tasks.

    A policy that learns bends down; one that does not is a straight line. Means over
    replications; a task without an answer has quality 0.

    Parameters
    ----------
    study : Study
        What to show.
    load : float, optional
        One of the study's; the highest by default.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.

    Raises
    ------
    SimulationError
        If the study has no such load.
    """
    load = _load(study, load)
    ax = axes(ax, legend_space(study))
    styles = study_styles(study)
    x = np.linspace(0, 100, POINTS)
    keys = []
    for name in study.names:
        regret = study.cells[name, load].regret
        if np.isnan(regret).all():
            continue
        style, policy = styles[name], study.kinds[name] == "policy"
        (line,) = ax.plot(
            x,
            regret,
            color=style.colour,
            linestyle=style.dash,
            marker=style.marker if policy else "",
            markersize=4,
            markevery=24,
            linewidth=1.6 if policy else 0.7,
            zorder=3 if policy else 2,
            label=label(name),
        )
        if policy:
            keys.append(line)
    title = f"Regret at load {load:g}"
    dress(ax, title, "tasks run (%)", "quality lost so far (0–1, sum)")
    ax.set_xlim(0, 100)
    if ax.lines:
        ax.set_ylim(bottom=0)
        _legend(ax, study, keys)
    else:
        nothing_to_show(ax, "quality: not recorded")
    return ax
