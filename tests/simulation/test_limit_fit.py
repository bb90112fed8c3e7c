"""Concurrency and limits, inferred where a log shows them and not where it does not."""

import math

import numpy as np
import pytest

from routingsim.simulation.limit_fit import LimitFit, Most, fit_limits

from .logs_of_known_truth import log_of, starts

SIZE = 3_000


def found(rate: float, slots: int, per_minute: int | None, seed: int = 1) -> LimitFit:
    rng = np.random.default_rng(seed)
    service = rng.lognormal(0.5, 0.5, SIZE)  # 1.87 s on average
    arrived = np.cumsum(rng.exponential(1 / rate, SIZE))
    begun = starts(arrived, service, slots, per_minute)
    fit = fit_limits(log_of(arrived_at=begun, latency=service))
    assert fit is not None
    return fit


@pytest.mark.parametrize(
    ("rate", "slots", "per_minute", "fields"),
    [
        (1.2, 4, None, {"concurrency": 4}),  # 56 % of the slots in use
        (2.5, 4, None, {"concurrency": 4}),  # overloaded
        (1.2, 999, 60, {"requests_per_minute": 60}),
        (0.9, 999, 60, {"requests_per_minute": 60}),
        (1.0, 4, 60, {"concurrency": 4, "requests_per_minute": 60}),
    ],
)
def test_limits_that_bind_are_found(
    rate: float, slots: int, per_minute: int | None, fields: dict[str, int]
) -> None:
    fit = found(rate, slots, per_minute)
    assert fit.at_once.binds == ("concurrency" in fields)
    assert {name: fit.fields.get(name) for name in fields} == fields
    assert ("requests_per_minute" in fit.fields) == ("requests_per_minute" in fields)
    assert all(fit.comments[name].startswith("inferred: ") for name in fields)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("rate", "per_minute"), [(1.2, None), (0.5, 60)])
def test_limits_that_do_not_bind_are_not_claimed(
    rate: float, per_minute: int | None, seed: int
) -> None:
    fit = found(rate, 999, per_minute, seed)
    assert fit.fields == {"concurrency": 4 * fit.at_once.level}
    said = f"assumed: the log shows no limit; at most {fit.at_once.level} calls at once, and 4 "
    assert fit.comments["concurrency"].startswith(said)


@pytest.mark.parametrize("service", [np.full(SIZE, 3.5), np.linspace(1.0, 3.9, SIZE)])
def test_calls_by_the_clock_show_no_limit(service: np.ndarray) -> None:
    """A call a second: 60 in any minute, and 4 at once, without any limit."""
    fit = fit_limits(log_of(arrived_at=np.arange(SIZE) * 1.0, latency=service))
    assert fit is not None
    assert not fit.at_once.binds
    assert not fit.in_a_minute.binds


def test_waits_in_latencies_are_suspected() -> None:
    """Four slots, and latencies from the sending on, which wait for a slot."""
    rng = np.random.default_rng(1)
    service, arrived = rng.lognormal(0.5, 0.5, SIZE), np.cumsum(rng.exponential(1 / 2.0, SIZE))
    latency = starts(arrived, service, 4) + service - arrived
    fit = fit_limits(log_of(arrived_at=arrived, latency=latency))
    assert fit is not None
    [note] = fit.notes
    assert note.startswith("latency rises with the number of calls under way (rank correlation 0.")
    assert found(2.0, 4, None).notes == []


def test_too_few_calls_show_nothing() -> None:
    assert fit_limits(log_of(arrived_at=np.arange(29) * 1.0, latency=np.ones(29))) is None


def test_how_sure() -> None:
    said = "reached 12 times, for 1,500 s without a further start (chance without a limit "
    assert str(Most(4, 1500.0, 12, 10.0)) == f"{said}5e-05)"
    assert str(Most(4, 1500.0, 12, math.inf)) == f"{said}below 1e-9)"
    assert Most(4, 1500.0, 10, 10.0).binds
    assert not Most(4, 1500.0, 9, 10.0).binds
    assert not Most(4, 1500.0, 10, 9.9).binds
