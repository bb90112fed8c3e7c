"""When one run can be cut into batches: the tests by hand, and what passes holds what it says."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.simulation import theory
from routingsim.simulation.batches import LONG, batch_interval, long_enough, look_independent
from routingsim.simulation.result import ReplayResult


def run(tasks: int, load: float = 0.5, **settings: Any) -> ReplayResult:
    agent = Agent(id="a", name="A", cost=1.0, latency=1.0, service="exponential", concurrency=1)
    given: dict[str, Any] = {"policy": "static:a", "arrivals": rs.Poisson(load)} | settings
    return rs.replay(None, AgentPool((agent,)), tasks=tasks, **given)


def test_how_long_is_long_enough() -> None:
    assert LONG == 10_000
    ok = np.array([40_000, 0]), np.array([0.5, 0.99]), np.array([1.0, math.inf])
    assert long_enough(*ok)  # 40,000 x 0.25; the other agent is not used
    assert not long_enough(np.array([39_999, 0]), *ok[1:])
    assert not long_enough(ok[0], np.array([0.51, 0.0]), ok[2])
    assert not long_enough(ok[0], ok[1], np.array([1.01, 1.0]))
    assert long_enough(ok[0], ok[1], np.array([0.2, 1.0]))  # steadiness does not shorten it
    assert not long_enough(np.array([10**9]), np.array([1.0]), np.array([1.0]))
    assert not long_enough(np.array([0]), np.array([0.0]), np.array([1.0]))


def test_von_neumann_by_hand() -> None:
    """Of 1 ... 30 the mean squared difference is 1 and the variance 899 / 12."""
    assert not look_independent(np.arange(30.0))
    assert look_independent(np.tile([1.0, -1.0], 15))  # negative correlation narrows nothing
    assert look_independent(np.ones(30))
    assert not look_independent(np.ones(2))
    rng = np.random.default_rng(3)
    passed = np.mean([look_independent(rng.normal(size=30)) for _ in range(4_000)])
    assert passed == pytest.approx(0.98, abs=0.01)
    walks = [np.convolve(rng.normal(size=32), [1, 1, 1], "valid") for _ in range(200)]
    assert np.mean([look_independent(each) for each in walks]) < 0.2


def test_an_interval_by_hand() -> None:
    values = np.random.default_rng(1).normal(5.0, 1.0, 24_007)
    found = batch_interval(values)
    assert found is not None
    means = values[7:].reshape(30, 800).mean(axis=1)
    assert found.mean == pytest.approx(values[7:].mean())
    width = stats.t.ppf(0.975, 29) * means.std(ddof=1) / math.sqrt(30)
    assert found.half_width == pytest.approx(width)
    assert found.method == "30 batches of this one run, which is long enough for it"
    less = batch_interval(values, values - 1.0)
    assert less is not None
    assert (less.mean, less.half_width) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))


def test_a_quantile_needs_a_hundred_values_beyond_it() -> None:
    values = np.random.default_rng(1).exponential(size=30 * 2_000)
    found = batch_interval(values, quantile=0.95)
    assert found is not None
    assert found.low < -math.log(0.05) < found.high
    assert batch_interval(values[: 30 * 1_992], quantile=0.95) is None
    assert batch_interval(values, quantile=0.96) is None


def test_what_depends_has_no_batches() -> None:
    drift = np.random.default_rng(1).normal(size=30_000) + np.linspace(0, 1, 30_000)
    assert batch_interval(drift) is None
    steady = np.random.default_rng(1).normal(size=30_000)
    assert batch_interval(steady) is not None
    assert batch_interval(steady, drift) is None


def test_which_replays_are_long() -> None:
    assert run(45_000).long
    assert not run(5_000).long
    assert not run(45_000, load=0.8).long
    assert not run(45_000, arrivals="mmpp:100@0.2/100@0.8").long  # at the same load
    times = rs.Poisson(0.5).times(45_000, 1)
    assert not run(45_000, arrivals=rs.Trace(times)).long  # one record of times
    assert not run(45_000, policy="ucb1").long  # what it learns differs from run to run
    assert not run(45_000, outages=[rs.Outage("a", 10, 20)]).long
    assert not run(45_000, arrivals="closed:users=2,think=5").long


def test_a_long_run_needs_no_further_ones() -> None:
    result = run(60_000, seed=1)
    found = result.interval()
    assert found.method == "30 batches of this one run, which is long enough for it"
    assert found.runs == 0
    tight = result.interval(precision=0.001, most=10)  # too wide for that, so further runs
    assert tight.runs == 10
    assert result.interval("cost").runs == 10  # of times only


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.6])
def test_what_passes_holds_what_it_says(load: float) -> None:
    """Of 40 runs just long enough, .93 or more of the intervals that pass hold the truth."""
    exact = theory.mmc(load, 1.0, 1)
    tasks = int(LONG / (1 - load) ** 2 * 1.15)
    held = []
    for seed in range(40):
        result = run(tasks, load, seed=seed)
        found = result.batch_interval("latency_mean")
        if found is not None:
            held.append(found.low <= exact.latency_mean <= found.high)
    print(f"load {load}: {len(held)} of 40 pass, {np.mean(held):.3f} hold")
    assert len(held) > 15
    error = math.sqrt(0.95 * 0.05 / len(held))
    assert np.mean(held) >= 0.95 - 3 * error
