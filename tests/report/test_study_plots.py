"""Plots of studies: units, lines, and what is refused."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from routingsim.errors import SimulationError
from routingsim.evaluation import cell
from routingsim.evaluation.study import Study
from routingsim.report.figures import axis_label, of_study
from routingsim.report.study_plots import draw_load, plot_load


@pytest.mark.slow
@pytest.mark.parametrize("metric", cell.METRICS)
def test_every_metric_has_its_unit_and_plot(metric: str, study: Study) -> None:
    ax = Figure(figsize=(3.15, 2.4), layout="constrained").subplots()
    assert plot_load(study, metric, ax=ax) is ax
    assert ax.get_ylabel().removesuffix(", log scale") == axis_label(metric)
    assert re.search(r"\((0–1|quality lost, 0–1|1/s|USD per .*|s|%)\)$|task", axis_label(metric))
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()


def test_lines_are_the_means(study: Study) -> None:
    ax = study.plot_load("cost", ax=Figure().subplots())
    styles = {entry.name: entry.style for entry in of_study(study).entries}
    drawn = {line.get_label(): line for line in ax.lines}
    for name in ("threshold", "cheapest"):
        means = [1000 * study.values(name, load, "cost").mean() for load in study.loads]
        np.testing.assert_allclose(np.asarray(drawn[name].get_ydata()), means)
        assert drawn[name].get_color() == styles[name].colour


def test_refuses_what_is_not_there(study: Study) -> None:
    with pytest.raises(SimulationError, match="no metric 'speed'"):
        study.plot_load("speed")
    for plot in (study.plot_frontier, study.plot_regret):
        with pytest.raises(SimulationError, match=r"no load 0\.5"):
            plot(0.5)


def test_without_axes_a_notebook_shows_the_figure(study: Study) -> None:
    ax = study.plot_regret()
    assert ax.get_figure() is pyplot.gcf()


def test_controls_and_intervals_are_as_asked_for(study: Study) -> None:
    def load(**asked: Any) -> Axes:
        return study.plot_load("cost", ax=Figure().subplots(), **asked)

    beside = {name for name, kind in study.kinds.items() if kind == "control"}
    assert beside <= {line.get_label() for line in load().lines}
    assert not beside & {line.get_label() for line in load(controls=False).lines}
    assert [len(load(intervals=how).containers) for how in ("bands", "bars", "none")] == [0, 3, 0]
    assert [len(load(intervals=how).collections) for how in ("bands", "none")] == [3, 0]
    with pytest.raises(SimulationError, match="intervals='box': choose one of bars, bands, none"):
        load(intervals="box")
    regret = study.plot_regret(ax=Figure().subplots(), controls=False)
    assert not beside & {line.get_label() for line in regret.lines}
    frontier = study.plot_frontier(
        ax=Figure().subplots(), controls=False, intervals="bands", legend="direct"
    )
    assert {text.get_text() for text in frontier.texts} <= set(study.policies)
    assert len(frontier.patches) == len(frontier.texts) > 0


def test_times_of_an_overloaded_policy_are_left_out_and_counted(study: Study) -> None:
    shown = [
        replace(at, entries=tuple(replace(entry, verdict="steady") for entry in at.entries))
        for at in (of_study(study, load) for load in study.loads)
    ]
    over = replace(shown[-1].entries[0], verdict="overloaded")
    assert over.overloaded
    shown[-1] = replace(shown[-1], entries=(over, *shown[-1].entries[1:]))
    for metric, ends in (("latency_p95", 1), ("cost", 2)):
        ax = draw_load(shown, metric, Figure().subplots())
        (line,) = (each for each in ax.lines if each.get_label() == over.name)
        assert np.isfinite(np.asarray(line.get_ydata())).sum() == ends
        assert ax.get_xlabel().partition("\n")[2] == (
            "left out: 1 above capacity" if metric == "latency_p95" else ""
        )
