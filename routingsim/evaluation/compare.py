"""``compare()``: policies x loads x replications, under common random numbers.

Every policy meets the same arrivals, the same order of tasks, the same service
noise and the same failures in replication r of a load, so that differences are
of the policies and not of luck. The controls run beside them, always.
"""

import math
import os
import pickle
import queue
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numba import cloudpickle

from routingsim.agents import AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.evaluation.cell import Cell, gather
from routingsim.evaluation.checkpoint import append_part, part_key, read_parts
from routingsim.evaluation.controls.simulated import chosen_by, control_policies
from routingsim.evaluation.study import Study, StudySettings
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.rules import cheapest, random
from routingsim.simulation.arrivals import (
    Arrivals,
    ClosedLoop,
    Poisson,
    parse_arrivals,
    realised,
)
from routingsim.simulation.faults import ONE_TRY, Outage, Retries
from routingsim.simulation.scenario import Scenario, prepare

__all__ = ["DEFAULT_LOADS", "compare"]

DEFAULT_LOADS = (0.3, 0.6, 0.9)
"""Loads, as shares of the pool's capacity."""


def compare(
    corpus: Corpus,
    pool: AgentPool | None = None,
    policies: Sequence[str | Policy | Kernel | Callable[..., int]] = ("threshold", "least-loaded"),
    *,
    loads: Sequence[float] | None = None,
    rates: Sequence[float] | None = None,
    arrivals: str | Arrivals | None = None,
    replications: int = 20,
    tasks: int | None = None,
    seed: int = 0,
    objective: float | None = None,
    right: float = 0.5,
    retries: Retries = ONE_TRY,
    outages: Sequence[Outage] = (),
    service: str | None = None,
    controls: bool = True,
    executor: Executor | None = None,
    progress: Callable[[int, int], object] | None = None,
    resume: str | Path | None = None,
) -> Study:
    """Compare policies on quality, cost and latency at several loads.

    Parameters
    ----------
    corpus : Corpus
        The tasks; each replication takes all of them, in an order of its own. Where
        none has a recorded quality of every agent, policies are compared on latency
        and cost, and the controls are random and cheapest.
    pool : AgentPool, optional
        The five defaults if not given.
    policies
        Anything :func:`routingsim.policies.make_policy` takes; the first is the
        baseline that verdicts are against. One that learns begins each run afresh.
        A name that is there again is numbered: ``random (2)``.
    loads : sequence of float, optional
        Shares ρ of the pool's capacity (all slots over their mean service times);
        the arrival rate is ρ times that. (0.3, 0.6, 0.9) if neither these nor
        ``rates`` are given.
    rates : sequence of float, optional
        In place of ``loads``: arrivals a second.
    arrivals : str or arrival process, optional
        The shape of the arrivals, scaled to each load; Poisson if not given. With a
        trace's or the corpus's own times every replication has the same arrivals,
        with the tasks in another order.
    replications : int
        Runs of each policy at each load, 2 or more for an interval.
    tasks : int, optional
        Tasks of a run; all of the corpus if not given, drawn from it if more.
    seed : int
        Replication r uses seed + r.
    objective : float, optional
        Latency within which an answer counts for goodput, in seconds; three times
        the pool's slowest mean service time if not given.
    right : float
        Least recorded quality of a right answer.
    retries, outages, service
        As for :func:`routingsim.replay`.
    controls : bool
        Run the controls beside the policies: random, cheapest, best single, zero
        router, cost-matched shuffle, length, category and oracle. Zero router,
        shuffle and length have the baseline's mix of agents, or its cost, at the
        first load; :meth:`Study.uses_text` holds any policy against its own shuffle.
        One that is a policy of the study anyway is not run again.
    executor : concurrent.futures.Executor, optional
        Where to run; by default threads, over kernels that release the
        interpreter's lock. Process pools and clusters get the work pickled.
    progress : callable, optional
        ``progress(done, all)`` after each policy and load.
    resume : path, optional
        File of finished parts: written as they finish, read at the start. A part
        counts only for the very same policy, load, corpus, agents and settings, so
        several studies may share a file.

    Raises
    ------
    SimulationError, PolicyError
        If the parts do not go together, or ``resume`` is not a file of parts.
    """
    pool = load_agents() if pool is None else pool
    wanted = [policies] if isinstance(policies, str | Policy) else policies
    _check(len(wanted), replications, objective)
    conditions: dict[str, Any] = {"retries": retries, "outages": outages, "service": service}
    scenes = [prepare(corpus, pool, p, **conditions) for p in _made(wanted, pool, corpus)]
    capacity = scenes[0].capacity
    shares = _shares(loads, rates, capacity)
    shape = parse_arrivals(arrivals) if isinstance(arrivals, str) else arrivals or Poisson(1.0)
    settings = StudySettings(
        seed=seed,
        replications=replications,
        tasks=len(corpus) if tasks is None else tasks,
        objective=_objective(scenes[0]) if objective is None else float(objective),
        right=right,
    )
    processes = _processes(shape, corpus, settings.tasks, [each * capacity for each in shares])
    kinds = {scene.policy.name: "policy" for scene in scenes}
    if controls:
        beside = _controls(corpus, pool, scenes, shares[0] * capacity, seed)
        kinds |= {policy.name: "control" for policy in beside}
        scenes += [prepare(corpus, pool, policy, **conditions) for policy in beside]
    jobs = [_Job(scene, process, settings) for scene in scenes for process in processes]
    cells = _run(jobs, executor, progress, None if resume is None else Path(resume))
    keys = [(name, share) for name in kinds for share in shares]
    return Study(
        corpus=corpus,
        pool=pool,
        kinds=kinds,
        in_sample={s.policy.name: corpus.sha256 in s.policy.fitted_on for s in scenes},
        loads=shares,
        capacity=capacity,
        arrivals=str(shape),
        settings=settings,
        cells=dict(zip(keys, cells, strict=True)),
    )


def _check(policies: int, replications: int, objective: float | None) -> None:
    if replications < 1 or not policies:
        raise SimulationError(
            f"{policies} policies, {replications} replications: one of each or more is needed"
        )
    if objective is not None and not 0 < objective < math.inf:
        raise SimulationError(f"objective={objective}: seconds above 0 are needed")


def _made(
    wanted: Sequence[str | Policy | Kernel | Callable[..., int]], pool: AgentPool, corpus: Corpus
) -> list[Policy]:
    """The policies wanted, each under a name of its own."""
    made: dict[str, Policy] = {}
    for each in wanted:
        policy = _renamed(make_policy(each, pool, corpus), made, "{} ({})")
        made[policy.name] = policy
    return list(made.values())


def _renamed(policy: Policy, taken: Collection[str], form: str) -> Policy:
    """The policy, under another name where its own is taken."""
    name, number = policy.name, 2
    while name in taken:
        name, number = form.format(policy.name, number), number + 1
        form = "{} ({})"
    return policy if name == policy.name else replace(policy, name=name)


def _same(one: Policy, other: Policy) -> bool:
    """Whether two policies that read no text are one."""
    reads = (one.featurize, one.predict, other.featurize, other.predict)
    return (
        one.choose is other.choose
        and np.array_equal(one.memory, other.memory)
        and all(each is None for each in reads)
    )


def _shares(
    loads: Sequence[float] | None, rates: Sequence[float] | None, capacity: float
) -> tuple[float, ...]:
    """Loads as shares of the capacity, in the order given."""
    if loads is not None and rates is not None:
        raise SimulationError("loads and rates: give one of them")
    name, given = ("loads", loads) if rates is None else ("rates", rates)
    numbers = [float(each) for each in (DEFAULT_LOADS if given is None else given)]
    if not numbers or not all(0 < each < math.inf for each in numbers):
        raise SimulationError(f"{name}={numbers}: one or more numbers above 0 are needed")
    if len(set(numbers)) < len(numbers):
        raise SimulationError(f"{name}={numbers}: one of them is there twice")
    return tuple(each if rates is None else each / capacity for each in numbers)


def _controls(
    corpus: Corpus, pool: AgentPool, scenes: Sequence[Scenario], rate: float, seed: int
) -> list[Policy]:
    """The controls that are not policies of the study anyway, each under a name of its own.

    Those that need recorded quality are left out where there is none.
    """
    made = {scene.policy.name: scene.policy for scene in scenes}
    if np.isfinite(scenes[0].records.work.quality).all(axis=1).any():
        pilot = scenes[0].run(Poisson(rate), seed=seed, order="shuffled")
        found = list(control_policies(corpus, pool, chosen_by(pilot), seed=seed).values())
    else:
        found = [random(pool), cheapest(pool)]
    controls: dict[str, Policy] = {}
    for policy in found:
        if policy.name not in made or not _same(policy, made[policy.name]):
            policy = _renamed(policy, {**made, **controls}, "{} (control)")
            controls[policy.name] = policy
    return list(controls.values())


def _processes(
    shape: Arrivals, corpus: Corpus, count: int, rates: Sequence[float]
) -> list[Arrivals]:
    """The shape scaled to each rate of arrivals, a second."""
    rate = _rate(shape, corpus, count)
    return [shape.scaled(each / rate) for each in rates]


def _rate(shape: Arrivals, corpus: Corpus, count: int) -> float:
    """Mean rate of the shape, by which it is scaled to a load.

    What was recorded may be quicker at its beginning than on the whole: there the
    arrivals that a run meets count.
    """
    if isinstance(shape, ClosedLoop):
        raise SimulationError(
            "closed arrivals have no rate to scale to a load: use replay() for a closed loop"
        )
    rate = shape.rate
    if rate is None or not shape.synthetic:
        rate = realised(shape.times(count, 0, corpus))[0]
    if not 0 < rate < math.inf:
        raise SimulationError(
            f"{shape}: {count:,} tasks at once, or one alone, have no rate to scale to a load"
        )
    return float(rate)


def _objective(scene: Scenario) -> float:
    return 3.0 * float(scene.system.mean_service.max())


@dataclass(frozen=True, eq=False)
class _Job:
    """All replications of one policy at one load: what a worker does at a time."""

    scene: Scenario
    process: Arrivals
    settings: StudySettings

    def __call__(self) -> Cell:
        settings = self.settings
        results = (
            self.scene.run(
                self.process, seed=settings.seed + r, tasks=settings.tasks, order="shuffled"
            )
            for r in range(settings.replications)
        )
        return gather(results, settings.objective, settings.right)


def _run(
    jobs: Sequence[_Job],
    executor: Executor | None,
    progress: Callable[[int, int], object] | None,
    partial: Path | None,
) -> list[Cell]:
    """Do all jobs, those found finished left out; cells in the jobs' order."""
    keys = []
    done = {}
    if partial is not None:
        keys = [part_key(job.scene, job.process, job.settings) for job in jobs]
        done = read_parts(partial)
    cells = [done.get(key) for key in keys] or [None] * len(jobs)
    todo = [k for k, cell in enumerate(cells) if cell is None]
    if progress is not None:
        progress(len(jobs) - len(todo), len(jobs))
    workers = ThreadPoolExecutor(os.cpu_count()) if executor is None else executor
    futures: dict[Future[Cell], int] = {}
    try:
        for k in todo:
            futures[_submit(workers, jobs[k])] = k
        for future in _as_completed(futures):
            k = futures.pop(future)
            cells[k] = cell = future.result()
            if partial is not None:
                append_part(partial, keys[k], cell)
            if progress is not None:
                progress(len(jobs) - len(futures), len(jobs))
    finally:
        for future in futures:  # an error has left some: a pool that is not ours must not run on
            future.cancel()
        if executor is None:
            workers.shutdown()
    return [cell for cell in cells if cell is not None]


def _submit(executor: Executor, job: _Job) -> "Future[Cell]":
    if isinstance(executor, ThreadPoolExecutor):
        return executor.submit(job)
    # Policies hold functions made on the fly, which plain pickle refuses. What they
    # say of texts is in the scene already, and the predictors behind it are large.
    policy = replace(job.scene.policy, featurize=None, predict=None, parameters={})
    packed = cloudpickle.dumps(replace(job, scene=replace(job.scene, policy=policy)))
    return executor.submit(_unpack_and_do, packed)


def _unpack_and_do(packed: bytes) -> Cell:
    return pickle.loads(packed)()


def _as_completed(futures: "dict[Future[Cell], int]") -> "Iterator[Future[Cell]]":
    """Futures as they finish, of any executor that calls back when they do."""
    finished: queue.SimpleQueue[Future[Cell]] = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(finished.put)
    for _ in range(len(futures)):
        yield finished.get()
