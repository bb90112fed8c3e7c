"""What all plots share: axes and their labels, scales, lines and legends."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager, ft2font, ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from routingsim.display import middle
from routingsim.errors import SimulationError
from routingsim.report.labels import Mark, make_room, name_ends, name_marks, remove
from routingsim.report.palette import GRID, INK, MUTED

Look = dict[str, Any]
"""How matplotlib draws a line, a mark or an area, by its own names."""

LEGENDS = ("", "below", "right", "direct", "none")
"""Where names stand: below the axes, right of them, at the marks themselves, or nowhere. "" is
below, or where the axes would become too low at the marks, and without marks right of the axes.
Names that have no room at their marks are right of the axes, too."""

INTERVALS = ("bars", "bands", "none")
"""How 95 % intervals are drawn."""

_LONGEST = 46  # characters of a policy's name that a plot 8 cm wide has room for
_AT_MARK = 24  # of one that stands at its mark
_TO_LEGEND, _LABELS, _LEFT = 11, 21, 34  # points to a legend: fixed, those of labels, left
_WIDTH, _HEIGHT = 4.2, 3.0  # inches; everything stays legible down to 8 cm
_NARROW = 3.15  # inches: 8 cm
_AROUND, _LEAST = 0.8, 1.0  # inches of title and labels, and of axes that are not too low
_LINE = 0.14  # inches of a further line of a label
_TITLE = 0.5  # inches that a label beside the axes may be longer than these, about their middle


def font(size: float) -> float:
    """A size in points where matplotlib's ``font.size`` is 10, in proportion to that."""
    return size * mpl.rcParams["font.size"] / 10


def axes_or_new(ax: Axes | None, height: float = _HEIGHT) -> Axes:
    """The axes given, or those of a new pyplot figure, which a notebook shows."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # only where it is needed: the import chooses a backend

    height *= max(font(1), 1.0)  # larger words need more room
    return pyplot.subplots(figsize=(_WIDTH, height), layout="constrained")[1]


def finish(
    ax: Axes,
    title: str,
    x: str,
    y: str,
    *legends: Sequence[Line2D | Patch],
    grid: Literal["x", "y", "both"] = "y",
    empty: str = "",
    legend: str = "below",
    marks: Sequence[Mark] | None = None,
    lines: bool = False,
) -> Axes:
    """Set the title and the axis labels with their units; draw a light grid and no box.

    The labels say where a scale is logarithmic.
    Each group of keys becomes a legend below the axes, or where ``legend`` says; ``marks`` are
    what has a name where names stand at the marks, with ``lines`` the last points of lines. Where
    one has no room, all are in a legend right of the axes. ``empty`` is why nothing is drawn, to
    be written into the middle. Fonts are in proportion to matplotlib's ``font.size``.

    Raises
    ------
    SimulationError
        If there is no such place for a legend.
    """
    places = [each for each in LEGENDS[1:] if marks is not None or each != "direct"]
    if legend and legend not in places:
        raise SimulationError(f"legend={legend!r}: choose one of {', '.join(places)}")
    if empty:
        ax.set(xticks=[], yticks=[])
        at = {"transform": ax.transAxes, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, empty, at, fontsize=font(8), color=MUTED)
    size = 9.0 if len(title) <= 26 else 7.5 if len(title) <= 35 else 6.5  # each fits 8 cm
    ax.set_title(drawable(title, 40), loc="left", fontsize=font(size), fontweight="bold", color=INK)
    x, y = (_scaled(label, axis) for label, axis in ((x, ax.xaxis), (y, ax.yaxis)))
    ax.set_xlabel(x, fontsize=font(8), color=MUTED)
    groups = [keys for keys in legends if keys]
    names = [[str(key.get_label()) for key in keys] for keys in groups]
    width, height = _cell(ax)
    low = legend_height(*names, width=width, scale=font(1))
    free = height - font(_AROUND + _LINE * x.count("\n"))
    if not legend:
        beside = "right" if marks is None else "direct"
        legend = "below" if free - low >= _LEAST else beside
    room = free - low * (legend == "below")
    ax.set_ylabel(_folded(y, room + font(_TITLE)), fontsize=font(8), color=MUTED)
    ax.tick_params(which="both", colors=MUTED, labelsize=font(8), length=3, width=0.6)
    ax.tick_params(which="minor", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.grid(visible=False)
    ax.grid(visible=True, axis=grid, color=GRID, linewidth=0.5)
    if legend == "direct" and not _at_marks(ax, marks or (), lines):
        legend = "right"
    if legend == "right":
        _beside(ax, [key for keys in groups for key in keys])
    elif legend == "below":
        _legends(ax, groups)
    return ax


def _scaled(label: str, axis: Axis) -> str:
    """A label, the first line of which says where the scale of its axis is logarithmic."""
    first, *more = label.split("\n")
    return "\n".join([first + ", log scale" * (axis.get_scale() == "log"), *more])


def _folded(label: str, inches: float) -> str:
    """A label whose unit is on a line of its own where one line is too long."""
    too_long = 0.55 * font(8) * len(label) > 72 * inches
    return label.replace(" (", "\n(", 1) if too_long else label


def _cell(ax: Axes) -> tuple[float, float]:
    """Width and height in inches of the part of the figure that belongs to the axes."""
    figure, spec = ax.get_figure(root=True), ax.get_subplotspec()
    assert figure is not None
    width, height = figure.get_size_inches().tolist()
    rows, columns = (1, 1) if spec is None else spec.get_gridspec().get_geometry()
    return width / columns, height / rows


def _at_marks(ax: Axes, marks: Sequence[Mark], lines: bool) -> bool:
    """Write names at their marks, right of the axes where these are the ends of ``lines``."""
    named = [mark._replace(name=drawable(mark.name, _AT_MARK)) for mark in marks]
    last = max((mark.x for mark in marks), default=0.0)
    ends = [mark for mark in named if lines and mark.x == last]
    written = name_ends(ax, ends, font(7))
    if written is None:
        return False
    if name_marks(ax, [mark for mark in named if mark not in ends], font(7)) is None:
        remove(written)
        return False
    return True


def _beside(ax: Axes, keys: Sequence[Line2D | Patch]) -> None:
    """Draw one legend right of the axes, closer where it would be higher than these."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    room, box = _cell(ax)[1] - font(_AROUND), ax.bbox
    for size, between in ((7.0, 0.4), (7.0, 0.1), (6.0, 0.0), (5.0, 0.0)):
        legend = ax.legend(
            handles=list(keys),
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            frameon=False,
            fontsize=font(size),
            labelcolor=MUTED,
            handlelength=1.6,
            borderaxespad=0,
            borderpad=0,
            labelspacing=between,
        )
        box = legend.get_window_extent()
        if box.height <= room * figure.dpi:
            break
    make_room(ax, box.x1)


def _legends(ax: Axes, groups: Sequence[Sequence[Line2D | Patch]]) -> None:
    """Draw legends under the axes, one under the other, so that none hides the data."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    more = 72 * _LINE * ax.get_xlabel().count("\n")
    below = down = _TO_LEGEND + font(_LABELS + more)
    width = _cell(ax)[0]
    for keys in groups:
        if (above := ax.get_legend()) is not None and down > below:
            ax.add_artist(above)
        to = ScaledTranslation(-font(_LEFT) / 72, -down / 72, figure.dpi_scale_trans)
        legend = ax.legend(
            handles=list(keys),
            loc="upper left",
            bbox_to_anchor=(0.0, 0.0),
            bbox_transform=ax.transAxes + to,
            ncols=_columns([str(key.get_label()) for key in keys], width, font(1)),
            frameon=False,
            fontsize=font(7),
            labelcolor=MUTED,
            handlelength=1.6,
            columnspacing=1.2,
            borderaxespad=0,
            borderpad=0,
            labelspacing=0.4,
        )
        down += legend.get_window_extent().height * 72 / figure.dpi + 4


def check_intervals(intervals: str) -> None:
    """Refuse an unknown way to draw intervals.

    Raises
    ------
    SimulationError
        If it is unknown.
    """
    if intervals not in INTERVALS:
        raise SimulationError(f"intervals={intervals!r}: choose one of {', '.join(INTERVALS)}")


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


def legend_height(*groups: Sequence[str], width: float = _NARROW, scale: float = 1.0) -> float:
    """About how many inches the legends of these names take, below axes so wide.

    ``scale`` is that of the fonts; 1 where ``font.size`` is 10, as in reports.
    """
    rows = (-(-len(names) // _columns(names, width, scale)) for names in groups if names)
    return sum(0.04 + 0.16 * scale * each for each in rows)


def _columns(names: Sequence[str], width: float = _NARROW, scale: float = 1.0) -> int:
    """How many columns of a legend fit below a plot; at least as wide as 8 cm counts as that."""
    longest = max(map(len, names)) * scale * _NARROW / min(width, _NARROW)
    return 3 if longest <= 12 else 2 if longest <= 22 else 1


def drawable(text: str, most: int = _LONGEST) -> str:
    """A name as matplotlib can draw it: short, no mathematics, no glyph that its font lacks."""
    known = (c if _font().get_char_index(ord(c)) else "?" for c in middle(text, most))
    return "".join(known).replace("$", r"\$")


@cache
def _font() -> ft2font.FT2Font:
    return font_manager.get_font(font_manager.findfont("DejaVu Sans"))
