"""Parameters that are not allowed."""

import math

import pytest

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals import (
    MMPP,
    ClosedLoop,
    CorpusTimes,
    Deterministic,
    Diurnal,
    Gamma,
    Piecewise,
    Poisson,
    Trace,
    Weibull,
    burst,
)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Poisson(-4), "Poisson: rate is -4, needs a number above 0"),
        (lambda: Poisson(math.inf), "Poisson: rate is inf"),
        (lambda: Poisson("many"), "Poisson: rate is 'many'"),  # pyright: ignore
        (lambda: Poisson("4"), "Poisson: rate is '4', needs a number"),  # pyright: ignore
        (lambda: Poisson(True), "Poisson: rate is True, needs a number"),
        (lambda: Poisson(10**400), "Poisson: rate is 1000+, needs a number"),
        (lambda: Deterministic(0), "Deterministic: rate is 0"),
        (lambda: Gamma(1, 0), "Gamma: cv is 0, .*for equal gaps take deterministic"),
        (lambda: Weibull(1, 2000), "Weibull: cv is 2000, needs a number from 0.001 to 1000"),
        (lambda: MMPP((1, 2), (1,)), "2 rates and 1 sojourns"),
        (lambda: MMPP((0, 0), (1, 1)), "every rate is 0"),
        (lambda: MMPP((1, -2), (1, 1)), r"rates\[1\] is -2, needs a number of at least 0"),
        (lambda: MMPP((1, 2), (1, 0)), r"sojourns\[1\] is 0, needs a number above 0 \(seconds\)"),
        (lambda: burst(1, 0, 1, 1), "burst: peak is 0"),
        (lambda: burst(1, 2, 1, -1), "burst: off is -1"),
        (lambda: Piecewise(((1, 0),)), "no step has a rate above 0"),
        (lambda: Poisson(1e-300), r"from 1e-12 to 1e\+18"),
        (lambda: Poisson(1e300), r"from 1e-12 to 1e\+18"),
        (lambda: Piecewise(((0, 1),)), r"seconds\[0\] is 0"),
        (lambda: Piecewise(((1, 1, 1),)), "needs pairs"),  # pyright: ignore
        (lambda: Diurnal(1, 1.1), "amplitude is 1.1, needs a number from 0 to 1"),
        (lambda: Diurnal(1, 0.5, period=0), "period is 0"),
        (lambda: Diurnal(1, 0.5, peak_at=math.nan), "peak_at is nan"),
        (lambda: Trace("a", speed=0), "Trace: speed is 0"),
        (lambda: Trace("a", jitter=-1), "Trace: jitter is -1"),
        (lambda: Trace("a", start=3, stop=3), "stop is 3, needs a number above start, 3"),
        (lambda: CorpusTimes(start=math.inf), "CorpusTimes: start is inf"),
        (lambda: ClosedLoop(0, 1), "users is 0, needs a whole number of at least 1"),
        (lambda: ClosedLoop(2.5, 1), "users is 2.5"),  # pyright: ignore
        (lambda: ClosedLoop(2, -1), "think is -1"),
        (lambda: ClosedLoop(2, 1, think_cv=2), "think_cv is 2, needs 1"),
    ],
)
def test_bad_parameters(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(SimulationError, match=said):
        make()
