"""The engine on tasks that are handed over in blocks: those that are done with leave memory.

Tasks keep the numbers of the whole run, and their random numbers with them, so that a run in blocks
gives what one in a single piece gives, bit for bit, wherever blocks end. In memory are the calls
under way, and the blocks from that of the oldest of these on.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.corpus import Corpus
from routingsim.policies.kernel import no_learning
from routingsim.policies.policy import Policy
from routingsim.simulation import engine
from routingsim.simulation.calls import HELD
from routingsim.simulation.events import MORE, USED
from routingsim.simulation.pages import Pages
from routingsim.simulation.state import (
    Log,
    Rules,
    System,
    Workload,
    empty_state,
    log_of,
)

_BY_TASK = ("arrived", "row")
_ALL = ("weight",)  # tables of the run, not of tasks
_COUNTS: tuple[str, ...] = ("retries", "holds", "losses")


@dataclass(frozen=True)
class Block:
    """Consecutive tasks: of the input without a log, of the output with it.

    Attributes
    ----------
    corpus : Corpus
    work : Workload
        Task i of the block is record i of the corpus.
    first : int
        The number of the first of them in the whole run.
    log : Log or None
        Tasks count from 0 here too. The calls that held their slots are those that came to an
        end since the last block, of whichever task.
    """

    corpus: Corpus
    work: Workload
    first: int = 0
    log: Log | None = None


class _Columns:
    """Named arrays as long as the run."""

    def __init__(self, shapes: dict[str, tuple[tuple[int, ...], Any]]) -> None:
        self.pages = {name: Pages(shape, dtype) for name, (shape, dtype) in shapes.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.pages[name].array


def played(
    blocks: Iterable[Block],
    tasks: int,
    policy: Policy,
    system: System,
    rules: Rules,
    memory: NDArray[np.float64],
    seed: int,
    last_priority: int = 0,
) -> Iterator[Block]:
    """Run the tasks of all blocks, ``tasks`` in all; yields each block once it has ended.

    The arrays of a block's output hold until the next is asked for.

    Parameters
    ----------
    blocks : iterable of Block
        Without a closed loop. Where one has tenants or priorities, all have.
    tasks : int
    policy : Policy
        Not in plain Python.
    system, rules, memory, seed
        As for :func:`routingsim.simulation.engine.run`.
    last_priority : int
        The highest priority number, that of the least urgent tasks, of all blocks.

    Raises
    ------
    PolicyError
        If the policy returns an agent that does not exist.
    """
    choose, learn = policy.choose, policy.learn
    kernels = choose.compiled, learn.compiled
    run: _Run | None = None
    for block in blocks:
        if run is None:
            priorities = np.full(min(block.work.priority.size, 1), last_priority, np.int16)
            run = _Run(block.work, priorities, tasks, system, rules, policy, memory)
        work = run.take(block)
        run.state, found = engine.advance(
            *(run.state, work, system, rules, run.log, run.pool, kernels, memory, seed),
            learns=learn is not no_learning,
        )
        if found >= 0:
            raise engine.no_such_agent(choose, found, system.slots.size)
        yield from run.ended()


class _Run:
    """The arrays of a run, and which of its tasks are in memory."""

    def __init__(
        self,
        work: Workload,
        priorities: NDArray[np.int16],
        tasks: int,
        system: System,
        rules: Rules,
        policy: Policy,
        memory: NDArray[np.float64],
    ) -> None:
        tables = {name: table for name, table in work._asdict().items() if name not in _BY_TASK}
        self._tasks, self._end = tasks, 0
        self._work = _Columns(
            {"arrived": ((tasks,), np.float64), "row": ((tasks,), np.int32)}
            | {
                name: ((tasks, *table.shape[1:]), table.dtype)
                for name, table in tables.items()
                if len(table) == work.row.size and table.size and name not in _ALL
            }
        )
        self._same = {name: each for name, each in tables.items() if name not in self._work.pages}
        one = log_of(1, work, system, rules)._asdict()
        self._rows = _Columns(
            {
                name: ((tasks * each.size,), each.dtype)
                for name, each in one.items()
                if name not in _COUNTS
            }
        )
        arrays: dict[str, Any] = {name: self._rows[name] for name in self._rows.pages}
        arrays |= {name: np.zeros(1, np.int64) for name in _COUNTS}
        self.log = Log(**arrays)
        whole = work._replace(row=np.zeros(tasks if system.window.size else 0, np.int32))
        whole = whole._replace(tokens=np.zeros((0, 0)), priority=priorities)
        self.state = empty_state(system, rules, whole, policy.choose, policy.learn, memory)
        self.pool = engine.pool_view(self.state, system)
        self._waiting: deque[tuple[Corpus, int, int]] = deque()
        self._low: dict[str, int] = dict.fromkeys(
            _COUNTS, 0
        )  # of the lists, where what is left begins

    def take(self, block: Block) -> Workload:
        """The workload with the tasks of another block behind those there are."""
        begin, end = self._end, self._end + block.work.row.size
        for name in self._work.pages:
            given = getattr(block.work, name) if name != "row" else np.arange(begin, end)
            self._work[name][begin:end] = given
        self._end = end
        self._waiting.append((block.corpus, begin, end))
        self.state.counters[MORE] = end < self._tasks
        found: dict[str, Any] = {name: self._work[name] for name in self._work.pages}
        found |= {name: found[name][:end] for name in _BY_TASK}
        return Workload(**found, **self._same)

    def ended(self) -> Iterator[Block]:
        """The blocks of which every task has ended; their memory is given back."""
        calls = self.state.calls[: self.state.counters[USED]]
        under_way = calls["task"][calls["task"] >= 0]
        oldest = int(under_way.min(initial=self._end))
        while self._waiting and self._waiting[0][2] <= oldest:
            corpus, begin, end = self._waiting.popleft()
            yield Block(corpus, self._input(begin, end), begin, self._output(begin, end))
            for each in self._work.pages.values():
                each.give_back(end)
            self._forget(end)

    def _input(self, begin: int, end: int) -> Workload:
        found: dict[str, Any] = {name: self._work[name][begin:end] for name in self._work.pages}
        found["row"] = np.arange(end - begin, dtype=np.int32)
        return Workload(**found, **self._same)

    def _output(self, begin: int, end: int) -> Log:
        log = self.log
        found: dict[str, Any] = {}
        retried = self._of("retries", log.retried, begin, end)
        lost = self._of("losses", log.lost, begin, end)
        held = slice(self._low["holds"], self._ended_holds())
        for name in self._rows.pages:
            values = self._rows[name]
            if name.startswith(("retried", "lost")):
                values = values[retried if name.startswith("retried") else lost]
                found[name] = values - begin if name in ("retried", "lost") else values
            elif name.startswith("held"):
                found[name] = values[held]
            else:
                found[name] = values[begin:end] if values.size else values
        sizes = {"retries": retried.size, "holds": held.stop - held.start, "losses": lost.size}
        found |= {name: np.array([size]) for name, size in sizes.items()}
        return Log(**found)

    def _of(self, count: str, task: NDArray[np.int32], begin: int, end: int) -> NDArray[np.intp]:
        """Where a list has the tasks from ``begin`` on, before ``end``."""
        low = self._low[count]
        listed = task[low : int(getattr(self.log, count)[0])]
        return np.flatnonzero((listed >= begin) & (listed < end)) + low

    def _ended_holds(self) -> int:
        """How many calls that held their slots have ended, none before them still under way."""
        calls = self.state.calls[: self.state.counters[USED]]
        return int(calls["tried"][calls["state"] == HELD].min(initial=int(self.log.holds[0])))

    def _forget(self, end: int) -> None:
        """Give back what the log has of the tasks before ``end``."""
        self._low["holds"] = self._ended_holds()
        for count, task in (("retries", self.log.retried), ("losses", self.log.lost)):
            low, high = self._low[count], int(getattr(self.log, count)[0])
            later = np.flatnonzero(task[low:high] >= end)
            self._low[count] = low + int(later[0]) if later.size else high
        lists = {"retried": "retries", "lost": "losses", "held": "holds"}
        for name, each in self._rows.pages.items():
            of = next((count for kind, count in lists.items() if name.startswith(kind)), None)
            each.give_back(end if of is None else self._low[of])
