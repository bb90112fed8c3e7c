"""Recorded arrivals: those of a trace, or of the corpus that is replayed."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from routingsim.errors import SimulationError, type_of
from routingsim.simulation.arrivals.checks import number, numeral, options, positive, refuse
from routingsim.simulation.arrivals.process import Arrivals, Times, kernels, realised
from routingsim.synonyms import argument_hints

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus

_WINDOW = ("start", "stop")


@argument_hints
@dataclass(frozen=True, eq=False)
class Trace(Arrivals):
    """The arrivals of a recorded trace.

    Time 0 is the first arrival, or ``start`` where one is given.

    Parameters
    ----------
    source : str, path, Corpus or array_like of float
        A public corpus's name, a file, a corpus whose tasks have arrival times,
        or sorted times in seconds.
    speed : float
        How many times as fast the trace is replayed.
    start, stop : float, optional
        The part [start, stop) of the trace, in its own seconds.
    loop : bool
        Whether the trace repeats. A lap ends at ``stop``, or else one mean gap
        after the last arrival.
    jitter : float
        Width in the trace's own seconds of a uniform delay added to each
        arrival before they are sorted again, for traces with a coarse clock.
    """

    source: str | os.PathLike[str] | Corpus | ArrayLike
    speed: float = 1.0
    start: float | None = None
    stop: float | None = None
    loop: bool = False
    jitter: float = 0.0
    synthetic = stationary = False

    def __post_init__(self) -> None:
        from routingsim.corpora.corpus import Corpus

        source = self.source
        if isinstance(source, os.PathLike):
            source = os.fspath(source)
        elif not isinstance(source, str | Corpus):
            source = _sorted_times(source)
        object.__setattr__(self, "source", source)
        positive(self, "speed", "times as fast")
        _window(self)
        number(self, "jitter", lambda x: x >= 0, "a number of at least 0 (seconds)")

    @cached_property
    def _lap(self) -> tuple[Times, float]:
        """Arrivals of one lap, in the trace's own seconds from its start, and its length."""
        stamps, name = self._stamps()
        stamps = stamps[within(stamps, self, name)]
        origin = float(stamps[0]) if self.start is None else self.start
        if self.stop is not None:
            return stamps - origin, self.stop - origin
        gap = (stamps[-1] - stamps[0]) / max(stamps.size - 1, 1)
        length = float(stamps[-1] - origin + gap)
        if self.loop and gap == 0:
            raise SimulationError(
                f"{name}: its arrivals are all at once, so a lap has no length; give stop"
            )
        return stamps - origin, length

    @cached_property
    def _corpus(self) -> Any:
        from routingsim.corpora.datasets import load_corpus

        return load_corpus(self.source) if isinstance(self.source, str) else self.source

    def _stamps(self) -> tuple[Times, str]:
        if isinstance(self.source, np.ndarray):
            return self.source, "the trace"
        return _own_times(self._corpus), self._corpus.name

    @property
    def cautions(self) -> tuple[str, ...]:
        if isinstance(self.source, np.ndarray):
            return ()
        found = self._corpus.check().about("times")
        return tuple(f"{self._corpus.name}: {each}" for each in found)

    @property
    def rate(self) -> float:
        stamps, length = self._lap
        if self.loop:
            return stamps.size / length * self.speed
        return realised(stamps)[0] * self.speed

    @property
    def cv(self) -> float | None:
        return None if self.jitter else realised(self._lap[0])[1]

    @property
    def period(self) -> float | None:
        """Seconds of a lap of a trace that repeats."""
        return self._lap[1] / self.speed if self.loop else None

    @property
    def dispersion(self) -> float | None:
        """cv², as if gaps were independent."""
        return None if self.cv is None else self.cv**2

    def scaled(self, factor: float) -> Self:
        return replace(self, speed=self.speed * factor)

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        times, length = self._lap
        if self.loop:
            # Jitter may carry arrivals past the nth from as many laps as it is long.
            laps = math.ceil(n / times.size) + math.ceil(self.jitter / length)
            times = (np.arange(laps)[:, None] * length + times).ravel()
        if self.jitter:
            times = times.copy()
            kernels().jitter(key, times, self.jitter)
            times.sort()
        return times[:n] / self.speed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        mine, its = self.source, other.source
        if type(mine) is not type(its) or self._settings() != other._settings():
            return False
        if isinstance(mine, np.ndarray):
            return np.array_equal(mine, np.asarray(its))
        return bool(mine == its)

    def __hash__(self) -> int:
        return hash(self._settings())

    def _settings(self) -> tuple[object, ...]:
        return self.speed, self.start, self.stop, self.loop, self.jitter

    def __str__(self) -> str:
        source = self.source
        if isinstance(source, np.ndarray):
            said = f"<{source.size:,} times>"
        else:
            said = source if isinstance(source, str) else str(getattr(source, "name", source))
        if "," in said or " + " in said or said != said.strip():
            said = f'"{said}"'
        return ",".join([f"trace:{said}", *options(self, "speed", *_WINDOW, "loop", "jitter")])


@argument_hints
@dataclass(frozen=True)
class CorpusTimes(Arrivals):
    """The recorded times of the corpus that is replayed.

    Time 0 is the first arrival, or ``start`` where one is given. With a window
    only the tasks in it are replayed: see :meth:`rows`.

    Parameters
    ----------
    speed : float
        How many times as fast.
    start, stop : float, optional
        The part [start, stop) of the corpus, in its own seconds.
    """

    speed: float = 1.0
    start: float | None = None
    stop: float | None = None
    synthetic = stationary = False
    _alone = True

    def __post_init__(self) -> None:
        positive(self, "speed", "times as fast")
        _window(self)

    def scaled(self, factor: float) -> Self:
        return replace(self, speed=self.speed * factor)

    def rows(self, corpus: Corpus) -> slice:
        """The corpus's tasks that arrive, in the order of the times.

        Raises
        ------
        SimulationError
            If the corpus has no arrival times, or none in the window.
        """
        return within(_own_times(corpus), self, corpus.name)

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        if corpus is None:
            raise SimulationError(
                'arrivals="corpus" takes the times of a corpus, and no corpus was given'
            )
        times = _own_times(corpus)[self.rows(corpus)]
        origin = times[0] if self.start is None else self.start
        return (times[:n] - origin) / self.speed

    def __str__(self) -> str:
        speed = [] if self.speed == 1 else [f"{numeral(self.speed)}x"]
        said = ",".join([*speed, *options(self, *_WINDOW)])
        return f"corpus:{said}" if said else "corpus"


def _window(process: Trace | CorpusTimes) -> None:
    """Check ``start`` and ``stop``."""
    for name in _WINDOW:
        if getattr(process, name) is not None:
            number(process, name, lambda x: True, "a number (the trace's own seconds)")
    if process.start is not None and process.stop is not None and process.stop <= process.start:
        owner, above = type(process).__name__, numeral(process.start)
        refuse(owner, "stop", process.stop, f"a number above start, {above}")


def in_window(stamps: Times, process: Trace | CorpusTimes) -> slice:
    """The stamps, sorted, that are in the window of a process."""
    start, stop = process.start, process.stop
    first = 0 if start is None else int(np.searchsorted(stamps, start))
    end = stamps.size if stop is None else int(np.searchsorted(stamps, stop))
    return slice(first, max(first, end))


def within(stamps: Times, process: Trace | CorpusTimes, name: str) -> slice:
    """The same, of which there must be one or more.

    Raises
    ------
    SimulationError
        If there is none.
    """
    found = in_window(stamps, process)
    if found.start == found.stop:
        edges = process.start, process.stop
        begin, end = ("" if edge is None else numeral(edge) for edge in edges)
        raise SimulationError(
            f"{name}: no arrival in [{begin}, {end}); its times go "
            f"from {numeral(stamps[0])} to {numeral(stamps[-1])} s"
        )
    return found


def _own_times(corpus: Corpus) -> Times:
    if not corpus.has_arrivals:
        raise SimulationError(
            f"{corpus.name} has no arrival times of its own (arrived_at on every task); "
            "use a model such as poisson:4, or trace:FILE"
        )
    return corpus.tasks["arrived_at"].to_numpy()


def _sorted_times(values: ArrayLike) -> Times:
    """A read-only copy of the values, if they are sorted times."""
    try:
        times = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise SimulationError(
            f"Trace: source is {type_of(values)}; needs a file, the name of a public "
            "corpus, a Corpus or an array of times"
        ) from None
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise SimulationError(f"Trace: source has shape {times.shape}, needs a row of finite times")
    late = np.flatnonzero(np.diff(times) < 0)
    if late.size:
        at = int(late[0]) + 1
        raise SimulationError(
            f"Trace: source[{at}] is {numeral(times[at])}, after {numeral(times[at - 1])}; "
            "sort the times"
        )
    times.flags.writeable = False
    return times
