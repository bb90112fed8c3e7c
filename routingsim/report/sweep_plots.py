"""Figures of a sweep: a metric over what was varied, and one metric against another."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from routingsim import display
from routingsim.errors import SimulationError, did_you_mean
from routingsim.evaluation.cell import METRICS
from routingsim.evaluation.sweeps.result import Sweep, check_metric
from routingsim.report.axes import axes_or_new, drawable, finish, log_axis, with_legend
from routingsim.report.palette import policy_styles

_LINES = 6  # values of another axis that are told apart


def plot_sweep(
    sweep: Sweep, metric: str | None = None, ax: Axes | None = None, *, over: str | None = None
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
        What was varied: by default the numbers with the most values. Another axis with up to
        six values, or else a third of its range each, gets a line each; cells that share both
        are averaged.

    Raises
    ------
    SimulationError
        If there is no such metric or axis.
    """
    metric = sweep.ranked_by if metric is None else metric
    check_metric(metric)
    frame = sweep.to_frame()
    over = _most_varied(frame, sweep.varied) if over is None else over
    if over not in sweep.varied:
        raise SimulationError(
            f"over={over!r}: choose one of {', '.join(sweep.varied)}"
            f"{did_you_mean(str(over), sweep.varied)}"
        )
    others = [name for name in sweep.varied if name != over]
    groups = _grouped(frame, others)
    names = list(dict.fromkeys(groups.tolist())) if groups is not None else []
    ax = axes_or_new(ax, with_legend(names))
    numbers = is_numeric_dtype(frame[over]) and not is_bool_dtype(frame[over])
    places = {value: k for k, value in enumerate(dict.fromkeys(frame[over]))}
    keys = []
    for k, style in enumerate(policy_styles(max(1, len(names)))):
        part = frame if groups is None else frame[groups == names[k]]
        x = part[over] if numbers else part[over].map(places)
        table = pd.DataFrame({"x": x, "y": part[metric], "hw": part[f"{metric}_hw"]}).dropna(
            subset=["y"]
        )
        drawn = table.groupby("x").agg({"y": "mean", "hw": "mean"}).reset_index()
        line = ax.errorbar(
            drawn["x"],
            drawn["y"],
            yerr=drawn["hw"].fillna(0.0),
            color=style.colour,
            linestyle=style.dash if numbers else "none",
            marker=style.marker,
            markersize=3.5,
            linewidth=1.2,
            elinewidth=0.8,
            label=drawable(names[k]) if names else metric,
        )
        keys.append(line.lines[0])
    if not numbers:
        ax.set_xticks(list(places.values()), [drawable(str(v), 14) for v in places])
    elif frame[over].min() > 0 and frame[over].max() >= 30 * frame[over].min():
        log_axis(ax, "x")
    for key, name in zip(keys, names, strict=False):
        key.set_label(drawable(name))
    empty = "" if frame[metric].notna().any() else "no cell has a figure for it"
    label = f"{metric.replace('_', ' ')}{_unit(metric)}"
    return finish(ax, f"{label} by {over}", over, label, keys if names else [], empty=empty)


def plot_trade_off(
    sweep: Sweep, x: str = "cost", y: str | None = None, ax: Axes | None = None
) -> Axes:
    """One metric against another, a mark for each cell, with intervals.

    Parameters
    ----------
    sweep : Sweep
    x, y : str
        Metrics; cost, and goodput or else mean latency by default.
    ax : Axes, optional

    Raises
    ------
    SimulationError
        If there is no such metric.
    """
    y = sweep.ranked_by if y is None else y
    for name in (x, y):
        check_metric(name)
    frame = sweep.to_frame()
    groups = _grouped(frame, sweep.varied)
    names = [] if groups is None else list(dict.fromkeys(groups.tolist()))
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
        if names:
            marks.lines[0].set_label(drawable(names[k]))
            keys.append(marks.lines[0])
    both = (frame[x].notna() & frame[y].notna()).any()
    said = [f"{name.replace('_', ' ')}{_unit(name)}" for name in (x, y)]
    title = f"{y.replace('_', ' ')} against {x.replace('_', ' ')}"
    return finish(ax, title, *said, keys, empty="" if both else "no cell has figures for both")


def _most_varied(frame: pd.DataFrame, varied: list[str]) -> str:
    """The numbers with the most values, or else what has the most."""

    def rank(name: str) -> tuple[bool, int]:
        return is_numeric_dtype(frame[name]) and name != "seed", frame[name].nunique()

    return max(varied, key=rank)


def _grouped(frame: pd.DataFrame, others: list[str]) -> pd.Series | None:
    """By which other axis cells are told apart: the one with most values that can be shown."""
    few = [name for name in others if 1 < frame[name].nunique() <= _LINES and name != "seed"]
    if few:
        name = max(few, key=lambda each: frame[each].nunique())
        return frame[name].map(lambda value: f"{name} {display.parameter(value)}")
    many = [name for name in others if frame[name].nunique() > 1 and name != "seed"]
    many = [name for name in many if is_numeric_dtype(frame[name])]
    if not many:
        return None
    name = many[0]
    ends = np.quantile(frame[name], [0, 1 / 3, 2 / 3, 1])
    third = np.clip(np.searchsorted(ends, frame[name], side="right") - 1, 0, 2)
    said = [f"{name} {ends[k]:.3g} to {ends[k + 1]:.3g}" for k in range(3)]
    return pd.Series([said[k] for k in third], index=frame.index)


def _unit(metric: str) -> str:
    """The unit of a metric, for its axis."""
    said = METRICS[metric]
    if "(s)" in said:
        return " (s)"
    return " (USD)" if said.startswith("USD") else " (1/s)" if "per second" in said else ""
