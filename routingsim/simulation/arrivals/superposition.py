"""Several processes at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.closed import ClosedLoop
from routingsim.simulation.arrivals.process import Arrivals, Times
from routingsim.simulation.arrivals.recorded import CorpusTimes
from routingsim.simulation.arrivals.renewal import Poisson

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus

__all__ = ["Superposition"]

_BRANCH = -1  # the part of a draw that begins a stream of its own


@dataclass(frozen=True)
class Superposition(Arrivals):
    """The arrivals of several independent processes, merged.

    Each part draws from a stream of its own. A trace that is not looped ends,
    and the others go on.

    Parameters
    ----------
    parts : sequence of Arrivals
        Models and traces. Superpositions among them are dissolved into their
        own parts.
    """

    parts: tuple[Arrivals, ...]

    def __post_init__(self) -> None:
        parts: list[Arrivals] = []
        for part in self.parts:
            if isinstance(part, CorpusTimes | ClosedLoop) or not isinstance(part, Arrivals):
                raise SimulationError(
                    f"Superposition: {part} cannot be a part of one; needs models and traces"
                )
            parts += part.parts if isinstance(part, Superposition) else [part]
        if not parts:
            raise SimulationError("Superposition: no parts; needs one or more")
        object.__setattr__(self, "parts", tuple(parts))

    @property
    def synthetic(self) -> bool:
        return all(part.synthetic for part in self.parts)

    @property
    def rate(self) -> float:
        return math.fsum(part.rate or 0.0 for part in self.parts)

    @property
    def cv(self) -> float | None:
        return 1.0 if all(isinstance(part, Poisson) for part in self.parts) else None

    def scaled(self, factor: float) -> Self:
        return type(self)(tuple(part.scaled(factor) for part in self.parts))

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        from routingsim.rng import bits  # not at the top: this loads the compiler

        keys = [np.uint64(bits(key, k, _BRANCH)) for k in range(len(self.parts))]
        counts = [min(n, n // len(keys) + 64)] * len(keys)
        drawn = [np.empty(0)] * len(keys)
        behind = range(len(keys))
        while True:
            for k in behind:
                drawn[k] = self.parts[k]._draw(counts[k], keys[k], corpus)
            merged = np.sort(np.concatenate(drawn), kind="stable")
            last = merged[n - 1] if 0 < n <= merged.size else math.inf
            # Parts that might have more to say before the last arrival.
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
