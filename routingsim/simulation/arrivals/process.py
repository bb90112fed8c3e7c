"""What every arrival process is, and the superposition of several."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.checks import (
    RATE,
    check_seed,
    is_whole,
    number,
    numeral,
    options,
    positive,
)
from routingsim.synonyms import argument_hints

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus

_RATES = 1e-12, 1e18  # outside, times or their squares overflow
_BRANCH = -1  # part of the draw that begins the stream of one part of a superposition
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
    from routingsim.simulation.sums import deviation_of_gaps

    return rate, float(deviation_of_gaps(stamps) * rate)


class Arrivals(ABC):
    """An arrival process: a frozen value that gives arrival times."""

    _poisson = False  # whether it is a Poisson process
    _alone = False  # whether it cannot be part of a superposition

    synthetic = True
    """Whether a model makes the times."""

    stationary = True
    """Whether arrivals have the same law at all times; only then do runs of a model have a
    warm-up by default."""

    if TYPE_CHECKING:  # at run time a property would hide a field of the same name

        @property
        def rate(self) -> float | None:
            """Mean arrivals a second, nominal (for traces as recorded); None if unknown."""

        @property
        def cv(self) -> float | None:
            """Coefficient of variation of the gaps, nominal; None if unknown."""

        @property
        def period(self) -> float | None:
            """Seconds after which it repeats, of random states on average; None if it does not."""

        @property
        def dispersion(self) -> float | None:
            """Variance over mean of the number of arrivals in a long time; None if unknown.

            Of what repeats in whole periods.
            """

        @property
        def cautions(self) -> tuple[str, ...]:
            """What the check-up of a trace found suspicious about its times."""
            return ()

    else:
        rate = cv = period = dispersion = None
        cautions = ()

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
            Seed of the random numbers, −2**63 to 2**63 − 1.
        corpus : Corpus, optional
            Its own times are those of :class:`CorpusTimes`.

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
        from routingsim import rng  # not at the top: this loads the compiler

        if not is_whole(n) or n < 0:
            raise SimulationError(f"n is {n!r}, needs a whole number of at least 0 (arrivals)")
        check_seed(seed)
        return self._draw(int(n), np.uint64(rng.stream(seed, rng.ARRIVAL)), corpus)

    def in_blocks(self, n: int, seed: int) -> Callable[[int], Times]:
        """The times that :meth:`times` gives, some at a time.

        Returns
        -------
        callable
            Called with a count it returns the next times, of the first ``n`` in all; fewer where
            there are no more. Renewal processes draw them as they are asked for, all others at
            once: 8 bytes a time.
        """
        from routingsim import rng  # not at the top: this loads the compiler

        check_seed(seed)
        return self._source(n, np.uint64(rng.stream(seed, rng.ARRIVAL)))

    def _source(self, n: int, key: np.uint64) -> Callable[[int], Times]:
        rest = self._draw(n, key, None)

        def take(count: int) -> Times:
            nonlocal rest
            times, rest = rest[:count], rest[count:]
            return times

        return take

    def __add__(self, other: Arrivals) -> Superposition:
        """The superposition of both processes."""
        if not isinstance(other, Arrivals):
            return NotImplemented
        return Superposition((self, other))


@dataclass(frozen=True)
class Rated(Arrivals):
    """A process whose first parameter is its mean rate."""

    rate: float = field()  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        positive(self, "rate", RATE)
        least, most = _RATES
        needed = f"a number from {least:g} to {most:g} ({RATE})"
        number(self, "rate", lambda rate: least <= rate <= most, needed)

    def scaled(self, factor: float) -> Self:
        return replace(self, rate=self.rate * factor)

    def __str__(self) -> str:
        others = options(self, *(each.name for each in fields(self)[1:]))
        return ",".join([f"{type(self).__name__.lower()}:{numeral(self.rate)}", *others])


@argument_hints
@dataclass(frozen=True)
class Superposition(Arrivals):
    """The arrivals of several independent processes, merged.

    Each part draws from a stream of its own. A trace that is not looped ends,
    and the others continue.

    Parameters
    ----------
    parts : sequence of Arrivals
        Models and traces. A superposition among them is replaced by its own parts.

    Raises
    ------
    SimulationError
        If there are no parts, or one must stand alone.
    """

    parts: tuple[Arrivals, ...]

    def __post_init__(self) -> None:
        found: list[Arrivals] = []
        for part in self.parts:
            if not isinstance(part, Arrivals) or part._alone:
                raise SimulationError(
                    f"Superposition: {part} cannot be a part of one; needs models and traces"
                )
            found += part.parts if isinstance(part, Superposition) else [part]
        if not found:
            raise SimulationError("Superposition: no parts; needs one or more")
        object.__setattr__(self, "parts", tuple(found))

    @property
    def synthetic(self) -> bool:  # pyright: ignore
        return all(part.synthetic for part in self.parts)

    @property
    def rate(self) -> float:
        return math.fsum(part.rate or 0.0 for part in self.parts)

    @property
    def cv(self) -> float | None:
        """1 where every part is Poisson, for then the superposition is; else unknown."""
        return 1.0 if all(part._poisson for part in self.parts) else None

    @property
    def stationary(self) -> bool:  # pyright: ignore
        return all(part.stationary for part in self.parts)

    @property
    def period(self) -> float | None:
        """The longest of its parts' periods."""
        return max((part.period for part in self.parts if part.period), default=None)

    @property
    def dispersion(self) -> float | None:
        """The mean of its parts', by their rates."""
        known = [(part.rate, part.dispersion) for part in self.parts]
        weighed = [rate * each for rate, each in known if rate is not None and each is not None]
        return math.fsum(weighed) / self.rate if len(weighed) == len(known) else None

    @property
    def cautions(self) -> tuple[str, ...]:
        return tuple(each for part in self.parts for each in part.cautions)

    def scaled(self, factor: float) -> Self:
        return type(self)(tuple(part.scaled(factor) for part in self.parts))

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        from routingsim.rng import bits

        keys = [np.uint64(bits(key, k, _BRANCH)) for k in range(len(self.parts))]
        counts = [min(n, n // len(keys) + 64)] * len(keys)
        drawn = [np.empty(0)] * len(keys)
        behind = range(len(keys))
        while True:
            for k in behind:
                drawn[k] = self.parts[k]._draw(counts[k], keys[k], corpus)
            merged = np.sort(np.concatenate(drawn), kind="stable")
            last = merged[n - 1] if 0 < n <= merged.size else math.inf
            # Parts that may have more arrivals before the last one.
            behind = [
                k
                for k, times in enumerate(drawn)
                if counts[k] < n and times.size == counts[k] and times[-1] < last
            ]
            if not behind:
                return merged[:n]
            for k in behind:
                counts[k] = min(n, 2 * counts[k])

    def __str__(self) -> str:
        return " + ".join(map(str, self.parts))


def kernels() -> Any:
    """The compiled kernels. Not imported at the top: this loads the compiler."""
    from routingsim.simulation.arrivals import kernels

    return kernels
