"""Processes of varying rate follow their laws."""

import math

import numpy as np
import pytest
from scipy import stats

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals import (
    MMPP,
    Arrivals,
    Diurnal,
    Piecewise,
    Poisson,
    burst,
    realised,
)
from tests.simulation.arrivals.laws import (
    MODELS,
    N,
    Times,
    hold,
    hold_gaps,
)


def mmpp2_dispersion(process: MMPP, window: float) -> float:
    """Index of dispersion of the counts of a 2-state MMPP (the cookbook, section 1.3)."""
    (l1, l2), (s1, s2) = process.rates, process.sojourns
    r1, r2 = 1 / s1, 1 / s2
    total = r1 + r2
    limit = 2 * (l1 - l2) ** 2 * r1 * r2 / (total**2 * (l1 * r2 + l2 * r1))
    return 1 + limit * (1 - (1 - math.exp(-total * window)) / (total * window))


@pytest.mark.slow
@pytest.mark.parametrize("window", [0.1, 2.0, 10.0])
def test_a_burst_has_the_dispersion_of_its_formula(window: float) -> None:
    process = burst(rate=1, peak=10, on=1, off=3)
    times = process.times(1_000_000, seed=14)
    # Neighbouring windows are correlated: errors of batches of them.
    bins = int(times[-1] // window)
    counts = np.histogram(times, bins=bins, range=(0, bins * window))[0]
    mean = process.rate * window
    squares = (counts - mean) ** 2 / mean
    batches = squares[: bins // 50 * 50].reshape(50, -1).mean(axis=1)
    error = batches.std(ddof=1) / math.sqrt(50)
    hold(batches.mean(), mmpp2_dispersion(process, window), error, f"dispersion in {window} s")


@pytest.mark.parametrize("process", MODELS[MMPP], ids=str)
def test_an_mmpp_has_the_rate_and_cv_of_its_formula(process: MMPP) -> None:
    runs = np.array([realised(process.times(20_000, seed=seed)) for seed in range(40)])
    errors = runs.std(axis=0, ddof=1) / math.sqrt(len(runs))
    hold(runs[:, 0].mean(), process.rate, errors[0], "rate")
    hold(runs[:, 1].mean(), process.cv, errors[1], "cv")


def test_an_mmpp_of_one_rate_is_poisson() -> None:
    process = MMPP(rates=(4, 4, 4), sojourns=(1, 0.1, 3))
    assert process.cv == pytest.approx(1.0)
    gaps = np.diff(process.times(N, seed=15), prepend=0.0)
    hold_gaps(gaps, stats.expon(scale=0.25), "MMPP of one rate")


def test_an_mmpp_begins_in_its_steady_state() -> None:
    process = burst(rate=0, peak=1000, on=1, off=3)
    firsts = np.array([process.times(1, seed=seed)[0] for seed in range(4000)])
    hold((firsts < 0.02).mean(), 0.25, math.sqrt(0.25 * 0.75 / 4000), "begins in a burst")


def hold_profile(times: Times, period: float, shares: Times, what: str) -> None:
    """Fail when counts by the time within the period are not in these shares (chi-square)."""
    whole = times[times < times[-1] // period * period]
    counts = np.histogram(whole % period, bins=shares.size, range=(0, period))[0]
    test = stats.chisquare(counts, shares * counts.sum())
    print(f"{what}: chi-square {test.statistic:.1f} of {shares.size} bins, p = {test.pvalue:.2g}")
    assert test.pvalue > 1e-5


@pytest.mark.parametrize("amplitude", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("peak_at", [None, 0.0, 17.0])
def test_diurnal_arrivals_follow_the_swing(amplitude: float, peak_at: float | None) -> None:
    process = Diurnal(50.0, amplitude, period=60.0, peak_at=peak_at)
    times = process.times(N, seed=16)
    edges = np.linspace(0, 1, 49)
    peak = 0.5 if peak_at is None else peak_at / 60
    level = edges + amplitude * np.sin(2 * np.pi * (edges - peak)) / (2 * np.pi)
    hold_profile(times, 60.0, np.diff(level), f"amplitude {amplitude}")
    seconds = times[-1] // 60 * 60
    count = np.searchsorted(times, seconds)
    hold(count, 50 * seconds, math.sqrt(50 * seconds), "count in whole periods")


def test_piecewise_arrivals_follow_the_plan() -> None:
    process = Piecewise(steps=((30, 10), (10, 0), (20, 40)))
    assert process.rate == 1100 / 60
    times = process.times(N, seed=17)
    assert not ((times % 60 >= 30) & (times % 60 < 40)).any()
    level = np.repeat([10.0, 0.0, 40.0], [30, 10, 20])
    busy = np.flatnonzero(level)
    whole = times[times < times[-1] // 60 * 60]
    counts = np.histogram(whole % 60, bins=60, range=(0, 60))[0][busy]
    test = stats.chisquare(counts, level[busy] / level.sum() * counts.sum())
    print(f"chi-square p = {test.pvalue:.2g}")
    assert test.pvalue > 1e-5
    rounds = times[-1] // 60
    hold(whole.size, 1100 * rounds, math.sqrt(1100 * rounds), "count in whole rounds")


def test_a_plan_that_does_not_change_is_poisson_to_the_digit() -> None:
    np.testing.assert_allclose(
        Piecewise(steps=((3, 4), (2, 4))).times(1000, seed=1), Poisson(4.0).times(1000, seed=1)
    )


@pytest.mark.parametrize(
    "process", [Piecewise(((1e-9, 1), (1, 0))), MMPP((1, 2), (1e-9, 1e-9))], ids=str
)
def test_states_that_change_without_end_between_arrivals_are_refused(process: Arrivals) -> None:
    assert process.times(0, seed=1).size == 0
    with pytest.raises(SimulationError, match=r"changes of state.*let the states last longer"):
        process.times(1000, seed=1)
