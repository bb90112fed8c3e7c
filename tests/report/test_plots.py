"""Plots: they return the Axes given, have units, and cope with any run."""

from collections.abc import Callable
from itertools import product

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle

from routingsim.agents import AgentPool
from routingsim.errors import SimulationError
from routingsim.policies.policy import Policy, make_policy
from routingsim.report import plot_frontier, plots
from routingsim.report.palette import agent_colours
from routingsim.report.plot_data import waiting
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult

ONE = [plots.plot_usage, plots.plot_latency, plots.plot_queue, plots.plot_beside_controls]
MANY = [plots.plot_latencies, plot_frontier]


def small_axes() -> Axes:
    """Axes 8 cm wide."""
    return Figure(figsize=(3.15, 2.4), layout="constrained").subplots()


def widths(ax: Axes) -> list[float]:
    """Of the bars."""
    return [bar.get_width() for bar in ax.patches if isinstance(bar, Rectangle)]


def check(ax: Axes) -> None:
    """Drawn without a warning, and each axis says what it shows in which unit."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    assert any(unit in ax.get_xlabel() for unit in ("(%)", "(s)", "(min)", "(h)", "(USD"))
    assert ax.get_ylabel() == "agent" or any(
        unit in ax.get_ylabel() for unit in ("(%)", "(mean)", "(0–1)")
    )


@pytest.mark.slow
@pytest.mark.parametrize("plot", ONE)
def test_one_result_on_given_axes(plot: Callable[..., Axes], results: list[ReplayResult]) -> None:
    ax = small_axes()
    before = dict(mpl.rcParams)
    assert plot(results[1], ax=ax) is ax
    check(ax)
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == []


@pytest.mark.slow
@pytest.mark.parametrize("plot", MANY)
def test_several_results_on_given_axes(
    plot: Callable[..., Axes], results: list[ReplayResult]
) -> None:
    ax = small_axes()
    assert plot(results, ax=ax) is ax
    check(ax)
    assert pyplot.get_fignums() == []


def test_without_axes_a_notebook_shows_the_figure(results: list[ReplayResult]) -> None:
    ax = results[0].plot_usage()
    assert pyplot.get_fignums()
    assert ax.get_figure() is pyplot.gcf()


@pytest.mark.slow
@pytest.mark.parametrize("plot", ONE)
def test_any_run(plot: Callable[..., Axes], odd: ReplayResult) -> None:
    check(plot(odd, ax=small_axes()))


@pytest.mark.parametrize("plot", MANY)
def test_any_runs(plot: Callable[..., Axes], odd: ReplayResult) -> None:
    check(plot([odd, odd], ax=small_axes()))


def test_usage_shows_the_shares(results: list[ReplayResult]) -> None:
    result = results[1]
    ax = plots.plot_usage(result, ax=small_axes())
    shares = widths(ax)
    np.testing.assert_allclose(shares, 100 * result.summary()["share"].iloc[:-1])
    diamonds = np.asarray(ax.lines[0].get_xdata())
    np.testing.assert_allclose(diamonds, 100 * result.utilisation)


def test_percentiles_stand_where_the_summary_has_them(results: list[ReplayResult]) -> None:
    result = results[1]
    ax = plots.plot_latency(result, ax=small_axes())
    marked = {str(line.get_label())[:3]: line.get_xdata() for line in ax.lines}
    for name in ("p50", "p95", "p99"):
        assert marked[name] == result.overall[f"latency_{name}"]


def test_an_agent_has_one_colour(results: list[ReplayResult]) -> None:
    result = results[1]
    used = plots.plot_usage(result, ax=small_axes())
    colours = [to_hex(bar.get_facecolor()) for bar in used.patches]
    assert colours == agent_colours(5)
    lines = {str(line.get_label()): line for line in plots.plot_latency(result).lines}
    for agent, colour in zip(result.pool.ids, colours, strict=True):
        if agent in lines:
            assert lines[agent].get_color() == colour


@pytest.mark.slow
def test_a_crowd_is_summed_up(crowd: Callable[[int], AgentPool]) -> None:
    result = replay(None, crowd(40), "random", tasks=2_000, arrivals="poisson:10")
    ax = plots.plot_usage(result, ax=small_axes())
    assert len(ax.patches) == 21
    assert sum(widths(ax)) == pytest.approx(100)


@pytest.mark.slow
@pytest.mark.parametrize("plot", ["usage", "latency", "queue", "frontier"])
def test_a_plot_of_a_result_fits_a_column_of_a_paper_at_any_size_of_fonts(
    results: list[ReplayResult], plot: str
) -> None:
    draw = getattr(results[2], f"plot_{plot}")
    for size, legend in product((7, 12), ("below", "right", "none")):
        with mpl.rc_context({"font.size": size}):
            ax = draw(ax=small_axes(), legend=legend)
            check(ax)
        figure = ax.get_figure(root=True)
        drawn = figure.get_tightbbox()  # in inches
        assert drawn.x0 >= -0.02, (size, legend)
        assert drawn.x1 <= figure.get_figwidth() + 0.02, (size, legend)
        texts = [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
        texts += [text for each in ax.findobj(Legend) for text in each.get_texts()]
        assert {round(text.get_fontsize() / size, 2) for text in texts} <= {0.6, 0.7, 0.8}
    with pytest.raises(SimulationError, match="legend='top': choose one of below, right"):
        draw(ax=small_axes(), legend="top")


def test_names_stand_at_marks_only_where_there_are_marks(results: list[ReplayResult]) -> None:
    with pytest.raises(SimulationError) as caught:
        results[2].plot_queue(ax=small_axes(), legend="direct")
    assert str(caught.value) == "legend='direct': choose one of below, right, none"


def test_all_waiting_is_shown(results: list[ReplayResult]) -> None:
    result = results[2]
    edges, means = waiting(result)
    calls = result.calls()
    waited = float((calls["left_at"] - calls["sent_at"]).to_numpy().sum())
    assert waited > 100
    assert (means * np.diff(edges)).sum() == pytest.approx(waited)


def test_queues_on_shared_axes_all_fit(results: list[ReplayResult]) -> None:
    shared = Figure().subplots(3, sharex=True, sharey=True)
    ends = []
    for ax, result in zip(shared, reversed(results), strict=True):  # the longest queue first
        plots.plot_queue(result, ax=ax)
        alone = plots.plot_queue(result, ax=small_axes())
        ends.append((alone.get_xlim()[1], alone.get_ylim()[1]))
    assert (shared[0].get_xlim()[1], shared[0].get_ylim()[1]) == tuple(np.max(ends, axis=0))


def test_outages_are_named(results: list[ReplayResult]) -> None:
    legend = plots.plot_queue(results[2], ax=small_axes()).get_legend()
    assert legend is not None
    assert "gpt-4 down" in [text.get_text() for text in legend.get_texts()]


@pytest.mark.slow
def test_names_that_the_font_or_mathtext_cannot_draw(
    crowd: Callable[[int], AgentPool],
) -> None:
    pool = crowd(2)
    policy = make_policy(pool, "random")
    odd = Policy("路由 🚀 $\\frac{$", policy.choose, memory=policy.memory)
    result = replay(None, pool, odd, tasks=50, arrivals="poisson:1")
    for plot in ONE:
        check(plot(result, ax=small_axes()))
    check(plots.plot_latencies([result], ax=small_axes()))
