"""Figures of a sweep: what is drawn where, without anything to adjust."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.sweeps.cells import METRICS

from .sweeps import plan_of


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    pyplot.close("all")


def made(vary: dict, design: str = "grid", points: int | None = None) -> rs.Sweep:
    """A sweep whose cells were not run: latency is 10, 11, 12, …."""
    plan = plan_of(vary, design, points)
    rows = {}
    for k, key in enumerate(plan.keys):
        row = dict.fromkeys((n for m in METRICS for n in (m, f"{m}_hw")), np.nan)
        row |= {"latency_mean": 10.0 + k, "latency_mean_hw": 0.5, "cost": 1.0 + k, "cost_hw": 0.1}
        rows[key] = row | {"status": "done", "stability": "steady", "figures": []}
    return rs.Sweep(plan, rows)


def test_a_grid_is_lines_over_the_numbers_with_most_values() -> None:
    ax: Any = made({"policy": ["threshold", "fastest"], "load": [0.3, 0.1, 0.2]}).plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("load", "latency mean (s)")
    lines = [each.lines[0] for each in ax.containers]
    assert [line.get_xdata().tolist() for line in lines] == [[0.1, 0.2, 0.3]] * 2
    assert [line.get_ydata().tolist() for line in lines] == [[14, 15, 13], [11, 12, 10]]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "fastest",
        "threshold",
    ]
    assert all(line.get_linestyle() == "-" for line in lines)


def test_words_are_marks_side_by_side_and_samples_are_not_joined() -> None:
    ax: Any = made({"policy": ["threshold", "fastest"]}).plot("cost")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["threshold", "fastest"]
    [marks] = [each.lines[0] for each in ax.containers]
    assert marks.get_linestyle() == "None"
    ends = {"from": 0.1, "to": 0.9}
    ax = made({"load": ends, "policy.low": {"from": 0.1, "to": 0.4}}, "sobol", 16).plot()
    assert len(ax.containers) == 3
    assert all(each.lines[0].get_linestyle() == "None" for each in ax.containers)


def test_one_metric_against_another() -> None:
    ax: Any = made({"load": [0.1, 0.2]}).plot_trade_off("cost", "latency_mean")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cost (USD)", "latency mean (s)")
    drawn = [each.lines[0].get_xydata().tolist() for each in ax.containers]
    assert drawn == [[[1.0, 10.0]], [[2.0, 11.0]]]


def test_what_was_not_varied_or_is_no_metric() -> None:
    sweep = made({"load": [0.1, 0.2]})
    with pytest.raises(SimulationError, match=r"^over='loads': choose one of load; did you mean"):
        sweep.plot(over="loads")
    with pytest.raises(SimulationError, match=r"^no metric 'price'"):
        sweep.plot_trade_off("price")


def test_each_policy_has_a_colour_and_a_name_and_cells_without_a_figure_are_counted() -> None:
    names = ["threshold", "cheapest", "fastest", "random", "round-robin", "least-loaded", "utility"]
    found = made({"policy": names, "load": [0.2, 0.4]})
    for key in found.plan.keys[6:8]:  # both of random
        found.rows[key]["latency_mean"] = np.nan  # type: ignore[index]
    for ax in (found.plot(), found.plot_trade_off("cost", "latency_mean")):
        legend = ax.get_legend()
        assert legend is not None
        assert [t.get_text() for t in legend.get_texts()] == sorted({*names} - {"random"})
        lines = [line for line in legend.get_lines() if line.get_marker() != "None"]
        assert len({line.get_color() for line in lines}) == 6
        assert ax.get_xlabel().endswith("\nleft out: 2 of 14 cells, without a figure")
