"""The runs of a study as jobs: what each is, and which a checkpoint has already."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from routingsim.evaluation.cell import Cell, gather
from routingsim.evaluation.checkpoint import append_cell, cell_key, read_cells
from routingsim.evaluation.resampling import LEAST, RUNS, Resamples
from routingsim.evaluation.study_record import StudySettings
from routingsim.evaluation.travel import Failed
from routingsim.evaluation.workers import execution
from routingsim.simulation.arrivals import Arrivals
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import Scenario

Job = tuple[Scenario, Arrivals, StudySettings, Resamples]
"""What a worker runs."""


def simulate(job: Job) -> Cell:
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
    return gather(
        *(results, settings.objective, settings.right, again, repeated, resamples.scale),
        first_token=settings.first_token_objective,
    )


def _nth(jobs: Sequence[Job], k: int) -> Cell:
    return simulate(jobs[k])


def run(
    jobs: Sequence[Job],
    *,
    executor: Any = None,
    n_jobs: int | None = None,
    progress: Callable[[int, int], object] = lambda done, of: None,
    checkpoint: Path | None = None,
    on_cell: Callable[[int, Cell], object] | None = None,
) -> list[Cell]:
    """Run all jobs but those in the checkpoint; cells in the order of the jobs.

    ``on_cell(k, cell)`` is called as job k ends; ``executor`` and ``n_jobs`` are those of
    :func:`routingsim.evaluation.workers.execution`.
    """
    keys = [_key(*job) for job in jobs] if checkpoint else [""] * len(jobs)
    known = read_cells(checkpoint) if checkpoint else {}
    cells = {k: known[key] for k, key in enumerate(keys) if key in known}
    todo = [k for k in range(len(jobs)) if k not in cells]

    def done(place: int, cell: Cell | Failed) -> None:
        if isinstance(cell, Failed):
            raise cell.error
        cells[todo[place]] = cell
        if checkpoint is not None:
            append_cell(checkpoint, keys[todo[place]], cell)
        progress(len(cells), len(jobs))
        if on_cell is not None:
            on_cell(todo[place], cell)

    progress(len(cells), len(jobs))
    # What a policy says of the texts is in its scene already, so that its predictors, which may
    # be large, stay here.
    lean = {id(job[0]): _lean(job[0]) for job in jobs}
    light = [(lean[id(scene)], *rest) for scene, *rest in jobs]
    with execution(_nth, light, executor=executor, n_jobs=n_jobs) as each:
        each(todo, done)
    return [cells[k] for k in range(len(jobs))]


def _key(scene: Scenario, process: Arrivals, settings: StudySettings, resamples: Resamples) -> str:
    return cell_key(scene, process, settings, resamples.group)


def _lean(scene: Scenario) -> Scenario:
    policy = replace(scene.policy, featurize=None, predict=None, parameters={})
    return replace(scene, policy=policy)
