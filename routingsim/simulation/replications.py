"""Further runs of one replay, and the intervals they give.

One run cannot tell how far its mean wait is from that of another day: waits hang together for
longer than most runs last. So an interval comes from further runs of the same call, each under a
seed of its own, by Hall's transformed t (:func:`~routingsim.simulation.statistics.hall_interval`).
They are made when an interval is asked for.

Which question an interval answers depends on what the runs draw anew:

- arrivals of a model: other days with the same tasks;
- recorded arrivals: the same tasks at the same times, with other service times, failures and
  draws of the policy;
- recorded arrivals and ``days``: other days like this one. Blocks of consecutive tasks are drawn,
  with the gaps between them (Künsch, "The jackknife and the bootstrap for general stationary
  observations", Ann. Stat. 17, 1989). There is one record of days, so more runs do not narrow
  this interval.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import cpu_count
from typing import Any, Protocol

import numpy as np
from scipy import special
from tqdm.auto import tqdm

from routingsim import rng
from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.log_blocks import BLOCKS
from routingsim.simulation.statistics import Interval, hall_interval

REPLICATIONS = 10
"""Further runs behind an interval."""

MOST = 400
"""Further runs at most, where a precision is asked for."""

_SHORT = np.uint64(16)  # bits dropped from a seed, so that it has 48
_AT_A_TIME = 1_000_000  # tasks that are run side by side: about 120 MB


class Again(Protocol):
    """Runs a replay again under another seed; with ``days`` on a day drawn from its own."""

    def __call__(self, *, seed: int, days: bool = ...) -> Any: ...


def replication_seeds(seed: int, count: int) -> tuple[int, ...]:
    """The seeds of the replications of a run or a study, derived from its own.

    Two runs or studies with different seeds share none, where ``seed``, ``seed + 1``, … would share
    all but one. Each is a whole number below 2**48, and can be given to
    :func:`routingsim.replay`.
    """
    key = np.uint64(rng.stream(seed, rng.REPLICATION))
    return tuple(int(rng.bits(key, r, 0) >> _SHORT) for r in range(count))


class Replications:
    """The further runs of one replay, each reduced to what is asked of it and made once.

    Parameters
    ----------
    again : Again
        Runs the replay again.
    seed : int
        Of the replay; seeds of further runs follow from it, the same for every policy.
    tasks : int
        Of a run.
    """

    def __init__(self, again: Again, seed: int, tasks: int) -> None:
        self._again, self._seed, self._tasks = again, seed, tasks
        self._known: dict[tuple[Callable[[Any], Any], bool], list[Any]] = {}

    def measured(
        self,
        measure: Callable[[Any], Any],
        count: int = REPLICATIONS,
        *,
        days: bool = False,
        done: Callable[[], object] = lambda: None,
    ) -> list[Any]:
        """What ``measure`` says of each of the first ``count`` further runs.

        Runs go in threads, as compiled kernels release the global interpreter lock.
        ``done()`` is called after each run.
        """
        known = self._known.setdefault((measure, days), [])
        seeds = replication_seeds(self._seed, count)[len(known) :]
        if not seeds:
            return known[:count]

        def one(seed: int) -> Any:
            return measure(self._again(seed=seed, days=days))

        workers = min(cpu_count() or 1, max(1, _AT_A_TIME // self._tasks))
        with ThreadPoolExecutor(workers) as pool:
            for value in pool.map(one, seeds):
                known.append(value)
                done()
        return known[:count]

    def interval(
        self,
        measure: Callable[[Any], Any],
        metric: str,
        *,
        count: int = REPLICATIONS,
        precision: float | None = None,
        most: int = MOST,
        days: bool = False,
        progress: bool = False,
        question: str,
    ) -> Interval:
        """The interval of a metric, ``measure(run)[metric]``.

        Parameters
        ----------
        measure, metric
            What to take of each run; runs for which it is NaN are left out.
        count, precision, most, days, progress
            As for :meth:`routingsim.simulation.result.ReplayResult.interval`.
        question : str
            What the runs draw anew, in words.
        """
        _check(count, precision, most, days)
        sets = (False, True) if days else (False,)
        bar = tqdm(total=count * len(sets), desc=metric, unit="run", disable=not progress)

        def found(wanted: int) -> Interval:
            runs = [self.measured(measure, wanted, days=d, done=bar.update) for d in sets]
            values = [[run[metric] for run in each] for each in runs]
            return of_days(*values) if days else hall_interval(values[0])

        with bar:
            interval = found(count)
            while precision is not None and count < most and not _met(interval, precision):
                count = min(most, _next(interval, precision, count))
                bar.total = count
                interval = found(count)
        said = f"{interval.runs} further runs, {question}"
        if precision is not None:
            met = "to" if _met(interval, precision) else "not to"
            said += f"; {met} {precision:.3g} of the mean"
        return _with(interval, said)


def of_days(same: Sequence[float], other: Sequence[float]) -> Interval:
    """The interval of a figure over days of which one is recorded.

    The variance between days drawn from the record says how far the record may be from another
    day, and is not divided by the number of runs. Chance within a day is in it, too, so the
    interval is rather too wide than too narrow.

    Parameters
    ----------
    same, other : sequence of float
        The figure in runs at the recorded times, and in as many on days drawn from them.
    """
    known = np.array([same, other], dtype=np.float64)
    known = known[:, ~np.isnan(known).any(axis=0)]
    runs = known.shape[1]
    mean = float(known[0].mean()) if runs else math.nan
    if runs < 3:
        return Interval(mean, math.nan, runs=runs)
    within, between = known.var(axis=1, ddof=1)
    # So few blocks vary less than days do, by (blocks - 1) / blocks.
    variance = BLOCKS / (BLOCKS - 1) * between + within / runs
    t = float(special.stdtrit(runs - 1, 0.975))
    return Interval(mean, t * math.sqrt(variance), runs=runs)


def _with(interval: Interval, method: str) -> Interval:
    return replace(interval, method=method)


def _met(interval: Interval, precision: float) -> bool:
    return interval.half_width <= precision * abs(interval.mean)


def _next(interval: Interval, precision: float, count: int) -> int:
    """How many runs to try next: as many as the width so far asks for, twice as many at most."""
    ratio = interval.half_width / (precision * abs(interval.mean)) if interval.mean else math.inf
    enough = count * ratio**2 if math.isfinite(ratio) else math.inf
    return math.ceil(min(max(enough, 1.1 * count), 2 * count))


def _check(count: int, precision: float | None, most: int, days: bool) -> None:
    if not is_whole(count) or count < 1:
        raise SimulationError(f"interval: replications={count!r}; a whole number above 0 is needed")
    if not is_whole(most) or most < count:
        raise SimulationError(
            f"interval: most={most!r}; a whole number of at least replications={count} is needed"
        )
    if precision is None:
        return
    if not is_finite(precision) or precision <= 0:
        raise SimulationError(
            f"interval: precision={precision!r}; a share of the mean above 0 is needed, as 0.05"
        )
    if days:
        raise SimulationError(
            "interval: precision goes with no days=True, for more runs of days drawn from one "
            "record do not narrow it; replay a longer record, or leave out one of the two"
        )
