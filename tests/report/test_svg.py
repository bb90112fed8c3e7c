"""Plots as SVG: the same bytes, the page's colours, the same scales."""

import re
from collections.abc import Callable

import pytest
from matplotlib.axes import Axes

from routingsim.report.palette import GRID, INK, MUTED
from routingsim.report.svg import svg_plots


def line(height: float, reverse: bool = False) -> tuple[Callable[[Axes], None], list[Axes]]:
    def draw(ax: Axes) -> None:
        ax.plot([0, 1], [0, height], color=INK)
        ax.set(xlabel="x", ylabel="y", ylim=(height, 0) if reverse else (0, height))
        drawn.append(ax)

    drawn: list[Axes] = []
    return draw, drawn


@pytest.mark.slow
def test_colours_are_the_pages_and_ids_unique() -> None:
    draw, _ = line(1.0)
    one, two = svg_plots([draw, draw], "name")
    for k, svg in enumerate((one, two), 1):
        assert svg.startswith('<svg viewBox="')
        assert "var(--ink)" in svg
        assert not any(colour in svg for colour in (INK, MUTED, GRID))
        assert all(found.startswith(f"name-{k}-") for found in re.findall(r' id="([^"]+)"', svg))
        assert "<style" not in svg
    assert svg_plots([draw, draw], "name") == [one, two]


@pytest.mark.slow
def test_plots_side_by_side_have_one_scale() -> None:
    (low, first), (high, second) = line(1.0), line(4.0)
    svg_plots([low, high], "a")
    assert first[0].get_ylim() == second[0].get_ylim() == (0, 4)
    (low, first), (high, second) = line(1.0, reverse=True), line(4.0, reverse=True)
    svg_plots([low, high], "a")
    assert first[0].get_ylim() == second[0].get_ylim() == (4, 0)


@pytest.mark.slow
def test_other_labels_other_scales() -> None:
    def draw(ax: Axes) -> None:
        ax.set(ylabel=f"y{len(drawn)}", ylim=(0, len(drawn) + 1))
        drawn.append(ax)

    drawn: list[Axes] = []
    svg_plots([draw, draw], "a")
    assert [ax.get_ylim() for ax in drawn] == [(0, 1), (0, 2)]
