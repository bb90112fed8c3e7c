"""The runs of a study as jobs: where they run, and which a checkpoint has already."""

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from numba import cloudpickle

from routingsim.evaluation.cell import Cell, gather
from routingsim.evaluation.checkpoint import append_cell, cell_key, read_cells
from routingsim.evaluation.resampling import LEAST, RUNS, Resamples
from routingsim.evaluation.study_record import StudySettings
from routingsim.policies.kernel import pickled_by_value
from routingsim.simulation.arrivals import Arrivals
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import Scenario

Job = tuple[Scenario, Arrivals, StudySettings, Resamples]
"""What a worker runs."""


def _simulate(job: Job) -> Cell:
    """Run all replications of one policy at one load: the unit of work of a worker."""
    scene, process, settings, resamples = job

    def again(result: ReplayResult) -> Iterator[ReplayResult]:
        return (scene.rerun_rows(result, each[result.work.row]) for each in resamples.drawn)

    results = (
        scene.run(process, seed=seed, tasks=settings.tasks, order=settings.order)
        for seed in settings.seeds
    )
    asked = settings.sampled and settings.replications >= RUNS
    repeated = RUNS if asked and resamples.independent >= LEAST else 0
    return gather(results, settings.objective, settings.right, again, repeated, resamples.scale)


def run(
    jobs: Sequence[Job],
    executor: Executor | None,
    progress: Callable[[int, int], object] | None,
    checkpoint: Path | None,
    threads: int | None = None,
) -> list[Cell]:
    """Run all jobs but those in the checkpoint; cells in the order of the jobs.

    Without an executor, in so many threads, by default one for each core.
    """
    keys = [_key(*job) for job in jobs] if checkpoint else [""] * len(jobs)
    done = read_cells(checkpoint) if checkpoint else {}
    cells = [done.get(key) for key in keys]
    todo = [k for k, cell in enumerate(cells) if cell is None]
    if progress is not None:
        progress(len(jobs) - len(todo), len(jobs))
    workers = ThreadPoolExecutor(threads or os.cpu_count()) if executor is None else executor
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
        if checkpoint is not None:  # after an interruption: what was running has ended since
            for future, k in futures.items():
                ended = future.done() and not future.cancelled() and future.exception() is None
                if cells[k] is None and ended:
                    append_cell(checkpoint, keys[k], future.result())
    return [cell for cell in cells if cell is not None]


def _key(scene: Scenario, process: Arrivals, settings: StudySettings, resamples: Resamples) -> str:
    return cell_key(scene, process, settings, resamples.group)


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
