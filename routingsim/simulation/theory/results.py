"""Results of the models: named figures, and distributions where they are known.

A result is a frozen dataclass. Models with a known distribution of the wait are
:class:`Waits`: the distribution function and quantiles follow from the tail
``P(wait > t)``.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import exprel, gammaincc

from routingsim.errors import SimulationError

Floats = NDArray[np.float64]

Times = TypeVar("Times", float, Floats)
"""A number or an array of numbers; the result has the same type."""


@dataclass(frozen=True, repr=False)
class Result:
    """The figures of one queue in steady state; times in seconds, rates per second."""

    def _figures(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.repr}

    def __repr__(self) -> str:
        figures = (
            f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value!r}"
            for name, value in self._figures().items()
        )
        return f"{type(self).__name__}({', '.join(figures)})"

    def to_frame(self) -> pd.DataFrame:
        """The figures as one row, so that several results can be stacked by ``pd.concat``."""
        return pd.DataFrame([self._figures()])


@dataclass(frozen=True, repr=False)
class Waits(Result):
    """A result that knows the distribution of the wait."""

    def _wait_tail(self, t: Floats) -> Floats:
        """P(wait > t) at a 1-D array of ``t >= 0``."""
        raise NotImplementedError

    def wait_sf(self, t: Times) -> Times:
        """P(wait > t), the survival function, at one time or an array of times (s)."""
        return tail(self._wait_tail, t)

    def wait_cdf(self, t: Times) -> Times:
        """P(wait <= t), the distribution function, at one time or an array of times (s)."""
        return 1 - self.wait_sf(t)

    def wait_quantile(self, q: Times) -> Times:
        """The smallest t (s) with P(wait <= t) >= q; a SimulationError unless q is in [0, 1)."""
        return quantile(self._wait_tail, q)


@dataclass(frozen=True, repr=False)
class UnlimitedQueue(Waits):
    """A queue that takes and serves every task; the latency is from arrival to completion."""

    rate: float
    service: float
    servers: int
    utilisation: float
    p_wait: float
    wait_mean: float
    queue_mean: float
    latency_mean: float

    def _latency_tail(self, t: Floats) -> Floats:
        """P(latency > t) at a 1-D array of ``t >= 0``."""
        raise NotImplementedError

    def latency_sf(self, t: Times) -> Times:
        """P(latency > t), the survival function, at one time or an array of times (s)."""
        return tail(self._latency_tail, t)

    def latency_cdf(self, t: Times) -> Times:
        """P(latency <= t), the distribution function, at one time or an array of times (s)."""
        return 1 - self.latency_sf(t)

    def latency_quantile(self, q: Times) -> Times:
        """The smallest t (s) with P(latency <= t) >= q; a SimulationError unless q is in [0, 1)."""
        return quantile(self._latency_tail, q)

    @classmethod
    def of(
        cls, rate: float, service: float, servers: int, p_wait: float, wait: float, **own: Any
    ) -> Self:
        """The result for a mean wait, by Little's law."""
        return cls(
            rate=rate,
            service=service,
            servers=servers,
            utilisation=rate * service / servers,
            p_wait=p_wait,
            wait_mean=wait,
            queue_mean=rate * wait,
            latency_mean=wait + service,
            **own,
        )


@dataclass(frozen=True, repr=False)
class ExponentialWaits(UnlimitedQueue):
    """Exponential service after a wait that is 0 or exponential, as in M/M/c and GI/M/c.

    P(wait > t) = p_wait exp(-decay t), and the latency adds an independent exponential
    service time.
    """

    decay: float
    """Rate (1/s) at which the wait's tail falls."""

    def _wait_tail(self, t: Floats) -> Floats:
        return self.p_wait * np.exp(-self.decay * t)

    def _latency_tail(self, t: Floats) -> Floats:
        # exp(-mu t) + p mu (exp(-decay t) - exp(-mu t)) / (mu - decay). The quotient is
        # t exp(-min t) exprel(-|mu - decay| t), which has no special case at mu = decay.
        mu = 1 / self.service
        slow, gap = min(mu, self.decay), abs(mu - self.decay)
        return np.exp(-mu * t) + self.p_wait * mu * t * np.exp(-slow * t) * exprel(-gap * t)


def erlang_tail(t: Floats, found: Floats, completions: float) -> Floats:
    """P(wait > t) if an arrival finds all servers busy and ``j`` tasks queued with
    probability ``found[j]``: it waits for ``j + 1`` completions of a Poisson process of
    rate ``completions``, which take an Erlang(j + 1) time.
    """
    ahead = np.arange(1, found.size + 1)
    return np.array([gammaincc(ahead, completions * x) @ found for x in t])


def tail(function: Callable[[Floats], Floats], t: Times) -> Times:
    """``function`` at a number or an array of any shape, and 1 before time 0."""
    times = np.asarray(t, dtype=np.float64)
    flat = times.ravel()
    values = np.where(flat < 0, 1.0, function(np.maximum(flat, 0.0))).reshape(times.shape)
    return cast(Times, values if times.ndim else float(values))


def quantile(function: Callable[[Floats], Floats], q: Times) -> Times:
    """The smallest t >= 0 with ``function(t) <= 1 - q``, for a falling ``function``."""
    levels = np.asarray(q, dtype=np.float64)
    if not np.all((levels >= 0) & (levels < 1)):
        raise SimulationError(f"quantile: q is {q!r}; it must be at least 0 and below 1")

    def one(level: float) -> float:
        def reached(t: float) -> bool:
            return bool(function(np.array([t]))[0] <= 1 - level)

        if reached(0.0):
            return 0.0
        high = 1.0
        while not reached(high):
            high *= 2
        return bisect(reached, 0.0, high)

    values = np.array([one(level) for level in levels.ravel()]).reshape(levels.shape)
    return cast(Times, values if levels.ndim else float(values))


def bisect(reached: Callable[[float], bool], low: float, high: float) -> float:
    """The smallest float in (low, high] at which a monotone condition holds; it holds at high."""
    while low < (middle := low + (high - low) / 2) < high:
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
