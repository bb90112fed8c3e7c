"""``compare()``: policies x loads x replications, under common random numbers.

Every policy meets the same arrivals, the same order of tasks, the same service
noise and the same failures in replication r of a load, so that differences are
of the policies and not of luck. The controls run beside them, always.
"""

import hashlib
import json
import os
import pickle
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import cloudpickle

from routingsim.agents import AgentPool, load_agents
from routingsim.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.evaluation.controls.simulated import chosen_by, control_policies
from routingsim.evaluation.measure import Cell, gather
from routingsim.evaluation.study import Settings, Study
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.simulation.arrivals import (
    Arrivals,
    ClosedLoop,
    Poisson,
    parse_arrivals,
    realised,
)
from routingsim.simulation.scenario import ONE_TRY, Retries, Scenario, prepare
from routingsim.simulation.service import Outage

__all__ = ["DEFAULT_LOADS", "compare"]

DEFAULT_LOADS = (0.3, 0.6, 0.9)
"""Loads, as shares of the pool's capacity."""


def compare(
    corpus: Corpus,
    pool: AgentPool | None = None,
    policies: Sequence[str | Policy | Kernel | Callable[..., int]] = ("threshold", "least-loaded"),
    *,
    loads: Sequence[float] = DEFAULT_LOADS,
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
        The tasks; each replication takes all of them, in an order of its own.
    pool : AgentPool, optional
        The five defaults if not given.
    policies
        Anything :func:`routingsim.policies.make_policy` takes; the first is the
        baseline that verdicts are against.
    loads : sequence of float
        Shares ρ of the pool's capacity (all slots over their mean service times);
        the arrival rate is ρ times that.
    arrivals : str or arrival process, optional
        The shape of the arrivals, scaled to each load; Poisson if not given.
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
        router, cost-matched shuffle, length, category and oracle.
    executor : concurrent.futures.Executor, optional
        Where to run; by default threads, over kernels that release the
        interpreter's lock. Process pools and clusters get the work pickled.
    progress : callable, optional
        ``progress(done, all)`` after each policy and load.
    resume : path, optional
        File of finished parts: written as they finish, read at the start. A part
        counts only for the very same policy, load, corpus, agents and settings.

    Raises
    ------
    SimulationError, PolicyError
        If the parts do not go together, or ``resume`` is not a file of parts.
    """
    pool = load_agents() if pool is None else pool
    if replications < 1 or not policies or not loads:
        raise SimulationError(
            f"{len(policies)} policies, {len(loads)} loads, {replications} replications: "
            "one of each or more is needed"
        )
    made = [make_policy(each, pool, corpus) for each in policies]
    names = [each.name for each in made]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SimulationError(f"policy {twice!r} is there twice: names must differ")

    def scene(policy: Policy) -> Scenario:
        return prepare(corpus, pool, policy, retries=retries, outages=outages, service=service)

    scenes = [scene(each) for each in made]
    capacity = scenes[0].capacity
    shape = parse_arrivals(arrivals) if isinstance(arrivals, str) else arrivals or Poisson(1.0)
    rate = _rate(shape, corpus)
    count = len(corpus) if tasks is None else tasks
    settings = Settings(
        seed=seed,
        replications=replications,
        tasks=count,
        objective=_objective(scenes[0]) if objective is None else float(objective),
        right=right,
    )
    processes = [shape.scaled(float(load) * capacity / rate) for load in loads]
    kinds = dict.fromkeys(names, "policy")
    if controls and np.isfinite(scenes[0].records.work.quality).all(axis=1).any():
        pilot = scenes[0].run(processes[0], seed=seed, order="shuffled")
        for policy in control_policies(corpus, pool, chosen_by(pilot), seed=seed).values():
            if policy.name not in kinds:
                kinds[policy.name] = "control"
                scenes.append(scene(policy))
    jobs = [_Job(each, process, settings) for each in scenes for process in processes]
    cells = _run(jobs, executor, progress, None if resume is None else Path(resume))
    loads = tuple(float(load) for load in loads)
    keys = [(name, load) for name in kinds for load in loads]
    return Study(
        corpus=corpus,
        pool=pool,
        kinds=kinds,
        hindsight={s.policy.name: corpus.sha256 in s.policy.fitted_on for s in scenes},
        loads=loads,
        capacity=capacity,
        arrivals=str(shape),
        settings=settings,
        cells=dict(zip(keys, cells, strict=True)),
    )


def _rate(shape: Arrivals, corpus: Corpus) -> float:
    """Mean rate of the shape, by which it is scaled to a load."""
    if isinstance(shape, ClosedLoop):
        raise SimulationError(
            "closed arrivals have no rate to scale to a load: use replay() for a closed loop"
        )
    rate = shape.rate
    if rate is None:
        rate = realised(shape.times(len(corpus), 0, corpus))[0]
    return float(rate)


def _objective(scene: Scenario) -> float:
    return 3.0 * float(scene.system.mean_service.max())


@dataclass(frozen=True, eq=False)
class _Job:
    """All replications of one policy at one load: what a worker does at a time."""

    scene: Scenario
    process: Arrivals
    settings: Settings

    @property
    def key(self) -> str:
        """Names the job in a file of finished parts: a digest of all that shapes its result."""
        scene = self.scene
        parts = (
            scene.corpus.sha256 if scene.corpus else "",
            len(scene.corpus or ()),
            repr(scene.pool.agents),
            scene.policy.name,
            hashlib.sha256(scene.policy.memory.tobytes()).hexdigest(),
            repr(scene.retries),
            repr(scene.outages),
            str(self.process),
            repr(self.settings),
        )
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()

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
    done = _read_partial(partial)
    cells = [done.get(job.key) for job in jobs]
    todo = [k for k, cell in enumerate(cells) if cell is None]
    if progress is not None:
        progress(len(jobs) - len(todo), len(jobs))
    own = ThreadPoolExecutor(os.cpu_count()) if executor is None else None
    try:
        futures: dict[Future[Cell], int] = {}
        for k in todo:
            futures[_submit(own or executor, jobs[k])] = k
        for future in _as_completed(futures):
            k = futures.pop(future)
            cells[k] = cell = future.result()
            if partial is not None:
                _append_partial(partial, jobs[k].key, cell)
            if progress is not None:
                progress(len(jobs) - len(futures), len(jobs))
    finally:
        if own is not None:
            own.shutdown(cancel_futures=True)
    return [cell for cell in cells if cell is not None]


def _submit(executor: Executor | None, job: _Job) -> "Future[Cell]":
    assert executor is not None
    if isinstance(executor, ThreadPoolExecutor):
        return executor.submit(job)
    # Policies hold functions made on the fly, which plain pickle refuses.
    return executor.submit(_unpack_and_do, cloudpickle.dumps(job))


def _unpack_and_do(packed: bytes) -> Cell:
    return pickle.loads(packed)()


def _as_completed(futures: "dict[Future[Cell], int]") -> "Iterator[Future[Cell]]":
    """Futures as they finish, of any executor that calls back when they do."""
    finished: queue.SimpleQueue[Future[Cell]] = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(finished.put)
    for _ in range(len(futures)):
        yield finished.get()


def _read_partial(path: Path | None) -> dict[str, Cell]:
    """Finished parts by key. A last line cut short by an interruption is left out."""
    if path is None or not path.exists():
        return {}
    found = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            found[record["key"]] = _cell_of(record)
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise SimulationError(
                f"{path}:{number}: not a part of a study ({error}); give another file to resume"
            ) from None
    return found


def _append_partial(path: Path, key: str, cell: Cell) -> None:
    record = {"key": key, "verdicts": cell.verdicts}
    for field in _ARRAYS:
        record[field] = getattr(cell, field).tolist()
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


_ARRAYS = ("figures", "quality", "cost", "chosen", "regret")


def _cell_of(record: dict[str, Any]) -> Cell:
    arrays: dict[str, Any] = {field: np.array(record[field]) for field in _ARRAYS}
    return Cell(verdicts=tuple(record["verdicts"]), **arrays)
