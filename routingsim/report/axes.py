"""What all plots share: axes and their labels, scales, lines and legends."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from matplotlib import font_manager, ft2font, ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from routingsim.display import middle
from routingsim.report.palette import GRID, INK, MUTED

Look = dict[str, Any]
"""How matplotlib draws a line, a mark or an area, by its own names."""

_LONGEST = 46  # characters of a policy's name that a plot 8 cm wide has room for
_TO_LEGEND, _LEFT = 32, 34  # points below and left of the corner of the axes
_WIDTH, _HEIGHT = 4.2, 3.0  # inches; everything stays legible down to 8 cm


def axes_or_new(ax: Axes | None, height: float = _HEIGHT) -> Axes:
    """The axes given, or those of a new pyplot figure, which a notebook shows."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # only where it is needed: the import chooses a backend

    return pyplot.subplots(figsize=(_WIDTH, height), layout="constrained")[1]


def finish(
    ax: Axes,
    title: str,
    x: str,
    y: str,
    *legends: Sequence[Line2D | Patch],
    grid: Literal["x", "y", "both"] = "y",
    empty: str = "",
) -> Axes:
    """Set the title and the axis labels with their units; draw a light grid and no box.

    Each group of keys becomes a legend below the axes. ``empty`` is why nothing is drawn,
    to be written into the middle.
    """
    if empty:
        ax.set(xticks=[], yticks=[])
        at = {"transform": ax.transAxes, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, empty, at, fontsize=8, color=MUTED)
    size = 9.0 if len(title) <= 26 else 7.5 if len(title) <= 35 else 6.5  # each fits 8 cm
    ax.set_title(drawable(title, 40), loc="left", fontsize=size, fontweight="bold", color=INK)
    ax.set_xlabel(x, fontsize=8, color=MUTED)
    ax.set_ylabel(y, fontsize=8, color=MUTED)
    ax.tick_params(which="both", colors=MUTED, labelsize=8, length=3, width=0.6)
    ax.tick_params(which="minor", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.grid(visible=False)
    ax.grid(visible=True, axis=grid, color=GRID, linewidth=0.5)
    _legends(ax, [keys for keys in legends if keys])
    return ax


def _legends(ax: Axes, groups: Sequence[Sequence[Line2D | Patch]]) -> None:
    """Draw legends under the axes, one under the other, so that none hides the data."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    down = _TO_LEGEND
    for keys in groups:
        if (above := ax.get_legend()) is not None and down > _TO_LEGEND:
            ax.add_artist(above)
        to = ScaledTranslation(-_LEFT / 72, -down / 72, figure.dpi_scale_trans)
        legend = ax.legend(
            handles=list(keys),
            loc="upper left",
            bbox_to_anchor=(0.0, 0.0),
            bbox_transform=ax.transAxes + to,
            ncols=_columns([str(key.get_label()) for key in keys]),
            frameon=False,
            fontsize=7,
            labelcolor=MUTED,
            handlelength=1.6,
            columnspacing=1.2,
            borderaxespad=0,
            borderpad=0,
            labelspacing=0.4,
        )
        down += legend.get_window_extent().height * 72 / figure.dpi + 4


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


def band(ax: Axes, x: Any, low: Any, high: Any, colour: str, alpha: float = 0.15) -> None:
    """Shade what lies between two lines, as an interval does around its mean."""
    ax.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)


def with_legend(*groups: Sequence[str]) -> float:
    """Inches that a plot needs for its axes and for legends of these names below them."""
    return 2.4 + legend_height(*(list(map(drawable, names)) for names in groups))


def legend_height(*groups: Sequence[str]) -> float:
    """About how many inches the legends of these names take."""
    return sum(0.04 + 0.16 * -(-len(names) // _columns(names)) for names in groups if names)


def _columns(names: Sequence[str]) -> int:
    """How many columns of a legend fit under a plot 8 cm wide."""
    longest = max(map(len, names))
    return 3 if longest <= 12 else 2 if longest <= 22 else 1


def drawable(text: str, most: int = _LONGEST) -> str:
    """A name as matplotlib can draw it: short, no mathematics, no glyph that its font lacks."""
    known = (c if _font().get_char_index(ord(c)) else "?" for c in middle(text, most))
    return "".join(known).replace("$", r"\$")


@cache
def _font() -> ft2font.FT2Font:
    return font_manager.get_font(font_manager.findfont("DejaVu Sans"))
