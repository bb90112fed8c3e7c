"""Arrivals fitted to a log: their rate, and their shape over the day and the week."""

import math

import numpy as np
import pandas as pd
import pytest

from routingsim.corpora.logs.call_log import CallLog
from routingsim.simulation.arrival_fit import fit_arrivals
from routingsim.simulation.arrivals import Gamma, Piecewise, Poisson, parse_arrivals

from .logs_of_known_truth import log_of

DAY = 86_400.0
MONDAY = "2026-03-02"


def log_at(times: np.ndarray) -> CallLog:
    at = pd.Timestamp(MONDAY, tz="UTC") + pd.to_timedelta(times, unit="s")
    return log_of(arrived_at=at, latency=np.ones(times.size))


def uniform(rate: float, days: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sort(rng.random(int(rate * days * DAY)) * days * DAY)


def rate_of_day(times: np.ndarray) -> np.ndarray:
    """From .2 at 2:24 to 1.8 at 14:24, as a share of the mean."""
    return 1 + 0.8 * np.cos(2 * np.pi * (times / DAY - 0.6))


def thinned(times: np.ndarray, keep: np.ndarray, seed: int) -> np.ndarray:
    return times[np.random.default_rng(seed + 99).random(times.size) < keep]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("hours", [0.0, 10.3])  # after midnight, at which the log begins
def test_the_shape_of_the_day_is_found(hours: float, seed: int) -> None:
    times = uniform(0.04, 4, seed) + hours * 3600
    times = thinned(times, rate_of_day(times) / 1.8, seed)
    fit = fit_arrivals(log_at(times))
    assert fit is not None
    assert fit.shape == "daily"
    assert isinstance(fit.process, Piecewise)
    assert [seconds for seconds, _ in fit.process.steps] == [3600.0] * 24
    assert fit.process.rate == pytest.approx(0.04 / 1.8, rel=0.05)
    found = np.array([rate for _, rate in fit.process.steps]) / fit.process.rate
    np.testing.assert_allclose(found, rate_of_day(np.arange(24) * 3600 + 1800.0), atol=0.3)
    assert fit.dispersion == pytest.approx(1.0, abs=0.5)
    assert parse_arrivals(str(fit.process)) == fit.process
    assert str(fit).startswith("daily, 0.02")
    assert "chance without a shape below 1e-9" in str(fit)


def test_the_shape_of_the_week_is_found() -> None:
    """Weekends have a third of the traffic; from a Monday on, days 5 and 6 are one."""
    times = uniform(0.008, 28, 1)
    times = thinned(times, np.where(times // DAY % 7 >= 5, 1 / 3, 1.0), 1)
    fit = fit_arrivals(log_at(times))
    assert fit is not None
    assert (fit.shape, fit.process.period) == ("weekly", 7 * DAY)
    by_day = np.array([rate for _, rate in fit.process.steps]).reshape(7, 24).mean(axis=1)  # type: ignore[attr-defined]
    np.testing.assert_allclose(by_day, [0.008] * 5 + [0.008 / 3] * 2, rtol=0.1)
    # Another day first: the week begins on Monday all the same.
    later = fit_arrivals(log_at(times[times >= 5 * DAY]))
    assert later is not None
    again = np.array([rate for _, rate in later.process.steps]).reshape(7, 24).mean(axis=1)  # type: ignore[attr-defined]
    np.testing.assert_allclose(again, by_day, rtol=0.15)


@pytest.mark.parametrize(("days", "seed"), [(4, 0), (4, 1), (21, 2)])
def test_no_shape_is_claimed_of_steady_arrivals(days: int, seed: int) -> None:
    fit = fit_arrivals(log_at(uniform(0.01, days, seed)))
    assert fit is not None
    assert fit.shape == "steady"
    assert fit.chance > 0.001
    assert isinstance(fit.process, Poisson)
    assert fit.process.rate == pytest.approx(0.01, rel=0.02)


def test_gaps_that_vary_otherwise() -> None:
    rng = np.random.default_rng(1)
    fit = fit_arrivals(log_at(np.cumsum(rng.gamma(0.25, 40.0, 2_000))))
    assert fit is not None
    assert isinstance(fit.process, Gamma)
    assert (fit.process.rate, fit.process.cv) == (pytest.approx(0.1, rel=0.1),
                                                  pytest.approx(2.0, rel=0.1))  # fmt: skip
    assert math.isnan(fit.chance)
    assert "too short a log for a shape over the day" in str(fit)


def test_tries_are_no_arrivals_and_few_say_nothing() -> None:
    times = np.arange(60) * 10.0
    twice = log_of(task_id=[str(k // 2) for k in range(60)], arrived_at=times, latency=np.ones(60))
    fit = fit_arrivals(twice)
    assert fit is not None
    assert (fit.tasks, fit.process.rate) == (30, pytest.approx(0.05))
    assert fit_arrivals(log_at(times[:29])) is None
    assert fit_arrivals(log_of(latency=np.ones(60))) is None
