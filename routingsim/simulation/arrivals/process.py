"""What every arrival process is, and the checks they share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import SimulationError

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus
    from routingsim.simulation.arrivals.superposition import Superposition

__all__ = [
    "RATE",
    "Arrivals",
    "Rated",
    "Times",
    "checked",
    "compiled",
    "is_finite",
    "is_whole",
    "number",
    "numeral",
    "options",
    "positive",
    "realised",
    "refuse",
]

RATE = "arrivals a second"
_RATES = 1e-12, 1e18  # beyond, times or their squares are no longer numbers
Times = NDArray[np.float64]


def realised(times: ArrayLike) -> tuple[float, float]:
    """Rate and coefficient of variation of the gaps between these arrivals.

    Parameters
    ----------
    times : array_like, shape (n,)
        Sorted arrival times in seconds.

    Returns
    -------
    rate : float
        Gaps a second, (n − 1) / (last − first): nan where there is no gap, inf
        where all arrivals are at once.
    cv : float
        Standard deviation over mean of the gaps; nan where the mean is 0.
    """
    stamps = np.asarray(times, dtype=np.float64)
    if stamps.size < 2:
        return math.nan, math.nan
    span = float(stamps[-1] - stamps[0])
    if span == 0:
        return math.inf, math.nan
    rate = (stamps.size - 1) / span
    return rate, float(np.diff(stamps).std() * rate)


class Arrivals(ABC):
    """What every arrival process is."""

    @property
    def synthetic(self) -> bool:
        """Whether a model makes the times, none a corpus or trace: only then is there warm-up."""
        return True

    if TYPE_CHECKING:  # some have them as fields, which a real property would stand in the way of

        @property
        def rate(self) -> float | None:
            """Mean arrivals a second, nominal (for traces as recorded); None where not known."""

        @property
        def cv(self) -> float | None:
            """Coefficient of variation of the gaps, nominal; None where not known."""

    @abstractmethod
    def scaled(self, factor: float) -> Arrivals:
        """The same process, ``factor`` times as fast, its shape kept."""

    @abstractmethod
    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        """Times of the first ``n`` arrivals, from the stream ``key``."""

    def times(self, n: int, seed: int, corpus: Corpus | None = None) -> Times:
        """Times of the first ``n`` arrivals.

        Parameters
        ----------
        n : int
            How many.
        seed : int
            Names the draws, −2**63 to 2**63 − 1.
        corpus : Corpus, optional
            Whose own times :class:`CorpusTimes` takes.

        Returns
        -------
        ndarray of float64, shape (n,)
            Seconds from 0, sorted. Fewer than ``n`` where a trace or corpus that
            is not looped has no more.

        Raises
        ------
        SimulationError
            If ``n`` or ``seed`` is not allowed, or the process has no times of
            its own to give.
        CorpusError
            If a trace cannot be read.
        """
        if not is_whole(n) or n < 0:
            raise SimulationError(f"n is {n!r}, needs a whole number of at least 0 (arrivals)")
        if not is_whole(seed) or not -(2**63) <= seed < 2**63:
            raise SimulationError(f"seed is {seed!r}, needs a whole number of at most 64 bits")
        return self._draw(int(n), _stream(seed), corpus)

    def __add__(self, other: Arrivals) -> Superposition:
        """Both processes at once."""
        from routingsim.simulation.arrivals.superposition import Superposition

        if not isinstance(other, Arrivals):
            return NotImplemented
        return Superposition((self, other))


@dataclass(frozen=True)
class Rated(Arrivals):
    """A process that is given its mean rate first."""

    rate: float  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        positive(self, "rate", RATE)
        least, most = _RATES
        needed = f"a number from {least:g} to {most:g} ({RATE})"
        number(self, "rate", lambda rate: least <= rate <= most, needed)

    def scaled(self, factor: float) -> Self:
        return replace(self, rate=self.rate * factor)


def compiled() -> Any:
    """The kernels. Not imported at the top: this loads the compiler."""
    from routingsim.simulation.arrivals import kernels

    return kernels


def _stream(seed: int) -> np.uint64:
    from routingsim import rng

    return np.uint64(rng.stream(seed, rng.ARRIVAL))


def is_whole(value: object) -> bool:
    """Whether it is an integer of Python's or NumPy's."""
    return hasattr(value, "__index__") and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Whether it is a finite real number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def numeral(number: float) -> str:
    """Shortest text that reads back as the same number."""
    return repr(float(number)).removesuffix(".0")


def options(process: Arrivals, *names: str) -> list[str]:
    """``name=value`` of the fields that differ from their defaults."""
    defaults = {field.name: field.default for field in fields(process)}  # pyright: ignore
    values = {name: getattr(process, name) for name in names}
    return [
        name if value is True else f"{name}={numeral(value)}"
        for name, value in values.items()
        if value != defaults[name]
    ]


def refuse(owner: str, name: str, value: object, needed: str) -> NoReturn:
    """Raise the error that ``name`` of ``owner`` is not what is needed."""
    shown = numeral(value) if isinstance(value, int | float) else repr(value)
    raise SimulationError(f"{owner}: {name} is {shown}, needs {needed}")


def checked(
    owner: str, name: str, value: object, allowed: Callable[[float], bool], needed: str
) -> float:
    """``value`` as a float, if it is a finite number that is ``allowed``.

    Raises
    ------
    SimulationError
        If it is anything else; ``needed`` says what is.
    """
    try:
        found = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and allowed(found)):
        refuse(owner, name, value, needed)
    return found


def number(process: Arrivals, name: str, allowed: Callable[[float], bool], needed: str) -> None:
    """Hold the field ``name`` to what is allowed, and keep it as a float."""
    value = getattr(process, name)
    found = checked(type(process).__name__, name, value, allowed, needed)
    object.__setattr__(process, name, found)


def positive(process: Arrivals, name: str, unit: str) -> None:
    """Hold the field ``name`` to a number above 0, and keep it as a float."""
    number(process, name, lambda x: x > 0, f"a number above 0 ({unit})")
