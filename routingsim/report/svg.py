"""Plots as inline SVG in a page's own colours, and as PNG, the same bytes each time."""

import io
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from routingsim.report.palette import GRID, INK, MUTED

Drawing = Callable[[Axes], object]
_THEMED = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--rule)"}
_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def svg_plots(
    drawings: Sequence[Drawing], name: str, size: tuple[float, float] = (3.6, 2.8)
) -> list[str]:
    """Draw each plot on axes of its own; axes with the same label get the same range.

    ``name`` is unique in the page, and ids in the SVG begin with it; ``size`` is width and
    height in inches. Returned are ``<svg>`` elements with a viewBox, without width and height.
    Text is drawn as paths; colours of text and lines are the page's CSS variables --ink,
    --muted, --rule.
    """
    with _plain_style(), mpl.rc_context({"svg.hashsalt": name}):
        figures = _figures(drawings, size)
        return [_svg(figure, f"{name}-{k}") for k, figure in enumerate(figures, 1)]


def png_plots(drawings: Sequence[Drawing], size: tuple[float, float]) -> list[bytes]:
    """The same plots as PNG files on white."""
    with _plain_style():
        buffers = []
        for figure in _figures(drawings, size):
            buffers.append(io.BytesIO())
            figure.savefig(buffers[-1], format="png", dpi=150, metadata={"Software": None})
        return [buffer.getvalue() for buffer in buffers]


def _plain_style() -> AbstractContextManager[None]:
    """The user's own matplotlib style must not change the report."""
    return style.context("default", after_reset=True)


def _figures(drawings: Sequence[Drawing], size: tuple[float, float]) -> list[Figure]:
    figures = [Figure(figsize=size, layout="constrained") for _ in drawings]
    plots = [figure.subplots() for figure in figures]
    for plot, drawing in zip(plots, drawings, strict=True):
        drawing(plot)
    _share(plots)
    return figures


def _share(plots: Sequence[Axes]) -> None:
    """Set the same limits on all axes, so that plots side by side can be compared."""
    for axis in ("x", "y"):
        if len({getattr(plot, f"get_{axis}label")() for plot in plots}) > 1:
            continue
        limits = [getattr(plot, f"get_{axis}lim")() for plot in plots]
        falling = limits[0][0] > limits[0][1]
        low, high = min(map(min, limits)), max(map(max, limits))
        for plot in plots:
            getattr(plot, f"set_{axis}lim")((high, low) if falling else (low, high))


def _svg(figure: Figure, prefix: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="[^"]+"', head)
    assert box is not None
    body = re.sub(r' id="', f' id="{prefix}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{prefix}-', body)
    body = body.replace("url(#", f"url(#{prefix}-")
    # matplotlib's own style rule would apply to the whole page.
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    for colour, variable in _THEMED.items():
        body = body.replace(colour, variable)
    return f'<svg {box[0]} focusable="false" aria-hidden="true">{body.strip()}'
