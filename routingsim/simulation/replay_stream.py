"""``replay_stream()``: one policy and one pool on a corpus that does not fit into memory."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import count as count_from
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import AgentPool, PoolLike, load_agents
from routingsim.corpora.answer_tokens import output_token_table
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.corpora.stream import CorpusStream
from routingsim.equality import ByValue
from routingsim.errors import PolicyError, SimulationError, did_you_mean
from routingsim.policies.costs import costs_of_means
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.reads import may_read
from routingsim.simulation.arrival_notes import unlike_asked
from routingsim.simulation.arrivals import Arrivals, ClosedLoop, CorpusTimes, Poisson, as_arrivals
from routingsim.simulation.arrivals.checks import check_seed, is_finite
from routingsim.simulation.changes import Change
from routingsim.simulation.conditions import conditions
from routingsim.simulation.faults import ONE_TRY, Hedge, Outage, Retries
from routingsim.simulation.quantile_sketch import ERROR
from routingsim.simulation.recorded import basis_notes
from routingsim.simulation.remarks import no_texts, whose_agents
from routingsim.simulation.replay import DEFAULT_LOAD
from routingsim.simulation.run_record import CONDITIONS
from routingsim.simulation.run_tables import tasks as task_table
from routingsim.simulation.run_text import verdict
from routingsim.simulation.scenario import Scenario, prepare
from routingsim.simulation.service import first_token_table, service_table, system
from routingsim.simulation.stability import Stability
from routingsim.simulation.statistics import Interval
from routingsim.simulation.stream_totals import BlockRecord, Totals
from routingsim.simulation.task_sink import TaskSink
from routingsim.simulation.windowed import Block, played
from routingsim.simulation.workload import records

_MOST = 2**31 - 1  # tasks
_DRAWN = 1 << 17  # arrivals that are looked at together
_MEASURED = ("latency", "latency_mean", "wait", "wait_mean")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class StreamedReplay(ByValue):
    """What is kept of a streamed replay. ``summary()`` is the table to read first.

    Attributes
    ----------
    policy, pool, stream
        What was run.
    arrivals : str
        The arrival process, as text that ``replay`` reads.
    realised : tuple of float
        Rate (tasks/s) of the arrivals, and coefficient of variation of their gaps.
    seed : int
        Seed of all random numbers.
    notes, foremost : tuple of str
        Remarks for the reader, and those without which no figure is to be read: that the pool is
        not the corpus's, and that the arrivals are not those asked for.
    stability : Stability
        Whether waits and latencies mean anything, from the verdicts on the blocks; read it before
        any percentile.
    memory : ndarray
        The policy's memory at the end.
    tasks_to : Path or None
        Where the row of each task is.
    """

    policy: Policy
    pool: AgentPool
    stream: CorpusStream
    arrivals: str
    realised: tuple[float, float]
    seed: int
    notes: tuple[str, ...]
    stability: Stability
    memory: Floats
    tasks_to: Path | None
    _totals: Totals = field(repr=False)
    foremost: tuple[str, ...] = ()
    _steady: bool = False

    def __len__(self) -> int:
        return self._totals.tasks

    def summary(self) -> pd.DataFrame:
        """The columns of :meth:`routingsim.ReplayResult.summary`, a row an agent and ``all``.

        Counts are exact. Means and sums differ from those of a replay in memory by rounding.
        Quantiles are within 0.1 % of the exact ones.
        """
        return self._totals.summary()

    def interval(self, metric: str = "latency") -> Interval:
        """95 % confidence interval of the mean ``latency`` or ``wait``, by batches of this run.

        Its half-width is NaN where the run is not steady, not long enough, or of recorded arrivals.

        Raises
        ------
        SimulationError
            If the metric is another.
        """
        if metric not in _MEASURED:
            raise SimulationError(
                f"no interval of {metric!r}: of a streamed replay there are those of "
                f"{', '.join(_MEASURED)}{did_you_mean(metric, _MEASURED)}"
            )
        name = metric.removesuffix("_mean")
        mean = float(self.summary().loc["all", f"{name}_mean"])  # pyright: ignore[reportArgumentType]
        return self._totals.interval(name, mean, cv=self.realised[1], steady=self._steady)

    @property
    def arrivals_in_words(self) -> str:
        """The rate and variation of the arrivals, and the process."""
        rate, cv = self.realised
        return f"arrivals: {rate:.4g}/s (cv {cv:.2f}), {self.arrivals}; {len(self):,} tasks"

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON, NaN as None."""
        table = self.summary()
        plain = table.astype(object).where(table.notna(), None).reset_index()
        rows: list[Any] = plain.to_dict("records")
        whole = rows.pop()
        del whole["agent"]
        rate, cv = self.realised
        return {
            "policy": self.policy.name,
            "arrivals": {
                "process": self.arrivals,
                "rate": rate if math.isfinite(rate) else None,
                "cv": cv if math.isfinite(cv) else None,
            },
            "stability": verdict(self.stability),
            "overall": whole,
            "agents": rows,
            "quantiles_within": ERROR,
            "tasks_to": None if self.tasks_to is None else str(self.tasks_to),
            "notes": [*self.foremost, *self.notes],
        }

    def __repr__(self) -> str:
        columns = ["tasks", "share", "utilisation", "wait_mean", "latency_p50", "latency_p95"]
        table = self.summary()[[*columns, "cost", "quality"]]
        said = [f"note: {each}" for each in self.foremost]
        said += [f"{self.policy.name}  {self.stability}", *(f"note: {each}" for each in self.notes)]
        shown = table.map("{:,.4g}".format).to_string()
        return "\n".join([*map(display.wrapped, said), self.arrivals_in_words, shown])


def replay_stream(
    stream: CorpusStream,
    pool: PoolLike | None = None,
    policy: str | Policy | Kernel | Callable[..., int] = "threshold",
    *,
    to: str | Path | TaskSink | None = None,
    arrivals: str | Arrivals | None = None,
    seed: int = 0,
    retries: Retries = ONE_TRY,
    outages: Outage | Sequence[Outage] = (),
    changes: Change | Sequence[Change] = (),
    signal_delay: float = 0.0,
    routers: int = 1,
    hedge: Hedge | str | None = None,
    discipline: str | None = None,
    service: str | None = None,
    warm_up: float | None = None,
) -> StreamedReplay:
    """Simulate all tasks of a stream, of which a block at a time is in memory.

    Every task has the outcome that :func:`routingsim.replay` of the whole corpus gives it, bit for
    bit. Memory grows with a block, and with how many tasks come while one is under way: not with
    the number of tasks, unless queues do.

    Parameters
    ----------
    stream : CorpusStream
        Of :func:`routingsim.stream_corpus`. It is read two or three times.
    pool, policy, arrivals, seed, retries, outages, changes, signal_delay, routers, hedge
        As for :func:`routingsim.replay`. A policy that is made from a corpus is made from the first
        block; one that is plain Python, a closed loop, and a window of the corpus's times are
        refused.
    to : path or TaskSink, optional
        Where the row of each task goes, with the columns of ``ReplayResult.to_frame``: a file
        ``.parquet``, which is there once it is whole; or a new folder, which gets a Parquet file
        for every million tasks as they end. A sink takes the tasks of one policy after another.
    discipline, service, warm_up
        As for :func:`routingsim.replay`.

    Raises
    ------
    CorpusError, AgentError, PolicyError, SimulationError
        If the arguments do not suit each other or a stream, before anything is run; or if a file
        cannot be read or written. Of a folder what was written before stays.
    """
    if not isinstance(stream, CorpusStream):
        raise SimulationError(
            f"replay_stream: {stream!r:.60} is a {type(stream).__name__}; open the files with "
            "rs.stream_corpus(path), or replay a corpus in memory with rs.replay"
        )
    pool = load_agents(pool)
    met = conditions(
        retries=retries,
        outages=outages,
        changes=changes,
        signal_delay=signal_delay,
        routers=routers,
        hedge=hedge,
        discipline=discipline,
        service=service,
    )
    check_seed(seed)
    if warm_up is not None and not (is_finite(warm_up) and 0 <= warm_up < 1):
        raise SimulationError(f"warm_up={warm_up!r}: a share of the horizon in [0, 1) is needed")
    process = None if arrivals is None else as_arrivals(arrivals)
    _refuse_arrivals(process)
    sink = to if isinstance(to, TaskSink) or to is None else TaskSink(to)
    facts = stream.facts
    if classes := sorted({"tenant", "priority"} & set(facts.columns)):
        raise SimulationError(
            f"{stream.source}: has the column {classes[0]}, and a streamed replay knows no tenants "
            "or priorities; leave the column out, or replay a part that fits into memory"
        )
    if facts.tasks > _MOST:
        raise SimulationError(
            f"{stream.source}: {facts.tasks:,} tasks, and the simulator counts up to {_MOST:,}; "
            "replay the files in parts"
        )
    first = next(stream.blocks())
    made = make_policy(pool, policy, first)
    _refuse_policy(made)
    scenario = _with_means(prepare(first, pool, made, **met), stream)
    if process is None:
        own = stream.has_arrivals and not facts.unsorted
        process = CorpusTimes() if own else Poisson(DEFAULT_LOAD * scenario.capacity)
    own_times = isinstance(process, CorpusTimes)
    if own_times:
        _check_own_times(stream)
    tasks, begin, last, realised = _span(process, stream, seed)
    unlike = "" if own_times else unlike_asked(process, process.rate, tasks, [last])
    foremost = filter(None, (whose_agents(first, scenario.pool), unlike))
    notes = [
        no_texts(first, made),
        *basis_notes(first, scenario.pool),
        *made.notes,
        *facts.notes,
    ]
    if tasks < facts.tasks:
        notes.append(f"{process} has {tasks:,} arrivals: {facts.tasks - tasks:,} tasks left out")
    if isinstance(policy, str) and tasks > len(first):
        notes.append(
            f"{made.name}: what it takes from a corpus is of the first {len(first):,} tasks"
        )
    share = scenario.default_warm_up(process) if warm_up is None else float(warm_up)
    totals = Totals(
        scenario.pool,
        tasks,
        (share * last, last if process.synthetic else math.inf),
        begin,
        last,
    )
    memory = made.memory.copy()
    block: dict[str, Any] = {
        **{name: getattr(scenario, name) for name in ("pool", "policy", *CONDITIONS)},
        "arrivals": str(process),
        "asked": (process.rate, process.cv),
        "realised": realised,
        "seed": seed,
        "tenants": (),
        "tenant_names": (),
        "synthetic": process.synthetic,
        "closed": False,
        "warm_up": share,
        "notes": (),
        "memory": memory,
        "measured": (totals.begin, totals.end),
    }
    ended = played(
        _fed(scenario, stream, process, tasks, seed),
        *(tasks, made, scenario.system, scenario.rules(), memory, seed),
    )
    with nullcontext(sink) if sink is None or sink is to else sink as writer:
        if writer is not None:
            writer.begin(made.name)
        for each in ended:
            record = BlockRecord(corpus=each.corpus, work=each.work, log=_whole(each), **block)
            totals.add(record)
            if writer is not None:
                writer.write(task_table(record), facts.categories)
    notes += totals.remarks(made.name)
    stability = totals.stability
    steady = stability.verdict == "steady" and process.synthetic and not (outages or changes)
    return StreamedReplay(
        *(made, scenario.pool, stream, str(process), realised, seed),
        tuple(filter(None, notes)),
        stability,
        memory,
        None if sink is None else sink.path,
        totals,
        tuple(foremost),
        steady and not made.learns,
    )


def _whole(block: Block) -> Any:
    assert block.log is not None  # what has been played has one
    return block.log


def _refuse_arrivals(process: Arrivals | None) -> None:
    if isinstance(process, ClosedLoop):
        raise SimulationError(
            f"{process}: in a closed loop tasks come as answers do, and a stream has its arrivals "
            "beforehand; use a rate such as poisson:4, or replay a part that fits into memory"
        )
    if isinstance(process, CorpusTimes) and (process.start, process.stop) != (None, None):
        raise SimulationError(
            f"{process}: a stream is replayed whole; write the window to files of its own"
        )


def _refuse_policy(policy: Policy) -> None:
    if policy.interpreted:
        raise PolicyError(
            f"policy {policy.name} is plain Python, and a streamed replay runs compiled policies "
            "only; make it a kernel with @rs.choose_kernel"
        )
    if policy.replay_only:
        raise PolicyError(
            f"policy {policy.name} has an agent for each task of a corpus in memory; a stream "
            "needs a policy that chooses"
        )


def _check_own_times(stream: CorpusStream) -> None:
    if not stream.has_arrivals:
        raise SimulationError(
            f"{stream.source} has no arrival times of its own (arrived_at on every task); use a "
            "model such as poisson:4, or trace:FILE"
        )
    if stream.facts.unsorted:
        raise SimulationError(
            f"{stream.source}: task {stream.facts.unsorted} arrives before the one before it; a "
            "stream is read in the order of its files and rows, so sort these by arrived_at, or "
            "use a model such as poisson:4"
        )


def _span(
    process: Arrivals, stream: CorpusStream, seed: int
) -> tuple[int, float, float, tuple[float, float]]:
    """How many tasks arrive, the first and the last arrival (s), and their rate and variation."""
    if isinstance(process, CorpusTimes):
        times = (_of_corpus(process, stream, each) for each in stream.blocks())
    else:
        take = process.in_blocks(len(stream), seed)
        times = (take(_DRAWN) for _ in count_from(0))
    count, first, last, squares = 0, math.nan, math.nan, 0.0
    for block in times:
        if not block.size:
            break
        first = float(block[0]) if not count else first
        gaps = np.diff(block, prepend=block[0] if not count else last)
        squares += float((gaps**2).sum())
        count, last = count + block.size, float(block[-1])
    span = last - first
    if count < 2 or not span:
        return count, first, last, (math.nan if count < 2 else math.inf, math.nan)
    rate = (count - 1) / span
    return count, first, last, (rate, math.sqrt(max(squares / (count - 1) * rate**2 - 1, 0.0)))


def _of_corpus(process: CorpusTimes, stream: CorpusStream, block: Corpus) -> Floats:
    return (block.tasks["arrived_at"].to_numpy() - stream.facts.first) / process.speed


def _fed(
    scenario: Scenario, stream: CorpusStream, process: Arrivals, tasks: int, seed: int
) -> Iterator[Block]:
    """The blocks with their arrivals, until there are no more."""
    take = None if isinstance(process, CorpusTimes) else process.in_blocks(tasks, seed)
    for corpus in stream.blocks():
        if isinstance(process, CorpusTimes):
            times = _of_corpus(process, stream, corpus)
        else:
            assert take is not None
            times = take(len(corpus))
        if not times.size:
            return
        corpus = corpus if times.size == len(corpus) else corpus.head(times.size)
        work = records(corpus, scenario.pool, scenario.policy).tasks(
            times, np.arange(times.size, dtype=np.int32)
        )
        if stream.facts.agents and not work.failed.size:  # another block may have recorded failures
            work = work._replace(failed=np.full((len(corpus), len(scenario.pool)), np.nan))
        yield Block(corpus, work)


def _with_means(scenario: Scenario, stream: CorpusStream) -> Scenario:
    """The scenario with what the pool shows to policies from all tasks, not those of a block."""
    pool, price = scenario.pool, may_read(scenario.policy, "price")
    if not price and all(agent.service not in ("tokens", "recorded") for agent in pool):
        return scenario
    total: dict[str, Floats] = {}
    paid, known, count, shortest = np.zeros(len(pool)), np.zeros(len(pool)), 0, math.inf
    for corpus in stream.blocks():
        cost = corpus.outcome("cost", [agent.recorded_as for agent in pool])
        paid, known = paid + np.nansum(cost, axis=0), known + (~np.isnan(cost)).sum(axis=0)
        shortest = min(shortest, float(prompt_tokens(corpus).min()))
        tables = {
            "service": service_table(corpus, pool),
            "first": first_token_table(corpus, pool),
            "answer": output_token_table(corpus, pool),
        }
        for name, table in tables.items():
            before = total[name][np.newaxis] if name in total else table[:0]
            total[name] = np.add.reduce(np.concatenate([before, table]), axis=0)
        count += len(corpus)
    with np.errstate(invalid="ignore"):
        costs = costs_of_means(pool, total["answer"] / count, paid / known)
    return replace(
        scenario,
        system=system(
            pool,
            scenario.outages,
            total["service"] / count,
            total["first"] / count if total["first"].size else None,
            scenario.changes,
            costs,
        ),
    )
