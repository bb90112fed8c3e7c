"""What a target costs: cost per hour against a metric, for every pool and policy that was run."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from routingsim.errors import SimulationError
from routingsim.evaluation.capacity_answer import Capacity
from routingsim.evaluation.targets import AT_LEAST, UNITS, USD, in_words
from routingsim.report.axes import Look, axes_or_new, finish, legend_height, log_axis
from routingsim.report.palette import INK, MUTED, policy_styles

_SHOWN = {"met": "full", "open": "none", "missed": "none"}
_FILLS: dict[str, Literal["full", "none"]] = {"all met": "full", "not all met": "none"}


def plot_capacity(
    answer: Capacity, ax: Axes | None = None, *, metric: str | None = None, legend: str = ""
) -> Axes:
    """Cost per hour against a metric; filled marks meet all targets.

    The line is the frontier: no pool and policy that was run has a better figure for less.

    Parameters
    ----------
    answer : Capacity
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    metric : str, optional
        That of one of the targets, by default of the first; latency_p95; or quality_all, where
        it is recorded. Pools whose backlog outlasts the run are left out.
    legend : {"", "below", "right", "none"}
        Where names stand; by default below the axes.

    Raises
    ------
    SimulationError
        If it is none of these, or there is no such place for a legend.
    """
    bounds = {target.metric: target.bound for target in answer.targets}
    metric = answer.targets[0].metric if metric is None else metric
    if metric not in (known := dict.fromkeys((*answer.question.metrics, *bounds))):
        raise SimulationError(f"metric={metric!r}: choose one of {', '.join(known)}")
    frame = answer.frame
    names = list(dict.fromkeys(frame["policy"]))
    lines = ["frontier", "target", "answer", *_FILLS]
    ax = axes_or_new(ax, 2.6 + legend_height(names, lines))
    keys = []
    for name, style in zip(names, policy_styles(len(names)), strict=True):
        for verdict, fill in _SHOWN.items():
            part = frame[(frame["policy"] == name) & (frame["verdict"] == verdict)]
            (mark,) = ax.plot(
                part[USD],
                part[metric],
                style.marker,
                color=style.colour,
                markersize=4.5,
                fillstyle=fill,
                markeredgewidth=1.0,
                label=name,
            )
            if verdict == "met":
                keys.append(mark)
    figures = frame[metric].dropna().to_numpy()
    if figures.size and figures.min() > 0 and metric != "quality_all":
        log_axis(ax, "y")
    marks = ax.plot(*frontier(answer, metric), color=INK, lw=0.8, drawstyle="steps-post",
                    label="frontier")  # fmt: skip
    if metric in bounds:
        marks += [ax.axhline(bounds[metric], color=INK, lw=0.8, ls=":", label="target")]
    if answer.best is not None:
        found = answer.best.found
        at = found[USD].mean, found[metric].mean
        marks += ax.plot(*at, "o", ms=9, mfc="none", mec=INK, label="answer")
    look: Look = {"ls": "", "marker": "o", "color": MUTED, "markersize": 4.5}
    marks += [Line2D([], [], fillstyle=fill, label=name, **look) for name, fill in _FILLS.items()]
    unit = UNITS.get(metric, "").strip().replace("USD/h", "USD an hour")
    name = in_words(metric)
    label = f"{name} ({unit})" if unit else name
    title = f"What {name} costs"
    return finish(ax, title, "USD an hour", label, keys, marks, legend=legend)


def frontier(answer: Capacity, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Cost per hour and the metric of those run that have the best figure so far, by cost."""
    frame = answer.frame
    ran = frame["verdict"].isin(list(_SHOWN)) & frame[metric].notna()
    found = frame.loc[ran, [USD, metric]].sort_values(USD, kind="stable").to_numpy()
    better = -found[:, 1] if metric in AT_LEAST else found[:, 1]
    first = better < np.concatenate([[np.inf], np.minimum.accumulate(better)[:-1]])
    cost, figure = found[first].T if len(found) else (np.empty(0), np.empty(0))
    return cost, figure
