"""Plots of a backtest: recorded and predicted latencies, and calls under way over time."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from routingsim.evaluation.backtest_result import Backtest
from routingsim.report.axes import axes_or_new, band, finish, log_axis
from routingsim.report.palette import INK, POLICIES

_COLOUR = POLICIES[0]
_UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0), ("s", 1.0))


def _keys() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=INK, linewidth=1.4, label="recorded"),
        Line2D([], [], color=_COLOUR, linewidth=1.4, linestyle="--", label="predicted"),
        Patch(color=_COLOUR, alpha=0.25, linewidth=0, label="95 % of replays"),
    ]


def plot_backtest_latency(found: Backtest, ax: Axes | None = None, *, legend: str = "") -> Axes:
    """Share of held-out answers against latency (s, log scale), recorded and predicted."""
    ax, curves = axes_or_new(ax), found.answers
    share = 100 * curves["share"]
    ax.fill_betweenx(share, curves["low"], curves["high"], color=_COLOUR, alpha=0.25, linewidth=0)
    ax.plot(curves["recorded"], share, color=INK, linewidth=1.4)
    ax.plot(curves["predicted"], share, color=_COLOUR, linewidth=1.4, linestyle="--")
    if (curves["low"] > 0).all():
        log_axis(ax)
    ax.set_ylim(0, 101)
    labels = "Latency", "latency (s)", "answers (%)"
    return finish(ax, *labels, _keys(), legend=legend)


def plot_backtest_load(found: Backtest, ax: Axes | None = None, *, legend: str = "") -> Axes:
    """Mean number of calls under way over the held-out time, recorded and predicted."""
    ax, load = axes_or_new(ax), found.load
    span = float(load.length.sum())
    unit, seconds = next((u, s) for u, s in _UNITS if span >= 2 * s or s == 1.0)
    middle = (load.begin + load.length / 2 - load.begin[0]) / seconds
    band(ax, middle, load.low, load.high, _COLOUR, 0.25)
    ax.plot(middle, load.recorded, color=INK, linewidth=1.4)
    ax.plot(middle, load.predicted, color=_COLOUR, linewidth=1.4, linestyle="--")
    ax.set_ylim(bottom=0, top=1.05 * max(float(np.max([load.recorded, load.high])), 1e-9))
    labels = "Calls under way", f"held-out time ({unit})", "calls"
    return finish(ax, *labels, _keys(), legend=legend)
