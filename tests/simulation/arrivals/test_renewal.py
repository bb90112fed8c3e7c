"""Renewal processes follow their laws."""

import math

import numpy as np
import pytest
from scipy import stats

from routingsim.simulation.arrivals import (
    Deterministic,
    Gamma,
    Poisson,
    Weibull,
    realised,
)
from tests.simulation.arrivals.laws import (
    N,
    dispersion,
    hold,
    hold_gaps,
)


def test_poisson_gaps_are_exponential() -> None:
    times = Poisson(4.0).times(N, seed=11)
    hold_gaps(np.diff(times, prepend=0.0), stats.expon(scale=0.25), "Poisson")
    index, error = dispersion(times, 5.0, 4.0)
    hold(index, 1.0, error, "Poisson, dispersion")


@pytest.mark.parametrize("cv", [0.05, 0.5, 1.0, 1.5, 4.0])
def test_gamma_gaps_follow_their_law(cv: float) -> None:
    gaps = np.diff(Gamma(4.0, cv).times(N, seed=12), prepend=0.0)
    hold_gaps(gaps, stats.gamma(cv**-2, scale=cv**2 / 4), f"Gamma, cv {cv}")


@pytest.mark.parametrize("cv", [0.05, 0.5, 1.0, 1.5, 4.0])
def test_weibull_gaps_follow_their_law(cv: float) -> None:
    process = Weibull(4.0, cv)
    law = stats.weibull_min(process.shape, scale=0.25 / math.gamma(1 + 1 / process.shape))
    assert law.std() / law.mean() == pytest.approx(cv, rel=1e-9)
    hold_gaps(np.diff(process.times(N, seed=13), prepend=0.0), law, f"Weibull, cv {cv}")


@pytest.mark.parametrize("cv", [0.001, 0.01, 30.0, 1000.0])
def test_the_shape_of_a_weibull_is_solved_at_the_ends_too(cv: float) -> None:
    k = Weibull(1.0, cv).shape
    log_ratio = math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k)
    assert math.sqrt(math.expm1(log_ratio)) == pytest.approx(cv, rel=1e-6)


def test_deterministic_gaps_are_equal_and_do_not_drift() -> None:
    times = Deterministic(10.0).times(1_000_000, seed=1)
    assert times[0] == 0.1
    assert times[-1] == 100_000.0
    assert realised(times) == (pytest.approx(10.0), pytest.approx(0.0, abs=1e-6))
    # Counts in windows that do not fit the gaps differ by one at most.
    index, _ = dispersion(times, 7.77, 10.0)
    assert index < 0.01
