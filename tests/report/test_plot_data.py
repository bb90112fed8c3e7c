"""Points of plots, by hand."""

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.report.plot_data import ecdf, leading_agents, time_unit, waiting
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult


def test_a_small_sample_is_shown_whole() -> None:
    x, y = ecdf(np.array([3.0, 1.0, 2.0, 2.0]))
    assert x.tolist() == [1.0, 1.0, 2.0, 2.0, 3.0]
    assert y.tolist() == [0.0, 25.0, 50.0, 75.0, 100.0]


def test_a_large_sample_is_exact_where_it_is_shown() -> None:
    values = np.random.default_rng(0).permutation(10_000.0 + np.arange(10_000))
    x, y = ecdf(values)
    assert 200 < x.size < 320
    np.testing.assert_allclose(y[1:], (x[1:] - 9_999) / 100)
    assert (x[-1], y[-1]) == (19_999.0, 100.0)
    assert np.diff(y).max() <= 0.51 + 1e-9


def run(rate: float = 1.0, tasks: int = 4) -> ReplayResult:
    """Tasks one after the other at an agent that takes 3 s."""
    agents = (
        Agent(id=name, name=name, cost=1.0, latency=3.0, concurrency=1, service="deterministic")
        for name in ("idle", "busy")
    )
    pool = AgentPool(tuple(agents))
    return replay(None, pool, "static:busy", arrivals=f"deterministic:{rate:g}", tasks=tasks)


def test_waiting() -> None:
    edges, means = waiting(run())
    # Sent at 1, 2, 3, 4 s; begun at 1, 4, 7, 10; the last ends at 13.
    assert (edges[0], edges[-1], edges.size) == (0.0, 13.0, 241)
    assert means.shape == (2, 240)
    assert not means[0].any()
    middles = (edges[1:] + edges[:-1]) / 2
    for moment, queued in ((1.5, 0), (2.5, 1), (3.5, 2), (5.5, 2), (8.5, 1), (11.0, 0)):
        assert means[1][np.abs(middles - moment).argmin()] == pytest.approx(queued, abs=1e-9)
    assert (means[1] * np.diff(edges)).sum() == pytest.approx(2 + 4 + 6)


def test_agents_with_the_most_tasks() -> None:
    assert leading_agents(run(), 1).tolist() == [1]
    assert leading_agents(run(), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("rate", "unit"),
    [(1.0, (1.0, "s")), (4 / 180, (60.0, "min")), (4 / 10_800, (3_600.0, "h")),
     (4 / 259_204, (86_400.0, "days")), (4 / 179, (1.0, "s"))],
)  # fmt: skip
def test_the_unit_of_time(rate: float, unit: tuple[float, str]) -> None:
    assert time_unit(float(run(rate).work.arrived[-1])) == unit
