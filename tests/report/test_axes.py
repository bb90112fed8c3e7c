"""Titles and names fit a plot 8 cm wide."""

from itertools import combinations

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.report.axes import Mark, drawable, finish, legend_height
from routingsim.report.palette import OTHERS, POLICIES
from routingsim.simulation.replay import replay

LONG = "threshold:low=0.21,medium=0.55,spill=0"


@pytest.mark.slow
def test_a_title_fits(corpus: Corpus) -> None:
    run = replay(corpus, policy=LONG, arrivals="poisson:1")
    for plot in (run.plot_usage, run.plot_latency, run.plot_queue):
        ax = plot(ax=Figure(figsize=(3.15, 2.6), layout="constrained").subplots())
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()
        (title,) = (t for t in ax.findobj(Text) if isinstance(t, Text) and t.get_text() == LONG)
        assert title.get_window_extent().x1 <= figure.bbox.x1


def test_a_name_is_cut_in_its_middle() -> None:
    assert drawable("abcdefghij", 10) == "abcdefghij"
    assert drawable("abcdefghijk", 10) == "abcde…hijk"


def test_a_name_has_no_mathematics_and_no_unknown_glyph() -> None:
    assert drawable("路由 $x$") == r"?? \$x\$"


def test_a_legend_has_as_many_columns_as_fit() -> None:
    assert legend_height(["x" * 12] * 3) == legend_height(["x" * 22] * 2) == 0.2
    assert legend_height(["x" * 13] * 3) == legend_height(["x" * 23] * 2) == 0.36
    assert legend_height(["x"], []) == 0.2
    assert legend_height(["x"], ["y"]) == 0.4


def paper(size: float, *marks: Mark, lines: bool = False, legend: str = "") -> Axes:
    """Axes of a paper's column with named points, at a size of fonts."""
    with mpl.rc_context({"font.size": size}):
        ax = Figure(figsize=(3.3, 2.4), layout="constrained").subplots()
        keys = [Line2D([], [], color=m.colour, label=m.name) for m in marks]
        for mark in marks:
            ax.plot(mark.x, mark.y, "o", color=mark.colour)
        finish(ax, "Title", "x (s)", "y (0–1)", keys, legend=legend, marks=marks, lines=lines)
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()
    return ax


POINTS = [Mark(f"policy {k}", POLICIES[k % 4], 1 + k % 3, 0.5 + 0.01 * k) for k in range(7)]


@pytest.mark.parametrize("size", [6, 8, 10, 12, 16])
def test_at_any_font_size_the_axes_keep_their_height_and_no_name_hides_another(size: float) -> None:
    ax = paper(size, *POINTS)
    assert ax.get_position().height * 2.4 > 0.8
    assert ax.xaxis.label.get_fontsize() == pytest.approx(0.8 * size)
    names = [text for text in ax.texts if text.get_text().startswith("policy")]
    assert (ax.get_legend() is None) == bool(names) == (size >= 12)
    boxes = [text.get_window_extent() for text in names]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_legend_stands_where_it_is_asked_for() -> None:
    below, right = paper(8, *POINTS, legend="below"), paper(8, *POINTS, legend="right")
    for ax, where in ((below, "y1"), (right, "x0")):
        legend = ax.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        assert box.y1 <= ax.bbox.y0 if where == "y1" else box.x0 >= ax.bbox.x1
    for named in ("none", "direct"):
        assert paper(8, *POINTS, legend=named).get_legend() is None
    with pytest.raises(SimulationError, match="legend='top': choose one of below, right, direct"):
        paper(8, *POINTS, legend="top")


def test_ends_of_lines_have_their_names_right_of_the_axes_and_apart() -> None:
    ends = [Mark(f"line {k}", POLICIES[k % 4], 3.0, 0.5 + 0.001 * k) for k in range(5)]
    early = Mark("early", POLICIES[0], 1.0, 0.51)
    ax = paper(12, *ends, early, legend="direct", lines=True)
    texts = {text.get_text(): text.get_window_extent() for text in ax.texts if text.get_text()}
    assert len(texts) == 6
    assert texts.pop("early").x1 <= ax.bbox.x1
    assert all(box.x0 > ax.transData.transform((3.0, 0.5))[0] for box in texts.values())
    assert not any(one.overlaps(other) for one, other in combinations(texts.values(), 2))
    ends = [Mark(f"line {k}", POLICIES[k % 4], 3.0, 0.5 + 0.001 * k) for k in range(30)]
    ax = paper(8, *ends, early, legend="direct", lines=True)
    assert not ax.texts
    assert len(in_legend(ax)) == 31


def in_legend(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("size", [6, 8, 10])
def test_where_one_name_has_no_room_all_are_in_a_legend(size: float) -> None:
    crowd = [Mark(f"control {k}", OTHERS, 2.0, 0.5) for k in range(30)]
    ax = paper(size, *POINTS[:2], *crowd, legend="direct")
    assert not ax.texts
    assert in_legend(ax) == [mark.name for mark in (*POINTS[:2], *crowd)]


@pytest.mark.parametrize("size", [6, 8, 10])
def test_a_name_is_on_no_other_name_or_mark_and_within_the_axes(size: float) -> None:
    beside = [Mark(f"control {k}", OTHERS, 1.2 + 0.5 * k, 0.53 - 0.006 * k) for k in range(3)]
    marks = (*POINTS, *beside)
    ax = paper(size, *marks, legend="direct")
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(boxes) == len(marks)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    points = [ax.transData.transform((mark.x, mark.y)) for mark in marks]
    assert not any(box.contains(*point) for box in boxes for point in points)
    assert all(ax.bbox.x0 <= b.x0 and b.x1 <= ax.bbox.x1 and b.y1 <= ax.bbox.y1 for b in boxes)


def test_a_label_names_a_log_scale() -> None:
    ax = Figure(figsize=(4, 4)).subplots()
    ax.set_xscale("log")
    finish(ax, "t", "cost (USD)\nleft out: 2", "quality")
    assert ax.get_xlabel() == "cost (USD), log scale\nleft out: 2"
    assert ax.get_ylabel() == "quality"


def test_a_long_label_is_folded_before_its_unit() -> None:
    ax = Figure(figsize=(3.3, 1.6), layout="constrained").subplots()
    finish(ax, "Title", "x", "quality lost so far (0–1, sum)", legend="none")
    assert ax.get_ylabel() == "quality lost so far\n(0–1, sum)"
    ax = Figure(figsize=(3.3, 3.2), layout="constrained").subplots()
    finish(ax, "Title", "x", "quality lost so far (0–1, sum)", legend="none")
    assert ax.get_ylabel() == "quality lost so far (0–1, sum)"


@pytest.mark.parametrize("legend", ["right", "direct"])
def test_without_a_layout_the_axes_leave_room_for_names_beside_them(legend: str) -> None:
    ax = Figure(figsize=(3.3, 2.4)).subplots()
    ends = [Mark("a rather long name", POLICIES[0], 1.0, 0.5), Mark("b", POLICIES[1], 1.0, 0.7)]
    keys = [ax.plot([0, m.x], [m.y, m.y], color=m.colour, label=m.name)[0] for m in ends]
    finish(ax, "Title", "x", "y", keys, legend=legend, marks=ends, lines=True)
    figure = ax.get_figure(root=True)
    assert figure is not None
    shown = ax.texts if legend == "direct" else [ax.get_legend()]
    assert all(each is not None and each.get_window_extent().x1 <= figure.bbox.x1 for each in shown)
