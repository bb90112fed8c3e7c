"""Plots look as they did: compared with images under baseline/, texts taken away.

After a wanted change make them anew, and look at each::

    pytest tests/report/test_images.py -o mpl-baseline-path= \\
        --mpl-generate-path=tests/report/baseline
"""

from functools import partial

import pytest
from matplotlib.figure import Figure

from routingsim.evaluation.study import Study
from routingsim.report import plot_frontier, plots
from routingsim.simulation.result import ReplayResult

# Texts are taken away, but the room that they took differs a little from font to font.
compared = partial(
    pytest.mark.mpl_image_compare, remove_text=True, tolerance=12, savefig_kwargs={"dpi": 60}
)
ONE = {"usage": plots.plot_usage, "latency": plots.plot_latency, "queue": plots.plot_queue}
MANY = {"latencies": plots.plot_latencies, "tradeoff": plot_frontier}
AGAINST = ("cost", "latency_p95")
METRICS = ("goodput", "quality", "cost", "latency_p95")


def figure() -> Figure:
    """8 cm wide, with the margins that texts would make."""
    made = Figure(figsize=(3.15, 2.6))
    made.subplots_adjust(left=0.2, right=0.95, bottom=0.35, top=0.9)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE)
@compared()
def test_one(name: str, results: list[ReplayResult]) -> Figure:
    made = figure()
    ONE[name](results[2 if name == "queue" else 1], ax=made.subplots())
    return made


@pytest.mark.parametrize("name", MANY)
@compared()
def test_many(name: str, results: list[ReplayResult]) -> Figure:
    made = figure()
    MANY[name](results, ax=made.subplots())
    return made


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@compared()
def test_load(metric: str, study: Study) -> Figure:
    made = figure()
    study.plot_load(metric, ax=made.subplots())
    return made


@pytest.mark.slow
@pytest.mark.parametrize("against", AGAINST)
@compared()
def test_frontier(against: str, study: Study) -> Figure:
    made = figure()
    study.plot_frontier(0.2, ax=made.subplots(), against=against)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("against", AGAINST)
@compared()
def test_beside_controls(against: str, results: list[ReplayResult]) -> Figure:
    made = figure()
    results[1].plot_frontier(ax=made.subplots(), against=against)
    return made


@compared()
def test_regret(study: Study) -> Figure:
    made = figure()
    study.plot_regret(ax=made.subplots())
    return made
