"""Notes on the runs of a study: their order, tasks and arrivals, and each policy."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.evaluation.cell import Cell
from routingsim.evaluation.order import OrderTest, order_note, order_tests
from routingsim.evaluation.study_record import StudySettings
from routingsim.simulation.arrival_notes import unlike_asked
from routingsim.simulation.arrivals import Arrivals, CorpusTimes
from routingsim.simulation.remarks import (
    judge_assumed,
    met_before,
    no_texts,
    of_record,
    one_for_all,
    repeated_prompts,
    whose_agents,
)
from routingsim.simulation.scenario import Scenario
from routingsim.simulation.task_choice import Order, drawn_note, window_note
from routingsim.simulation.workload import records_of


@lru_cache(maxsize=4)  # asked for again by every cell of a sweep
def _order_tests(corpus: Corpus, pool: AgentPool) -> tuple[OrderTest, ...]:
    return order_tests(corpus, pool, records_of(corpus, pool).work)


def order_of(scenes: Sequence[Scenario], corpus: Corpus, shape: Arrivals) -> tuple[Order, str]:
    """The order in which the runs of a study take the tasks, and a note on it."""
    learns = [scene.policy.name for scene in scenes if scene.policy.learns]
    if isinstance(shape, CorpusTimes):
        if not learns:
            return "blocks", "each run resamples the log in blocks, each task with its own time"
        return "file", (
            f"each run has the log's tasks at their own times and in their order, as "
            f"{', '.join(learns)} learn{'s' * (len(learns) == 1)}: intervals leave out how another "
            "log would differ"
        )
    tests = _order_tests(corpus, scenes[0].pool)
    kept = bool(tests and learns)
    note = order_note(tests, kept=kept, has_arrivals=corpus.has_arrivals)
    return "file" if kept else "shuffled", note


def cautions_on(
    corpus: Corpus | None,
    pool: AgentPool,
    shape: Arrivals,
    count: int,
    of_order: str,
    unlike: Sequence[str] = (),
) -> tuple[str, ...]:
    """What the reader should know before any figure of runs of one shape.

    Parameters
    ----------
    corpus, pool, shape
        What is run, and the arrivals before they are scaled.
    count : int
        Tasks of a run.
    of_order : str
        What :func:`order_of` said.
    unlike : sequence of str
        Where the arrivals met are not those asked for.
    """
    touching, _ = of_record(corpus, pool, own_times=isinstance(shape, CorpusTimes))
    which = "" if corpus is None else of_choice(corpus, shape, count)
    said = (whose_agents(corpus, pool), *touching, *shape.cautions, *unlike, of_order, which)
    return tuple(filter(None, said))


def of_choice(corpus: Corpus, shape: Arrivals, count: int) -> str:
    """Which tasks a run takes, where these are not all."""
    if not isinstance(shape, CorpusTimes):
        return drawn_note(corpus, count)
    played = shape.rows(corpus)
    return window_note(corpus, slice(played.start, min(played.stop, played.start + count)))


def unlike(
    corpus: Corpus, capacity: float, processes: Mapping[float, Arrivals], settings: StudySettings
) -> tuple[str, ...]:
    """The loads at which the actual arrivals are not those asked for, a sentence each."""
    said = []
    for load, process in processes.items():
        times = [process.times(settings.tasks, seed, corpus) for seed in settings.seeds]
        spans = [float(each[-1]) for each in times]
        if found := unlike_asked(process, load * capacity, times[0].size, spans):
            said.append(f"at load {load:.3g} {found}")
    return tuple(said)


def remarks_on(
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
