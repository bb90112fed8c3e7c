"""What all plots share: axes, their dress, scales and labels."""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
from matplotlib import font_manager, ft2font, ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from routingsim.report.palette import GRID, INK, MUTED

__all__ = [
    "axes",
    "dress",
    "label",
    "legend_below",
    "log_axis",
    "nothing_to_show",
    "spread_labels",
]

_WIDTH, _HEIGHT = 4.2, 3.0  # inches; everything stays legible down to 8 cm


def axes(ax: Axes | None, height: float = _HEIGHT) -> Axes:
    """The axes given, or those of a new pyplot figure, which a notebook shows."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # only where wanted: it chooses a backend

    return pyplot.subplots(figsize=(_WIDTH, height), layout="constrained")[1]


def dress(ax: Axes, title: str, x: str, y: str, grid: Literal["x", "y", "both"] = "y") -> None:
    """Title, axis labels with their units, a light grid, and no box."""
    ax.set_title(label(title, 40), loc="left", fontsize=9, fontweight="bold", color=INK)
    ax.set_xlabel(x, fontsize=8, color=MUTED)
    ax.set_ylabel(y, fontsize=8, color=MUTED)
    ax.tick_params(which="both", colors=MUTED, labelsize=8, length=3, width=0.6)
    ax.tick_params(which="minor", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.grid(visible=False)
    ax.grid(visible=True, axis=grid, color=GRID, linewidth=0.5)


def log_axis(ax: Axes, which: Literal["x", "y"] = "x") -> None:
    """A log axis with plain numbers at 1, 2 and 5 or, over many decades, at powers of ten."""

    def form(value: float, _: object) -> str:
        low, high = getattr(ax, f"get_{which}lim")()
        decades = np.log10(high / low)
        power = np.isclose(np.log10(value) % 1, [0, 1]).any()
        return f"{value:g}" if power or decades < 2.8 else ""

    getattr(ax, f"set_{which}scale")("log")
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(ticker.FuncFormatter(form))
    axis.set_minor_locator(ticker.NullLocator())


def nothing_to_show(ax: Axes, why: str) -> None:
    """Say in the middle of empty axes why they are."""
    ax.set(xticks=[], yticks=[])
    ax.text(
        0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", fontsize=8, color=MUTED
    )


def spread_labels(ax: Axes, xs: Sequence[float], ys: Sequence[float], names: Sequence[str]) -> None:
    """Name points beside them, on the side with room, no two names in one place."""
    line = 10.0  # points between two names
    figure = ax.get_figure(root=True)
    assert figure is not None
    points = 72 / figure.dpi
    where = ax.transData.transform(np.column_stack([xs, ys])) * points
    middle = ax.transAxes.transform((0.5, 0.5))[0] * points
    free = {True: -np.inf, False: -np.inf}
    for k in np.argsort(where[:, 1], kind="stable").tolist():
        right = bool(where[k, 0] <= middle)
        at = max(where[k, 1], free[right] + line)
        free[right] = at
        ax.annotate(
            str(names[k]),
            (xs[k], ys[k]),
            xytext=(8 if right else -8, at - where[k, 1]),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=7.5,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": GRID, "linewidth": 0.6, "shrinkB": 3},
        )


def legend_below(ax: Axes, keys: Sequence[Line2D | Patch]) -> None:
    """A legend under the axes: never in front of the data."""
    figure = ax.get_figure(root=True)
    if not keys or figure is None:
        return
    ax.legend(
        handles=list(keys),
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=ax.transAxes + ScaledTranslation(0, -32 / 72, figure.dpi_scale_trans),
        ncols=3 if max(len(str(key.get_label())) for key in keys) <= 11 else 2,
        frameon=False,
        fontsize=7,
        labelcolor=MUTED,
        handlelength=1.6,
        columnspacing=1.2,
        borderaxespad=0,
    )


def label(text: str, most: int) -> str:
    """A name as matplotlib can draw it: short, no mathematics, no glyph that its font lacks."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    drawable = "".join(c if _font().get_char_index(ord(c)) else "?" for c in short)
    return drawable.replace("$", r"\$")


@cache
def _font() -> ft2font.FT2Font:
    return font_manager.get_font(font_manager.findfont("DejaVu Sans"))
