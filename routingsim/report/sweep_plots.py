"""Figures of a sweep: a metric over what was varied, and one metric against another."""

import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from routingsim import display
from routingsim.evaluation.cell import METRICS
from routingsim.evaluation.sweeps.result import Sweep, check_metric, check_varied
from routingsim.report.axes import axes_or_new, drawable, finish, log_axis, with_legend
from routingsim.report.palette import policy_styles

_LINES, _NAMES = 6, 20  # values of another axis, and those that are no numbers, with a colour each


def plot_sweep(
    sweep: Sweep,
    metric: str | None = None,
    ax: Axes | None = None,
    *,
    over: str | None = None,
    legend: str = "",
) -> Axes:
    """A metric over what was varied, with 95 % intervals over the replications.

    Parameters
    ----------
    sweep : Sweep
    metric : str, optional
        Goodput by default, or mean latency without recorded qualities.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    over : str, optional
        What was varied: by default the numbers with the most values. Up to six values of the
        other axes have a colour each, or else the thirds of one of them. Cells of a grid are
        joined where colour and place tell them apart.
    legend : {"", "below", "right", "none"}
        Where names stand; by default below the axes.

    Raises
    ------
    SimulationError
        If there is no such metric, axis or place for a legend.
    """
    metric = sweep.ranked_by if metric is None else metric
    check_metric(metric)
    frame: Any = sweep.to_frame()
    over = _most_varied(frame, sweep.varied) if over is None else over
    check_varied("over", over, sweep.varied)
    others = [name for name in sweep.varied if name != over]
    groups = _grouped(frame, others)
    names = [] if groups is None else sorted(set(groups), key=_natural)
    ax = axes_or_new(ax, with_legend(names))
    numbers = is_numeric_dtype(frame[over]) and not is_bool_dtype(frame[over])
    in_grid = all(axis.values for axis in sweep.plan.axes)
    places = {value: k for k, value in enumerate(dict.fromkeys(frame[over]))}
    keys = []
    for k, style in enumerate(policy_styles(max(1, len(names)))):
        part = frame if groups is None else frame[groups == names[k]]
        x = part[over] if numbers else part[over].map(places)
        drawn = part.assign(x=x).sort_values("x", kind="stable")
        joined = numbers and drawn["x"].is_unique and in_grid
        line = ax.errorbar(
            drawn["x"],
            drawn[metric],
            yerr=drawn[f"{metric}_hw"].fillna(0.0),
            color=style.colour,
            linestyle=style.dash if joined else "none",
            marker=style.marker,
            markersize=3.5,
            linewidth=1.2,
            elinewidth=0.8,
        )
        if drawn[metric].notna().to_numpy().any():
            line.lines[0].set_label(drawable(names[k]) if names else "")
            keys.append(line.lines[0])
    if not numbers:
        ax.set_xticks(list(places.values()), [drawable(str(v), 14) for v in places])
    elif frame[over].min() > 0 and frame[over].max() >= 30 * frame[over].min():
        log_axis(ax, "x")
    empty = "" if frame[metric].notna().any() else "no cell has a figure for it"
    below = over if empty else over + _left_out(frame, metric)
    label = f"{metric.replace('_', ' ')}{_unit(metric)}"
    keys = keys if names else []
    return finish(ax, f"{label} by {over}", below, label, keys, empty=empty, legend=legend)


def plot_trade_off(
    sweep: Sweep,
    x: str = "cost",
    y: str | None = None,
    ax: Axes | None = None,
    *,
    legend: str = "",
) -> Axes:
    """One metric against another, a mark for each cell, with intervals.

    Parameters
    ----------
    sweep : Sweep
    x, y : str
        Metrics; cost, and goodput or else mean latency by default.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    legend : {"", "below", "right", "none"}
        Where names stand; by default below the axes.

    Raises
    ------
    SimulationError
        If there is no such metric or place for a legend.
    """
    y = sweep.ranked_by if y is None else y
    for name in (x, y):
        check_metric(name)
    frame: Any = sweep.to_frame()
    groups = _grouped(frame, sweep.varied)
    names = [] if groups is None else sorted(set(groups), key=_natural)
    ax = axes_or_new(ax, with_legend(names))
    keys = []
    for k, style in enumerate(policy_styles(max(1, len(names)))):
        part = frame if groups is None else frame[groups == names[k]]
        marks = ax.errorbar(
            part[x],
            part[y],
            xerr=part[f"{x}_hw"].fillna(0.0),
            yerr=part[f"{y}_hw"].fillna(0.0),
            color=style.colour,
            linestyle="none",
            marker=style.marker,
            markersize=3.5,
            elinewidth=0.5,
            alpha=0.8,
        )
        if names and part[[x, y]].notna().all(axis=1).to_numpy().any():
            marks.lines[0].set_label(drawable(names[k]))
            keys.append(marks.lines[0])
    both = (frame[x].notna() & frame[y].notna()).any()
    said = [f"{name.replace('_', ' ')}{_unit(name)}" for name in (x, y)]
    title = f"{y.replace('_', ' ')} against {x.replace('_', ' ')}"
    empty = "" if both else "no cell has figures for both"
    below = said[0] if empty else said[0] + _left_out(frame, x, y)
    return finish(ax, title, below, said[1], keys, empty=empty, legend=legend)


def _left_out(frame: Any, *metrics: str) -> str:
    """How many cells have no figure, to be written under the axis."""
    missing = int(frame[list(metrics)].isna().any(axis=1).sum())
    return f"\nleft out: {missing:,} of {len(frame):,} cells, without a figure" if missing else ""


def _most_varied(frame: Any, varied: list[str]) -> str:
    """The numbers with the most values, or else what has the most."""

    def rank(name: str) -> tuple[bool, int]:
        return is_numeric_dtype(frame[name]) and name != "seed", frame[name].nunique()

    return max(varied, key=rank)


def _grouped(frame: Any, others: list[str]) -> Any:
    """A name for each cell by which it is coloured; None for no colours."""
    others = [name for name in others if frame[name].nunique() > 1 and name != "seed"]
    words = [name for name in others if not is_numeric_dtype(frame[name])]
    few = [
        name for name in others if frame[name].nunique() <= (_NAMES if name in words else _LINES)
    ]
    if few and len(frame[few].drop_duplicates()) > _LINES:
        few = [max(few, key=lambda each: (each in words, frame[each].nunique()))]
    if few:
        rows = frame[few].itertuples(index=False)
        said = [
            ", ".join(_called(name, v) for name, v in zip(few, row, strict=True)) for row in rows
        ]
        return pd.Series(said, index=frame.index)
    many = [name for name in others if is_numeric_dtype(frame[name])]
    if not many:
        return None
    name = many[0]
    ends = np.quantile(frame[name], [0, 1 / 3, 2 / 3, 1])
    third = np.clip(np.searchsorted(ends, frame[name], side="right") - 1, 0, 2)
    categories = [f"{name} {ends[k]:.3g} to {ends[k + 1]:.3g}" for k in range(3)]
    return pd.Series([categories[k] for k in third], index=frame.index)


def _called(name: str, value: object) -> str:
    """A value of what was varied; a policy's says what it is by itself."""
    said = display.parameter(value)
    return said if name == "policy" else f"{name} {said}"


def _natural(name: str) -> list[tuple[int, float, str]]:
    """A key by which numbers within names are in their order."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(k % 2, float(part) if k % 2 else 0.0, part) for k, part in enumerate(parts)]


def _unit(metric: str) -> str:
    """The unit of a metric, for its axis."""
    said = METRICS[metric]
    if "(s)" in said:
        return " (s)"
    return " (USD)" if said.startswith("USD") else " (1/s)" if "per second" in said else ""
