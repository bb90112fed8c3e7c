"""Quality against cost and latency: who is shown, the line, and room for long names."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.evaluation.controls.simulated import controls_for_replays
from routingsim.evaluation.study import Study
from routingsim.report import compose, plot_frontier, plot_latencies
from routingsim.report.document import Gallery, Table
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult

LONG = [f"threshold:low={0.21 + k / 50:.2f},medium=0.55,spill={k % 2}" for k in range(12)]


def small(height: float = 4.8) -> Axes:
    """8 cm wide."""
    return Figure(figsize=(3.15, height), layout="constrained").subplots()


def legends(ax: Axes) -> list[Legend]:
    return [child for child in ax.get_children() if isinstance(child, Legend)]


def names(ax: Axes) -> list[str]:
    return [text.get_text() for legend in legends(ax) for text in legend.get_texts()]


@pytest.mark.slow
def test_controls_stand_beside_a_replay(results: list[ReplayResult]) -> None:
    controls, why, _ = controls_for_replays(results)
    assert not why
    # "static:gpt-4" is there already, under whatever name a control might have it.
    assert list(controls) == [
        "random", "cheapest", "best-single", "zero-router", "shuffle", "length", "category",
        "oracle",
    ]  # fmt: skip
    section = next(s for s in compose(results).sections if s.id == "quality")
    gallery, table = section.blocks
    assert isinstance(gallery, Gallery)
    assert len(gallery.pictures) == 2
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == [*(r.policy.name for r in results), *controls]
    in_sample = [row[0] for row in table.rows if row[-1] == "100 %"]
    assert in_sample == ["threshold:calibrated", "best-single", "zero-router", "oracle"]
    for row in table.rows:
        assert (row[4] is None) == (row[5] == "overloaded")


def test_a_control_that_is_there_already_is_left_out(corpus: Corpus) -> None:
    one = replay(corpus, policy="static:llama", arrivals="poisson:4")
    other = replay(corpus, policy="random", arrivals="poisson:4")
    controls, _, same = controls_for_replays([one, other])
    assert "random" not in controls
    assert "random (control)" not in controls
    assert "of the controls, random did exactly as random: no row of its own" in same


def test_without_a_record_there_is_a_reason(odd: ReplayResult) -> None:
    controls, why, _ = controls_for_replays([odd])
    assert not controls
    assert "quality" in why


def test_the_overloaded_have_no_latency(results: list[ReplayResult]) -> None:
    ax = plot_frontier(results, ax=small(), against="latency_p95")
    assert "static:gpt-4" not in names(ax)
    assert ax.get_xlabel() == "latency p95 (s)\nleft out: 1 above capacity"
    assert "static:gpt-4" in names(plot_frontier(results, ax=small()))


def test_steps_are_above_none_that_they_leave_behind(study: Study) -> None:
    ax = study.plot_frontier(0.2, ax=small(), against="latency_p95")
    (steps,) = [line for line in ax.lines if len(np.asarray(line.get_xdata())) > 1]
    x, y = np.asarray(steps.get_xdata()), np.asarray(steps.get_ydata())
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    for name in study.names:
        if study.cells[name, 0.2].lasts or name == "oracle":
            continue
        at = study.values(name, 0.2, "latency_p95").mean()
        reached = y[x <= at + 1e-9].max()
        assert study.values(name, 0.2, "quality").mean() <= reached + 1e-12


def test_refuses_what_is_not_there(study: Study, results: list[ReplayResult]) -> None:
    for plot in (study.plot_frontier, results[0].plot_frontier):
        with pytest.raises(SimulationError, match="against='speed': choose one of cost, latency"):
            plot(against="speed")


@pytest.mark.slow
@pytest.mark.parametrize("plot", [plot_frontier, plot_latencies])
def test_twelve_long_names_are_whole_and_apart(plot: Callable[..., Axes], corpus: Corpus) -> None:
    runs = [replay(corpus, policy=name, arrivals="poisson:1") for name in LONG]
    ax = plot(runs, ax=small())
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    assert set(LONG) <= set(names(ax))
    page = figure.bbox
    boxes = [text.get_window_extent() for each in legends(ax) for text in each.get_texts()]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 for box in boxes)
    assert all(page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert ax.bbox.height > 0.3 * page.height
