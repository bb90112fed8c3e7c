"""``replay()``: one policy, one corpus, one pool, one seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from routingsim import draws
from routingsim.agents import AgentPool, load_agents
from routingsim.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, TextTable, make_policy
from routingsim.scoring import score_column
from routingsim.simulation import engine
from routingsim.simulation.arrivals import (
    Arrivals,
    ClosedLoop,
    CorpusTimes,
    Poisson,
    parse_arrivals,
    realised,
)
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.service import Outage, cost_table, prompt_tokens, service_table, system

__all__ = ["DEFAULT_LOAD", "Retries", "replay"]

DEFAULT_LOAD = 0.7
"""Load, as a share of the pool's capacity, where a corpus has no times and none are asked for."""

WARM_UP = 0.1
"""Share of the horizon left out of timing figures for synthetic arrivals."""


@dataclass(frozen=True)
class Retries:
    """What happens after a call has failed.

    Parameters
    ----------
    attempts : int
        Tries a task has in all, 1 or more.
    backoff : float
        Seconds before the first retry.
    factor : float
        By which each further back-off is longer than the one before.
    fallback : bool
        Send the retry to the policy's next choice, the agent that failed excluded.
    """

    attempts: int = 3
    backoff: float = 1.0
    factor: float = 2.0
    fallback: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 1000 or not self.backoff >= 0 or not self.factor > 0:
            raise SimulationError(
                f"{self}: attempts from 1 to 1000, backoff >= 0 s and factor > 0 are needed"
            )


ONE_TRY = Retries(attempts=1)


def replay(
    corpus: Corpus | None = None,
    pool: AgentPool | None = None,
    policy: str | Policy | Kernel | Callable[..., int] = "threshold",
    *,
    arrivals: str | Arrivals | None = None,
    tasks: int | None = None,
    seed: int = 0,
    retries: Retries = ONE_TRY,
    outages: Sequence[Outage] = (),
    service: str | None = None,
    warm_up: float | None = None,
) -> ReplayResult:
    """Simulate a pool of agents under a policy and a stream of tasks.

    Parameters
    ----------
    corpus : Corpus, optional
        The tasks. Without one, tasks have no text, no category and no recorded
        outcome: queueing alone.
    pool : AgentPool, optional
        The agents; the five defaults if not given.
    policy
        Anything :func:`routingsim.policies.make_policy` takes.
    arrivals : str or arrival process, optional
        When tasks arrive: ``"poisson:4"``, ``rs.Poisson(4)``, ``"corpus:2x"``, …
        By default the corpus's own times, or Poisson arrivals at 70 % of the
        pool's capacity where it has none. With the corpus's own times each task
        keeps its own, and only those in the window (``"corpus:start=600"``) are
        run. Of a trace (``"trace:FILE"``) only the times are taken;
        :meth:`Corpus.with_arrivals` takes its token counts too.
    tasks : int, optional
        How many tasks to run. By default each of the corpus once, in its order.
        More than the corpus has are drawn from it with replacement.
    seed : int
        Of every draw. Two policies under one seed meet the same arrivals, texts,
        service noise and failures.
    retries : Retries
        What happens after a failed call; by default one try and no more.
    outages : sequence of Outage
        When which agent is down.
    service : str, optional
        Service-time model of every agent, in place of its own: ``exponential``,
        ``lognormal``, ``deterministic``, ``tokens`` or ``recorded``.
    warm_up : float, optional
        Share of the horizon, from its beginning, left out of wait, latency,
        utilisation and throughput. By default 0.1 for synthetic arrivals and 0
        for a corpus's or trace's own times.

    Raises
    ------
    SimulationError, PolicyError, AgentError
        If the parts do not go together; the message says which and how to mend it.
    """
    if warm_up is not None and not 0 <= warm_up < 1:
        raise SimulationError(f"warm_up={warm_up}: a share of the horizon in [0, 1) is needed")
    pool = load_agents() if pool is None else pool
    if service is not None:
        pool = _with_service(pool, service)
    process = _arrivals(arrivals, corpus, pool)
    made = make_policy(policy, pool, corpus)
    count = _count(tasks, corpus)
    times, closed = _times(process, count, seed, corpus)
    notes = []
    if times.size < count:
        notes.append(
            f"{process} has {times.size:,} arrivals: {count - times.size:,} tasks left out"
        )
        count = times.size
    first = process.rows(corpus).start if corpus and isinstance(process, CorpusTimes) else 0
    rows, resampled = _rows(count, corpus, seed, first)
    if resampled:
        notes.append(
            f"{count:,} tasks drawn with replacement from the {len(corpus or ()):,} there are"
        )

    work, modelled = _workload(corpus, pool, made, times, rows)
    if modelled:
        notes.append(
            "costs are modelled (price x tokens) where none is recorded: "
            f"{modelled / work.cost.size:.0%} of calls"
        )
    rules = engine.Rules(
        attempts=retries.attempts,
        backoff=float(retries.backoff),
        factor=float(retries.factor),
        fallback=int(retries.fallback),
        users=closed.users if closed else 0,
        think=float(closed.think) if closed else 0.0,
        think_cv=int(closed.think_cv) if closed else 0,
    )
    memory = np.array(made.memory, dtype=np.float64)
    agents = system(pool, outages, work.service.mean(axis=0))
    log = engine.run(
        *(work, agents, rules, made.choose, made.learn, memory, seed),
        interpreted=made.interpreted,
    )
    synthetic = process.synthetic
    return ReplayResult(
        policy=made,
        pool=pool,
        corpus=corpus,
        arrivals=str(process),
        asked=(process.rate, process.cv),
        realised=realised(work.arrived),
        seed=seed,
        retries=retries,
        outages=tuple(outages),
        synthetic=synthetic,
        closed=closed is not None,
        warm_up=(WARM_UP if synthetic else 0.0) if warm_up is None else warm_up,
        notes=tuple(notes),
        work=work,
        log=log,
        memory=memory,
    )


def _with_service(pool: AgentPool, service: str) -> AgentPool:
    allowed = ("lognormal", "exponential", "deterministic", "tokens", "recorded")
    if service not in allowed:
        raise SimulationError(f"service={service!r}: choose one of {', '.join(allowed)}")
    try:
        return AgentPool(tuple(msgspec.structs.replace(agent, service=service) for agent in pool))
    except ValueError as error:
        raise SimulationError(f"service={service!r} does not suit this pool: {error}") from None


def _arrivals(wanted: str | Arrivals | None, corpus: Corpus | None, pool: AgentPool) -> Arrivals:
    if isinstance(wanted, str):
        return parse_arrivals(wanted)
    if wanted is not None:
        return wanted
    if corpus is not None and corpus.has_arrivals:
        return CorpusTimes()
    return Poisson(DEFAULT_LOAD * pool.capacity)


def _count(tasks: int | None, corpus: Corpus | None) -> int:
    if tasks is None:
        if corpus is None:
            raise SimulationError("without a corpus, say how many tasks: tasks=100_000")
        tasks = len(corpus)
    if tasks < 1:
        raise SimulationError(f"tasks={tasks}: one task or more is needed")
    return tasks


def _times(
    process: Arrivals, count: int, seed: int, corpus: Corpus | None
) -> tuple[NDArray[np.float64], ClosedLoop | None]:
    if isinstance(process, ClosedLoop):
        return np.zeros(count), process
    return process.times(count, seed, corpus), None


def _rows(
    count: int, corpus: Corpus | None, seed: int, first: int
) -> tuple[NDArray[np.int32], bool]:
    """The corpus record behind each task, and whether they were drawn."""
    if corpus is None:
        return np.zeros(count, np.int32), False
    if first + count <= len(corpus):
        return np.arange(first, first + count, dtype=np.int32), False
    return draws.integers(draws.stream(seed, draws.ROW), count, len(corpus)), True


def _workload(
    corpus: Corpus | None,
    pool: AgentPool,
    policy: Policy,
    times: NDArray[np.float64],
    rows: NDArray[np.int32],
) -> tuple[engine.Workload, int]:
    """What the engine runs on, and how many prices in it are modelled."""
    arrived = np.array(times, dtype=np.float64)
    if corpus is None:
        if policy.featurize or policy.predict:
            raise SimulationError(f"policy {policy.name} reads texts: give a corpus")
        means = system(pool).mean_service[np.newaxis, :]
        tokens = pool.column("output_tokens")
        work = engine.Workload(
            arrived=arrived,
            row=rows,
            d_var=np.zeros(1),
            prompt_tokens=np.zeros(1),
            category=np.full(1, -1, np.int64),
            features=np.zeros((1, 0)),
            predicted=np.zeros((1, 0)),
            service=means,
            cost=(pool.column("cost") * tokens / 1000.0)[np.newaxis, :],
            quality=np.full((1, len(pool)), np.nan),
        )
        return work, len(pool)
    cost, modelled = cost_table(corpus, pool)
    names = [agent.recorded_as for agent in pool]
    work = engine.Workload(
        arrived=arrived,
        row=rows,
        d_var=_own(_scores(corpus)),
        prompt_tokens=_own(prompt_tokens(corpus)),
        category=_categories(corpus),
        features=_own(_table(policy.featurize, corpus)),
        predicted=_own(_table(policy.predict, corpus)),
        service=_own(service_table(corpus, pool)),
        cost=_own(cost),
        quality=_own(corpus.outcome("quality", names)),
    )
    return work, modelled


def _scores(corpus: Corpus) -> NDArray[np.float64]:
    if not corpus.has_texts:
        return np.zeros(len(corpus))
    return score_column(corpus.texts)["d_var"].to_numpy(dtype=np.float64)


def _categories(corpus: Corpus) -> NDArray[np.int64]:
    """Codes of the categories; -1 where there is none."""
    codes = corpus.category_codes
    return np.array([codes.get(name, -1) for name in corpus.tasks["category"]], dtype=np.int64)


def _table(make: TextTable | None, corpus: Corpus) -> NDArray[np.float64]:
    if make is None:
        return np.zeros((len(corpus), 0))
    texts, categories = corpus.tasks["text"].tolist(), corpus.tasks["category"].tolist()
    return make(texts, categories)


def _own(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """A copy as the engine takes it: C order, writable (what pandas hands out is not)."""
    return np.array(array, dtype=np.float64, order="C")
