"""Further runs of one replay, and the intervals they give.

One run does not show how far its mean wait is from that of another day: waits are correlated for
longer than most runs last. So an interval comes from further runs of the same call, each under a
seed of its own, by Hall's transformed t (:func:`~routingsim.simulation.statistics.hall_interval`).
They are made when an interval is asked for.

Which question an interval answers depends on what the runs draw anew:

- arrivals of a model: other days with the same tasks;
- recorded arrivals: the same tasks at the same times, with other service times, failures and
  draws of the policy;
- recorded arrivals and ``days``: other days like this one. Blocks of consecutive tasks are drawn,
  with the gaps between them (Künsch, "The jackknife and the bootstrap for general stationary
  observations", Ann. Stat. 17, 1989), and each day is run under several seeds. There is one
  record of days, so more runs do not narrow this interval.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from scipy import special

from routingsim import rng
from routingsim.errors import SimulationError
from routingsim.progress import progress_bar
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.log_blocks import BLOCKS
from routingsim.simulation.statistics import Interval, hall_interval
from routingsim.threads import mapped, workers_of

REPLICATIONS = 10
"""Further runs behind an interval."""

MOST = 400
"""Further runs at most, where a precision is asked for."""

RUNS_OF_A_DAY = 4
"""Runs of each day that is drawn from a record."""

_SHORT = np.uint64(16)  # bits dropped from a seed, so that it has 48
_AT_A_TIME = 1_000_000  # tasks that are run at the same time: about 120 MB


class Again(Protocol):
    """Runs a replay again under another seed; with ``day``, a seed, on a day drawn from its own."""

    def __call__(self, *, seed: int, day: int | None = ...) -> Any: ...


def replication_seeds(seed: int, count: int) -> tuple[int, ...]:
    """The seeds of the replications of a run or a study, derived from its own.

    Two runs or studies with different seeds share none, where ``seed``, ``seed + 1``, … would share
    all but one. Each is a whole number below 2**48, and can be given to
    :func:`routingsim.replay`.
    """
    key = np.uint64(rng.stream(seed, rng.REPLICATION))
    return tuple(int(rng.bits(key, r, 0) >> _SHORT) for r in range(count))


class Replications:
    """The further runs of one replay, each run once, and reduced to the figures that are asked for.

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
        ``done()`` is called after each run. With ``days``, ``RUNS_OF_A_DAY`` runs in a row
        are of one day.
        """
        known = self._known.setdefault((measure, days), [])
        seeds = replication_seeds(self._seed, count)
        if len(known) >= count:
            return known[:count]

        def one(run: int) -> Any:
            day = seeds[run // RUNS_OF_A_DAY] if days else None
            return measure(self._again(seed=seeds[run], day=day))

        workers = min(workers_of(None), max(1, _AT_A_TIME // self._tasks))
        for value in mapped(one, range(len(known), count), workers):
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
        progress: bool = True,
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
        sets = {False: 1, True: RUNS_OF_A_DAY} if days else {False: 1}
        whole = count * sum(sets.values())
        bar = progress_bar(shown=progress, total=whole, desc=metric, unit="run")

        def found(wanted: int) -> Interval:
            runs = [
                self.measured(measure, wanted * times, days=d, done=bar.update)
                for d, times in sets.items()
            ]
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
        return replace(interval, method=said)


def of_days(same: Sequence[float], other: Sequence[float]) -> Interval:
    """The interval of a figure over days of which one is recorded.

    The variance between days drawn from the record says how far the record may be from another
    day, and is not divided by the number of runs. Each day is the mean of its runs: the chance
    within a day that is left in it is that in the mean of as many runs of the record, and
    where these are more, the interval is rather too wide than too narrow.

    Parameters
    ----------
    same : sequence of float
        The figure in runs at the recorded times.
    other : sequence of float
        The same on days drawn from them, ``RUNS_OF_A_DAY`` runs of each in a row.
    """
    values = np.array(same, dtype=np.float64)
    days = np.array(other, dtype=np.float64).reshape(-1, RUNS_OF_A_DAY).mean(axis=1)
    values, days = values[~np.isnan(values)], days[~np.isnan(days)]
    runs, least = len(same) + len(other), min(values.size, days.size)
    mean = float(values.mean()) if values.size else math.nan
    if least < 3:
        return Interval(mean, math.nan, runs=runs)
    # So few blocks vary less than days do, by (blocks - 1) / blocks.
    within = max(1 / values.size - 1 / RUNS_OF_A_DAY, 0.0) * values.var(ddof=1)
    variance = BLOCKS / (BLOCKS - 1) * days.var(ddof=1) + within
    t = float(special.stdtrit(least - 1, 0.975))
    return Interval(mean, t * math.sqrt(variance), runs=runs)


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
