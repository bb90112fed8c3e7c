"""Intervals of the figures of a replay: from one long run, or from further runs."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import SimulationError
from routingsim.simulation.batches import batch_interval
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.run_summary import QUANTILES
from routingsim.simulation.statistics import Interval

MEANS = {"latency": "latency_mean", "wait": "wait_mean"}
"""Short names of figures."""

_TIMES = ("mean", *QUANTILES)

INTERVALS = (
    *(f"{time}_{each}" for time in ("latency", "wait", "first_token") for each in _TIMES),
    *("utilisation", "throughput", "cost", "cost_mean", "quality", "quality_all"),
)
"""Figures of the summary that ``ReplayResult.interval`` takes, beside latency and wait."""


def interval(
    run: RunRecord,
    metric: str,
    whole: Mapping[str, Any],
    *,
    count: int,
    precision: float | None,
    most: int,
    days: bool,
    progress: bool,
) -> Interval:
    """The 95 % confidence interval of a figure, as ``ReplayResult.interval`` describes it.

    ``whole`` has the figures of the run itself.
    """
    name = MEANS.get(metric, metric)
    if name not in INTERVALS:
        raise SimulationError(
            f"interval: no metric {metric!r}; there are latency, wait, {', '.join(INTERVALS)}"
        )
    if days and run.synthetic:
        raise SimulationError(
            f"interval: days=True draws days from recorded times, and {run.arrivals} makes "
            "its own: each further run is another day already; leave it out"
        )
    if name.startswith(("latency", "wait", "first_token")):
        if run.stability.lasts:
            why = f"none: {run.stability.verdict}, so it says only how long the run was"
            return Interval(float(whole[name]), math.nan, method=why)
        found = None if days else of_batches(run, name)
        if found is not None and (precision is None or found.half_width <= precision * found.mean):
            return found
    if run.replications is None:
        return Interval(float(whole[name]), math.nan, method="none: one run alone")
    found = run.replications.interval(
        _figures,
        name,
        count=count,
        precision=precision,
        most=most,
        days=days,
        progress=progress,
        question=question(run, days=days),
    )
    return found.within(0.0, 1.0 if name.startswith("quality") else math.inf)


def _figures(result: Any) -> dict[str, Any]:
    """The figures of a further run."""
    return result.whole


def question(run: RunRecord, *, days: bool) -> str:
    """What further runs draw anew, in words."""
    if days:
        return "other days like this one (blocks of recorded tasks)"
    if run.synthetic and run.corpus is not None and len(run) > len(run.corpus):
        return "other days with tasks drawn anew from the corpus"
    if run.synthetic:
        return "other days with the same tasks"
    return "the same tasks at the same times"


def of_batches(run: RunRecord, name: str) -> Interval | None:
    """The interval of a wait or latency from this one run; None where it is too short."""
    if not run.long:
        return None
    return batch_interval(
        times(run, name)[run.timed], quantile=QUANTILES.get(name.rpartition("_")[2])
    )


def times(run: RunRecord, name: str) -> NDArray[np.float64]:
    """The waits, latencies or times to first tokens (s) behind a figure, shape (tasks,)."""
    if name.startswith("first_token"):
        return run.first_token
    return run.log.wait if name.startswith("wait") else run.latency
