"""Names at the marks of a plot, or at the ends of its lines, each where it hides nothing."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from routingsim.report.palette import OTHERS

_FAR = 3  # lines of text between a mark and its name at most
_STEP = 3  # pixels between two points of a line that may strike a name through


class Mark(NamedTuple):
    """A point of the axes with a name and a colour."""

    name: str
    colour: str
    x: float
    y: float


def name_marks(ax: Axes, marks: Sequence[Mark], size: float) -> list[Annotation] | None:
    """Write each name beside its mark, or none of them where one has no room.

    A name stands within the axes and on no other name or mark, and on as few lines and bars as
    can be; one that is not beside its mark is joined to it.

    Parameters
    ----------
    ax : Axes
    marks : sequence of Mark
    size : float
        Of the names, in points.

    Returns
    -------
    list of Annotation, or None
        What was written; None where a name has no room.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    ordered = sorted(marks, key=lambda mark: (mark.colour == OTHERS, -mark.y))
    texts = [_text(ax, mark, size) for mark in ordered]
    lines = []
    for text in texts:
        text.set_in_layout(False)
    figure.draw_without_rendering()  # the layout is settled from here on
    pixels = figure.dpi / 72
    points = [ax.transData.transform((mark.x, mark.y)) for mark in ordered]
    taken = [Bbox.from_extents(*(at - 4 * pixels), *(at + 4 * pixels)) for at in points]
    drawn = _drawn(ax)
    for text, at in zip(texts, points, strict=True):
        box = text.get_window_extent()
        extent = np.array([box.width, box.height]) / pixels
        best, least = None, math.inf
        for place, (across, up) in enumerate(_places(*extent)):
            corner = at + pixels * np.array([across, up])
            found = Bbox.from_bounds(*corner, *(pixels * extent))
            inside = ax.bbox.x0 <= found.x0 and found.x1 <= ax.bbox.x1
            inside = inside and ax.bbox.y0 <= found.y0 and found.y1 <= ax.bbox.y1
            if not inside or any(found.overlaps(other) for other in taken):
                continue
            struck = int(((drawn >= found.min) & (drawn <= found.max)).all(axis=1).sum())
            if struck > max(0.35 * found.width, 1.5 * found.height) / _STEP:
                continue
            if (cost := struck + 2 * place) < least:
                best, least = (found, across, up), cost
        if best is None:
            remove([*texts, *lines])
            return None
        found, across, up = best
        text.set_position((across, up))
        lines += _join_from_side(ax, text, extent)
        taken.append(found)
    return [*texts, *lines]


def name_ends(ax: Axes, marks: Sequence[Mark], size: float) -> list[Annotation] | None:
    """Write names right of the axes, one under the other, each joined to the end of its line.

    Parameters and result are those of :func:`name_marks`.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    ordered = sorted(marks, key=lambda mark: -mark.y)
    texts = [_text(ax, mark, size) for mark in ordered]
    figure.draw_without_rendering()
    step, pixels = 1.25 * size, figure.dpi / 72
    make_room(ax, max((text.get_window_extent().x1 for text in texts), default=0.0) + 6 * pixels)
    if step * len(texts) > ax.bbox.height / pixels + step:
        remove(texts)
        return None
    heights = [ax.transData.transform((mark.x, mark.y))[1] / pixels for mark in ordered]
    least, above, lines = ax.bbox.y0 / pixels, math.inf, []
    for k, (text, height) in enumerate(zip(texts, heights, strict=True)):
        room = least + step * (len(texts) - 1 - k)  # for those below
        above = max(min(height, above - step), room)
        text.set_position((10, above - height))
        text.set_verticalalignment("center")
        lines.append(_join(ax, text, (9, above - height)))
    return [*texts, *lines]


def make_room(ax: Axes, end: float) -> None:
    """Make the axes narrower where what stands right of them ends beyond the figure.

    A figure with a layout engine does so by itself; ``end`` is in pixels.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    beyond = (end - figure.bbox.x1) / figure.bbox.width + 0.01  # other resolutions round otherwise
    at = ax.get_position()
    if figure.get_layout_engine() is None and 0.01 < beyond < at.width:
        ax.set_position((at.x0, at.y0, at.width - beyond, at.height))


def remove(written: Sequence[Annotation]) -> None:
    """Take names off the plot again."""
    for each in written:
        each.remove()


def _text(ax: Axes, mark: Mark, size: float) -> Annotation:
    figure = ax.get_figure(root=True)
    assert figure is not None
    halo = withStroke(linewidth=2, foreground=figure.get_facecolor(), alpha=0.75)
    return ax.annotate(
        mark.name,
        (mark.x, mark.y),
        xytext=(5, 0),
        textcoords="offset points",
        va="bottom",
        fontsize=size,
        color=mark.colour,
        annotation_clip=False,
        path_effects=[halo],
    )


def _places(width: float, height: float) -> list[tuple[float, float]]:
    """Lower left corners of a name around its mark, in points from it, the best first."""
    level, gap = -height / 2, 5.0
    near = [(gap, level), (-gap - width, level)]
    for lines in np.arange(0, _FAR, 0.5):
        for up in (gap + lines * height, -gap - (lines + 1) * height):
            for across in (-width / 2, 2.0, -2.0 - width):
                near.append((across, up))
        if lines:
            for across in (gap + lines * height, -gap - lines * height - width):
                near += [(across, level + lines * height), (across, level - lines * height)]
    return near


def _drawn(ax: Axes) -> NDArray[np.float64]:
    """Points of all lines and bars, close enough that none passes through a name unseen."""
    parts = [line.get_transform().transform(line.get_xydata()) for line in ax.lines]
    for bars in ax.collections:
        if isinstance(bars, LineCollection):
            parts += [bars.get_transform().transform(each) for each in bars.get_segments()]
    found = [np.zeros((0, 2))]
    for part in parts:
        for start, end in itertools.pairwise(part):
            steps = np.clip(np.hypot(*(end - start)) / _STEP, 2, 500)
            found.append(np.linspace(start, end, int(steps)) if np.isfinite(steps) else part[:0])
    return np.concatenate(found)


def _join_from_side(ax: Axes, text: Annotation, extent: NDArray[np.float64]) -> list[Annotation]:
    """Draw a line from the mark to its name, unless that stands beside it."""
    across, up = text.get_position()
    width, height = extent.tolist()
    beside = across > 0 or across + width < 0
    x = (across if across > 0 else across + width) if beside else 0.0
    y = up + height / 2 if beside else up if up > 0 else up + height
    return [_join(ax, text, (x, y))] if math.hypot(x, y) > 8 else []


def _join(ax: Axes, text: Annotation, end: tuple[float, float]) -> Annotation:
    """Draw a line from the text's mark to a point, in points from it."""
    look = {"arrowstyle": "-", "color": text.get_color(), "linewidth": 0.5}
    line = ax.annotate(
        "",
        text.xy,
        xytext=end,
        textcoords="offset points",
        annotation_clip=False,
        arrowprops={**look, "shrinkA": 0, "shrinkB": 3},
    )
    line.set_in_layout(False)
    return line
