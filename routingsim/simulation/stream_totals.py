"""What a streamed replay keeps of its tasks: counts, sums, sketches, and the verdict of each block.

Counts are exact; sums differ from those of a replay in memory by rounding alone; quantiles are
those of a :mod:`~routingsim.simulation.quantile_sketch`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.policies.kernel import FAILED, OK, STATUS_NAMES
from routingsim.simulation.batches import BATCHES, interval_of_parts, long_enough
from routingsim.simulation.quantile_sketch import QuantileSketch
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.run_summary import QUANTILES, with_share
from routingsim.simulation.stability import Stability, cells_of, over_parts, queue_steps
from routingsim.simulation.statistics import Interval

PARTS = 8 * BATCHES
"""Equal parts of the time that is measured, whose mean wait and latency are kept for intervals."""

_WINDOWS = 240  # in which arrivals are counted

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class BlockRecord(RunRecord):
    """A block of a streamed replay, of which the window is that of the whole."""

    measured: tuple[float, float] = (0.0, math.inf)

    @property
    def window(self) -> tuple[float, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Begin and end (s) of the interval over which rates and utilisation are measured."""
        return self.measured


class Totals:
    """The totals of a streamed replay, block by block.

    Parameters
    ----------
    pool : AgentPool
    tasks : int
        Of the whole replay.
    window : tuple of float
        Begin and end (s) of what is measured; the end is infinite where it is the last completion.
    first, last : float
        The first and the last arrival (s).
    """

    def __init__(
        self, pool: AgentPool, tasks: int, window: tuple[float, float], first: float, last: float
    ) -> None:
        m = len(pool)
        self.pool, self.tasks, self.begin, self.end = pool, tasks, *window
        self._sums = {
            name: np.zeros(m)
            for name in (
                *("busy", "cost", "cost_recorded", "quality", "known", "timed", "done", "served"),
                *("took", "took_squared", "hedged", "spare", "seconds"),
            )
        }
        self._status = np.zeros((m, len(STATUS_NAMES)), np.int64)
        self._times: dict[str, tuple[Floats, list[QuantileSketch]]] = {}
        self._parts = {name: np.zeros((2, PARTS)) for name in ("wait", "latency")}
        self._last = max(last, np.nextafter(window[0], math.inf))
        self._edges = np.linspace(first, last, _WINDOWS + 1)
        self._arrivals = np.zeros(_WINDOWS)
        self._queued = np.zeros(cells_of(tasks), np.int64)
        self._verdicts: list[tuple[Stability, float]] = []
        self._statuses: tuple[int, ...] = ()
        self._kinds: set[tuple[str, str]] = set()
        self._hedges = False
        self.last_end = -math.inf

    def add(self, block: BlockRecord) -> None:
        """Add a block of tasks."""
        log, m = block.log, len(self.pool)
        agent, ok, timed = log.agent, log.status == OK, block.timed
        self._statuses, self._hedges = block.statuses, block.hedge is not None
        self._kinds.add((block.basis.kind, block.cost_basis.kind))
        self._status += np.bincount(
            agent * np.int64(len(STATUS_NAMES)) + log.status, minlength=self._status.size
        ).reshape(self._status.shape)
        self.last_end = max(self.last_end, float(log.finished.max()))
        inside = ok & (log.finished > self.begin) & (log.finished <= self.end)
        known, took = ~np.isnan(block.compared_quality), log.finished - log.left
        served = log.status <= FAILED
        sums = {
            "cost": (agent, log.cost),
            "cost_recorded": (agent, block.cost_recorded),
            "quality": (agent[known], block.compared_quality[known]),
            "known": (agent[known], None),
            "timed": (agent[timed], None),
            "done": (agent[inside], None),
            "served": (agent[served], None),
            "took": (agent[served], took[served]),
            "took_squared": (agent[served], took[served] ** 2),
        }
        if self._hedges:
            lost = np.unique(log.lost)
            spare = log.lost_ended - log.lost_left
            sums["hedged"] = (agent[lost], None)
            sums["spare"] = (agent[log.lost], spare)
            sums["seconds"] = (agent, block.served_seconds)
        for name, (where, weights) in sums.items():
            self._sums[name] += np.bincount(where, weights, minlength=m)
        self._sums["busy"] += block.busy_seconds
        self._add_times(block, agent[timed], timed)
        place = (block.work.arrived[timed] - self.begin) * (PARTS / (self._last - self.begin))
        place = np.minimum(place, PARTS - 1).astype(np.int64)
        for name, values in (("wait", log.wait[timed]), ("latency", block.latency[timed])):
            self._parts[name][0] += np.bincount(place, values, minlength=PARTS)
            self._parts[name][1] += np.bincount(place, minlength=PARTS)
        self._arrivals += np.diff(np.searchsorted(block.work.arrived, self._edges))
        entered, edges = log.left - log.wait, self._edges
        self._queued += queue_steps(entered, log.left, self._queued.size, edges[0], edges[-1])
        self._verdicts.append((block.stability, block.span))

    def _add_times(self, block: BlockRecord, agent: NDArray[Any], timed: NDArray[np.bool_]) -> None:
        times = {"wait": block.log.wait[timed], "latency": block.latency[timed]}
        if block.work.first.size:
            times["first_token"] = block.first_token[timed]
        for name, values in times.items():
            if name not in self._times:
                sketches = [QuantileSketch() for _ in self.pool]
                self._times[name] = np.zeros(len(self.pool)), sketches
            sums, sketches = self._times[name]
            sums += np.bincount(agent, values, minlength=sums.size)
            for a, sketch in enumerate(sketches):
                sketch.add(values[agent == a])

    @property
    def stability(self) -> Stability:
        """The verdict on the whole, from those on its blocks."""
        waiting = self._queued.cumsum()
        return over_parts(self._verdicts, self.tasks, int(waiting.max()), int(waiting[-1]))

    def summary(self) -> pd.DataFrame:
        """A row for each agent and one for the whole, as of a replay in memory."""
        counts = self._status.sum(axis=1)
        rows = {
            name: with_share(self._row([a]), counts[a] / self.tasks)
            for a, name in enumerate(self.pool.ids)
        }
        rows["all"] = with_share(self._row(list(range(len(self.pool)))), 1.0)
        frame = pd.DataFrame.from_dict(rows, orient="index")
        frame.index.name = "agent"
        return frame

    def remarks(self, policy: str) -> list[str]:
        """What stands beside the figures: that costs are modelled, or that quality is not known."""
        whole = self._row(list(range(len(self.pool))))
        said = []
        if (share := 1 - whole["cost_recorded"]) > 0:
            calls = "calls" if share == 1 else f"{policy}'s calls"
            said.append(
                "costs are modelled (price x tokens) where none is recorded: "
                f"{share:.0%} of {calls}"
            )
        if 0 < whole["recorded"] < 1:
            said.append(
                f"{policy}: quality is the mean over the {whole['recorded']:.1%} of its answers "
                "whose quality is recorded, which are other tasks for each policy"
            )
        return said

    def _row(self, agents: list[int]) -> dict[str, Any]:
        total = {name: float(values[agents].sum()) for name, values in self._sums.items()}
        status = self._status[agents].sum(axis=0)
        tasks, answers = int(status.sum()), int(status[OK])
        end = self.last_end if math.isinf(self.end) else self.end
        length, slots = end - self.begin, self.pool.column("concurrency")[agents].sum()
        row: dict[str, Any] = {"tasks": tasks}
        row |= {STATUS_NAMES[s]: int(status[s]) for s in self._statuses}
        row["utilisation"] = total["busy"] / (slots * length) if length > 0 else math.nan
        for name, (sums, sketches) in self._times.items():
            mine = sketches[agents[0]]
            if len(agents) > 1:
                mine = QuantileSketch()
                for a in agents:
                    mine.merge(sketches[a])
            row[f"{name}_mean"] = _over(float(sums[agents].sum()), total["timed"])
            found = mine.quantiles(list(QUANTILES.values()))
            row |= {f"{name}_{q}": value for q, value in zip(QUANTILES, found, strict=True)}
        if self._hedges:
            row["hedged"] = _over(total["hedged"], tasks)
            row["spare"] = _over(total["spare"], total["seconds"])
        row["throughput"] = total["done"] / length if length > 0 else math.nan
        row["cost_recorded"] = _over(total["cost_recorded"], tasks)
        row["cost"] = total["cost"]
        if row["cost_recorded"] < 1 and any(cost == "log" for _, cost in self._kinds):
            row["cost"] = math.nan  # the records are of other tasks for each policy
        row["cost_mean"] = _over(row["cost"], tasks)
        row["quality"] = _over(total["quality"], total["known"])
        row["quality_all"] = _over(row["quality"] * answers, tasks)
        row["recorded"] = _over(total["known"], answers)
        return row

    def interval(self, name: str, mean: float, *, cv: float, steady: bool) -> Interval:
        """The 95 % interval of the mean ``wait`` or ``latency`` by batches of this one run.

        ``cv`` is that of the gaps between arrivals, ``steady`` whether batches are alike at all.
        """
        found = None
        if steady and self._long(cv):
            found = interval_of_parts(*self._parts[name])
        if found is None:
            why = "the run is not steady, or too short for batches of it to be as runs of their own"
            return Interval(mean, math.nan, method=why)
        return replace(found, mean=mean)

    def _long(self, cv: float) -> bool:
        """Whether the run is long against the time in which its queues forget."""
        calls = self._sums["served"]
        with np.errstate(divide="ignore", invalid="ignore"):
            average, square = self._sums["took"] / calls, self._sums["took_squared"] / calls
            clumps = float(self._arrivals.var() / self._arrivals.mean())
            varied = (square / average**2 - 1 + max(cv**2, clumps)) / 2
        load = np.array([self.stability.offered[each] for each in self.pool.ids])
        return long_enough(calls.astype(np.int64), load, np.nan_to_num(varied))


def _over(total: float, count: float) -> float:
    return total / count if count else math.nan
