"""Renewal processes: independent gaps of one law.

They begin with a gap: the first arrival is not at 0.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from routingsim.simulation.arrivals.checks import number
from routingsim.simulation.arrivals.process import Rated, Times, kernels
from routingsim.synonyms import argument_hints

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus


@dataclass(frozen=True)
class _Renewal(Rated):
    """A renewal process: a gap at a time, so that arrivals can be drawn in blocks."""

    @abstractmethod
    def _draw_from(self, first: int, n: int, key: np.uint64, clock: Times) -> Times:
        """``n`` times from number ``first`` on; ``clock``, shape (1,), is where the last ended."""

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        return self._draw_from(0, n, key, np.zeros(1))

    def _source(self, n: int, key: np.uint64) -> Callable[[int], Times]:
        clock, drawn = np.zeros(1), 0

        def take(count: int) -> Times:
            nonlocal drawn
            times = self._draw_from(drawn, min(count, n - drawn), key, clock)
            drawn += times.size
            return times

        return take


@argument_hints
@dataclass(frozen=True)
class Poisson(_Renewal):
    """Exponential gaps of mean 1/rate, by inversion; ``rate`` in arrivals a second."""

    _poisson = True
    cv = dispersion = 1.0  # pyright: ignore

    def _draw_from(self, first: int, n: int, key: np.uint64, clock: Times) -> Times:
        return kernels().weibull(key, first, n, self.rate, 1.0, clock)


@argument_hints
@dataclass(frozen=True)
class Deterministic(_Renewal):
    """Equal gaps: arrival i, counted from 1, is at i/rate; ``rate`` in arrivals a second."""

    cv = dispersion = 0.0  # pyright: ignore

    def _draw_from(self, first: int, n: int, key: np.uint64, clock: Times) -> Times:
        return np.arange(first + 1, first + n + 1) / self.rate


@dataclass(frozen=True)
class _Varied(_Renewal):
    """A renewal process given by its rate and the coefficient of variation of its gaps."""

    cv: float = field()  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = "a number from 0.001 to 1000; for equal gaps take deterministic"
        number(self, "cv", lambda x: 0.001 <= x <= 1000, needed)

    @property
    def dispersion(self) -> float:
        """cv², as of every renewal process (Cox, "Renewal theory", 1962, section 4.2)."""
        return self.cv**2


@argument_hints
@dataclass(frozen=True)
class Gamma(_Varied):
    """Gamma gaps of shape 1/cv² and mean 1/rate.

    Variates by Marsaglia & Tsang, "A simple method for generating gamma variables",
    ACM TOMS 26 (2000); below shape 1 by the boost of its section 6.

    Parameters
    ----------
    rate : float
        Arrivals a second.
    cv : float
        Coefficient of variation of the gaps, 0.001 to 1000: below 1 for regular
        arrivals, above 1 for clustered ones. At 1 the gaps are exponential.
    """

    def _draw_from(self, first: int, n: int, key: np.uint64, clock: Times) -> Times:
        return kernels().gamma(key, first, n, self.rate, self.cv**-2, clock)


@argument_hints
@dataclass(frozen=True)
class Weibull(_Varied):
    """Weibull gaps of mean 1/rate, by inversion.

    The shape k solves cv² = Γ(1 + 2/k) / Γ(1 + 1/k)² − 1 (Johnson, Kotz &
    Balakrishnan, "Continuous univariate distributions 1", 1994, chapter 21).

    Parameters
    ----------
    rate : float
        Arrivals a second.
    cv : float
        Coefficient of variation of the gaps, 0.001 to 1000. At 1 they are exponential.
    """

    @property
    def shape(self) -> float:
        """The Weibull law's shape k."""
        return weibull_shape(self.cv)

    def _draw_from(self, first: int, n: int, key: np.uint64, clock: Times) -> Times:
        return kernels().weibull(key, first, n, self.rate, self.shape, clock)


def weibull_shape(cv: float) -> float:
    """Shape of a Weibull law with this coefficient of variation, from 6e-4 to 4e5."""
    low, high = 0.05, 2000.0
    for _ in range(100):  # halve to the last bit
        k = (low + high) / 2
        excess = math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k) - math.log1p(cv * cv)
        low, high = (k, high) if excess > 0 else (low, k)
    return high
