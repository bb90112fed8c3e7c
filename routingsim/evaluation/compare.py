"""``compare()``: policies x loads x replications, under common random numbers.

In replication r of a load every policy meets the same arrivals, order of tasks, service
noise and failures, so that differences come from the policies and not from chance. The
controls run beside the policies.
"""

import math
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numba import cloudpickle
from numpy.typing import NDArray

from routingsim.agents import AgentPool, PoolLike, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import CorpusLike, load_corpus
from routingsim.display import free_name
from routingsim.errors import SimulationError
from routingsim.evaluation.cell import Cell, gather
from routingsim.evaluation.checkpoint import append_cell, cell_key, read_cells
from routingsim.evaluation.controls.identical import identical, said_of
from routingsim.evaluation.controls.simulated import chosen_by, control_policies
from routingsim.evaluation.objective import default_objective
from routingsim.evaluation.order import order_note, order_tests
from routingsim.evaluation.resampling import LEAST, RUNS, independent, scale, stand_ins
from routingsim.evaluation.study import Study
from routingsim.evaluation.study_record import Population, StudySettings
from routingsim.policies.fitted import in_sample
from routingsim.policies.folds import prompts
from routingsim.policies.kernel import Kernel, pickled_by_value
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.rules import cheapest, random
from routingsim.simulation.arrival_notes import unlike_asked
from routingsim.simulation.arrivals import (
    Arrivals,
    ClosedLoop,
    CorpusTimes,
    Poisson,
    as_arrivals,
    realised,
)
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.faults import ONE_TRY, Outage, Retries
from routingsim.simulation.recorded import basis
from routingsim.simulation.remarks import (
    judge_assumed,
    met_before,
    no_texts,
    one_for_all,
    repeated_prompts,
)
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import Order, Scenario, check_kinds, prepare
from routingsim.simulation.task_choice import drawn_note, window_note

DEFAULT_LOADS = (0.3, 0.6, 0.9)
"""Loads, as shares of the pool's capacity."""

Job = tuple[Scenario, Arrivals, StudySettings, NDArray[np.intp]]
"""What a worker runs, and the prompt of each record."""

Wanted = str | Policy | Kernel | Callable[..., int]
"""What names or is a policy."""


def compare(
    corpus: CorpusLike,
    pool: PoolLike | None = None,
    policies: Wanted | Sequence[Wanted] = ("threshold", "least-loaded"),
    *,
    loads: float | Sequence[float] | None = None,
    rates: float | Sequence[float] | None = None,
    arrivals: str | Arrivals | None = None,
    replications: int = 20,
    tasks: int | None = None,
    seed: int = 0,
    population: Population = "tasks like these",
    objective: float | None = None,
    right: float = 0.5,
    retries: Retries = ONE_TRY,
    outages: Outage | Sequence[Outage] = (),
    service: str | None = None,
    controls: bool | Sequence[str] = True,
    executor: Executor | None = None,
    progress: Callable[[int, int], object] | None = None,
    resume: str | Path | None = None,
) -> Study:
    """Compare policies on quality, cost and latency at several loads.

    Parameters
    ----------
    corpus : Corpus, or anything that ``load_corpus`` takes
        The tasks. Each replication takes all of them, in a new random order, unless they have
        times of their own and ``arrivals`` plays these. If no task
        has a recorded quality of every agent, the controls are random and cheapest;
        policies are compared on latency and cost, and for a log with one answer a task on
        estimated quality (:meth:`Study.estimates`).
    pool : AgentPool, or anything that ``load_agents`` takes, optional
        The agents; by default the five default agents.
    policies
        One or several of what :func:`routingsim.policies.make_policy` takes. The first is
        the baseline of all verdicts. A policy that learns starts each run anew. A name
        that occurs twice is numbered: ``random (2)``.
    loads : float or sequence of float, optional
        Shares ρ of the pool's capacity (what the slots of all agents serve, or their limits of
        requests per minute); the arrival rate is ρ times the capacity. By default (0.3, 0.6, 0.9).
    rates : float or sequence of float, optional
        Arrival rates (tasks/s), instead of ``loads``.
    arrivals : str or arrival process, optional
        The process that is scaled to each load; Poisson by default. A trace gives every
        replication the same arrivals, with the tasks in another order. With the corpus's own
        times each task keeps its own: a replication resamples the log in blocks of tasks and
        times together (:mod:`routingsim.simulation.log_blocks`), or, if a policy of the study
        learns, plays it as it is. Other times are dealt to the tasks at random, and a note
        says if these go with their order (:mod:`routingsim.evaluation.order`); the order of
        the file is then kept if a policy learns.
    replications : int
        Runs of each policy at each load; an interval needs 2 or more. More runs make
        figures of these tasks more exact; what other tasks would show, only more tasks tell.
    tasks : int, optional
        Tasks of a run. By default the whole corpus. Fewer or more are drawn from it as by
        :func:`routingsim.replay`, in each replication anew, the same for every policy.
    seed : int
        The seeds of the replications are derived from it (``StudySettings.seeds``).
    population : {"tasks like these", "these tasks"}
        What intervals and verdicts are about. By default the corpus is a sample, and they
        hold for other tasks of its kind: each policy and load is run 40 times more, on
        corpora drawn from it (:mod:`routingsim.evaluation.resampling`), and a corpus of
        fewer than 50 different prompts gives none. Or of these very tasks alone, whose
        intervals are narrower and say nothing of others.
    objective : float, optional
        Latency (s) within which an answer counts for goodput. By default
        :func:`routingsim.evaluation.objective.default_objective`: three times the mean service
        time of the slowest agent that a policy of the study uses.
    right : float
        Lowest recorded quality of a right answer.
    retries, outages, service
        As for :func:`routingsim.replay`.
    controls : bool or sequence of str
        Run the controls beside the policies: all, none, or those named of random,
        cheapest, best-single, zero-router, shuffle, length, category and oracle
        (:mod:`routingsim.evaluation.controls`). Zero router, shuffle and length have the
        baseline's mix of agents, or its cost, at the first load; for any other policy
        there is :meth:`Study.uses_text`. A control that equals a policy of the study is
        not run again, and one that did exactly as another has no row; a note names it.
    executor : concurrent.futures.Executor, optional
        Where to run. By default in threads, as compiled kernels release the global
        interpreter lock. Process pools and clusters get the work pickled.
    progress : callable, optional
        ``progress(done, all)``, called after each policy and load.
    resume : path, optional
        A checkpoint file. Finished cells are added to it, and those already in it are not
        run again. A cell is reused only for the same policy, load, corpus, agents and
        settings, so several studies may share a file.

    Raises
    ------
    CorpusError, AgentError, PolicyError, SimulationError
        If a parameter is out of its range or of the wrong type, the parameters do not go
        together, or ``resume`` is not a checkpoint file.
    """
    corpus, pool = load_corpus(corpus), load_agents(pool)
    outages = (outages,) if isinstance(outages, Outage) else outages
    check_kinds(retries, outages)
    wanted = _several(policies, str | Policy | Kernel | Callable)
    _check(len(wanted), replications, objective, right, population)
    conditions: dict[str, Any] = {"retries": retries, "outages": outages, "service": service}
    made: dict[str, Policy] = {}
    for each in wanted:
        policy = make_policy(pool, each, corpus)
        name = free_name(policy.name, made)
        made[name] = replace(policy, name=name)
    scenes = [prepare(corpus, pool, policy, **conditions) for policy in made.values()]
    capacity = scenes[0].capacity
    shares = _shares(loads, rates, capacity)
    shape = Poisson(1.0) if arrivals is None else as_arrivals(arrivals)
    order, of_order = _order(scenes, corpus, shape)
    count = len(corpus) if tasks is None else tasks
    rate = _rate(shape, corpus, count)
    processes = [shape.scaled(share * capacity / rate) for share in shares]
    if objective is None:
        pilots = (scene.run(processes[0], seed=seed, tasks=count, order=order) for scene in scenes)
        objective = default_objective(pilots, scenes[0].system.mean_service)
    settings = StudySettings(
        seed=seed,
        replications=replications,
        tasks=count,
        objective=float(objective),
        right=float(right),
        population=population,
        order=order,
    )
    kinds = {scene.policy.name: "policy" for scene in scenes}
    if controls is not False:
        beside = _controls(corpus, pool, scenes, shares[0] * capacity, seed, controls)
        kinds |= {policy.name: "control" for policy in beside}
        scenes += [prepare(corpus, pool, policy, **conditions) for policy in beside]
    group = prompts(corpus)
    jobs = [(scene, process, settings, group) for scene in scenes for process in processes]
    cells = _run(jobs, executor, progress, None if resume is None else Path(resume))
    keys = [(name, share) for name in kinds for share in shares]
    found = dict(zip(keys, cells, strict=True))
    twins = identical(kinds, found)
    for name in (each for others in twins.values() for each in others):
        del kinds[name]
        found = {key: cell for key, cell in found.items() if key[0] != name}
    return Study(
        corpus=corpus,
        pool=pool,
        kinds=kinds,
        in_sample={
            s.policy.name: in_sample(corpus, s.policy.fitted_on)
            for s in scenes
            if s.policy.name in kinds
        },
        loads=shares,
        capacity=capacity,
        arrivals=str(shape),
        settings=settings,
        cells=found,
        group=group,
        cautions=(
            *_unlike(corpus, capacity, dict(zip(shares, processes, strict=True)), settings),
            *filter(None, (of_order, _of_choice(corpus, shape, count))),
        ),
        remarks=(*_remarks(scenes[: len(made)], found, settings), *said_of(twins)),
    )


def _order(scenes: Sequence[Scenario], corpus: Corpus, shape: Arrivals) -> tuple[Order, str]:
    """In which order the runs of a study take the tasks, and what is said of it."""
    learns = [scene.policy.name for scene in scenes if scene.policy.learns]
    if isinstance(shape, CorpusTimes):
        if not learns:
            return "blocks", "each run resamples the log in blocks, each task with its own time"
        return "file", (
            f"each run has the log's tasks at their own times and in their order, as "
            f"{', '.join(learns)} learn{'s' * (len(learns) == 1)}: intervals leave out how another "
            "log would differ"
        )
    tests = order_tests(corpus, scenes[0].pool, scenes[0].records.work)
    kept = bool(tests and learns)
    note = order_note(tests, kept=kept, has_arrivals=corpus.has_arrivals)
    return "file" if kept else "shuffled", note


def _of_choice(corpus: Corpus, shape: Arrivals, count: int) -> str:
    """Which tasks a run takes, where these are not all."""
    if not isinstance(shape, CorpusTimes):
        return drawn_note(corpus, count)
    played = shape.rows(corpus)
    return window_note(corpus, slice(played.start, min(played.stop, played.start + count)))


def _unlike(
    corpus: Corpus, capacity: float, processes: Mapping[float, Arrivals], settings: StudySettings
) -> tuple[str, ...]:
    """At which load the arrivals met are not those asked for, each in a sentence."""
    said = []
    for load, process in processes.items():
        times = [process.times(settings.tasks, seed, corpus) for seed in settings.seeds]
        spans = [float(each[-1]) for each in times]
        if found := unlike_asked(process, load * capacity, times[0].size, spans):
            said.append(f"at load {load:.3g} {found}")
    return tuple(said)


def _remarks(
    scenes: Sequence[Scenario],
    cells: Mapping[tuple[str, float], Cell],
    settings: StudySettings,
) -> tuple[str, ...]:
    """Remarks on each policy, as a replay has them."""
    said = []
    for scene in scenes:
        policy, d_var = scene.policy, scene.records.work.d_var
        mine = [cell.times for (name, _), cell in cells.items() if name == policy.name]
        unseen = sum(cell.unseen for (name, _), cell in cells.items() if name == policy.name)
        fresh = _fresh(unseen, scene.records.work.quality)
        said += [
            *policy.notes,
            repeated_prompts(scene.corpus),
            met_before(policy, scene.corpus, settings.tasks, fresh),
            *judge_assumed(policy, scene.pool, scene.records.work.quality),
            no_texts(scene.corpus, policy),
            one_for_all(policy, scene.pool, d_var, np.sum(mine, axis=(0, 1))),
        ]
    fitted = [s.policy.name for s in scenes if s.policy.predict or s.policy.fitted_on]
    if fitted and settings.sampled:
        said.append(
            f"the fit of {', '.join(fitted)} is taken as it is: intervals leave out what it would "
            "have learned from another corpus"
        )
    return tuple(filter(None, dict.fromkeys(said)))


def _fresh(unseen: Any, quality: NDArray[np.float64]) -> float:
    """Mean recorded quality of choices, given how often each was made; NaN for none."""
    known = np.where(np.isnan(quality), 0, unseen)
    return float((known * np.nan_to_num(quality)).sum() / known.sum()) if known.any() else math.nan


def _several(given: Any, single: Any) -> list[Any]:
    """One value as a list of one, several as a list."""
    return [given] if isinstance(given, single) or not isinstance(given, Iterable) else list(given)


def _check(
    policies: int, replications: int, objective: float | None, right: float, population: str
) -> None:
    if not is_whole(replications) or replications < 1 or not policies:
        raise SimulationError(
            f"{policies} policies, replications={replications!r}: one policy or more and a whole "
            "number of replications, 1 or more, are needed"
        )
    if objective is not None and not (is_finite(objective) and objective > 0):
        raise SimulationError(f"objective={objective!r}: a number of seconds above 0 is needed")
    if not is_finite(right):
        raise SimulationError(f"right={right!r}: a number is needed, the lowest right quality")
    if population not in get_args(Population):
        allowed = " or ".join(map(repr, get_args(Population)))
        raise SimulationError(f"population={population!r}: {allowed} is needed")


def _same(one: Policy, other: Policy) -> bool:
    """Whether two policies are equal and read no texts."""
    reads = (one.featurize, one.predict, other.featurize, other.predict)
    equal = one.choose is other.choose and np.array_equal(one.memory, other.memory)
    return equal and all(each is None for each in reads)


def _shares(
    loads: float | Sequence[float] | None, rates: float | Sequence[float] | None, capacity: float
) -> tuple[float, ...]:
    """Loads as shares of the capacity, in the order given."""
    if loads is not None and rates is not None:
        raise SimulationError("loads and rates: give one of them")
    name, given = ("loads", loads) if rates is None else ("rates", rates)
    numbers = _several(DEFAULT_LOADS if given is None else given, str)
    if not numbers or not all(is_finite(each) and each > 0 for each in numbers):
        raise SimulationError(f"{name}={given!r}: one or more numbers above 0 are needed")
    if len(set(numbers)) < len(numbers):
        raise SimulationError(f"{name}={given!r}: a number occurs twice")
    return tuple(float(each) if rates is None else each / capacity for each in numbers)


def _controls(
    corpus: Corpus,
    pool: AgentPool,
    scenes: Sequence[Scenario],
    rate: float,
    seed: int,
    names: bool | Sequence[str],
) -> list[Policy]:
    """The controls that equal no policy of the study, each under a different name.

    Those that need recorded quality are left out if there is none.
    """
    made = {scene.policy.name: scene.policy for scene in scenes}
    known = np.isfinite(scenes[0].records.work.quality).all(axis=1).any()
    if known and basis(corpus, pool).kind != "log":
        pilot = scenes[0].run(Poisson(rate), seed=seed, order="shuffled")
        found = control_policies(corpus, pool, chosen_by(pilot), seed=seed)
    else:
        found = {"random": random(pool), "cheapest": cheapest(pool, corpus)}
    wanted = list(found) if names is True else _several(names, str)
    if unknown := [name for name in wanted if name not in found]:
        raise SimulationError(
            f"controls={names!r}: no control {unknown[0]!r} for this corpus; there are "
            f"{', '.join(found)}"
        )
    controls: dict[str, Policy] = {}
    for policy in (found[name] for name in wanted):
        if policy.name not in made or not _same(policy, made[policy.name]):
            name = free_name(policy.name, {**made, **controls}, "{} (control)")
            controls[name] = replace(policy, name=name)
    return list(controls.values())


def _rate(shape: Arrivals, corpus: Corpus, count: int) -> float:
    """The mean rate of the arrival process, by which it is scaled to a load.

    For recorded times it is the rate of the arrivals that a run meets: the beginning of a
    record may be faster than the whole.
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
            f"{shape}: {count:,} tasks at the same time have no rate to scale to a load"
        )
    return float(rate)


def _simulate(job: Job) -> Cell:
    """Run all replications of one policy at one load: the unit of work of a worker."""
    scene, process, settings, group = job
    drawn = stand_ins(group, settings.seed)

    def again(result: ReplayResult) -> Iterator[ReplayResult]:
        return (scene.rerun_rows(result, each[result.work.row]) for each in drawn)

    results = (
        scene.run(process, seed=seed, tasks=settings.tasks, order=settings.order)
        for seed in settings.seeds
    )
    asked = settings.sampled and settings.replications >= RUNS
    repeated = RUNS if asked and independent(group) >= LEAST else 0
    scaled = partial(scale, group, drawn)
    return gather(results, settings.objective, settings.right, again, repeated, scaled)


def _run(
    jobs: Sequence[Job],
    executor: Executor | None,
    progress: Callable[[int, int], object] | None,
    checkpoint: Path | None,
) -> list[Cell]:
    """Run all jobs but those in the checkpoint; cells in the order of the jobs."""
    keys = [cell_key(*job) for job in jobs] if checkpoint else [""] * len(jobs)
    done = read_cells(checkpoint) if checkpoint else {}
    cells = [done.get(key) for key in keys]
    todo = [k for k, cell in enumerate(cells) if cell is None]
    if progress is not None:
        progress(len(jobs) - len(todo), len(jobs))
    workers = ThreadPoolExecutor(os.cpu_count()) if executor is None else executor
    futures: dict[Future[Cell], int] = {}
    try:
        for k in todo:
            futures[_submit(workers, jobs[k])] = k
        for finished, future in enumerate(as_completed(futures), start=1):
            k = futures[future]
            cells[k] = cell = future.result()
            if checkpoint is not None:
                append_cell(checkpoint, keys[k], cell)
            if progress is not None:
                progress(len(jobs) - len(todo) + finished, len(jobs))
    finally:
        for future in futures:  # after an error: a user's own pool must not go on working
            future.cancel()
        if executor is None:
            workers.shutdown()
    return [cell for cell in cells if cell is not None]


def _submit(executor: Executor, job: Job) -> "Future[Cell]":
    if isinstance(executor, ThreadPoolExecutor):
        return executor.submit(_simulate, job)
    # Pickle refuses functions made in a session. What the policy says of the texts is in
    # the scene already, so its predictors, which may be large, stay here.
    scene, *rest = job
    policy = replace(scene.policy, featurize=None, predict=None, parameters={})
    with pickled_by_value():
        packed = cloudpickle.dumps((replace(scene, policy=policy), *rest))
    return executor.submit(_unpack_and_run, packed)


def _unpack_and_run(packed: bytes) -> Cell:
    return _simulate(pickle.loads(packed))
