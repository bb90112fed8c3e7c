"""Examples of arrival processes, and tests of a law, for the tests of this folder."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from routingsim.corpora.corpus import Corpus
from routingsim.simulation.arrivals import (
    MMPP,
    Arrivals,
    ClosedLoop,
    CorpusTimes,
    Deterministic,
    Diurnal,
    Gamma,
    Piecewise,
    Poisson,
    Superposition,
    Trace,
    Weibull,
    burst,
)

Times = NDArray[np.float64]

STAMPS = (5.0, 6.0, 6.0, 8.5, 11.0)

MODELS: dict[type[Arrivals], list[Arrivals]] = {
    Poisson: [Poisson(4.0), Poisson(1e-3)],
    Gamma: [Gamma(4.0, 2.0), Gamma(4.0, 0.4)],
    Weibull: [Weibull(4.0, 2.0), Weibull(4.0, 0.4)],
    Deterministic: [Deterministic(4.0)],
    MMPP: [burst(rate=2, peak=20, on=10, off=50), MMPP(rates=(1, 0, 9), sojourns=(3, 1, 2))],
    Piecewise: [Piecewise(steps=((3, 2), (1, 0), (2, 10)))],
    Diurnal: [Diurnal(4.0, 0.8, period=60), Diurnal(4.0, 1.0, period=7, peak_at=1)],
    Superposition: [Poisson(4.0) + Gamma(1.0, 3.0), Poisson(1.0) + Trace(STAMPS)],
    Trace: [Trace(STAMPS, loop=True, jitter=2), Trace(STAMPS, loop=True, speed=3)],
}

EXAMPLES = [process for examples in MODELS.values() for process in examples]

WITHOUT_TIMES_OF_THEIR_OWN = {CorpusTimes, ClosedLoop}


def corpus(times: list[float]) -> Corpus:
    frame = {"id": [f"t{i}" for i in range(len(times))], "text": "why", "arrived_at": times}
    return Corpus.from_frame(pd.DataFrame(frame), "mine")


def hold(found: float, expected: float, error: float, what: str) -> None:
    """Fail when a figure is further from what is expected than chance has it."""
    z = (found - expected) / error
    print(f"{what}: {found:.6g}, expected {expected:.6g}, z = {z:+.2f}")
    assert abs(z) <= 4.5


def hold_gaps(gaps: Times, law: Any, what: str) -> None:
    """Fail when the gaps do not follow the law (of scipy): KS, and the mean.

    Late times are multiples of 1e-11 s, so of the shortest gaps only the share is held.
    """
    short = law.cdf(1e-9)
    if short > 0.01:
        error = math.sqrt(short * (1 - short) / gaps.size)
        hold((gaps < 1e-9).mean(), short, error, f"{what}, share of gaps below 1 ns")
    test = stats.kstest(gaps[gaps >= 1e-9], lambda x: (law.cdf(x) - short) / (1 - short))
    print(f"{what}: KS distance {test.statistic:.2g}, p = {test.pvalue:.2g}")
    assert test.pvalue > 1e-5
    hold(gaps.mean(), law.mean(), law.std() / math.sqrt(gaps.size), f"{what}, mean gap")


def dispersion(times: Times, window: float, rate: float) -> tuple[float, float]:
    """Index of dispersion of counts in windows around the known rate, and its standard error."""
    bins = int(times[-1] // window)
    counts = np.histogram(times, bins=bins, range=(0, bins * window))[0]
    squares = (counts - rate * window) ** 2 / (rate * window)
    return float(squares.mean()), float(squares.std() / math.sqrt(bins))


N = 200_000
