"""One cell of a sweep: all replications of one setting, as a row of figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from routingsim.evaluation.cell import METRICS, best_recorded, means, measure
from routingsim.evaluation.loads import mean_rate
from routingsim.evaluation.study_notes import order_of
from routingsim.evaluation.study_record import TIMED
from routingsim.evaluation.sweeps.plan import Fixed, seeds_of, setting_of, shown
from routingsim.evaluation.travel import Failed
from routingsim.simulation.arrivals import Poisson, as_arrivals
from routingsim.simulation.replay import DEFAULT_LOAD
from routingsim.simulation.scenario import prepare
from routingsim.simulation.stability import lasts, of_most, over_runs

Item = tuple[str, dict[str, Any]]
"""A cell's key and its setting."""


def run_cell(fixed: Fixed, item: Item) -> dict[str, Any]:
    """Run a cell: its stability, and each metric with the half-width of its 95 % interval.

    ``figures`` holds the metrics of each run, one run after the other. Metrics of time are NaN
    where most runs end before their backlog.
    """
    key, setting = item
    got = setting_of(fixed, setting)
    corpus = fixed.corpus
    scene = prepare(corpus, got["pool"], got["policy"], **fixed.conditions(setting))
    count = len(corpus) if got["tasks"] is None else got["tasks"]
    shape = Poisson(1.0) if got["arrivals"] is None else as_arrivals(got["arrivals"])
    load, rate = got["load"], got["rate"]
    if load is None and rate is None and got["arrivals"] is None:
        load = DEFAULT_LOAD
    if load is not None:
        rate = load * scene.capacity
    if rate is not None:
        shape = shape.scaled(rate / mean_rate(shape, corpus, count))
    order, _ = order_of([scene], corpus, shape)
    rows, stabilities, best = [], [], None
    first = fixed.first_token_objective
    for each in seeds_of(fixed, setting, key):
        run = scene.run(shape, seed=each, tasks=count, order=order)
        best = best_recorded(run) if best is None else best
        rows.append(measure(run, fixed.objective, fixed.right, best, first_token=first))
        stabilities.append(run.stability)
    figures = np.array(rows)
    names = list(METRICS)
    verdict = of_most(over_runs(stabilities))
    backlog = (float(figures[:, names.index(name)].mean()) for name in ("peak", "left"))
    if lasts(verdict, *backlog):
        figures[:, [name in TIMED for name in names]] = np.nan
    row: dict[str, Any] = {"status": "done", "stability": verdict}
    row |= means(figures)
    return row | {"figures": figures.ravel().tolist()}


def run_nth(shared: tuple[Fixed, Sequence[Item]], k: int) -> dict[str, Any]:
    """Run one of the cells.

    All of them travel to a worker together, so that a policy of many cells is unpickled, and its
    kernels compiled, once.
    """
    fixed, items = shared
    return run_cell(fixed, items[k])


def row_of(item: Item, result: Mapping[str, Any] | Failed) -> dict[str, Any]:
    """The row of a cell that was run or failed, with its key and setting."""
    key, setting = item
    row = {"cell": key} | {name: shown(value) for name, value in setting.items()}
    if isinstance(result, Failed):
        said = f"{type(result.error).__name__}: {result.error}"
        return row | {"status": "failed", "error": said, "traceback": result.traceback}
    return row | dict(result)
