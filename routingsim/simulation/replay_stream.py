"""``replay_stream()``: one policy and one pool on a corpus that does not fit into memory."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import count as count_from
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import PoolLike, load_agents
from routingsim.corpora.answer_tokens import output_token_table
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.corpora.stream import CorpusStream
from routingsim.errors import PolicyError, SimulationError, wrong_type
from routingsim.policies.costs import costs_of_means
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.reads import may_read
from routingsim.simulation.arrival_notes import unlike_asked
from routingsim.simulation.arrivals import Arrivals, ClosedLoop, CorpusTimes, Poisson, as_arrivals
from routingsim.simulation.arrivals.checks import check_seed, is_finite
from routingsim.simulation.arrivals.recorded import in_window, within
from routingsim.simulation.conditions import Conditions, conditions, takes_conditions
from routingsim.simulation.in_time import Objective, Tally, check_objectives
from routingsim.simulation.recorded import coverage_notes
from routingsim.simulation.remarks import no_texts, whose_agents
from routingsim.simulation.replay import DEFAULT_LOAD
from routingsim.simulation.run_record import CONDITIONS
from routingsim.simulation.run_tables import tasks as task_table
from routingsim.simulation.scenario import Scenario, prepare
from routingsim.simulation.service import first_token_table, service_table, system
from routingsim.simulation.stream_result import StreamedReplay
from routingsim.simulation.stream_totals import BlockRecord, Totals
from routingsim.simulation.task_sink import TaskSink
from routingsim.simulation.tenants import Classes, Tenant, classes, without_effect
from routingsim.simulation.windowed import Block, played
from routingsim.simulation.workload import records
from routingsim.synonyms import argument_hints

_MOST = 2**31 - 1  # tasks
_DRAWN = 1 << 17  # arrivals that are looked at together
_TENANTS = 1000  # of which the times are kept

Floats = NDArray[np.float64]


@argument_hints
@takes_conditions
def replay_stream(
    stream: CorpusStream,
    pool: PoolLike | None = None,
    policy: str | Policy | Kernel | Callable[..., int] = "threshold",
    *,
    to: str | Path | TaskSink | None = None,
    arrivals: str | Arrivals | None = None,
    seed: int = 0,
    warm_up: float | None = None,
    objective: float | None = None,
    first_token_objective: float | None = None,
    **given: Unpack[Conditions],
) -> StreamedReplay:
    """Simulate all tasks of a stream, of which a block at a time is in memory.

    Every task has the outcome that :func:`routingsim.replay` of the whole corpus gives it, bit for
    bit. Memory grows with a block, and with how many tasks come while one is under way: not with
    the number of tasks, unless queues do.

    Parameters
    ----------
    stream : CorpusStream
        Of :func:`routingsim.stream_corpus`. It is read two or three times.
    pool, policy, arrivals, seed, retries, outages, changes, signal_delay, routers, hedge, tenants
        As for :func:`routingsim.replay`. A policy that is made from a corpus is made from the first
        block; one that is plain Python and a closed loop are refused.
    to : path or TaskSink, optional
        Where the row of each task goes, with the columns of ``ReplayResult.to_frame``: a file
        ``.parquet``, which is there once it is whole; or a new folder, which gets a Parquet file
        for every million tasks as they end. A sink takes the tasks of one policy after another.
    discipline, service, warm_up
        As for :func:`routingsim.replay`.
    objective, first_token_objective : float, optional
        Latency (s) within which an answer counts for goodput, and seconds within which its first
        token has to come, too. They are needed beforehand, since no task is kept.

    Raises
    ------
    CorpusError, AgentError, PolicyError, SimulationError
        If the arguments do not suit each other or a stream, before anything is run; or if a file
        cannot be read or written. What was written to a folder before that stays.
    """
    if not isinstance(stream, CorpusStream):
        raise SimulationError(
            wrong_type(
                "replay_stream",
                stream,
                "open the files with rs.stream_corpus(path), or replay a corpus in memory with "
                "rs.replay",
            )
        )
    pool = load_agents(pool)
    met = conditions(**given)
    check_seed(seed)
    if warm_up is not None and not (is_finite(warm_up) and 0 <= warm_up < 1):
        raise SimulationError(f"warm_up={warm_up!r}: a share of the horizon in [0, 1) is needed")
    check_objectives(objective, first_token_objective)
    if objective is None and first_token_objective is not None:
        raise SimulationError(
            "first_token_objective: goodput needs an objective for the whole answer, too; add "
            "objective, in seconds"
        )
    goal = None if objective is None else Objective(objective, first_token_objective)
    process = None if arrivals is None else as_arrivals(arrivals)
    _refuse_arrivals(process)
    sink = to if isinstance(to, TaskSink) or to is None else TaskSink(to)
    facts = stream.facts
    if facts.tasks > _MOST:
        raise SimulationError(
            f"{stream.source}: {facts.tasks:,} tasks, and the simulator counts up to {_MOST:,}; "
            "replay the files in parts"
        )
    first = next(stream.blocks())
    made = make_policy(pool, policy, first)
    _refuse_policy(made)
    tenants = met.pop("tenants")
    known = _classes(stream, first, tenants)
    scenario = replace(prepare(first, pool, made, **met), tenants=tenants, classes=known)
    scenario = _with_means(scenario, stream)
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
        *made.notes,
        *_in_vain(scenario, facts.last_priority),
        *facts.notes,
    ]
    if tasks < facts.tasks:
        notes.append(f"{process} has {tasks:,} arrivals: {facts.tasks - tasks:,} tasks left out")
    if isinstance(policy, str) and tasks > len(first):
        notes.append(
            f"{made.name}: what it takes from a corpus is of the first {len(first):,} tasks"
        )
    share = scenario.default_warm_up(process) if warm_up is None else float(warm_up)
    window = share * last, last if process.synthetic else math.inf
    tally = None if goal is None else Tally(goal)
    totals = Totals(scenario.pool, tasks, window, begin, last, known.names, known.weight, tally)
    memory = made.memory.copy()
    block: dict[str, Any] = {
        **{name: getattr(scenario, name) for name in ("pool", "policy", *CONDITIONS)},
        "arrivals": str(process),
        "asked": (process.rate, process.cv),
        "realised": realised,
        "seed": seed,
        "tenant_names": known.names,
        "synthetic": process.synthetic,
        "closed": False,
        "warm_up": share,
        "notes": (),
        "memory": memory,
        "measured": window,
        "facts": facts,
    }
    ended = played(
        _fed(scenario, stream, process, tasks, seed),
        *(tasks, made, scenario.system, scenario.rules(), memory, seed),
        last_priority=max(facts.last_priority, int(known.own.max(initial=0))),
    )
    with nullcontext(sink) if sink is None or sink is to else sink as writer:
        if writer is not None:
            writer.begin(made.name)
        for each in ended:
            record = BlockRecord(corpus=each.corpus, work=each.work, log=_whole(each), **block)
            totals.add(record)
            if writer is not None:
                writer.write(task_table(record), facts.categories)
    totals.finish()
    notes[1:1] = coverage_notes(stream.name, scenario.pool, facts.quality, totals.common)
    return StreamedReplay(
        stream=stream,
        arrivals=str(process),
        asked=(process.rate, process.cv),
        realised=realised,
        span=last - begin,
        seed=seed,
        **{name: getattr(scenario, name) for name in ("pool", "policy", *CONDITIONS)},
        synthetic=process.synthetic,
        warm_up=share,
        notes=tuple(filter(None, [*notes, *totals.remarks(made.name)])),
        foremost=tuple(foremost),
        memory=memory,
        tasks_to=None if sink is None else sink.path,
        totals=totals,
    )


def _classes(stream: CorpusStream, first: Corpus, tenants: Sequence[Tenant]) -> Classes:
    """The tenants of all blocks, with the records of the first."""
    found = classes(first, tenants, stream.facts.tenants)
    if len(found.names) > _TENANTS:
        raise SimulationError(
            f"{stream.source}: {len(found.names):,} tenants, and a streamed replay keeps the times "
            f"of up to {_TENANTS:,}; leave the column tenant out, or give several one name"
        )
    return found


def _in_vain(scenario: Scenario, last_priority: int) -> list[str]:
    """What is given of tenants and priorities without effect, by what all blocks record."""
    own = scenario.classes.own
    some = replace(scenario.classes, own=np.append(own, float(last_priority)))
    return without_effect(scenario.pool, some)


def _whole(block: Block) -> Any:
    assert block.log is not None  # what has been played has one
    return block.log


def _refuse_arrivals(process: Arrivals | None) -> None:
    if isinstance(process, ClosedLoop):
        raise SimulationError(
            f"{process}: in a closed loop tasks come as answers do, and a stream has its arrivals "
            "beforehand; use a rate such as poisson:4, or replay a part that fits into memory"
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
        times = (times for _, times in _arriving(process, stream))
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
    if not count and isinstance(process, CorpusTimes):
        within(np.array([stream.facts.first, stream.facts.last]), process, stream.source)
    span = last - first
    if count < 2 or not span:
        return count, first, last, (math.nan if count < 2 else math.inf, math.nan)
    rate = (count - 1) / span
    return count, first, last, (rate, math.sqrt(max(squares / (count - 1) * rate**2 - 1, 0.0)))


def _arriving(process: CorpusTimes, stream: CorpusStream) -> Iterator[tuple[Corpus, Floats]]:
    """The tasks in the window, block by block, and when they arrive (s)."""
    origin = stream.facts.first if process.start is None else process.start
    for block in stream.blocks():
        stamps = block.tasks["arrived_at"].to_numpy()
        rows = in_window(stamps, process)
        if rows.stop > rows.start:
            whole = rows == slice(0, len(block))
            yield (
                block if whole else block.select(np.arange(rows.start, rows.stop)),
                (stamps[rows] - origin) / process.speed,
            )
        elif process.stop is not None and stamps[0] >= process.stop:
            return


def _fed(
    scenario: Scenario, stream: CorpusStream, process: Arrivals, tasks: int, seed: int
) -> Iterator[Block]:
    """The blocks with their arrivals, until there are no more."""
    if isinstance(process, CorpusTimes):
        blocks = _arriving(process, stream)
    else:
        take = process.in_blocks(tasks, seed)
        blocks = ((corpus, take(len(corpus))) for corpus in stream.blocks())
    first, known = 0, scenario.classes
    urgent = stream.facts.last_priority > 0 or bool(known.own.any())
    for corpus, times in blocks:
        if not times.size:
            return
        corpus = corpus if times.size == len(corpus) else corpus.head(times.size)
        work = records(corpus, scenario.pool, scenario.policy).tasks(
            times, np.arange(times.size, dtype=np.int32)
        )
        if stream.facts.agents and not work.failed.size:  # another block may have recorded failures
            work = work._replace(failed=np.full((len(corpus), len(scenario.pool)), np.nan))
        work = known.of_block(corpus).of(work, seed, first)._replace(weight=known.weight)
        if urgent and not work.priority.size:  # another block has tasks of other priorities
            work = work._replace(priority=np.zeros(times.size, np.int16))
        first += times.size
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
