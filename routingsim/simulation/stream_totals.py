"""What a streamed replay keeps of its tasks: totals, batches for intervals, a verdict a block."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.caching import cached_property
from routingsim.corpora.stream import Facts
from routingsim.policies.kernel import FAILED
from routingsim.simulation.batches import PARTS, long_enough
from routingsim.simulation.in_time import InTime, Tally, answers
from routingsim.simulation.recorded import Basis, basis_of_block
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.run_summary import first_tokens, with_share
from routingsim.simulation.stability import Stability, cells_of, over_parts, queue_steps
from routingsim.simulation.state import Log
from routingsim.simulation.stream_batches import Batches
from routingsim.simulation.stream_groups import Groups, Tasks, over
from routingsim.simulation.sums import busy_in
from routingsim.simulation.tenants import HIGHEST_PRIORITY, jain

_WINDOWS = 240  # in which arrivals are counted

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class BlockRecord(RunRecord):
    """A block of a streamed replay, of which window and basis are those of the whole."""

    measured: tuple[float, float] = (0.0, math.inf)
    facts: Facts | None = None

    @cached_property
    def basis(self) -> Basis:
        """The records of the block on which figures of quality rest."""
        return self._basis("quality")

    @cached_property
    def cost_basis(self) -> Basis:
        """The records of the block on which comparisons of cost rest."""
        return self._basis("cost")

    def _basis(self, field: Literal["quality", "cost"]) -> Basis:
        assert self.corpus is not None  # a stream has texts, or their lengths
        assert self.facts is not None
        return basis_of_block(self.corpus, self.pool, field, getattr(self.facts, field))

    @property
    def window(self) -> tuple[float, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Begin and end (s) of the interval over which rates and utilisation are measured."""
        return self.measured


class Totals:
    """The totals of a streamed replay, block by block; read them once :meth:`finish` was called.

    Parameters
    ----------
    pool : AgentPool
    tasks : int
        Of the whole replay.
    window : tuple of float
        Begin and end (s) of what is measured; the end is infinite where it is the last completion.
    first, last : float
        The first and the last arrival (s).
    tenants : sequence of str
        Their names; empty if there are none.
    weight : ndarray, shape (tenants,)
        Their weights.
    tally : Tally, optional
        Counts the answers within objectives.
    """

    def __init__(
        self,
        pool: AgentPool,
        tasks: int,
        window: tuple[float, float],
        first: float,
        last: float,
        tenants: Sequence[str],
        weight: Floats,
        tally: Tally | None = None,
    ) -> None:
        self.pool, self.tasks, self.begin, self.last_end = pool, tasks, window[0], window[1]
        self._until, self.tally = window[1], tally
        self.tenants, self._weight = [name or "none" for name in tenants], weight
        self._agents, self._tenants = Groups(len(pool)), Groups(len(self.tenants))
        self._priorities = Groups(HIGHEST_PRIORITY + 1)
        self.batches, self._batch, self._open = Batches(self.begin, last), 0, Groups(len(pool))
        self._edges = np.linspace(first, last, _WINDOWS + 1)
        self._arrivals = np.zeros(_WINDOWS)
        self._queued = np.zeros(cells_of(tasks), np.int64)
        self._verdicts: list[tuple[Stability, float]] = []
        self.statuses: tuple[int, ...] = ()
        self.kind = self.cost_kind = "none"
        self.common = 0
        self._hedges, self._ended = False, -math.inf
        self._held: tuple[NDArray[Any], ...] = (np.zeros(0, np.int16), np.zeros(0), np.zeros(0))

    def add(self, block: BlockRecord) -> None:
        """Add a block of tasks."""
        log, agent, tasks = block.log, block.log.agent, Tasks(block, self.begin, self._until)
        self.statuses, self._hedges = block.statuses, block.hedge is not None
        self.kind, self.cost_kind = block.basis.kind, block.cost_basis.kind
        self.common += int(block.basis.rows.sum())
        self._ended = max(self._ended, float(log.finished.max()))
        self._agents.add(tasks, agent, seconds=self._hedges)
        self._agents.sums["busy"] += block.busy_seconds
        self._keep_held(log)
        served, took = log.status <= FAILED, log.finished - log.left
        self._agents.count("served", agent[served])
        self._agents.count("took", agent[served], took[served])
        self._agents.count("took_squared", agent[served], took[served] ** 2)
        if self.tenants:
            code = block.work.tenant if block.work.tenant.size else np.zeros(len(block), np.int32)
            self._tenants.add(tasks, code, seconds=True)
            self._tenants.sketch(code[tasks.timed], tasks.times)
        if block.work.priority.size:
            self._priorities.add(tasks, block.work.priority, seconds=True)
            self._priorities.sketch(block.work.priority[tasks.timed], tasks.times)
        if self.tally is not None:
            self._count_in_time(self.tally, block)
        self._add_to_batches(tasks, agent[tasks.timed])
        self._arrivals += np.diff(np.searchsorted(block.work.arrived, self._edges))
        entered, edges = log.left - log.wait, self._edges
        self._queued += queue_steps(entered, log.left, self._queued.size, edges[0], edges[-1])
        self._verdicts.append((block.stability, block.span))

    def _keep_held(self, log: Log) -> None:
        """Keep the slots that are held beyond the last end so far: agent, begin and end (s)."""
        new = (each[: log.holds[0]] for each in (log.held_agent, log.held_from, log.held_until))
        agent, begin, end = map(np.concatenate, zip(self._held, new, strict=True))
        late = end > self._ended
        self._held = agent[late], begin[late], end[late]

    def _count_in_time(self, tally: Tally, block: BlockRecord) -> None:
        found = answers(block)
        tally.add(found)
        if 0 < self.length < math.inf:  # else there is no interval, either
            part = self.batches.parts(block.work.arrived[block.work.arrived >= self.begin])
            prompt = found.prompt(tally.goal, self.length)
            known = prompt & found.judged
            right = found.quality[known] >= tally.goal.right
            self.batches.add("prompt", part, prompt.astype(np.float64))
            self.batches.add("right", part[known], right.astype(np.float64))

    def _add_to_batches(self, tasks: Tasks, agent: NDArray[np.integer]) -> None:
        part, known = self.batches.parts(tasks.block.work.arrived), ~np.isnan(tasks.quality)
        self.batches.add("cost", part, tasks.block.log.cost)
        self.batches.add("answered", part, tasks.ok.astype(np.float64))
        self.batches.add("quality", part[known], tasks.quality[known])
        part = part[tasks.timed]
        for name, values in tasks.times.items():
            self.batches.add(name, part, values)
        batch = part // PARTS
        for k in np.unique(batch):
            if k > self._batch:
                self._close(int(k))
            inside = batch == k
            times = {name: values[inside] for name, values in tasks.times.items()}
            self._open.sketch(agent[inside], times)

    def _close(self, following: int = 0) -> None:
        """Keep the quantiles of the batch that is open, and open the ``following``."""
        for name in self._open.sketches:
            self.batches.close(self._batch, name, self._open.merged(name, range(len(self.pool))))
        self._agents.take_sketches(self._open)
        self._batch, self._open = following, Groups(len(self.pool))

    def finish(self) -> None:
        """All blocks have been added."""
        self._close()
        if math.isinf(self._until):
            self.last_end = self._ended
            after = (self._ended, math.inf)
            agent, begin, end = self._held
            self._agents.sums["busy"] -= busy_in(agent, begin, end, after, len(self.pool))

    @property
    def length(self) -> float:
        """Seconds that are measured."""
        return self.last_end - self.begin

    @cached_property
    def stability(self) -> Stability:
        """The verdict on the whole, from those on its blocks."""
        waiting = self.waiting[1]
        return over_parts(self._verdicts, self.tasks, int(waiting.max()), int(waiting[-1]))

    @property
    def waiting(self) -> tuple[Floats, NDArray[np.int64]]:
        """Times (s), equally far apart, and how many tasks waited then."""
        cells = self._queued.size
        return np.linspace(self._edges[0], self._edges[-1], cells + 1)[1:], self._queued.cumsum()

    @property
    def timed(self) -> list[int]:
        """Answers of each agent after the warm-up."""
        return self._agents.sums["timed"].astype(int).tolist()

    def latencies(
        self, shares: Sequence[float], agents: Sequence[int] | None = None
    ) -> list[float]:
        """Quantiles of the latencies (s) of some agents, by default of all."""
        every = range(len(self.pool)) if agents is None else agents
        return self._agents.merged("latency", every).quantiles(shares)

    @cached_property
    def whole(self) -> dict[str, Any]:
        """The same with times to first tokens, which come with ends where answers come whole."""
        return first_tokens(self.overall) | self.overall

    @cached_property
    def overall(self) -> dict[str, Any]:
        """The summary's last row."""
        return with_share(self._row(range(len(self.pool))), 1.0)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each agent and one for the whole, as of a replay in memory."""
        counts = self._agents.status.sum(axis=1)
        rows = {
            name: with_share(self._row([a]), counts[a] / self.tasks)
            for a, name in enumerate(self.pool.ids)
        }
        return _frame(rows | {"all": self.overall}, "agent")

    def by_tenant(self) -> pd.DataFrame:
        """A row for each tenant, as of a replay in memory."""
        frame = self._grouped(self._tenants, dict(enumerate(self.tenants)), "tenant")
        if self.tenants:
            frame.insert(3, "weight", self._weight)
        return frame

    def by_priority(self) -> pd.DataFrame:
        """A row for each priority that tasks have; none where they have none."""
        return self._grouped(self._priorities, {k: k for k in self._priorities.met}, "priority")

    @property
    def fairness(self) -> float:
        """Jain's index of the service that tenants had for their weights; NaN without any."""
        return jain(self._tenants.sums["seconds"] / self._weight) if self.tenants else math.nan

    @cached_property
    def in_time(self) -> InTime | None:
        """What was answered within the objectives; None without any, or in no time."""
        if self.tally is None or self.length <= 0:
            return None
        return self.tally.over(self.length)

    def remarks(self, policy: str) -> list[str]:
        """What stands beside the figures: that costs are modelled, or that quality is not known."""
        whole, said = self.whole, []
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

    def _grouped(self, groups: Groups, names: Mapping[int, Any], index: str) -> pd.DataFrame:
        whole, rows = groups.of("seconds", list(names)) if names else 0.0, {}
        for code, name in names.items():
            row = self._figures(groups, [code])
            served = over(groups.of("seconds", [code]), whole)
            rows[name] = {"tasks": row["tasks"], "share": row["tasks"] / self.tasks}
            rows[name] |= {"service": served} | row
        return _frame(rows, index)

    def _row(self, agents: Sequence[int]) -> dict[str, Any]:
        codes = list(agents)
        row = self._figures(self._agents, codes)
        slots = float(self.pool.column("concurrency")[codes].sum())
        used = over(self._agents.of("busy", codes), slots * max(self.length, 0.0))
        items, place = list(row.items()), 1 + len(self.statuses)
        return dict([*items[:place], ("utilisation", used), *items[place:]])

    def _figures(self, groups: Groups, codes: Sequence[int]) -> dict[str, Any]:
        row = groups.row(codes, self.statuses, hedges=self._hedges, length=self.length)
        if row["cost_recorded"] < 1 and self.cost_kind == "log":
            row["cost"] = row["cost_mean"] = math.nan  # records are of other tasks for each policy
        return row

    def long(self, cv: float) -> bool:
        """Whether the run is long against the time in which its queues forget.

        ``cv`` is that of the gaps between arrivals.
        """
        sums = self._agents.sums
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, square = sums["took"] / sums["served"], sums["took_squared"] / sums["served"]
            clumps = float(self._arrivals.var() / self._arrivals.mean())
            varied = (square / mean**2 - 1 + max(cv**2, clumps)) / 2
        load = np.array([self.stability.offered[each] for each in self.pool.ids])
        return long_enough(sums["served"].astype(np.int64), load, np.nan_to_num(varied))


def _frame(rows: dict[Any, dict[str, Any]], index: str) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = index
    return frame
