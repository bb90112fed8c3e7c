"""Titles and names fit a plot 8 cm wide."""

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from routingsim.corpora.corpus import Corpus
from routingsim.report.axes import drawable, legend_height
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
