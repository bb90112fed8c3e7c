"""Totals of a streamed replay's tasks by a code: that of their agent, tenant or priority.

Counts are exact; sums differ from those of a replay in memory by rounding alone; quantiles are
those of a :mod:`~routingsim.simulation.quantile_sketch`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.caching import cached_property
from routingsim.policies.kernel import OK, STATUS_NAMES
from routingsim.simulation.quantile_sketch import QuantileSketch
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.run_summary import QUANTILES

Floats = NDArray[np.float64]


class Tasks:
    """What is added of the tasks of a block, whatever they are grouped by.

    Parameters
    ----------
    block : RunRecord
    begin, end : float
        Of the time that is measured (s).
    """

    def __init__(self, block: RunRecord, begin: float, end: float) -> None:
        log = block.log
        self.block, self.status = block, log.status
        self.ok, self.timed = log.status == OK, block.timed
        self.quality = block.compared_quality
        inside = self.ok & (log.finished > begin) & (log.finished <= end)
        known = ~np.isnan(self.quality)
        every = slice(None)
        self.sums: dict[str, tuple[Any, Any]] = {
            "cost": (every, log.cost),
            "cost_recorded": (every, block.cost_recorded),
            "quality": (known, self.quality[known]),
            "known": (known, None),
            "timed": (self.timed, None),
            "done": (inside, None),
        }
        if block.hedge is not None:
            self.sums["hedged"] = (np.unique(log.lost), None)
            self.sums["spare"] = (log.lost, log.lost_ended - log.lost_left)

    @cached_property
    def seconds(self) -> Floats:
        """Seconds of service of each task."""
        return self.block.served_seconds

    @cached_property
    def times(self) -> dict[str, Floats]:
        """Waits, latencies and, where answers do not come whole, times to first tokens (s)."""
        block, timed = self.block, self.timed
        found = {"wait": block.log.wait[timed], "latency": block.latency[timed]}
        if block.work.first.size:
            found["first_token"] = block.first_token[timed]
        return found


class Groups:
    """Counts, sums and sketches by code, ``size`` of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.status = np.zeros((size, len(STATUS_NAMES)), np.int64)
        self.sums: dict[str, Floats] = defaultdict(partial(np.zeros, size))
        self.sketches: dict[str, dict[int, QuantileSketch]] = {}

    def add(self, tasks: Tasks, code: NDArray[np.integer], *, seconds: bool = False) -> None:
        """Add the tasks of a block, and the ``seconds`` of their service, but no sketch."""
        both = code * np.int64(len(STATUS_NAMES)) + tasks.status
        self.status += np.bincount(both, minlength=self.status.size).reshape(self.status.shape)
        for name, (where, weights) in tasks.sums.items():
            self.count(name, code[where], weights)
        if seconds:
            self.count("seconds", code, tasks.seconds)
        timed = code[tasks.timed]
        for name, values in tasks.times.items():
            self.count(name, timed, values)
            self.sketches.setdefault(name, defaultdict(QuantileSketch))

    def count(self, name: str, code: NDArray[np.integer], weights: Floats | None = None) -> None:
        """Add to a sum: the weights, or the number of codes."""
        self.sums[name] += np.bincount(code, weights, minlength=self.size)

    def sketch(self, code: NDArray[np.integer], times: Mapping[str, Floats]) -> None:
        """Count times (s) in the sketches of their codes."""
        order = np.argsort(code, kind="stable")
        ends = np.cumsum(np.bincount(code, minlength=self.size))[:-1]
        for name, values in times.items():
            sketches = self.sketches.setdefault(name, defaultdict(QuantileSketch))
            for k, part in enumerate(np.split(values[order], ends)):
                if part.size:
                    sketches[k].add(part)

    def take_sketches(self, other: "Groups") -> None:
        """Count what the sketches of another have counted."""
        for name, theirs in other.sketches.items():
            mine = self.sketches.setdefault(name, defaultdict(QuantileSketch))
            for k, sketch in theirs.items():
                mine[k].merge(sketch)

    @property
    def met(self) -> list[int]:
        """The codes that tasks have."""
        return np.flatnonzero(self.status.sum(axis=1)).tolist()

    def of(self, name: str, codes: Sequence[int]) -> float:
        """A sum over some codes."""
        return float(self.sums[name][codes].sum())

    def merged(self, name: str, codes: Iterable[int]) -> QuantileSketch:
        """One sketch of the times of some codes."""
        found = QuantileSketch()
        for k in codes:
            if k in self.sketches[name]:
                found.merge(self.sketches[name][k])
        return found

    def row(
        self, codes: Sequence[int], statuses: Sequence[int], *, hedges: bool, length: float
    ) -> dict[str, Any]:
        """A row of the summary, without share and utilisation, over ``length`` seconds."""
        status, of = self.status[codes].sum(axis=0), self._of(codes)
        tasks, answers = int(status.sum()), int(status[OK])
        row: dict[str, Any] = {"tasks": tasks}
        row |= {STATUS_NAMES[s]: int(status[s]) for s in statuses}
        for name in self.sketches:
            row[f"{name}_mean"] = over(of(name), of("timed"))
            found = self.merged(name, codes).quantiles(list(QUANTILES.values()))
            row |= {f"{name}_{q}": value for q, value in zip(QUANTILES, found, strict=True)}
        if hedges:
            row["hedged"] = over(of("hedged"), tasks)
            row["spare"] = over(of("spare"), of("seconds"))
        row["throughput"] = of("done") / length if length > 0 else math.nan
        row["cost_recorded"] = over(of("cost_recorded"), tasks)
        row["cost"] = of("cost")
        row["cost_mean"] = over(row["cost"], tasks)
        row["quality"] = over(of("quality"), of("known"))
        row["quality_all"] = over(row["quality"] * answers, tasks)
        row["recorded"] = over(of("known"), answers)
        return row

    def _of(self, codes: Sequence[int]) -> Callable[[str], float]:
        return lambda name: self.of(name, codes)


def over(total: float, count: float) -> float:
    """A share or mean; NaN of nothing."""
    return total / count if count else math.nan
