"""Poisson processes with a varying rate: random, piecewise constant or diurnal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.checks import (
    RATE,
    checked,
    number,
    numeral,
    positive,
    refuse,
)
from routingsim.simulation.arrivals.process import Arrivals, Rated, Times, kernels
from routingsim.synonyms import argument_hints

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus

_RATE = f"a number of at least 0 ({RATE})"
_SECONDS = "a number above 0 (seconds)"
_MOST_CHANGES = 1e10  # changes of state in one draw; these take some minutes


@argument_hints
@dataclass(frozen=True)
class MMPP(Arrivals):
    """Markov-modulated Poisson process with cyclic states.

    State j lasts an exponential time of mean ``sojourns[j]``, during which arrivals
    come at ``rates[j]``; then comes state j + 1, and after the last state the first.
    The process is stationary: at time 0 it is in state j with a probability equal to
    that state's share of time. See Fischer & Meier-Hellstern, "The Markov-modulated
    Poisson process (MMPP) cookbook", Performance Evaluation 18 (1993).

    Parameters
    ----------
    rates : sequence of float
        Arrivals per second in each state, at least 0 and not all 0.
    sojourns : sequence of float
        Mean seconds in each state.
    """

    rates: Sequence[float]
    sojourns: Sequence[float]

    def __post_init__(self) -> None:
        rates = _each("MMPP", "rates", self.rates, above=False)
        sojourns = _each("MMPP", "sojourns", self.sojourns, above=True)
        if len(rates) != len(sojourns):
            raise SimulationError(
                f"MMPP: {len(rates)} rates and {len(sojourns)} sojourns; needs one of each a state"
            )
        if not any(rates):
            raise SimulationError("MMPP: every rate is 0; needs one above 0")
        object.__setattr__(self, "rates", rates)
        object.__setattr__(self, "sojourns", sojourns)

    @property
    def rate(self) -> float:
        return float(np.dot(self.rates, self.sojourns) / np.sum(self.sojourns))

    @property
    def cv(self) -> float:
        """From cv² = 2 λ² φ (Λ − Q)⁻² 1 − 1.

        Λ is the diagonal matrix of the rates, Q the generator of the states, λ the mean
        rate and φ the distribution of the state at an arrival (the cookbook, section 1.2).
        """
        rates, leaving = np.array(self.rates), 1 / np.array(self.sojourns)
        change = np.diag(leaving) @ (np.roll(np.eye(rates.size), 1, axis=1) - np.eye(rates.size))
        waits = np.diag(rates) - change
        seen = rates * self.sojourns / np.dot(rates, self.sojourns)
        second = 2 * seen @ np.linalg.solve(waits, np.linalg.solve(waits, np.ones(rates.size)))
        return float(np.sqrt(second * self.rate**2 - 1))

    @property
    def period(self) -> float:
        """Mean seconds of a cycle of all states."""
        return float(np.sum(self.sojourns))

    @property
    def dispersion(self) -> float:
        """From 1 + 2 π Λ (1π − Q)⁻¹ Λ 1 / λ − 2 λ.

        Λ is the diagonal matrix of the rates, Q the generator of the states, π the share of
        time in each and λ the mean rate (the cookbook, section 1.3).
        """
        rates, leaving = np.array(self.rates), 1 / np.array(self.sojourns)
        change = np.diag(leaving) @ (np.roll(np.eye(rates.size), 1, axis=1) - np.eye(rates.size))
        time = np.array(self.sojourns) / self.period
        known = np.linalg.solve(np.tile(time, (rates.size, 1)) - change, rates)
        return float(1 + 2 * (time * rates) @ known / self.rate - 2 * self.rate)

    def scaled(self, factor: float) -> Self:
        """Arrivals ``factor`` times as fast; the states last as long as before."""
        return replace(self, rates=tuple(rate * factor for rate in self.rates))

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        return _switching(self, n, key, np.array(self.rates), np.array(self.sojourns))

    def __str__(self) -> str:
        return f"mmpp:{_steps(zip(self.sojourns, self.rates, strict=True))}"


@argument_hints
def burst(rate: float, peak: float, on: float, off: float) -> MMPP:
    """Quiet periods and bursts of random length, alternating.

    ``burst(rate=2, peak=20, on=10, off=50)``: 2/s, and every 60 s on average a
    burst of 20/s that lasts 10 s on average. For fixed lengths see
    :class:`Piecewise`.

    Parameters
    ----------
    rate, peak : float
        Arrivals per second in quiet periods (at least 0) and in bursts (above 0).
    on, off : float
        Mean seconds of a burst and of a quiet period.

    Returns
    -------
    MMPP
        With two states.

    Raises
    ------
    SimulationError
        If a number is not allowed.
    """
    quiet = checked("burst", "rate", rate, lambda x: x >= 0, _RATE)
    peak = checked("burst", "peak", peak, lambda x: x > 0, f"a number above 0 ({RATE})")
    on = checked("burst", "on", on, lambda x: x > 0, _SECONDS)
    off = checked("burst", "off", off, lambda x: x > 0, _SECONDS)
    return MMPP(rates=(quiet, peak), sojourns=(off, on))


@argument_hints
@dataclass(frozen=True)
class Piecewise(Arrivals):
    """Poisson arrivals at piecewise constant rates, repeated from the start after the end.

    Arrival i comes when the rate's integral reaches the ith arrival of a Poisson
    process of rate 1 (Çinlar, "Introduction to stochastic processes", 1975,
    section 4.7).

    Parameters
    ----------
    steps : sequence of (float, float)
        Duration in seconds, and arrivals per second: at least 0 and not all 0.
    """

    steps: Sequence[tuple[float, float]]
    dispersion = 1.0  # pyright: ignore

    def __post_init__(self) -> None:
        try:
            pairs = [(seconds, rate) for seconds, rate in self.steps]
        except (TypeError, ValueError):
            raise SimulationError(
                f"Piecewise: steps is {self.steps!r}, needs pairs (seconds, rate)"
            ) from None
        seconds = _each("Piecewise", "seconds", [pair[0] for pair in pairs], above=True)
        rates = _each("Piecewise", "rates", [pair[1] for pair in pairs], above=False)
        if not any(rates):
            raise SimulationError("Piecewise: no step has a rate above 0; needs one")
        object.__setattr__(self, "steps", tuple(zip(seconds, rates, strict=True)))

    @property
    def rate(self) -> float:
        seconds, rates = zip(*self.steps, strict=True)
        return float(np.dot(seconds, rates) / np.sum(seconds))

    @property
    def stationary(self) -> bool:  # pyright: ignore
        return len({rate for _, rate in self.steps}) == 1

    @property
    def period(self) -> float | None:
        """Seconds of all steps; None where they have one rate."""
        return None if self.stationary else math.fsum(seconds for seconds, _ in self.steps)

    def scaled(self, factor: float) -> Self:
        """The same durations, at ``factor`` times the rates."""
        return replace(self, steps=tuple((seconds, rate * factor) for seconds, rate in self.steps))

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        seconds, rates = np.array(self.steps).T.copy()
        return _switching(self, n, key, rates, seconds)

    def __str__(self) -> str:
        return f"piecewise:{_steps(self.steps)}"


@argument_hints
@dataclass(frozen=True)
class Diurnal(Rated):
    """Poisson arrivals at the rate rate·(1 + amplitude·cos(2π(t − peak_at)/period)).

    Drawn by thinning: Lewis & Shedler, "Simulation of nonhomogeneous Poisson
    processes by thinning", Naval Research Logistics Quarterly 26 (1979).

    Parameters
    ----------
    rate : float
        Mean arrivals a second.
    amplitude : float
        Amplitude as a share of the mean rate, 0 to 1.
    period : float
        Seconds from peak to peak.
    peak_at : float, optional
        Time of a peak in seconds. By default half a period, so that the rate starts at
        its minimum.
    """

    amplitude: float
    period: float = 86400.0  # pyright: ignore[reportIncompatibleMethodOverride]
    peak_at: float | None = None
    stationary = False
    dispersion = 1.0  # pyright: ignore

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "amplitude", lambda x: 0 <= x <= 1, "a number from 0 to 1 (share of the rate)")
        positive(self, "period", "seconds")
        if self.peak_at is not None:
            number(self, "peak_at", lambda x: True, "a number (seconds)")

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        peak_at = self.period / 2 if self.peak_at is None else self.peak_at
        return kernels().diurnal(key, n, self.rate, self.amplitude, self.period, peak_at)


def _each(owner: str, name: str, values: Sequence[float], *, above: bool) -> tuple[float, ...]:
    """The values, each checked: seconds above 0, or rates of at least 0."""
    needed = _SECONDS if above else _RATE
    if not isinstance(values, Iterable):
        refuse(owner, name, values, f"a list, each of them {needed}")
    return tuple(
        checked(owner, f"{name}[{k}]", value, lambda x: x > 0 if above else x >= 0, needed)
        for k, value in enumerate(values)
    )


def _switching(
    process: MMPP | Piecewise,
    n: int,
    key: np.uint64,
    rates: NDArray[np.float64],
    seconds: NDArray[np.float64],
) -> Times:
    """``n`` arrivals, unless states change so often that they would take too long to draw."""
    per_cycle = float(np.dot(rates, seconds))
    changes = n * len(rates) / max(per_cycle, np.finfo(float).tiny)
    if changes > _MOST_CHANGES:
        raise SimulationError(
            f"{process}: a cycle of all states has {per_cycle:g} arrivals, so {n:,} arrivals take "
            f"{changes:.0e} changes of state, and {_MOST_CHANGES:.0e} are allowed; let the "
            "states last longer, or raise their rates"
        )
    return kernels().switching(key, n, rates, seconds, isinstance(process, MMPP))


def _steps(pairs: Iterable[tuple[float, float]]) -> str:
    return "/".join(f"{numeral(seconds)}@{numeral(rate)}" for seconds, rate in pairs)
